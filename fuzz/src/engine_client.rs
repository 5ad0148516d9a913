//! A client of Engine.IO between an application, a server and a network that do whatever they like: it opens or fails, what
//! is sent leaves once and in order, its end is told once, and it gives back everything that it asked for.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use socketio_protocol::engine::client::{Client, Config, Next};
use socketio_protocol::engine::{Message, Packet, SendError};
use socketio_protocol::socket::{Binary, encode_event};
use socketio_protocol::websocket::Frame;
use socketio_protocol::{Input, Random, Seed};

use crate::machines::network::{Delivered, Network, client_config, deliveries};
use crate::machines::peer::REASONS;
use crate::machines::{Arriving, Ops, Trial, World, drive, renew, transfer};

/// Operations of the server, the network and the application.
pub fn engine_client(data: &[u8]) {
    drive::<Single>(data);
}

struct Single {
    trial: Trial,
    client: Client,
    config: Arc<Config>,
    network: Network,
    /// Sent by the application and not delivered.
    sent: VecDeque<Delivered>,
    stage: Stage,
    upgraded: bool,
    finished: bool,
}

#[derive(Debug, PartialEq)]
enum Stage {
    Opening,
    Open,
    /// Failed or closed.
    Over,
}

impl World for Single {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let config = Arc::new(client_config(ops));
        let client = Client::new(Arc::clone(&config), Random::new(Seed::new([3; 32])), trial.now());
        let (network, sent) = (Network::new(), VecDeque::new());
        Self { trial, client, config, network, sent, stage: Stage::Opening, upgraded: false, finished: false }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        let (op, mut waits) = ops.op(Network::OPS + 6);
        let now = self.trial.now();
        match op.checked_sub(Network::OPS) {
            None => self.network.act(op, ops, &mut self.client, now),
            Some(0 | 1) => self.send(ops),
            Some(2) => self.send_run(ops),
            Some(3) if ops.below(4) == 0 => self.client.abort(now, *ops.pick(REASONS)),
            Some(3) => self.client.close(now),
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
        let now = self.trial.now();
        self.client.close(now);
        self.run();
        self.trial.wait(self.config.close_timeout);
        self.run();
        assert!(self.finished);
        assert_eq!(self.client.queued(), 0);
        let shown = format!("{:?} {:?}", self.client, self.client.handshake());
        assert!(!shown.contains("a/b"), "shows the secret id: {shown}");
    }

    fn renew(&mut self) {
        renew(&mut self.client);
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
        let sent = self.client.send(self.trial.now(), packet.clone());
        assert!(!(self.stage == Stage::Over && sent != Err(SendError::Closed)), "sent after the end");
        if sent.is_ok() {
            self.sent.extend(deliveries(&packet));
        }
    }

    /// Several packets as one.
    fn send_run(&mut self, ops: &mut Ops<'_>) {
        let packets = [Packet::text(&ops.text()), Packet::binary(ops.bytes(4)), Packet::text("end")];
        let frames: Vec<_> = packets.iter().flat_map(Packet::frames).map(Frame::as_bytes).collect();
        if self.client.send_frames(self.trial.now(), Bytes::from(frames.concat())).is_ok() {
            self.sent.extend(packets.iter().flat_map(deliveries));
        }
    }

    fn run(&mut self) {
        let mut arriving = self.network.arriving(&mut self.trial);
        loop {
            self.drain(&mut arriving);
            if arriving.is_over() {
                break;
            }
        }
        for delivered in self.network.delivered.drain(..) {
            assert_eq!(Some(delivered), self.sent.pop_front(), "not what was sent next");
        }
    }

    /// Lends the next piece and takes all that comes of it. What waits is written when nothing is left to be read.
    fn drain(&mut self, arriving: &mut Arriving) {
        let mut piece = arriving.next();
        let mut input = Input::new(&mut piece);
        let mut room = self.network.room;
        loop {
            match self.client.next(self.trial.call(), &mut input) {
                Next::Opened => {
                    assert_eq!(mem::replace(&mut self.stage, Stage::Open), Stage::Opening);
                    self.trial.note(format_args!("opened"));
                }
                Next::Message(message) => {
                    assert_eq!(self.stage, Stage::Open);
                    match message {
                        Message::Text(text) => self.trial.note(format_args!("text {text}")),
                        Message::Binary(bytes) => {
                            self.trial.note(format_args!("binary {}", bytes.into_bytes().escape_ascii()));
                        }
                    }
                }
                Next::Request(request) => {
                    let opened = self.client.handshake();
                    assert_eq!(request.target.contains("&sid=a%2Fb"), opened.is_some());
                    let packets = request.body.iter().filter(|byte| **byte == 0x1e).count();
                    let limit = opened.map_or(0, |handshake| handshake.max_payload());
                    assert!(packets == 0 || request.body.len() <= limit, "more than the server takes");
                    self.trial.note(format_args!("{:?} {:?}", request.id, request.body));
                    self.network.take_request(&request);
                }
                Next::CancelRequest(id) => self.network.cancel(id),
                Next::OpenStream(target) => self.network.ask_stream(&target),
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true), "upgraded twice"),
                Next::CloseStream => self.network.close_stream(),
                Next::Ping => assert_eq!(self.stage, Stage::Open),
                Next::Failed(error) => {
                    assert_eq!(mem::replace(&mut self.stage, Stage::Over), Stage::Opening);
                    self.trial.note(format_args!("failed {error}"));
                }
                Next::Closed(reason, cause) => {
                    assert_ne!(mem::replace(&mut self.stage, Stage::Over), Stage::Over, "closed twice");
                    self.trial.note(format_args!("closed {reason} {cause:?}"));
                }
                Next::Finished => {
                    assert!(self.stage == Stage::Over && self.network.is_settled(), "something is left");
                    self.finished = true;
                    return;
                }
                Next::Io(mut io) => {
                    assert!(!self.finished, "alive again");
                    assert!(input.is_empty(), "not everything was taken");
                    if let Some(bytes) = transfer!(io, arriving, room) {
                        self.network.read(&bytes);
                        continue;
                    }
                    assert!(self.network.has_stream() || !io.wants_read(), "there is no stream");
                    self.trial.check(io.deadline());
                    return;
                }
            }
        }
    }
}
