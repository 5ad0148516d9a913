//! What the tests run: servers and clients for test suites, and the soak.

use std::process::{ExitCode, Termination};

use clap::Parser;

use crate::client_conformance::client_conformance;
use crate::conformance::conformance;
use crate::engine_conformance::engine_conformance;
use crate::platform::Platform;
use crate::{options, soak};

#[derive(Parser)]
enum Program {
    /// A Socket.IO server that answers in every way a test can ask for.
    Conformance(options::Options),
    /// A plain Engine.IO server on `/engine.io/` that echoes every message.
    EngineConformance(options::Options),
    /// A Socket.IO client that does what its input tells it, and says what happens to it.
    ClientConformance,
    /// Clients that connect, chat, drop and come back at random, against `conformance`: nothing is lost, nothing leaks.
    Soak(soak::Options),
}

/// The program that the first argument names. Its memory is that of `stats_alloc`'s `INSTRUMENTED_SYSTEM`, where that is
/// the allocator.
pub fn interop<P: Platform>() -> ExitCode {
    match Program::parse() {
        Program::Conformance(options) => conformance::<P>(&options).report(),
        Program::EngineConformance(options) => engine_conformance::<P>(&options).report(),
        Program::ClientConformance => client_conformance::<P>().report(),
        Program::Soak(options) => soak::soak::<P>(options),
    }
}
