//! Runs, times and counts the operations of this project's codecs; see `socketio_benches::main`. `count bars` fails if they
//! take more instructions than they may: these are the same on every run, and so for verdicts where times are not.

use std::env;
use std::process::ExitCode;

use socketio_benches::{FLOOR, instructions, main as print_figures, operations};

/// Packet, operation, codec: what its instructions may be, as a multiple of those of serde_json alone.
const BARS: [(&str, &str, &str, f64); 7] = [
    ("small", "decode-typed", "ours", 1.3),
    ("small", "decode-typed", "ours, by Sockets", 1.3),
    ("2KiB-text", "decode-typed", "ours, by Sockets", 1.15),
    ("2KiB-items", "decode-typed", "ours, by Sockets", 1.15),
    ("small", "encode-typed", "ours", 1.4),
    ("echo", "decode-typed", "ours, by Sockets", 1.5),
    ("echo", "encode-typed", "ours", 1.3),
];

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("bars") {
        return bars();
    }
    print_figures(operations());
    ExitCode::SUCCESS
}

fn bars() -> ExitCode {
    let own = env::current_exe().expect("a program knows where it is");
    let mut broken = 0;
    for (packet, operation, codec, bar) in BARS {
        let count = |codec: &str| instructions(&own, &format!("{packet}/{operation}/{codec}"));
        let (Some(ours), Some(floor)) = (count(codec), count(FLOOR)) else {
            eprintln!("NOT MEASURED: instructions are counted by valgrind, which is not installed");
            return ExitCode::SUCCESS;
        };
        let ratio = ours as f64 / floor as f64;
        println!("{packet}, {operation}, {codec}: {ours} instructions, {FLOOR} {floor}: x {ratio:.2}, bar {bar}");
        broken += u32::from(ratio > bar);
    }
    if broken == 0 {
        return ExitCode::SUCCESS;
    }
    eprintln!("{broken} of {} are above their bar", BARS.len());
    ExitCode::FAILURE
}
