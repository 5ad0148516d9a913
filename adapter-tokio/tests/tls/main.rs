//! The server by TLS: clients of ours, and clients that speak TLS by hand.
#![cfg(feature = "tls")]
#![allow(unreachable_pub)]

#[path = "../client/mod.rs"]
mod client;
#[path = "../support/mod.rs"]
mod support;

mod by_hand;
mod certificates;
mod connections;
mod endings;
mod transports;
#[cfg(unix)]
mod waiting;
