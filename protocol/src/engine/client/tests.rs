use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::mem;

use super::*;
use crate::Seed;
use crate::websocket::{Decoder, Incoming, Role};

mod hostile;
mod opening;
mod polling;
mod properties;
mod together;
mod upgrade;
mod websocket;

const MS: Duration = Duration::from_millis(1);
const POLLING: &[Transport] = &[Transport::Polling];
const WEBSOCKET: &[Transport] = &[Transport::WebSocket];
const UPGRADING: &[Transport] = &[Transport::Polling, Transport::WebSocket];
const HANDSHAKE: &str =
    r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":100}"#;

fn config(transports: &'static [Transport]) -> Config {
    Config { transports: transports.into(), ..Config::default() }
}

/// A client and everything around it: the clock, HTTP, the stream's other end, the application.
struct World {
    client: Client,
    now: Instant,
    /// Bytes from the server that were not read yet, and how many one read gives.
    inbound: Vec<u8>,
    read_size: usize,
    /// Whether the server reads from its stream.
    reads: bool,
    /// What was written to the stream.
    outbound: Vec<u8>,
    decoder: Decoder,
    /// Pings that were told.
    pings: u32,
    /// What else came out since the last look.
    log: Vec<String>,
}

impl World {
    fn new(config: Config) -> Self {
        let now = Instant::EPOCH + 1000 * MS;
        let mut world = Self {
            client: Client::new(Arc::new(config), Random::new(Seed::new([7; 32])), now),
            now,
            inbound: Vec::new(),
            read_size: usize::MAX,
            reads: true,
            outbound: Vec::new(),
            decoder: Decoder::new(Role::Server, 1 << 24),
            pings: 0,
            log: Vec::new(),
        };
        world.run();
        world
    }

    /// An open session that polls: request 2 waits.
    fn polling() -> Self {
        Self::polling_with(config(POLLING))
    }

    fn polling_with(config: Config) -> Self {
        let mut world = Self::new(config);
        world.answer(1, HANDSHAKE);
        let log = world.log();
        assert_eq!(log[..2], ["1: GET", "opened"]);
        assert_eq!(log.last().unwrap(), "2: GET");
        world
    }

    /// An open session over WebSocket.
    fn websocket() -> Self {
        let mut world = Self::new(config(WEBSOCKET));
        world.open_stream();
        world.text(HANDSHAKE);
        assert_eq!(world.log(), ["stream /engine.io/?EIO=4&transport=websocket", "opened"]);
        world
    }

    /// A session that polls by request 2, and whose probe was sent.
    fn probing() -> Self {
        let mut world = Self::polling_with(config(UPGRADING));
        world.open_stream();
        assert_eq!(world.frames(), ["2probe"]);
        assert_eq!(world.log(), [""; 0]);
        world
    }

    fn answer(&mut self, id: u64, body: &str) {
        self.respond(id, 200, body);
    }

    fn respond(&mut self, id: u64, status: u16, body: &str) {
        self.client.handle_response(self.now, RequestId(id), status, Bytes::copy_from_slice(body.as_bytes()));
        self.run();
    }

    fn fail(&mut self, id: u64) {
        self.client.handle_request_failed(self.now, RequestId(id), "refused");
        self.run();
    }

    fn open_stream(&mut self) {
        self.client.handle_stream_opened(self.now);
        self.run();
    }

    fn end_stream(&mut self) {
        self.client.handle_stream_closed(self.now);
        self.run();
    }

    fn fail_stream(&mut self) {
        self.client.handle_stream_failed(self.now, "refused");
        self.run();
    }

    fn send(&mut self, text: &str) {
        self.client.send(self.now, Packet::text(text)).unwrap();
        self.run();
    }

    fn close(&mut self) {
        self.client.close(self.now);
        self.run();
    }

    fn frame(&mut self, frame: &Frame) {
        self.inbound.extend_from_slice(frame.as_bytes());
        self.run();
    }

