use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use memchr::memrchr;

use super::{Config, EmitError, SocketOptions};
use crate::engine::Packet;
use crate::socket::acks::Acks;
use crate::socket::key::{SocketKey, is_same};
use crate::socket::partial::Partial;
use crate::socket::text;
use crate::{Instant, SocketId};

/// What never comes.
pub(super) const NEVER: Instant = Instant::from_epoch(Duration::MAX);

/// No timer of JavaScript is shorter. Without one, what is tried again for want of time would be so at once, and for ever.
pub(super) const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// The socket of a namespace, or a place for one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) namespace: Box<str>,
    pub(super) options: SocketOptions,
    /// How often it was begun to connect: what is asked in one turn is not answered in another.
    pub(super) turn: u32,
    pub(super) id: Option<SocketId>,
    pub(super) recovered: bool,
    /// By what the server knows the socket again, if it can.
    pub(super) pid: Option<Box<str>>,
    /// The last event that it knows to have arrived.
    pub(super) offset: Option<String>,
    /// Refusals in a row.
    refusals: u32,
    /// Not to be connected before.
    pub(super) held: Option<Instant>,
    /// Then a connection is opened for it, if there is none: the application has asked for that, and nothing came of it.
    pub(super) opens: bool,
    /// Ids given out.
    pub(super) ids: u64,
    pub(super) acks: Acks,
    /// Events that wait for the socket to be connected, with the ids of their acks.
    buffer: VecDeque<(Packet, Option<u64>)>,
    /// Events to be sent until they are answered, one after the other.
    queue: VecDeque<Queued>,
    /// When the answer to the first of the queue, which was sent, is late.
    pub(super) in_flight: Option<Instant>,
    /// Bytes of the buffer and of the queue.
    bytes: usize,
    pub(super) early: VecDeque<Box<Partial<Subject>>>,
}

/// Whom a packet with attachments is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Message { socket: SocketKey, ack: Option<u64> },
    Ack { socket: SocketKey, id: u64 },
}

impl Subject {
    pub(super) fn socket(self) -> SocketKey {
        match self {
            Self::Message { socket, .. } | Self::Ack { socket, .. } => socket,
        }
    }
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    #[default]
    Free,
    /// It does not want to be connected.
    Inactive,
    /// It wants to, at the next connection.
    Wanted,
    /// The application was asked for its credentials.
    Asked,
    /// CONNECT was sent. An answer is late after this time.
    Connecting(Instant),
    /// It was told that the answer is late, or is one of version 2. Another may come.
    Late,
    /// It is connected, but what arrived early was not told, and what is buffered not sent.
    Flushing,
    Connected,
}

impl Phase {
    pub(super) fn is_active(self) -> bool {
        !matches!(self, Self::Free | Self::Inactive)
    }

