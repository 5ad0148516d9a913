//! Runs the tests in `js/`, which drive the example servers with the official JavaScript client, with raw WebSockets and
//! HTTP, and with a browser, and the example clients with the official server and with hostile ones.
//!
//! Needed: Node.js 20 or newer with npm. The packages are installed from `package-lock.json` by the first test. The
//! servers are built by the first test too, unless `SERVER_BIN_DIR` names a directory that holds them. `WORKERS` names
//! the numbers of worker threads to test with, `1,2` by default, and `ADAPTER` the runtime when Node.js is run by hand.
//!
//! `client_*.test.mjs` put our `client-conformance` and the official client through the same scenarios, and compare
//! what they say, line by line; `CLIENTS` may name one of them alone, `ours` or `official`. `CUT_SECONDS` says how long
//! `client_cuts` cuts connections, 20 by default, and `CUT_SEED` where.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{self, OnceLock, PoisonError};
use std::thread;

use fd_lock::RwLock;

/// The oldest major version of Node.js whose test runner has what is used here.
const NODE: u32 = 20;
/// How long the tests of one file may take together, in milliseconds.
const TIME_LIMIT: u32 = 600_000;

/// Runs `js/<name>.test.mjs` with the examples of an adapter, perhaps beside others. Gives how many tests have passed;
/// `None` if some were skipped.
///
/// # Panics
///
/// Its tests fail, or something that they need is missing.
pub fn run(name: &str, adapter: &str) -> Option<u32> {
    prepare();
    report(name, &beside(|| output(&mut node(name, adapter))))
}

/// Runs `js/<name>.test.mjs` like [`run`], for one and for two worker threads at once: it waits more than it works.
///
/// # Panics
///
/// Like [`run`].
pub fn run_at_once(name: &str, adapter: &str) -> Option<u32> {
    if adapter == "own" || env::var_os("WORKERS").is_some() {
        return run(name, adapter);
    }
    prepare();
    let outputs = beside(|| {
        let nodes = ["1", "2"].map(|workers| {
            let mut node = node(name, adapter);
            node.env("WORKERS", workers);
            thread::spawn(move || output(&mut node))
        });
        nodes.map(|node| node.join().expect("node runs"))
    });
    outputs.iter().map(|output| report(name, output)).sum()
}

/// Runs `js/<name>.test.mjs` like [`run`], while nothing else runs: it measures time.
///
/// # Panics
///
/// Like [`run`].
pub fn run_alone(name: &str, adapter: &str) -> Option<u32> {
    prepare();
    report(name, &alone(|| output(&mut node(name, adapter))))
}

/// Runs `js/lib/<name>.mjs`, which needs the packages but no servers, with this input. Gives its output.
///
/// # Panics
///
/// It fails, or something that it needs is missing.
pub fn script(name: &str, input: String) -> String {
    prepare_packages();
    run_script(Command::new("node").arg(format!("js/lib/{name}.mjs")), input)
}

/// Runs `js/lib/<name>.mjs` like [`script`], with the servers and clients of tokio.
///
/// # Panics
///
/// Like [`script`].
pub fn script_with_servers(name: &str, input: String) -> String {
    prepare();
    run_script(Command::new("node").arg(format!("js/lib/{name}.mjs")).env("SERVER_BIN_DIR", servers()), input)
}

fn run_script(node: &mut Command, input: String) -> String {
    let output = beside(|| {
        let node = node.current_dir(directory()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut node = node.expect("node runs");
        let mut stdin = node.stdin.take().expect("it is piped");
        // It may say much before it has heard all.
        let tell = thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = node.wait_with_output().expect("node ends");
        assert!(output.status.success(), "the script failed: {}", output.status);
        tell.join().expect("nothing panics").expect("it hears all");
        output
    });
    String::from_utf8(output.stdout).expect("it says text")
}

/// The names of the files in `js/` that hold tests.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(directory().join("js")).expect("js can be read");
    let names = files.filter_map(|file| {
        let name = file.expect("js can be read").file_name().into_string().ok()?;
        name.strip_suffix(".test.mjs").map(str::to_owned)
    });
    names.collect()
}

fn node(name: &str, adapter: &str) -> Command {
    let mut node = Command::new("node");
    node.args(["--test", "--test-force-exit", "--test-reporter=spec", &format!("--test-timeout={TIME_LIMIT}")])
        .arg(format!("js/{name}.test.mjs"))
        .envs([("ADAPTER", adapter.as_ref()), ("SERVER_BIN_DIR", servers().as_os_str())])
        .env("OFFICIAL_LOGS", official_logs())
        .current_dir(directory());
    node
}

fn output(node: &mut Command) -> Output {
    node.output().expect("node runs")
}

