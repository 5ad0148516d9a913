//! A client and a server that keep the rules, and a network between them that delays, splits and cuts: while a socket stays
//! connected, what one side sends the other gets once and in order, and every answer comes once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socketio_protocol::client::{Client, Next};
use socketio_protocol::engine::client::{Request, RequestId};
use socketio_protocol::engine::{self, Exchange, ExchangeId, ExchangeKind, Packet, Transport};
use socketio_protocol::server::{self, Connection};
use socketio_protocol::socket::manager::{self, ExpectedAck, SocketOptions};
use socketio_protocol::socket::{self, Binary, ConnectRequest, Event, Payload, SocketKey, encode_ack, encode_event};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId, SocketId};

use crate::machines::network::client_config;
use crate::machines::{Ops, Trial, World, drive, renew};

/// Operations of the network and of both applications.
pub fn pair(data: &[u8]) {
    drive::<Pair>(data);
}

const NAMESPACES: [&str; 2] = ["/", "/a"];

struct Pair {
    trial: Trial,
    random: Random,
    client: Client,
    servers: Vec<Server>,
    engine: Arc<engine::Config>,
    /// On the way to a server.
    requests: Vec<Request>,
    /// With a server, or on the way back.
    open: BTreeMap<u64, usize>,
    answers: Vec<(RequestId, u16, Bytes)>,
    links: Vec<Link>,
    /// Of each namespace.
    sides: [Side; 2],
    deadline: Option<Instant>,
}

/// A session at the server.
struct Server {
    id: SessionId,
    connection: Connection,
    deadline: Option<Instant>,
    finished: bool,
}

/// A stream, whose ends are let go one by one.
struct Link {
    /// Asked for, and not decided about.
    target: Option<String>,
    client: bool,
    server: Option<usize>,
    up: Vec<u8>,
    down: Vec<u8>,
}

/// A namespace.
struct Side {
    socket: SocketKey,
    connected: bool,
    /// The socket of the server that let the client in last, while it is there.
    peer: Option<(usize, SocketKey)>,
    /// The latest of the client's connections over which it was let in.
    latest: usize,
    up: Flow,
    down: Flow,
    /// Ids of the events of the client, and the server, that are to be answered.
    asked: [BTreeSet<u64>; 2],
}

/// Numbered events one way.
#[derive(Debug, Default)]
struct Flow {
    sent: u64,
    received: u64,
    /// What was sent until then may be lost.
    lost: u64,
}

impl Flow {
    fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    fn receive(&mut self, number: u64) {
        assert!(number > self.received && number <= self.sent, "twice, or out of order: {number} of {self:?}");
        assert!(
            number == self.received + 1 || number <= self.lost + 1,
            "something is missing before {number} of {self:?}"
        );
        self.received = number;
    }
}

