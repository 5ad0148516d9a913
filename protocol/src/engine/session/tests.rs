use alloc::string::{String, ToString};
use alloc::vec;
use core::mem;
use core::time::Duration;

use super::*;
use crate::websocket::Incoming;
use crate::{Random, Seed};

mod heartbeat;
mod polling;
mod properties;
mod upgrade;
mod websocket;

/// One session and everything around it: the clock, the HTTP client, the stream's other end, the application.
struct World {
    session: Session,
    now: Instant,
    /// The next exchange's number.
    exchange: u64,
    /// Bytes from the client that were not read yet, and how many one read gives.
    inbound: Vec<u8>,
    read_size: usize,
    /// Whether the client reads from its stream.
    reads: bool,
    /// What was written to the stream.
    outbound: Vec<u8>,
    decoder: Decoder,
    /// Whether the application sends every message back.
    echoes: bool,
    /// What came out since the last look.
    log: Vec<String>,
}

const MS: Duration = Duration::from_millis(1);
const UNKNOWN: &str = r#"400 {"code":1,"message":"Session ID unknown"}"#;
const BAD_REQUEST: &str = r#"400 {"code":3,"message":"Bad request"}"#;

fn config() -> Config {
    Config { ping_interval: 300 * MS, ping_timeout: 200 * MS, ..Config::default() }
}

impl World {
    fn new(config: Config, transport: Transport) -> Self {
        let id = SessionId::generate(&mut Random::new(Seed::new([7; 32])));
        let now = Instant::EPOCH + 1000 * MS;
        Self {
            session: Session::new(Arc::new(config), id, transport, now),
            now,
            exchange: 0,
            inbound: Vec::new(),
            read_size: usize::MAX,
            reads: true,
            outbound: Vec::new(),
            decoder: Decoder::new(Role::Client, 1 << 24),
            echoes: false,
            log: Vec::new(),
        }
    }

    /// A polling session whose handshake is done.
    fn polling() -> Self {
        Self::polling_with(config())
    }

    fn polling_with(config: Config) -> Self {
        let mut world = Self::new(config, Transport::Polling);
        world.poll();
        assert_eq!(world.log.len(), 1);
        world.log.clear();
        world
    }

    /// A WebSocket session whose handshake is done.
    fn websocket() -> Self {
        Self::websocket_with(config())
    }

    fn websocket_with(config: Config) -> Self {
        let mut world = Self::new(config, Transport::WebSocket);
        world.run();
        assert_eq!(world.frames().len(), 1);
        world
    }

    /// A polling session with a stream on which the probe was answered.
    fn probed() -> Self {
        let mut world = Self::polling();
        world.session.handle_stream(world.now).unwrap();
        world.text("2probe");
        assert_eq!(world.frames(), ["3probe"]);
        assert_eq!(world.log(), [""; 0]);
        world
    }

    fn poll(&mut self) -> u64 {
        self.request(ExchangeKind::Poll)
    }

    fn post(&mut self, body: &str) -> u64 {
        self.request(ExchangeKind::Post { body: Bytes::copy_from_slice(body.as_bytes()), binary: false })
    }

    fn request(&mut self, kind: ExchangeKind) -> u64 {
        let id = self.submit(kind);
        self.run();
        id
    }

    /// A request, without letting the session go on.
    fn submit(&mut self, kind: ExchangeKind) -> u64 {
        self.exchange += 1;
        self.session.handle_exchange(self.now, Exchange { id: ExchangeId(self.exchange), kind });
        self.exchange
    }

    fn abort(&mut self, id: u64) {
        self.session.handle_abort(self.now, ExchangeId(id));
        self.run();
    }

    fn close(&mut self) {
        self.session.close(self.now, CloseReason::ForcedClose);
        self.run();
    }

    fn end_stream(&mut self) {
        self.session.handle_stream_closed(self.now);
        self.run();
    }

    fn send(&mut self, text: &str) {
        self.session.send(Packet::text(text)).unwrap();
        self.run();
    }

    /// Frames from the client, without letting the session go on.
    fn write(&mut self, frames: &[Frame]) {
        frames.iter().for_each(|frame| frame.write_masked([1, 2, 3, 4], &mut self.inbound));
    }

    fn frame(&mut self, frame: Frame) {
        self.write(&[frame]);
        self.run();
    }

