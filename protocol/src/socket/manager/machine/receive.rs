use alloc::boxed::Box;
use core::mem;

use serde::Deserialize;

use super::{Link, Manager, News, Phase, Slot, Subject};
use crate::SocketId;
use crate::engine::{CloseReason, Message, Packet};
use crate::socket::de::EventName;
use crate::socket::key::is_same;
use crate::socket::manager::backoff::delay;
use crate::socket::manager::{AckRequest, ConnectFailure, Event};
use crate::socket::partial::Partial;
use crate::socket::{ConnectError, DisconnectReason, Header, PacketType, Payload, SocketKey, de};
use crate::websocket::Binary;

/// What a message brought.
pub(crate) struct Arrival<'m> {
    subject: Subject,
    body: Body<'m>,
}

enum Body<'m> {
    /// And the event's name.
    Text(&'m str, Option<EventName>),
    /// It is in [`Manager::partial`].
    Stored,
}

/// Messages.
impl Manager {
    /// Takes a message and says what arrived with it; [`Manager::event`] makes the event.
    pub(crate) fn handle<'m>(&mut self, message: Message<'m>) -> Option<Arrival<'m>> {
        match message {
            _ if self.link != Link::Open => None,
            Message::Text(text) => self.handle_text(text),
            Message::Binary(bytes) => self.handle_attachment(bytes),
        }
    }

    /// The event of what arrived just now.
    pub(crate) fn event<'a>(&'a mut self, arrival: Arrival<'a>) -> Event<'a> {
        let (json, name, attachments) = match arrival.body {
            Body::Text(json, name) => (json, name, None),
            Body::Stored => {
                let (json, attachments) = self.partial.as_deref_mut().map_or(("", None), Partial::lend);
                (json, None, attachments)
            }
        };
        let malformed = &mut self.malformed;
        match arrival.subject {
            Subject::Message { socket, ack } => {
                let mut turn = 0;
                if let Some(slot) = self.slots.get_mut(socket.index()) {
                    turn = slot.turn;
                    if slot.pid.is_some() && ack.is_none() {
                        slot.note_offset(json);
                    }
                }
                let payload = Payload::of_event(json, name, attachments, malformed);
                Event::Message { socket, payload, ack: ack.map(|id| AckRequest { socket, turn, id }) }
            }
            Subject::Ack { socket, id } => {
                Event::Ack { socket, id, payload: Payload::of_ack(json, attachments, malformed) }
            }
        }
    }

    fn handle_text<'m>(&mut self, text: &'m str) -> Option<Arrival<'m>> {
        let header = Header::parse(text, self.config.max_attachments);
        let (Ok(header), None, true) = (header, self.waiting(), text.len() <= self.config.max_packet) else {
            self.break_off(CloseReason::ParseError);
            return None;
        };
        let socket = self.find_active(header.namespace);
        let understood = match header.kind {
            PacketType::Connect => self.handle_connect(socket, header.namespace, header.payload),
            PacketType::ConnectError => self.handle_connect_error(socket, header.namespace, header.payload),
            PacketType::Disconnect => {
                if let Some(socket) = socket {
                    self.leave(socket, Err(DisconnectReason::IoServerDisconnect));
                }
                Some(())
            }
            PacketType::Event | PacketType::BinaryEvent | PacketType::Ack | PacketType::BinaryAck => {
                return self.handle_packet(socket, text, &header);
            }
        };
        if understood.is_none() {
            self.break_off(CloseReason::ParseError);
        }
        None
    }

    /// The answer to a CONNECT. `None` if it is none, or comes at the wrong time.
    fn handle_connect(&mut self, socket: Option<SocketKey>, namespace: &str, payload: &str) -> Option<()> {
        let reply = Reply::parse(payload)?;
        let Some(sid) = reply.sid.filter(|sid| !sid.is_empty()) else { return self.handle_version_2(socket) };
        let Some(asked) = self.take_unanswered(namespace) else {
            // What was not asked for is not answered: a server that reads nothing would make a queue grow.
            return socket.is_none().then_some(());
        };
        if !self.concerns(&asked) {
            // Or the server would keep a socket that nobody has.
            self.news.push(News::Leave(namespace.into()));
            if let Some(socket) = socket {
                self.take_turn(socket);
            }
            return Some(());
        }
        self.attempts = 0;
        let slot = self.slot_mut(asked.socket)?;
        slot.join(SocketId::from(&*sid), reply.pid.map(|pid| (*pid).into()));
        for early in mem::take(&mut slot.early) {
            self.early -= cost(&early);
            self.news.push(News::Replay(early));
        }
        self.news.push(News::Flush(asked.socket));
        Some(())
    }

    /// An answer without an id, as that of version 2. `None` if it comes at the wrong time.
    fn handle_version_2(&mut self, socket: Option<SocketKey>) -> Option<()> {
        let Some(socket) = socket else { return Some(()) };
        let slot = self.slot_mut(socket)?;
        match slot.phase {
            Phase::Flushing | Phase::Connected => return None,
            Phase::Asked | Phase::Connecting(_) => {}
            _ => return Some(()),
        }
        slot.phase = Phase::Late;
        self.news.push(News::ConnectError(socket, ConnectFailure::Version));
        self.break_off_if_useless();
        Some(())
    }

    /// A refusal. `None` if it is none, or comes at the wrong time.
    fn handle_connect_error(&mut self, socket: Option<SocketKey>, namespace: &str, payload: &str) -> Option<()> {
        let error = ConnectError::parse(payload)?;
        let asked = self.take_unanswered(namespace);
        let Some(socket) = socket else { return Some(()) };
        match self.slot(socket)?.phase {
            Phase::Flushing | Phase::Connected => return None,
            Phase::Asked | Phase::Connecting(_) | Phase::Late => {}
            _ => return Some(()),
        }
        if asked.is_some_and(|asked| !self.concerns(&asked)) {
            self.take_turn(socket);
            return Some(());
        }
        if let Some(before) = self.slot_mut(socket)?.refuse() {
            let until = self.now + delay(&self.config, before, &mut self.random);
            self.slot_mut(socket)?.held = Some(until);
        }
        self.leave(socket, Ok(ConnectFailure::Refused(error)));
        Some(())
    }

    /// An event or an ack: says what is to be delivered at once.
    fn handle_packet<'m>(
        &mut self,
        socket: Option<SocketKey>,
        text: &'m str,
        header: &Header<'m>,
    ) -> Option<Arrival<'m>> {
        let is_event = matches!(header.kind, PacketType::Event | PacketType::BinaryEvent);
        let subject = socket.and_then(|socket| match header.id {
            ack if is_event => Some(Subject::Message { socket, ack }),
            Some(id) => Some(Subject::Ack { socket, id }),
            None => None,
        });
        let deadline = self.now + self.config.attachment_timeout;
        if header.attachments > 0 {
            let partial = self.partial.get_or_insert_default();
            partial.start(subject, text, header.payload, header.attachments, deadline);
            return None;
        }
        let subject = subject?;
        if self.is_early(subject) {
            let mut event = Box::<Partial<Subject>>::default();
            event.start(Some(subject), text, header.payload, 0, deadline);
            self.keep_early(event);
            return None;
        }
        let subject = self.confirm(subject)?;
        Some(Arrival { subject, body: Body::Text(header.payload, header.event) })
    }

    fn handle_attachment<'m>(&mut self, attachment: Binary<'m>) -> Option<Arrival<'m>> {
        let max = self.config.max_packet;
        let added = self.partial.as_deref_mut().map(|partial| (partial.add(attachment, max), partial.subject));
        let Some((Ok(complete), subject)) = added else {
            self.break_off(CloseReason::ParseError);
            return None;
        };
        let subject = subject.filter(|_| complete)?;
        if self.is_early(subject) {
            let event = self.partial.take()?;
            self.keep_early(event);
            return None;
        }
        let confirmed = self.confirm(subject);
        if confirmed.is_none() {
            self.partial = None;
        }
        Some(Arrival { subject: confirmed?, body: Body::Stored })
    }

    /// The packet whose attachments are awaited.
    pub(super) fn waiting(&self) -> Option<&Partial<Subject>> {
        self.partial.as_deref().filter(|partial| partial.is_waiting())
    }

    /// Whether it is an event for a socket that is about to be connected, and not for one that has left this connection.
    fn is_early(&self, subject: Subject) -> bool {
        let waits = |slot: &Slot| {
            let is_first = self.left.iter().all(|(left, _)| !is_same(left, &slot.namespace));
            is_first && matches!(slot.phase, Phase::Wanted | Phase::Asked | Phase::Connecting(_) | Phase::Late)
        };
        matches!(subject, Subject::Message { socket, .. } if self.slot(socket).is_some_and(waits))
    }

    /// Keeps an event until its socket is connected.
    fn keep_early(&mut self, event: Box<Partial<Subject>>) {
        let cost = cost(&event);
        if cost > self.config.max_early.saturating_sub(self.early) {
            self.break_off(CloseReason::ParseError);
            return;
        }
        if let Some(slot) = event.subject.and_then(|subject| self.slot_mut(subject.socket())) {
            slot.early.push_back(event);
            self.early += cost;
        }
    }

    /// Lets through what still concerns somebody: an ack only while it is awaited, and once.
    fn confirm(&mut self, subject: Subject) -> Option<Subject> {
        let now = self.now;
        let slot = self.slot_mut(subject.socket()).filter(|slot| slot.phase == Phase::Connected)?;
        if let Subject::Ack { socket, id } = subject {
            if slot.settle(id) {
                self.retry(socket);
            } else if !slot.acks.answer(id, now) {
                return None;
            }
        }
        Some(subject)
    }

    /// An event that came early, as if it came now.
    pub(super) fn replay(&mut self, event: Box<Partial<Subject>>) -> Option<Arrival<'static>> {
        let subject = event.subject?;
        self.partial = Some(event);
        Some(Arrival { subject, body: Body::Stored })
    }
}

/// What an event that came early counts towards [`Config::max_early`].
pub(super) fn cost(event: &Partial<Subject>) -> usize {
    event.bytes.saturating_add(Packet::OVERHEAD)
}

/// The answer of a namespace that lets this side in.
struct Reply {
    sid: Option<Box<str>>,
    pid: Option<Box<str>>,
}

impl Reply {
    /// The longest id that is kept, in bytes.
    const MAX_ID: usize = 256;

    /// `None` if it is no JSON, or an id too long. Servers of version 2 send nothing, or no `sid`.
    fn parse(payload: &str) -> Option<Self> {
        #[derive(Default, Deserialize)]
        struct Fields {
            #[serde(default)]
            sid: serde_json::Value,
            #[serde(default)]
            pid: serde_json::Value,
        }
        if !payload.is_empty() && !de::is_json(payload) {
            return None;
        }
        let Fields { sid, pid } = serde_json::from_str(payload).unwrap_or_default();
        let [sid, pid] = [sid, pid].map(|id| id.as_str().map(Box::from));
        let fits = |id: &Option<Box<str>>| id.as_ref().is_none_or(|id| id.len() <= Self::MAX_ID);
        (fits(&sid) && fits(&pid)).then_some(Self { sid, pid })
    }
}
