//! One measurement of one server.

use std::io;
use std::process::id;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use socketio_load::check::Faults;
use socketio_load::idle::{self, Idle};
use socketio_load::process::{CpuTime, Process};
use socketio_load::run::{Load, Outcome, Span};
use socketio_load::scenario::{Scenario, Work};

use crate::servers::Server;

/// Connections that come and go before memory is measured.
const FIRST: usize = 256;
/// For what a server does after the last answer.
const SETTLE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) span: Duration,
    pub(crate) warm_up: Duration,
}

/// What one measurement gave. An operation is an answer, a delivery, a handshake, or a connection that stays.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// The server's CPU time per operation, in microseconds.
    pub(crate) cpu_us: f64,
    /// The generator's, which tells whether it holds the server up.
    pub(crate) generator_us: f64,
    pub(crate) operations: u64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    /// Resident memory per connection, when all had connected, and after they were held.
    pub(crate) connected_bytes: Option<f64>,
    pub(crate) held_bytes: Option<f64>,
    pub(crate) faults: Faults,
}

pub(crate) fn measure(server: &Server, scenario: &Scenario, settings: Settings) -> io::Result<Sample> {
    let process = Process::start(server.command(&scenario.work))?;
    match (scenario.work.prepare(process.address())?, scenario.work) {
        (Some(load), _) => busy(&process, load, settings),
        (None, Work::Idle { connections, hold }) => idle(&process, connections, hold),
        (None, _) => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn busy(process: &Process, mut load: Box<dyn Load>, settings: Settings) -> io::Result<Sample> {
    let mut faults = load.run(Span::Time(settings.warm_up))?.faults;
    let before = Used::start(process)?;
    let outcome = load.run(Span::Time(settings.span))?;
    let used = before.end(process)?;
    faults += outcome.faults;
    Ok(sample(used, &outcome, outcome.operations, faults))
}

fn idle(process: &Process, connections: usize, hold: Duration) -> io::Result<Sample> {
    drop(idle::connect_many(process.address(), FIRST)?);
    thread::sleep(SETTLE);
    let (empty, before, start) = (process.resident()?, Used::start(process)?, Instant::now());
    let mut idle = Idle::connect(process.address(), connections)?;
    let used = before.end(process)?;
    let took = start.elapsed();
    let per_connection = |resident: u64| resident.saturating_sub(empty) as f64 / connections as f64;
    let connected = per_connection(process.resident()?);
    idle.hold(hold)?;
    let held = per_connection(process.resident()?);
    let outcome = idle.probe()?;
    let mut sample = sample(used, &outcome, connections as u64, outcome.faults);
    sample.per_second = connections as f64 / took.as_secs_f64();
    sample.connected_bytes = Some(connected);
    sample.held_bytes = Some(held);
    Ok(sample)
}

/// CPU time of the server and of the generator.
struct Used {
    server: CpuTime,
    generator: CpuTime,
}

impl Used {
    fn start(process: &Process) -> io::Result<Self> {
        Ok(Self { server: process.cpu_time()?, generator: CpuTime::of(id())? })
    }

    fn end(&self, process: &Process) -> io::Result<[Duration; 2]> {
        let now = Self::start(process)?;
        Ok([now.server.since(&self.server), now.generator.since(&self.generator)])
    }
}

fn sample(used: [Duration; 2], outcome: &Outcome, operations: u64, faults: Faults) -> Sample {
    let microseconds = |share| outcome.latencies.quantile(share) / 1e3;
    let [cpu_us, generator_us] = used.map(|used| used.as_secs_f64() * 1e6 / operations.max(1) as f64);
    Sample {
        cpu_us,
        generator_us,
        operations,
        per_second: operations as f64 / outcome.elapsed.as_secs_f64(),
        p50_us: microseconds(0.5),
        p90_us: microseconds(0.9),
        p99_us: microseconds(0.99),
        connected_bytes: None,
        held_bytes: None,
        faults,
    }
}
