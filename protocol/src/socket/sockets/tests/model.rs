//! Random operations against a naive model.

use super::*;

const NAMESPACES: [&str; 3] = ["/", "/a", "/b"];

#[derive(Clone, Debug)]
enum Op {
    Text(&'static str, usize, u8),
    Garbage(String),
    Binary,
    Accept,
    Reject,
    Emit(usize),
    Await(usize, u8, u16),
    Disconnect(usize),
    DisconnectAll,
    Wait(u32),
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let kinds = [("0", 6), ("1", 2), ("2", 6), ("2ack", 2), ("3", 6), ("4", 1), ("51-", 2), ("61-", 2), ("50-", 1)];
    let kind = proptest::sample::select(
        kinds.iter().flat_map(|(kind, weight)| core::iter::repeat_n(*kind, *weight)).collect::<Vec<_>>(),
    );
    prop_oneof![
        24 => (kind, 0..3_usize, 0..4_u8).prop_map(|(kind, ns, id)| Op::Text(kind, ns, id)),
        1 => "[0-6]{0,2}[-/,a{\\[\"0-9é ]{0,12}".prop_map(Op::Garbage),
        2 => Just(Op::Binary),
        12 => Just(Op::Accept),
        2 => Just(Op::Reject),
        6 => any::<usize>().prop_map(Op::Emit),
        8 => (any::<usize>(), 0..4_u8, 1..200_u16).prop_map(|(s, id, ms)| Op::Await(s, id, ms)),
        3 => any::<usize>().prop_map(Op::Disconnect),
        1 => Just(Op::DisconnectAll),
        5 => (0..100_u32).prop_map(Op::Wait),
        1 => Just(Op::Close),
    ]
}

/// The machine, and what should be true of it.
struct World {
    sockets: Sockets,
    now: Instant,
    requests: VecDeque<(ConnectRequest, Option<&'static str>)>,
    /// All that ever joined, in this order.
    all: Vec<SocketKey>,
    joined: Vec<(SocketKey, Option<&'static str>)>,
    /// How many were told to be gone.
    told: usize,
    /// By the number of the socket and the id.
    acks: BTreeMap<(usize, u64), Instant>,
    closed: bool,
}

impl World {
    fn new() -> Self {
        let config = Config { connect_timeout: Duration::from_millis(500), ..Config::default() };
        Self {
            sockets: Sockets::new(Arc::new(config), Instant::EPOCH),
            now: Instant::EPOCH,
            requests: VecDeque::new(),
            all: Vec::new(),
            joined: Vec::new(),
            told: 0,
            acks: BTreeMap::new(),
            closed: false,
        }
    }

    fn is_joined(&self, key: SocketKey) -> bool {
        self.joined.iter().any(|(known, _)| *known == key)
    }

    fn has_joined(&self, namespace: Option<&str>) -> bool {
        namespace.is_some() && self.joined.iter().any(|(_, name)| *name == namespace)
    }

    fn number(&self, key: SocketKey) -> usize {
        self.all.iter().position(|known| *known == key).unwrap()
    }

    fn pick(&self, number: usize) -> Option<(usize, SocketKey)> {
        let number = number.checked_rem(self.all.len())?;
        Some((number, self.all[number]))
    }

    fn leave(&mut self, key: SocketKey) {
        let number = self.number(key);
        self.joined.retain(|(known, _)| *known != key);
        self.acks.retain(|(socket, _), _| *socket != number);
    }

    fn close(&mut self) {
        self.joined.clear();
        self.acks.clear();
        self.closed = true;
    }

    fn run(mut self, ops: Vec<(Op, bool)>) -> Result<(), TestCaseError> {
        for (op, wild) in ops {
            if !wild && !self.is_honest(&op) {
                continue;
            }
            let text = match &op {
                Op::Text(kind, namespace, id) => packet(kind, NAMESPACES[*namespace], *id),
                Op::Garbage(text) => text.clone(),
                _ => String::new(),
            };
            let message = match &op {
                Op::Text(..) | Op::Garbage(_) => Some(Message::Text(&text)),
                Op::Binary => Some(Message::Binary(Binary::from(&b"x"[..]))),
                _ => None,
            };
            self.apply(op)?;
            self.pump(message)?;
        }
        self.sockets.handle_close(CloseReason::PingTimeout);
        self.close();
        self.pump(None)?;
        let Sockets { slots, partial, leaving, .. } = &self.sockets;
        prop_assert!(self.sockets.is_empty() && slots.is_empty() && partial.is_none() && leaving.is_none());
        prop_assert_eq!(self.told, self.all.len(), "every socket is told to be gone, once");
        Ok(())
    }

    /// Whether the operation lets the connection live, so that most sequences get somewhere.
    fn is_honest(&self, op: &Op) -> bool {
        let complete = self.sockets.partial.is_none();
        match op {
            Op::Text("0", namespace, _) => complete && self.sockets.find(NAMESPACES[*namespace]).is_none(),
            Op::Text("4", ..) | Op::Garbage(_) | Op::Close | Op::DisconnectAll => false,
            Op::Text(_, namespace, _) => complete && self.has_joined(Some(NAMESPACES[*namespace])),
            Op::Binary => !complete,
            _ => true,
        }
    }

    /// What the application does.
    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Accept => {
                if let Some((request, namespace)) = self.requests.pop_front()
                    && let Some(key) = self.sockets.accept(request, &SocketId::from("id"))
                {
                    prop_assert!(!self.closed && !self.has_joined(namespace), "joined twice");
                    prop_assert!(namespace.is_none() || self.sockets.namespace(key) == namespace);
                    self.all.push(key);
                    self.joined.push((key, namespace));
                }
            }
            Op::Reject => {
                if let Some((request, _)) = self.requests.pop_front() {
                    self.sockets.reject(request, &ConnectError::new("no"));
                }
            }
            Op::Emit(s) => {
                if let Some((_, key)) = self.pick(s) {
                    let packet = encode_event("/", "e", &(), None).unwrap();
                    prop_assert_eq!(self.sockets.emit(key, packet), self.is_joined(key));
                }
            }
            Op::Await(s, id, ms) => {
                if let Some((number, key)) = self.pick(s) {
                    let deadline = self.now + Duration::from_millis(ms.into());
                    prop_assert_eq!(self.sockets.expect_ack(key, id.into(), deadline), Ok(()));
                    if self.is_joined(key) {
                        self.acks.insert((number, id.into()), deadline);
                    }
                }
            }
            Op::Disconnect(s) => {
                if let Some((_, key)) = self.pick(s) {
                    self.sockets.disconnect(key);
                    self.leave(key);
                }
            }
            Op::DisconnectAll => {
                self.sockets.disconnect_all();
                self.close();
            }
            Op::Close => {
                self.sockets.handle_close(CloseReason::TransportClose);
                self.close();
            }
            Op::Wait(ms) => self.now += Duration::from_millis(ms.into()),
            Op::Text(..) | Op::Garbage(_) | Op::Binary => {}
        }
        Ok(())
    }

