//! What a connection and an echoed event may cost, measured on servers of ours.
//!
//! CPU time is compared with the bare server `limit` in the same run; figures of one machine mean nothing on another.
//! Only optimised builds are held to that budget. What is allocated is the same in every build.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::Value;
use socketio_interop::{cargo, servers};
use socketio_load::check::{Exchange, Faults};
use socketio_load::client::Client;
use socketio_load::process::{Process, can_pin, pin_self, pinned};
use socketio_load::run::{Load as _, Span};
use socketio_load::{Broadcast, Messages};

/// CPU time of an echo, as a multiple of the bare server's. The goal is 1.6, which holds on a quiet machine.
const MAX_CPU: f64 = 1.9;
/// CPU time on the other runtimes, as a multiple of that on tokio.
const MAX_BESIDE_TOKIO: f64 = 1.35;
/// The handler's `String`.
const MAX_ALLOCATIONS: f64 = 1.1;
const MAX_IDLE_HEAP: f64 = 2.0 * 1024.0;
/// Echoed by handlers that take and give one `String`.
const EVENT: &str = "echo-string";
/// The same on `measured`, whose allocator does not count.
const UNCOUNTED_EVENT: &str = "echo";

#[test]
fn an_echo_costs_less_than_twice_the_cpu_of_a_bare_server() {
    let Some(_alone) = measured() else { return };
    if !(can_pin(0) && pin_self(1)) {
        say("server and generator share their processors: the figures are less steady");
    }
    let ratio = beside("limit", &["tokio"], "echo", cpu_per_echo, MAX_CPU)[0];
    assert!(ratio <= MAX_CPU, "an echo costs {ratio:.2} times the bare server's CPU time");
}

#[test]
fn other_runtimes_take_little_more_cpu_than_tokio() {
    let Some(_alone) = measured() else { return };
    let _ = can_pin(0) && pin_self(1);
    for (what, cost) in [("echo", cpu_per_echo as fn(&Process) -> f64), ("delivery", cpu_per_delivery)] {
        let others = ["smol", "async-std"];
        for (name, ratio) in others.iter().zip(beside("tokio", &others, what, cost, MAX_BESIDE_TOKIO)) {
            assert!(ratio <= MAX_BESIDE_TOKIO, "{what}: {name} takes {ratio:.2} times tokio's CPU time");
        }
    }
}

#[test]
fn an_echo_allocates_its_argument_alone() {
    let _alone = alone();
    let server = start(&servers().join("interop"), &["conformance"]);
    let mut observer = connect(&server);
    for in_flight in [1, 16] {
        let mut echoes = Echoes::new(&server, EVENT, 1, in_flight);
        echoes.run(1_000);
        let before = stat(&mut observer, "allocs");
        echoes.run(10_000);
        let each = (stat(&mut observer, "allocs") - before) / 10_000.0;
        say(&format!("allocations per echo, {in_flight} in flight: {each:.3}"));
        assert!(each <= MAX_ALLOCATIONS, "{each:.3} allocations per echo with {in_flight} in flight");
    }
}

#[test]
fn an_idle_connection_holds_at_most_two_kilobytes_of_heap() {
    let _alone = alone();
    let server = start(&servers().join("interop"), &["conformance"]);
    let mut observer = connect(&server);
    let before = stat(&mut observer, "heap");
    let count = open_files().saturating_sub(100).min(2_000);
    let idle: Vec<Client> = (0..count).map(|_| connect(&server)).collect();
    let each = (stat(&mut observer, "heap") - before) / f64::from(count);
    say(&format!("heap per idle connection, {} connections: {each:.0} bytes", idle.len()));
    assert!(each <= MAX_IDLE_HEAP, "an idle connection holds {each:.0} bytes of heap");
}

/// One measurement at a time; `None` where there is nothing to measure.
fn measured() -> Option<MutexGuard<'static, ()>> {
    if cfg!(debug_assertions) {
        say("NOT MEASURED: CPU time is of optimised builds; see CONTRIBUTING.md");
        return None;
    }
    if !Path::new("/proc/self/schedstat").exists() {
        say("NOT MEASURED: CPU time per process is read from /proc/<pid>/task/<tid>/schedstat, which is not there");
        return None;
    }
    let alone = alone();
    // Before a processor is chosen: to build them takes all.
    optimised();
    Some(alone)
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Past the capturing of the test harness, so that the figures show when the test passes, too.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "budget: {line}");
}

