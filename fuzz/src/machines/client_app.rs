//! An application that does whatever it likes to the sockets of a client, and the books of what they owe it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use socketio_protocol::client::Client;
use socketio_protocol::engine::Packet;
use socketio_protocol::socket::manager::{
    AckError, AckRequest, Auth, AuthRequest, Config, ConnectFailure, Credentials, EmitError, Event, ExpectedAck,
    Manager, SocketOptions,
};
use socketio_protocol::socket::{Binary, DisconnectReason, Header, PacketType, SocketKey, encode_ack, encode_event};
use socketio_protocol::{Instant, SocketId};

use super::{Ops, Trial};

/// What an application can do to a machine.
pub(crate) trait Manages {
    fn socket(&mut self, namespace: &str, options: SocketOptions) -> SocketKey;
    fn connect(&mut self, now: Instant, socket: SocketKey);
    fn disconnect(&mut self, socket: SocketKey);
    fn remove(&mut self, socket: SocketKey);
    fn close(&mut self);
    fn authenticate(&mut self, now: Instant, request: AuthRequest, auth: &Credentials);
    fn decline(&mut self, request: AuthRequest) -> bool;
    fn set_auth(&mut self, socket: SocketKey, auth: Auth);
    fn ack_id(&mut self, socket: SocketKey) -> u64;
    fn emit(&mut self, socket: SocketKey, packet: Packet, ack: Option<ExpectedAck>) -> Result<(), EmitError>;
    fn emit_volatile(&mut self, socket: SocketKey, packet: Packet, ack: Option<ExpectedAck>)
    -> Result<bool, EmitError>;
    fn retry(
        &mut self,
        now: Instant,
        socket: SocketKey,
        packet: Packet,
        id: u64,
        timeout: Option<Duration>,
    ) -> Result<(), EmitError>;
    fn forget_ack(&mut self, socket: SocketKey, id: u64);
    fn answer(&mut self, request: AckRequest, answer: Packet) -> bool;
    fn id(&self, socket: SocketKey) -> Option<&SocketId>;
    fn manager(&self) -> &Manager;
}

macro_rules! manages {
    ($machine:ty, $this:ident => $manager:expr, $volatile:expr) => {
        impl Manages for $machine {
            fn socket(&mut self, namespace: &str, options: SocketOptions) -> SocketKey {
                self.socket(namespace, options).expect("a name")
            }

            fn connect(&mut self, now: Instant, socket: SocketKey) {
                self.connect(now, socket);
            }

            fn disconnect(&mut self, socket: SocketKey) {
                self.disconnect(socket);
            }

            fn remove(&mut self, socket: SocketKey) {
                self.remove(socket);
            }

            fn close(&mut self) {
                self.close();
            }

            fn authenticate(&mut self, now: Instant, request: AuthRequest, auth: &Credentials) {
                self.authenticate(now, request, auth);
            }

            fn decline(&mut self, request: AuthRequest) -> bool {
                self.decline(request)
            }

            fn set_auth(&mut self, socket: SocketKey, auth: Auth) {
                self.set_auth(socket, auth);
            }

            fn ack_id(&mut self, socket: SocketKey) -> u64 {
                self.ack_id(socket)
            }

            fn emit(&mut self, socket: SocketKey, packet: Packet, ack: Option<ExpectedAck>) -> Result<(), EmitError> {
                self.emit(socket, packet, ack)
            }

            fn emit_volatile(
                &mut self,
                socket: SocketKey,
                packet: Packet,
                ack: Option<ExpectedAck>,
            ) -> Result<bool, EmitError> {
                $volatile(self, socket, packet, ack)
            }

            fn retry(
                &mut self,
                now: Instant,
                socket: SocketKey,
                packet: Packet,
                id: u64,
                timeout: Option<Duration>,
            ) -> Result<(), EmitError> {
                self.emit_with_retries(now, socket, packet, id, timeout)
            }

            fn forget_ack(&mut self, socket: SocketKey, id: u64) {
                self.forget_ack(socket, id);
            }

            fn answer(&mut self, request: AckRequest, answer: Packet) -> bool {
                self.answer(request, answer)
            }

            fn id(&self, socket: SocketKey) -> Option<&SocketId> {
                self.id(socket)
            }

            fn manager(&self) -> &Manager {
                let $this = self;
                $manager
            }
        }
    };
}

