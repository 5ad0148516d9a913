//! A session of Engine.IO between a client and an application that do whatever they like: every request is answered once,
//! what is sent comes once and in order, the end is told once, and nothing is left after the last deadline.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use socketio_protocol::engine::{CloseReason, Config, Cookie, Message, Next, Packet, SendError, Session, Transport};
use socketio_protocol::socket::{Binary, encode_event};
use socketio_protocol::websocket::Frame;
use socketio_protocol::{Input, Random, Seed, SessionId};

use crate::machines::peer::{Peer, REASONS};
use crate::machines::{Arriving, Ops, Trial, World, drive, renew, transfer};

/// Operations of the client and the application.
pub fn session(data: &[u8]) {
    drive::<Single>(data);
}

struct Single {
    trial: Trial,
    session: Session,
    peer: Peer,
    config: Arc<Config>,
    /// The most that may wait to be sent.
    limit: usize,
    closed: bool,
    upgraded: bool,
    finished: bool,
}

/// What the session may queue beyond its limit: the handshake, a ping, pongs, and the goodbye.
const OWN: usize = 1000;

impl World for Single {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let mut config = Config::default();
        config.max_payload = *ops.pick(&[64, 10_000, 100_000]);
        config.max_queued = *ops.pick(&[2000, 100_000]);
        config.allow_upgrades = ops.flag();
        config.cookie = ops.flag().then(Cookie::default);
        let transport = *ops.pick(&[Transport::Polling, Transport::WebSocket]);
        let (limit, config) = (config.max_queued + OWN, Arc::new(config));
        let id = SessionId::generate(&mut Random::new(Seed::new([1; 32])));
        let session = Session::new(Arc::clone(&config), id, transport, trial.now());
        let peer = Peer::new(transport == Transport::WebSocket, false);
        Self { trial, session, peer, config, limit, closed: false, upgraded: false, finished: false }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        let (op, mut waits) = ops.op(Peer::OPS + 7);
        if op == Peer::OPS {
            // Whether it was answered must be known.
            self.run();
        }
        let now = self.trial.now();
        match op.checked_sub(Peer::OPS) {
            None => self.peer.act(op, ops, &mut self.session, now),
            Some(0) => self.peer.finish_upload(ops, &mut self.session, now),
            Some(1 | 2) => self.send(ops),
            Some(3) => self.send_run(ops),
            Some(4) => self.write(ops),
            Some(5) if ops.below(8) == 0 => self.session.abort(now, *ops.pick(REASONS)),
            Some(_) => {
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
        let now = self.trial.now();
        self.session.close(now, CloseReason::ForcedClose);
        self.run();
        self.trial.wait(self.config.close_timeout);
        self.run();
        // A stream that has failed an upgrade just before is waited for.
        self.trial.wait(self.config.upgrade_timeout);
        self.run();
        assert!(self.finished);
        let shown = format!("{:?}", self.session);
        assert!(!shown.contains(self.session.id().as_str()), "shows the secret id: {shown}");
    }

    fn renew(&mut self) {
        renew(&mut self.session);
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

impl Single {
    fn send(&mut self, ops: &mut Ops<'_>) {
        let packet = match ops.below(8) {
            0 => Packet::binary(ops.bytes(8)),
            1 => Packet::text(&"x".repeat(*ops.pick(&[1000, 70_000]))),
            2 => encode_event("/", "e", &(Binary::from(vec![1]), Binary::default()), None).expect("an event"),
            _ => Packet::text(&ops.text()),
        };
        self.limit = self.limit.max(packet.cost() + OWN);
        let sent = self.session.send(packet.clone());
        assert!(!(self.closed && sent != Err(SendError::Closed)), "sent after the end");
        if sent.is_ok() {
            self.peer.expect(&packet);
        }
    }

    /// Several packets as one.
    fn send_run(&mut self, ops: &mut Ops<'_>) {
        let packets = [Packet::text(&ops.text()), Packet::binary(ops.bytes(4)), Packet::text("end")];
        let frames: Vec<_> = packets.iter().flat_map(Packet::frames).map(Frame::as_bytes).collect();
        if self.session.send_frames(Bytes::from(frames.concat())).is_ok() {
            packets.iter().for_each(|packet| self.peer.expect(packet));
        }
    }

    /// Writes to the stream what is next there anyway, in whole or in part.
    fn write(&mut self, ops: &mut Ops<'_>) {
        if !self.session.is_clear() {
            return;
        }
        let packet = Packet::text(&ops.text());
        let bytes: Vec<_> = packet.frames().flat_map(Frame::as_bytes).copied().collect();
        let written = ops.below(bytes.len() + 1);
        self.peer.expect(&packet);
        self.peer.read(&bytes[..written], &mut self.trial);
        if written < bytes.len() {
            self.session.send(packet).expect("nothing waits");
            self.session.handle_written(written);
        }
    }

    fn run(&mut self) {
        let mut arriving = self.trial.arriving(mem::take(&mut self.peer.inbound));
        loop {
            self.drain(&mut arriving);
            if arriving.is_over() {
                break;
            }
        }
    }

    /// Lends the next piece and takes all that comes of it. What waits is written when nothing is left to be read.
    fn drain(&mut self, arriving: &mut Arriving) {
        let mut piece = arriving.next();
        let mut input = Input::new(&mut piece);
        let mut room = self.peer.room;
        loop {
            match self.session.next(self.trial.call(), &mut input) {
                Next::Message(message) => {
                    assert!(!self.closed, "a message after the end");
                    match message {
                        Message::Text(text) => self.trial.note(format_args!("text {text}")),
                        Message::Binary(bytes) => {
                            self.trial.note(format_args!("binary {}", bytes.into_vec().escape_ascii()));
                        }
                    }
                }
                Next::Answer(id, response) => self.peer.take_answer(id, &response, &mut self.trial),
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true), "upgraded twice"),
                Next::CloseStream => self.peer.lose_stream(),
                Next::Closed(reason) => {
                    assert!(!mem::replace(&mut self.closed, true), "closed twice");
                    self.trial.note(format_args!("closed {reason}"));
                }
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
                    assert!(self.peer.has_stream() || !(io.wants_read() || io.wants_shutdown()), "there is no stream");
                    self.trial.check(io.deadline());
                    assert!(self.session.queued() <= self.limit, "{} wait", self.session.queued());
                    return;
                }
            }
        }
    }
}
