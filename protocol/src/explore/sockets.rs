//! Worlds of Socket.IO: a [`client::Client`](Client) with a socket for each of some namespaces, and the [`Connection`]s that
//! it opens, with the applications on both sides.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use self::books::{Book, Guest, Hall, Here, Traffic};
use super::fingerprint::{REQUESTS, START};
use super::network::{Ends, Net, Rest, Step, ToClient, ToSession};
use crate::client::{Client, Next};
use crate::engine::client::Cause;
use crate::engine::{self, CloseReason, Packet, Refused, Transport};
use crate::server::{self, Connection};
use crate::socket::manager::{self, ExpectedAck};
use crate::socket::{Binary, ConnectError, SocketKey, encode_ack, encode_event};
use crate::{Input, Instant, Random, Seed, SessionId, SocketId};

mod books;
mod worlds;

/// The namespaces.
const NAMES: [&str; 2] = ["/", "/a"];

/// How long an answer may take.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// What applications do with the socket of a namespace, or with the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum App {
    Connect(usize),
    Disconnect(usize),
    /// An event, one with an attachment, one that is to be answered.
    Emit(usize),
    EmitBinary(usize),
    Ask(usize),
    /// The oldest question.
    Answer(usize),
    Close,
    Accept(usize),
    Reject(usize),
    ServerEmit(usize),
    ServerEmitBinary(usize),
    ServerAsk(usize),
    ServerAnswer(usize),
    ServerDisconnect(usize),
    ServerClose,
}

/// What the server does with a CONNECT.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Door {
    /// It lets everybody in at once.
    Open,
    /// It does so later.
    Late,
    /// It lets in or refuses, later.
    Choosy,
}

/// A client with its sockets, a server, and what their applications know.
#[derive(Clone, Hash)]
pub(super) struct Sockets {
    pub(super) client: Client,
    pub(super) here: Here,
    pub(super) sessions: Vec<Session>,
    /// What the server has sent and got in each namespace.
    pub(super) there: Vec<Traffic>,
    door: Door,
    /// How many were let in.
    joined: u32,
}

#[derive(Clone, Hash)]
pub(super) struct Session {
    id: SessionId,
    connection: Connection,
    hall: Hall,
    closed: bool,
}

pub(super) type World = Net<Sockets>;

/// A world with this many namespaces, none of them connected, whose client opens a connection that it has lost again if
/// `again`. Time passes while nothing is on its way.
pub(super) fn world(transports: &'static [Transport], count: usize, door: Door, again: bool) -> World {
    let mut server = engine::Config::default();
    (server.ping_interval, server.ping_timeout) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let client = engine::client::Config { transports: transports.into(), ..Default::default() };
    let sockets = manager::Config { reconnection: again, randomization_factor: 0.0, ..Default::default() };
    let mut client = Client::new(Arc::new(client), Arc::new(sockets), Random::new(Seed::new([9; 32])), START);
    client.count_requests_from(REQUESTS);
    let here = Here::new(&mut client, &NAMES[..count]);
    let there = vec![Traffic::default(); count];
    let mut world = World::new(Sockets { client, here, sessions: Vec::new(), there, door, joined: 0 }, server);
    world.patience = Duration::ZERO;
    world
}

impl Sockets {
    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    /// Lets in or refuses who asks for a namespace.
    fn decide(&mut self, nth: usize, accept: bool) {
        let Some(session) = self.sessions.iter_mut().find(|session| session.hall.is_asked(nth)) else { return };
        let Session { connection, hall, .. } = session;
        let request = hall.take_request(nth);
        if !accept {
            return connection.reject(request, &ConnectError::new("no"));
        }
        self.joined += 1;
        let id = SocketId::from(&*self.joined.to_string());
        if let Some(key) = connection.accept(request, &id) {
            hall.let_in(key, nth, id);
        }
    }

    /// The socket of a namespace on the server, if there is one; of two, the later.
    fn guest(&mut self, nth: usize) -> Option<(&mut Connection, &mut Guest)> {
        self.sessions.iter_mut().rev().find_map(|Session { connection, hall, .. }| {
            hall.guests.iter_mut().find(|guest| guest.nth == nth).map(|guest| (connection, guest))
        })
    }

    fn guests(&self, nth: usize) -> impl DoubleEndedIterator<Item = &Guest> {
        self.sessions.iter().flat_map(|session| &session.hall.guests).filter(move |guest| guest.nth == nth)
    }

