use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use socketio_protocol::{client, engine};

use crate::runtime::Stream;

/// Bytes read at once: several of the largest messages that are frequent, so that they need no buffer of their own.
pub(crate) const READ: usize = 256 * 1024;
/// Steps of one wake-up after which other tasks get their turn.
pub(crate) const BUDGET: usize = 8;
/// Bytes read in one wake-up after which others get theirs.
pub(crate) const READ_BUDGET: usize = 512 * 1024;
/// Messages of a client told in one wake-up after which other tasks get their turn: half a megabyte holds 40 000.
pub(crate) const MESSAGE_BUDGET: usize = 1024;
/// Bytes written in one wake-up after which other tasks get their turn: more would show in their latency.
const WRITE_BUDGET: usize = 256 * 1024;
/// Up to so many bytes, small frames are copied together instead of being written one by one.
const GATHER: usize = 16 * 1024;
const SLICES: usize = 64;

/// What a machine offers to write to its stream, and to read from it.
pub(crate) trait MachineIo {
    fn pending(&self) -> impl Iterator<Item = &[u8]>;
    fn written(&mut self, count: usize);
    fn wants_read(&self) -> bool;
    fn read_target(&mut self) -> Option<&mut [u8]>;
    fn filled(&mut self, count: usize);

    /// Whether the writing half is to be closed behind what waits.
    fn wants_shutdown(&self) -> bool {
        false
    }
}

macro_rules! machine_io {
    ($io:ty $(, $wants_shutdown:item)?) => {
        impl MachineIo for $io {
            fn pending(&self) -> impl Iterator<Item = &[u8]> {
                self.pending()
            }

            fn written(&mut self, count: usize) {
                self.written(count);
            }

            fn wants_read(&self) -> bool {
                self.wants_read()
            }

            fn read_target(&mut self) -> Option<&mut [u8]> {
                self.read_target()
            }

            fn filled(&mut self, count: usize) {
                self.filled(count);
            }

            $($wants_shutdown)?
        }
    };
}

