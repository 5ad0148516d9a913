use super::{Instant, LINGER, Session, State};

/// What a [`Session`] waits for, all of it at once. Idempotent: dropping it loses nothing.
#[derive(Debug)]
pub struct Io<'a> {
    pub(super) session: &'a mut Session,
}

impl Io<'_> {
    /// When to call [`Session::next`] at the latest. To be asked after [`Io::written`], which may make it due at once.
    pub fn deadline(&self) -> Instant {
        let session = &*self.session;
        if session.probe_is_done() || session.stream_is_done() {
            return session.now;
        }
        let own = match session.state {
            State::Open if session.paused.is_some() => session.now + session.config.ping_interval,
            State::Open => session.heartbeat.due,
            State::Closing { deadline } => deadline,
            State::Over => session.overtaken().unwrap_or(session.now + LINGER),
        };
        let own = session.probe.as_ref().map_or(own, |probe| own.min(probe.deadline));
        let poll = session.exchanges.as_ref().and_then(|exchanges| exchanges.release_at());
        poll.map_or(own, |poll| own.min(poll))
    }

    /// The bytes to be written to the WebSocket stream, in order. Empty when there is nothing to write.
    ///
    /// Bytes that were offered are offered again, until [`Io::written`] says that they were written.
    pub fn pending(&self) -> impl Iterator<Item = &[u8]> {
        let session = &*self.session;
        let queue = match (&session.probe, &session.stream) {
            (Some(probe), _) => Some(&probe.out),
            (None, Some(_)) => Some(&session.queue),
            (None, None) => None,
        };
        queue.into_iter().flat_map(|queue| queue.bytes())
    }

    /// The first `count` bytes of [`Io::pending`] were written.
    pub fn written(&mut self, count: usize) {
        let session = &mut *self.session;
        if let Some(probe) = &mut session.probe {
            probe.out.written(count);
        } else if session.stream.is_some() {
            session.queue.written(count);
            if let State::Closing { deadline } = &mut session.state
                && session.queue.is_empty()
            {
                *deadline = (*deadline).min(session.now + LINGER);
            }
        }
    }

    /// Whether the writing half of the stream should be shut down: nothing follows what was written, and what the client
    /// still sends is read and thrown away until it closes its half, or it might miss the goodbye. Once or repeatedly.
    pub fn wants_shutdown(&self) -> bool {
        let session = &*self.session;
        let ended = session.stream.as_ref().is_some_and(|stream| stream.is_ended());
        let closing = matches!(session.state, State::Closing { .. }) && !session.stream_is_done();
        ended && closing && session.queue.is_empty()
    }

    /// Whether there is a WebSocket stream that should be read from.
    pub fn wants_read(&self) -> bool {
        let session = &*self.session;
        (session.probe.is_some() || session.stream.is_some()) && !session.holds_back()
    }

    /// Room to read into directly, in the middle of a large message; else read into a buffer of your own and lend it
    /// to [`Session::next`]. Tell with [`Io::filled`] how much was read.
    pub fn read_target(&mut self) -> Option<&mut [u8]> {
        if !self.wants_read() {
            return None;
        }
        self.session.decoder()?.read_target()
    }

    /// `count` bytes were read into [`Io::read_target`].
    pub fn filled(&mut self, count: usize) {
        if let Some(decoder) = self.session.decoder() {
            decoder.filled(count);
        }
    }
}
