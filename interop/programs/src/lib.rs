//! The bodies of the adapters' examples, once for every runtime.
//!
//! Each function here is a whole program. An adapter's example names its [`Platform`] and calls it.

mod bench;
mod bench_client;
pub mod chat;
pub mod checks;
mod client_conformance;
mod conformance;
mod engine_conformance;
mod faulty;
mod interop;
mod options;
mod platform;
mod probe;
mod soak;

pub use bench::bench;
pub use interop::interop;
#[cfg(unix)]
pub use platform::UnixPlatform;
pub use platform::{Platform, interrupted};
pub use probe::probe;
