//! What both processes hold, and whether it grows.
//!
//! Compared is like with like: the figures are taken when all clients are connected, idle and in their rooms, after each
//! round. Numbers of sockets, rooms, tasks and descriptors are then exact, but for sessions whose ping timeout is not over
//! yet; and when all clients are gone, everything has to be as it was before. Memory is not: buffers keep some of
//! their capacity, tables are half full or full. So the first third of the time warms up, and of what follows the median of
//! the first half is compared with that of the second: a leak shows, and what is one round's does not.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use serde::Deserialize;
use socketio_driver::protocol::engine::Transport;
use socketio_driver::{Client, ClientBuilder, Runtime};
use stats_alloc::INSTRUMENTED_SYSTEM;

use super::member::polls;
use super::{PATIENCE, Soak};
use crate::faulty::Living;

/// By how much of itself the live heap may grow from one half to the other, and by how much besides. What the rounds differ
/// by is about the same.
const HEAP: (f64, f64) = (0.05, 512.0 * 1024.0);
/// What may be queued to a session whose client was cut between two polls, until its ping timeout is over: what its rooms
/// have said since. There are the more of them, the more goes on.
const QUEUED: f64 = 64.0 * 1024.0;
/// By how much resident memory may grow, which the allocator may hold back.
const RESIDENT: (f64, f64) = (0.10, 8.0 * 1024.0 * 1024.0);
/// What may be left of each client in the heap when all are gone: tables and pools keep some capacity.
const LEFT: usize = 512;
/// The same, of all together.
const LEFT_OF_ALL: usize = 512 * 1024;
/// How long it may take until everything is as it has to be.
const SETTLING: Duration = Duration::from_secs(60);
/// Rounds that are compared with each other, at least.
const ENOUGH: usize = 6;

/// What the server says about itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stats {
    sessions: usize,
    connections: usize,
    sockets: usize,
    rooms: usize,
    handlers: usize,
    tasks: Option<usize>,
    heap: usize,
    fds: usize,
}

/// What both sides hold at some time.
#[derive(Clone, Debug)]
pub(super) struct Level {
    server: Stats,
    server_resident: usize,
    living: Living,
    heap: usize,
    fds: usize,
    resident: usize,
}

/// Asks the server about itself, over a connection that lives all the time.
pub(super) struct Observer<R> {
    runtime: R,
    soak: Arc<Soak>,
    client: Client,
    /// How things were before there was anybody.
    first: Level,
}

impl<R: Runtime> Observer<R> {
    pub(super) async fn connect(runtime: &R, soak: &Arc<Soak>) -> io::Result<Self> {
        let client = ClientBuilder::new(runtime.clone(), &soak.options.url)
            .transports(&[Transport::WebSocket])
            .reconnection_attempts(3)
            .connect()
            .await
            .map_err(io::Error::other)?;
        let first = level(runtime, soak, &client).await?;
        Ok(Self { runtime: runtime.clone(), soak: Arc::clone(soak), client, first })
    }

