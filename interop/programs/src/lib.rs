//! The bodies of the adapters' examples, once for every runtime.
//!
//! Each function here is a whole program. An adapter's example names its [`Platform`] and calls it; [`Measured`] is run by
//! `benches/measured`.

pub mod chat;
pub mod checks;
mod client_conformance;
mod conformance;
mod engine_conformance;
mod faulty;
mod interop;
mod measured;
mod measured_client;
mod options;
mod platform;
mod probe;
mod soak;

pub use interop::interop;
pub use measured::Measured;
#[cfg(unix)]
pub use platform::UnixPlatform;
pub use platform::{Platform, interrupted};
pub use probe::probe;
