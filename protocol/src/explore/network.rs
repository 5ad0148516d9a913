//! A client and a server with a network between them, and what can happen to it.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use core::time::Duration;

use bytes::Bytes;

use super::fingerprint::{REQUESTS, START};
use crate::engine::client::{Request, RequestId};
use crate::engine::{
    self, Admission, ExchangeId, ExchangeKind, Refused, RequestHead, RequestKind, Response, Transport, admit,
};
use crate::websocket::Key;
use crate::{Input, Instant, Random, Seed, SessionId};

mod ends;
mod explored;
mod link;

pub(crate) use self::ends::{Act, Ends, Rest, Step, ToClient, ToSession};
use self::link::Link;

/// An HTTP request.
#[derive(Clone, Debug, Hash)]
struct Exchange {
    id: RequestId,
    method: &'static str,
    target: String,
    body: Bytes,
    place: Place,
    /// Whether the client waits for the answer.
    wanted: bool,
    session: Option<SessionId>,
}

#[derive(Clone, Debug, PartialEq, Hash)]
enum Place {
    /// On the way to the server.
    Outbound,
    /// The server has the head alone.
    Announced,
    /// The server has it.
    Inside,
    /// The answer is on the way.
    Inbound(u16, Bytes),
}

/// Two ends, and what is on the way between them.
#[derive(Clone, Hash)]
pub(crate) struct Net<E: Ends> {
    pub(crate) ends: E,
    config: Arc<engine::Config>,
    pub(crate) now: Instant,
    exchanges: Vec<Exchange>,
    links: Vec<Link>,
    /// How many sessions the server has made, and how many requests were not the client's.
    sessions: u8,
    twins: u64,
    /// When the first machine is to be called again.
    deadline: Option<Instant>,
    /// Whether the bodies of POSTs arrive later than their heads.
    pub(crate) uploads: bool,
    /// Time does not pass for longer while something is on its way.
    pub(crate) patience: Duration,
    /// What else happens: of each list one after the other, at any time or never.
    pub(crate) plans: Vec<Vec<Act<E::Act>>>,
}

impl<E: Ends> Net<E> {
    pub(crate) fn new(ends: E, config: engine::Config) -> Self {
        let mut net = Self {
            ends,
            config: Arc::new(config),
            now: START,
            exchanges: Vec::new(),
            links: Vec::new(),
            sessions: 0,
            twins: 0,
            deadline: None,
            uploads: false,
            patience: Duration::MAX,
            plans: Vec::new(),
        };
        net.run();
        net
    }

    /// This world with plans.
    pub(crate) fn with<const N: usize>(mut self, plans: [&[Act<E::Act>]; N]) -> Self {
        self.plans = plans.iter().filter(|plan| !plan.is_empty()).map(|plan| plan.to_vec()).collect();
        self
    }

    /// What the network can do now.
    pub(crate) fn possible(&self) -> Vec<Act<E::Act>> {
        let mut acts = Vec::new();
        for (nth, exchange) in self.exchanges.iter().enumerate() {
            acts.extend(match &exchange.place {
                Place::Outbound => Some(Act::Request(nth)),
                Place::Announced => Some(Act::Body(nth)),
                Place::Inside => None,
                Place::Inbound(..) => exchange.wanted.then_some(Act::Response(nth)),
            });
            if !exchange.wanted {
                acts.extend(exchange.session.map(|_| Act::Abort(nth)));
                let outside = matches!(exchange.place, Place::Outbound | Place::Inbound(..));
                acts.extend(outside.then_some(Act::Vanish(nth)));
            }
        }
        for (nth, link) in self.links.iter().enumerate() {
            let mut add = |sizes: Vec<usize>, act: fn(usize, usize) -> _| {
                acts.extend(sizes.into_iter().map(|size| act(nth, size)));
            };
            add(link.up_sizes(), Act::Up);
            add(link.down_sizes(), Act::Down);
            acts.extend(link.asked.as_ref().map(|_| Act::Stream(nth)));
            acts.extend(link.verdict.as_ref().map(|_| Act::Verdict(nth)));
        }
        acts
    }

