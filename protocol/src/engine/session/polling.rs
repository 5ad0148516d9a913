use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{CloseReason, Exchange, ExchangeId, ExchangeKind, Instant, Response, Session, State, Step};
use crate::engine::{PacketType, PayloadReader, Reject, Segment, Transport};

/// The HTTP requests of a session: at most one poll and one POST are open, the others have their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Exchanges {
    /// The handshake was answered.
    opened: bool,
    poll: Option<Poll>,
    /// A POST whose body is being received.
    upload: Option<ExchangeId>,
    post: Option<Post>,
    answers: VecDeque<(ExchangeId, Response)>,
    /// The last poll that took packets along, until the client shows that it got them.
    delivered: Option<ExchangeId>,
    /// The client has closed the session: until when a poll may come that the goodbye has overtaken.
    overtaken: Option<Instant>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Poll {
    id: ExchangeId,
    /// The poll came in the middle of an upgrade and ends then at the latest, for the client to go on.
    release_at: Option<Instant>,
}

/// A POST whose packets are being read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Post {
    id: ExchangeId,
    body: String,
    reader: PayloadReader,
}

/// The longest that a poll is held between the answer to the probe and the upgrade.
const UPGRADE_HOLD: Duration = Duration::from_millis(100);
/// The longest that a poll is waited for which the client sent before its goodbye, but over another connection.
const OVERTAKEN: Duration = Duration::from_millis(100);

impl Exchanges {
    pub(super) fn holds_poll(&self) -> bool {
        self.poll.is_some()
    }

    pub(super) fn release_at(&self) -> Option<Instant> {
        self.poll.and_then(|poll| poll.release_at)
    }

    fn is_posting(&self) -> bool {
        self.upload.is_some() || self.post.is_some()
    }

    fn is_unused(&self) -> bool {
        self.poll.is_none() && self.upload.is_none() && self.post.is_none() && self.answers.is_empty()
    }
}

impl Session {
    pub(super) fn answer(&mut self, id: ExchangeId, response: Response) {
        self.exchanges.get_or_insert_default().answers.push_back((id, response));
    }

    pub(super) fn take_answer<'b>(&mut self) -> Option<Step<'b>> {
        let exchanges = self.exchanges.as_mut()?;
        let answer = exchanges.answers.pop_front();
        if exchanges.is_unused() && self.transport == Transport::WebSocket {
            self.exchanges = None;
        }
        answer.map(|(id, response)| Step::Answer(id, response))
    }

    pub(super) fn take_exchange(&mut self, Exchange { id, kind }: Exchange) {
        if matches!(kind, ExchangeKind::Poll) && self.overtaken().is_some() {
            self.settle();
            return self.answer(id, payload(String::from("6")));
        }
        if self.state == State::Over || (self.transport == Transport::WebSocket && self.state != State::Open) {
            return self.answer(id, Reject::SessionUnknown.response());
        }
        if self.transport == Transport::WebSocket {
            return self.answer(id, Reject::BadRequest.response());
        }
        match kind {
            ExchangeKind::Poll => self.take_poll(id),
            ExchangeKind::Upload => self.take_upload(id),
            ExchangeKind::Post { body, binary } => self.take_post(id, body, binary),
        }
    }

    /// Until when a poll may come that the client's goodbye has overtaken.
    pub(super) fn overtaken(&self) -> Option<Instant> {
        self.exchanges.as_ref()?.overtaken
    }

