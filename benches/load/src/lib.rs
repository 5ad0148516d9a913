//! A lean load generator: WebSocket, HTTP polling and Socket.IO by hand, just enough to keep a server busy and to check
//! every answer.

mod broadcast;
pub mod check;
pub mod client;
pub mod handshake;
pub mod histogram;
pub mod idle;
mod link;
mod messages;
mod polling;
pub mod process;
pub mod run;
pub mod scenario;
pub mod wire;
pub mod workshop;

pub use broadcast::Broadcast;
pub use messages::Messages;
pub use polling::Polling;

/// The median; not a number if there are no figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    match (figures.get(figures.len().saturating_sub(1) / 2), figures.get(figures.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}
