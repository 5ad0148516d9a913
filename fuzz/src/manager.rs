//! The sockets of a client between an application, a server and a connection that do whatever they like: events only in an
//! order that makes sense, one answer at most and one end of waiting for it, one CONNECT at a time, events in order and once.

use std::collections::BTreeSet;
use std::sync::Arc;

use socketio_protocol::engine::{Message, Packet};
use socketio_protocol::socket::manager::{Manager, Next, OpenError};
use socketio_protocol::socket::{Header, PacketType};
use socketio_protocol::{Random, Seed};

use crate::machines::client_app::{ClientApp, manager_config};
use crate::machines::peer::REASONS;
use crate::machines::{Ops, Trial, World, drive, renew};

/// Operations of the server, the connection and the application.
pub fn manager(data: &[u8]) {
    drive::<Alone>(data);
}

struct Alone {
    trial: Trial,
    manager: Manager,
    app: ClientApp,
    wire: Wire,
}

/// The connection.
#[derive(Default)]
struct Wire {
    stage: Stage,
    /// Namespaces that were asked and did not answer.
    asked: BTreeSet<String>,
    /// Those that have let the client in.
    joined: BTreeSet<String>,
}

#[derive(Copy, Clone, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Closed,
    Opening,
    Open,
}

/// What arrives.
enum Arrival<'d> {
    Text(String),
    Binary(&'d [u8]),
}

impl World for Alone {
    fn new(ops: &mut Ops<'_>, mut trial: Trial) -> Self {
        let config = Arc::new(manager_config(ops));
        let mut manager = Manager::new(config, Random::new(Seed::new([4; 32])), trial.now());
        let app = ClientApp::new(ops, &mut manager);
        Self { trial, manager, app, wire: Wire::default() }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        let (op, waits) = ops.op(ClientApp::OPS + 11);
        let mut arrival = None;
        match op.checked_sub(ClientApp::OPS) {
            None => self.app.act(op, ops, &mut self.manager, self.trial.now()),
            Some(0 | 1) => self.open(),
            Some(2) => self.lose(ops),
            Some(3) => self.manager.handle_error(OpenError::Transport("something".into())),
            Some(4..=6) => arrival = Some(Arrival::Text(ops.packet())),
            Some(7) => arrival = Some(Arrival::Binary(ops.attachment())),
            Some(8) => arrival = Some(Arrival::Text(ops.text())),
            Some(_) => {
                self.trial.turn_clock(ops);
                return self.run(None);
            }
        }
        if !waits || arrival.is_some() {
            self.run(arrival.as_ref());
        }
    }

    fn finish(&mut self) {
        self.app.close(&mut self.manager);
        self.run(None);
        assert!(self.manager.is_idle() && self.app.is_settled());
        assert_eq!(self.wire.stage, Stage::Closed);
    }

    fn renew(&mut self) {
        renew(&mut self.manager);
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

impl Alone {
    fn open(&mut self) {
        if self.wire.stage == Stage::Opening {
            self.wire = Wire::new(Stage::Open);
            self.manager.handle_opened(self.trial.now());
        }
    }

    /// The connection is over, or could not be opened.
    fn lose(&mut self, ops: &mut Ops<'_>) {
        let now = self.trial.now();
        match self.wire.stage {
            Stage::Closed => return,
            Stage::Opening => self.manager.handle_open_failed(now, OpenError::Transport("refused".into())),
            Stage::Open => self.manager.handle_closed(now, *ops.pick(REASONS)),
        }
        self.wire = Wire::default();
    }

    /// A message waits until everything older is told.
    fn run(&mut self, arrival: Option<&Arrival<'_>>) {
        let mut message = arrival.map(|arrival| match arrival {
            Arrival::Text(text) => Message::Text(text),
            Arrival::Binary(bytes) => Message::Binary((*bytes).into()),
        });
        let mut text = arrival.and_then(|arrival| if let Arrival::Text(text) = arrival { Some(text) } else { None });
        loop {
            match self.manager.next(self.trial.call(), &mut message) {
                Next::Event(event) => self.app.take(event, &mut self.trial),
                Next::Open { .. } => {
                    assert!(self.wire.stage == Stage::Closed && self.app.is_active(), "for nobody, or a second one");
                    self.wire = Wire::new(Stage::Opening);
                }
                Next::Transmit(packet) => {
                    self.trial.note(format_args!("transmit {packet:?}"));
                    // It may be what the message has led to.
                    text.take_if(|_| message.is_none()).into_iter().for_each(|text| self.wire.receive(text));
                    self.wire.transmit(&packet, &mut self.app);
                }
                Next::Close(reason) => {
                    self.trial.note(format_args!("close {reason}"));
                    self.wire = Wire::default();
                }
                Next::Wait(deadline) => break self.trial.check(deadline),
            }
        }
        text.into_iter().for_each(|text| self.wire.receive(text));
        assert!(message.is_none() && !self.manager.has_news(), "it waits with something to say");
        assert_eq!(self.manager.is_open(), self.wire.stage == Stage::Open);
        assert!(self.app.is_active() || self.wire.stage == Stage::Closed, "nobody needs the connection");
        self.app.check(&self.manager, &self.trial);
    }
}

impl Wire {
    fn new(stage: Stage) -> Self {
        Self { stage, ..Self::default() }
    }

    fn transmit(&mut self, packet: &Packet, app: &mut ClientApp) {
        assert_eq!(self.stage, Stage::Open);
        let frame = packet.frames().next().expect("a frame");
        let text = std::str::from_utf8(frame.payload()).expect("text");
        let (kind, namespace) = app.transmit(text.strip_prefix('4').expect("a message"));
        match kind {
            PacketType::Connect => assert!(!self.joined.contains(&namespace) && self.asked.insert(namespace)),
            PacketType::Disconnect => assert!(self.joined.remove(&namespace), "leaves where it is not"),
            _ => assert!(self.joined.contains(&namespace), "says something where it is not"),
        }
    }

    /// The machine has taken this message of the server, who keeps its own rules or does not.
    fn receive(&mut self, text: &str) {
        let Ok(Header { kind, namespace, payload, .. }) = Header::parse(text, 2) else { return };
        let reply: serde_json::Value = serde_json::from_str(payload).unwrap_or_default();
        match kind {
            // Without an id it is an answer of version 2, which counts as none.
            PacketType::Connect if reply["sid"].as_str().is_none_or(str::is_empty) => {}
            PacketType::Connect if self.asked.remove(namespace) => _ = self.joined.insert(namespace.into()),
            PacketType::ConnectError => _ = self.asked.remove(namespace),
            PacketType::Disconnect => _ = self.joined.remove(namespace),
            _ => {}
        }
    }
}
