//! What the targets of the state machines share: how a machine is driven, and what holds of every one of them.

use std::fmt;
use std::time::Duration;

use socketio_protocol::{Instant, socket};

pub(crate) use ops::Ops;

pub(crate) mod app;
pub(crate) mod client_app;
pub(crate) mod network;
mod ops;
pub(crate) mod peer;

/// A machine, what surrounds it, and the books about what it owes. Most promises are checked while it runs.
pub(crate) trait World {
    /// The first operations choose the configuration.
    fn new(ops: &mut Ops<'_>, trial: Trial) -> Self;

    /// One operation of the application, the peer or the network.
    fn step(&mut self, ops: &mut Ops<'_>);

    /// Ends everything and checks that nothing is left.
    fn finish(&mut self);

    /// Puts a clone of the machine into its place.
    fn renew(&mut self);

    fn trial(&mut self) -> &mut Trial;
}

/// Runs a world twice. A machine that is replaced by its clone again and again, and that gets what it reads in pieces,
/// must tell the same.
pub(crate) fn drive<W: World>(data: &[u8]) {
    let [whole, pieces] = [usize::MAX, 1 + data.len() % 8].map(|piece| {
        let mut ops = Ops::new(data);
        let mut world = W::new(&mut ops, Trial::new(piece));
        while !ops.is_empty() {
            if piece < usize::MAX {
                world.renew();
            }
            world.trial().allow(1);
            world.step(&mut ops);
        }
        world.finish();
        std::mem::take(&mut world.trial().log)
    });
    assert_eq!(whole, pieces, "clones, or pieces, make a difference");
}

/// Puts a clone into the place of a machine.
pub(crate) fn renew<M: Clone + PartialEq>(machine: &mut M) {
    let clone = machine.clone();
    assert!(clone == *machine, "a clone is not the same");
    *machine = clone;
}

/// The clock of a run, what was told in it, and how much a machine may still tell.
pub(crate) struct Trial {
    clock: Instant,
    /// The latest time that the machine was told.
    latest: Instant,
    /// Until when it waits.
    deadline: Option<Instant>,
    log: String,
    /// How many bytes are lent at once.
    piece: usize,
    calls: usize,
}

impl Trial {
    /// How often a machine may be called for each thing that happens to it, on average. Endless loops are found by it.
    const CALLS: usize = 24;

    fn new(piece: usize) -> Self {
        // Time can run backwards from there.
        let start = Instant::from_epoch(Duration::from_secs(1_000_000));
        Self { clock: start, latest: start, deadline: None, log: String::new(), piece, calls: 1000 }
    }

    /// What the machine is told the time is.
    pub(crate) fn now(&mut self) -> Instant {
        self.latest = self.latest.max(self.clock);
        self.clock
    }

    /// What the time is for a machine, for which time never runs backwards.
    pub(crate) fn latest(&self) -> Instant {
        self.latest
    }

    /// Lets time pass, or run backwards. The machine is to be called next, so that it knows.
    pub(crate) fn turn_clock(&mut self, ops: &mut Ops<'_>) {
        let millis =
            *ops.pick(&[1, 10, 50, 100, 250, 1000, 3000, 5000, 10_000, 20_000, 25_000, 45_000, 86_400_000, -1, -999]);
        let by = Duration::from_millis(i64::unsigned_abs(millis));
        self.clock = if millis > 0 { self.clock + by } else { Instant::from_epoch(self.clock.since_epoch() - by) };
    }

    pub(crate) fn wait(&mut self, duration: Duration) {
        self.clock = self.latest + duration;
    }

    /// Notes what the machine has told, to be compared.
    pub(crate) fn note(&mut self, what: fmt::Arguments<'_>) {
        fmt::write(&mut self.log, what).expect("a string takes it");
        self.log.push('\n');
    }

    /// So many things happen to the machine.
    pub(crate) fn allow(&mut self, things: usize) {
        self.calls += things * Self::CALLS;
    }

    /// The machine is called: the time to tell it.
    pub(crate) fn call(&mut self) -> Instant {
        self.calls = self.calls.checked_sub(1).expect("the machine goes on and on");
        self.now()
    }

    /// A machine that waits says until when, and does not want to be called again at once.
    pub(crate) fn check(&mut self, deadline: impl Into<Option<Instant>>) {
        self.deadline = deadline.into();
        assert!(!self.is_late(), "would be called again and again");
    }

    /// Whether the time has come that the machine has waited for.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.clock.max(self.latest))
    }

    /// What is to be lent to the machine. Nothing comes first, so that what is due without it happens in front of it. Where
    /// a ping may be among it, it comes at once: of those that do, the last one is answered, and others in pieces one by one.
    pub(crate) fn arriving(&mut self, bytes: Vec<u8>) -> Arriving {
        const PING: u8 = 0x89;
        self.allow(bytes.len());
        let piece = if bytes.contains(&PING) { usize::MAX } else { self.piece.max(bytes.len() / 16) };
        self.allow(bytes.len() / piece);
        Arriving { at: 0, piece, first: !bytes.is_empty(), bytes }
    }
}

/// Says what came before a promise was broken.
impl Drop for Trial {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log);
        }
    }
}

/// Bytes on their way to a machine.
pub(crate) struct Arriving {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    first: bool,
}

impl Arriving {
    /// Does not come in pieces.
    pub(crate) fn come_at_once(&mut self) {
        self.piece = usize::MAX;
    }

    /// Nothing is not lent first.
    pub(crate) fn come_in_time(&mut self) {
        self.first = false;
    }

    /// What is lent next.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut piece =
            vec![0; if std::mem::take(&mut self.first) { 0 } else { self.piece }.min(self.bytes.len() - self.at)];
        self.fill(&mut piece);
        piece
    }

    /// Reads as much as fits straight into the machine.
    pub(crate) fn fill(&mut self, room: &mut [u8]) -> usize {
        let rest = &self.bytes[self.at..];
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        count
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at == self.bytes.len() && !self.first
    }
}

/// What the `io` of every machine is good for. Reads straight into the machine, if it has room and more is arriving; or
/// writes what waits, when nothing is left to be read. Gives what was written; `None` if there was nothing to do.
macro_rules! transfer {
    ($io:ident, $arriving:ident, $room:ident) => {
        if let Some(target) = $io.read_target().filter(|_| !$arriving.is_over()) {
            let count = $arriving.fill(target);
            $io.filled(count);
            Some(Vec::new())
        } else {
            let room = if $arriving.is_over() { $room } else { 0 };
            let bytes: Vec<u8> = $io.pending().flatten().copied().take(room).collect();
            $room -= bytes.len();
            $io.written(bytes.len());
            (!bytes.is_empty()).then_some(bytes)
        }
    };
}

pub(crate) use transfer;

/// Limits that a few operations reach.
pub(crate) fn sockets_config() -> socket::Config {
    let mut config = socket::Config::default();
    (config.max_acks, config.max_namespaces, config.max_attachments) = (app::MAX_ACKS, app::MAX_NAMESPACES, 2);
    config.max_packet = 5000;
    config
}
