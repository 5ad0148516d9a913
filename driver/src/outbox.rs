use core::mem;
use std::cell::RefCell;

use bytes::Bytes;
use socketio_protocol::engine::{Packet, Session};
use socketio_protocol::socket::Encoded;

use crate::mailbox::Mailbox;

/// Packets of at most so many bytes are sent together, as one run of frames.
const SMALL: usize = 4 * 1024;
/// So are those of broadcasts up to here: where they wait, a copy takes hardly more than a reference.
const TINY: usize = 128;
/// So are larger ones that are encoded for this session alone: a copy costs less than memory of their own.
const COPIED: usize = 128 * 1024;
/// Small packets that have to wait do so in runs of about so many bytes, whose memory comes back with their last byte.
const RUN: usize = 32 * 1024;
/// Room for frames that a thread keeps.
const KEEP: usize = 256 * 1024;
/// Room for packets that a thread keeps.
const KEEP_PACKETS: usize = 1024;

thread_local! {
    static OUTBOX: RefCell<Outbox> = const {
        RefCell::new(Outbox { owner: 0, frames: Vec::new(), breaks: Vec::new() })
    };
}

/// What is sent to a session while its own task runs on this thread, in order: it need not go through the mailbox.
#[derive(Default)]
struct Outbox {
    /// The address of the session's mailbox; 0 while no session's task runs.
    owner: usize,
    /// Small packets of this session alone, and tiny ones of broadcasts, back to back.
    frames: Vec<u8>,
    /// Where runs end in `frames`, and what follows there: other packets, such as larger ones of broadcasts, which cost each
    /// recipient a reference.
    breaks: Vec<(usize, Option<Packet>)>,
}

/// While it lives, what is sent to the mailbox's session on this thread comes here.
pub(crate) struct Open {
    /// Of a task that polls this one: somebody runs an executor in a handler.
    outer: Option<Outbox>,
}

/// Opens the outbox for the session of `mailbox`.
pub(crate) fn open<M>(mailbox: &Mailbox<M>) -> Open {
    OUTBOX.with_borrow_mut(|outbox| {
        let outer = (outbox.owner != 0).then(|| mem::take(outbox));
        outbox.owner = mailbox.address();
        Open { outer }
    })
}

impl Drop for Open {
    fn drop(&mut self) {
        // A task that was dropped by a panic may have left something.
        let left = OUTBOX.with_borrow_mut(|outbox| {
            let keeps = outbox.breaks.is_empty() && outbox.breaks.capacity() <= KEEP_PACKETS;
            let packets = if keeps { Vec::new() } else { mem::take(&mut outbox.breaks) };
            outbox.frames.clear();
            outbox.frames.shrink_to(KEEP);
            outbox.owner = 0;
            if let Some(outer) = self.outer.take() {
                *outbox = outer;
            }
            packets
        });
        drop(left);
    }
}

/// Sends to the session whose task runs on this thread.
pub(crate) fn send(packet: Packet) {
    OUTBOX.with_borrow_mut(|outbox| outbox.push(packet));
}

/// The address of the mailbox whose session's task runs on this thread; 0 if none does.
pub(crate) fn owner() -> usize {
    OUTBOX.with_borrow(|outbox| outbox.owner)
}

/// Sends to the session of `mailbox`, if its task runs on this thread and nothing waits in front of the packet in the
/// mailbox. Else, or where too much waits already, the packet is given back, to go there.
pub(crate) fn send_to<M>(mailbox: &Mailbox<M>, packet: Packet) -> Result<(), Packet> {
    OUTBOX.with_borrow_mut(|outbox| {
        if outbox.owner != mailbox.address() || !mailbox.lets_pass(packet.cost()) {
            return Err(packet);
        }
        outbox.push(packet);
        Ok(())
    })
}

