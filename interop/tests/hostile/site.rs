//! The server that is attacked, and what the limits allow its peers.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;

use socketio_interop::servers;
use socketio_load::process::Process;

/// `max_payload` of the server.
pub(crate) const MAX_PAYLOAD: usize = 100_000;
/// Time until a session whose client answers nothing is over, and the time that attachments may take.
pub(crate) const PING_CYCLE: Duration = Duration::from_millis(PING_INTERVAL_MS + PING_TIMEOUT_MS);
pub(crate) const UPGRADE_TIMEOUT: Duration = Duration::from_millis(500);
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_millis(500);
const PING_INTERVAL_MS: u64 = 500;
const PING_TIMEOUT_MS: u64 = 1_000;

/// What the server keeps for the next busy time, and takes for the honest clients' traffic: buffers of 256 KiB for each
/// thread to read and to write, tables that are half empty.
pub(crate) const SLACK: usize = 1 << 20;
/// A session that is idle: 2 KiB, as the budgets say, its sockets, and the head of its first request.
pub(crate) const SESSION: usize = 4 << 10;
/// A connection on which HTTP is spoken: hyper's buffer of 8 KiB, and its tasks.
pub(crate) const CONNECTION: usize = 16 << 10;
/// The head of a request.
pub(crate) const MAX_HEAD: usize = 64 << 10;
/// What may wait for one client, `max_queued`; and the packet that did not fit, with the one that is being made.
pub(crate) const QUEUE: usize = (8 << 20) + 2 * MAX_PAYLOAD;

/// A server in a process of its own.
pub(crate) struct Site {
    server: Process,
    name: String,
    /// What it says when it panics.
    errors: PathBuf,
}

impl Site {
    /// Starts an example server, on one thread and with short times.
    pub(crate) fn start(example: &str) -> Self {
        Self::start_by(Command::new(servers().join(example)), example)
    }

    /// As [`Site::start`], by a command to which the program's name and options are given.
    pub(crate) fn start_by(mut command: Command, name: &str) -> Self {
        let errors = env::temp_dir().join(format!("socketio-hostile-{}-{name}.txt", process::id()));
        command.arg("conformance");
        for (option, value) in [
            ("--port", 0),
            ("--workers", 1),
            ("--max-payload", MAX_PAYLOAD as u128),
            ("--ping-interval-ms", u128::from(PING_INTERVAL_MS)),
            ("--ping-timeout-ms", u128::from(PING_TIMEOUT_MS)),
            ("--upgrade-timeout-ms", UPGRADE_TIMEOUT.as_millis()),
            ("--body-timeout-ms", BODY_TIMEOUT.as_millis()),
        ] {
            command.args([option, &value.to_string()]);
        }
        command.stderr(File::create(&errors).expect("a file can be written"));
        let server = Process::start(command).expect("the server starts");
        Self { server, name: name.to_owned(), errors }
    }

    pub(crate) fn server(&self) -> &Process {
        &self.server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Past the capturing of the test harness, so that the figures show when the test passes, too.
    pub(crate) fn say(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{}: {line}", self.name);
    }

    /// # Panics
    ///
    /// Something in the server has panicked.
    pub(crate) fn end(self) {
        drop(self.server);
        let errors = fs::read_to_string(&self.errors).expect("the server's errors can be read");
        let _ = fs::remove_file(&self.errors);
        assert!(!errors.contains("panicked"), "the server has panicked: {errors}");
    }
}
