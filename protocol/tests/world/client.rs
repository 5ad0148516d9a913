//! A client: its machine, driven by what the network brings, and an application that answers what it is asked.

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use socketio_protocol::client::{Client as Machine, Next};
use socketio_protocol::engine::client::{Request, RequestId};
use socketio_protocol::engine::{self, Packet, Transport};
use socketio_protocol::socket::manager::{
    self, AckError, AckRequest, Auth, AuthRequest, ConnectFailure, Credentials, EmitError, Event, ExpectedAck,
    SocketOptions,
};
use socketio_protocol::socket::{DisconnectReason, SocketKey};
use socketio_protocol::websocket::Key;
use socketio_protocol::{Input, Instant, Random, Seed};

use super::chance::mix;
use super::clock::{Clock, NEVER, Time, Work};
use super::ledger::{Ledger, Place};
use super::message::{self, Body};
use super::network::{CLIENT, Network, fill};
use super::trace::NAMESPACES;

mod application;
mod driver;

const MAX_ACKS: usize = 6;
const MAX_KEPT: usize = 8;
const MAX_KEPT_BYTES: usize = 6000;
/// How often an event with retries is sent at most.
pub(crate) const TRIES: u32 = 3;
/// The namespace whose credentials are asked for.
const ASKED: usize = 1;

pub(crate) struct Client {
    index: usize,
    /// It tries polling where WebSocket fails.
    falls_back: bool,
    machine: Machine,
    pub(crate) clock: Clock,
    /// The latest time that the machine was told.
    latest: Instant,
    /// One for each namespace.
    keys: Vec<SocketKey>,
    stream: Option<u64>,
    /// Requests under way, and whether they are polls.
    requests: Vec<(RequestId, bool)>,
    deadline: Option<Instant>,
    /// It was told something, and not yet asked what follows.
    pub(crate) is_behind: bool,
    answers: Vec<(Time, Answer)>,
    logins: Vec<(Time, AuthRequest)>,
    /// The cost of the largest packet.
    largest: usize,
    work: Work,
}

/// What the application owes.
struct Answer {
    namespace: usize,
    talk: usize,
    body: Body,
    request: AckRequest,
}

/// What an event has told.
enum Told {
    Request(Request),
    OpenStream(String),
    Login(AuthRequest),
    Connected(SocketKey),
    Disconnected(SocketKey, DisconnectReason),
    Message(SocketKey, Body, Option<AckRequest>),
    Acked(SocketKey, u64, u64),
    AckFailed(SocketKey, u64, AckError),
    Refused(bool),
    Reconnected,
    Waits,
    Nothing,
}

impl Client {
    pub(crate) fn new(index: usize, transports: i64, namespaces: usize, net: &Network) -> Self {
        let mut clock = Clock::default();
        clock.jump(1000 * (1 + index as i64));
        let mut seed = [index as u8; 32];
        seed[..8].copy_from_slice(&mix(net.seed).to_le_bytes());
        let now = clock.read(net.now);
        let (engine, manager) = (engine_config(transports), manager_config());
        let mut machine = Machine::new(engine.into(), manager.into(), Random::new(Seed::new(seed)), now);
        let keys = (0..namespaces).map(|namespace| socket(&mut machine, index, namespace)).collect();
        Self {
            index,
            falls_back: transports == 3,
            machine,
            clock,
            latest: now,
            keys,
            stream: None,
            requests: Vec::new(),
            deadline: None,
            is_behind: false,
            answers: Vec::new(),
            logins: Vec::new(),
            largest: 0,
            work: Work::new(net.now),
        }
    }

    /// Which of its connections is the latest.
    pub(crate) fn link(&self) -> u64 {
        self.machine.connections()
    }

    /// When it wants to be called.
    pub(crate) fn wake(&self) -> Time {
        let deadline = self.deadline.map_or(NEVER, |deadline| self.clock.when(deadline));
        let answers = self.answers.iter().map(|(due, _)| *due);
        let logins = self.logins.iter().map(|(due, _)| *due);
        answers.chain(logins).min().unwrap_or(NEVER).min(deadline)
    }

    /// Whether nothing is left.
    pub(crate) fn is_idle(&self) -> bool {
        let quiet = self.stream.is_none() && self.requests.is_empty() && self.deadline.is_none();
        quiet && self.machine.is_idle()
    }

    /// How many sockets are connected.
    pub(crate) fn connected(&self) -> usize {
        self.keys.iter().filter(|key| self.machine.manager().is_connected(**key)).count()
    }

    pub(crate) fn namespaces(&self) -> usize {
        self.keys.len()
    }

    fn now(&mut self, net: &Network) -> Instant {
        self.clock.read(net.now)
    }

    fn place(&self, key: SocketKey) -> Place {
        let namespace = self.keys.iter().position(|known| *known == key);
        (self.index, namespace.expect("unknown: a socket that nobody made"))
    }
}

/// What the application wants.
impl Client {
    pub(crate) fn connect(&mut self, namespace: usize, net: &Network) {
        let now = self.now(net);
        self.machine.connect(now, self.keys[namespace]);
    }

    /// Connects whoever is not to be connected.
    pub(crate) fn connect_all(&mut self, net: &Network) {
        for namespace in 0..self.keys.len() {
            if !self.machine.manager().is_active(self.keys[namespace]) {
                self.connect(namespace, net);
            }
        }
    }

    pub(crate) fn disconnect(&mut self, namespace: usize, ledger: &mut Ledger) {
        self.leave(namespace, ledger);
        self.machine.disconnect(self.keys[namespace]);
    }