    /// Lets the network do all that it can, and time pass where the server waits for it.
    pub(crate) fn settle(&mut self) {
        for _ in 0..3 {
            while let Some(act) = self.possible().first() {
                self.happen(act);
            }
            self.happen(&Act::Wait(Duration::from_millis(100)));
        }
    }

    /// Lets something happen. What is not possible leaves everything as it is.
    pub(crate) fn happen(&mut self, act: &Act<E::Act>) {
        let now = self.now;
        match act {
            Act::Request(nth) => self.take_request(*nth),
            Act::Body(nth) => self.take_body(*nth),
            Act::Response(nth) => {
                let arrives = |exchange: &&Exchange| exchange.wanted && matches!(exchange.place, Place::Inbound(..));
                if self.exchanges.get(*nth).filter(arrives).is_some()
                    && let Exchange { id, place: Place::Inbound(status, body), .. } = self.exchanges.remove(*nth)
                {
                    self.ends.tell_client(now, ToClient::Response(id, status, body));
                }
            }
            Act::Abort(nth) => {
                let Exchange { id, session, .. } = self.exchanges.remove(*nth);
                self.tell(session.unwrap(), ToSession::Abort(ExchangeId(id.0))).unwrap();
            }
            Act::Vanish(nth) => _ = self.exchanges.remove(*nth),
            Act::Stream(nth) => self.take_stream(*nth),
            Act::Verdict(nth) => self.take_verdict(*nth),
            Act::Up(nth, most) => self.carry_up(*nth, *most),
            Act::Down(nth, most) => self.carry_down(*nth, *most),
            Act::Wait(time) => self.now += *time,
            Act::Fail(method) => {
                if let Some(exchange) = self.exchanges.iter_mut().find(|exchange| exchange.is_wanted(method)) {
                    exchange.wanted = false;
                    self.ends.tell_client(now, ToClient::RequestFailed(exchange.id));
                }
            }
            Act::Twin(method) => self.send_twin(method),
            Act::Break => self.links.iter_mut().for_each(Link::cut),
            Act::App(act) | Act::React(act) => self.ends.act(now, act),
        }
        self.run();
    }

    fn tell(&mut self, session: SessionId, news: ToSession) -> Result<(), Refused> {
        self.ends.tell_session(self.now, session, news)
    }

