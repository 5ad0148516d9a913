use alloc::collections::BTreeMap;

use super::*;
use crate::SessionId;
use crate::engine::{self, Admission, Exchange, ExchangeId, ExchangeKind, RequestHead, RequestKind, Session, admit};
use crate::websocket::Key;

/// Something that happens between a client and a server, or to one of them.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A request arrives at the server, an answer at the client: the first on the way, the second, ...
    Request(usize),
    Response(usize),
    /// The server decides about the stream that the client has asked for.
    Stream,
    /// At most so many bytes of the stream arrive, or its end if there are none.
    Up(usize),
    Down(usize),
    ClientSends,
    ServerSends,
    ClientCloses,
    ServerCloses,
    /// The stream breaks.
    Break,
    Wait(u32),
}

/// A stream, whose ends are let go one by one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Link {
    asked: Option<String>,
    client: bool,
    server: bool,
    up: Vec<u8>,
    down: Vec<u8>,
}

/// A client, the session that it opens at a server, and what is on the way between them.
#[derive(Clone, PartialEq)]
pub(super) struct Pair {
    pub(super) client: Client,
    pub(super) server: Option<Session>,
    config: Arc<engine::Config>,
    random: Random,
    pub(super) now: Instant,
    /// On the way to the server; with it; on the way back.
    requests: Vec<Request>,
    open: Vec<RequestId>,
    responses: Vec<(RequestId, u16, Bytes)>,
    link: Link,
    /// How many messages were sent, and which have arrived: by and at the client, the server.
    pub(super) sent: [u32; 2],
    pub(super) received: [Vec<u32>; 2],
    pub(super) opened: bool,
    pub(super) failed: Option<OpenError>,
    pub(super) closed: [Option<CloseReason>; 2],
    pub(super) finished: [bool; 2],
    pub(super) upgraded: bool,
}

impl Pair {
    pub(super) fn new(config: Config, server: engine::Config) -> Self {
        let mut random = Random::new(Seed::new([9; 32]));
        let now = Instant::EPOCH;
        let mut pair = Self {
            client: Client::new(Arc::new(config), random.fork(), now),
            server: None,
            config: Arc::new(server),
            random,
            now,
            requests: Vec::new(),
            open: Vec::new(),
            responses: Vec::new(),
            link: Link::default(),
            sent: [0; 2],
            received: [Vec::new(), Vec::new()],
            opened: false,
            failed: None,
            closed: [None; 2],
            finished: [false; 2],
            upgraded: false,
        };
        pair.run_client(&mut []);
        pair
    }

    /// What the network can do now.
    pub(super) fn possible(&self) -> Vec<Act> {
        let requests = (0..self.requests.len()).map(Act::Request);
        let mut acts: Vec<Act> = requests.chain((0..self.responses.len()).map(Act::Response)).collect();
        let link = &self.link;
        let stream = [
            (link.asked.is_some(), Act::Stream),
            (link.server && (!link.up.is_empty() || !link.client), Act::Up(usize::MAX)),
            (link.client && (!link.down.is_empty() || !link.server) && link.asked.is_none(), Act::Down(usize::MAX)),
        ];
        acts.extend(stream.iter().filter(|(possible, _)| *possible).map(|(_, act)| *act));
        acts
    }

    /// Lets the network do all that it can, and time pass where the server waits for it.
    pub(super) fn settle(&mut self) {
        for _ in 0..3 {
            while let Some(act) = self.possible().first() {
                self.act(*act);
            }
            self.act(Act::Wait(100));
        }
    }