manages! { Manager, this => this, |this: &mut Manager, socket, packet, ack| this.emit_volatile(socket, packet, ack, true) }
manages! { Client, this => Client::manager(this), Client::emit_volatile }

const MAX_ACKS: usize = 4;
const MAX_BUFFERED: usize = 4;
const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

pub(crate) struct ClientApp {
    /// All that ever were; of each namespace the last one counts.
    sockets: Vec<Socket>,
    auth: Vec<AuthRequest>,
    answers: Vec<AckRequest>,
    /// Answers that were taken and not transmitted.
    answered: usize,
    numbers: u64,
    /// Number of the last event that was transmitted to a namespace, without retries and with.
    transmitted: BTreeMap<String, [u64; 2]>,
    open: bool,
}

struct Socket {
    key: SocketKey,
    namespace: &'static str,
    removed: bool,
    active: bool,
    connected: bool,
    awaited: BTreeMap<u64, Option<Instant>>,
    retried: BTreeSet<u64>,
}

impl ClientApp {
    /// How many operations there are.
    pub(crate) const OPS: usize = 15;

    /// A socket for each of the namespaces.
    pub(crate) fn new(ops: &mut Ops<'_>, machine: &mut impl Manages) -> Self {
        let sockets = NAMESPACES.map(|namespace| new_socket(ops, machine, namespace)).into();
        let (auth, answers, transmitted) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { sockets, auth, answers, answered: 0, numbers: 0, transmitted, open: false }
    }

    pub(crate) fn act(&mut self, op: usize, ops: &mut Ops<'_>, machine: &mut impl Manages, now: Instant) {
        let socket = self.any(ops);
        match op {
            0 | 1 => {
                machine.connect(now, socket.key);
                socket.active = !socket.removed;
            }
            2 => {
                machine.disconnect(socket.key);
                socket.active = false;
            }
            3 => {
                let namespace = socket.namespace;
                if !socket.removed {
                    machine.remove(socket.key);
                    (socket.active, socket.removed) = (false, true);
                    self.sockets.push(new_socket(ops, machine, namespace));
                }
            }
            4 => machine.set_auth(socket.key, auth(ops)),
            5 => {
                if let Some(id) = socket.awaited.keys().next().copied() {
                    socket.awaited.remove(&id);
                    machine.forget_ack(socket.key, id);
                }
            }
            6 | 7 => {
                if let Some(request) = self.auth.pop() {
                    machine.authenticate(now, request, &credentials(ops));
                }
            }
            8 => self.decline(machine),
            9 | 10 => self.emit(ops, machine, now, false),
            11 => self.emit(ops, machine, now, true),
            12 => self.retry(ops, machine, now),
            13 => self.answer(machine),
            _ if ops.below(8) == 0 => self.close(machine),
            _ => {}
        }
    }

    pub(crate) fn close(&mut self, machine: &mut impl Manages) {
        machine.close();
        self.sockets.iter_mut().for_each(|socket| socket.active = false);
    }

    /// A socket, or one that is gone.
    fn any(&mut self, ops: &mut Ops<'_>) -> &mut Socket {
        let back = ops.below(4).min(self.sockets.len() - 1);
        self.sockets.iter_mut().nth_back(back).expect("there are some")
    }

    fn decline(&mut self, machine: &mut impl Manages) {
        let Some(request) = self.auth.pop() else { return };
        let key = request.socket();
        if machine.decline(request) {
            self.socket(key).active = false;
        }
    }

    fn answer(&mut self, machine: &mut impl Manages) {
        let Some(request) = self.answers.pop() else { return };
        let namespace = self.socket(request.socket()).namespace;
        let answer = encode_ack(namespace, request.id(), &()).expect("an ack");
        self.answered += usize::from(machine.answer(request, answer));
    }

