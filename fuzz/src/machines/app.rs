//! An application that does whatever it likes to the sockets of a server, and the books of what they owe it.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use serde_json::value::RawValue;
use socketio_protocol::engine::{CloseReason, Packet};
use socketio_protocol::server::Connection;
use socketio_protocol::socket::{
    Binary, ConnectError, ConnectRequest, DecodeError, Event, Payload, SocketKey, Sockets, TooManyAcks, encode_event,
};
use socketio_protocol::{Instant, SocketId};

use super::{Ops, Trial};

/// What an application can do to a machine.
pub(crate) trait Namespaces {
    fn accept(&mut self, request: ConnectRequest, id: &SocketId) -> Option<SocketKey>;
    fn reject(&mut self, request: ConnectRequest, error: &ConnectError);
    fn emit(&mut self, socket: SocketKey, packet: Packet) -> bool;
    fn expect_ack(&mut self, socket: SocketKey, id: u64, deadline: Instant) -> Result<(), TooManyAcks>;
    fn namespace(&self, socket: SocketKey) -> Option<&str>;
    fn disconnect(&mut self, socket: SocketKey);
    fn disconnect_all(&mut self);
}

macro_rules! namespaces {
    ($($machine:ty)*) => {$(
        impl Namespaces for $machine {
            fn accept(&mut self, request: ConnectRequest, id: &SocketId) -> Option<SocketKey> {
                <$machine>::accept(self, request, id)
            }

            fn reject(&mut self, request: ConnectRequest, error: &ConnectError) {
                <$machine>::reject(self, request, error);
            }

            fn emit(&mut self, socket: SocketKey, packet: Packet) -> bool {
                <$machine>::emit(self, socket, packet)
            }

            fn expect_ack(&mut self, socket: SocketKey, id: u64, deadline: Instant) -> Result<(), TooManyAcks> {
                <$machine>::expect_ack(self, socket, id, deadline)
            }

            fn namespace(&self, socket: SocketKey) -> Option<&str> {
                <$machine>::namespace(self, socket)
            }

            fn disconnect(&mut self, socket: SocketKey) {
                <$machine>::disconnect(self, socket);
            }

            fn disconnect_all(&mut self) {
                <$machine>::disconnect_all(self);
            }
        }
    )*};
}

namespaces! { Connection Sockets }

pub(crate) const MAX_ACKS: usize = 4;
pub(crate) const MAX_NAMESPACES: usize = 2;

#[derive(Default)]
pub(crate) struct App {
    /// Without a verdict; and for which namespace.
    requests: Vec<(ConnectRequest, String)>,
    /// All that ever joined.
    sockets: Vec<Socket>,
    /// Payloads are handed on, not dropped.
    reads: bool,
    /// A payload was no JSON, for which the connection is to be closed.
    malformed: bool,
    numbers: u64,
}

struct Socket {
    key: SocketKey,
    namespace: String,
    state: State,
    awaited: BTreeMap<u64, Instant>,
}

#[derive(PartialEq)]
enum State {
    Joined,
    /// Disconnected by the application.
    Left,
    Gone,
}

impl App {
    /// How many operations there are.
    pub(crate) const OPS: usize = 8;

    /// Gives what the machine has to send of what the application has sent.
    pub(crate) fn act(
        &mut self,
        op: usize,
        ops: &mut Ops<'_>,
        machine: &mut impl Namespaces,
        now: Instant,
    ) -> Option<Packet> {
        match op {
            0 | 1 => self.accept(ops, machine),
            2 => {
                if let Some((request, _)) = self.take_request(ops) {
                    machine.reject(request, &ConnectError::new("no").with_data(1));
                }
            }
            3 | 4 => return self.emit(ops, machine),
            5 => self.expect_ack(ops, machine, now),
            6 => {
                if let Some(socket) = self.any(ops) {
                    machine.disconnect(socket.key);
                    socket.leave();
                }
            }
            _ if ops.below(8) == 0 => {
                machine.disconnect_all();
                self.leave();
            }
            _ => self.reads = !self.reads,
        }
        None
    }

    /// The application leaves the connection.
    pub(crate) fn leave(&mut self) {
        self.sockets.iter_mut().for_each(Socket::leave);
    }

    fn take_request(&mut self, ops: &mut Ops<'_>) -> Option<(ConnectRequest, String)> {
        let index = ops.below(3).min(self.requests.len().checked_sub(1)?);
        Some(self.requests.remove(index))
    }

    fn accept(&mut self, ops: &mut Ops<'_>, machine: &mut impl Namespaces) {
        let Some((request, namespace)) = self.take_request(ops) else { return };
        let Some(key) = machine.accept(request, &SocketId::from("id")) else { return };
        assert!(!self.malformed, "let in without credentials");
        assert_eq!(machine.namespace(key), Some(&*namespace));
        for socket in &self.sockets {
            assert!(socket.key != key, "a key is used again");
            assert!(socket.state != State::Joined || socket.namespace != namespace, "joined twice");
        }
        self.sockets.push(Socket { key, namespace, state: State::Joined, awaited: BTreeMap::new() });
        assert!(self.joined() <= MAX_NAMESPACES);
    }

