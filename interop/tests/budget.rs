//! What a connection and an echoed event may cost, measured on the example servers.
//!
//! CPU time is compared with the bare server `limit` in the same run; figures of one machine mean nothing on another.
//! Only optimised builds are held to the budgets.

use core::net::SocketAddr;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, process};

use serde_json::Value;
use socketio_interop::load::{self, Client};

/// CPU time of an echo, as a multiple of the bare server's. The goal is 2.0; 1.7 to 2.2 were measured.
const MAX_CPU: f64 = 2.5;
const MAX_ALLOCATIONS: f64 = 3.0;
const MAX_IDLE_HEAP: f64 = 3.0 * 1024.0;
/// Echoed by handlers that take and give one `String`.
const EVENT: &str = "echo-string";
/// The same on `bench`, whose allocator does not count.
const UNCOUNTED_EVENT: &str = "echo";

#[test]
fn an_echo_costs_little_more_than_twice_the_cpu_of_a_bare_server() {
    let Some(_alone) = measured() else { return };
    let bench = example("bench");
    pin_generator();
    let (mut floors, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        floors.push(cpu_per_echo(&Server::start(Path::new(env!("CARGO_BIN_EXE_limit")))));
        costs.push(cpu_per_echo(&Server::start(&bench)));
    }
    let (floor, cost) = (median(floors), median(costs));
    let ratio = cost / floor;
    say(&format!("CPU per echo, 16 connections x 16 in flight: {cost:.0} ns, bare server {floor:.0} ns: x {ratio:.2}"));
    assert!(ratio <= MAX_CPU, "an echo costs {ratio:.2} times the bare server's CPU time");
}

#[test]
fn an_echo_takes_at_most_three_allocations() {
    let Some(_alone) = measured() else { return };
    let server = Server::start(&example("conformance"));
    let mut clients = [server.connect()];
    for in_flight in [1, 16] {
        load::echo(&mut clients, EVENT, in_flight, 1_000).expect("a warm-up");
        let before = server.stat(&mut clients[0], "allocs");
        load::echo(&mut clients, EVENT, in_flight, 10_000).expect("echoes");
        let each = (server.stat(&mut clients[0], "allocs") - before) / 10_000.0;
        say(&format!("allocations per echo, {in_flight} in flight: {each:.3}"));
        assert!(each <= MAX_ALLOCATIONS, "{each:.3} allocations per echo with {in_flight} in flight");
    }
}

#[test]
fn an_idle_connection_holds_at_most_three_kilobytes_of_heap() {
    let Some(_alone) = measured() else { return };
    let server = Server::start(&example("conformance"));
    let mut observer = server.connect();
    let before = server.stat(&mut observer, "heap");
    let count = open_files().saturating_sub(100).min(2_000);
    let idle: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    let each = (server.stat(&mut observer, "heap") - before) / f64::from(count);
    say(&format!("heap per idle connection, {} connections: {each:.0} bytes", idle.len()));
    assert!(each <= MAX_IDLE_HEAP, "an idle connection holds {each:.0} bytes of heap");
}

#[test]
fn the_bare_server_echoes_what_the_generator_expects() {
    let _alone = alone();
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_limit")));
    let mut clients = [server.connect(), server.connect(), server.connect()];
    load::echo(&mut clients, EVENT, 16, 1_000).expect("echoes, in order");
    load::echo(&mut clients, &"x".repeat(200), 16, 100).expect("echoes with a longer header");
}

/// One measurement at a time; `None` where there is nothing to measure.
fn measured() -> Option<MutexGuard<'static, ()>> {
    if cfg!(debug_assertions) {
        say("NOT MEASURED: the budgets hold for optimised builds; run `cargo test --release -p socketio-interop`");
        return None;
    }
    if !Path::new("/proc/self/schedstat").exists() {
        say("NOT MEASURED: CPU time per process is read from /proc/<pid>/task/<tid>/schedstat, which is not there");
        return None;
    }
    Some(alone())
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Past the capturing of the test harness, so that the figures show when the test passes, too.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "budget: {line}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds of the server's CPU time per echoed event.
fn cpu_per_echo(server: &Server) -> f64 {
    const ECHOES: u32 = 50_000;
    let mut clients: Vec<Client> = (0..16).map(|_| server.connect()).collect();
    load::echo(&mut clients, UNCOUNTED_EVENT, 16, 2_000).expect("a warm-up");
    let before = server.cpu_time();
    load::echo(&mut clients, UNCOUNTED_EVENT, 16, ECHOES).expect("echoes");
    (server.cpu_time() - before) / f64::from(16 * ECHOES)
}

/// An example server, built as this test is.
fn example(name: &str) -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--package", "socketio-tokio", "--example", name])
        .args(["--manifest-path", manifest])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the example `{name}` does not build");
    Path::new(env!("CARGO_BIN_EXE_limit")).with_file_name("examples").join(name)
}

/// Whether server and generator can be kept on processors of their own.
fn can_pin() -> bool {
    ["0", "1"].iter().all(|core| {
        let status = Command::new("taskset").args(["-c", core, "true"]).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    })
}

fn pin_generator() {
    if can_pin() {
        let own = process::id().to_string();
        let pinned = Command::new("taskset").args(["-a", "-p", "-c", "1", &own]).stdout(Stdio::null()).status();
        assert!(pinned.is_ok_and(|status| status.success()), "taskset failed");
    } else {
        say("server and generator share their processors: the figures are less steady");
    }
}

/// The limit on open files of this process, and so of its children.
fn open_files() -> u32 {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of a process can be read");
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(u32::MAX)
}

/// A server as a process of its own, killed in the end.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &Path) -> Self {
        let mut command = if can_pin() {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.args(["--port", "0", "--workers", "1"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server says where it listens");
        let port = line.split_once("127.0.0.1:").and_then(|(_, port)| port.trim().parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port in {line:?}"));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address).expect("a client connects")
    }

    /// Nanoseconds on a processor, of all threads that are alive.
    fn cpu_time(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let of_task = |task: io::Result<fs::DirEntry>| {
            let times = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            times.split_whitespace().next()?.parse::<f64>().ok()
        };
        tasks.filter_map(of_task).sum()
    }

    /// A figure that the server tells about itself.
    fn stat(&self, client: &mut Client, name: &str) -> f64 {
        let answer = client.request("420[\"stats\"]", "430[").expect("an answer to `stats`");
        let stats: Value = serde_json::from_str(&answer[3..]).expect("an ack holds JSON");
        stats[0][name].as_f64().unwrap_or_else(|| panic!("no {name} in {answer}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