    fn emit(&mut self, ops: &mut Ops<'_>, machine: &mut impl Manages, now: Instant, volatile: bool) {
        self.numbers += 1;
        let (name, socket) = (format!("p{}", self.numbers), self.any(ops));
        let deadline = *ops.pick(&[None, Some(1000), Some(0), Some(60_000)]);
        let ack = ops.flag().then(|| ExpectedAck {
            id: machine.ack_id(socket.key),
            deadline: deadline.map(|millis| now + Duration::from_millis(millis)),
        });
        let packet = event(ops, socket.namespace, &name, ack.map(|ack| ack.id));
        let (connected, waiting) = (machine.manager().is_connected(socket.key), machine.manager().buffered(socket.key));
        let sent = match volatile {
            true => machine.emit_volatile(socket.key, packet, ack),
            false => machine.emit(socket.key, packet, ack).map(|()| true),
        };
        match sent {
            Ok(true) => socket.awaited.extend(ack.map(|ack| (ack.id, ack.deadline))),
            Ok(false) => assert!(volatile),
            Err(EmitError::Gone) => assert!(socket.removed),
            Err(EmitError::TooManyAcks) => assert!(ack.is_some() && socket.awaited.len() >= MAX_ACKS),
            Err(error) => assert!(error == EmitError::Full && !connected && waiting > 0),
        }
        assert!(!volatile || sent == Ok(false) || connected);
    }

    fn retry(&mut self, ops: &mut Ops<'_>, machine: &mut impl Manages, now: Instant) {
        self.numbers += 1;
        let (name, socket) = (format!("r{}", self.numbers), self.any(ops));
        let id = machine.ack_id(socket.key);
        let packet = event(ops, socket.namespace, &name, Some(id));
        let timeout = ops.pick(&[None, Some(0), Some(3000)]).map(Duration::from_millis);
        match machine.retry(now, socket.key, packet, id, timeout) {
            Ok(()) => assert!(!socket.removed && socket.retried.insert(id)),
            Err(EmitError::Gone) => assert!(socket.removed),
            Err(error) => assert!(error == EmitError::Full && machine.manager().buffered(socket.key) > 0),
        }
    }

    /// The machine has told this.
    pub(crate) fn take(&mut self, event: Event<'_>, trial: &mut Trial) {
        trial.note(format_args!("{event:?}"));
        match event {
            Event::Authenticate(request) => self.auth.push(request),
            Event::Connect { socket, .. } => {
                let socket = self.socket(socket);
                assert!(socket.active && !socket.connected);
                socket.connected = true;
            }
            Event::ConnectError { socket, error } => {
                trial.note(format_args!("{error}"));
                let socket = self.socket(socket);
                assert!(!socket.connected);
                let of_server = ConnectFailure::Closed(DisconnectReason::IoServerDisconnect);
                socket.active &= !matches!(error, ConnectFailure::Refused(_)) && error != of_server;
            }
            Event::Disconnect { socket, reason } => {
                let socket = self.socket(socket);
                assert!(std::mem::take(&mut socket.connected), "told twice");
                socket.active &= reason != DisconnectReason::IoServerDisconnect;
            }
            Event::Message { socket, ack, .. } => {
                assert!(self.socket(socket).active, "an event for nobody");
                self.answers.extend(ack);
            }
            Event::Ack { socket, id, .. } => self.socket(socket).take_ack(id, None, trial.latest()),
            Event::AckFailed { socket, id, error } => self.socket(socket).take_ack(id, Some(error), trial.latest()),
            Event::Opened => assert!(!std::mem::replace(&mut self.open, true), "opened twice"),
            Event::Closed(_) => self.open = false,
            _ => {}
        }
    }

    /// A message of the machine: events leave in order, and without retries once.
    pub(crate) fn transmit(&mut self, text: &str) -> (PacketType, String) {
        let header = Header::parse(text, 2).expect("a packet");
        assert!(NAMESPACES.contains(&header.namespace));
        match header.kind {
            PacketType::Event | PacketType::BinaryEvent => {
                let last = self.transmitted.entry(header.namespace.into()).or_default();
                let name = header.into_payload(Vec::new()).event().into_owned();
                let number = name[1..].parse().expect("a number");
                match name.starts_with('p') {
                    true => assert!(std::mem::replace(&mut last[0], number) < number, "twice, or out of order: {text}"),
                    false => assert!(std::mem::replace(&mut last[1], number) <= number, "out of order: {text}"),
                }
            }
            PacketType::Ack => self.answered = self.answered.checked_sub(1).expect("one answer for each"),
            PacketType::Connect | PacketType::Disconnect => {}
            kind => panic!("clients do not send {kind:?}"),
        }
        (header.kind, header.namespace.into())
    }

    fn socket(&mut self, key: SocketKey) -> &mut Socket {
        self.sockets.iter_mut().find(|socket| socket.key == key).expect("a socket")
    }