/// As [`send_to`], for a packet that is copied if it is small.
#[inline]
pub(crate) fn send_encoded_to<M>(mailbox: &Mailbox<M>, encoded: Encoded<'_>) -> Result<(), Packet> {
    if encoded.len() > COPIED {
        return send_to(mailbox, encoded.into_packet());
    }
    let sent = OUTBOX.with_borrow_mut(|outbox| {
        let passes = outbox.owner == mailbox.address() && mailbox.lets_pass(encoded.len() + Packet::OVERHEAD);
        if passes {
            encoded.copy_to(&mut outbox.frames);
            outbox.end_run();
        }
        passes
    });
    if sent { Ok(()) } else { Err(encoded.into_packet()) }
}

/// Writes everything by one call of `write`, which gives how many bytes it took, if there is something and it is not too
/// much. Tells how many bytes those were, unless they were all: then everything still waits here.
pub(crate) fn write(gather: &mut Vec<u8>, write: impl FnOnce(&[u8]) -> usize) -> Option<usize> {
    let (mut frames, mut breaks) =
        OUTBOX.with_borrow_mut(|outbox| (mem::take(&mut outbox.frames), mem::take(&mut outbox.breaks)));
    let packets = || breaks.iter().filter_map(|(at, packet)| Some((*at, packet.as_ref()?)));
    let total = frames.len() + packets().map(|(_, packet)| packet.len()).sum::<usize>();
    let written = match (&*breaks, frames.len()) {
        _ if total == 0 || total > KEEP => 0,
        // Where runs end matters only to the session.
        _ if packets().next().is_none() => write(&frames),
        ([(_, Some(packet))], 0) if packet.as_frame().is_some() => {
            packet.as_frame().map_or(0, |frame| write(frame.as_bytes()))
        }
        _ => {
            gather.clear();
            let mut sent = 0;
            for (at, packet) in packets() {
                gather.extend_from_slice(frames.get(sent..at).unwrap_or_default());
                packet.frames().for_each(|frame| gather.extend_from_slice(frame.as_bytes()));
                sent = at;
            }
            gather.extend_from_slice(frames.get(sent..).unwrap_or_default());
            write(gather)
        }
    };
    if written >= total {
        frames.clear();
        breaks.clear();
    }
    OUTBOX.with_borrow_mut(|outbox| (outbox.frames, outbox.breaks) = (frames, breaks));
    (written < total).then_some(written)
}

/// Hands everything to the session.
pub(crate) fn flush(session: &mut Session) {
    OUTBOX.with_borrow_mut(|outbox| {
        if outbox.frames.is_empty() && outbox.breaks.is_empty() {
            return;
        }
        // A session that is over, or becomes so by this, tells it by itself.
        let send_run = |run: &[u8], session: &mut Session| {
            if !run.is_empty() {
                let _ = session.send_frames(Bytes::copy_from_slice(run));
            }
        };
        let mut sent = 0;
        for (at, packet) in outbox.breaks.drain(..) {
            send_run(outbox.frames.get(sent..at).unwrap_or_default(), session);
            if let Some(packet) = packet {
                let _ = session.send(packet);
            }
            sent = at;
        }
        send_run(outbox.frames.get(sent..).unwrap_or_default(), session);
        outbox.frames.clear();
    });
}

/// Drops everything.
pub(crate) fn clear() {
    OUTBOX.with_borrow_mut(|outbox| {
        outbox.frames.clear();
        outbox.breaks.clear();
    });
}

impl Outbox {
    /// Ends the run behind the last packet if it is long enough.
    fn end_run(&mut self) {
        let start = self.breaks.last().map_or(0, |(at, _)| *at);
        if self.frames.len() - start >= RUN {
            self.breaks.push((self.frames.len(), None));
        }
    }

    fn push(&mut self, packet: Packet) {
        if let Some(frame) = packet.as_frame()
            && let bytes = frame.as_bytes()
            && (bytes.len() <= TINY || (bytes.len() <= SMALL && frame.is_unique()))
        {
            self.frames.extend_from_slice(bytes);
            self.end_run();
        } else {
            self.breaks.push((self.frames.len(), Some(packet)));
        }
    }
}
