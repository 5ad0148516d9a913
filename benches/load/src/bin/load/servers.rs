//! The servers that are compared, and how they are built and installed.

use std::path::PathBuf;
use std::process::Command;

use socketio_load::process::pinned;
use socketio_load::scenario::Work;
use socketio_load::workshop::{Workshop, existing, peers};

use crate::SERVER_CORE;

/// A server that can be started.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    program: PathBuf,
    args: Vec<String>,
    is_pinned: bool,
    takes: fn(&Work) -> bool,
}

/// A server that cannot be started, and why.
pub(crate) type Skipped = (&'static str, String);

impl Server {
    fn new(name: &'static str, program: PathBuf) -> Self {
        Self { name, program, args: Vec::new(), is_pinned: true, takes: |_| true }
    }

    /// Whether it can do this work.
    pub(crate) fn takes(&self, work: &Work) -> bool {
        (self.takes)(work)
    }

    /// Starts it, ready for this work.
    pub(crate) fn command(&self, work: &Work) -> Command {
        let mut command = if self.is_pinned { pinned(&self.program, SERVER_CORE) } else { Command::new(&self.program) };
        command.args(&self.args).args(["--port", "0", "--args", if work.is_binary() { "binary" } else { "text" }]);
        if let Work::Messages { namespaces: count @ 1.., .. } = work {
            command.args(["--namespaces", &count.to_string()]);
        }
        command
    }
}

/// Builds and installs the wanted servers, if none is named all of them.
pub(crate) fn prepare(
    wanted: &[String],
    two_workers: bool,
    without_peers: bool,
    builds: bool,
) -> (Vec<Server>, Vec<Skipped>) {
    let workshop = Workshop { builds };
    let mut kinds: Vec<(&'static str, Make)> =
        vec![("limit", limit), ("ours", ours), ("ours, smol", ours_on_smol), ("ours, async-std", ours_on_async_std)];
    if two_workers {
        kinds.push(("ours-2", ours_on_two));
    }
    if !without_peers {
        kinds.push(("hyper", hyper));
        kinds.push(("socketioxide", socketioxide));
        kinds.push(("node-ws", node));
        kinds.push(("bun-engine", bun));
        kinds.push(("python", python));
    }
    let (mut servers, mut skipped) = (Vec::new(), Vec::new());
    for (name, make) in
        kinds.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|other| other == name))
    {
        match make(workshop) {
            Ok(server) => servers.push(server),
            Err(reason) => {
                eprintln!("SKIPPED {name}: {reason}");
                skipped.push((name, reason));
            }
        }
    }
    (servers, skipped)
}

type Make = fn(Workshop) -> Result<Server, String>;

fn limit(workshop: Workshop) -> Result<Server, String> {
    Ok(Server::new("limit", workshop.own("socketio-load", "limit")?))
}

fn ours(workshop: Workshop) -> Result<Server, String> {
    on(workshop, "ours", "tokio")
}

fn ours_on_smol(workshop: Workshop) -> Result<Server, String> {
    on(workshop, "ours, smol", "smol")
}

fn ours_on_async_std(workshop: Workshop) -> Result<Server, String> {
    on(workshop, "ours, async-std", "async-std")
}

fn ours_on_two(workshop: Workshop) -> Result<Server, String> {
    let ours = ours(workshop)?;
    let args = ["tokio", "server", "--workers", "2"].map(str::to_owned).to_vec();
    let takes: fn(&Work) -> bool = |work| matches!(work, Work::Messages { .. } | Work::Broadcast { .. });
    Ok(Server { name: "ours-2", args, is_pinned: false, takes, ..ours })
}

fn on(workshop: Workshop, name: &'static str, runtime: &str) -> Result<Server, String> {
    let server = Server::new(name, workshop.own("socketio-measured", "measured")?);
    Ok(Server { args: [runtime, "server"].map(str::to_owned).to_vec(), ..server })
}

fn hyper(workshop: Workshop) -> Result<Server, String> {
    let server = Server::new("hyper", workshop.peer("http-floor", None)?);
    Ok(Server { takes: |work| matches!(work, Work::Handshake(_)), ..server })
}

fn socketioxide(workshop: Workshop) -> Result<Server, String> {
    Ok(Server::new("socketioxide", workshop.peer("socketioxide", None)?))
}

fn node(workshop: Workshop) -> Result<Server, String> {
    let server = Server::new("node-ws", "node".into());
    Ok(Server { args: vec![workshop.npm("node", "socket.io", "server.mjs")?], ..server })
}

fn bun(workshop: Workshop) -> Result<Server, String> {
    let script = workshop.npm("bun", "@socket.io/bun-engine", "server.mjs")?;
    let bun = existing(peers().join("bun/node_modules/bun/bin/bun.exe"))?;
    workshop.run(Command::new(&bun).arg("--version"))?;
    Ok(Server { args: vec![script], ..Server::new("bun-engine", bun) })
}

fn python(workshop: Workshop) -> Result<Server, String> {
    let directory = peers().join("python");
    let python = directory.join(".venv/bin/python");
    if !python.exists() {
        workshop.build(Command::new("python3").args(["-m", "venv"]).arg(directory.join(".venv")))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    workshop.build(Command::new(&python).args(pip).arg(directory.join("requirements.txt")))?;
    let args = vec![directory.join("server.py").display().to_string()];
    Ok(Server { args, ..Server::new("python", existing(python)?) })
}