impl World for Pair {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let mut random = Random::new(Seed::new([6; 32]));
        let mut config = client_config(ops);
        (config.max_payload, config.max_handshake) = (100_000, 300);
        let sockets = Arc::new(manager::Config::default());
        let mut client = Client::new(Arc::new(config), sockets, random.fork(), trial.now());
        let sides = NAMESPACES.map(|namespace| {
            let socket = client.socket(namespace, SocketOptions::default()).expect("a name");
            client.connect(trial.now(), socket);
            let asked = [BTreeSet::new(), BTreeSet::new()];
            Side { socket, connected: false, peer: None, latest: 0, up: Flow::default(), down: Flow::default(), asked }
        });
        let mut engine = engine::Config::default();
        engine.max_payload = *ops.pick(&[1_000_000, 100]);
        Self {
            trial,
            random,
            client,
            servers: Vec::new(),
            engine: Arc::new(engine),
            requests: Vec::new(),
            open: BTreeMap::new(),
            answers: Vec::new(),
            links: Vec::new(),
            sides,
            deadline: None,
        }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        match ops.below(16) {
            0..=2 => self.take_request(ops.below(2)),
            3 | 4 => self.take_answer(ops.below(2)),
            5 => self.decide(),
            6 | 7 => self.carry_up(ops.below(2), *ops.pick(&[usize::MAX, 1, 7, 30])),
            8 | 9 => self.carry_down(ops.below(2), *ops.pick(&[usize::MAX, 1, 7, 30])),
            10 => self.emit(ops),
            11 => self.serve_event(ops),
            12 => self.leave(ops),
            13 if ops.below(4) == 0 => self.cut(),
            13 => {}
            _ => self.trial.wait(Duration::from_millis(*ops.pick(&[10, 100, 1000, 6000, 25_000]))),
        }
        self.run();
    }

    fn finish(&mut self) {
        for side in &self.sides {
            self.client.connect(self.trial.now(), side.socket);
        }
        self.settle();
        for side in self.sides.iter().filter(|side| side.connected) {
            for flow in [&side.up, &side.down] {
                assert!(flow.received == flow.sent || flow.lost == flow.sent, "not everything has arrived: {flow:?}");
            }
            assert!(side.asked.iter().all(BTreeSet::is_empty), "an answer is missing");
        }
        self.client.close();
        self.settle();
        assert!(self.client.is_idle());
        assert!(self.sides.iter().all(|side| !side.connected && side.peer.is_none()));
        assert!(self.servers.iter().all(|server| server.finished));
    }

    fn renew(&mut self) {
        renew(&mut self.client);
        self.servers.iter_mut().for_each(|server| renew(&mut server.connection));
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

/// The applications.
impl Pair {
    fn emit(&mut self, ops: &mut Ops<'_>) {
        let (index, asks) = (ops.below(2), ops.flag());
        let side = &mut self.sides[index];
        let id = asks.then(|| self.client.ack_id(side.socket));
        let packet = event(index, ops.flag(), side.up.next(), id);
        let ack = id.map(|id| ExpectedAck { id, deadline: None });
        self.client.emit(side.socket, packet, ack).expect("room for some");
        side.asked[0].extend(id);
    }

    fn serve_event(&mut self, ops: &mut Ops<'_>) {
        let (index, asks) = (ops.below(2), ops.flag());
        let side = &mut self.sides[index];
        let Some((server, socket)) = side.peer else { return };
        let connection = &mut self.servers[server].connection;
        let number = side.down.next();
        if asks {
            let deadline = self.trial.now() + Duration::from_secs(3600);
            connection.expect_ack(socket, number, deadline).expect("room for some");
            side.asked[1].insert(number);
        }
        let packet = event(index, ops.flag(), number, asks.then_some(number));
        assert!(connection.emit(socket, packet));
    }

    /// A socket leaves, or comes back.
    fn leave(&mut self, ops: &mut Ops<'_>) {
        let side = &self.sides[ops.below(2)];
        match (ops.below(4), side.peer) {
            (0, Some((server, socket))) => self.servers[server].connection.disconnect(socket),
            (1, Some((server, _))) => self.servers[server].connection.disconnect_all(),
            (2, _) => self.client.disconnect(side.socket),
            _ => self.client.connect(self.trial.now(), side.socket),
        }
    }
}

/// The network.
impl Pair {
    /// Everything arrives, and time passes, until no side can take the other for alive that is not.
    fn settle(&mut self) {
        let end = self.trial.now() + Duration::from_secs(200);
        while self.trial.now() < end {
            self.trial.allow(20);
            self.run();
            while !self.requests.is_empty() || !self.answers.is_empty() || self.links.iter().any(Link::is_busy) {
                self.trial.allow(20);
                (0..2).for_each(|_| self.take_request(0));
                (0..2).for_each(|_| self.take_answer(0));
                self.decide();
                for link in 0..self.links.len() {
                    self.carry_up(link, usize::MAX);
                    self.carry_down(link, usize::MAX);
                }
                self.run();
            }
            let deadlines = self.servers.iter().filter_map(|server| server.deadline).chain(self.deadline);
            let next = deadlines.min().unwrap_or(end).min(end);
            self.trial.wait(next - self.trial.latest());
        }
        self.run();
    }

    /// A request arrives at the server.
    fn take_request(&mut self, nth: usize) {
        if nth >= self.requests.len() {
            return;
        }
        let Request { id, target, body, .. } = self.requests.remove(nth);
        let Some(server) = self.find_server(&target, Transport::Polling) else {
            return self.answers.push((id, 400, Bytes::new()));
        };
        self.open.insert(id.0, server);
        let kind = if body.is_empty() { ExchangeKind::Poll } else { ExchangeKind::Post { body, binary: false } };
        self.servers[server].connection.handle_exchange(self.trial.now(), Exchange { id: ExchangeId(id.0), kind });
    }

    fn take_answer(&mut self, nth: usize) {
        if nth < self.answers.len() {
            let (id, status, body) = self.answers.remove(nth);
            self.open.remove(&id.0);
            self.client.handle_response(self.trial.now(), id, status, body);
        }
    }

    /// The session of a request, a new one where it names none.
    fn find_server(&mut self, target: &str, transport: Transport) -> Option<usize> {
        let Some((_, sid)) = target.split_once("&sid=") else {
            let (now, id) = (self.trial.now(), SessionId::generate(&mut self.random));
            let (engine, sockets) = (Arc::clone(&self.engine), Arc::new(socket::Config::default()));
            let connection = Connection::new(engine, sockets, id, transport, now);
            self.servers.push(Server { id, connection, deadline: None, finished: false });
            return Some(self.servers.len() - 1);
        };
        self.servers.iter().position(|server| server.id.as_str() == sid)
    }

    /// The server decides about the stream that the client has asked for.
    fn decide(&mut self) {
        let Some(link) = self.links.iter().position(|link| link.target.is_some()) else { return };
        let target = self.links[link].target.take().expect("it was there");
        let new = !target.contains("&sid=");
        let now = self.trial.now();
        let Some(server) = self.find_server(&target, Transport::WebSocket) else {
            self.links.remove(link);
            return self.client.handle_stream_failed(now, "refused");
        };
        self.client.handle_stream_opened(now);
        let taken = if new { Ok(()) } else { self.servers[server].connection.handle_stream(now) };
        match taken {
            Ok(()) => self.links[link].server = Some(server),
            Err(refused) => self.links[link].down.extend_from_slice(&refused.goodbye),
        }
    }

    /// Some bytes arrive at the server, or the end of the stream.
    fn carry_up(&mut self, nth: usize, most: usize) {
        let Some(link) = self.links.get_mut(nth) else { return };
        let Some(server) = link.server else { return link.up.clear() };
        let bytes: Vec<u8> = link.up.drain(..most.min(link.up.len())).collect();
        if bytes.is_empty() && !link.client {
            link.server = None;
            self.servers[server].connection.handle_stream_closed(self.trial.now());
        }
        self.trial.allow(bytes.len());
        self.run_server(server, bytes);
    }

    fn carry_down(&mut self, nth: usize, most: usize) {
        let Some(link) = self.links.get_mut(nth).filter(|link| link.target.is_none()) else { return };
        if !link.client {
            return link.down.clear();
        }
        let bytes: Vec<u8> = link.down.drain(..most.min(link.down.len())).collect();
        if bytes.is_empty() && link.server.is_none() {
            link.client = false;
            self.client.handle_stream_closed(self.trial.now());
        }
        self.trial.allow(bytes.len());
        self.run_client(bytes);
    }

    /// The stream breaks; without one, what is asked or answered gets lost.
    fn cut(&mut self) {
        let now = self.trial.now();
        if let Some(link) = self.links.pop() {
            if link.client {
                self.client.handle_stream_failed(now, "broken");
            }
            if let Some(server) = link.server {
                self.servers[server].connection.handle_stream_closed(now);
            }
        } else if let Some(id) = self.requests.first().map(|request| request.id.0).or(self.open.keys().next().copied())
        {
            self.cancel(RequestId(id));
            self.client.handle_request_failed(now, RequestId(id), "broken");
        }
    }

    fn cancel(&mut self, id: RequestId) {
        self.requests.retain(|request| request.id != id);
        self.answers.retain(|(answered, ..)| *answered != id);
        if let Some(server) = self.open.remove(&id.0) {
            self.servers[server].connection.handle_abort(self.trial.now(), ExchangeId(id.0));
        }
    }

    fn run(&mut self) {
        self.trial.allow(self.servers.len());
        self.run_client(Vec::new());
        (0..self.servers.len()).for_each(|server| self.run_server(server, Vec::new()));
        self.links.retain(|link| link.target.is_some() || link.client || link.server.is_some());
    }

    fn run_client(&mut self, mut bytes: Vec<u8>) {
        let mut input = Input::new(&mut bytes);
        loop {
            let (mut answer, mut cancelled) = (None, None);
            match self.client.next(self.trial.call(), &mut input) {
                Next::Event(event) => answer = take_client_event(&mut self.sides, event, &mut self.trial),
                Next::Request(request) => self.requests.push(request),
                Next::CancelRequest(id) => cancelled = Some(id),
                Next::OpenStream(target) => self.links.push(Link::new(target)),
                Next::CloseStream => {
                    let link = self.links.iter_mut().find(|link| link.client).expect("there is no stream to close");
                    (link.client, link.target) = (false, None);
                }
                Next::Upgraded | Next::Continue => {}
                Next::Io(mut io) => {
                    let bytes = io.take_pending();
                    if bytes.is_empty() {
                        self.deadline = io.deadline();
                        return self.trial.check(self.deadline);
                    }
                    self.links.iter_mut().find(|link| link.client).expect("there is no stream").up.extend(bytes);
                }
            }
            cancelled.into_iter().for_each(|id| self.cancel(id));
            if let Some((index, request)) = answer {
                let packet = encode_ack(NAMESPACES[index], request.id(), &()).expect("an ack");
                assert!(self.client.answer(request, packet));
            }
        }
    }

    fn run_server(&mut self, index: usize, mut bytes: Vec<u8>) {
        let mut input = Input::new(&mut bytes);
        let Server { connection, deadline, finished, .. } = &mut self.servers[index];
        loop {
            let mut todo = None;
            match connection.next(self.trial.call(), &mut input) {
                server::Next::Event(event) => todo = take_server_event(&mut self.sides, index, event, &mut self.trial),
                server::Next::Answer(id, response) => {
                    assert!(self.open.contains_key(&id.0), "nobody asked");
                    self.answers.push((RequestId(id.0), response.status, response.body));
                }
                server::Next::CloseStream => {
                    let link = self.links.iter_mut().find(|link| link.server == Some(index));
                    link.expect("there is no stream to close").server = None;
                }
                server::Next::Upgraded | server::Next::Closed(_) | server::Next::Continue => {}
                server::Next::Finished => {
                    (*deadline, *finished) = (None, true);
                    return;
                }
                server::Next::Io(mut io) => {
                    let bytes: Vec<u8> = io.pending().flatten().copied().collect();
                    if bytes.is_empty() {
                        *deadline = Some(io.deadline());
                        return self.trial.check(io.deadline());
                    }
                    io.written(bytes.len());
                    let link = self.links.iter_mut().find(|link| link.server == Some(index));
                    link.expect("there is no stream").down.extend(bytes);
                }
            }
            match todo {
                Some(Todo::Accept(request, side)) => {
                    let socket = connection.accept(request, &SocketId::from("x")).expect("it has just asked");
                    self.sides[side].join(index, socket);
                }
                Some(Todo::Answer(socket, side, id)) => {
                    assert!(connection.emit(socket, encode_ack(NAMESPACES[side], id, &()).expect("an ack")));
                }
                None => {}
            }
        }
    }
}

/// What the server's application does about an event, once the event is over.
enum Todo {
    Accept(ConnectRequest, usize),
    Answer(SocketKey, usize, u64),
}

fn take_client_event(
    sides: &mut [Side],
    event: manager::Event<'_>,
    trial: &mut Trial,
) -> Option<(usize, manager::AckRequest)> {
    trial.note(format_args!("client {event:?}"));
    let at = |socket| sides.iter().position(|side| side.socket == socket).expect("a socket");
    match event {
        manager::Event::Connect { socket, .. } => sides[at(socket)].connected = true,
        manager::Event::Disconnect { socket, .. } => {
            let side = &mut sides[at(socket)];
            (side.connected, side.up.lost) = (false, side.up.sent);
        }
        manager::Event::Message { socket, payload, ack } => {
            let index = at(socket);
            sides[index].down.receive(number(payload));
            return ack.map(|ack| (index, ack));
        }
        manager::Event::Ack { socket, id, .. } | manager::Event::AckFailed { socket, id, .. } => {
            assert!(sides[at(socket)].asked[0].remove(&id), "answered twice");
        }
        _ => {}
    }
    None
}

fn take_server_event(sides: &mut [Side], index: usize, event: Event<'_>, trial: &mut Trial) -> Option<Todo> {
    trial.note(format_args!("server {index} {event:?}"));
    // What comes over a connection that the client has left counts no more.
    let at = |socket| sides.iter().position(|side| side.peer == Some((index, socket)));
    match event {
        Event::Connect { request, namespace, .. } => {
            let side = NAMESPACES.iter().position(|name| *name == namespace).expect("nobody asks for others");
            return Some(Todo::Accept(request, side));
        }
        Event::Message { socket, payload, ack } => {
            let at = at(socket)?;
            sides[at].up.receive(number(payload));
            return ack.map(|id| Todo::Answer(socket, at, id));
        }
        Event::Ack { socket, id, .. } | Event::AckTimeout { socket, id } => {
            assert!(sides[at(socket)?].asked[1].remove(&id), "answered twice");
        }
        Event::Disconnect { socket, .. } => {
            sides[at(socket)?].part();
        }
        _ => {}
    }
    None
}

impl Side {
    /// The server has let the client in. What it has said to an earlier socket may be lost. It counts no more if the client
    /// has come over a later connection since.
    fn join(&mut self, server: usize, socket: SocketKey) {
        if server >= self.latest {
            self.part();
            (self.peer, self.latest) = (Some((server, socket)), server);
        }
    }

    fn part(&mut self) {
        self.peer = None;
        self.asked[1].clear();
        self.down.lost = self.down.sent;
    }
}

impl Link {
    fn new(target: String) -> Self {
        Self { target: Some(target), client: true, server: None, up: Vec::new(), down: Vec::new() }
    }

    /// Whether something is on its way.
    fn is_busy(&self) -> bool {
        self.target.is_some() || self.client != self.server.is_some() || !self.up.is_empty() || !self.down.is_empty()
    }
}

fn event(side: usize, attachment: bool, number: u64, id: Option<u64>) -> Packet {
    let packet = match attachment {
        true => encode_event(NAMESPACES[side], "b", &(number, Binary::from(vec![1; 5])), id),
        false => encode_event(NAMESPACES[side], "e", &(number,), id),
    };
    packet.expect("an event")
}

fn number(payload: Payload<'_>) -> u64 {
    let (number,) = payload.decode().expect("a number");
    number
}
