//! Each file in `js/`, with each adapter, and what README.md says of that.

mod table;

use socketio_interop::{names, run, run_alone, run_at_once};

use table::passed;

/// The files that test an adapter, and how they are run.
macro_rules! adapter {
    ($module:ident: $adapter:literal) => {
        mod $module {
            use super::*;

            tests! {
                $adapter;
                acks: run,
                browser: run,
                client_basics: run,
                client_cuts: run,
                client_hostile: run,
                client_reconnect: run,
                client_transports: run,
                crowd: run,
                engine_protocol: run_at_once,
                namespaces: run,
                order: run,
                payloads: run,
                rooms: run,
                shutdown: run_at_once,
                slow_reader: run_alone,
                socket_protocol: run_at_once,
                tls: run,
                transports: run_at_once,
                wire: run_at_once,
            }
        }
    };
}

macro_rules! tests {
    ($adapter:literal; $($name:ident: $run:ident,)*) => {
        $(#[test]
        fn $name() {
            passed($adapter, stringify!($name), $run(stringify!($name), $adapter));
        })*

        #[test]
        fn every_file_has_a_test() {
            let mut files = names();
            files.retain(|file| !PLAIN.contains(&file.as_str()));
            files.sort();
            assert_eq!(files, [$(stringify!($name)),*]);
        }
    };
}

adapter!(tokio: "tokio");
adapter!(async_std: "async-std");
adapter!(smol: "smol");
adapter!(own: "own");

/// The files that need no adapter.
const PLAIN: [&str; 2] = ["blocking", "client_blocking"];

#[test]
fn blocking() {
    run("blocking", "none");
}

#[test]
fn client_blocking() {
    run("client_blocking", "none");
}