    /// The session that the server makes, or finds, for a request.
    fn admit(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Admitted, Response> {
        let (_, query) = target.split_once('?').unwrap();
        let head = RequestHead { method, query, headers: &headers };
        let sessions = self.ends.sessions();
        match admit(&self.config, &head, |id| sessions.contains(id).then_some(*id)) {
            Admission::New(kind) => {
                self.sessions += 1;
                let session = SessionId::generate(&mut Random::new(Seed::new([self.sessions; 32])));
                let transport = match kind {
                    RequestKind::Upgrade(_) => Transport::WebSocket,
                    _ => Transport::Polling,
                };
                self.ends.open(&self.config, session, transport, self.now);
                Ok(Admitted { session, kind, new: true })
            }
            Admission::Session(session, kind) => Ok(Admitted { session, kind, new: false }),
            Admission::Reject(reject) => Err(reject.response()),
            Admission::Preflight(_) => unreachable!(),
        }
    }

    fn take_request(&mut self, nth: usize) {
        let outbound = |exchange: &&Exchange| exchange.place == Place::Outbound;
        let Some(exchange) = self.exchanges.get(nth).filter(outbound).cloned() else { return };
        let headers = [("content-type", Request::CONTENT_TYPE)];
        let (place, session, kind) = match self.admit(exchange.method, &exchange.target, &headers) {
            Ok(Admitted { session, kind: RequestKind::Poll, .. }) => {
                (Place::Inside, Some(session), Some(ExchangeKind::Poll))
            }
            Ok(Admitted { session, kind: RequestKind::Post { .. }, .. }) => {
                (Place::Announced, Some(session), self.uploads.then_some(ExchangeKind::Upload))
            }
            Ok(_) => unreachable!(),
            Err(response) => (Place::Inbound(response.status, response.body), None, None),
        };
        let announced = place == Place::Announced;
        (self.exchanges[nth].place, self.exchanges[nth].session) = (place, session);
        if let (Some(session), Some(kind)) = (session, kind) {
            let exchange = engine::Exchange { id: ExchangeId(exchange.id.0), kind };
            self.tell(session, ToSession::Exchange(exchange)).unwrap();
        }
        if announced && !self.uploads {
            self.take_body(nth);
        }
    }

    fn take_body(&mut self, nth: usize) {
        let announced = |exchange: &&mut Exchange| exchange.place == Place::Announced;
        let Some(exchange) = self.exchanges.get_mut(nth).filter(announced) else { return };
        exchange.place = Place::Inside;
        let kind = ExchangeKind::Post { body: exchange.body.clone(), binary: false };
        let (id, session) = (ExchangeId(exchange.id.0), exchange.session.unwrap());
        self.tell(session, ToSession::Exchange(engine::Exchange { id, kind })).unwrap();
    }

    fn take_stream(&mut self, nth: usize) {
        let Some(target) = self.links.get_mut(nth).and_then(|link| link.asked.take()) else { return };
        let key = Key::generate(&mut Random::new(Seed::new([0; 32])));
        let admitted = self.admit("GET", &target, &key.headers());
        let link = &mut self.links[nth];
        match admitted {
            Ok(Admitted { session, new, .. }) => {
                link.session = Some(session);
                link.verdict = Some(Ok(()));
                let refused = if new { Ok(()) } else { self.tell(session, ToSession::Stream) };
                match refused {
                    Ok(()) => self.links[nth].server = true,
                    Err(refused) => self.links[nth].down.extend_from_slice(&refused.goodbye),
                }
            }
            Err(response) => link.verdict = Some(Err(response.status)),
        }
    }

    fn take_verdict(&mut self, nth: usize) {
        let Some(verdict) = self.links.get_mut(nth).and_then(|link| link.verdict.take()) else { return };
        let link = &mut self.links[nth];
        if !link.client {
            return;
        }
        let news = match verdict {
            Ok(()) => ToClient::StreamOpened,
            Err(status) => {
                link.client = false;
                ToClient::StreamFailed(Some(status))
            }
        };
        self.ends.tell_client(self.now, news);
    }

    fn carry_up(&mut self, nth: usize, most: usize) {
        let Some(link) = self.links.get_mut(nth).filter(|link| link.server) else { return };
        let session = link.session.unwrap();
        let mut bytes = link::take(&mut link.up, most);
        if bytes.is_empty() && link.client_is_gone() {
            link.server = false;
            self.tell(session, ToSession::StreamClosed).unwrap();
        }
        self.run_session(session, &mut bytes);
    }

    fn carry_down(&mut self, nth: usize, most: usize) {
        let Some(link) = self.links.get_mut(nth).filter(|link| link.reaches_client()) else { return };
        let mut bytes = link::take(&mut link.down, most);
        if bytes.is_empty() && link.server_is_gone() {
            link.client = false;
            let news = if link.broken { ToClient::StreamFailed(None) } else { ToClient::StreamClosed };
            self.ends.tell_client(self.now, news);
        }
        self.run_client(&mut bytes);
    }

    /// Sends what the client has sent once more, as an intermediary might, or something else of the kind.
    fn send_twin(&mut self, method: &'static str) {
        let Some(original) = self.exchanges.iter().rev().find(|exchange| exchange.target.contains("sid=")) else {
            return;
        };
        self.twins += 1;
        let body = if method == "POST" { Bytes::from_static(b"6") } else { Bytes::new() };
        let (id, target) = (RequestId(self.twins), original.target.clone());
        let place = Place::Outbound;
        self.exchanges.push(Exchange { id, method, target, body, place, wanted: true, session: None });
    }

    /// Moves every machine forward until it waits.
    fn run(&mut self) {
        self.deadline = None;
        self.run_client(&mut []);
        for session in self.ends.sessions() {
            self.run_session(session, &mut []);
        }
        self.links.retain(|link| !link.is_over());
    }

    fn note_deadline(&mut self, deadline: Option<Instant>) {
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "would be called again and again");
        self.deadline = [self.deadline, deadline].into_iter().flatten().min();
    }

