//! The server: a machine for each session, rooms, and an application that lets people in, answers and forgets.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use socketio_protocol::engine::{
    self, Admission, CloseReason, Exchange, ExchangeId, ExchangeKind, RequestHead, RequestKind, Response, Transport,
    admit,
};
use socketio_protocol::server::{Connection, Next};
use socketio_protocol::socket::{self, ConnectError, ConnectRequest, DisconnectReason, Event, SocketKey};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId, SocketId};

use super::chance::mix;
use super::clock::{Clock, NEVER, Time, Work};
use super::ledger::Ledger;
use super::members::Members;
use super::message::{self, Body};
use super::network::{Network, SERVER, fill};
use super::trace::NAMESPACES;

mod application;
mod driver;

use application::read;

const MAX_ACKS: usize = 6;
pub(crate) const MAX_NAMESPACES: usize = 3;

pub(crate) struct Server {
    engine: Arc<engine::Config>,
    sockets: Arc<socket::Config>,
    random: Random,
    pub(crate) clock: Clock,
    sessions: Vec<Session>,
    members: Vec<Members>,
    /// Of each namespace: the next ack id; who is let in, and how late that is said.
    acks: [u64; NAMESPACES.len()],
    verdicts: [(bool, u64); NAMESPACES.len()],
    owed: Vec<(Time, u64, Debt)>,
    /// It is away until then.
    away: Time,
    /// How many sessions there were.
    count: u64,
    /// The cost of the largest packet.
    largest: usize,
}

struct Session {
    number: u64,
    client: usize,
    link: u64,
    machine: Connection,
    stream: Option<u64>,
    /// Requests that wait for an answer.
    exchanges: Vec<u64>,
    joined: Vec<Joined>,
    deadline: Instant,
    /// The latest time that the machine was told.
    latest: Instant,
    paused: Option<Time>,
    /// It was told something, and not yet asked what follows.
    is_behind: bool,
    work: Work,
}

struct Joined {
    key: SocketKey,
    talk: usize,
    namespace: usize,
}

/// What the application owes to a session.
enum Debt {
    Verdict(ConnectRequest, usize, bool),
    Answer(usize, SocketKey, u64, Body),
}

/// What an event has told.
enum Told {
    Asks(ConnectRequest, usize, usize),
    Message(SocketKey, Body, Option<u64>),
    Acked(SocketKey, u64, u64),
    TimedOut(SocketKey, u64),
    Disconnected(SocketKey, DisconnectReason),
    Closed(CloseReason),
    Finished,
    Waits,
    Nothing,
}

impl Server {
    pub(crate) fn new(queue: usize, net: &Network) -> Self {
        let mut seed = [255; 32];
        seed[..8].copy_from_slice(&mix(net.seed).to_le_bytes());
        Self {
            engine: Arc::new(engine_config(queue)),
            sockets: Arc::new(socket_config()),
            random: Random::new(Seed::new(seed)),
            clock: Clock::default(),
            sessions: Vec::new(),
            members: NAMESPACES.iter().map(|_| Members::new()).collect(),
            acks: [0; NAMESPACES.len()],
            verdicts: [(true, 0); NAMESPACES.len()],
            owed: Vec::new(),
            away: 0,
            count: 0,
            largest: 0,
        }
    }

    /// When it wants to be called.
    pub(crate) fn wake(&self) -> Time {
        let owed = self.owed.iter().map(|(due, ..)| *due);
        let sessions = self.sessions.iter().map(|session| {
            let deadline = self.clock.when(session.deadline);
            session.paused.map_or(deadline, |until| until.min(deadline))
        });
        owed.chain(sessions).min().unwrap_or(NEVER)
    }

    /// Whether nothing is left.
    pub(crate) fn is_idle(&self) -> bool {
        self.sessions.is_empty() && self.owed.is_empty() && self.members.iter().all(Members::is_empty)
    }

    /// A client's latest session.
    fn find(&self, client: usize) -> Option<usize> {
        self.sessions.iter().rposition(|session| session.client == client)
    }

    /// A client's latest socket in a namespace.
    fn find_socket(&self, client: usize, namespace: usize) -> Option<(usize, SocketKey, usize)> {
        let sessions = self.sessions.iter().enumerate().filter(|(_, session)| session.client == client).rev();
        let mut sockets = sessions.flat_map(|(at, session)| session.joined.iter().map(move |joined| (at, joined)));
        let (at, joined) = sockets.find(|(_, joined)| joined.namespace == namespace)?;
        Some((at, joined.key, joined.talk))
    }
}

/// What the application wants. Whoever calls this runs the server afterwards.
impl Server {
    pub(crate) fn set_verdict(&mut self, namespace: usize, allow: bool, late: u64) {
        self.verdicts[namespace] = (allow, late);
    }

    /// Says a message to a client, unless it is volatile and cannot leave.
    pub(crate) fn say(&mut self, client: usize, namespace: usize, ack: i64, body: &Body, ledger: &mut Ledger) {
        let Some((at, key, talk)) = self.find_socket(client, namespace) else { return };
        let id = (ack > 0).then(|| self.next_ack(namespace));
        self.emit((at, key, talk), namespace, id.map(|id| (id, ack)), body, ledger);
    }

    pub(crate) fn say_volatile(&mut self, client: usize, namespace: usize, body: &Body, ledger: &mut Ledger) {
        let Some((at, key, talk)) = self.find_socket(client, namespace) else { return };
        if self.sessions[at].machine.session().is_writable() {
            ledger.census.volatile += 1;
            self.emit((at, key, talk), namespace, None, body, ledger);
        } else {
            ledger.census.volatile_dropped += 1;
        }
    }

