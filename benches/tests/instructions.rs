//! The bars for the codecs' work, in instructions: the same on every run, and so for verdicts where times are not.

use std::io::{self, Write};
use std::process::Command;

use socketio_benches::{FLOOR, instructions};

#[test]
fn codecs_cost_little_more_than_serde_json_alone() {
    if cfg!(debug_assertions) {
        return say("NOT MEASURED: the bars hold for optimised builds; see CONTRIBUTING.md");
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        return say("NOT MEASURED: instructions are counted by valgrind, which is not installed");
    }
    let mut broken = Vec::new();
    for (packet, operation, codec, bar) in [
        ("small", "decode-typed", "ours", 1.3),
        ("small", "decode-typed", "ours, by Sockets", 1.3),
        ("2KiB-text", "decode-typed", "ours, by Sockets", 1.15),
        ("2KiB-items", "decode-typed", "ours, by Sockets", 1.15),
        ("small", "encode-typed", "ours", 1.4),
        ("echo", "decode-typed", "ours, by Sockets", 1.5),
        ("echo", "encode-typed", "ours", 1.3),
    ] {
        let count = |codec: &str| {
            let id = format!("{packet}/{operation}/{codec}");
            instructions(env!("CARGO_BIN_EXE_count"), &id).expect("valgrind is there")
        };
        let (ours, floor) = (count(codec), count(FLOOR));
        let ratio = ours as f64 / floor as f64;
        let line =
            format!("{packet}, {operation}, {codec}: {ours} instructions, {FLOOR} {floor}: x {ratio:.2}, bar {bar}");
        say(&line);
        if ratio > bar {
            broken.push(line);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Past the capturing of the test harness, so that the figures show when the test passes, too.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "instructions: {line}");
}