machine_io!(client::Io<'_>);
machine_io!(
    engine::Io<'_>,
    fn wants_shutdown(&self) -> bool {
        self.wants_shutdown()
    }
);

/// What a stream allowed.
pub(crate) enum Exchange {
    /// Neither writing nor reading goes on.
    Blocked,
    /// The machine has more to do.
    Done,
    /// Reading goes on, into a buffer of the task.
    ReadOn,
    /// Writing or reading could go on, but others are to have their turn.
    Enough,
}

/// Writes what waits, then reads what goes directly into the machine. `taken` counts what is read in one wake-up: whoever
/// sends without an end is not to keep the task busy, whatever the machine makes of it.
///
/// Where writing fails, reading goes on: what the peer sent before it went is still to be heard, and then its end.
pub(crate) fn exchange(
    stream: &mut impl Stream,
    io: &mut impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
    taken: &mut usize,
) -> io::Result<Exchange> {
    let written = write(stream, io, cx, gather);
    if written.as_ref().is_ok_and(|written| *written >= WRITE_BUDGET) {
        return Ok(Exchange::Enough);
    }
    // Whoever waits for an answer would not know that the question is still here.
    let flushed = stream.poll_flush(cx);
    if io.wants_shutdown() {
        // The reading half tells whether the client is still there.
        let _ = stream.poll_shutdown(cx);
    }
    if !io.wants_read() {
        let _ = (written?, flushed?);
        return Ok(Exchange::Blocked);
    }
    if *taken >= READ_BUDGET {
        return Ok(Exchange::Enough);
    }
    let Some(target) = io.read_target() else { return Ok(Exchange::ReadOn) };
    match stream.poll_read(cx, target)? {
        Poll::Pending => Ok(Exchange::Blocked),
        Poll::Ready(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Poll::Ready(count) => {
            io.filled(count);
            *taken += count;
            Ok(Exchange::Done)
        }
    }
}

/// Writes what waits, and reads nothing. What fails here fails again when reading goes on, behind what is to be read.
pub(crate) fn write_only(
    stream: &mut impl Stream,
    io: &mut impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
) -> Exchange {
    let written = write(stream, io, cx, gather);
    let _ = stream.poll_flush(cx);
    if written.is_ok_and(|written| written >= WRITE_BUDGET) { Exchange::Enough } else { Exchange::Blocked }
}

/// Writes what waits, as far as the stream and [`WRITE_BUDGET`] let it. Gives how many bytes that were.
fn write(
    stream: &mut impl Stream,
    io: &mut impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
) -> io::Result<usize> {
    let mut total = 0;
    while total < WRITE_BUDGET {
        let (offered, polled) = write_once(stream, io, cx, gather);
        match polled {
            _ if offered == 0 => break,
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => {
                io.written(written);
                total += written;
            }
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Pending => break,
        }
    }
    Ok(total)
}

/// Offers the stream what waits. Gives how many bytes that were, too.
fn write_once(
    stream: &mut impl Stream,
    io: &impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
) -> (usize, Poll<io::Result<usize>>) {
    let mut pending = io.pending();
    let Some(first) = pending.next() else { return (0, Poll::Pending) };
    let mut small = first.len() <= GATHER;
    gather.clear();
    if small {
        gather.extend_from_slice(first);
        for bytes in pending {
            small = gather.len() + bytes.len() <= GATHER;
            if !small {
                break;
            }
            gather.extend_from_slice(bytes);
        }
    }
    if small {
        return (gather.len(), stream.poll_write(cx, &[IoSlice::new(gather)]));
    }
    let (mut slices, mut count, mut total) = ([IoSlice::new(&[]); SLICES], 0, 0);
    for (slot, bytes) in slices.iter_mut().zip(io.pending()) {
        *slot = IoSlice::new(bytes);
        count += 1;
        total += bytes.len();
        if total >= WRITE_BUDGET {
            break;
        }
    }
    (total, stream.poll_write(cx, slices.get(..count).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use core::task::Waker;

    use super::*;

    /// Holds back what is written until it is flushed, and can be flushed once `open` is set.
    #[derive(Default)]
    struct Holding {
        held: usize,
        sent: usize,
        open: bool,
    }

    impl Stream for Holding {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            let count = slices.iter().map(|slice| slice.len()).sum();
            self.held += count;
            Poll::Ready(Ok(count))
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if !self.open {
                return Poll::Pending;
            }
            self.sent += core::mem::take(&mut self.held);
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Has something to write, and may want to read or not.
    struct Machine {
        pending: &'static [u8],
        wants_read: bool,
    }

    impl MachineIo for Machine {
        fn pending(&self) -> impl Iterator<Item = &[u8]> {
            Some(self.pending).filter(|pending| !pending.is_empty()).into_iter()
        }

        fn written(&mut self, count: usize) {
            self.pending = &self.pending[count..];
        }

        fn wants_read(&self) -> bool {
            self.wants_read
        }

        fn read_target(&mut self) -> Option<&mut [u8]> {
            None
        }

        fn filled(&mut self, _: usize) {}
    }

    #[test]
    fn nothing_is_held_back_whether_it_is_read_or_not() {
        let mut cx = Context::from_waker(Waker::noop());
        for wants_read in [false, true] {
            let (mut stream, mut gather) = (Holding::default(), Vec::new());
            let mut machine = Machine { pending: b"message", wants_read };
            let mut step = |stream: &mut Holding| exchange(stream, &mut machine, &mut cx, &mut gather, &mut 0).unwrap();
            step(&mut stream);
            assert_eq!((stream.held, stream.sent), (7, 0));
            // Nothing more is to be written, but this is still to leave.
            stream.open = true;
            step(&mut stream);
            assert_eq!((stream.held, stream.sent), (0, 7));
        }
    }

    /// Nothing can be written to it.
    struct Gone;

    impl Stream for Gone {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn the_last_words_of_a_peer_are_read_though_it_takes_nothing() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut stream, mut gather) = (Gone, Vec::new());
        let mut machine = Machine { pending: b"message", wants_read: true };
        assert!(matches!(exchange(&mut stream, &mut machine, &mut cx, &mut gather, &mut 0), Ok(Exchange::ReadOn)));
        machine.wants_read = false;
        assert!(exchange(&mut stream, &mut machine, &mut cx, &mut gather, &mut 0).is_err());
    }

    #[test]
    fn others_have_their_turn_when_enough_was_read() {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut stream, mut gather) = (Holding::default(), Vec::new());
        let mut machine = Machine { pending: b"message", wants_read: true };
        let mut step = |taken: &mut usize| exchange(&mut stream, &mut machine, &mut cx, &mut gather, taken).unwrap();
        assert!(matches!(step(&mut (READ_BUDGET - 1)), Exchange::ReadOn));
        assert!(matches!(step(&mut { READ_BUDGET }), Exchange::Enough));
        assert_eq!(stream.held, 7, "what waits is written all the same");
    }
}
