//! Clients that want nothing but their answers, and what they see of the server meanwhile.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use socketio_load::client::Client;
use socketio_load::process::{CpuTime, Process};
use socketio_load::wire::{write_get, write_post};

use crate::peer::{PATIENCE, Peer};

/// Time from an answer to a client's next question.
const PACE: Duration = Duration::from_millis(5);
/// Time between two looks at the server's figures.
const LOOK: Duration = Duration::from_millis(20);
/// Stands between the packets of a payload.
const SEPARATOR: char = '\u{1e}';

/// What the server holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Sessions, connections, sockets, rooms, handlers, tasks and descriptors.
    pub(crate) counts: [u64; 7],
    /// Bytes.
    pub(crate) heap: usize,
}

/// A client by WebSocket, one by polling, and one that looks at the server's figures. Each has a thread.
pub(crate) struct Honest {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    over: AtomicBool,
    seen: Mutex<Seen>,
}

/// What was seen since the last [`Honest::forget`].
#[derive(Clone, Default)]
struct Seen {
    /// Processor time that the server took between each question and its answer. Time alone would tell as much of what
    /// else the machine does.
    waits: Vec<Duration>,
    looks: usize,
    last: Stats,
    peak: usize,
}

impl Honest {
    pub(crate) fn connect(server: &Process) -> Self {
        let shared = Arc::new(Shared::default());
        let mut websocket = Client::connect(server.address()).expect("an honest client is let in");
        let mut polling = Polling::connect(server.address());
        let mut observer = Client::connect(server.address()).expect("an observer is let in");
        let ask = move || {
            websocket.request("421[\"ack\",\"honest\"]", "431[\"honest\"]").expect("an answer by WebSocket");
        };
        let threads = vec![
            shared.spawn_asking(server.id(), ask),
            shared.spawn_asking(server.id(), move || polling.ask()),
            shared.spawn(LOOK, move |shared| {
                let stats = Stats::ask(&mut observer);
                let mut seen = shared.seen();
                seen.peak = seen.peak.max(stats.heap);
                seen.looks += 1;
                seen.last = stats;
            }),
        ];
        Self { shared, threads }
    }

    /// Begins anew with what [`Honest::wait`] and [`Honest::peak`] tell.
    pub(crate) fn forget(&self) {
        let mut seen = self.shared.seen();
        *seen = Seen { last: seen.last.clone(), ..Seen::default() };
    }

    /// The processor time that the server took before it gave 99 of 100 answers. Waits for the first, if there is none.
    pub(crate) fn wait(&self) -> Duration {
        loop {
            let mut waits = self.shared.seen().waits.clone();
            waits.sort_unstable();
            if let Some(wait) = waits.get(waits.len() * 99 / 100) {
                return *wait;
            }
            self.check();
            thread::sleep(PACE);
        }
    }

    /// The most bytes of heap that the server had.
    pub(crate) fn peak(&self) -> usize {
        self.shared.seen().peak
    }

    /// The server's figures as they are from now on.
    pub(crate) fn stats(&self) -> Stats {
        let looks = self.shared.seen().looks;
        loop {
            let seen = self.shared.seen();
            // The one that is under way may have begun before.
            if seen.looks >= looks + 2 {
                return seen.last.clone();
            }
            drop(seen);
            self.check();
            thread::sleep(LOOK);
        }
    }

    /// Waits until the server's figures are as `settled` wants them; the last ones if they do not become so.
    pub(crate) fn wait_for(&self, settled: impl Fn(&Stats) -> bool) -> Result<(), Stats> {
        let begun = Instant::now();
        loop {
            let stats = self.stats();
            if settled(&stats) {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(stats);
            }
        }
    }

    /// # Panics
    ///
    /// A client has lost its connection, or got a wrong answer.
    pub(crate) fn check(&self) {
        assert!(self.threads.iter().all(|thread| !thread.is_finished()), "an honest client was not served");
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Who has panicked has said why.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `ask` over and over, and notes what the server does meanwhile.
    fn spawn_asking(self: &Arc<Self>, server: u32, mut ask: impl FnMut() + Send + 'static) -> JoinHandle<()> {
        let used = move || CpuTime::of(server).expect("the server runs");
        self.spawn(PACE, move |shared| {
            let before = used();
            ask();
            shared.seen().waits.push(used().since(&before));
        })
    }

    /// Calls `work` over and over, with a pause between.
    fn spawn(self: &Arc<Self>, pause: Duration, mut work: impl FnMut(&Self) + Send + 'static) -> JoinHandle<()> {
        let shared = Arc::clone(self);
        thread::spawn(move || {
            while !shared.over.load(Ordering::Relaxed) {
                work(&shared);
                thread::sleep(pause);
            }
        })
    }
}

impl Stats {
    fn ask(observer: &mut Client) -> Self {
        let answer = observer.request("420[\"stats\"]", "430[").expect("an answer to `stats`");
        let stats: Value = serde_json::from_str(&answer[3..]).expect("an ack holds JSON");
        let figure = |name: &str| stats[0][name].as_u64().unwrap_or_default();
        let counts = ["sessions", "connections", "sockets", "rooms", "handlers", "tasks", "fds"].map(figure);
        Self { counts, heap: usize::try_from(figure("heap")).expect("it is in memory") }
    }
}

/// A socket in `/` that polls, over one connection.
struct Polling {
    peer: Peer,
    sid: String,
    owes_pong: bool,
}

impl Polling {
    fn connect(server: SocketAddr) -> Self {
        let (peer, sid) = Peer::polling(server);
        let mut polling = Self { peer, sid, owes_pong: false };
        polling.post("40");
        polling.poll("42[\"auth\"");
        polling
    }

    fn ask(&mut self) {
        let pong = if std::mem::take(&mut self.owes_pong) { "3\u{1e}" } else { "" };
        self.post(&format!("{pong}421[\"ack\",\"honest\"]"));
        self.poll("431[\"honest\"]");
    }

    fn post(&mut self, body: &str) {
        let mut request = Vec::new();
        write_post(&self.sid, body.as_bytes(), &mut request);
        assert_eq!(self.peer.ask(&request), (200, "ok".to_owned()), "an answer to a POST");
    }

    /// Polls until there is a packet that starts with `prefix`.
    fn poll(&mut self, prefix: &str) {
        let mut request = Vec::new();
        write_get(&self.sid, &mut request);
        loop {
            let (status, payload) = self.peer.ask(&request);
            assert_eq!(status, 200, "an answer to a poll: {payload}");
            let mut packets = payload.split(SEPARATOR);
            self.owes_pong |= packets.clone().any(|packet| packet == "2");
            if packets.any(|packet| packet.starts_with(prefix)) {
                return;
            }
            if std::mem::take(&mut self.owes_pong) {
                self.post("3");
            }
        }
    }
}