    pub(super) fn act(&mut self, act: Act) {
        match act {
            Act::Request(nth) if nth < self.requests.len() => self.take_request(nth),
            Act::Response(nth) if nth < self.responses.len() => {
                let (id, status, body) = self.responses.remove(nth);
                self.client.handle_response(self.now, id, status, body);
            }
            Act::Stream if self.link.asked.is_some() => self.take_stream(),
            Act::Up(most) if self.link.server => {
                let rest = self.link.up.split_off(most.min(self.link.up.len()));
                let mut bytes = mem::replace(&mut self.link.up, rest);
                if bytes.is_empty() && !self.link.client {
                    self.link.server = false;
                    self.end_session_stream();
                }
                self.run_server(&mut bytes);
            }
            Act::Down(most) if self.link.client && self.link.asked.is_none() => {
                let rest = self.link.down.split_off(most.min(self.link.down.len()));
                let mut bytes = mem::replace(&mut self.link.down, rest);
                if bytes.is_empty() && !self.link.server {
                    self.link.client = false;
                    self.client.handle_stream_closed(self.now);
                }
                self.run_client(&mut bytes);
            }
            Act::ClientSends => {
                let packet = Packet::text(&(self.sent[0] + 1).to_string());
                self.sent[0] += u32::from(self.client.send(self.now, packet).is_ok());
            }
            Act::ServerSends => {
                let packet = Packet::text(&(self.sent[1] + 1).to_string());
                let sent = self.server.as_mut().is_some_and(|server| server.send(packet).is_ok());
                self.sent[1] += u32::from(sent);
            }
            Act::ClientCloses => self.client.close(self.now),
            Act::ServerCloses => {
                if let Some(server) = &mut self.server {
                    server.close(self.now, CloseReason::ForcedClose);
                }
            }
            Act::Break if self.link.client || self.link.server => {
                let Link { client, server, .. } = mem::take(&mut self.link);
                if client {
                    self.client.handle_stream_failed(self.now, "broken");
                }
                if server {
                    self.end_session_stream();
                }
            }
            Act::Wait(ms) => self.now += ms * MS,
            _ => {}
        }
        self.run_client(&mut []);
        self.run_server(&mut []);
    }

    fn session(&mut self) -> &mut Session {
        self.server.as_mut().unwrap()
    }

    fn end_session_stream(&mut self) {
        let now = self.now;
        self.session().handle_stream_closed(now);
    }