/// A directory in which nothing is that was said in another run of the tests.
fn official_logs() -> &'static Path {
    static LOGS: OnceLock<PathBuf> = OnceLock::new();
    LOGS.get_or_init(|| {
        let directory = servers().join("official-logs");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for logs can be made");
        directory
    })
}

/// Passes on what Node.js said: to the test's captured output, and what was skipped past it, for everybody to see.
fn report(name: &str, output: &Output) -> Option<u32> {
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.contains("SKIPPED")) {
        writeln!(io::stderr(), "{}", line.trim()).expect("stderr can be written");
    }
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "js/{name}.test.mjs failed: {}", output.status);
    let count = |what: &str| text.lines().find_map(|line| line.strip_prefix(what)?.trim().parse::<u32>().ok());
    let passed = count("ℹ pass ").expect("Node.js counts the tests");
    (count("ℹ skipped ") == Some(0)).then_some(passed)
}

/// Runs clients that connect, chat, drop and come back at random for so long, on one adapter: `soak.sh`, which says more.
///
/// # Panics
///
/// Something was lost, has leaked or has panicked.
pub fn soak(adapter: &str, seconds: u32, clients: u32, pace_ms: u32) {
    let mut soak = Command::new("bash");
    soak.args(["soak.sh", &seconds.to_string(), adapter])
        .env("SERVER_BIN_DIR", servers())
        .env("CLIENTS", clients.to_string())
        .env("PACE_MS", pace_ms.to_string())
        .current_dir(directory());
    let output = beside(|| soak.output()).expect("bash runs");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the soak on {adapter} failed: {}", output.status);
}

/// A lock of the system has no queue: who wants to be alone would wait until nobody else happens to be there.
static QUEUE: sync::RwLock<()> = sync::RwLock::new(());

/// Runs a test that measures time, while no other one runs, in this process or another.
pub fn alone<T>(test: impl FnOnce() -> T) -> T {
    let _first = QUEUE.write().unwrap_or_else(PoisonError::into_inner);
    let mut gate = gate();
    let _closed = gate.write().expect("the lock is ours");
    test()
}

/// Runs a test while none is [`alone`].
fn beside<T>(test: impl FnOnce() -> T) -> T {
    let _in_turn = QUEUE.read().unwrap_or_else(PoisonError::into_inner);
    let gate = gate();
    let _open = gate.read().expect("the lock is shared");
    test()
}

fn gate() -> RwLock<File> {
    lock("package.json")
}

/// Sees to the packages and the servers, once in each process.
fn prepare() {
    prepare_packages();
    servers();
}

/// Sees to the packages alone.
fn prepare_packages() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        check_node();
        install();
    });
}

fn check_node() {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    assert!(
        major.is_some_and(|major: u32| major >= NODE),
        "these tests need Node.js {NODE} or newer with npm on the PATH; found: {}",
        if version.is_empty() { "none" } else { &version }
    );
}

/// Installs the packages unless those of this very lock file are there.
fn install() {
    let mut lock = lock("package-lock.json");
    let _guard = lock.write().expect("the lock is ours");
    let wanted = fs::read(directory().join("package-lock.json")).expect("package-lock.json can be read");
    let stamp = directory().join("node_modules/.installed-from");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return;
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(directory())
        .output();
    let npm = npm.expect("these tests need npm on the PATH");
    assert!(npm.status.success(), "npm ci failed: {}", String::from_utf8_lossy(&npm.stderr));
    fs::write(stamp, wanted).expect("node_modules can be written");
}

/// The directory of the example servers, which are built from the sources as they are now.
pub fn servers() -> &'static Path {
    static SERVERS: OnceLock<PathBuf> = OnceLock::new();
    SERVERS.get_or_init(|| match env::var_os("SERVER_BIN_DIR") {
        Some(directory) => directory.into(),
        None => build_servers(),
    })
}

/// Builds the examples where `cargo test` has built this test, with the same profile: most often there is nothing to do.
fn build_servers() -> PathBuf {
    let test = env::current_exe().expect("the test has a path");
    let output = test.ancestors().nth(2).expect("the test is in <target>/<profile>/deps");
    let profile = output.file_name().and_then(|name| name.to_str()).expect("the profile's directory has a name");
    let status = cargo()
        .args(["build", "--quiet", "--workspace", "--examples"])
        .args(["--profile", if profile == "debug" { "dev" } else { profile }])
        .arg("--target-dir")
        .arg(output.parent().expect("the profile's directory is in the target directory"))
        .current_dir(directory())
        .status();
    assert!(status.is_ok_and(|status| status.success()), "the example servers could not be built");
    output.join("examples")
}

/// A cargo that does not see what the one around this test says of its package: there are build scripts that would run
/// again, and much be built anew.
pub fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        cargo.env_remove(name);
    }
    cargo
}

fn lock(file: &str) -> RwLock<File> {
    RwLock::new(File::open(directory().join(file)).expect("the file to lock exists"))
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
