//! The servers that are compared, and how they are built and installed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use socketio_load::process::pinned;
use socketio_load::scenario::Work;

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
    let mut kinds: Vec<(&'static str, Make)> = vec![("limit", Workshop::limit), ("ours", Workshop::ours)];
    if two_workers {
        kinds.push(("ours-2", Workshop::ours_on_two));
    }
    if !without_peers {
        kinds.push(("hyper", Workshop::hyper));
        kinds.push(("socketioxide", Workshop::socketioxide));
        kinds.push(("node-ws", Workshop::node));
        kinds.push(("bun-engine", Workshop::bun));
        kinds.push(("python", Workshop::python));
    }
    let (mut servers, mut skipped) = (Vec::new(), Vec::new());
    for (name, make) in
        kinds.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|other| other == name))
    {
        match make(&workshop) {
            Ok(server) => servers.push(server),
            Err(reason) => {
                eprintln!("SKIPPED {name}: {reason}");
                skipped.push((name, reason));
            }
        }
    }
    (servers, skipped)
}

type Make = fn(&Workshop) -> Result<Server, String>;

struct Workshop {
    builds: bool,
}

impl Workshop {
    fn limit(&self) -> Result<Server, String> {
        self.cargo(&["--package", "socketio-load", "--bin", "limit"])?;
        Ok(Server::new("limit", existing(built("limit"))?))
    }

    fn ours(&self) -> Result<Server, String> {
        self.cargo(&["--package", "socketio-tokio", "--example", "bench"])?;
        Ok(Server::new("ours", existing(built("examples/bench"))?))
    }

    fn ours_on_two(&self) -> Result<Server, String> {
        let ours = self.ours()?;
        let args = vec!["--workers".to_owned(), "2".to_owned()];
        let takes: fn(&Work) -> bool = |work| matches!(work, Work::Messages { .. } | Work::Broadcast { .. });
        Ok(Server { name: "ours-2", args, is_pinned: false, takes, ..ours })
    }

    fn hyper(&self) -> Result<Server, String> {
        let server = Server::new("hyper", self.peer("http-floor")?);
        Ok(Server { takes: |work| matches!(work, Work::Handshake(_)), ..server })
    }

    fn socketioxide(&self) -> Result<Server, String> {
        Ok(Server::new("socketioxide", self.peer("socketioxide")?))
    }

    fn node(&self) -> Result<Server, String> {
        let server = Server::new("node-ws", "node".into());
        Ok(Server { args: vec![self.npm("node", "socket.io")?], ..server })
    }

    fn bun(&self) -> Result<Server, String> {
        let script = self.npm("bun", "@socket.io/bun-engine")?;
        let bun = existing(peers().join("bun/node_modules/bun/bin/bun.exe"))?;
        self.run(Command::new(&bun).arg("--version"))?;
        Ok(Server { args: vec![script], ..Server::new("bun-engine", bun) })
    }

    fn python(&self) -> Result<Server, String> {
        let directory = peers().join("python");
        let python = directory.join(".venv/bin/python");
        if self.builds && !python.exists() {
            self.run(Command::new("python3").args(["-m", "venv"]).arg(directory.join(".venv")))?;
        }
        if self.builds {
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
            self.run(Command::new(&python).args(pip).arg(directory.join("requirements.txt")))?;
        }
        let args = vec![directory.join("server.py").display().to_string()];
        Ok(Server { args, ..Server::new("python", existing(python)?) })
    }

    fn cargo(&self, what: &[&str]) -> Result<(), String> {
        let manifest = root().join("Cargo.toml");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        self.build(command.args(["build", "--release", "--locked", "--manifest-path"]).arg(manifest).args(what))
    }

    fn peer(&self, name: &str) -> Result<PathBuf, String> {
        let target = peers().join("target");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--locked", "--manifest-path"]).arg(peers().join("Cargo.toml"));
        self.build(command.arg("--target-dir").arg(&target).args(["--bin", name]))?;
        existing(target.join("release").join(name))
    }

    /// Installs a package and what it needs; gives the path of the server's script.
    fn npm(&self, directory: &str, package: &str) -> Result<String, String> {
        let directory = peers().join(directory);
        let installed = directory.join("node_modules").join(package);
        if !installed.exists() {
            let npm = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
            self.build(Command::new("npm").args(npm).current_dir(&directory))?;
        }
        existing(installed)?;
        Ok(existing(directory.join("server.mjs"))?.display().to_string())
    }

    fn build(&self, command: &mut Command) -> Result<(), String> {
        if self.builds { self.run(command) } else { Ok(()) }
    }

    fn run(&self, command: &mut Command) -> Result<(), String> {
        let program = command.get_program().display().to_string();
        // What is printed in the end is for a pipe.
        match command.stdout(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{program} failed: {status}")),
            Err(error) => Err(format!("{program} does not start: {error}")),
        }
    }
}

fn existing(path: PathBuf) -> Result<PathBuf, String> {
    if path.exists() { Ok(path) } else { Err(format!("{} is not there", path.display())) }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn peers() -> PathBuf {
    root().join("benches/peers")
}

/// An optimised program of our own workspace.
fn built(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    let target = own.parent().and_then(Path::parent).unwrap_or(Path::new("target"));
    target.join("release").join(name)
}
