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
mod options;
mod platform;
mod probe;
mod soak;

pub use bench::bench;
pub use bench_client::bench_client;
pub use client_conformance::client_conformance;
pub use conformance::conformance;
pub use engine_conformance::engine_conformance;
#[cfg(unix)]
pub use platform::UnixPlatform;
pub use platform::{Platform, interrupted};
pub use probe::probe;
pub use soak::soak;
