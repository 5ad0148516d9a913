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

pub use broadcast::Broadcast;
pub use messages::Messages;
pub use polling::Polling;
