//! Worlds of one Engine.IO session: an [`engine::client::Client`](Client), and the [`Session`]s that it opens.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fingerprint::{REQUESTS, START};
use super::network::{Act, Ends, Net, Rest, Step, ToClient, ToSession};
use crate::engine::client::{Cause, Client, Config, Next, OpenError};
use crate::engine::{self, CloseReason, Message, Packet, Refused, Session, Transport};
use crate::{Input, Instant, Random, Seed, SessionId};

mod worlds;

/// What applications do.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum App {
    ClientSends,
    ServerSends,
    ClientCloses,
    ServerCloses,
}

/// A client and the sessions of its server, of which it knows one at most: an attempt to open one that came to nothing may
/// have left another.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Engines {
    pub(crate) client: Client,
    pub(crate) opened: bool,
    pub(crate) failed: Option<OpenError>,
    pub(crate) finished: bool,
    /// The client's.
    pub(crate) here: Book,
    pub(crate) hosts: Vec<Host>,
}

/// A session, until it is finished, and what its application knows.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Host {
    id: SessionId,
    session: Option<Session>,
    pub(crate) book: Book,
}

/// What an application knows of a session.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Book {
    /// How many messages were sent, and have arrived.
    pub(crate) sent: u32,
    pub(crate) received: u32,
    pub(crate) upgraded: bool,
    pub(crate) closed: Option<CloseReason>,
}

/// A client, a server, and what is between them.
pub(crate) type Pair = Net<Engines>;

impl Pair {
    pub(crate) fn of(client: Config, server: engine::Config) -> Self {
        let mut client = Client::new(Arc::new(client), Random::new(Seed::new([9; 32])), START);
        client.count_requests_from(REQUESTS);
        let (here, hosts) = (Book::default(), Vec::new());
        let ends = Engines { client, opened: false, failed: None, finished: false, here, hosts };
        Self::new(ends, server)
    }
}

impl Book {
    /// A message has come: the one behind the last, as a session loses none and turns none around.
    fn receive(&mut self, message: Message<'_>) {
        let Message::Text(text) = message else { panic!("nobody sends bytes") };
        self.received += 1;
        assert_eq!(text, self.received.to_string(), "lost, doubled or out of order");
        assert!(self.closed.is_none(), "after the end");
    }

    fn upgrade(&mut self) {
        assert!(!core::mem::replace(&mut self.upgraded, true), "upgraded twice");
    }

    fn close(&mut self, reason: CloseReason) {
        assert_eq!(self.closed.replace(reason), None, "closed twice");
    }
}

impl Engines {
    /// What the client's application knows, and the server's of the session that the client knows, or may get to know.
    pub(crate) fn books(&self) -> [Book; 2] {
        let known = |host: &&Host| self.client.handshake().is_none_or(|handshake| handshake.sid() == host.id.as_str());
        let there = self.hosts.iter().rev().find(known).map(|host| host.book.clone());
        [self.here.clone(), there.unwrap_or_default()]
    }

    fn host(&mut self, id: SessionId) -> &mut Host {
        self.hosts.iter_mut().find(|host| host.id == id).unwrap()
    }
}

impl Ends for Engines {
    type Act = App;

    fn client_next(&mut self, now: Instant, input: &mut Input<'_>) -> Step {
        match self.client.next(now, input) {
            Next::Opened => {
                assert!(!core::mem::replace(&mut self.opened, true), "opened twice");
            }
            Next::Message(message) => {
                assert!(self.opened);
                self.here.receive(message);
            }
            Next::Request(request) => return Step::Request(request),
            Next::CancelRequest(id) => return Step::Cancel(id),
            Next::OpenStream(target) => return Step::OpenStream(target),
            Next::CloseStream => return Step::CloseStream,
            Next::Ping => {}
            Next::Upgraded => self.here.upgrade(),
            Next::Failed(error) => {
                assert!(!self.opened && self.here.closed.is_none());
                assert_eq!(self.failed.replace(error), None, "failed twice");
            }
            Next::Closed(reason, _) => {
                assert_eq!(self.failed, None);
                self.here.close(reason);
            }
            Next::Io(mut io) => {
                assert!(!self.finished, "alive again");
                let pending: Vec<u8> = io.pending().flatten().copied().collect();
                io.written(pending.len());
                return Step::Io(pending, Some(io.deadline()));
            }
            Next::Finished => {
                assert!(self.here.closed.is_some() || self.failed.is_some(), "finished without a word");
                self.finished = true;
                return Step::Finished;
            }
        }
        Step::Told
    }

