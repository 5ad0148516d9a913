use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use super::receive::cost;
use super::*;
use crate::Seed;
use crate::socket::manager::backoff::delay;
use crate::socket::manager::{Event, OpenError};
use crate::socket::{ConnectError, Encoder, Header, PacketType, encode_ack};
use crate::websocket::Binary;

mod connection;
mod events;
mod faults;
mod model;

/// A manager, the application and the connection that drive it, and a log of what it says.
struct World {
    manager: Manager,
    now: Instant,
    sockets: Vec<(SocketKey, String)>,
    auth: VecDeque<AuthRequest>,
    acks: VecDeque<AckRequest>,
    log: Vec<String>,
}

/// Without chance.
fn config() -> Config {
    Config { randomization_factor: 0.0, ..Config::default() }
}

impl World {
    fn new(config: Config) -> Self {
        let manager = Manager::new(Arc::new(config), Random::new(Seed::new([9; 32])), Instant::EPOCH);
        let (auth, acks) = (VecDeque::new(), VecDeque::new());
        Self { manager, now: Instant::EPOCH, sockets: Vec::new(), auth, acks, log: Vec::new() }
    }

    /// With `/` connected, and an empty log.
    fn connected(config: Config) -> Self {
        let mut world = Self::new(config);
        world.run(&["connect /", "opened", r#"0{"sid":"s0"}"#]);
        world.log.clear();
        world
    }

    /// Takes one thing that happens, and writes down what follows until the manager waits.
    fn step(&mut self, input: &str) {
        let words: Vec<&str> = input.split(' ').collect();
        let words = &words[..];
        match words {
            ["connect", namespace] => {
                let key = self.key(namespace);
                self.manager.connect(self.now, key);
            }
            ["disconnect", namespace] => {
                let key = self.key(namespace);
                self.manager.disconnect(key);
            }
            ["remove", namespace] => {
                let key = self.key(namespace);
                self.manager.remove(key);
                assert_eq!(self.manager.namespace(key), None);
            }
            ["close"] => self.manager.close(),
            ["auth", token] => {
                let request = self.auth.pop_front().unwrap();
                self.manager.authenticate(self.now, request, &credentials(token));
            }
            ["opened"] => self.manager.handle_opened(self.now),
            ["failed"] => self.manager.handle_open_failed(self.now, OpenError::Transport("websocket error".into())),
            ["broken"] => self.manager.handle_error(OpenError::Transport("websocket error".into())),
            ["gone"] => self.manager.handle_closed(self.now, CloseReason::TransportClose),
            ["silent"] => self.manager.handle_closed(self.now, CloseReason::PingTimeout),
            ["wait", ms] => self.now += Duration::from_millis(ms.parse().unwrap()),
            ["emit", ..] | ["volatile", ..] | ["stuck", ..] | ["retry", ..] => {
                if let Err(error) = self.emit(words) {
                    self.log.push(format!("error {error}"));
                }
            }
            ["answer"] => {
                let request = self.acks.pop_front().unwrap();
                let answer = encode_ack(self.name(request.socket()), request.id(), &"a").unwrap();
                if !self.manager.answer(request, answer) {
                    self.log.push("not answered".into());
                }
            }
            ["binary", bytes] => return self.pump(Some(Message::Binary(Binary::from(bytes.as_bytes())))),
            _ => return self.pump(Some(Message::Text(input))),
        }
        self.pump(None);
    }

    fn emit(&mut self, words: &[&str]) -> Result<(), EmitError> {
        let (how, key, event) = (words[0], self.key(words[1]), words[2]);
        // `emit / event 100` awaits an answer for so long, `emit / event -` for ever.
        let deadline = |ms: &&str| ms.parse().ok().map(|ms| self.now + Duration::from_millis(ms));
        let deadline = words.get(3).map(deadline);
        let id = (deadline.is_some() || how == "retry").then(|| self.manager.ack_id(key));
        let packet = Encoder::default().event(words[1], event, &(), id).unwrap();
        let ack = deadline.map(|deadline| ExpectedAck { id: id.unwrap(), deadline });
        match how {
            "emit" => return self.manager.emit(key, packet, ack),
            "retry" => {
                // `retry / event 100` gives each try so long.
                let timeout = words.get(3).and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
                return self.manager.emit_with_retries(self.now, key, packet, id.unwrap(), timeout);
            }
            _ => {}
        }
        if !self.manager.emit_volatile(key, packet, ack, how == "volatile")? {
            self.log.push("dropped".into());
        }
        Ok(())
    }

    fn run(&mut self, inputs: &[&str]) -> &mut Self {
        inputs.iter().for_each(|input| self.step(input));
        self
    }

    /// What is said to `inputs`.
    fn says(&mut self, inputs: &[&str]) -> Vec<String> {
        self.log.clear();
        self.run(inputs);
        mem::take(&mut self.log)
    }

    fn key(&mut self, namespace: &str) -> SocketKey {
        let key = self.manager.socket(namespace, SocketOptions::default()).unwrap();
        self.know(namespace, key)
    }

    fn know(&mut self, namespace: &str, key: SocketKey) -> SocketKey {
        if !self.sockets.iter().any(|(known, _)| *known == key) {
            self.sockets.push((key, namespace.into()));
        }
        key
    }

    /// Makes the socket of a namespace with options.
    fn socket(&mut self, namespace: &str, options: SocketOptions) -> &mut Self {
        let key = self.manager.socket(namespace, options).unwrap();
        self.know(namespace, key);
        self
    }

    fn name(&self, key: SocketKey) -> &str {
        &self.sockets.iter().find(|(known, _)| *known == key).unwrap().1
    }

    fn deadline(&mut self) -> Option<Duration> {
        match self.manager.next(self.now, &mut None) {
            Next::Wait(deadline) => deadline.map(|deadline| deadline - self.now),
            other => panic!("{other:?}"),
        }
    }

    fn pump(&mut self, mut message: Option<Message<'_>>) {
        loop {
            // The event borrows the machine, so what it says is copied first.
            let (what, key, more) = match self.manager.next(self.now, &mut message) {
                Next::Event(event) => match told(event, &mut self.auth, &mut self.acks) {
                    (what, Some(key), more) => (what, Some(key), more),
                    (what, None, more) => (what, None, more),
                },
                Next::Open { .. } => ("open".into(), None, String::new()),
                Next::Transmit(packet) => (format!("> {}", text(&packet)), None, String::new()),
                Next::Close(reason) => (format!("close {reason}"), None, String::new()),
                Next::Wait(deadline) => {
                    assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline that has passed");
                    assert!(message.is_none(), "a message that was not taken");
                    return;
                }
            };
            let name = key.map_or("", |key| self.name(key));
            let words = [&*what, name, &*more];
            self.log.push(words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" "));
        }
    }
}

/// What an event says, and about whom.
fn told(
    event: Event<'_>,
    auth: &mut VecDeque<AuthRequest>,
    acks: &mut VecDeque<AckRequest>,
) -> (String, Option<SocketKey>, String) {
    match event {
        Event::Authenticate(request) => {
            let socket = request.socket();
            auth.push_back(request);
            ("auth".into(), Some(socket), String::new())
        }
        Event::Connect { socket, recovered } => {
            ("connect".into(), Some(socket), if recovered { "recovered".into() } else { String::new() })
        }
        Event::ConnectError { socket, error } => ("connect_error".into(), Some(socket), error.to_string()),
        Event::Disconnect { socket, reason } => ("disconnect".into(), Some(socket), reason.to_string()),
        Event::Message { socket, payload, ack } => {
            let id = ack.as_ref().map_or(String::new(), |ack| format!("{} ", ack.id()));
            acks.extend(ack);
            ("event".into(), Some(socket), format!("{id}{}", payload.json()))
        }
        Event::Ack { socket, id, payload } => ("ack".into(), Some(socket), format!("{id} {}", payload.json())),
        Event::AckFailed { socket, id, error } => ("failed".into(), Some(socket), format!("{id} {error}")),
        Event::Ping => ("ping".into(), None, String::new()),
        Event::Opened => ("opened".into(), None, String::new()),
        Event::Error(error) => ("error".into(), None, error.to_string()),
        Event::Closed(reason) => ("closed".into(), None, reason.to_string()),
        Event::ReconnectAttempt(n) => ("reconnect_attempt".into(), None, n.to_string()),
        Event::ReconnectError(error) => ("reconnect_error".into(), None, error.to_string()),
        Event::ReconnectFailed => ("reconnect_failed".into(), None, String::new()),
        Event::Reconnect(n) => ("reconnect".into(), None, n.to_string()),
    }
}

/// The text of a packet, without the packet type of Engine.IO.
fn text(packet: &Packet) -> String {
    let frame = packet.frames().next().unwrap();
    core::str::from_utf8(&frame.payload()[1..]).unwrap().into()
}

fn credentials(token: &str) -> Credentials {
    Credentials::new(&serde_json::json!({ "token": token })).unwrap()
}

fn asked() -> SocketOptions {
    SocketOptions { auth: Auth::Asked, ..SocketOptions::default() }
}