    /// The session that the server makes, or finds, for a request.
    fn admit(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<RequestKind, (u16, Bytes)> {
        let (path, query) = target.split_once('?').unwrap();
        assert_eq!(path, "/engine.io/");
        let head = RequestHead { method, query, headers: &headers };
        let server = &self.server;
        let lookup = |id: &SessionId| server.as_ref().filter(|server| server.id() == *id).map(|_| ());
        match admit(&self.config, &head, lookup) {
            Admission::New(kind) => {
                let id = SessionId::generate(&mut self.random);
                let transport = match &kind {
                    RequestKind::Upgrade(_) => Transport::WebSocket,
                    _ => Transport::Polling,
                };
                // A first attempt may have opened one that the client does not know of.
                assert!(!self.opened, "a client opens one session");
                self.open.clear();
                self.sent[1] = 0;
                self.server = Some(Session::new(self.config.clone(), id, transport, self.now));
                self.link.server = transport == Transport::WebSocket;
                Ok(kind)
            }
            Admission::Session((), kind) => Ok(kind),
            Admission::Reject(reject) => Err((reject.response().status, reject.response().body)),
            Admission::Preflight(_) => unreachable!(),
        }
    }

    fn take_request(&mut self, nth: usize) {
        let request = self.requests.remove(nth);
        let headers = [("content-type", Request::CONTENT_TYPE)];
        let kind = match self.admit(request.method(), &request.target, &headers) {
            Ok(RequestKind::Poll) => ExchangeKind::Poll,
            Ok(RequestKind::Post { binary }) => ExchangeKind::Post { body: request.body, binary },
            Ok(RequestKind::Upgrade(_)) => unreachable!(),
            Err((status, body)) => return self.responses.push((request.id, status, body)),
        };
        self.open.push(request.id);
        let now = self.now;
        self.session().handle_exchange(now, Exchange { id: ExchangeId(request.id.0), kind });
    }

    fn take_stream(&mut self) {
        let target = self.link.asked.take().unwrap();
        let key = Key::generate(&mut self.random);
        let new = self.server.is_none();
        let refused = match self.admit("GET", &target, &key.headers()) {
            Ok(RequestKind::Upgrade(accept)) => {
                let find = |name: &str| match name {
                    "upgrade" => Some("websocket".as_bytes()),
                    "connection" => Some("Upgrade".as_bytes()),
                    "sec-websocket-accept" => Some(accept.as_str().as_bytes()),
                    _ => None,
                };
                key.verify(101, find).unwrap();
                let now = self.now;
                self.client.handle_stream_opened(now);
                if !new {
                    match self.session().handle_stream(now) {
                        Ok(()) => self.link.server = true,
                        Err(refused) => self.link.down.extend_from_slice(&refused.goodbye),
                    }
                }
                return;
            }
            Ok(_) => unreachable!(),
            Err((status, _)) => Cause::Status(status),
        };
        self.link = Link::default();
        self.client.handle_stream_failed(self.now, refused);
    }

    fn cancel(&mut self, id: RequestId) {
        self.requests.retain(|request| request.id != id);
        let before = (self.open.len(), self.responses.len());
        self.open.retain(|open| *open != id);
        self.responses.retain(|(open, ..)| *open != id);
        if before != (self.open.len(), self.responses.len())
            && let Some(server) = &mut self.server
        {
            server.handle_abort(self.now, ExchangeId(id.0));
        }
    }

    fn run_client(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        // Every input leads to a bounded number of results.
        for _ in 0..1000 {
            match self.client.next(self.now, &mut input) {
                Next::Opened => assert!(!mem::replace(&mut self.opened, true)),
                Next::Message(Message::Text(text)) => {
                    assert!(self.opened && self.closed[0].is_none());
                    self.received[0].push(text.parse().unwrap());
                }
                Next::Message(Message::Binary(_)) => panic!(),
                Next::Request(request) => {
                    let polls = |method| move |request: &&Request| request.method() == method;
                    assert_eq!(self.requests.iter().filter(polls(request.method())).count(), 0);
                    self.requests.push(request);
                }
                Next::CancelRequest(id) => self.cancel(id),
                Next::OpenStream(target) => {
                    assert_eq!(self.link, Link::default());
                    self.link = Link { asked: Some(target), client: true, ..Link::default() };
                }
                Next::Ping => {}
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true)),
                Next::CloseStream => {
                    assert!(mem::take(&mut self.link.client), "no stream to close");
                    self.link.asked = None;
                    self.link.down.clear();
                }
                Next::Failed(error) => {
                    assert!(!self.opened && self.closed[0].is_none());
                    assert_eq!(self.failed.replace(error), None);
                }
                Next::Closed(reason, _) => {
                    assert_eq!(self.failed, None);
                    assert_eq!(self.closed[0].replace(reason), None);
                }
                Next::Finished => {
                    assert!((self.closed[0].is_some() || self.failed.is_some()) && !self.link.client);
                    self.finished[0] = true;
                    return;
                }
                Next::Io(mut io) => {
                    assert!(!self.finished[0], "alive again");
                    assert!(input.is_empty());
                    let pending: Vec<u8> = io.pending().flatten().copied().collect();
                    io.written(pending.len());
                    if pending.is_empty() {
                        assert!(io.deadline() > self.now, "would be called again and again");
                        return;
                    }
                    assert!(self.link.client);
                    if self.link.server {
                        self.link.up.extend(pending);
                    }
                }
            }
        }
        panic!("never waits");
    }

    fn run_server(&mut self, bytes: &mut [u8]) {
        let Some(server) = &mut self.server else { return };
        let mut input = Input::new(bytes);
        loop {
            match server.next(self.now, &mut input) {
                engine::Next::Message(Message::Text(text)) => self.received[1].push(text.parse().unwrap()),
                engine::Next::Message(Message::Binary(_)) => panic!(),
                engine::Next::Answer(id, response) => {
                    let id = RequestId(id.0);
                    self.open.retain(|open| *open != id);
                    self.responses.push((id, response.status, response.body));
                }
                engine::Next::Upgraded => {}
                engine::Next::CloseStream => self.link.server = false,
                engine::Next::Closed(reason) => self.closed[1] = Some(reason),
                engine::Next::Finished => return self.finished[1] = true,
                engine::Next::Io(mut io) => {
                    let pending: Vec<u8> = io.pending().flatten().copied().collect();
                    io.written(pending.len());
                    if self.link.client {
                        self.link.down.extend_from_slice(&pending);
                    }
                    if pending.is_empty() {
                        return;
                    }
                }
            }
        }
    }

    /// What tells worlds apart in nearly all cases, for a quick look.
    fn fingerprint(&self) -> Vec<usize> {
        let Self { requests, responses, open, link, received, sent, .. } = self;
        let counts = [requests.len(), responses.len(), open.len(), link.up.len(), link.down.len()];
        let messages = [received[0].len(), received[1].len(), sent[0] as usize, sent[1] as usize];
        let rest = [usize::from(link.asked.is_some()), self.client.queued(), self.client.transport() as usize];
        [&counts[..], &messages, &rest].concat()
    }
}