    /// No poll is overtaken any more.
    pub(super) fn settle(&mut self) {
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.overtaken = None;
        }
    }

    fn take_poll(&mut self, id: ExchangeId) {
        let probed = self.probe.as_ref().is_some_and(|probe| probe.is_answered());
        let release_at = probed.then(|| self.now + UPGRADE_HOLD);
        let exchanges = self.exchanges.get_or_insert_default();
        exchanges.delivered = None;
        if exchanges.poll.is_some() {
            self.end(CloseReason::TransportError);
            return self.answer(id, Response::bad_request());
        }
        if exchanges.opened {
            exchanges.poll = Some(Poll { id, release_at });
        } else {
            exchanges.opened = true;
            exchanges.delivered = Some(id);
            let response = self.handshake();
            self.answer(id, response);
        }
    }

    /// The answer to the first poll: the handshake alone, and the cookie.
    fn handshake(&self) -> Response {
        let mut response = payload(self.open_packet());
        if let Some(cookie) = self.config.cookie_header(&self.id) {
            response.headers.to_mut().push(cookie);
        }
        response
    }

    fn take_upload(&mut self, id: ExchangeId) {
        let exchanges = self.exchanges.get_or_insert_default();
        if exchanges.is_posting() {
            return self.refuse_post(id);
        }
        exchanges.upload = Some(id);
    }

    pub(super) fn drop_upload(&mut self, id: ExchangeId) -> bool {
        let exchanges = self.exchanges.as_mut();
        exchanges.is_some_and(|exchanges| exchanges.upload.take_if(|upload| *upload == id).is_some())
    }

    /// The client broke the rules by a POST.
    fn refuse_post(&mut self, id: ExchangeId) {
        let exchanges = self.exchanges.get_or_insert_default();
        let open = [exchanges.upload.take(), exchanges.post.take().map(|post| post.id)];
        for open in open.into_iter().flatten() {
            self.answer(open, Response::bad_request());
        }
        self.end(CloseReason::TransportError);
        self.answer(id, Response::bad_request());
    }

    fn take_post(&mut self, id: ExchangeId, body: Bytes, binary: bool) {
        self.drop_upload(id);
        let exchanges = self.exchanges.get_or_insert_default();
        if binary || exchanges.is_posting() {
            return self.refuse_post(id);
        }
        if body.len() > self.config.max_payload {
            return self.answer(id, Response::payload_too_large());
        }
        match String::from_utf8(Vec::from(body)) {
            Ok(body) => exchanges.post = Some(Post { id, body, reader: PayloadReader::default() }),
            Err(_) => {
                self.end(CloseReason::ParseError);
                self.answer(id, Response::bad_request());
            }
        }
    }

    /// Drops the request. Whether the session's packets, or its client, are lost with it.
    pub(super) fn forget_exchange(&mut self, id: ExchangeId) -> bool {
        let Some(exchanges) = &mut self.exchanges else { return false };
        let open = exchanges.poll.take_if(|poll| poll.id == id).is_some()
            || exchanges.upload.take_if(|upload| *upload == id).is_some()
            || exchanges.post.take_if(|post| post.id == id).is_some()
            || exchanges.delivered == Some(id);
        let answers = exchanges.answers.len();
        exchanges.answers.retain(|(answered, _)| *answered != id);
        let known = open || exchanges.answers.len() < answers;
        known && self.state == State::Open && self.transport == Transport::Polling
    }

    /// Reads the next packet of the POST.
    pub(super) fn read_post<'b>(&mut self) -> Option<Step<'b>> {
        if self.holds_back() {
            return None;
        }
        let open = self.state == State::Open;
        let post = self.exchanges.as_mut()?.post.as_mut()?;
        let (id, mut reader) = (post.id, post.reader);
        let segment = reader.next(&post.body);
        if open && matches!(segment, Ok(Some(Segment::Text(PacketType::Message, _)))) {
            // Read again when it is lent.
            return Some(Step::PostedText);
        }
        post.reader = reader;
        match segment {
            Ok(Some(Segment::Binary(bytes))) if open => {
                self.decoded = bytes;
                return Some(Step::Decoded);
            }
            Ok(Some(Segment::Text(PacketType::Pong, _))) if open => self.handle_pong(),
            Ok(Some(Segment::Text(PacketType::Ping, _))) if open => {
                self.finish_post(id, Response::bad_request());
                self.end(CloseReason::TransportError);
            }
            Ok(Some(Segment::Text(PacketType::Close, _))) => {
                self.finish_post(id, Response::ok());
                let polls = self.exchanges.as_ref().is_some_and(|exchanges| exchanges.holds_poll());
                self.end_polling(CloseReason::TransportClose, "6");
                if let Some(exchanges) = self.exchanges.as_mut().filter(|_| open && !polls) {
                    exchanges.overtaken = Some(self.now + OVERTAKEN);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => self.finish_post(id, Response::ok()),
            Err(_) => {
                self.finish_post(id, Response::bad_request());
                if open {
                    self.end(CloseReason::ParseError);
                }
            }
        }
        Some(Step::Again)
    }

    /// The text message that the POST continues with.
    pub(super) fn posted_text(&mut self) -> &str {
        let post = self.exchanges.as_mut().and_then(|exchanges| exchanges.post.as_mut());
        match post.map(|post| post.reader.next(&post.body)) {
            Some(Ok(Some(Segment::Text(_, text)))) => text,
            // It was just read.
            _ => "",
        }
    }

    fn finish_post(&mut self, id: ExchangeId, response: Response) {
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.post = None;
        }
        self.answer(id, response);
    }

    /// Answers the poll if there is something to deliver, or if it was held long enough.
    pub(super) fn answer_poll<'b>(&mut self) -> Option<Step<'b>> {
        let exchanges = self.exchanges.as_mut()?;
        let poll = exchanges.poll?;
        let closing = self.state != State::Open;
        let released = poll.release_at.is_some_and(|release_at| self.now >= release_at);
        if self.queue.is_empty() && !closing && !released {
            return None;
        }
        exchanges.poll = None;
        if !self.queue.is_empty() {
            exchanges.delivered = Some(poll.id);
        }
        let mut packets = self.queue.take_payload();
        if closing {
            if !packets.is_empty() {
                packets.push('\u{1e}');
            }
            packets.push('1');
            self.state = State::Over;
            self.release_exchanges("1");
            self.close_probe();
        } else if packets.is_empty() {
            packets.push('6');
        }
        Some(Step::Answer(poll.id, payload(packets)))
    }

    /// The probe is answered: ends the poll that the client may be waiting for.
    pub(super) fn release_poll(&mut self) {
        if let Some(poll) = self.exchanges.as_mut().and_then(|exchanges| exchanges.poll.as_mut()) {
            poll.release_at = Some(self.now);
        }
        if let Some(Step::Answer(id, response)) = self.answer_poll() {
            self.answer(id, response);
        }
    }

    /// The upgrade came to nothing: the poll may take as long as ever.
    pub(super) fn hold_poll_without_limit(&mut self) {
        if let Some(poll) = self.exchanges.as_mut().and_then(|exchanges| exchanges.poll.as_mut()) {
            poll.release_at = None;
        }
    }

    /// The stream takes over. A poll that came after the answer to the probe came to the wrong transport, and so does a
    /// POST whose body is still to come.
    pub(super) fn leave_polling(&mut self) {
        let Some(exchanges) = &mut self.exchanges else { return };
        if let Some(upload) = exchanges.upload.take() {
            self.answer(upload, Reject::BadRequest.response());
        }
        let Some(exchanges) = &mut self.exchanges else { return };
        if let Some(poll) = exchanges.poll.take() {
            let response = match poll.release_at {
                Some(_) => Reject::BadRequest.response(),
                None => payload(String::from("6")),
            };
            self.answer(poll.id, response);
        }
    }

    /// Answers what is open: the poll with `last`, the POST as coming too late.
    pub(super) fn release_exchanges(&mut self, last: &'static str) {
        let Some(exchanges) = &mut self.exchanges else { return };
        let (poll, post) = (exchanges.poll.take(), exchanges.post.take().map(|post| post.id));
        let upload = exchanges.upload.take();
        if let Some(poll) = poll {
            self.answer(poll.id, Response::payload(Bytes::from_static(last.as_bytes())));
        }
        for post in [upload, post].into_iter().flatten() {
            self.answer(post, Reject::SessionUnknown.response());
        }
    }
}

fn payload(packets: String) -> Response {
    Response::payload(Bytes::from(packets))
}
