//! Random operations against a naive model of what a manager promises.

use alloc::collections::BTreeMap;
use alloc::vec;

use proptest::prelude::*;

use super::*;

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];
const RETRIES: u32 = 1;
const MAX_BUFFERED: usize = 6;
const MAX_ACKS: usize = 4;

#[derive(Clone, Debug)]
enum Op {
    Connect(usize),
    Disconnect(usize),
    /// The socket is another one afterwards.
    Remove(usize),
    /// Disconnected, and connected with other credentials.
    Switch(usize),
    Close,
    Auth,
    Emit(usize, Option<u16>),
    Volatile(usize, bool),
    Retry(usize),
    Opened,
    Failed,
    Gone,
    /// An event was emitted, but the connection is over before it could leave.
    Cut(usize),
    /// Of the server, to a namespace: that it is let in, refused, disconnected; an event, an event with an attachment.
    Server(Kind, usize),
    /// The server answers an event, maybe one that nobody awaits.
    Answer(usize, u8),
    Garbage(String),
    Binary,
    Wait(u32),
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Kind {
    Accept,
    Version2,
    Refuse,
    Disconnect,
    Event,
    Attachment,
}

fn op() -> impl Strategy<Value = Op> {
    use Kind::*;
    let kinds = [Accept, Accept, Accept, Accept, Refuse, Disconnect, Event, Event, Event, Attachment, Version2];
    let s = 0..NAMESPACES.len();
    prop_oneof![
        6 => s.clone().prop_map(Op::Connect),
        3 => s.clone().prop_map(Op::Disconnect),
        1 => s.clone().prop_map(Op::Remove),
        2 => s.clone().prop_map(Op::Switch),
        1 => Just(Op::Close),
        4 => Just(Op::Auth),
        8 => (s.clone(), proptest::option::of(0..3000_u16)).prop_map(|(s, ms)| Op::Emit(s, ms)),
        3 => (s.clone(), any::<bool>()).prop_map(|(s, writable)| Op::Volatile(s, writable)),
        5 => s.clone().prop_map(Op::Retry),
        10 => Just(Op::Opened),
        2 => Just(Op::Failed),
        2 => Just(Op::Gone),
        1 => s.clone().prop_map(Op::Cut),
        20 => (proptest::sample::select(kinds.to_vec()), s.clone()).prop_map(|(kind, s)| Op::Server(kind, s)),
        8 => (s, 0..6_u8).prop_map(|(s, id)| Op::Answer(s, id)),
        1 => "(|[23567][-/,a{\\[\"0-9é ]{0,12})".prop_map(Op::Garbage),
        1 => Just(Op::Binary),
        8 => (0..6000_u32).prop_map(Op::Wait),
    ]
}

#[derive(Copy, Clone, Debug, PartialEq)]
enum Line {
    Closed,
    Opening,
    Open,
}

/// What the server knows of a namespace on this connection.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
enum Seen {
    #[default]
    Nothing,
    Asked,
    Joined,
}

#[derive(Debug)]
struct Socket {
    /// The last one counts.
    keys: Vec<SocketKey>,
    /// It is not asked for its credentials.
    given: bool,
    token: u32,
    /// What the server was shown, while it has not answered.
    shown: Option<u32>,
    active: bool,
    connected: bool,
    /// The server's answer was handed to the manager.
    accepted: bool,
    /// It has left this connection: what the server sends before it lets the socket in again is not for it.
    left: bool,
    seen: Seen,
    /// Events without retries that were taken, and not yet transmitted; and the ids of their acks.
    kept: VecDeque<(u64, Option<u64>)>,
    /// Events with retries that did not come to an end: number, id, tries.
    queue: VecDeque<(u64, u64, u32)>,
    in_flight: bool,
    /// The server's events that were not yet told.
    inbox: VecDeque<u64>,
    /// By their ids.
    awaited: BTreeMap<u64, Option<Instant>>,
    /// Whether all acks may fail at once.
    closing: bool,
}

impl Socket {
    fn key(&self) -> SocketKey {
        *self.keys.last().unwrap()
    }

