//! Clients of ours on servers of ours, over each transport.

#[path = "../support/mod.rs"]
mod support;

use socketio_tokio::Transport;

/// The three ways to be connected.
const WAYS: [&[Transport]; 3] =
    [&[Transport::WebSocket], &[Transport::Polling], &[Transport::Polling, Transport::WebSocket]];

/// Makes functions that take a way to be connected tests, over each of them.
macro_rules! over_each_transport {
    ($($name:ident,)*) => {
        over_each_transport!(websocket 0: $($name)*);
        over_each_transport!(polling 1: $($name)*);
        over_each_transport!(upgrade 2: $($name)*);
    };
    ($way:ident $index:literal: $($name:ident)*) => {
        mod $way {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::WAYS[$index]).await;
            })*
        }
    };
}

mod basics;
mod complaints;
mod connecting;
mod corners;
mod endings;
mod pull;
mod relay;
