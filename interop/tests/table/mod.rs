//! The table in README.md of what each adapter passes. Whichever test is the last one to pass compares it with what was
//! seen; `UPDATE_README=1` writes it instead.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::{env, fs};

/// The name of an adapter in the tests, and in the table.
const ADAPTERS: [(&str, &str); 4] =
    [("tokio", "tokio"), ("async-std", "async-std"), ("smol", "smol"), ("own", "[your own](#your-own-runtime)")];

/// The files, and what they test.
const ROWS: [(&str, &str); 19] = [
    ("engine_protocol", "server: each test of the official Engine.IO suite"),
    ("socket_protocol", "server: each test of the official Socket.IO suite"),
    ("wire", "server: the wire, byte by byte, right and wrong"),
    ("transports", "server: WebSocket, long-polling, the upgrade, heartbeats"),
    ("payloads", "server: arguments of all kinds, attachments"),
    ("acks", "server: acks, both ways"),
    ("namespaces", "server: namespaces, middleware"),
    ("rooms", "server: rooms and broadcasts"),
    ("order", "server: order of events and handlers"),
    ("crowd", "server: many clients, and clients that are killed"),
    ("slow_reader", "server: clients that read nothing"),
    ("shutdown", "server: shutdown"),
    ("tls", "server: TLS, and another certificate while it serves"),
    ("browser", "server: two pages in Chromium"),
    ("client_basics", "client: events, acks, namespaces, line by line as the official one"),
    ("client_transports", "client: transports, TLS, headers, cookies"),
    ("client_reconnect", "client: reconnection, buffers, retries, recovery"),
    ("client_hostile", "client: hostile servers"),
    ("client_cuts", "client: connections cut at random"),
];

const BEGIN: &str = "<!-- what each adapter passes: written by the tests -->\n";
const END: &str = "<!-- end -->\n";
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// What was passed, by adapter and file; `None` where something was skipped.
type Passed = BTreeMap<(&'static str, &'static str), Option<u32>>;

/// Notes that a file has passed with an adapter.
pub(crate) fn passed(adapter: &'static str, file: &'static str, count: Option<u32>) {
    static PASSED: Mutex<Passed> = Mutex::new(Passed::new());
    let mut passed = PASSED.lock().expect("no test fails in here");
    passed.insert((adapter, file), count);
    let restricted = ["CLIENTS", "WORKERS"].iter().any(|name| env::var_os(name).is_some());
    if passed.len() == ADAPTERS.len() * ROWS.len() && !restricted {
        let passed = passed.clone();
        check(&passed);
    }
}

fn check(passed: &Passed) {
    let readme = fs::read_to_string(README).expect("README.md can be read");
    let (before, rest) = readme.split_once(BEGIN).expect("the table has a beginning");
    let (old, after) = rest.split_once(END).expect("the table has an end");
    let skipped: Vec<_> = passed.iter().filter(|(_, count)| count.is_none()).map(|((_, file), _)| *file).collect();
    let lines = table(passed);
    if env::var_os("UPDATE_README").is_some() {
        assert!(skipped.is_empty(), "nothing may be skipped for the table: {skipped:?}");
        fs::write(README, format!("{before}{BEGIN}{}{END}{after}", lines.concat())).expect("README.md can be written");
        return;
    }
    let rows = ROWS.iter().map(|row| Some(row.0));
    for (file, line) in [None, None].into_iter().chain(rows).zip(&lines) {
        let is_known = old.contains(line.as_str()) || file.is_some_and(|file| skipped.contains(&file));
        assert!(is_known, "README.md has not this line, which UPDATE_README=1 writes:\n{line}");
    }
    assert_eq!(old.lines().count(), lines.len(), "README.md has other lines in its table, too");
}

/// The lines of the table.
fn table(passed: &Passed) -> Vec<String> {
    let names: Vec<_> = ADAPTERS.iter().map(|adapter| adapter.1).collect();
    let mut lines = vec![format!("| tests passed | {} |\n", names.join(" | "))];
    lines.push(format!("|---|{}\n", "---|".repeat(ADAPTERS.len())));
    for (file, title) in ROWS {
        let mut line = format!("| {title} |");
        for (adapter, _) in ADAPTERS {
            let count = passed.get(&(adapter, file)).copied().flatten().unwrap_or_default();
            write!(line, " {count} |").expect("a string takes everything");
        }
        lines.push(format!("{line}\n"));
    }
    lines
}
