//! The driver on tokio, through real sockets, seen by clients that speak the protocols by hand.

#[path = "../support/mod.rs"]
mod support;

mod acks;
mod connecting;
mod endings;
mod failures;
mod http;
mod order;
mod rooms;
mod slow;