    /// Whether somebody wants a connection.
    pub(crate) fn is_active(&self) -> bool {
        self.sockets.iter().any(|socket| socket.active)
    }

    /// What is true whenever the machine waits.
    pub(crate) fn check(&self, machine: &impl Manages, trial: &Trial) {
        let manager = machine.manager();
        assert!(manager.is_open() == self.open && !(self.is_active() && manager.is_dormant() && manager.is_open()));
        for socket in &self.sockets {
            let key = socket.key;
            assert_eq!(manager.namespace(key), (!socket.removed).then_some(socket.namespace));
            assert_eq!((manager.is_active(key), manager.is_connected(key)), (socket.active, socket.connected));
            assert_eq!(machine.id(key).is_some(), socket.connected);
            assert!(!manager.is_recovered(key) || !socket.removed);
            let buffered = manager.buffered(key);
            assert!(buffered <= MAX_BUFFERED && buffered >= socket.retried.len());
            assert!(!socket.connected || buffered == socket.retried.len(), "it is connected, and keeps something");
            assert!(socket.connected || socket.awaited.len() + socket.retried.len() <= buffered, "who is to answer?");
            assert!(socket.awaited.values().flatten().all(|deadline| *deadline > trial.latest()));
        }
    }

    /// Whether everybody knows that no answer comes.
    pub(crate) fn is_settled(&self) -> bool {
        self.sockets.iter().all(|socket| socket.awaited.is_empty() && socket.retried.is_empty() && !socket.connected)
    }
}

impl Socket {
    fn take_ack(&mut self, id: u64, error: Option<AckError>, now: Instant) {
        let Some(deadline) = self.awaited.remove(&id) else {
            assert!(self.retried.remove(&id), "nobody waits for it: {id} {error:?}");
            return;
        };
        match error {
            None => assert!(self.connected && deadline.is_none_or(|deadline| deadline > now)),
            Some(AckError::Timeout) => assert!(deadline.is_some_and(|deadline| deadline <= now), "it is not late"),
            Some(_) => assert!(!self.connected),
        }
    }
}

fn new_socket(ops: &mut Ops<'_>, machine: &mut impl Manages, namespace: &'static str) -> Socket {
    let mut options = SocketOptions::default();
    (options.auth, options.retries) = (auth(ops), *ops.pick(&[1, 0]));
    options.ack_timeout = ops.pick(&[Some(2000), None]).map(Duration::from_millis);
    let key = machine.socket(namespace, options.clone());
    assert_eq!(machine.socket(namespace, options), key);
    let (awaited, retried) = (BTreeMap::new(), BTreeSet::new());
    Socket { key, namespace, removed: false, active: false, connected: false, awaited, retried }
}

fn auth(ops: &mut Ops<'_>) -> Auth {
    if ops.flag() { Auth::Asked } else { Auth::Given(credentials(ops)) }
}

fn credentials(ops: &mut Ops<'_>) -> Credentials {
    match ops.below(3) {
        0 => Credentials::default(),
        1 => Credentials::new(&serde_json::json!({ "token": 1 })).expect("an object"),
        _ => Credentials::new(&serde_json::json!({ "pid": "q", "offset": 1 })).expect("an object"),
    }
}

fn event(ops: &mut Ops<'_>, namespace: &str, name: &str, id: Option<u64>) -> Packet {
    let event = match ops.below(4) {
        0 => encode_event(namespace, name, &Binary::from(vec![1; 5]), id),
        1 => encode_event(namespace, name, &"x".repeat(200), id),
        _ => encode_event(namespace, name, &(), id),
    };
    event.expect("an event")
}

/// Limits that a few operations reach.
pub(crate) fn manager_config(ops: &mut Ops<'_>) -> Config {
    let mut config = Config::default();
    config.reconnection = ops.below(4) != 3;
    config.reconnection_attempts = *ops.pick(&[None, Some(2)]);
    config.randomization_factor = *ops.pick(&[0.5, 0.0]);
    config.connect_timeout = *ops.pick(&[Some(Duration::from_secs(20)), None]);
    (config.max_buffered, config.max_buffered_packets) = (600, MAX_BUFFERED);
    (config.max_early, config.max_attachments, config.max_packet, config.max_acks) = (300, 2, 5000, MAX_ACKS);
    config
}
