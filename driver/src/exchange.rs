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
    /// Writing could go on, but others are to have their turn.
    Enough,
}

/// Writes what waits, then reads what goes directly into the machine.
pub(crate) fn exchange(
    stream: &mut impl Stream,
    io: &mut impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
) -> io::Result<Exchange> {
    if write(stream, io, cx, gather)? >= WRITE_BUDGET {
        return Ok(Exchange::Enough);
    }
    if io.wants_shutdown() {
        // The reading half tells whether the client is still there.
        let _ = stream.poll_shutdown(cx);
    }
    if !io.wants_read() {
        return Ok(Exchange::Blocked);
    }
    let Some(target) = io.read_target() else { return Ok(Exchange::ReadOn) };
    match stream.poll_read(cx, target)? {
        Poll::Pending => Ok(Exchange::Blocked),
        Poll::Ready(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Poll::Ready(count) => {
            io.filled(count);
            Ok(Exchange::Done)
        }
    }
}

/// Writes what waits, and reads nothing.
pub(crate) fn write_only(
    stream: &mut impl Stream,
    io: &mut impl MachineIo,
    cx: &mut Context<'_>,
    gather: &mut Vec<u8>,
) -> io::Result<Exchange> {
    let written = write(stream, io, cx, gather)?;
    // Who reads flushes by that: TLS may hold the rest of a record back.
    let _ = stream.poll_flush(cx)?;
    Ok(if written >= WRITE_BUDGET { Exchange::Enough } else { Exchange::Blocked })
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