    /// Whether it has a use for the connection that there is.
    pub(super) fn is_promising(self) -> bool {
        matches!(self, Self::Asked | Self::Connecting(_) | Self::Flushing | Self::Connected)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Queued {
    packet: Packet,
    id: u64,
    /// How long the answer to a try may take, where it is not as long as the options say.
    timeout: Option<Duration>,
    tries: u32,
}

impl Slot {
    pub(super) fn new(generation: u32, namespace: &str, options: SocketOptions) -> Self {
        Self { generation, phase: Phase::Inactive, namespace: namespace.into(), options, ..Self::default() }
    }

    pub(super) fn key(&self, index: u32) -> SocketKey {
        SocketKey { index, generation: self.generation }
    }

    pub(super) fn is(&self, namespace: &str) -> bool {
        self.phase != Phase::Free && is_same(&self.namespace, namespace)
    }

    /// Whether it holds nothing that a socket that never was connected would not hold.
    pub(super) fn is_idle(&self) -> bool {
        !self.phase.is_active()
            && self.acks.earliest().is_none()
            && self.buffer.capacity() + self.queue.capacity() + self.early.capacity() == 0
            && self.in_flight.is_none()
            && self.bytes == 0
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffer.len() + self.queue.len()
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    fn has_room(&self, packet: &Packet, config: &Config) -> Result<(), EmitError> {
        let count = self.buffered();
        let fits = self.bytes.saturating_add(packet.cost()) <= config.max_buffered;
        if count < config.max_buffered_packets && (fits || count == 0) { Ok(()) } else { Err(EmitError::Full) }
    }

    /// Keeps an event until the socket is connected.
    pub(super) fn buffer(&mut self, packet: Packet, id: Option<u64>, config: &Config) -> Result<(), EmitError> {
        self.has_room(&packet, config)?;
        self.bytes += packet.cost();
        self.buffer.push_back((packet, id));
        Ok(())
    }

    /// The next event that was kept.
    pub(super) fn unbuffer(&mut self) -> Option<Packet> {
        let Some((packet, _)) = self.buffer.pop_front() else {
            self.buffer = VecDeque::new();
            return None;
        };
        self.bytes -= packet.cost();
        Some(packet)
    }

    /// Forgets the event whose ack has timed out.
    pub(super) fn withdraw(&mut self, id: u64) {
        let index = self.buffer.iter().position(|(_, ack)| *ack == Some(id));
        if let Some((packet, _)) = index.and_then(|index| self.buffer.remove(index)) {
            self.bytes -= packet.cost();
        }
        if self.buffer.is_empty() {
            self.buffer = VecDeque::new();
        }
    }

    /// Keeps an event until it is answered.
    pub(super) fn enqueue(
        &mut self,
        packet: Packet,
        id: u64,
        timeout: Option<Duration>,
        config: &Config,
    ) -> Result<(), EmitError> {
        self.has_room(&packet, config)?;
        self.bytes += packet.cost();
        self.queue.push_back(Queued { packet, id, timeout, tries: 0 });
        Ok(())
    }

    /// The first of the queue, to be sent for one more time, unless it is on its way.
    pub(super) fn retry(&mut self, now: Instant) -> Option<Packet> {
        let first = self.queue.front_mut().filter(|_| self.phase == Phase::Connected && self.in_flight.is_none())?;
        first.tries = first.tries.saturating_add(1);
        let timeout = first.timeout.or(self.options.ack_timeout);
        self.in_flight = Some(timeout.map_or(NEVER, |timeout| now + timeout.max(MIN_TIMEOUT)));
        Some(first.packet.clone())
    }

    /// Whether `id` answers the event that is on its way; then it is so no more.
    pub(super) fn settle(&mut self, id: u64) -> bool {
        let settled = self.in_flight.is_some() && self.queue.front().is_some_and(|first| first.id == id);
        if settled {
            self.in_flight = None;
            self.unqueue();
        }
        settled
    }

    /// The try that is on its way has failed. Gives the id of an event that is given up for it.
    pub(super) fn fail_try(&mut self) -> Option<u64> {
        self.in_flight.take()?;
        let first = self.queue.front()?;
        if first.tries > self.options.retries { self.unqueue() } else { None }
    }

    fn unqueue(&mut self) -> Option<u64> {
        let Queued { packet, id, .. } = self.queue.pop_front()?;
        self.bytes -= packet.cost();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(id)
    }

    /// Gives up all that waits: the ids that are not answered any more.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        self.in_flight = None;
        self.bytes = 0;
        self.buffer = VecDeque::new();
        let queue = core::mem::take(&mut self.queue);
        self.acks.drain().chain(queue.into_iter().map(|queued| queued.id)).collect()
    }

    /// Counts a refusal, and gives the number of those before that call for a delay. The first is forgiven, since the
    /// application may know better credentials at once.
    pub(super) fn refuse(&mut self) -> Option<u32> {
        self.refusals = self.refusals.saturating_add(1);
        self.refusals.checked_sub(2)
    }

    /// The namespace has let this side in.
    pub(super) fn join(&mut self, id: SocketId, pid: Option<Box<str>>) {
        self.phase = Phase::Flushing;
        self.id = Some(id);
        self.recovered = pid.is_some() && self.pid == pid;
        if pid.is_none() {
            self.offset = None;
        }
        self.pid = pid;
        self.refusals = 0;
        self.held = None;
    }

    /// The socket is connected no more, or not to be.
    pub(super) fn leave(&mut self, phase: Phase) {
        self.phase = phase;
        self.id = None;
        self.opens = false;
    }

    /// Remembers how far the events have come, if the server counts them: by their last argument.
    pub(super) fn note_offset(&mut self, json: &str) {
        let Some(token) = last_argument(json) else { return };
        let Some(inner) = token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) else { return };
        if text::is_plain(inner.as_bytes()) {
            let offset = self.offset.get_or_insert_default();
            offset.clear();
            offset.push_str(inner);
        } else if let Ok(offset) = serde_json::from_str(token) {
            self.offset = Some(offset);
        }
    }
}

/// No server's offset is longer, in bytes.
const MAX_OFFSET: usize = 256;

/// The last argument of an event with its quotes, if it is a string.
fn last_argument(json: &str) -> Option<&str> {
    let list = json.trim_end().strip_suffix(']')?.trim_end();
    let end = list.strip_suffix('"')?.len();
    let bytes = list.as_bytes();
    let from = end.saturating_sub(MAX_OFFSET + 1);
    let mut start = end;
    loop {
        start = from + memrchr(b'"', bytes.get(from..start)?)?;
        let escapes = bytes.get(..start)?.iter().rev().take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            break;
        }
    }
    // The only string of an event without arguments is its name.
    let head = list.get(..start)?.trim_end();
    (head != "[").then(|| list.get(start..))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_keeps_memory_is_not_idle() {
        let idle = Slot::new(1, "/", SocketOptions::default());
        assert!(idle.is_idle());
        let kept: [fn(&mut Slot); 3] =
            [|slot| slot.buffer.reserve(1), |slot| slot.queue.reserve(1), |slot| slot.early.reserve(1)];
        for keep in kept {
            let mut slot = idle.clone();
            keep(&mut slot);
            assert!(!slot.is_idle());
        }
    }

    #[test]
    fn the_last_argument_counts_if_it_is_a_short_string() {
        for (json, last) in [
            (r#"["a","b"]"#, Some(r#""b""#)),
            ("[\"a\" , \"b\" ] \n", Some(r#""b""#)),
            (r#"["a",1,""]"#, Some(r#""""#)),
            (r#"["a","b\"c\\"]"#, Some(r#""b\"c\\""#)),
            (r#"["a","\\\"x"]"#, Some(r#""\\\"x""#)),
            (r#"["a"]"#, None),
            (r#"[ "a" ]"#, None),
            (r#"["a\"b"]"#, None),
            (r#"["a",1]"#, None),
            (r#"["a",["b"]]"#, None),
            (r#"["a",{"b":"c"}]"#, None),
            (r#"[1,"b"]"#, Some(r#""b""#)),
            (r#"""#, None),
            (r#""]"#, None),
            ("]", None),
            ("", None),
        ] {
            assert_eq!(last_argument(json), last, "{json}");
        }
        let event = |len| ["[\"a\",\"", &"x".repeat(len), "\"]"].concat();
        assert!(last_argument(&event(MAX_OFFSET)).is_some());
        assert_eq!(last_argument(&event(MAX_OFFSET + 1)), None);
    }
}