    fn text(&mut self, text: &str) {
        self.frame(Frame::text(text));
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    /// What came out since the last look.
    fn log(&mut self) -> Vec<String> {
        mem::take(&mut self.log)
    }

    /// What the client got on its stream since the last look.
    fn frames(&mut self) -> Vec<String> {
        let mut bytes = mem::take(&mut self.outbound);
        let mut input = Input::new(&mut bytes);
        let mut frames = Vec::new();
        while let Some(incoming) = self.decoder.next(&mut input).unwrap() {
            frames.push(match incoming {
                Incoming::Text(text) => text.to_string(),
                Incoming::Binary(bytes) => format!("binary {:?}", bytes.as_slice()),
                Incoming::Ping(_) => "ping".to_string(),
                Incoming::Pong(payload) => format!("pong {payload:?}"),
                Incoming::Close(None) => "close".to_string(),
                Incoming::Close(Some(code)) => format!("close {}", code.0),
            });
        }
        frames
    }

    fn deadline(&mut self) -> Instant {
        match self.session.next(self.now, &mut Input::empty()) {
            Next::Io(io) => io.deadline(),
            next => panic!("{next:?}"),
        }
    }

    fn reads_input(&mut self) -> bool {
        match self.session.next(self.now, &mut Input::empty()) {
            Next::Io(io) => io.wants_read(),
            next => panic!("{next:?}"),
        }
    }

    /// Lets the session go on until it wants nothing but new input.
    fn run(&mut self) {
        while self.turn() {}
    }

    /// One read, and all that follows. Whether there may be more to do.
    fn turn(&mut self) -> bool {
        let rest = self.inbound.split_off(self.read_size.min(self.inbound.len()));
        let mut bytes = mem::replace(&mut self.inbound, rest);
        let mut input = Input::new(&mut bytes);
        loop {
            let entry = match self.session.next(self.now, &mut input) {
                Next::Message(Message::Text(text)) => {
                    let (text, entry) = (text.to_string(), format!("text {text}"));
                    if self.echoes {
                        self.session.send(Packet::text(&text)).unwrap();
                    }
                    entry
                }
                Next::Message(Message::Binary(binary)) => {
                    let (bytes, entry) = (binary.as_slice().to_vec(), format!("binary {:?}", binary.as_slice()));
                    if self.echoes {
                        self.session.send(Packet::binary(&bytes)).unwrap();
                    }
                    entry
                }
                Next::Answer(id, response) => {
                    let body = core::str::from_utf8(&response.body).unwrap();
                    format!("{}: {} {body}", id.0, response.status).trim_end().to_string()
                }
                Next::Upgraded => "upgraded".to_string(),
                Next::CloseStream => "close stream".to_string(),
                Next::Closed(reason) => format!("closed: {reason}"),
                Next::Finished => {
                    if self.log.last().is_none_or(|last| last != "finished") {
                        self.log.push("finished".to_string());
                    }
                    return false;
                }
                Next::Io(mut io) => {
                    assert!(input.is_empty(), "asked for input before all was taken");
                    assert!(io.deadline() > self.now, "would be called again and again");
                    let pending: Vec<u8> = io.pending().flatten().copied().collect();
                    if self.reads {
                        io.written(pending.len());
                        self.outbound.extend_from_slice(&pending);
                    }
                    return !self.inbound.is_empty() || (self.reads && !pending.is_empty());
                }
            };
            self.log.push(entry);
        }
    }
}

/// Runs a scenario with the stream's input whole, and byte by byte.
fn whole_and_by_bytes(scenario: impl Fn(usize)) {
    scenario(usize::MAX);
    scenario(1);
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 264, "{} bytes", size_of::<Session>());
}

#[test]
fn a_session_does_not_show_its_secret_id() {
    let world = World::new(config(), Transport::WebSocket);
    let shown = format!("{:?}", world.session);
    assert!(
        shown.contains("WebSocket") && !shown.contains("bytes") && !shown.contains(world.session.id().as_str()),
        "{shown}"
    );
}

#[test]
fn time_does_not_run_backwards() {
    let mut world = World::websocket();
    world.wait(299 * MS);
    let deadline = world.deadline();
    world.now = Instant::EPOCH;
    assert_eq!(world.deadline(), deadline);
    world.text("3");
    assert_eq!(world.deadline(), Instant::EPOCH + 1599 * MS);
}

#[test]
fn the_queue_drops_its_room_when_it_is_empty() {
    let mut queue = Queue::default();
    for _ in 0..1000 {
        queue.push(Packet::text("x"));
    }
    assert_eq!(queue.cost(), 1000 * (4 + Packet::OVERHEAD));
    queue.written(usize::MAX);
    assert!(queue.capacity() <= Queue::IDLE_CAPACITY);
    assert_eq!((queue.cost(), queue), (0, Queue::default()));
}

#[test]
fn the_room_of_a_burst_is_kept_until_the_next_ping() {
    let mut world = World::websocket();
    (0..16).for_each(|_| world.session.send(Packet::text("x")).unwrap());
    world.run();
    assert!(world.session.queue.capacity() >= 16);
    world.wait(300 * MS);
    assert!(world.session.queue.capacity() <= Queue::IDLE_CAPACITY);
}

#[test]
fn bytes_are_offered_until_they_are_written_whatever_the_portions() {
    for portion in 1..9 {
        let mut queue = Queue::default();
        let rest: Arc<[Frame]> = Arc::from([Frame::binary(&[1, 2, 3]), Frame::binary(&[])]);
        queue.push(Packet::from_frames(Frame::text("452-[]"), Some(rest)));
        queue.push_pong(Frame::pong(b"a"));
        queue.push(Packet::text("x"));
        let whole: Vec<u8> = queue.bytes().flatten().copied().collect();
        let mut written = Vec::new();
        while !queue.is_empty() {
            let offered: Vec<u8> = queue.bytes().flatten().copied().take(portion).collect();
            queue.written(offered.len());
            written.extend(offered);
        }
        assert_eq!(written, whole);
        assert_eq!(queue.cost(), 0);
    }
}