    /// The server has answered a CONNECT: whether that is the socket's own, as it is now.
    fn take_answer(&mut self) -> bool {
        let own = self.active && self.shown.take() == Some(self.token);
        if !own {
            self.inbox.clear();
        }
        own
    }
}

/// The manager, and what should be true of it.
struct World {
    manager: Manager,
    now: Instant,
    line: Line,
    sockets: Vec<Socket>,
    auth: VecDeque<AuthRequest>,
    numbers: u64,
    transmitted: usize,
}

type Check<T = ()> = Result<T, TestCaseError>;

impl World {
    fn new() -> Self {
        let config = Config {
            reconnection_delay: Duration::from_millis(500),
            max_buffered_packets: MAX_BUFFERED,
            max_acks: MAX_ACKS,
            ..Config::default()
        };
        let mut manager = Manager::new(Arc::new(config), Random::new(Seed::new([3; 32])), Instant::EPOCH);
        let mut socket = |name| {
            let key = manager.socket(name, options(name)).unwrap();
            Socket {
                keys: vec![key],
                given: name != "/a",
                token: 0,
                shown: None,
                active: false,
                connected: false,
                accepted: false,
                left: false,
                seen: Seen::Nothing,
                kept: VecDeque::new(),
                queue: VecDeque::new(),
                in_flight: false,
                inbox: VecDeque::new(),
                awaited: BTreeMap::new(),
                closing: false,
            }
        };
        let sockets = NAMESPACES.map(&mut socket).into_iter().collect();
        let (now, line, auth) = (Instant::EPOCH, Line::Closed, VecDeque::new());
        Self { manager, now, line, sockets, auth, numbers: 0, transmitted: 0 }
    }

    fn run(mut self, ops: Vec<(Op, bool)>, deliver: bool) -> Check<usize> {
        for (op, wild) in ops {
            self.apply(op, wild)?;
        }
        if deliver {
            self.deliver()?;
        }
        self.manager.close();
        self.sockets.iter_mut().for_each(|socket| socket.closing = true);
        self.sockets.iter_mut().for_each(|socket| socket.active = false);
        self.pump(None)?;
        prop_assert!(self.manager.is_idle(), "{:?}", self.manager);
        prop_assert!(matches!(self.manager.next(self.now, &mut None), Next::Wait(None)));
        for socket in &self.sockets {
            prop_assert!(socket.awaited.is_empty() && socket.queue.is_empty(), "{socket:?}");
        }
        Ok(self.transmitted)
    }

    /// With a healthy server, everything that was taken arrives.
    fn deliver(&mut self) -> Check {
        for s in 0..self.sockets.len() {
            self.apply(Op::Connect(s), false)?;
        }
        for _ in 0..40 {
            match self.line {
                Line::Opening => self.apply(Op::Opened, false)?,
                Line::Open => {}
                Line::Closed => self.sleep()?,
            }
            for s in 0..self.sockets.len() {
                self.apply(Op::Auth, false)?;
                self.apply(Op::Server(Kind::Accept, s), false)?;
                while let Some((_, id, _)) =
                    self.sockets[s].queue.front().copied().filter(|_| self.sockets[s].in_flight)
                {
                    self.answer(s, id)?;
                }
            }
            if self.sockets.iter().all(|socket| socket.connected) {
                break;
            }
            if self.line == Line::Open {
                self.sleep()?;
            }
        }
        for socket in &self.sockets {
            prop_assert!(socket.connected, "{socket:?}");
            prop_assert!(socket.kept.is_empty() && socket.queue.is_empty(), "{socket:?}");
        }
        Ok(())
    }

    /// Until the time that the manager asked for.
    fn sleep(&mut self) -> Check {
        match self.manager.next(self.now, &mut None) {
            Next::Wait(until) => self.now = until.unwrap_or(self.now),
            other => prop_assert!(false, "{other:?}"),
        }
        self.pump(None)
    }