/// What `programs` cost, as multiples of `floor`. Of several rounds the least counts, since what else the machine does
/// only adds: while a multiple is above `bar` there is another round, to some end.
fn beside(floor: &str, programs: &[&str], what: &str, cost: fn(&Process) -> f64, bar: f64) -> Vec<f64> {
    let mut least = vec![f64::INFINITY; 1 + programs.len()];
    for round in 1..=60 {
        for (least, program) in least.iter_mut().zip([floor].iter().chain(programs)) {
            *least = least.min(cost(&server(program)));
        }
        if round >= 3 && least[1..].iter().all(|cost| cost / least[0] <= bar) {
            break;
        }
    }
    let ratios = programs.iter().zip(&least[1..]).map(|(program, cost)| {
        let ratio = cost / least[0];
        say(&format!("CPU per {what}: {program} {cost:.0} ns, {floor} {:.0} ns: x {ratio:.2}", least[0]));
        ratio
    });
    ratios.collect()
}

/// Nanoseconds of the server's CPU time per echoed event.
fn cpu_per_echo(server: &Process) -> f64 {
    const ECHOES: u64 = 50_000;
    let mut echoes = Echoes::new(server, UNCOUNTED_EVENT, 16, 16);
    echoes.run(2_000);
    let before = server.cpu_time().expect("the server runs");
    echoes.run(ECHOES);
    server.cpu_time().expect("the server runs").since(&before).as_nanos() as f64 / (16 * ECHOES) as f64
}

/// Nanoseconds of the server's CPU time per event that one of 200 subscribers receives.
fn cpu_per_delivery(server: &Process) -> f64 {
    const BROADCASTS: u64 = 1_000;
    let subscribers = (0..200).map(|_| {
        let mut client = connect(server);
        client.request("420[\"join\",\"room1\"]", "430[").expect("an answer to `join`");
        client
    });
    let subscribers = subscribers.collect();
    let mut load = Broadcast::new(subscribers, connect(server), 8, 32).expect("sockets can be polled");
    let mut run = |count| {
        let outcome = load.run(Span::Messages(count)).expect("the connections live");
        assert_eq!(outcome.faults, Faults::default());
        outcome.operations
    };
    run(100);
    let before = server.cpu_time().expect("the server runs");
    let deliveries = run(BROADCASTS);
    server.cpu_time().expect("the server runs").since(&before).as_nanos() as f64 / deliveries as f64
}

/// Connections that send events with one string of 32 characters.
struct Echoes {
    load: Messages,
    connections: u64,
}

impl Echoes {
    fn new(server: &Process, event: &str, connections: usize, in_flight: u64) -> Self {
        let clients = (0..connections).map(|_| connect(server)).collect();
        let exchanges = (0..connections).map(|index| Exchange::echo("", event, index, 32)).collect();
        let load = Messages::new(clients, exchanges, in_flight).expect("sockets can be polled");
        Self { load, connections: connections as u64 }
    }

    /// Lets every connection send `count` events, and checks that each comes back once, unchanged and in order.
    fn run(&mut self, count: u64) {
        let outcome = self.load.run(Span::Messages(count)).expect("the connections live");
        assert_eq!((outcome.operations, outcome.faults), (self.connections * count, Faults::default()));
    }
}

/// A server to measure: the bare one, or ours on a runtime.
fn server(name: &str) -> Process {
    match name {
        "limit" => start(&optimised().join("limit"), &[]),
        runtime => start(&optimised().join("measured"), &[runtime, "server"]),
    }
}

/// The directory of the servers to measure, which are optimised.
fn optimised() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let test = env::current_exe().expect("a test knows where it is");
        let directory = test.ancestors().nth(2).expect("tests are in <target>/<profile>/deps");
        let status = cargo()
            .args(["build", "--release", "--locked", "-p", "socketio-load", "-p", "socketio-measured"])
            .args(["--bin", "limit", "--bin", "measured"])
            .arg("--target-dir")
            .arg(directory.parent().expect("the profile's directory is in the target directory"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the programs do not build");
        directory.to_owned()
    })
}

fn start(program: &Path, first: &[&str]) -> Process {
    let mut command = pinned(program, 0);
    command.args(first).args(["--port", "0", "--workers", "1"]);
    Process::start(command).expect("the server starts")
}

fn connect(server: &Process) -> Client {
    Client::connect(server.address()).expect("a client connects")
}

/// A figure that the server tells about itself.
fn stat(client: &mut Client, name: &str) -> f64 {
    let answer = client.request("420[\"stats\"]", "430[").expect("an answer to `stats`");
    let stats: Value = serde_json::from_str(&answer[3..]).expect("an ack holds JSON");
    stats[0][name].as_f64().unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// The limit on open files of this process, and so of its children.
fn open_files() -> u32 {
    let limits = fs::read_to_string("/proc/self/limits").expect("the limits of a process can be read");
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    soft.and_then(|soft| soft.parse().ok()).unwrap_or(u32::MAX)
}
