//! A session and its sockets between a client and an application that do whatever they like: what `session` and `sockets`
//! promise, together, and that sockets learn of the end of the session before it is told.

use std::mem;
use std::sync::Arc;

use socketio_protocol::engine::{self, Transport};
use socketio_protocol::server::{Connection, Next};
use socketio_protocol::{Input, Random, Seed, SessionId};

use crate::machines::app::App;
use crate::machines::peer::Peer;
use crate::machines::{Arriving, Ops, Trial, World, drive, renew, sockets_config, transfer};

/// Operations of the client and the application.
pub fn connection(data: &[u8]) {
    drive::<Both>(data);
}

struct Both {
    trial: Trial,
    connection: Connection,
    config: Arc<engine::Config>,
    peer: Peer,
    app: App,
    closed: bool,
    upgraded: bool,
    finished: bool,
}

impl World for Both {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let mut config = engine::Config::default();
        config.max_payload = *ops.pick(&[10_000, 100]);
        config.max_queued = *ops.pick(&[100_000, 500]);
        let config = Arc::new(config);
        let transport = *ops.pick(&[Transport::WebSocket, Transport::Polling]);
        let id = SessionId::generate(&mut Random::new(Seed::new([2; 32])));
        let now = trial.now();
        let connection = Connection::new(Arc::clone(&config), Arc::new(sockets_config()), id, transport, now);
        let peer = Peer::new(transport == Transport::WebSocket, true);
        let app = App::default();
        Self { trial, connection, config, peer, app, closed: false, upgraded: false, finished: false }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        const SECOND: usize = Peer::OPS + App::OPS;
        let (op, mut waits) = ops.op(SECOND + 2);
        if op == SECOND {
            // Whether it was answered must be known.
            self.run();
        }
        let now = self.trial.now();
        match op {
            0..Peer::OPS => self.peer.act(op, ops, &mut self.connection, now),
            Peer::OPS..SECOND => {
                let sent = self.app.act(op - Peer::OPS, ops, &mut self.connection, now);
                sent.iter().for_each(|packet| self.peer.expect(packet));
            }
            SECOND => self.peer.finish_upload(ops, &mut self.connection, now),
            _ => {
                self.trial.turn_clock(ops);
                waits = false;
            }
        }
        if !waits {
            self.run();
        }
    }

    fn finish(&mut self) {
        self.peer.room = 0;
        self.connection.disconnect_all();
        self.app.leave();
        self.run();
        self.trial.wait(self.config.close_timeout);
        self.run();
        // A stream that has failed an upgrade just before is waited for.
        self.trial.wait(self.config.upgrade_timeout);
        self.run();
        assert!(self.finished);
    }

    fn renew(&mut self) {
        renew(&mut self.connection);
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

impl Both {
    fn run(&mut self) {
        let mut arriving = self.trial.arriving(mem::take(&mut self.peer.inbound));
        loop {
            self.drain(&mut arriving);
            if arriving.is_over() {
                break;
            }
        }
        self.app.check(&self.connection);
    }

    /// Lends the next piece and takes all that comes of it. What waits is written when nothing is left to be read.
    fn drain(&mut self, arriving: &mut Arriving) {
        let mut piece = arriving.next();
        let mut input = Input::new(&mut piece);
        let mut room = self.peer.room;
        loop {
            match self.connection.next(self.trial.call(), &mut input) {
                Next::Event(event) => {
                    assert!(!self.closed, "an event after the end");
                    self.app.take(event, &mut self.trial);
                }
                Next::Answer(id, response) => self.peer.take_answer(id, &response, &mut self.trial),
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true), "upgraded twice"),
                Next::CloseStream => self.peer.lose_stream(),
                Next::Closed(reason) => {
                    assert!(!mem::replace(&mut self.closed, true), "closed twice");
                    assert_eq!(self.app.joined(), 0, "sockets on no connection");
                    self.app.close(reason);
                    self.trial.note(format_args!("closed {reason}"));
                }
                Next::Continue => {}
                Next::Finished => {
                    assert!(self.closed && self.peer.is_settled(), "something is left");
                    self.finished = true;
                    return;
                }
                Next::Io(mut io) => {
                    assert!(!self.finished, "alive again");
                    assert!(input.is_empty(), "not everything was taken");
                    if let Some(bytes) = transfer!(io, arriving, room) {
                        self.peer.read(&bytes, &mut self.trial);
                        continue;
                    }
                    assert!(self.peer.has_stream() || !io.wants_read(), "there is no stream");
                    self.trial.check(io.deadline());
                    return;
                }
            }
        }
    }
}