/// Servers whose heartbeat takes longer than any test.
fn server(transports: Transports) -> engine::Config {
    let mut config = engine::Config::default();
    (config.ping_interval, config.transports) = (3_600_000 * MS, transports);
    config
}

/// Follows every order of what the network can do and of what is `planned`, whose order is kept. Where nothing else can
/// happen, time passes. Gives all the worlds that it ends with.
fn explore(start: Pair, planned: &[&[Act]]) -> Vec<Pair> {
    let mut seen = BTreeMap::<Vec<usize>, Vec<(Pair, Vec<usize>)>>::new();
    let mut ends = Vec::new();
    let mut todo = vec![(start, vec![0; planned.len()], 0)];
    while let Some((pair, done, waits)) = todo.pop() {
        let alike = seen.entry(pair.fingerprint()).or_default();
        if alike.iter().any(|(other, others)| *others == done && *other == pair) {
            continue;
        }
        alike.push((pair.clone(), done.clone()));
        let mut acts: Vec<(Act, Option<usize>)> = pair.possible().into_iter().map(|act| (act, None)).collect();
        for (nth, plan) in planned.iter().enumerate() {
            acts.extend(plan.get(done[nth]).map(|act| (*act, Some(nth))));
        }
        if acts.is_empty() {
            if waits == 3 {
                ends.push(pair);
                continue;
            }
            acts.push((Act::Wait(100), None));
        }
        for (act, plan) in acts {
            let (mut pair, mut done) = (pair.clone(), done.clone());
            pair.act(act);
            if let Some(nth) = plan {
                done[nth] += 1;
            }
            let waits = if matches!(act, Act::Wait(_)) { waits + 1 } else { 0 };
            todo.push((pair, done, waits));
        }
    }
    ends
}

/// A session that is open and has nothing under way but a poll.
fn opened(transports: &'static [Transport]) -> Pair {
    let mut pair = Pair::new(Config { upgrade: false, ..config(transports) }, server(Transports::default()));
    pair.settle();
    assert!(pair.opened && pair.upgraded == (transports.len() > 1));
    pair
}

/// A session that was just opened by polling and begins its upgrade.
fn upgrading() -> Pair {
    let mut pair = Pair::new(config(UPGRADING), server(Transports::default()));
    pair.act(Act::Request(0));
    pair.act(Act::Response(0));
    assert!(pair.opened);
    pair
}

fn assert_nothing_lost(pair: &Pair) {
    for side in [0, 1] {
        assert_eq!((1..=pair.sent[side]).collect::<Vec<_>>(), pair.received[1 - side]);
    }
}

#[test]
fn every_transport_opens_a_session() {
    for (client, allowed, transport, upgraded) in [
        (config(WEBSOCKET), Transports::default(), Transport::WebSocket, false),
        (config(POLLING), Transports::default(), Transport::Polling, false),
        (config(UPGRADING), Transports::default(), Transport::WebSocket, true),
        (config(UPGRADING), Transports::POLLING, Transport::Polling, false),
        (config(UPGRADING), Transports::WEBSOCKET, Transport::WebSocket, false),
        (Config::default(), Transports::default(), Transport::WebSocket, false),
        (Config::default(), Transports::POLLING, Transport::Polling, false),
    ] {
        let mut pair = Pair::new(client, server(allowed));
        pair.act(Act::ClientSends);
        pair.settle();
        assert!(pair.opened);
        assert_eq!((pair.client.transport(), pair.upgraded), (transport, upgraded));
        (0..3).for_each(|_| [Act::ClientSends, Act::ServerSends].iter().for_each(|act| pair.act(*act)));
        pair.settle();
        assert_nothing_lost(&pair);
        assert_eq!(pair.sent, [4, 3]);
    }
}

#[test]
fn a_server_that_allows_nothing_is_told() {
    for (client, error) in [
        (config(WEBSOCKET), OpenError::WebSocket(Some(Cause::Status(400)))),
        (Config::default(), OpenError::Polling(Some(Cause::Status(400)))),
    ] {
        let mut none = Transports::default();
        (none.polling, none.websocket) = (false, false);
        let mut pair = Pair::new(client, server(none));
        pair.settle();
        assert_eq!(pair.failed, Some(error));
        assert_eq!(pair.finished, [true, false]);
    }
}