    fn emit(&mut self, ops: &mut Ops<'_>, machine: &mut impl Namespaces) -> Option<Packet> {
        self.numbers += 1;
        let (number, id) = (self.numbers, *ops.pick(&[None, Some(1)]));
        let socket = self.any(ops)?;
        let packet = match ops.below(4) {
            0 => encode_event(&socket.namespace, "b", &(number, Binary::from(vec![1; 5])), id),
            _ => encode_event(&socket.namespace, "e", &(number,), id),
        };
        let packet = packet.expect("an event");
        let sent = machine.emit(socket.key, packet.clone());
        assert_eq!(sent, socket.state == State::Joined);
        assert_eq!(machine.namespace(socket.key).is_some(), sent);
        sent.then_some(packet)
    }

    fn expect_ack(&mut self, ops: &mut Ops<'_>, machine: &mut impl Namespaces, now: Instant) {
        let (id, millis) = (ops.below(6) as u64, *ops.pick(&[1, 100, 3000, 60_000, 0]));
        let deadline = now + Duration::from_millis(millis);
        let Some(socket) = self.any(ops) else { return };
        let (joined, count) = (socket.state == State::Joined, socket.awaited.len());
        let too_many = joined && count == MAX_ACKS && !socket.awaited.contains_key(&id);
        let expected = machine.expect_ack(socket.key, id, deadline);
        assert_eq!(expected, if too_many { Err(TooManyAcks) } else { Ok(()) });
        if joined && !too_many {
            socket.awaited.insert(id, deadline);
        }
    }

    /// A socket, or one that is gone.
    fn any(&mut self, ops: &mut Ops<'_>) -> Option<&mut Socket> {
        let back = ops.below(4).min(self.sockets.len().checked_sub(1)?);
        self.sockets.iter_mut().nth_back(back)
    }

    /// The machine has told this.
    pub(crate) fn take(&mut self, event: Event<'_>, trial: &mut Trial) {
        let now = trial.latest();
        match event {
            Event::Connect { request, namespace, auth } => {
                trial.note(format_args!("connect {namespace} {}", auth.json()));
                assert!(self.requests.iter().all(|(_, other)| other != namespace), "asks twice");
                self.requests.push((request, namespace.into()));
                self.read(auth);
            }
            Event::Message { socket, payload, ack } => {
                trial.note(format_args!("{socket:?} {ack:?} {} {}", payload.event(), payload.json()));
                assert!(self.socket(socket).state == State::Joined, "an event for nobody");
                self.read(payload);
            }
            Event::Ack { socket, id, payload } => {
                trial.note(format_args!("{socket:?} answer {id} {}", payload.json()));
                let deadline = self.socket(socket).awaited.remove(&id);
                assert!(deadline.is_some_and(|deadline| deadline > now), "nobody waits for it");
                self.read(payload);
            }
            Event::AckTimeout { socket, id } => {
                trial.note(format_args!("{socket:?} timeout {id}"));
                let deadline = self.socket(socket).awaited.remove(&id);
                assert!(deadline.is_some_and(|deadline| deadline <= now), "it is not late");
            }
            Event::Disconnect { socket, reason } => {
                trial.note(format_args!("{socket:?} disconnect {reason}"));
                let socket = self.socket(socket);
                assert!(socket.state != State::Gone, "told twice");
                socket.leave();
                socket.state = State::Gone;
            }
            _ => panic!("what is this?"),
        }
    }

    fn socket(&mut self, key: SocketKey) -> &mut Socket {
        self.sockets.iter_mut().find(|socket| socket.key == key).expect("nobody of this key has joined")
    }

    fn read(&mut self, payload: Payload<'_>) {
        assert!(!self.malformed, "the connection was to be closed");
        // Whether placeholders are right, too, is seen by who reads.
        let is_json = payload.json().is_empty() || serde_json::from_str::<&RawValue>(payload.json()).is_ok();
        self.malformed = !is_json;
        if self.reads {
            self.malformed = matches!(payload.into_raw(), Err(DecodeError::Malformed));
            assert!(is_json || self.malformed, "read what is no JSON");
        }
    }

    /// The connection is closed for this reason.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        assert!(!mem::take(&mut self.malformed) || reason == CloseReason::ParseError, "{reason}");
    }

    /// What is true whenever the machine waits.
    pub(crate) fn check(&self, machine: &impl Namespaces) {
        assert!(!self.malformed, "it should be closed");
        for socket in &self.sockets {
            let namespace = (socket.state == State::Joined).then_some(&*socket.namespace);
            assert_eq!(machine.namespace(socket.key), namespace);
            assert!(socket.state != State::Left, "nobody is told that it is gone");
        }
    }

    pub(crate) fn joined(&self) -> usize {
        self.sockets.iter().filter(|socket| socket.state == State::Joined).count()
    }
}

impl Socket {
    fn leave(&mut self) {
        if self.state == State::Joined {
            self.state = State::Left;
        }
        self.awaited.clear();
    }
}