    fn emit(&mut self, now: Instant, nth: usize, ask: bool, binary: bool) {
        let Book { key, traffic, awaited, .. } = &mut self.here.books[nth];
        traffic.sent += 1;
        let id = ask.then(|| self.client.ack_id(*key));
        awaited.extend(id);
        let ack = id.map(|id| ExpectedAck { id, deadline: Some(now + ACK_TIMEOUT) });
        self.client.emit(*key, event(nth, traffic.sent, id, binary), ack).unwrap();
    }

    fn server_emit(&mut self, now: Instant, nth: usize, ask: bool, binary: bool) {
        self.there[nth].sent += 1;
        let number = self.there[nth].sent;
        let Some((connection, guest)) = self.guest(nth) else { return };
        let id = ask.then_some(u64::from(number));
        if let Some(id) = id {
            connection.expect_ack(guest.key, id, now + ACK_TIMEOUT).unwrap();
            guest.awaited.push(id);
        }
        assert!(connection.emit(guest.key, event(nth, number, id, binary)));
    }

    /// Whether both sides agree about who is connected.
    fn agrees(&self) -> bool {
        self.here.books.iter().enumerate().all(|(nth, book)| {
            let own: Vec<_> = self.client.id(book.key).into_iter().collect();
            let guests: Vec<_> = self.guests(nth).map(|guest| &guest.id).collect();
            guests == own && book.connected != own.is_empty()
        })
    }

    fn key(&self, nth: usize) -> SocketKey {
        self.here.books[nth].key
    }
}

/// An event with its number, and perhaps an attachment of two bytes.
fn event(nth: usize, number: u32, id: Option<u64>, binary: bool) -> Packet {
    match binary {
        true => encode_event(NAMES[nth], "event", &(number, Binary(Bytes::from_static(b"ab"))), id).unwrap(),
        false => encode_event(NAMES[nth], "event", &number, id).unwrap(),
    }
}

impl Ends for Sockets {
    type Act = App;

    fn client_next(&mut self, now: Instant, input: &mut Input<'_>) -> Step {
        match self.client.next(now, input) {
            Next::Event(event) => {
                self.here.hear(event);
                Step::Told
            }
            Next::Request(request) => Step::Request(request),
            Next::CancelRequest(id) => Step::Cancel(id),
            Next::OpenStream(target) => Step::OpenStream(target),
            Next::CloseStream => Step::CloseStream,
            Next::Upgraded | Next::Continue => Step::Told,
            Next::Io(mut io) => Step::Io(io.take_pending(), io.deadline()),
        }
    }

    fn session_next(&mut self, id: SessionId, now: Instant, input: &mut Input<'_>) -> Step {
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else { return Step::Finished };
        match session.connection.next(now, input) {
            server::Next::Event(event) => session.hall.hear(event, &mut self.there),
            server::Next::Answer(id, response) => return Step::Answer(id, response),
            server::Next::CloseStream => return Step::CloseStream,
            server::Next::Upgraded | server::Next::Continue => {}
            server::Next::Closed(_) => {
                assert!(session.hall.guests.is_empty(), "a socket is left");
                assert!(!core::mem::replace(&mut session.closed, true), "closed twice");
            }
            server::Next::Io(mut io) => {
                let pending: Vec<u8> = io.pending().flatten().copied().collect();
                io.written(pending.len());
                return Step::Io(pending, Some(io.deadline()));
            }
            server::Next::Finished => {
                assert!(session.closed, "finished without a word");
                return Step::Finished;
            }
        }
        if self.door == Door::Open {
            (0..self.there.len()).for_each(|nth| self.decide(nth, true));
        }
        Step::Told
    }

    fn forget(&mut self, id: SessionId) {
        self.sessions.retain(|session| session.id != id);
    }

    fn tell_client(&mut self, now: Instant, news: ToClient) {
        let client = &mut self.client;
        match news {
            ToClient::Response(id, status, body) => client.handle_response(now, id, status, body),
            ToClient::RequestFailed(id) => client.handle_request_failed(now, id, "broken"),
            ToClient::StreamOpened => client.handle_stream_opened(now),
            ToClient::StreamClosed => client.handle_stream_closed(now),
            ToClient::StreamFailed(None) => client.handle_stream_failed(now, "broken"),
            ToClient::StreamFailed(Some(status)) => client.handle_stream_failed(now, Cause::Status(status)),
        }
    }

