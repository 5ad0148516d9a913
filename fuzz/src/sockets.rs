//! The sockets of a connection between a client and an application that do whatever they like: events only of sockets that
//! are there, each end told once, an answer only where one is awaited and in time, and packets in the order of sending.

use std::collections::VecDeque;
use std::sync::Arc;

use socketio_protocol::engine::{CloseReason, Message, Packet};
use socketio_protocol::socket::{Event, Next, Sockets};

use crate::machines::app::App;
use crate::machines::peer::REASONS;
use crate::machines::{Ops, Trial, World, drive, renew, sockets_config};

/// Operations of the client and the application.
pub fn sockets(data: &[u8]) {
    drive::<Alone>(data);
}

struct Alone {
    trial: Trial,
    sockets: Sockets,
    app: App,
    /// Sent by the application and not told to be transmitted.
    sent: VecDeque<Packet>,
    /// Why the connection was closed.
    closed: Option<CloseReason>,
}

/// What arrives.
enum Arrival<'d> {
    Text(String),
    Binary(&'d [u8]),
}

impl World for Alone {
    fn new(_: &mut Ops<'_>, mut trial: Trial) -> Self {
        let sockets = Sockets::new(Arc::new(sockets_config()), trial.now());
        Self { trial, sockets, app: App::default(), sent: VecDeque::new(), closed: None }
    }

    fn step(&mut self, ops: &mut Ops<'_>) {
        let (op, waits) = ops.op(App::OPS + 7);
        let arrival = match op.checked_sub(App::OPS) {
            Some(0..=2) => Some(Arrival::Text(ops.packet())),
            Some(3) => Some(Arrival::Binary(ops.attachment())),
            Some(4) => Some(Arrival::Text(ops.text())),
            _ => None,
        };
        match op.checked_sub(App::OPS) {
            None => {
                let now = self.trial.now();
                self.sent.extend(self.app.act(op, ops, &mut self.sockets, now));
                if waits {
                    return;
                }
            }
            Some(5) => self.trial.turn_clock(ops),
            Some(6) if ops.below(8) == 0 => self.lose(*ops.pick(REASONS)),
            Some(6) => self.sockets.rest(),
            Some(_) => {}
        }
        self.run(arrival.as_ref());
    }

    fn finish(&mut self) {
        self.lose(CloseReason::PingTimeout);
        self.run(None);
        assert!(self.sockets.is_empty());
    }

    fn renew(&mut self) {
        renew(&mut self.sockets);
    }

    fn trial(&mut self) -> &mut Trial {
        &mut self.trial
    }
}

impl Alone {
    /// The connection is over.
    fn lose(&mut self, reason: CloseReason) {
        self.sockets.handle_close(reason);
        self.sent.clear();
        self.app.leave();
        self.app.close(reason);
        self.closed.get_or_insert(reason);
    }

    /// A message comes at once, or when everything older is told.
    fn run(&mut self, arrival: Option<&Arrival<'_>>) {
        let mut message = arrival.map(|arrival| match arrival {
            Arrival::Text(text) => Message::Text(text),
            Arrival::Binary(bytes) => Message::Binary((*bytes).into()),
        });
        loop {
            let arrives = message.is_some();
            match self.sockets.next(self.trial.call(), &mut message) {
                Next::Event(event) => {
                    let is_arrival = matches!(event, Event::Connect { .. } | Event::Message { .. } | Event::Ack { .. });
                    assert!(!is_arrival || (arrives && self.closed.is_none()), "an event out of nothing");
                    self.app.take(event, &mut self.trial);
                }
                Next::Transmit(packet) => {
                    self.trial.note(format_args!("transmit {packet:?}"));
                    take_packet(&packet, &mut self.sent);
                }
                Next::Close(reason) => {
                    assert_eq!(self.closed.replace(reason), None, "closed twice");
                    self.app.close(reason);
                    self.app.leave();
                    self.trial.note(format_args!("close {reason}"));
                }
                Next::Wait(deadline) => break self.trial.check(deadline),
            }
        }
        assert!(self.sent.is_empty() && !self.sockets.has_news(), "it waits with something to say");
        self.app.check(&self.sockets);
    }
}

/// Packets come in the order of sending; between them the machine says something by itself.
fn take_packet(packet: &Packet, sent: &mut VecDeque<Packet>) {
    if sent.front() == Some(packet) {
        sent.pop_front();
        return;
    }
    let frame = packet.as_frame().expect("replies have no attachments");
    assert!(matches!(frame.payload(), [b'4', b'0' | b'1' | b'4', ..]), "nobody sent {packet:?}");
}