    fn apply(&mut self, op: Op, wild: bool) -> Check {
        match op {
            Op::Connect(s) => self.connect(s),
            Op::Disconnect(s) => self.disconnect(s),
            Op::Remove(s) => {
                self.disconnect(s);
                self.sockets[s].closing = true;
                let key = self.sockets[s].key();
                self.manager.remove(key);
                self.pump(None)?;
                prop_assert_eq!(self.manager.namespace(key), None);
                let key = self.manager.socket(NAMESPACES[s], options(NAMESPACES[s])).unwrap();
                self.sockets[s].keys.push(key);
                let token = self.sockets[s].token;
                self.set_token(s, token);
            }
            Op::Switch(s) => {
                self.disconnect(s);
                self.pump(None)?;
                let token = (self.sockets[s].token + 1) % 2;
                self.set_token(s, token);
                self.connect(s);
            }
            Op::Close => {
                (0..self.sockets.len()).for_each(|s| self.disconnect(s));
                self.sockets.iter_mut().for_each(|socket| socket.closing = true);
                self.manager.close();
            }
            Op::Auth => {
                if let Some(request) = self.auth.pop_front() {
                    let s = self.at(request.socket());
                    let credentials = token(self.sockets[s].token);
                    self.manager.authenticate(self.now, request, &credentials);
                }
            }
            Op::Emit(s, ms) => self.emit(s, ms)?,
            Op::Volatile(s, writable) => {
                let number = self.number();
                let socket = &mut self.sockets[s];
                let sent =
                    self.manager.emit_volatile(socket.key(), event(s, 'p', number, None), None, writable).unwrap();
                prop_assert_eq!(sent, socket.connected && writable);
                socket.kept.extend(sent.then_some((number, None)));
            }
            Op::Retry(s) => {
                let number = self.number();
                let socket = &mut self.sockets[s];
                let id = self.manager.ack_id(socket.key());
                let packet = event(s, 'r', number, Some(id));
                let full = socket.kept.len() + socket.queue.len() == MAX_BUFFERED;
                let taken = self.manager.emit_with_retries(self.now, socket.key(), packet, id, None);
                prop_assert_eq!(taken, if full { Err(EmitError::Full) } else { Ok(()) });
                socket.queue.extend((!full).then_some((number, id, 0)));
            }
            Op::Opened if self.line == Line::Opening => {
                self.line = Line::Open;
                self.manager.handle_opened(self.now);
            }
            Op::Failed if self.line == Line::Opening => {
                self.manager.handle_open_failed(self.now, OpenError::Transport("websocket error".into()));
            }
            Op::Gone if self.line == Line::Open => self.manager.handle_closed(self.now, CloseReason::TransportClose),
            Op::Cut(s) if self.sockets[s].connected => {
                let number = self.number();
                self.manager.emit(self.sockets[s].key(), event(s, 'p', number, None), None).unwrap();
                self.manager.handle_closed(self.now, CloseReason::TransportClose);
            }
            Op::Opened | Op::Failed | Op::Gone | Op::Cut(_) => {}
            Op::Server(kind, s) => return self.server(kind, s),
            Op::Answer(s, id) => return self.answer(s, id.into()),
            Op::Garbage(text) if wild => return self.pump(Some(Message::Text(&text))),
            Op::Binary if wild => return self.pump(Some(Message::Binary(Binary::from(&b"x"[..])))),
            Op::Garbage(_) | Op::Binary => {}
            Op::Wait(ms) => self.now += Duration::from_millis(ms.into()),
        }
        self.pump(None)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Which socket a key is of, or was.
    fn at(&self, key: SocketKey) -> usize {
        self.sockets.iter().position(|socket| socket.keys.contains(&key)).unwrap()
    }

    fn connect(&mut self, s: usize) {
        self.sockets[s].active = true;
        self.manager.connect(self.now, self.sockets[s].key());
    }

    fn set_token(&mut self, s: usize, number: u32) {
        let socket = &mut self.sockets[s];
        socket.token = number;
        if socket.given {
            self.manager.set_auth(socket.key(), Auth::Given(token(number)));
        }
    }

    fn disconnect(&mut self, s: usize) {
        let socket = &mut self.sockets[s];
        socket.active = false;
        if !socket.given {
            // It is asked anew.
            socket.shown = socket.shown.map(|_| u32::MAX);
        }
        self.manager.disconnect(socket.key());
        if !socket.connected {
            (socket.accepted, socket.inbox) = (false, VecDeque::new());
        }
    }

    fn emit(&mut self, s: usize, ms: Option<u16>) -> Check {
        let number = self.number();
        let socket = &mut self.sockets[s];
        let id = ms.map(|_| self.manager.ack_id(socket.key()));
        let deadline = ms.filter(|ms| *ms > 0).map(|ms| self.now + Duration::from_millis(ms.into()));
        let ack = id.map(|id| ExpectedAck { id, deadline });
        let expected = if ack.is_some() && socket.awaited.len() == MAX_ACKS {
            Err(EmitError::TooManyAcks)
        } else if !socket.connected && socket.kept.len() + socket.queue.len() == MAX_BUFFERED {
            Err(EmitError::Full)
        } else {
            Ok(())
        };
        prop_assert_eq!(self.manager.emit(socket.key(), event(s, 'p', number, id), ack), expected);
        if expected.is_err() {
            return Ok(());
        }
        socket.kept.push_back((number, id));
        socket.awaited.extend(id.map(|id| (id, deadline)));
        Ok(())
    }

    fn server(&mut self, kind: Kind, s: usize) -> Check {
        let number = self.number();
        let socket = &mut self.sockets[s];
        let name = if s == 0 { String::new() } else { format!("{},", NAMESPACES[s]) };
        if self.line != Line::Open {
            return Ok(());
        }
        let text = match (kind, socket.seen) {
            (Kind::Accept, Seen::Asked) => {
                (socket.seen, socket.left) = (Seen::Joined, false);
                socket.accepted = socket.take_answer();
                format!("0{name}{{\"sid\":\"s{number}\"}}")
            }
            (Kind::Version2, Seen::Asked) => format!("0{name}"),
            (Kind::Refuse, Seen::Asked) => {
                (socket.seen, socket.left) = (Seen::Nothing, false);
                socket.take_answer();
                format!("4{name}{{\"message\":\"no\"}}")
            }
            (Kind::Disconnect, Seen::Joined) => {
                socket.seen = Seen::Nothing;
                format!("1{name}")
            }
            (Kind::Event | Kind::Attachment, Seen::Asked | Seen::Joined) => {
                let with_attachment = kind == Kind::Attachment;
                if with_attachment {
                    self.pump(Some(Message::Text(&format!("51-{name}[\"s{number}\"]"))))?;
                }
                let socket = &mut self.sockets[s];
                if socket.active && !socket.left && self.line == Line::Open {
                    socket.inbox.push_back(number);
                }
                if with_attachment {
                    return self.pump(Some(Message::Binary(Binary::from(&b"x"[..]))));
                }
                format!("2{name}[\"s{number}\"]")
            }
            _ => return Ok(()),
        };
        self.pump(Some(Message::Text(&text)))
    }

    fn answer(&mut self, s: usize, id: u64) -> Check {
        if self.line != Line::Open || self.sockets[s].seen != Seen::Joined {
            return Ok(());
        }
        let name = if s == 0 { String::new() } else { format!("{},", NAMESPACES[s]) };
        self.pump(Some(Message::Text(&format!("3{name}{id}[]"))))
    }

    fn pump(&mut self, mut message: Option<Message<'_>>) -> Check {
        loop {
            let mut auth = VecDeque::new();
            let mut text = String::new();
            let told = match self.manager.next(self.now, &mut message) {
                Next::Event(event) => {
                    if let Event::Message { payload, .. } = &event {
                        text = payload.json().into();
                    }
                    Told::of(event, &mut auth)
                }
                Next::Transmit(packet) => Told::Transmit(super::text(&packet)),
                Next::Open { .. } => Told::Open,
                Next::Close(_) => Told::Close,
                Next::Wait(until) => {
                    prop_assert!(until.is_none_or(|until| until > self.now));
                    Told::Wait(until)
                }
            };
            self.auth.extend(auth);
            if let Told::Wait(until) = told {
                return self.settled(until);
            }
            self.check(told, &text)?;
        }
    }

    fn check(&mut self, told: Told, text: &str) -> Check {
        match told {
            Told::Open => {
                prop_assert_eq!(self.line, Line::Closed);
                prop_assert!(self.sockets.iter().any(|socket| socket.active), "for nobody");
                self.line = Line::Opening;
            }
            Told::Close | Told::Wait(_) | Told::Other => {}
            Told::Lost => {
                // The manager's `close`, or an attempt that failed.
                self.line = Line::Closed;
                for socket in &mut self.sockets {
                    (socket.seen, socket.shown, socket.left) = (Seen::Nothing, None, false);
                    if !socket.connected {
                        (socket.accepted, socket.inbox) = (false, VecDeque::new());
                    }
                }
            }
            Told::Transmit(text) => return self.transmit(&text),
            Told::Connect(key) => {
                let s = self.at(key);
                let socket = &mut self.sockets[s];
                prop_assert!(socket.active && socket.accepted && !socket.connected);
                prop_assert!(socket.kept.is_empty() && socket.inbox.is_empty(), "before all: {:?}", socket);
                prop_assert!(socket.in_flight || socket.queue.is_empty());
                socket.connected = true;
            }
            Told::NotConnected(key, is_final) => {
                let s = self.at(key);
                let socket = &mut self.sockets[s];
                prop_assert!(!socket.connected);
                if is_final {
                    (socket.active, socket.accepted, socket.inbox) = (false, false, VecDeque::new());
                }
            }
            Told::Disconnect(key, is_final) => {
                let s = self.at(key);
                let socket = &mut self.sockets[s];
                prop_assert!(socket.connected, "twice");
                (socket.connected, socket.accepted, socket.inbox) = (false, false, VecDeque::new());
                socket.active &= !is_final;
            }
            Told::Message(key) => {
                let s = self.at(key);
                let socket = &mut self.sockets[s];
                prop_assert!(socket.accepted && socket.active);
                // What is none of the server's numbers is garbage.
                if let Some(number) = text.strip_prefix("[\"s").and_then(|text| text.strip_suffix("\"]")) {
                    prop_assert_eq!(socket.inbox.pop_front(), number.parse().ok());
                }
            }
            Told::Ack(key, id, failed) => {
                let s = self.at(key);
                let now = self.now;
                let socket = &mut self.sockets[s];
                if let Some(deadline) = socket.awaited.remove(&id) {
                    match failed {
                        None => prop_assert!(socket.connected && deadline.is_none_or(|deadline| deadline > now)),
                        Some(AckError::Timeout) => prop_assert!(deadline.is_some_and(|deadline| deadline <= now)),
                        Some(_) => prop_assert!(!socket.connected),
                    }
                    let before = socket.kept.len();
                    socket.kept.retain(|(_, ack)| *ack != Some(id));
                    let kept = before > socket.kept.len();
                    prop_assert!(!kept || failed == Some(AckError::Timeout) || socket.closing, "{:?}", failed);
                } else {
                    let first = socket.queue.pop_front();
                    prop_assert!(first.is_some_and(|(_, first, _)| first == id), "{:?} for {}", first, id);
                    let tries = first.map_or(0, |(.., tries)| tries);
                    match failed {
                        None => prop_assert!(socket.connected && socket.in_flight && tries > 0),
                        Some(_) => prop_assert!(tries == RETRIES + 1 || socket.closing, "given up after {}", tries),
                    }
                    socket.in_flight = false;
                }
            }
        }
        Ok(())
    }

    fn transmit(&mut self, text: &str) -> Check {
        prop_assert_eq!(self.line, Line::Open, "{}", text);
        self.transmitted += 1;
        let header = Header::parse(text, 0).unwrap();
        let s = NAMESPACES.iter().position(|name| *name == header.namespace).unwrap();
        let socket = &mut self.sockets[s];
        match header.kind {
            PacketType::Connect => {
                prop_assert!(socket.active && !socket.connected);
                prop_assert_eq!(socket.seen, Seen::Nothing, "one CONNECT at a time");
                let shown = header.payload.strip_prefix("{\"token\":\"").and_then(|rest| rest.get(..1));
                (socket.seen, socket.shown) = (Seen::Asked, shown.map(|token| token.parse().unwrap()));
                prop_assert_eq!(socket.shown, Some(socket.token));
            }
            PacketType::Disconnect => {
                prop_assert_eq!(socket.seen, Seen::Joined);
                prop_assert!(!socket.active || !socket.accepted);
                (socket.seen, socket.left) = (Seen::Nothing, true);
            }
            PacketType::Event => {
                prop_assert!(socket.accepted && socket.inbox.is_empty() && socket.seen == Seen::Joined, "{}", text);
                let number = header.payload[3..header.payload.len() - 2].parse().unwrap();
                if header.payload.starts_with("[\"p") {
                    prop_assert_eq!(socket.kept.pop_front(), Some((number, header.id)), "in order, once");
                } else {
                    let first = socket.queue.front_mut().unwrap();
                    prop_assert_eq!(Some((first.0, Some(first.1))), Some((number, header.id)), "one at a time");
                    first.2 += 1;
                    prop_assert!(first.2 <= RETRIES + 1);
                    socket.in_flight = true;
                }
            }
            other => prop_assert!(false, "{other:?}"),
        }
        Ok(())
    }

    /// What is true when there is nothing left to do.
    fn settled(&mut self, until: Option<Instant>) -> Check {
        let wanted = self.sockets.iter().any(|socket| socket.active);
        prop_assert!(wanted || self.line == Line::Closed, "nobody needs the connection");
        prop_assert!(!wanted || self.line == Line::Open || until.is_some(), "stuck");
        prop_assert_eq!(self.line == Line::Open, self.manager.is_open());
        for socket in &mut self.sockets {
            prop_assert_eq!(self.manager.is_active(socket.key()), socket.active);
            prop_assert_eq!(self.manager.is_connected(socket.key()), socket.connected);
            prop_assert_eq!(self.manager.id(socket.key()).is_some(), socket.connected);
            if socket.closing {
                socket.kept.clear();
                prop_assert!(socket.awaited.is_empty() && socket.queue.is_empty());
                socket.closing = false;
            }
            prop_assert_eq!(self.manager.buffered(socket.key()), socket.kept.len() + socket.queue.len());
            prop_assert!(!socket.connected || (socket.kept.is_empty() && socket.inbox.is_empty()), "{:?}", socket);
            prop_assert!(!socket.connected || socket.in_flight || socket.queue.is_empty(), "{:?}", socket);
            if !socket.connected {
                socket.in_flight = false;
                for id in socket.awaited.keys() {
                    prop_assert!(socket.kept.iter().any(|(_, ack)| *ack == Some(*id)), "{} was sent", id);
                }
            }
            for deadline in socket.awaited.values().flatten() {
                prop_assert!(*deadline > self.now && until.is_some_and(|until| until <= *deadline));
            }
        }
        Ok(())
    }
}

/// What the manager said.
enum Told {
    Wait(Option<Instant>),
    Open,
    Close,
    Transmit(String),
    Lost,
    Connect(SocketKey),
    /// And whether the socket is not active any more.
    NotConnected(SocketKey, bool),
    Disconnect(SocketKey, bool),
    Message(SocketKey),
    Ack(SocketKey, u64, Option<AckError>),
    Other,
}

impl Told {
    fn of(event: Event<'_>, auth: &mut VecDeque<AuthRequest>) -> Self {
        match event {
            Event::Authenticate(request) => auth.push_back(request),
            Event::Connect { socket, .. } => return Self::Connect(socket),
            Event::ConnectError { socket, error } => {
                let ends = [
                    matches!(error, ConnectFailure::Refused(_)),
                    error == ConnectFailure::Closed(DisconnectReason::IoServerDisconnect),
                ];
                return Self::NotConnected(socket, ends.contains(&true));
            }
            Event::Disconnect { socket, reason } => {
                return Self::Disconnect(socket, !matches!(reason, DisconnectReason::Connection(_)));
            }
            Event::Message { socket, .. } => return Self::Message(socket),
            Event::Ack { socket, id, .. } => return Self::Ack(socket, id, None),
            Event::AckFailed { socket, id, error } => return Self::Ack(socket, id, Some(error)),
            Event::Closed(_) | Event::Error(_) => return Self::Lost,
            _ => {}
        }
        Self::Other
    }
}

fn options(name: &str) -> SocketOptions {
    let auth = if name == "/a" { Auth::Asked } else { Auth::Given(token(0)) };
    SocketOptions { auth, retries: RETRIES, ack_timeout: Some(Duration::from_millis(2000)) }
}

fn token(number: u32) -> Credentials {
    credentials(&number.to_string())
}

fn event(s: usize, kind: char, number: u64, id: Option<u64>) -> Packet {
    Encoder::default().event(NAMESPACES[s], &format!("{kind}{number}"), &(), id).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn a_manager_keeps_its_promises(
        ops in proptest::collection::vec((op(), proptest::bool::weighted(0.3)), 0..120),
        deliver: bool,
    ) {
        World::new().run(ops, deliver)?;
    }
}

proptest! {
    #[test]
    fn no_server_makes_a_manager_hang_or_grow(
        messages in proptest::collection::vec(
            (
                "[0-6]{1,2}-?(/|/a|/b)?,?[0-3]?",
                proptest::sample::select(vec!["", "[]", "{}", "[\"x\"]", "[\"x\"", r#"{"sid":"x"}"#, r#"{"sid":"x","pid":"p"}"#]),
                0..20_u8,
            ),
            0..60,
        ),
    ) {
        let mut world = super::World::new(Config { max_early: 500, max_acks: 3, ..config() });
        world.socket("/a", asked()).run(&["connect /", "connect /a", "emit /b x -", "opened"]);
        for (start, end, what) in messages {
            match what {
                0 => world.step("opened"),
                1 => world.step("wait 6000"),
                2 => world.step("connect /a"),
                3 => world.step("disconnect /"),
                4 => world.step("connect /"),
                5 => world.step("emit /a x 100"),
                6 if !world.auth.is_empty() => world.step("auth t"),
                7 if !world.acks.is_empty() => world.step("answer"),
                8 | 9 => world.step("binary x"),
                _ => world.step(&[&*start, end].concat()),
            }
            let slots = &world.manager.slots;
            prop_assert_eq!(slots.len(), 3);
            let early = slots.iter().flat_map(|slot| &slot.early).map(|early| cost(early)).sum::<usize>();
            prop_assert!(early == world.manager.early && early <= 500);
        }
        world.run(&["close"]);
        prop_assert!(world.manager.is_idle());
    }
}

#[test]
fn the_model_sees_traffic() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let ops = proptest::collection::vec((op(), Just(false)), 120);
    let runs = (0..50).map(|_| World::new().run(ops.new_tree(&mut runner).unwrap().current(), true).unwrap());
    let transmitted: usize = runs.sum();
    assert!(transmitted > 50 * 15, "{transmitted}");
}
