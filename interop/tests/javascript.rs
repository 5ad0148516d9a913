//! One test for each file in `js/`.

use socketio_interop::{names, run, run_alone};

macro_rules! files {
    ($($name:ident: $run:ident,)*) => {
        $(#[test]
        fn $name() {
            $run(stringify!($name));
        })*

        #[test]
        fn every_file_has_a_test() {
            let mut files = names();
            files.sort();
            assert_eq!(files, [$(stringify!($name)),*]);
        }
    };
}

files! {
    acks: run,
    blocking: run,
    browser: run,
    client_basics: run,
    client_blocking: run,
    client_cuts: run,
    client_hostile: run,
    client_reconnect: run,
    client_transports: run,
    crowd: run,
    engine_protocol: run,
    namespaces: run,
    order: run,
    payloads: run,
    rooms: run,
    shutdown: run,
    slow_reader: run_alone,
    socket_protocol: run,
    transports: run,
    wire: run,
}