#[test]
fn the_heartbeat_keeps_every_transport_alive() {
    for transports in [WEBSOCKET, POLLING, UPGRADING] {
        let mut pair = Pair::new(config(transports), engine::Config::default());
        for _ in 0..1000 {
            pair.settle();
            pair.act(Act::Wait(600));
        }
        assert_eq!(pair.closed, [None; 2], "{transports:?}");
        assert!(pair.now > Instant::EPOCH + 600_000 * MS);
    }
}

#[test]
fn every_order_of_an_upgrade_with_messages_both_ways() {
    let sends: [&[Act]; 2] = [&[Act::ClientSends; 2], &[Act::ServerSends; 2]];
    let ends = explore(upgrading(), &sends);
    assert!(!ends.is_empty());
    for pair in ends {
        assert_nothing_lost(&pair);
        assert_eq!((pair.sent, pair.client.transport()), ([2; 2], Transport::WebSocket));
        assert!(pair.upgraded && pair.closed == [None; 2]);
        assert_eq!(pair.server.unwrap().transport(), Transport::WebSocket);
    }
}

#[test]
fn every_order_of_an_upgrade_that_breaks() {
    let acts: [&[Act]; 3] = [&[Act::ClientSends], &[Act::ServerSends], &[Act::Break]];
    for pair in explore(upgrading(), &acts) {
        let survives = pair.closed == [None; 2];
        if survives && pair.client.transport() == Transport::Polling {
            assert_nothing_lost(&pair);
        }
        // A stream that breaks with `5` on its way leaves the two sides with different transports; the heartbeat ends it.
        if !survives {
            assert!(pair.upgraded);
        }
    }
}

#[test]
fn every_order_of_a_close_by_the_client_delivers_what_it_sent() {
    let acts: &[Act] = &[Act::ClientSends, Act::ClientSends, Act::ClientCloses];
    for start in [opened(POLLING), opened(WEBSOCKET), upgrading()] {
        let ends = explore(start, &[acts, &[Act::ServerSends]]);
        assert!(!ends.is_empty());
        for mut pair in ends {
            // A closed stream is waited for.
            pair.act(Act::Wait(5000));
            pair.settle();
            assert_eq!(pair.received[1], [1, 2]);
            assert_eq!(pair.finished, [true; 2], "{:?}", pair.client);
            assert_eq!(pair.closed, [Some(CloseReason::ForcedClose), Some(CloseReason::TransportClose)]);
        }
    }
}

#[test]
fn every_order_of_a_close_by_the_server_delivers_what_it_sent() {
    let acts: &[Act] = &[Act::ServerSends, Act::ServerSends, Act::ServerCloses];
    for start in [opened(POLLING), opened(WEBSOCKET)] {
        let transport = start.client.transport();
        for mut pair in explore(start, &[acts, &[Act::ClientSends]]) {
            pair.act(Act::Wait(5000));
            pair.settle();
            assert_eq!(pair.finished, [true; 2]);
            match pair.closed[0] {
                Some(CloseReason::TransportClose) => assert_eq!(pair.received[0], [1, 2]),
                // A POST that comes after the server's end.
                reason => assert_eq!((reason, transport), (Some(CloseReason::TransportError), Transport::Polling)),
            }
        }
    }
}

#[test]
fn every_order_of_a_close_by_both_comes_to_an_end() {
    let acts: [&[Act]; 3] = [&[Act::ClientCloses], &[Act::ServerCloses], &[Act::ClientSends, Act::ServerSends]];
    for start in [opened(POLLING), opened(WEBSOCKET), upgrading()] {
        for mut pair in explore(start, &acts) {
            for _ in 0..8 {
                pair.act(Act::Wait(5000));
                pair.settle();
            }
            assert_eq!(pair.finished, [true; 2]);
        }
    }
}

#[test]
fn every_order_of_a_close_before_the_session_is_open() {
    for config in [config(POLLING), config(WEBSOCKET), Config::default()] {
        let start = Pair::new(config, server(Transports::default()));
        for mut pair in explore(start, &[&[Act::ClientSends, Act::ClientCloses]]) {
            for _ in 0..8 {
                pair.act(Act::Wait(5000));
                pair.settle();
            }
            assert!(pair.finished[0] && pair.closed[0] == Some(CloseReason::ForcedClose));
        }
    }
}