    fn pump(&mut self, mut message: Option<Message<'_>>) -> Result<(), TestCaseError> {
        let was_closed = self.closed;
        let mut arrived = message.is_some() && !was_closed;
        loop {
            let mut gone = None;
            match self.sockets.next(self.now, &mut message) {
                Next::Event(Event::Connect { request, namespace, .. }) => {
                    prop_assert!(arrived);
                    let known = NAMESPACES.iter().find(|name| **name == namespace).copied();
                    self.requests.push_back((request, known));
                }
                Next::Event(Event::Message { socket, .. }) => {
                    prop_assert!(arrived);
                    prop_assert!(
                        self.joined.iter().any(|(key, _)| *key == socket),
                        "an event for a socket that is gone"
                    );
                }
                Next::Event(Event::Ack { socket, id, .. }) => {
                    prop_assert!(arrived);
                    let number = self.all.iter().position(|key| *key == socket).unwrap();
                    let deadline = self.acks.remove(&(number, id));
                    prop_assert!(deadline.is_some_and(|deadline| deadline > self.now), "an ack that nobody awaits");
                }
                Next::Event(Event::AckTimeout { socket, id }) => {
                    let number = self.all.iter().position(|key| *key == socket).unwrap();
                    let deadline = self.acks.remove(&(number, id));
                    prop_assert!(deadline.is_some_and(|deadline| deadline <= self.now), "a timeout that is not due");
                }
                Next::Event(Event::Disconnect { socket, .. }) => gone = Some(socket),
                Next::Transmit(_) => {}
                Next::Close(_) => {
                    self.closed = true;
                }
                Next::Wait(deadline) => {
                    prop_assert!(deadline.is_none_or(|deadline| deadline > self.now));
                    let earlier = |due: &Instant| deadline.is_some_and(|deadline| deadline <= *due);
                    prop_assert!(self.acks.values().all(earlier), "an ack without a deadline");
                    break;
                }
            }
            if let Some(key) = gone {
                prop_assert_eq!(self.sockets.namespace(key), None);
                self.leave(key);
                self.told += 1;
            }
            // A message leads to one event at most, and the first.
            arrived = false;
        }
        prop_assert!(!self.closed || self.joined.is_empty());
        Ok(())
    }
}

/// A packet of the kind that `kind` starts with.
fn packet(kind: &str, namespace: &str, id: u8) -> String {
    let id = if matches!(kind, "3" | "61-" | "2ack") { id.to_string() } else { String::new() };
    let list = if matches!(kind, "0" | "1") { "" } else { r#"["e"]"# };
    format!("{}{namespace},{id}{list}", kind.trim_end_matches("ack"))
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(ops in proptest::collection::vec((op(), proptest::bool::weighted(0.02)), 1..200)) {
        World::new().run(ops)?;
    }
}
