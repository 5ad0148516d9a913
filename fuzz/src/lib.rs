//! Coverage-guided fuzzing of `socketio-protocol`, by libFuzzer; see `fuzz/README.md` for how it is run.
//!
//! A target is a function of some bytes that panics when a promise of the product is broken. Each has a module here, a
//! word in [`TARGETS`], a program of three lines in `fuzz_targets/`, seeds in `corpus/`, and in `mutations/` a fault that
//! it is shown to find. Its bytes are nobody's format: they may be read in whatever way makes useful inputs likely.

pub mod client;
pub mod connection;
pub mod engine_client;
pub mod engine_packet;
pub mod frames;
pub mod frames_differ;
mod grammar;
pub mod handshake;
pub mod json_differ;
mod machines;
pub mod manager;
pub mod pair;
pub mod payload;
pub mod query;
pub mod rooms;
pub mod session;
pub mod socket_packet;
pub mod socket_packet_differ;
pub mod sockets;
#[cfg(test)]
mod tests;
pub mod typed;

/// What a target does with an input: it returns, or panics because the product is wrong.
pub type Body = fn(&[u8]);

macro_rules! targets {
    ($($name:ident)*) => {
        /// All targets, by name.
        pub const TARGETS: &[(&str, Body)] = &[$((stringify!($name), $name::$name)),*];

        /// Every file of the corpus.
        #[cfg(test)]
        mod corpus {
            $(#[test] fn $name() { super::tests::replay_corpus(stringify!($name), super::$name::$name) })*
        }

        /// Inputs that are drawn, and the corpus with changes that are drawn.
        #[cfg(test)]
        mod drawn {
            $(#[test] fn $name() { super::tests::run_drawn(stringify!($name), super::$name::$name) })*
        }
    };
}

targets! {
    client
    connection
    engine_client
    engine_packet
    frames
    frames_differ
    handshake
    json_differ
    manager
    pair
    payload
    query
    rooms
    session
    socket_packet
    socket_packet_differ
    sockets
    typed
}

/// The program of a target: built by `fuzz/build` or cargo-fuzz it fuzzes, in any other build it runs the files that it is given.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[cfg(fuzzing)]
        $crate::fuzz_target!(|data: &[u8]| $crate::$name::$name(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::replay($crate::$name::$name)
        }
    };
}

#[cfg(fuzzing)]
#[doc(hidden)]
pub use libfuzzer_sys::fuzz_target;

/// Runs `body` with the content of each file that the command line names: what a fuzzer has found, in a debugger.
///
/// # Errors
///
/// A file cannot be read.
pub fn replay(body: Body) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        body(&std::fs::read(path)?);
    }
    Ok(())
}
