use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::*;
use crate::engine::ExchangeKind;
use crate::server::{self, Connection};
use crate::socket::encode_event;
use crate::socket::manager::ConnectFailure;
use crate::{Seed, SessionId};

/// A client and a server without a network between them.
struct World {
    now: Instant,
    client: Client,
    server: Option<Connection>,
    /// Requests that the server has not seen.
    requests: Vec<Request>,
    opened: bool,
    to_client: Vec<u8>,
    log: Vec<String>,
    sessions: u8,
}

impl World {
    fn new(transports: &[Transport]) -> (Self, SocketKey) {
        let config =
            engine::client::Config { transports: transports.to_vec().into(), ..engine::client::Config::default() };
        let now = Instant::EPOCH;
        let random = Random::new(Seed::new([7; 32]));
        let mut client = Client::new(Arc::new(config), Arc::default(), random, now);
        let socket = client.socket("/", SocketOptions::default()).unwrap();
        client.connect(now, socket);
        let world = Self {
            now,
            client,
            server: None,
            requests: Vec::new(),
            opened: false,
            to_client: Vec::new(),
            log: Vec::new(),
            sessions: 0,
        };
        (world, socket)
    }

    fn open(&mut self, transport: Transport) -> &mut Connection {
        self.sessions += 1;
        let id = SessionId::generate(&mut Random::new(Seed::new([self.sessions; 32])));
        self.server.insert(Connection::new(Arc::default(), Arc::default(), id, transport, self.now))
    }

    /// Moves both sides until neither has anything to do.
    fn run(&mut self) -> Vec<String> {
        while self.step() {}
        core::mem::take(&mut self.log)
    }

    fn step(&mut self) -> bool {
        let mut input = core::mem::take(&mut self.to_client);
        let mut lent = Input::new(&mut input);
        let mut to_server = Vec::new();
        let mut worked = !lent.is_empty();
        loop {
            match self.client.next(self.now, &mut lent) {
                Next::Event(event) => self.log.extend(say(event)),
                Next::Request(request) => self.requests.push(request),
                Next::CancelRequest(id) => self.requests.retain(|request| request.id != id),
                Next::OpenStream(target) => {
                    assert!(target.contains("transport=websocket"), "{target}");
                    self.opened = true;
                }
                Next::Upgraded => self.log.push("upgraded".into()),
                Next::CloseStream => self.opened = false,
                Next::Continue => {}
                Next::Io(mut io) => {
                    to_server.extend(io.pending().flatten().copied());
                    io.written(to_server.len());
                    break;
                }
            }
            worked = true;
        }
        worked |= !to_server.is_empty();
        if core::mem::take(&mut self.opened) {
            match &mut self.server {
                Some(server) => server.handle_stream(self.now).unwrap(),
                None => _ = self.open(Transport::WebSocket),
            }
            self.client.handle_stream_opened(self.now);
        }
        for request in core::mem::take(&mut self.requests) {
            worked = true;
            let kind = match request.method() {
                "GET" => ExchangeKind::Poll,
                _ => ExchangeKind::Post { body: request.body, binary: false },
            };
            let now = self.now;
            if self.server.is_none() {
                self.open(Transport::Polling);
            }
            let server = self.server.as_mut().unwrap();
            server.handle_exchange(now, engine::Exchange { id: engine::ExchangeId(request.id.0), kind });
        }
        let mut lent = Input::new(&mut to_server);
        while let Some(server) = &mut self.server {
            let (mut joins, mut finished) = (None, false);
            match server.next(self.now, &mut lent) {
                server::Next::Event(crate::socket::Event::Connect { request, .. }) => joins = Some(request),
                server::Next::Event(crate::socket::Event::Message { payload, .. }) => {
                    self.log.push(format!("server: {}", payload.json()));
                }
                server::Next::Answer(id, response) => {
                    self.client.handle_response(self.now, RequestId(id.0), response.status, response.body);
                    worked = true;
                }
                server::Next::Io(mut io) => {
                    self.to_client.extend(io.pending().flatten().copied());
                    io.written(self.to_client.len());
                    break;
                }
                server::Next::Finished => finished = true,
                _ => {}
            }
            if finished {
                self.server = None;
                break;
            }
            if let Some(request) = joins {
                let key = server.accept(request, &SocketId::from("ann")).unwrap();
                assert!(server.emit(key, encode_event("/", "welcome", &(), None).unwrap()));
            }
        }
        worked || !self.to_client.is_empty()
    }
}

fn say(event: Event<'_>) -> Option<String> {
    Some(match event {
        Event::Connect { .. } => "connect".into(),
        Event::ConnectError { error: ConnectFailure::Open(error), .. } => format!("connect_error {error}"),
        Event::Disconnect { reason, .. } => format!("disconnect {reason}"),
        Event::Message { payload, .. } => format!("event {}", payload.json()),
        Event::Opened => "open".into(),
        Event::Error(error) => format!("error {error}"),
        Event::Closed(reason) => format!("close {reason}"),
        Event::ReconnectAttempt(attempt) => format!("attempt {attempt}"),
        Event::Reconnect(attempt) => format!("reconnect {attempt}"),
        Event::ReconnectError(error) => format!("reconnect_error {error}"),
        other => format!("{other:?}"),
    })
}

