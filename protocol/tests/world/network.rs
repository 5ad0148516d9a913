//! What lies between the clients and the server: HTTP requests, each on a connection of its own, and streams. Everything
//! takes its time, may be torn at any byte, and may be lost with or without a word.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::mem;

use bytes::Bytes;
use socketio_protocol::engine::client::{Request, RequestId};
use socketio_protocol::websocket::Key;

use super::chance::mix;
use super::clock::Time;

mod exchanges;
mod faults;
mod streams;

/// The two sides: of a stream, of a connection.
pub(crate) const CLIENT: usize = 0;
pub(crate) const SERVER: usize = 1;
pub(crate) const SIDES: [usize; 2] = [CLIENT, SERVER];

/// What is due. Numbers are those of exchanges and streams.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parcel {
    Request(u64),
    Answer(u64),
    /// The client is told that its request has failed; the server, that the request was given up.
    Failed(u64),
    Aborted(u64),
    /// The client asks for a stream; it has got it; it gets none.
    Ask(u64),
    Opened(u64),
    Refused(u64),
    /// Of a stream, from this side: bytes, and its end.
    Bytes(u64, usize),
    End(u64, usize),
}

/// An HTTP request, until both sides are done with it.
pub(crate) struct Exchange {
    pub(crate) client: usize,
    /// The client's connection that it belongs to.
    pub(crate) link: u64,
    pub(crate) id: RequestId,
    /// Until it is there.
    pub(crate) request: Option<Request>,
    answer: Option<(u16, Bytes)>,
    client_waits: bool,
    /// The client was told what became of it.
    told: bool,
    server_owes: bool,
    /// When it is there.
    due: Time,
    /// What the server answers is lost; whether that is told.
    lost: Option<bool>,
}

/// A WebSocket stream, or the attempt to open one.
pub(crate) struct Stream {
    pub(crate) client: usize,
    pub(crate) link: u64,
    pub(crate) target: String,
    pub(crate) key: Key,
    /// Who holds it.
    open: [bool; 2],
    /// Did not arrive yet.
    asked: bool,
    /// From either side.
    pipes: [Pipe; 2],
}

#[derive(Default)]
struct Pipe {
    segments: VecDeque<Vec<u8>>,
    /// How many are on the way.
    bytes: usize,
    /// More were offered.
    is_full: bool,
    /// When the last of them is there.
    last: Time,
    /// Nothing arrives any more, and nobody knows.
    dead: bool,
    /// Nothing is taken before.
    stalled: Time,
}

/// The way to one client.
#[derive(Default)]
pub(crate) struct Route {
    latency: u64,
    jitter: u64,
    /// The most that is taken or arrives at once.
    chunk: u64,
    pub(crate) dark: Time,
    pub(crate) blocked: Time,
    /// The next request, or its answer, is lost; whether that is told.
    pub(crate) lose: Option<(bool, bool)>,
    pub(crate) late: u64,
    draws: u64,
}

#[derive(Default)]
pub(crate) struct Network {
    pub(crate) now: Time,
    pub(crate) seed: u64,
    pub(crate) routes: Vec<Route>,
    pub(crate) exchanges: BTreeMap<u64, Exchange>,
    pub(crate) streams: BTreeMap<u64, Stream>,
    parcels: BinaryHeap<Reverse<(Time, u64, Parcel)>>,
    serial: u64,
    /// Of all that was noted: what tells two runs apart.
    pub(crate) digest: u64,
}

impl Network {
    /// Bytes of a stream that may be on their way in one direction.
    const WINDOW: usize = 16_000;

    /// A number below `end`, by chance. Each client has chance of its own, so that a shorter list of decisions changes little.
    pub(crate) fn draw(&mut self, client: usize, end: u64) -> u64 {
        let route = &mut self.routes[client];
        route.draws += 1;
        mix(self.seed ^ mix((client as u64) << 32 | route.draws)) % end
    }

    pub(crate) fn add_route(&mut self, latency: u64, jitter: u64, chunk: u64) {
        self.routes.push(Route { latency, jitter, chunk, ..Route::default() });
    }

    /// Something has happened at this time, with these bytes.
    fn note(&mut self, bytes: &[u8]) {
        self.digest = mix(self.digest ^ self.now);
        for chunk in bytes.chunks(8) {
            self.digest = mix(self.digest ^ chunk.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)));
        }
    }

    pub(crate) fn next_due(&self) -> Option<Time> {
        self.parcels.peek().map(|Reverse((due, ..))| *due)
    }

    /// What is due by now.
    pub(crate) fn pop(&mut self) -> Option<Parcel> {
        self.next_due().filter(|due| *due <= self.now)?;
        self.parcels.pop().map(|Reverse((.., parcel))| parcel)
    }

    pub(crate) fn is_dark(&self, client: usize) -> bool {
        self.now < self.routes[client].dark
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn post(&mut self, due: Time, parcel: Parcel) {
        let number = self.number();
        self.parcels.push(Reverse((due, number, parcel)));
    }

    fn arrival(&mut self, client: usize) -> Time {
        let (latency, jitter) = (self.routes[client].latency, self.routes[client].jitter);
        self.now + latency + self.draw(client, jitter + 1)
    }
}

/// Reads as much of `rest` into `target` as there is room.
pub(crate) fn fill(target: &mut [u8], rest: &mut &mut [u8]) -> usize {
    let count = rest.len().min(target.len());
    let (head, tail) = mem::take(rest).split_at_mut(count);
    target[..count].copy_from_slice(head);
    *rest = tail;
    count
}