    pub(crate) fn broadcast(
        &mut self,
        namespace: usize,
        [room, except]: [Option<usize>; 2],
        ack: i64,
        body: &Body,
        ledger: &mut Ledger,
    ) {
        // All recipients get the same packet, and so the same id.
        let id = (ack > 0).then(|| self.next_ack(namespace));
        let reached = self.members[namespace].resolve(room, except);
        ledger.census.broadcasts += 1;
        ledger.census.recipients += reached.len() as u64;
        for talk in reached {
            let find = |(at, session): (usize, &Session)| {
                session.joined.iter().find(|joined| joined.talk == talk).map(|joined| (at, joined.key, talk))
            };
            let socket = self.sessions.iter().enumerate().find_map(find).expect("rooms: somebody who is not connected");
            self.emit(socket, namespace, id.map(|id| (id, ack)), body, ledger);
        }
    }

    fn next_ack(&mut self, namespace: usize) -> u64 {
        self.acks[namespace] += 1;
        self.acks[namespace]
    }

    fn emit(
        &mut self,
        (at, key, talk): (usize, SocketKey, usize),
        namespace: usize,
        ack: Option<(u64, i64)>,
        body: &Body,
        ledger: &mut Ledger,
    ) {
        let session = &mut self.sessions[at];
        session.work.explain(1);
        if let Some((id, ms)) = ack {
            let deadline = self.clock.shown() + Duration::from_millis(ms as u64);
            let is_full = ledger.server_load(talk) == MAX_ACKS;
            let result = session.machine.expect_ack(key, id, deadline);
            assert_eq!(result.is_err(), is_full, "limit: of acks");
            if is_full {
                ledger.census.acks_full += 1;
                return;
            }
            ledger.server_awaits(talk, id, body.number, deadline);
        }
        let packet = message::encode(NAMESPACES[namespace], body, ack.map(|(id, _)| id));
        self.largest = self.largest.max(packet.cost());
        let taken = session.machine.emit(key, packet);
        ledger.server_emits(talk, body.number, taken);
        session.is_behind = true;
    }

    pub(crate) fn join(&mut self, client: usize, namespace: usize, room: usize, ledger: &mut Ledger) {
        if let Some((.., talk)) = self.find_socket(client, namespace) {
            self.members[namespace].join(talk, room);
            ledger.census.joins += 1;
        }
    }

    pub(crate) fn leave(&mut self, client: usize, namespace: usize, room: usize, ledger: &mut Ledger) {
        if let Some((.., talk)) = self.find_socket(client, namespace) {
            self.members[namespace].leave(talk, room);
            ledger.census.leaves += 1;
        }
    }

    pub(crate) fn kick(&mut self, client: usize, namespace: usize, ledger: &mut Ledger) {
        let Some((at, key, talk)) = self.find_socket(client, namespace) else { return };
        ledger.end(talk, SERVER);
        self.sessions[at].machine.disconnect(key);
        self.sessions[at].is_behind = true;
    }

    /// Disconnects a client's sockets and closes its session, or does that without a word to them.
    pub(crate) fn shut(&mut self, client: usize, says: bool, ledger: &mut Ledger) {
        let Some(at) = self.find(client) else { return };
        let (now, session) = (self.clock.shown(), &mut self.sessions[at]);
        session.joined.iter().for_each(|joined| ledger.end(joined.talk, SERVER));
        match says {
            true => session.machine.disconnect_all(),
            false => session.machine.close(now, CloseReason::ServerShuttingDown),
        }
        session.is_behind = true;
    }

    pub(crate) fn shut_all(&mut self, ledger: &mut Ledger) {
        let clients: Vec<usize> = self.sessions.iter().map(|session| session.client).collect();
        clients.into_iter().for_each(|client| self.shut(client, true, ledger));
    }

    pub(crate) fn pause(&mut self, client: usize, until: Time) {
        let Some(at) = self.find(client) else { return };
        let (now, session) = (self.clock.shown(), &mut self.sessions[at]);
        session.machine.pause(now, true);
        (session.paused, session.is_behind) = (Some(until), true);
    }

    /// Everything is forgotten.
    pub(crate) fn restart(&mut self, until: Time, net: &mut Network, ledger: &mut Ledger) {
        self.away = until;
        ledger.server_restarts();
        self.members = NAMESPACES.iter().map(|_| Members::new()).collect();
        self.owed.clear();
        for session in self.sessions.drain(..) {
            session.exchanges.iter().for_each(|exchange| net.forget(*exchange));
        }
    }

    /// From now on everybody is let in at once, and heard.
    pub(crate) fn heal(&mut self, net: &Network) {
        self.verdicts = [(true, 0); NAMESPACES.len()];
        self.away = net.now;
        for session in &mut self.sessions {
            session.paused = session.paused.map(|_| net.now);
        }
    }

    pub(crate) fn poke(&mut self) {
        self.sessions.iter_mut().for_each(|session| session.is_behind = true);
    }
}

fn engine_config(queue: usize) -> engine::Config {
    let mut config = engine::Config::default();
    config.ping_interval = Duration::from_secs(4);
    config.ping_timeout = Duration::from_secs(3);
    config.upgrade_timeout = Duration::from_secs(2);
    config.close_timeout = Duration::from_secs(3);
    (config.max_payload, config.max_queued) = (20_000, queue);
    config
}

fn socket_config() -> socket::Config {
    let mut config = socket::Config::default();
    config.connect_timeout = Duration::from_secs(5);
    config.attachment_timeout = Duration::from_secs(3);
    (config.max_namespaces, config.max_acks) = (MAX_NAMESPACES, MAX_ACKS);
    config
}