    fn text(&mut self, text: &str) {
        self.frame(&Frame::text(text));
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    /// What came out since the last look.
    fn log(&mut self) -> Vec<String> {
        mem::take(&mut self.log)
    }

    /// What the server got on its stream since the last look.
    fn frames(&mut self) -> Vec<String> {
        read_frames(&mut self.decoder, &mut mem::take(&mut self.outbound))
    }

    fn deadline(&mut self) -> Instant {
        match self.client.next(self.now, &mut Input::empty()) {
            Next::Io(io) => io.deadline(),
            next => panic!("{next:?}"),
        }
    }

    /// Lets the client go on until it wants nothing but new input.
    fn run(&mut self) {
        while self.turn() {}
    }

    /// One read, and all that follows. Whether there may be more to do.
    fn turn(&mut self) -> bool {
        let rest = self.inbound.split_off(self.read_size.min(self.inbound.len()));
        let mut bytes = mem::replace(&mut self.inbound, rest);
        let mut input = Input::new(&mut bytes);
        loop {
            let next = self.client.next(self.now, &mut input);
            let Next::Io(mut io) = next else {
                if let Next::Ping = next {
                    self.pings += 1;
                    continue;
                }
                let entry = describe(next);
                let finished = entry == "finished";
                if !finished || self.log.last() != Some(&entry) {
                    self.log.push(entry);
                }
                if finished {
                    return false;
                }
                continue;
            };
            assert!(input.is_empty(), "asked for input before all was taken");
            assert!(io.deadline() > self.now, "would be called again and again");
            let pending: Vec<u8> = io.pending().flatten().copied().collect();
            if self.reads {
                io.written(pending.len());
                self.outbound.extend_from_slice(&pending);
            }
            return !self.inbound.is_empty() || (self.reads && !pending.is_empty());
        }
    }
}

/// What came out, in short: a POST with its body, targets without what is random.
fn describe(next: Next<'_, '_>) -> String {
    match next {
        Next::Opened => "opened".to_string(),
        Next::Message(Message::Text(text)) => format!("text {text}"),
        Next::Message(Message::Binary(binary)) => format!("binary {:?}", binary.as_slice()),
        Next::Request(request) if request.body.is_empty() => format!("{}: GET", request.id.0),
        Next::Request(request) => {
            format!("{}: POST {}", request.id.0, core::str::from_utf8(&request.body).unwrap())
        }
        Next::CancelRequest(id) => format!("{}: cancelled", id.0),
        Next::OpenStream(target) => format!("stream {target}"),
        Next::Upgraded => "upgraded".to_string(),
        Next::Ping => "ping".to_string(),
        Next::CloseStream => "close stream".to_string(),
        Next::Failed(error) => format!("failed: {error}"),
        Next::Closed(reason, None) => format!("closed: {reason}"),
        Next::Closed(reason, Some(cause)) => format!("closed: {reason}: {cause}"),
        Next::Finished => "finished".to_string(),
        Next::Io(_) => "io".to_string(),
    }
}

fn read_frames(decoder: &mut Decoder, bytes: &mut [u8]) -> Vec<String> {
    let mut input = Input::new(bytes);
    let mut frames = Vec::new();
    while let Some(incoming) = decoder.next(&mut input).unwrap() {
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

/// Runs a scenario with the stream's input whole, and byte by byte.
fn whole_and_by_bytes(scenario: impl Fn(usize)) {
    scenario(usize::MAX);
    scenario(1);
}

#[test]
fn time_does_not_run_backwards() {
    let mut world = World::websocket();
    world.wait(499 * MS);
    let deadline = world.deadline();
    world.now = Instant::EPOCH;
    assert_eq!(world.deadline(), deadline);
    world.text("2");
    assert_eq!(world.deadline(), Instant::EPOCH + 1999 * MS);
}

#[test]
fn a_client_does_not_show_its_secret_id() {
    let shown = format!("{:?}", World::websocket().client);
    assert!(shown.contains("WebSocket") && !shown.contains("abc") && !shown.contains("sid"), "{shown}");
}

#[test]
fn everything_after_the_end_is_harmless() {
    for mut world in [World::polling(), World::websocket(), World::probing()] {
        world.client.abort(world.now, CloseReason::TransportClose);
        world.run();
        let log = world.log();
        assert_eq!(log[0], "closed: transport close");
        assert_eq!(log.last().unwrap(), "finished");
        world.answer(2, "4late");
        world.fail(1);
        world.open_stream();
        world.text("4late");
        world.end_stream();
        world.fail_stream();
        world.close();
        world.client.abort(world.now, CloseReason::TransportError);
        world.wait(60_000 * MS);
        assert_eq!(world.client.send(world.now, Packet::text("late")), Err(SendError::Closed));
        assert_eq!(world.log(), ["finished"]);
        assert_eq!(world.frames(), [""; 0]);
        assert_eq!(world.client.queued(), 0);
    }
}
