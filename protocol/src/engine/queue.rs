use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;

use super::Packet;
use super::payload::{packet_len, payload_len, write_packet, write_packets};
use crate::websocket::{CloseCode, Frame, Part};

/// Packets that wait to be sent. Only ever appended to, so that bytes once offered stay what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    packets: VecDeque<Packet>,
    /// Bytes of the first packet that are written already.
    sent: usize,
    /// What the waiting packets cost.
    cost: usize,
    /// There while a pong is among the packets.
    pong: Option<Box<Pong>>,
}

/// A pong that waits. A peer that pings and does not read cannot make the queue grow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pong {
    /// Where among the packets it is.
    at: usize,
    /// The one for a later ping, which comes when this one is gone.
    next: Option<Frame>,
}

impl Queue {
    /// The room that the queue of a silent session may keep, in packets.
    pub(super) const IDLE_CAPACITY: usize = 1;

    /// The room that an empty queue keeps while the session is busy, so that it need not be made anew for every burst.
    const BUSY_CAPACITY: usize = 64;

    pub(super) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Waiting bytes, and [`Packet::OVERHEAD`] for every packet.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn push(&mut self, packet: Packet) {
        self.cost = self.cost.saturating_add(packet.cost());
        if self.packets.capacity() == 0 {
            self.packets.reserve_exact(Self::IDLE_CAPACITY);
        }
        self.packets.push_back(packet);
    }

    pub(super) fn push_frame(&mut self, frame: Frame) {
        self.push(Packet::from_frames(frame, None));
    }

    /// Queues a pong, at most one at a time: RFC 6455 section 5.5.3 allows answering the latest ping only.
    pub(super) fn push_pong(&mut self, pong: Frame) {
        match &mut self.pong {
            Some(waiting) => waiting.next = Some(pong),
            None => {
                self.pong = Some(Box::new(Pong { at: self.packets.len(), next: None }));
                self.push_frame(pong);
            }
        }
    }

    /// Queues the close frame, which no pong follows.
    pub(super) fn push_close(&mut self, code: Option<CloseCode>) {
        self.pong = None;
        self.push_frame(Frame::close(code));
    }

    /// Moves everything of `other` behind what is here.
    pub(super) fn append(&mut self, other: Self) {
        self.cost = self.cost.saturating_add(other.cost);
        self.packets.extend(other.packets);
    }

    /// The unwritten bytes, frame by frame.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let mut sent = self.sent;
        self.packets.iter().flat_map(Packet::frames).filter_map(move |frame| {
            let bytes = frame.as_bytes();
            let written = sent.min(bytes.len());
            sent -= written;
            bytes.get(written..).filter(|bytes| !bytes.is_empty())
        })
    }

    /// The first `count` of [`Queue::bytes`] were written.
    pub(super) fn written(&mut self, mut count: usize) {
        while let Some(first) = self.packets.front() {
            let left = first.len().saturating_sub(self.sent);
            if count < left {
                self.sent += count;
                self.cost = self.cost.saturating_sub(count);
                return;
            }
            count -= left;
            self.cost = self.cost.saturating_sub(left.saturating_add(Packet::OVERHEAD));
            self.sent = 0;
            self.packets.pop_front();
            if let Some(pong) = &mut self.pong {
                match pong.at.checked_sub(1) {
                    Some(at) => pong.at = at,
                    None => {
                        let next = self.pong.take().and_then(|pong| pong.next);
                        next.into_iter().for_each(|pong| self.push_pong(pong));
                    }
                }
            }
        }
        if self.packets.capacity() > Self::BUSY_CAPACITY {
            self.rest();
        }
    }

    /// The unwritten frames one by one, for who writes whole frames only.
    pub(super) fn frames(&self) -> impl Iterator<Item = Part<'_>> {
        self.bytes().flat_map(Part::split)
    }

    /// Moves packets to the end of a polling payload, as long as it stays within `limit` bytes. One packet that is larger
    /// goes alone.
    pub(super) fn move_into(&mut self, payload: &mut String, limit: usize) {
        let mut taken = 0;
        for part in self.frames() {
            if !part.opcode().is_control() {
                // The first packet has no separator in front.
                let len = payload.len() + packet_len(part.opcode(), part.payload);
                if !payload.is_empty() && len > limit {
                    break;
                }
                write_packet(part.opcode(), part.payload, payload);
            }
            taken += part.len();
        }
        self.written(taken);
    }

    /// Everything as a polling payload.
    pub(super) fn take_payload(&mut self) -> String {
        let mut payload = String::with_capacity(payload_len(self.packets.iter().flat_map(Packet::frames)));
        self.packets.iter().flat_map(Packet::frames).for_each(|frame| write_packets(frame, &mut payload));
        self.clear();
        payload
    }

    /// Drops what is not on its way yet. A packet of which a part is written stays, or its frame would be torn.
    pub(super) fn cut(&mut self) {
        let partial = self.packets.pop_front().filter(|_| self.sent > 0);
        let sent = self.sent;
        *self = Self::default();
        if let Some(packet) = partial {
            self.push(packet);
            self.sent = sent;
            self.cost = self.cost.saturating_sub(sent);
        }
    }

    pub(super) fn clear(&mut self) {
        self.packets.clear();
        (self.sent, self.cost, self.pong) = (0, 0, None);
        self.rest();
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.packets.capacity()
    }

    /// Gives the room back, if the queue is empty.
    pub(super) fn rest(&mut self) {
        if self.is_empty() && self.packets.capacity() > Self::IDLE_CAPACITY {
            self.packets = VecDeque::new();
        }
    }
}
