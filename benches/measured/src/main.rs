//! `server` and `client` for measurements on each runtime; `benches/load` and the budgets run them.
//!
//! A package of its own, so that nothing is built in release for it but what an application would need, and linked once.

#[path = "../../../adapter-async-std/examples/platform/mod.rs"]
mod on_async_std;
#[path = "../../../adapter-smol/examples/platform/mod.rs"]
mod on_smol;
#[path = "../../../adapter-tokio/examples/platform/mod.rs"]
mod on_tokio;

use std::io;

use clap::{Parser, ValueEnum};
use socketio_programs::Measured;

#[derive(Parser)]
struct Options {
    runtime: Runtime,
    #[command(subcommand)]
    program: Measured,
}

#[derive(Copy, Clone, ValueEnum)]
enum Runtime {
    Tokio,
    Smol,
    AsyncStd,
}

fn main() -> io::Result<()> {
    let Options { runtime, program } = Options::parse();
    match runtime {
        Runtime::Tokio => program.run::<on_tokio::OnTokio>(),
        Runtime::Smol => program.run::<on_smol::OnSmol>(),
        Runtime::AsyncStd => program.run::<on_async_std::OnAsyncStd>(),
    }
}
