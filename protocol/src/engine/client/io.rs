use super::{Client, Instant, State};

/// What a [`Client`] waits for, all of it at once. Idempotent: dropping it loses nothing.
#[derive(Debug)]
pub struct Io<'a> {
    pub(super) client: &'a mut Client,
}

impl Io<'_> {
    /// When to call [`Client::next`] at the latest. To be asked after [`Io::written`], which may make it due at once.
    pub fn deadline(&self) -> Instant {
        let client = &*self.client;
        if client.stream_is_done() {
            return client.now;
        }
        let own = match client.state {
            State::Opening { attempt, .. } => attempt,
            State::Open { due } => due,
            State::Closing { deadline } => deadline,
            State::Over => client.now,
        };
        client.probe_deadline().map_or(own, |probe| own.min(probe))
    }

    /// The bytes to be written to the WebSocket stream, in order, masked. Empty when there is nothing to write.
    ///
    /// Bytes that were offered are offered again, until [`Io::written`] says that they were written; then what is queued
    /// beyond them is offered.
    pub fn pending(&self) -> impl Iterator<Item = &[u8]> {
        let bytes = self.client.stream.as_ref().map(|stream| stream.out.pending());
        bytes.into_iter().filter(|bytes| !bytes.is_empty())
    }

    /// The first `count` bytes of [`Io::pending`] were written.
    pub fn written(&mut self, count: usize) {
        self.client.written(count);
    }

    /// Whether there is a WebSocket stream that should be read from.
    pub fn wants_read(&self) -> bool {
        self.client.stream.as_ref().is_some_and(|stream| stream.is_open())
    }

    /// Room to read into directly, in the middle of a large message; else read into a buffer of your own and lend it
    /// to [`Client::next`]. Tell with [`Io::filled`] how much was read.
    pub fn read_target(&mut self) -> Option<&mut [u8]> {
        self.client.stream.as_mut()?.decoder().read_target()
    }

    /// `count` bytes were read into [`Io::read_target`].
    pub fn filled(&mut self, count: usize) {
        if let Some(stream) = &mut self.client.stream {
            stream.decoder().filled(count);
        }
    }
}
