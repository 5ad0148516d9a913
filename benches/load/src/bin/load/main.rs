//! Starts servers one after the other, keeps them busy, and writes what an operation costs each of them.
//!
//! It builds and installs the servers first: ours, the bare one, and those in `benches/peers`, whose lock files tell the
//! versions. What cannot be had is skipped and said so. Servers take turns, and the medians of the rounds count; all of
//! those in Rust are built with the same profile and unwind on a panic; nobody compresses.

mod measure;
mod plot;
mod report;
mod servers;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use socketio_load::{process, scenario};

use crate::measure::{Sample, Settings};
use crate::report::Report;

/// The processors of the server and of the generator.
const SERVER_CORE: u32 = 0;
const GENERATOR_CORE: u32 = 1;

/// Compares servers under load: CPU time of the server per operation, as a multiple of what the bytes alone cost.
#[derive(Parser)]
struct Options {
    /// Only scenarios whose name contains this; may be given several times.
    #[arg(long)]
    scenario: Vec<String>,
    /// Only servers with this name; may be given several times.
    #[arg(long)]
    server: Vec<String>,
    /// Rounds over all servers; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of one measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Length of the warm-up before it.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// One short round of each scenario, without the one that holds its connections for long.
    #[arg(long)]
    quick: bool,
    /// Also ours on two workers and both processors, where that is of interest.
    #[arg(long)]
    two_workers: bool,
    /// Instead: what an operation costs ours as connections, subscribers, rooms and namespaces grow.
    #[arg(long)]
    scaling: bool,
    /// Take what is built and installed as it is.
    #[arg(long)]
    no_build: bool,
    /// Directory for the table, the figures and the plot.
    #[arg(long, default_value = "target/load")]
    out: PathBuf,
}

fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let (servers, skipped) = servers::prepare(&options.server, options.two_workers, options.scaling, !options.no_build);
    if !(process::can_pin(SERVER_CORE) && process::pin_self(GENERATOR_CORE)) {
        eprintln!("NOT PINNED: servers and generator share their processors: the figures are less steady");
    }
    fs::create_dir_all(&options.out)?;
    let settings = Settings {
        span: Duration::from_secs_f64(if options.quick { options.seconds.min(1.0) } else { options.seconds }),
        warm_up: Duration::from_secs_f64(if options.quick { options.warm_up.min(0.5) } else { options.warm_up }),
    };
    let rounds = if options.quick { 1 } else { options.rounds };
    let mut report = Report::new(servers.iter().map(|server| server.name).collect(), skipped);
    let scenarios = if options.scaling { scenario::scaling() } else { scenario::all(options.quick) };
    let wanted = |name: &str| options.scenario.is_empty() || options.scenario.iter().any(|part| name.contains(part));
    for scenario in scenarios.into_iter().filter(|scenario| wanted(&scenario.name)) {
        for round in 1..=rounds {
            for server in servers.iter().filter(|server| server.takes(&scenario.work)) {
                let sample = measure::measure(server, &scenario, settings);
                eprintln!("{:24} {round}/{rounds} {:14} {}", scenario.name, server.name, line(&sample));
                report.add(&scenario.name, server.name, sample.map_err(|error| error.to_string()));
            }
        }
        // Whoever stops this early has what there is.
        report.write(&options.out, options.scaling)?;
    }
    println!("{}", report.markdown());
    println!("written to {}", options.out.display());
    Ok(if report.has_faults() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn line(sample: &io::Result<Sample>) -> String {
    match sample {
        Ok(sample) if sample.faults.total() > 0 => format!("FAULTY {:?}", sample.faults),
        Ok(sample) => format!(
            "{:9.3} µs CPU (generator {:8.3}) {:9.0}/s p50 {:8.1} µs p99 {:8.1} µs{}",
            sample.cpu_us,
            sample.generator_us,
            sample.per_second,
            sample.p50_us,
            sample.p99_us,
            sample.held_bytes.map_or(String::new(), |bytes| format!(" {bytes:6.0} B"))
        ),
        Err(error) => format!("FAILED {error}"),
    }
}
