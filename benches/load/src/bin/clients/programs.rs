//! The clients that are compared, and how they are built and installed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use socketio_load::process::pinned;
use socketio_load::workshop::Workshop;

use crate::{CLIENT_CORE, SERVER_CORE};

/// Longer than any measurement, so that no heartbeat comes in between.
const PING_INTERVAL_MS: &str = "600000";

/// The server that all clients are connected to.
pub(crate) struct Server(PathBuf);

impl Server {
    pub(crate) fn command(&self) -> Command {
        let mut command = pinned(&self.0, SERVER_CORE);
        command.args(["tokio", "server", "--port", "0", "--ping-interval-ms", PING_INTERVAL_MS]);
        command
    }
}

/// A client that can be started.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    program: OsString,
    /// Its first arguments: the script that it runs, or the part that it plays.
    first: Vec<String>,
}

impl Client {
    fn new(name: &'static str, program: impl Into<OsString>) -> Self {
        Self { name, program: program.into(), first: Vec::new() }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = pinned(&self.program, CLIENT_CORE);
        command.args(&self.first);
        command
    }
}

/// A client that cannot be started, and why.
pub(crate) type Skipped = (&'static str, String);

/// Builds and installs the server and the wanted clients, if none is named all of them.
pub(crate) fn prepare(wanted: &[String], builds: bool) -> Result<(Server, Vec<Client>, Vec<Skipped>), String> {
    let workshop = Workshop { builds };
    let server = Server(workshop.own("socketio-measured", "measured")?);
    let kinds: [(&'static str, Make); 4] =
        [("limit", limit), ("ours", ours), ("socket.io-client", official), ("rust_socketio", rust_socketio)];
    let (mut clients, mut skipped) = (Vec::new(), Vec::new());
    for (name, make) in
        kinds.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|other| other == name))
    {
        match make(workshop, name) {
            Ok(client) => clients.push(client),
            Err(reason) => {
                eprintln!("SKIPPED {name}: {reason}");
                skipped.push((name, reason));
            }
        }
    }
    Ok((server, clients, skipped))
}

type Make = fn(Workshop, &'static str) -> Result<Client, String>;

fn limit(workshop: Workshop, name: &'static str) -> Result<Client, String> {
    Ok(Client::new(name, workshop.own("socketio-load", "client-limit")?))
}

fn ours(workshop: Workshop, name: &'static str) -> Result<Client, String> {
    let client = Client::new(name, workshop.own("socketio-measured", "measured")?);
    Ok(Client { first: ["tokio", "client"].map(str::to_owned).to_vec(), ..client })
}

fn official(workshop: Workshop, name: &'static str) -> Result<Client, String> {
    let script = workshop.npm("node", "socket.io-client", "client.mjs")?;
    Ok(Client { first: vec![script], ..Client::new(name, "node") })
}

fn rust_socketio(workshop: Workshop, name: &'static str) -> Result<Client, String> {
    Ok(Client::new(name, workshop.peer("rust-socketio", Some("rust-socketio"))?))
}