    fn run_client(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        for _ in 0..MOST_STEPS {
            match self.ends.client_next(self.now, &mut input) {
                Step::Told => {}
                Step::Request(request) => self.send_request(request),
                Step::Cancel(id) => {
                    let exchange = self.exchanges.iter_mut().find(|exchange| exchange.id == id && exchange.wanted);
                    exchange.expect("nothing to give up").wanted = false;
                }
                Step::OpenStream(target) => {
                    assert!(self.links.iter().all(|link| !link.client), "two streams");
                    self.links.push(Link::new(without_nonce(&target)));
                }
                Step::CloseStream => {
                    let link = self.links.iter_mut().find(|link| link.client).expect("no stream to close");
                    (link.client, link.down) = (false, Vec::new());
                }
                Step::Io(written, deadline) => {
                    assert!(input.is_empty(), "waits with input that was not taken");
                    if written.is_empty() {
                        return self.note_deadline(deadline);
                    }
                    let link = self.links.iter_mut().find(|link| link.client).expect("no stream to write to");
                    link.write_up(&written);
                }
                Step::Finished => return assert!(self.links.iter().all(|link| !link.client), "a stream is left"),
                Step::Answer(..) => unreachable!(),
            }
        }
        panic!("the client never waits");
    }

    fn send_request(&mut self, request: Request) {
        let method = request.method();
        assert!(!self.exchanges.iter().any(|exchange| exchange.is_wanted(method)), "two {method}s at once");
        let Request { id, body, .. } = request;
        let (target, place) = (without_nonce(&request.target), Place::Outbound);
        self.exchanges.push(Exchange { id, method, target, body, place, wanted: true, session: None });
    }

    fn run_session(&mut self, session: SessionId, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        for _ in 0..MOST_STEPS {
            match self.ends.session_next(session, self.now, &mut input) {
                Step::Told => {}
                Step::Answer(id, response) => {
                    let asks = |exchange: &&mut Exchange| exchange.id.0 == id.0 && exchange.is_inside(session);
                    let exchange = self.exchanges.iter_mut().find(asks).expect("answers what nobody has asked");
                    exchange.place = Place::Inbound(response.status, response.body);
                }
                Step::CloseStream => self.server_end(session).expect("no stream to close").server = false,
                Step::Io(written, deadline) => {
                    if written.is_empty() {
                        return self.note_deadline(Some(deadline.expect("waits for ever")));
                    }
                    self.server_end(session).expect("no stream to write to").write_down(&written);
                }
                Step::Finished => {
                    assert!(!self.exchanges.iter().any(|exchange| exchange.is_inside(session)), "not answered");
                    assert!(self.server_end(session).is_none(), "a stream is left");
                    return self.ends.forget(session);
                }
                _ => unreachable!(),
            }
        }
        panic!("the session never waits");
    }

    fn server_end(&mut self, session: SessionId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.server && link.session == Some(session))
    }
}

/// More than any machine does after one act of a small world.
const MOST_STEPS: usize = 100;

struct Admitted {
    session: SessionId,
    kind: RequestKind,
    new: bool,
}

impl Exchange {
    fn is_wanted(&self, method: &str) -> bool {
        self.wanted && self.method == method && self.id.0 >= REQUESTS
    }

    fn is_inside(&self, session: SessionId) -> bool {
        matches!(self.place, Place::Announced | Place::Inside) && self.session == Some(session)
    }
}

/// A target without the parameter that makes it unique: no server looks at it.
fn without_nonce(target: &str) -> String {
    let parameters: Vec<&str> = target.split('&').filter(|parameter| !parameter.starts_with("t=")).collect();
    parameters.join("&")
}