    fn tell_session(&mut self, now: Instant, id: SessionId, news: ToSession) -> Result<(), Refused> {
        let Some(Session { connection, .. }) = self.session(id) else { return Ok(()) };
        match news {
            ToSession::Exchange(exchange) => connection.handle_exchange(now, exchange),
            ToSession::Abort(exchange) => connection.handle_abort(now, exchange),
            ToSession::Stream => return connection.handle_stream(now),
            ToSession::StreamClosed => connection.handle_stream_closed(now),
        }
        Ok(())
    }

    fn open(&mut self, config: &Arc<engine::Config>, id: SessionId, transport: Transport, now: Instant) {
        let connection = Connection::new(config.clone(), Arc::default(), id, transport, now);
        self.sessions.push(Session { id, connection, hall: Hall::default(), closed: false });
    }

    fn sessions(&self) -> Vec<SessionId> {
        self.sessions.iter().map(|session| session.id).collect()
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }

    fn reactions(&self) -> Vec<App> {
        let mut acts = Vec::new();
        for (nth, book) in self.here.books.iter().enumerate() {
            if self.sessions.iter().any(|session| session.hall.is_asked(nth)) {
                acts.push(App::Accept(nth));
                acts.extend((self.door == Door::Choosy).then_some(App::Reject(nth)));
            }
            acts.extend((!book.questions.is_empty()).then_some(App::Answer(nth)));
            let asked = self.guests(nth).next_back().is_some_and(|guest| !guest.questions.is_empty());
            acts.extend(asked.then_some(App::ServerAnswer(nth)));
        }
        acts
    }

    fn can(&self, act: &App) -> bool {
        match act {
            App::ServerEmit(nth) | App::ServerEmitBinary(nth) | App::ServerAsk(nth) | App::ServerDisconnect(nth) => {
                self.guests(*nth).next().is_some()
            }
            App::ServerClose => !self.sessions.is_empty(),
            App::Connect(nth) => !self.client.manager().is_active(self.key(*nth)),
            App::Disconnect(nth) => self.client.manager().is_active(self.key(*nth)),
            _ => true,
        }
    }

    fn act(&mut self, now: Instant, act: &App) {
        match *act {
            App::Connect(nth) => self.client.connect(now, self.key(nth)),
            App::Disconnect(nth) => self.client.disconnect(self.key(nth)),
            App::Emit(nth) => self.emit(now, nth, false, false),
            App::EmitBinary(nth) => self.emit(now, nth, false, true),
            App::Ask(nth) => self.emit(now, nth, true, false),
            App::Answer(nth) => {
                let question = self.here.books[nth].questions.remove(0);
                let answer = encode_ack(NAMES[nth], question.id(), &question.id()).unwrap();
                self.client.answer(question, answer);
            }
            App::Close => self.client.close(),
            App::Accept(nth) => self.decide(nth, true),
            App::Reject(nth) => self.decide(nth, false),
            App::ServerEmit(nth) => self.server_emit(now, nth, false, false),
            App::ServerEmitBinary(nth) => self.server_emit(now, nth, false, true),
            App::ServerAsk(nth) => self.server_emit(now, nth, true, false),
            App::ServerAnswer(nth) => {
                if let Some((connection, guest)) = self.guest(nth) {
                    let id = guest.questions.remove(0);
                    connection.emit(guest.key, encode_ack(NAMES[nth], id, &id).unwrap());
                }
            }
            App::ServerDisconnect(nth) => {
                if let Some((connection, guest)) = self.guest(nth) {
                    connection.disconnect(guest.key);
                }
            }
            App::ServerClose => {
                if let Some(session) = self.sessions.last_mut() {
                    session.connection.close(now, CloseReason::ForcedClose);
                }
            }
        }
    }

    fn rests(&self) -> Option<Rest> {
        let told = self.here.books.iter().all(|book| book.awaited.is_empty());
        let quiet = self.sessions.iter().all(|session| session.hall.is_quiet());
        if !(told && quiet && self.agrees()) {
            return None;
        }
        match self.client.transport() {
            None => (self.sessions.is_empty() && self.client.manager().is_dormant()).then_some(Rest::Over),
            Some(transport) => {
                let connected = self.sessions.len() == 1 && self.client.manager().is_open();
                connected.then_some(Rest::Connected(transport))
            }
        }
    }
}