    /// How things are once they are as they have to be while everybody is connected and idle.
    pub(super) async fn idle(&self) -> io::Result<Level> {
        let clients = self.soak.options.clients as usize;
        let polling = (0..self.soak.options.clients).filter(|number| polls(*number)).count();
        let (Level { server: first, fds: own, .. }, rooms) = (self.first.clone(), self.soak.ledger.rooms());
        let cuts = usize::try_from(self.soak.deeds.cuts.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let is_idle = move |level: &Level| {
            let Level { server, living, fds, .. } = level;
            let http = server.connections.saturating_sub(first.connections);
            // Of one that was cut between two polls the server knows when the ping timeout is over.
            let sessions = server.sessions.saturating_sub(first.sessions);
            [
                ("sessions", (clients..=clients + cuts).contains(&sessions)),
                ("sockets", (clients..=sessions).contains(&server.sockets.saturating_sub(first.sockets))),
                ("rooms", server.rooms == first.rooms + rooms),
                ("handlers", server.handlers == first.handlers),
                // Those that were not upgraded. A client that polls keeps one or two for the next requests.
                ("connections", (polling..=3 * polling).contains(&http)),
                ("descriptors", server.fds == first.fds + living.streams),
                ("tasks", server.tasks.zip(first.tasks).is_none_or(|(now, first)| now == first + sessions + http)),
                ("clients' tasks", living.tasks == clients),
                ("clients' timers", living.timers == clients),
                ("clients' streams", living.streams == clients - polling + http),
                ("clients' descriptors", *fds == own + living.streams),
            ]
        };
        let mut level = self.wait(is_idle).await?;
        // What else goes on only adds.
        for _ in 0..4 {
            self.runtime.sleep(Duration::from_millis(50)).await;
            let again = self.level().await?;
            level.heap = level.heap.min(again.heap);
            level.server.heap = level.server.heap.min(again.server.heap);
        }
        Ok(level)
    }

    /// How things are when everybody is gone again.
    pub(super) async fn gone(&self) -> io::Result<Level> {
        let Level { server: first, fds: own, .. } = self.first.clone();
        let clients = self.soak.options.clients as usize;
        self.wait(move |Level { server, living, fds, .. }| {
            [
                ("sessions", server.sessions == first.sessions),
                ("connections", server.connections == first.connections),
                ("sockets", server.sockets == first.sockets),
                ("rooms", server.rooms == first.rooms),
                ("handlers", server.handlers == first.handlers),
                ("tasks", server.tasks == first.tasks),
                ("descriptors", server.fds == first.fds),
                ("heap", server.heap <= first.heap + clients * LEFT + LEFT_OF_ALL),
                ("anything of the clients", *living == Living::default()),
                ("clients' descriptors", *fds == own),
            ]
        })
        .await
    }

    /// Waits until all is as it has to be.
    async fn wait<const N: usize>(&self, check: impl Fn(&Level) -> [(&'static str, bool); N]) -> io::Result<Level> {
        let begun = Instant::now();
        loop {
            let level = self.level().await?;
            let wrong = failing(check(&level));
            if wrong.is_empty() {
                return Ok(level);
            }
            if begun.elapsed() > SETTLING {
                let first = &self.first;
                return Err(io::Error::other(format!("not as it should be: {wrong:?} in {level:?}; first {first:?}")));
            }
            self.runtime.sleep(Duration::from_millis(50)).await;
        }
    }

    async fn level(&self) -> io::Result<Level> {
        level(&self.runtime, &self.soak, &self.client).await
    }
}

async fn level<R: Runtime>(runtime: &R, soak: &Soak, observer: &Client) -> io::Result<Level> {
    let server = stats(runtime, observer).await?;
    let heap = INSTRUMENTED_SYSTEM.stats();
    Ok(Level {
        server,
        server_resident: soak.options.server_pid.map_or(0, |process| resident(&process.to_string())),
        living: soak.census.take(),
        heap: heap.bytes_allocated.saturating_sub(heap.bytes_deallocated),
        fds: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        resident: resident("self"),
    })
}

/// What does not hold.
fn failing<const N: usize>(checks: [(&'static str, bool); N]) -> Vec<&'static str> {
    checks.into_iter().filter(|(_, holds)| !holds).map(|(what, _)| what).collect()
}

async fn stats<R: Runtime>(runtime: &R, observer: &Client) -> io::Result<Stats> {
    let asked = observer.emit_with_ack::<Stats>("stats", ());
    let answer = std::future::IntoFuture::into_future(asked);
    match select(pin!(runtime.sleep(PATIENCE)), answer).await {
        Either::Left(_) => Err(io::Error::other("the server does not answer")),
        Either::Right((answer, _)) => {
            answer.map_err(|error| io::Error::other(format!("the server does not answer: {error}")))
        }
    }
}

/// Resident memory in bytes, 0 if the system does not tell.
fn resident(process: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Whether so many clients can have their descriptors here.
pub(super) fn check_limit(clients: u32) -> Result<(), String> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let Some(soft) = soft.and_then(|soft| soft.parse::<u32>().ok()) else { return Ok(()) };
    // While they connect anew, and while they poll, some have more than one.
    let needed = 2 * clients + 100;
    if soft < needed {
        return Err(format!("{clients} clients need {needed} descriptors and the limit is {soft}: see `ulimit -n`"));
    }
    Ok(())
}

/// The levels of all rounds.
pub(super) struct Levels {
    soak: Arc<Soak>,
    log: Option<File>,
    rounds: Vec<(Duration, Level)>,
}

impl Levels {
    pub(super) fn new(soak: &Arc<Soak>) -> Self {
        let log = soak.options.log.as_ref().map(|path| File::create(path).expect("the log can be written"));
        Self { soak: Arc::clone(soak), log, rounds: Vec::new() }
    }

    pub(super) fn add(&mut self, time: Duration, level: Level) -> io::Result<()> {
        if let Some(log) = &mut self.log {
            writeln!(
                log,
                "{:.1} s: {} faults, {}, {level:?}",
                time.as_secs_f64(),
                self.soak.faults.count(),
                self.soak.deeds.describe()
            )?;
        }
        self.rounds.push((time, level));
        Ok(())
    }

    /// Whether there is enough to compare.
    pub(super) fn are_enough(&self) -> bool {
        self.warm().len() >= ENOUGH
    }

    /// The rounds after the first third of the time.
    fn warm(&self) -> &[(Duration, Level)] {
        let third = Duration::from_secs(self.soak.options.seconds) / 3;
        let from = self.rounds.partition_point(|(time, _)| *time < third);
        &self.rounds[from..]
    }

    /// Compares what there is to compare.
    pub(super) fn end(&self) {
        let (fewer, more) = self.halves(|level| level.server.sessions);
        let queued = (more - fewer).max(0.0) * QUEUED;
        for (what, figure, tolerance) in figures() {
            let (early, late) = self.halves(figure);
            let most = early + early * tolerance.0 + tolerance.1 + queued;
            if late > most {
                self.soak.faults.add(format!("{what} grows: {early:.0} bytes, later {late:.0}, at most {most:.0}"));
            }
        }
    }

    /// The medians of both halves.
    fn halves(&self, figure: fn(&Level) -> usize) -> (f64, f64) {
        let warm = self.warm();
        let (early, late) = warm.split_at(warm.len() / 2);
        let median = |rounds: &[(Duration, Level)]| {
            let mut values: Vec<_> = rounds.iter().map(|(_, level)| figure(level)).collect();
            values.sort_unstable();
            values.get(values.len() / 2).map_or(0.0, |value| *value as f64)
        };
        (median(early), median(late))
    }

    pub(super) fn describe(&self) -> String {
        let mut text = format!("{} rounds", self.rounds.len());
        for (what, figure, _) in figures() {
            let (early, late) = self.halves(figure);
            let _ = write!(text, ", {what} {:.2} -> {:.2} MiB", early / 1_048_576.0, late / 1_048_576.0);
        }
        if let (Some((_, first)), Some((_, last))) = (self.warm().first(), self.rounds.last()) {
            let _ = write!(
                text,
                ", descriptors {} -> {}, {} -> {}",
                first.server.fds, last.server.fds, first.fds, last.fds
            );
        }
        text
    }
}

/// What is compared, and what it may grow by.
type Figure = (&'static str, fn(&Level) -> usize, (f64, f64));

fn figures() -> [Figure; 4] {
    [
        ("the server's heap", |level| level.server.heap, HEAP),
        ("the server's memory", |level| level.server_resident, RESIDENT),
        ("the clients' heap", |level| level.heap, HEAP),
        ("the clients' memory", |level| level.resident, RESIDENT),
    ]
}
