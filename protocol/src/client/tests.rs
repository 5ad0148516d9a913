use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::ExchangeKind;
use crate::server::{self, Connection};
use crate::socket::encode_event;
use crate::socket::manager::ConnectFailure;
use crate::{Seed, SessionId};

mod calls;

/// A client and a server without a network between them.
struct World {
    now: Instant,
    client: Client,
    server: Option<Connection>,
    /// Requests that the server has not seen.
    requests: Vec<Request>,
    /// The target of a stream that is to be opened.
    opened: Option<String>,
    /// The stream was dropped by the client.
    dropped: bool,
    to_client: Vec<u8>,
    /// Credentials that the application was asked for.
    asked: Vec<AuthRequest>,
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
            opened: None,
            dropped: false,
            to_client: Vec::new(),
            asked: Vec::new(),
            log: Vec::new(),
            sessions: 0,
        };
        (world, socket)
    }

    fn open(&mut self, transport: Transport) -> &mut Connection {
        self.sessions += 1;
        let id = self.sid();
        (self.dropped, self.to_client) = (false, Vec::new());
        self.server.insert(Connection::new(Arc::default(), Arc::default(), id, transport, self.now))
    }

    fn sid(&self) -> SessionId {
        SessionId::generate(&mut Random::new(Seed::new([self.sessions; 32])))
    }

    /// Whether a request is for the session that the server has.
    fn is_current(&self, target: &str) -> bool {
        self.server.is_some() && target.ends_with(&["&sid=", self.sid().as_str()].concat())
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
                Next::Event(Event::Authenticate(request)) => self.asked.push(request),
                Next::Event(event) => self.log.extend(say(event)),
                Next::Request(request) => self.requests.push(request),
                Next::CancelRequest(id) => self.requests.retain(|request| request.id != id),
                Next::OpenStream(target) => {
                    assert!(target.contains("transport=websocket"), "{target}");
                    self.opened = Some(target);
                }
                Next::Upgraded => self.log.push("upgraded".into()),
                Next::CloseStream => (self.opened, self.dropped) = (None, true),
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
        if let Some(target) = self.opened.take() {
            let is_new = !target.contains("&sid=");
            if is_new {
                self.open(Transport::WebSocket);
            }
            let current = self.is_current(&target);
            let mut server = self.server.as_mut().filter(|_| current);
            if is_new || server.as_mut().is_some_and(|server| server.handle_stream(self.now).is_ok()) {
                self.client.handle_stream_opened(self.now);
            } else {
                self.client.handle_stream_failed(self.now, "refused");
            }
        }
        for request in core::mem::take(&mut self.requests) {
            worked = true;
            let kind = match request.method() {
                "GET" => ExchangeKind::Poll,
                _ => ExchangeKind::Post { body: request.body, binary: false },
            };
            let now = self.now;
            if !request.target.contains("&sid=") {
                self.open(Transport::Polling);
            } else if !self.is_current(&request.target) {
                self.client.handle_request_failed(now, request.id, "gone");
                continue;
            }
            let server = self.server.as_mut().unwrap();
            server.handle_exchange(now, engine::Exchange { id: engine::ExchangeId(request.id.0), kind });
        }
        let mut lent = Input::new(&mut to_server);
        while let Some(server) = &mut self.server {
            let (mut joins, mut finished) = (None, false);
            match server.next(self.now, &mut lent) {
                server::Next::Event(crate::socket::Event::Connect { request, auth, .. }) => {
                    if !auth.json().is_empty() {
                        self.log.push(format!("auth: {}", auth.json()));
                    }
                    joins = Some(request);
                }
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
            // The client may have left meanwhile.
            if let Some(key) = joins.and_then(|request| server.accept(request, &SocketId::from("ann"))) {
                assert!(server.emit(key, encode_event("/", "welcome", &(), None).unwrap()));
            }
        }
        if core::mem::take(&mut self.dropped)
            && let Some(server) = &mut self.server
        {
            self.to_client.clear();
            server.handle_stream_closed(self.now);
            return true;
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
        Event::AckFailed { id, error, .. } => format!("ack {id} {error}"),
        Event::Opened => "open".into(),
        Event::Ping => "ping".into(),
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
fn time_does_not_run_backwards_for_the_next_connection() {
    let (mut world, _) = World::new(&[Transport::Polling]);
    let later = world.now + Duration::from_secs(3600);
    world.client.handle_stream_closed(later);
    loop {
        if let Next::Io(io) = world.client.next(world.now, &mut Input::empty()) {
            return assert!(io.deadline().unwrap() > later);
        }
    }
}

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
    let last = world.client.requests;
    assert!(last > 2);
    assert_eq!(world.client.connections(), 1);
    world.client.handle_response(world.now, RequestId(last), 200, "40".into());
    assert!(world.run().is_empty());
    world.now += Duration::from_secs(2);
    let log = world.run();
    assert_eq!(log[..3], ["attempt 1", "open", "reconnect 1"]);
    for old in 0..=last {
        world.client.handle_response(world.now, RequestId(old), 500, Bytes::new());
        world.client.handle_request_failed(world.now, RequestId(old), "refused");
    }
    assert!(world.run().is_empty());
    assert!(world.client.manager().is_connected(socket));
    assert_eq!(world.client.connections(), 2);
}

#[test]
fn no_two_requests_have_the_same_id() {
    let (mut world, _) = World::new(&[Transport::Polling]);
    world.client.requests = u64::from(u32::MAX) - 3;
    let mut last = world.client.requests;
    for _ in 0..3 {
        loop {
            let Next::Request(request) = world.client.next(world.now, &mut Input::empty()) else { continue };
            assert_eq!(request.id.0, last + 1);
            last += 1;
            world.client.handle_request_failed(world.now, request.id, "refused");
            break;
        }
        while !matches!(world.client.next(world.now, &mut Input::empty()), Next::Io(_)) {}
        world.now += Duration::from_secs(10);
    }
    assert_eq!(world.run()[..3], ["attempt 3", "open", "reconnect 3"], "beyond 32 bits as well");
}

#[test]
fn pings_are_told() {
    for transports in TRANSPORTS {
        let (mut world, _) = World::new(transports);
        world.run();
        world.now += Duration::from_secs(25);
        assert_eq!(world.run(), ["ping"], "{transports:?}");
        world.client.close();
        world.run();
    }
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
fn an_error_of_an_open_connection_names_the_transport() {
    let (mut world, _) = World::new(&[Transport::Polling]);
    world.run();
    // One of them is the poll that waits.
    for id in 1..=9 {
        world.client.handle_response(world.now, RequestId(id), 502, Bytes::new());
    }
    let told = ["error polling error: status 502", "disconnect transport error", "close transport error"];
    assert_eq!(world.run()[..3], told);
}

#[test]
fn a_connection_that_is_closing_makes_room_for_the_next_once_it_is_written() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    world.client.emit(socket, encode_event("/", "last", &(), None).unwrap(), None).unwrap();
    world.client.disconnect(socket);
    world.client.connect(world.now, socket);
    // It is not waited for whether the server says goodbye.
    let mut told = Vec::new();
    loop {
        match world.client.next(world.now, &mut Input::empty()) {
            Next::CloseStream => told.push("close"),
            Next::OpenStream(_) => told.push("open"),
            Next::Io(mut io) => {
                let pending = io.pending().map(<[u8]>::len).sum();
                if pending == 0 {
                    break;
                }
                told.push("write");
                io.written(pending);
            }
            _ => {}
        }
    }
    assert_eq!(told, ["write", "close", "open"]);
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

#[derive(Copy, Clone, Debug)]
enum Op {
    Emit,
    Connect,
    Disconnect,
    Close,
    /// The server ends the session.
    Lose,
    /// One turn of both sides, or all that there are.
    Step,
    Run,
    Wait(u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Emit),
        2 => Just(Op::Connect),
        1 => Just(Op::Disconnect),
        1 => Just(Op::Close),
        1 => Just(Op::Lose),
        6 => Just(Op::Step),
        3 => Just(Op::Run),
        4 => (0..30_000_u16).prop_map(Op::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn whatever_happens_events_keep_their_order_and_nothing_is_left(
        ops in proptest::collection::vec(op(), 0..60),
        transports in 0..TRANSPORTS.len(),
    ) {
        let (mut world, socket) = World::new(TRANSPORTS[transports]);
        let (mut number, mut log) = (0, Vec::new());
        let emit = |world: &mut World, number: &mut u32| {
            *number += 1;
            world.client.emit(socket, encode_event("/", "e", number, None).unwrap(), None).unwrap();
        };
        for op in ops {
            match op {
                Op::Emit => emit(&mut world, &mut number),
                Op::Connect => world.client.connect(world.now, socket),
                Op::Disconnect => world.client.disconnect(socket),
                Op::Close => world.client.close(),
                Op::Lose => _ = world.server.as_mut().map(|server| server.close(world.now, CloseReason::TransportClose)),
                Op::Step => _ = world.step(),
                Op::Run => log.extend(world.run()),
                Op::Wait(ms) => world.now += Duration::from_millis(ms.into()),
            }
        }
        // With a healthy server, what is emitted now arrives.
        world.client.connect(world.now, socket);
        for _ in 0..10 {
            log.extend(world.run());
            world.now += Duration::from_secs(5);
        }
        prop_assert!(world.client.manager().is_connected(socket), "{:?}", log);
        emit(&mut world, &mut number);
        log.extend(world.run());
        world.client.close();
        log.extend(world.run());
        prop_assert!(world.client.is_idle(), "{:?}", world.client);

        let is_state = |line: &&str| *line == "connect" || line.starts_with("disconnect ");
        let states: Vec<&str> = log.iter().map(String::as_str).filter(is_state).collect();
        prop_assert!(states.chunks(2).all(|pair| pair[0] == "connect" && pair[1] != "connect"), "{:?}", states);
        let arrived = log.iter().filter_map(|line| line.strip_prefix("server: [\"e\",")?.strip_suffix(']'));
        let arrived: Vec<u32> = arrived.map(|number| number.parse().unwrap()).collect();
        prop_assert!(arrived.is_sorted_by(|a, b| a < b), "{:?}", arrived);
        prop_assert_eq!(arrived.last(), Some(&number));
    }
}