    fn session_next(&mut self, id: SessionId, now: Instant, input: &mut Input<'_>) -> Step {
        let Host { session, book, .. } = self.host(id);
        let Some(session) = session else { return Step::Finished };
        match session.next(now, input) {
            engine::Next::Message(message) => book.receive(message),
            engine::Next::Answer(id, response) => return Step::Answer(id, response),
            engine::Next::Upgraded => book.upgrade(),
            engine::Next::CloseStream => return Step::CloseStream,
            engine::Next::Closed(reason) => book.close(reason),
            engine::Next::Io(mut io) => {
                let pending: Vec<u8> = io.pending().flatten().copied().collect();
                io.written(pending.len());
                return Step::Io(pending, Some(io.deadline()));
            }
            engine::Next::Finished => {
                assert!(book.closed.is_some(), "finished without a word");
                return Step::Finished;
            }
        }
        Step::Told
    }

    fn forget(&mut self, id: SessionId) {
        self.host(id).session = None;
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
        let Some(session) = &mut self.host(id).session else { return Ok(()) };
        match news {
            ToSession::Exchange(exchange) => session.handle_exchange(now, exchange),
            ToSession::Abort(exchange) => session.handle_abort(now, exchange),
            ToSession::Stream => return session.handle_stream(now),
            ToSession::StreamClosed => session.handle_stream_closed(now),
        }
        Ok(())
    }

    fn open(&mut self, config: &Arc<engine::Config>, id: SessionId, transport: Transport, now: Instant) {
        let session = Some(Session::new(config.clone(), id, transport, now));
        self.hosts.push(Host { id, session, book: Book::default() });
    }

    fn sessions(&self) -> Vec<SessionId> {
        self.hosts.iter().filter(|host| host.session.is_some()).map(|host| host.id).collect()
    }

    fn requests(&self) -> u64 {
        self.client.requests()
    }

    fn can(&self, act: &App) -> bool {
        match act {
            App::ClientSends | App::ClientCloses => self.here.closed.is_none() && self.failed.is_none(),
            App::ServerSends | App::ServerCloses => self.hosts.iter().any(|host| host.book.closed.is_none()),
        }
    }

    fn act(&mut self, now: Instant, act: &App) {
        let packet = |book: &Book| Packet::text(&(book.sent + 1).to_string());
        let mut hosts = self.hosts.iter_mut().filter_map(|host| Some((host.session.as_mut()?, &mut host.book)));
        let host = hosts.find(|(_, book)| book.closed.is_none());
        match (act, host) {
            (App::ClientSends, _) => self.here.sent += u32::from(self.client.send(now, packet(&self.here)).is_ok()),
            (App::ClientCloses, _) => self.client.close(now),
            (App::ServerSends, Some((session, book))) => book.sent += u32::from(session.send(packet(book)).is_ok()),
            (App::ServerCloses, Some((session, _))) => session.close(now, CloseReason::ForcedClose),
            (_, None) => {}
        }
    }

    fn rests(&self) -> Option<Rest> {
        let sessions: Vec<&Session> = self.hosts.iter().filter_map(|host| host.session.as_ref()).collect();
        if self.finished && sessions.is_empty() {
            return Some(Rest::Over);
        }
        let [session] = sessions[..] else { return None };
        let [here, there] = self.books();
        let transport = self.client.transport();
        let connected = self.opened && here.closed.is_none() && there.closed.is_none();
        let arrived = here.sent == there.received && there.sent == here.received;
        let agree = session.transport() == transport && here.upgraded == there.upgraded;
        (connected && arrived && agree).then_some(Rest::Connected(transport))
    }
}
