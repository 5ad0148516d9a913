//! Starts clients one after the other on a server of ours, and writes what a message costs each of them.
//!
//! It builds and installs the clients first: ours, the bare one, and those in `benches/peers`, whose lock files tell the
//! versions. What cannot be had is skipped and said so. Clients take turns, and the medians of the rounds count.

mod measure;
mod programs;
mod report;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use socketio_load::process;

use crate::measure::{Kind, Sample, Scenario, Settings};
use crate::report::Report;

/// The processor of the server and of whoever sends broadcasts, and that of the client.
const SERVER_CORE: u32 = 0;
const CLIENT_CORE: u32 = 1;

/// Compares clients: CPU time of one connection per message, as a multiple of what it costs ours.
#[derive(Parser)]
struct Options {
    /// Only scenarios whose name contains this; may be given several times.
    #[arg(long)]
    scenario: Vec<String>,
    /// Only clients with this name; may be given several times.
    #[arg(long)]
    client: Vec<String>,
    /// Rounds over all clients; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement, about.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Length of the warm-up before it, at least.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// One short round.
    #[arg(long)]
    quick: bool,
    /// Take what is built and installed as it is.
    #[arg(long)]
    no_build: bool,
    /// Directory for the table and the figures.
    #[arg(long, default_value = "target/load")]
    out: PathBuf,
}

fn scenarios() -> [Scenario; 3] {
    [
        Scenario { name: "echo x16 32B", kind: Kind::Echo, in_flight: 16, size: 32 },
        Scenario { name: "echo x16 1KiB", kind: Kind::Echo, in_flight: 16, size: 1024 },
        Scenario { name: "broadcast 32B", kind: Kind::Broadcast, in_flight: 16, size: 32 },
    ]
}

fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let (server, clients, skipped) = programs::prepare(&options.client, !options.no_build).map_err(io::Error::other)?;
    if !(process::can_pin(CLIENT_CORE) && process::pin_self(SERVER_CORE)) {
        eprintln!("NOT PINNED: the server and the clients share their processors: the figures are less steady");
    }
    fs::create_dir_all(&options.out)?;
    let settings = Settings {
        span: Duration::from_secs_f64(if options.quick { options.seconds.min(0.5) } else { options.seconds }),
        warm_up: Duration::from_secs_f64(if options.quick { options.warm_up.min(0.2) } else { options.warm_up }),
    };
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut report = Report::new(clients.iter().map(|client| client.name).collect(), skipped);
    let wanted = |name: &str| options.scenario.is_empty() || options.scenario.iter().any(|part| name.contains(part));
    for scenario in scenarios().into_iter().filter(|scenario| wanted(scenario.name)) {
        for round in 1..=rounds {
            for client in &clients {
                let sample = measure::measure(&server, client, scenario, settings);
                eprintln!("{:14} {round}/{rounds} {:14} {}", scenario.name, client.name, line(&sample));
                report.add(scenario.name, client.name, sample.map_err(|error| error.to_string()));
            }
        }
        // Whoever stops this early has what there is.
        report.write(&options.out)?;
    }
    println!("{}", report.markdown());
    println!("written to {}", options.out.display());
    Ok(if report.has_faults() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(sample: &io::Result<Sample>) -> String {
    match sample {
        Ok(sample) => {
            let Sample { cpu_ns, per_second, busy, waited, .. } = sample;
            let [busy, waited] = [busy, waited].map(|part| part * 100.0);
            format!("{cpu_ns:9.0} ns CPU {per_second:9.0}/s {busy:3.0} % busy {waited:3.0} % waited")
        }
        Err(error) => format!("FAILED {error}"),
    }
}