    pub(crate) fn remove(&mut self, namespace: usize, net: &mut Network, ledger: &mut Ledger) {
        self.leave(namespace, ledger);
        ledger.client_discards((self.index, namespace));
        self.machine.remove(self.keys[namespace]);
        self.run(net, ledger, &mut []);
        self.keys[namespace] = socket(&mut self.machine, self.index, namespace);
    }

    pub(crate) fn close(&mut self, ledger: &mut Ledger) {
        for namespace in 0..self.keys.len() {
            self.leave(namespace, ledger);
            ledger.client_discards((self.index, namespace));
        }
        self.machine.close();
    }

    fn leave(&mut self, namespace: usize, ledger: &mut Ledger) {
        if let Some(talk) = ledger.sockets[self.index][namespace].talk {
            ledger.end(talk, CLIENT);
        }
    }

    pub(crate) fn emit(&mut self, namespace: usize, ack: i64, body: &Body, net: &Network, ledger: &mut Ledger) {
        let (place, expected) = ((self.index, namespace), self.expect(namespace, ack, net));
        let packet = self.packet(namespace, body, expected.map(|ack| ack.id));
        let (awaited, kept) = ledger.client_load(place);
        let bytes = self.machine.manager().buffered_bytes() + packet.cost();
        match self.machine.emit(self.keys[namespace], packet, expected) {
            Ok(()) => {
                assert!(expected.is_none() || awaited < MAX_ACKS, "limit: {awaited} answers are awaited already");
                let is_connected = ledger.sockets[place.0][place.1].talk.is_some();
                assert!(is_connected || kept < MAX_KEPT, "limit: {kept} events are kept already");
                ledger.client_emits(place, body.number, expected.and_then(|ack| Some((ack.id, ack.deadline?))));
            }
            Err(EmitError::TooManyAcks) => {
                assert_eq!(awaited, MAX_ACKS, "limit: of acks");
                ledger.census.acks_full += 1;
            }
            Err(EmitError::Full) => {
                assert!(kept == MAX_KEPT || bytes > MAX_KEPT_BYTES, "limit: of {kept} events with {bytes} bytes");
                ledger.census.buffers_full += 1;
            }
            Err(error) => panic!("emit: {error}"),
        }
    }

    pub(crate) fn emit_volatile(
        &mut self,
        namespace: usize,
        ack: i64,
        body: &Body,
        net: &Network,
        ledger: &mut Ledger,
    ) {
        let (place, expected) = ((self.index, namespace), self.expect(namespace, ack, net));
        let packet = self.packet(namespace, body, expected.map(|ack| ack.id));
        match self.machine.emit_volatile(self.keys[namespace], packet, expected) {
            Ok(true) => {
                ledger.census.volatile += 1;
                ledger.client_emits(place, body.number, expected.and_then(|ack| Some((ack.id, ack.deadline?))));
            }
            Ok(false) => ledger.census.volatile_dropped += 1,
            Err(error) => assert_eq!((error, ledger.client_load(place).0), (EmitError::TooManyAcks, MAX_ACKS)),
        }
    }

    pub(crate) fn emit_sure(&mut self, namespace: usize, body: &Body, net: &Network, ledger: &mut Ledger) {
        let (key, now) = (self.keys[namespace], self.now(net));
        let id = self.machine.ack_id(key);
        let packet = self.packet(namespace, body, Some(id));
        match self.machine.emit_with_retries(now, key, packet, id, None) {
            Ok(()) => ledger.client_ensures((self.index, namespace), body.number, id),
            Err(error) => {
                assert_eq!(error, EmitError::Full);
                ledger.census.buffers_full += 1;
            }
        }
    }

    fn packet(&mut self, namespace: usize, body: &Body, ack: Option<u64>) -> Packet {
        let packet = message::encode(NAMESPACES[namespace], body, ack);
        self.largest = self.largest.max(packet.cost());
        packet
    }

    fn expect(&mut self, namespace: usize, ack: i64, net: &Network) -> Option<ExpectedAck> {
        let now = self.now(net);
        let deadline = Some(now + Duration::from_millis(ack.max(0) as u64));
        (ack > 0).then(|| ExpectedAck { id: self.machine.ack_id(self.keys[namespace]), deadline })
    }
}

fn socket(machine: &mut Machine, index: usize, namespace: usize) -> SocketKey {
    let mut options = SocketOptions::default();
    options.auth = if namespace == ASKED { Auth::Asked } else { Auth::Given(credentials(index)) };
    (options.retries, options.ack_timeout) = (TRIES - 1, Some(Duration::from_millis(700)));
    machine.socket(NAMESPACES[namespace], options).unwrap()
}

fn credentials(index: usize) -> Credentials {
    Credentials::new(&json!({ "client": index })).unwrap()
}

fn engine_config(transports: i64) -> engine::client::Config {
    let mut config = engine::client::Config::default();
    config.path = "/socket.io/".into();
    config.transports = match transports {
        0 => vec![Transport::Polling],
        1 => vec![Transport::WebSocket],
        2 => vec![Transport::Polling, Transport::WebSocket],
        _ => vec![Transport::WebSocket, Transport::Polling],
    }
    .into();
    config.connect_timeout = Duration::from_secs(4);
    config.upgrade_timeout = Duration::from_secs(2);
    config.close_timeout = Duration::from_secs(4);
    config
}

fn manager_config() -> manager::Config {
    let mut config = manager::Config::default();
    config.reconnection_delay = Duration::from_millis(200);
    config.reconnection_delay_max = Duration::from_secs(1);
    config.timeout = Some(Duration::from_secs(5));
    config.connect_timeout = Some(Duration::from_secs(3));
    config.attachment_timeout = Duration::from_secs(3);
    (config.max_buffered_packets, config.max_buffered, config.max_acks) = (MAX_KEPT, MAX_KEPT_BYTES, MAX_ACKS);
    config
}
