use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use super::{Cause, Client, CloseReason, HandshakeError, OpenError, State, Step, Transport, target};
use crate::engine::payload::write_packet;
use crate::engine::{PacketType, PayloadReader, Segment};
use crate::websocket::{Opcode, http1_head, push_header};

/// A number for an HTTP request, by which the caller tells what became of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u64);

/// An HTTP request to be made to the server; protocol specification, section "HTTP long-polling".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The number to answer with.
    pub id: RequestId,
    /// The request target: path and query.
    pub target: String,
    /// What a POST delivers; a GET has no body.
    pub body: Bytes,
    /// The largest body of an answer that has to be read. A larger one is a failure of the request.
    pub max_answer: usize,
}

impl Request {
    /// The type of a POST's body.
    pub const CONTENT_TYPE: &'static str = "text/plain;charset=UTF-8";

    /// `GET` or `POST`.
    pub fn method(&self) -> &'static str {
        if self.body.is_empty() { "GET" } else { "POST" }
    }

    /// The whole request for those who have a bare socket, as HTTP/1.1 writes it on a connection that ends with the
    /// answer. `host` is the server's name, with the port if that is not the usual one; only what may stand there is written.
    pub fn to_http1(&self, host: &str) -> Vec<u8> {
        let mut head = http1_head(self.method(), host, &self.target);
        push_header(&mut head, "connection", "close");
        if !self.body.is_empty() {
            push_header(&mut head, "content-type", Self::CONTENT_TYPE);
            push_header(&mut head, "content-length", &self.body.len().to_string());
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// The HTTP requests of a client: at most one poll and one POST are under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Polling {
    /// How many requests were made.
    pub(super) count: u64,
    poll: Option<RequestId>,
    post: Option<Post>,
    answer: Option<Answer>,
    /// Of what polling has failed, to be told when the answer is read.
    failure: Option<Cause>,
    /// Requests that the caller is to give up.
    cancelled: Vec<RequestId>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
struct Post {
    id: RequestId,
    len: usize,
    /// It says goodbye.
    last: bool,
}

/// The answer to a poll, whose packets are being read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Answer {
    body: String,
    reader: PayloadReader,
}

impl Polling {
    pub(super) fn may_post(&self) -> bool {
        self.post.is_none()
    }

    /// The bytes that are under way.
    pub(super) fn posting(&self) -> usize {
        self.post.map_or(0, |post| post.len)
    }

    /// Whether all that came was told.
    pub(super) fn is_read(&self) -> bool {
        self.answer.is_none()
    }

    /// Whether nothing is under way, and all that came was told.
    pub(super) fn rests(&self) -> bool {
        self.poll.is_none() && self.post.is_none() && self.answer.is_none()
    }

    /// Gives up all that is under way.
    pub(super) fn abandon(&mut self) {
        let post = self.post.take().map(|post| post.id);
        self.cancelled.extend(self.poll.take().into_iter().chain(post));
        (self.answer, self.failure) = (None, None);
    }

    /// A request is over, of which the caller knows.
    fn settle(&mut self, id: RequestId) {
        self.cancelled.retain(|cancelled| *cancelled != id);
    }

    fn next_id(&mut self) -> RequestId {
        self.count += 1;
        RequestId(self.count)
    }
}

impl Client {
    pub(super) fn take_response(&mut self, id: RequestId, status: u16, body: Bytes) {
        self.polling.settle(id);
        if self.polling.poll.take_if(|poll| *poll == id).is_some() {
            match status {
                200 => self.take_payload(body),
                _ => self.fail_polling(Cause::Status(status)),
            }
        } else if let Some(post) = self.polling.post.take_if(|post| post.id == id) {
            match status {
                200 if post.last => self.finish(),
                200 => {}
                _ => self.fail_polling(Cause::Status(status)),
            }
        }
    }

    pub(super) fn take_failure(&mut self, id: RequestId, cause: Cause) {
        self.polling.settle(id);
        let poll = self.polling.poll.take_if(|poll| *poll == id).is_some();
        if poll || self.polling.post.take_if(|post| post.id == id).is_some() {
            self.fail_polling(cause);
        }
    }

    fn fail_polling(&mut self, cause: Cause) {
        match self.state {
            State::Opening { .. } => self.fail_attempt(OpenError::Polling(Some(cause))),
            State::Open { .. } if !self.polling.is_read() => self.polling.failure = Some(cause),
            _ => self.end(CloseReason::TransportError, Some(cause)),
        }
    }

    fn take_payload(&mut self, body: Bytes) {
        let opening = matches!(self.state, State::Opening { .. });
        if body.len() > self.max_answer() {
            return match opening {
                true => self.fail_attempt(OpenError::Handshake(HandshakeError::TooLarge)),
                false => self.fail_polling(Cause::from("the answer is too large")),
            };
        }
        match String::from_utf8(Vec::from(body)) {
            Ok(body) => self.polling.answer = Some(Answer { body, reader: PayloadReader::default() }),
            Err(_) if opening => self.take_handshake(None),
            Err(_) => self.end(CloseReason::ParseError, None),
        }
    }

    /// The largest answer to a poll.
    fn max_answer(&self) -> usize {
        match self.state {
            State::Opening { .. } => self.config.max_handshake,
            _ => self.config.max_payload,
        }
    }

    pub(super) fn take_cancelled<'b>(&mut self) -> Option<Step<'b>> {
        self.polling.cancelled.pop().map(Step::CancelRequest)
    }

    /// Reads the next packet of the answer to a poll.
    pub(super) fn read_answer<'b>(&mut self) -> Option<Step<'b>> {
        let Some(answer) = &mut self.polling.answer else {
            let cause = self.polling.failure.take()?;
            self.fail_polling(cause);
            return Some(Step::Again);
        };
        let mut reader = answer.reader;
        let segment = reader.next(&answer.body);
        if matches!(self.state, State::Opening { .. }) {
            answer.reader = reader;
            return Some(self.read_first());
        }
        let open = matches!(self.state, State::Open { .. });
        if open && matches!(segment, Ok(Some(Segment::Text(PacketType::Message, _)))) {
            // Read again when it is lent.
            return Some(Step::PolledText);
        }
        answer.reader = reader;
        match segment {
            Ok(Some(Segment::Binary(bytes))) if open => {
                self.decoded = bytes;
                return Some(Step::Decoded);
            }
            Ok(Some(Segment::Text(PacketType::Ping, _))) if open => return Some(self.handle_ping()),
            Ok(Some(Segment::Text(PacketType::Close, _))) => self.end(CloseReason::TransportClose, None),
            Ok(Some(_)) => {}
            Err(_) if open => self.end(CloseReason::ParseError, None),
            Ok(None) | Err(_) => self.polling.answer = None,
        }
        Some(Step::Again)
    }

    /// Reads the first packet of the first answer, which is to be the handshake.
    fn read_first<'b>(&mut self) -> Step<'b> {
        let Some(answer) = self.polling.answer.take() else { return Step::Again };
        match PayloadReader::default().next(&answer.body) {
            Ok(Some(Segment::Text(PacketType::Open, data))) => {
                self.take_handshake(Some(data));
                if matches!(self.state, State::Open { .. }) {
                    self.polling.answer = Some(answer);
                }
            }
            Ok(Some(Segment::Text(PacketType::Close, _))) => {
                self.fail_attempt(OpenError::Polling(Some(Cause::from("closed by the server"))));
            }
            _ => self.take_handshake(None),
        }
        Step::Again
    }

    /// The text message that the answer continues with.
    pub(super) fn polled_text(&mut self) -> &str {
        match self.polling.answer.as_mut().map(|answer| answer.reader.next(&answer.body)) {
            Some(Ok(Some(Segment::Text(_, text)))) => text,
            // It was just read.
            _ => "",
        }
    }

    /// Delivers what is queued, as much as the server takes at once, and then the goodbye.
    pub(super) fn post<'b>(&mut self) -> Option<Step<'b>> {
        let closing = matches!(self.state, State::Closing { .. });
        let due = self.pong || !self.queue.is_empty() || closing;
        let handshake = self.handshake.as_ref().filter(|_| self.transport == Transport::Polling);
        let limit = handshake.filter(|_| due && self.polling.may_post() && !self.is_pausing())?.max_payload();
        let mut body = String::new();
        if mem::take(&mut self.pong) {
            write_packet(Opcode::Text, PONG, &mut body);
        }
        self.queue.move_into(&mut body, limit);
        // The goodbye goes alone, as the official client's does: the official server closes the session while it reads a
        // body, before it looks at what stood in front.
        let last = closing && body.is_empty();
        if last {
            write_packet(Opcode::Text, CLOSE, &mut body);
        }
        if body.is_empty() {
            // Only control frames were queued, which are the caller's own.
            return Some(Step::Again);
        }
        let id = self.polling.next_id();
        self.polling.post = Some(Post { id, len: body.len(), last });
        Some(self.request(id, body.into(), self.config.max_handshake))
    }

    /// Asks for packets.
    pub(super) fn poll<'b>(&mut self) -> Option<Step<'b>> {
        let wanted = matches!(self.state, State::Opening { .. } | State::Open { .. });
        let free = self.polling.poll.is_none();
        if self.transport != Transport::Polling || !wanted || !free || self.is_pausing() {
            return None;
        }
        let id = self.polling.next_id();
        self.polling.poll = Some(id);
        Some(self.request(id, Bytes::new(), self.max_answer()))
    }

    fn request<'b>(&mut self, id: RequestId, body: Bytes, max_answer: usize) -> Step<'b> {
        let target = self.target(Transport::Polling);
        Step::Request(Request { id, target, body, max_answer })
    }

    pub(super) fn target(&mut self, transport: Transport) -> String {
        let session = self.handshake.as_ref().map(|handshake| handshake.sid());
        target::target(&self.prefix, transport, session, &mut self.random)
    }
}

/// A packet that answers a ping.
const PONG: &[u8] = b"3";
/// The packet that says goodbye.
const CLOSE: &[u8] = b"1";