const TRANSPORTS: [&[Transport]; 3] =
    [&[Transport::WebSocket], &[Transport::Polling], &[Transport::Polling, Transport::WebSocket]];

#[test]
fn a_client_and_a_server_talk_over_each_transport() {
    for transports in TRANSPORTS {
        let (mut world, socket) = World::new(transports);
        world.client.emit(socket, encode_event("/", "early", &1, None).unwrap(), None).unwrap();
        let mut log = world.run();
        log.retain(|line| line != "upgraded");
        // Which side is looked at first is the test's choice.
        log.sort_unstable();
        assert_eq!(log, ["connect", "event [\"welcome\"]", "open", "server: [\"early\",1]"], "{transports:?}");
        assert_eq!(world.client.id(socket).map(SocketId::as_str), Some("ann"));
        assert_eq!(world.client.transport(), transports.last().copied());
        world.client.emit(socket, encode_event("/", "late", &2, None).unwrap(), None).unwrap();
        assert_eq!(world.run(), ["server: [\"late\",2]"]);
        world.client.disconnect(socket);
        let log = world.run();
        assert!(log.contains(&"disconnect io client disconnect".into()), "{log:?}");
        assert!(world.client.is_idle(), "{:?}", world.client);
        assert!(world.server.is_none(), "the server has its goodbye");
    }
}

#[test]
fn a_lost_connection_is_opened_again_and_old_answers_count_for_nothing() {
    let (mut world, socket) = World::new(&[Transport::Polling]);
    world.run();
    // The poll that waits belongs to the first connection.
    let Some(server) = &mut world.server else { panic!() };
    server.close(world.now, CloseReason::TransportClose);
    let log = world.run();
    assert_eq!(log, ["disconnect transport close", "close transport close"]);
    world.client.handle_response(world.now, outer(1, RequestId(99)), 200, "40".into());
    assert!(world.run().is_empty());
    world.now += Duration::from_secs(2);
    let log = world.run();
    assert_eq!(log[..3], ["attempt 1", "open", "reconnect 1"]);
    assert_eq!(world.client.links, 2);
    world.client.handle_response(world.now, outer(1, RequestId(1)), 500, Bytes::new());
    assert!(world.run().is_empty());
    assert!(world.client.manager().is_connected(socket));
}

#[test]
fn a_request_that_fails_is_told_and_tried_again() {
    let (mut world, _) = World::new(&[Transport::Polling]);
    let Next::Request(request) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    world.client.handle_request_failed(world.now, request.id, "connection refused");
    assert_eq!(world.run()[..1], ["error polling error: connection refused"]);
    world.now += Duration::from_secs(2);
    assert_eq!(world.run()[..3], ["attempt 1", "open", "reconnect 1"]);
}

#[test]
fn a_connection_that_is_closing_makes_room_for_the_next() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    world.client.disconnect(socket);
    let Next::Event(_) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    // It is not waited for whether the goodbye arrives.
    world.client.connect(world.now, socket);
    let mut told = Vec::new();
    loop {
        match world.client.next(world.now, &mut Input::empty()) {
            Next::CloseStream => told.push("close"),
            Next::OpenStream(_) => told.push("open"),
            Next::Io(_) => break,
            _ => {}
        }
    }
    assert_eq!(told, ["close", "open"]);
}

#[test]
fn bytes_of_a_connection_that_is_gone_are_dropped() {
    let (mut world, _) = World::new(&[Transport::WebSocket]);
    world.client.close();
    world.run();
    let mut bytes = *b"rest";
    let mut input = Input::new(&mut bytes);
    let Next::Io(io) = world.client.next(world.now, &mut input) else { panic!() };
    assert_eq!((io.deadline(), io.wants_read(), io.pending().count()), (None, false, 0));
    assert!(input.is_empty());
}

#[test]
fn what_was_not_asked_for_makes_no_queue_grow() {
    let (mut world, _) = World::new(&[Transport::WebSocket]);
    let late = world.client.socket("/late", SocketOptions::default()).unwrap();
    world.run();
    let Some(server) = world.server.take() else { panic!() };
    world.client.connect(world.now, late);
    world.client.disconnect(late);
    let mut queued = Vec::new();
    for _ in 0..3 {
        let mut bytes = crate::websocket::Frame::text(r#"40/late,{"sid":"x"}"#).as_bytes().to_vec();
        let mut input = Input::new(&mut bytes);
        while !matches!(world.client.next(world.now, &mut input), Next::Io(_)) {}
        queued.push(world.client.queued());
    }
    assert!(queued[0] > 0, "the server is to forget the socket");
    assert_eq!(queued, [queued[0]; 3]);
    drop(server);
}

#[test]
fn a_socket_that_waits_in_vain_is_not_left_alone_on_a_connection() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    // From now on the server does not answer.
    world.server = None;
    let late = world.client.socket("/late", SocketOptions::default()).unwrap();
    world.client.connect(world.now, late);
    world.run();
    world.now += Duration::from_secs(20);
    let log = world.run();
    assert!(log.iter().any(|line| line.contains("ConnectError")), "{log:?}");
    assert!(world.client.manager().is_open(), "the other socket needs it");
    world.client.disconnect(socket);
    world.run();
    assert!(!world.client.manager().is_open() && world.client.manager().is_active(late));
}
