use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::socket::encode_event;
use crate::socket::placeholder::Placeholders;

mod model;
mod rows;

/// Sockets, the application that drives them, and a log of what they say.
struct World {
    sockets: Sockets,
    now: Instant,
    requests: VecDeque<ConnectRequest>,
    keys: Vec<(SocketKey, String)>,
    log: Vec<String>,
}

impl World {
    fn new(config: Config) -> Self {
        let now = Instant::EPOCH;
        let sockets = Sockets::new(Arc::new(config), now);
        Self { sockets, now, requests: VecDeque::new(), keys: Vec::new(), log: Vec::new() }
    }

    /// A client that has joined `/`, with an empty log.
    fn joined(config: Config) -> Self {
        let mut world = Self::new(config);
        world.run(&["0", "accept"]);
        world.log.clear();
        world
    }

    /// Takes one message or event of the application, and writes down what follows until the machine waits.
    fn step(&mut self, input: &str) {
        let words: Vec<&str> = input.split(' ').collect();
        match words[..] {
            ["accept"] => {
                let request = self.requests.pop_front().unwrap();
                let id = SocketId::from(&*format!("s{}", self.keys.len()));
                match self.sockets.accept(request, &id) {
                    Some(key) => self.keys.push((key, self.sockets.namespace(key).unwrap().into())),
                    None => self.log.push("void".into()),
                }
            }
            ["reject"] => {
                let request = self.requests.pop_front().unwrap();
                self.sockets.reject(request, &ConnectError::new("Invalid namespace"));
            }
            ["wait", ms] => self.now += Duration::from_millis(ms.parse().unwrap()),
            ["await", namespace, id, ms] => {
                let deadline = self.now + Duration::from_millis(ms.parse().unwrap());
                let result = self.sockets.expect_ack(self.key(namespace), id.parse().unwrap(), deadline);
                if result.is_err() {
                    self.log.push("too many acks".into());
                }
            }
            ["emit", namespace, event] => {
                let packet = encode_event(namespace, event, &(), None).unwrap();
                if !self.sockets.emit(self.key(namespace), packet) {
                    self.log.push("not sent".into());
                }
            }
            ["disconnect", namespace] => self.sockets.disconnect(self.key(namespace)),
            ["disconnect_all"] => self.sockets.disconnect_all(),
            ["gone"] => self.sockets.handle_close(CloseReason::TransportClose),
            ["binary", bytes] => return self.pump(Some(Message::Binary(Binary::from(bytes.as_bytes())))),
            _ => return self.pump(Some(Message::Text(input))),
        }
        self.pump(None);
    }

    fn run(&mut self, inputs: &[&str]) -> &mut Self {
        inputs.iter().for_each(|input| self.step(input));
        self
    }

    /// The latest socket of a namespace.
    fn key(&self, namespace: &str) -> SocketKey {
        self.keys.iter().rev().find(|(_, name)| name == namespace).unwrap().0
    }

    fn name(&self, key: SocketKey) -> &str {
        &self.keys.iter().find(|(known, _)| *known == key).unwrap().1
    }

    fn pump(&mut self, mut message: Option<Message<'_>>) {
        loop {
            // The event borrows the machine, so what it says is copied first.
            let (what, key, more) = match self.sockets.next(self.now, &mut message) {
                Next::Event(Event::Connect { request, namespace, auth }) => {
                    self.requests.push_back(request);
                    (format!("connect {namespace} {}", auth.json()), None, String::new())
                }
                Next::Event(Event::Message { socket, payload, ack }) => {
                    let id = ack.map_or(String::new(), |id| format!("{id} "));
                    ("event".into(), Some(socket), format!("{id}{}", payload.json()))
                }
                Next::Event(Event::Ack { socket, id, payload }) => {
                    ("ack".into(), Some(socket), format!("{id} {}", payload.json()))
                }
                Next::Event(Event::AckTimeout { socket, id }) => ("timeout".into(), Some(socket), id.to_string()),
                Next::Event(Event::Disconnect { socket, reason }) => {
                    ("disconnect".into(), Some(socket), reason.to_string())
                }
                Next::Transmit(packet) => (format!("> {}", text(&packet)), None, String::new()),
                Next::Close(reason) => (format!("close {reason}"), None, String::new()),
                Next::Wait(deadline) => {
                    assert!(deadline.is_none_or(|deadline| deadline > self.now), "a deadline that has passed");
                    return;
                }
            };
            if what == "disconnect" {
                assert_eq!(key.and_then(|key| self.sockets.namespace(key)), None);
            }
            let name = key.map_or("", |key| self.name(key));
            self.log.push(format!("{what} {name} {more}").trim_end().into());
        }
    }
}

/// The text of a packet, without the packet type of Engine.IO.
fn text(packet: &Packet) -> String {
    let frame = packet.frames().next().unwrap();
    core::str::from_utf8(&frame.payload()[1..]).unwrap().into()
}

/// What a world with the default limits says to `inputs`.
fn says(inputs: &[&str]) -> Vec<String> {
    let mut world = World::new(Config::default());
    world.run(inputs);
    world.log
}

/// What a connection that has joined `/` says to `inputs`.
fn joined_says(inputs: &[&str]) -> Vec<String> {
    let mut world = World::joined(Config::default());
    world.run(inputs);
    world.log
}

/// The event that `messages` lead to, decoded.
fn decoded<T: for<'a> serde::Deserialize<'a>>(messages: &[&str]) -> T {
    let mut world = World::joined(Config::default());
    let (last, first) = messages.split_last().unwrap();
    world.run(first);
    let bytes = Binary::from(last.strip_prefix("binary ").unwrap().as_bytes());
    match world.sockets.next(world.now, &mut Some(Message::Binary(bytes))) {
        Next::Event(Event::Message { payload, .. }) => payload.decode().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_text_packet_is_not_accepted_between_attachments() {
    let header = r#"52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    for text in [r#"2["b"]"#, "1", "0/other", "31[]", r#"51-["c",{"_placeholder":true,"num":0}]"#] {
        assert_eq!(joined_says(&[header, "binary x", text]), closed_by_parse_error(), "{text}");
    }
}

fn closed_by_parse_error() -> [&'static str; 2] {
    ["close parse error", "disconnect / parse error"]
}

#[test]
fn attachments_are_limited_in_number() {
    let world = |count| joined_says(&[&*format!("5{count}-[\"a\"]")]);
    assert_eq!(world(10), [""; 0]);
    assert_eq!(world(11), closed_by_parse_error());
}

#[test]
fn attachments_are_limited_in_total_bytes_before_they_are_stored() {
    let config = || Config { max_packet: 100, ..Config::default() };
    let header = r#"53-["a"]"#;
    let fits = "x".repeat(100 - header.len() - 50);
    let mut world = World::joined(config());
    world.run(&[header, &format!("binary {}", "x".repeat(50)), &format!("binary {fits}"), "binary "]);
    assert_eq!(world.log, [r#"event / ["a"]"#]);
    let mut world = World::joined(config());
    world.run(&[header, &format!("binary {}", "x".repeat(50)), &format!("binary {fits}x")]);
    assert_eq!(world.log, closed_by_parse_error());
    assert_eq!(world.sockets.partial, None);
    let mut world = World::joined(config());
    world.run(&[&format!("2[\"{}\"]", "x".repeat(96))]);
    assert_eq!(world.log, closed_by_parse_error(), "a text alone is a packet, too");
}

#[test]
fn attachments_are_taken_by_num_and_not_in_order() {
    use crate::socket::Binary;
    let messages =
        [r#"52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#, "binary zero", "binary one"];
    let (one, zero): (Binary, Binary) = decoded(&messages);
    assert_eq!((&one.0[..], &zero.0[..]), (&b"one"[..], &b"zero"[..]));
}

#[test]
fn attachments_that_do_not_come_in_time_close_the_connection() {
    let mut world = World::joined(Config::default());
    world.run(&[r#"52-["a"]"#, "wait 44999", "binary x"]);
    assert_eq!(world.log, [""; 0]);
    let deadline = match world.sockets.next(world.now, &mut None) {
        Next::Wait(deadline) => deadline,
        other => panic!("{other:?}"),
    };
    assert_eq!(deadline, Some(Instant::from_epoch(Duration::from_secs(45))), "each attachment does not buy more time");
    world.run(&["wait 1", "binary y"]);
    assert_eq!(world.log, closed_by_parse_error());
    assert_eq!(world.sockets.partial, None);
}

#[test]
fn binary_headers_are_accepted_on_joined_namespaces_only() {
    assert_eq!(says(&[r#"51-["a"]"#]), ["close forced close"]);
    assert_eq!(says(&["0", r#"51-["a"]"#])[1..], ["close forced close"]);
    assert_eq!(joined_says(&[r#"51-/other,["a"]"#]), ["close forced close", "disconnect / forced close"]);
}

#[test]
fn a_packet_with_attachments_leaves_nothing_to_the_next() {
    let packet = |letter: &str, size| [format!(r#"51-["{}"]"#, letter.repeat(size)), "binary x".into()];
    let mut world = World::joined(Config::default());
    for packet in [packet("a", 1), packet("b", 1), packet("c", Partial::<Subject>::KEEP)] {
        world.run(&packet.each_ref().map(|text| &**text));
    }
    assert_eq!(world.log[..2], [r#"event / ["a"]"#, r#"event / ["b"]"#]);
    assert_eq!(world.log.len(), 3);
    assert_eq!(world.sockets.partial, None, "it was large");
    world.run(&packet("d", 1).each_ref().map(|text| &**text));
    assert_eq!(world.sockets.partial.as_ref().unwrap().placeholders, Placeholders::default());
    world.run(&["binary y"]);
    assert_eq!(world.log[3..], [r#"event / ["d"]"#, "close parse error", "disconnect / parse error"]);
}

#[test]
fn the_place_of_many_attachments_is_given_back() {
    let mut world = World::joined(Config::default());
    world.run(&[r#"510-["a"]"#]).run(&["binary x"; 10]);
    assert_eq!(world.log, [r#"event / ["a"]"#]);
    assert_eq!(world.sockets.partial, None);
}

#[test]
fn attachments_of_an_ack_that_nobody_awaits_are_not_kept() {
    let mut world = World::joined(Config::default());
    world.run(&[r#"61-7[{"_placeholder":true,"num":0}]"#, "binary x"]);
    assert_eq!(world.sockets.partial, None);
    assert_eq!(world.log, [""; 0]);
}

#[test]
fn a_quiet_time_gives_the_place_of_a_packet_back_but_not_the_packet() {
    let mut world = World::joined(Config::default());
    let fresh = world.sockets.clone();
    world.run(&[r#"51-["a"]"#, "binary x"]);
    assert!(world.sockets.partial.is_some());
    world.sockets.rest();
    assert_eq!(world.sockets, fresh);
    world.run(&[r#"51-["b"]"#]);
    world.sockets.rest();
    world.run(&["binary y"]);
    assert_eq!(world.log, [r#"event / ["a"]"#, r#"event / ["b"]"#]);
}

#[test]
fn a_partial_packet_is_freed_on_close() {
    let mut world = World::joined(Config::default());
    world.run(&[r#"52-["a"]"#, "binary x"]);
    assert!(world.sockets.partial.is_some());
    world.run(&["gone"]);
    assert_eq!(world.sockets.partial, None);
    assert_eq!(world.log, ["disconnect / transport close"]);
    world.run(&["binary y"]);
    assert_eq!(world.log.len(), 1);
}

#[test]
fn an_event_pipelined_behind_connect_closes_the_connection_and_voids_the_request() {
    assert_eq!(says(&["0", r#"2["a"]"#, "accept"]), ["connect /", "close forced close", "void"]);
    assert_eq!(says(&["0", r#"2["a"]"#, "reject"]), ["connect /", "close forced close"]);
}

#[test]
fn duplicate_connect_does_not_replace_the_first_socket() {
    assert_eq!(joined_says(&["0"]), ["close forced close", "disconnect / forced close"]);
    assert_eq!(says(&["0", "0", "accept"]), ["connect /", "close forced close", "void"]);
}

#[test]
fn timed_out_acks_leave_nothing_behind() {
    let mut world = World::joined(Config::default());
    world.run(&["await / 1 1000", "await / 2 500", "await / 3 500", "wait 499"]);
    assert_eq!(world.log, [""; 0]);
    world.run(&["wait 1"]);
    assert_eq!(world.log, ["timeout / 2", "timeout / 3"]);
    world.run(&["32[]", "wait 500", "31[]"]);
    assert_eq!(world.log[2..], ["timeout / 1"]);
    assert_eq!(world.sockets.slots[0].acks, Acks::default());
}

#[test]
fn an_ack_that_arrives_with_its_deadline_is_late() {
    let mut world = World::joined(Config::default());
    world.run(&["await / 1 1000"]);
    world.now += Duration::from_millis(1000);
    world.run(&["31[]"]);
    assert_eq!(world.log, ["timeout / 1"]);
}

#[test]
fn an_ack_is_awaited_before_the_event_is_sent() {
    let mut world = World::joined(Config::default());
    world.run(&["await / 7 1000", "37[1]", "37[1]"]);
    assert_eq!(world.log, ["ack / 7 [1]"], "an answer at once finds its ack, and only once");
}

#[test]
fn awaited_acks_are_limited() {
    let mut world = World::joined(Config { max_acks: 2, ..Config::default() });
    world.run(&["await / 1 10", "await / 2 20", "await / 1 30", "await / 3 10", "wait 20"]);
    assert_eq!(world.log, ["too many acks", "timeout / 2"], "an id that is awaited is not counted twice");
    world.run(&["await / 3 10", "wait 10"]);
    assert_eq!(world.log[2..], ["timeout / 1", "timeout / 3"]);
}

#[test]
fn acks_are_dropped_with_their_socket() {
    let mut world = World::joined(Config::default());
    let key = world.key("/");
    world.run(&["await / 1 10", "1", "0", "accept", "31[]", "wait 10"]);
    let expected = ["disconnect / client namespace disconnect", "connect /", r#"> 0{"sid":"s1"}"#];
    assert_eq!(world.log, expected);
    assert_eq!(world.sockets.expect_ack(key, 1, world.now), Ok(()));
    world.run(&["wait 10"]);
    assert_eq!(world.log, expected);
}

#[test]
fn namespaces_are_limited() {
    let mut world = World::joined(Config { max_namespaces: 2, ..Config::default() });
    world.run(&["0/a", "0/b"]);
    assert_eq!(world.log, ["connect /a", r#"> 4/b,{"message":"too many namespaces"}"#]);
    world.run(&["reject", "0/b"]);
    assert_eq!(world.log[2..], [r#"> 4/a,{"message":"Invalid namespace"}"#, "connect /b"]);
}

#[test]
fn a_client_that_takes_its_connect_back_has_gone_when_it_is_accepted() {
    assert_eq!(says(&["0", "1", "accept"]), ["connect /", "void"]);
    assert_eq!(says(&["0", "1", "reject", "0", "accept"]), ["connect /", "connect /", r#"> 0{"sid":"s0"}"#]);
    assert_eq!(says(&["0", "1", "0"]), ["connect /", "close forced close"], "one verdict at a time");
    assert_eq!(says(&["0", "1", "1"]), ["connect /", "close forced close"]);
}

#[test]
fn a_request_is_void_once_the_connection_is_gone() {
    assert_eq!(says(&["0", "gone", "accept"]), ["connect /", "void"]);
    assert_eq!(says(&["0", "gone", "reject"]), ["connect /"]);
}

#[test]
fn what_was_on_its_way_to_a_namespace_that_this_side_left_is_ignored() {
    let mut world = World::joined(Config::default());
    let late = [r#"2["a"]"#, r#"21["a"]"#, "31[]", r#"52-["a"]"#, "binary x", "binary y", r#"2["a"]"#, "1", "1"];
    world.run(&["disconnect /"]).run(&late);
    let expected = ["> 1", "disconnect / server namespace disconnect"];
    assert_eq!(world.log, expected);
    world.run(&["0", r#"2["a"]"#]);
    assert_eq!(world.log[2..], ["connect /", "close forced close"], "until the client asks again");
}

#[test]
fn a_packet_whose_socket_is_disconnected_between_attachments_is_discarded() {
    let mut world = World::joined(Config::default());
    world.run(&[r#"52-["a"]"#, "binary x", "disconnect /"]);
    assert_eq!(world.sockets.partial.as_ref().unwrap().placeholders, Placeholders::default());
    world.run(&["binary y", "0"]);
    assert_eq!(world.log, ["> 1", "disconnect / server namespace disconnect", "connect /"]);
    let mut world = World::joined(Config::default());
    world.run(&["0/a", "accept", r#"52-/a,["x"]"#, "binary x", "disconnect /", "binary y"]);
    assert_eq!(world.log[4..], [r#"event /a ["x"]"#], "no other");
}

#[test]
fn namespaces_that_this_side_left_are_remembered_within_the_limit() {
    let mut world = World::new(Config { max_namespaces: 2, ..Config::default() });
    for name in ["/a", "/b", "/c"] {
        world.run(&[&*format!("0{name}"), "accept", &*format!("disconnect {name}")]);
    }
    world.log.clear();
    world.run(&[r#"2/c,["x"]"#, r#"2/b,["x"]"#]);
    assert_eq!(world.log, [""; 0]);
    world.run(&[r#"2/a,["x"]"#]);
    assert_eq!(world.log, ["close forced close"]);
}

#[test]
fn disconnect_all_says_goodbye_to_every_namespace_and_closes() {
    let mut world = World::joined(Config::default());
    world.run(&["0/b", "0/a", "0/c", "accept", "accept"]);
    world.log.clear();
    world.run(&["disconnect_all", "accept"]);
    let reason = "server namespace disconnect";
    assert_eq!(
        world.log,
        ["> 1", "> 1/b,", "> 1/a,", "close forced close"]
            .map(String::from)
            .into_iter()
            .chain(["/", "/b", "/a"].map(|name| format!("disconnect {name} {reason}")))
            .chain(["void".into()])
            .collect::<Vec<_>>()
    );
    assert!(world.sockets.is_empty());
}

#[test]
fn handle_close_disconnects_in_the_order_of_joining() {
    let mut world = World::joined(Config::default());
    // "/b" takes the slot of "/", but has joined later than "/a".
    world.run(&["0/a", "accept", "1", "0/b", "accept"]);
    world.log.clear();
    world.sockets.emit(world.key("/a"), encode_event("/a", "late", &(), None).unwrap());
    world.run(&["gone", "emit /a x"]);
    assert_eq!(world.log, ["disconnect /a transport close", "disconnect /b transport close", "not sent"]);
    assert!(world.sockets.is_empty());
}

#[test]
fn the_first_reason_to_close_counts() {
    let mut world = World::joined(Config::default());
    world.run(&["7", "gone"]);
    assert_eq!(world.log, closed_by_parse_error());
    world.run(&["0", "2[]"]);
    assert_eq!(world.log.len(), 2, "nothing is taken after the close");
}

#[test]
fn connect_is_answered_before_what_the_socket_emits() {
    let mut world = World::new(Config::default());
    world.run(&["0"]);
    let request = world.requests.pop_front().unwrap();
    let key = world.sockets.accept(request, &SocketId::from("s0")).unwrap();
    for name in ["a", "b", "c"] {
        assert!(world.sockets.emit(key, encode_event("/", name, &(), None).unwrap()));
    }
    world.run(&["wait 0"]);
    assert_eq!(world.log[1..], [r#"> 0{"sid":"s0"}"#, r#"> 2["a"]"#, r#"> 2["b"]"#, r#"> 2["c"]"#]);
}

#[test]
fn a_payload_that_is_no_json_closes_the_connection_after_its_event() {
    assert_eq!(joined_says(&[r#"2["a",}]"#])[1..], closed_by_parse_error());
    assert_eq!(says(&["0{]}", "accept"]), ["connect / {]}", "close parse error", "void"]);
}

#[test]
fn there_are_news_until_all_is_told() {
    let now = Instant::EPOCH;
    let mut sockets = Sockets::new(Arc::default(), now);
    assert!(!sockets.has_news() && sockets.is_empty());
    let Some(Event::Connect { request, .. }) = sockets.receive(now, Message::Text("0")) else { panic!() };
    assert!(!sockets.has_news() && !sockets.is_empty(), "a CONNECT waits");
    let key = sockets.accept(request, &SocketId::from("s0")).unwrap();
    assert!(sockets.has_news() && !sockets.is_clear(key), "the reply goes first");
    assert_eq!(sockets.transmit().map(|reply| text(&reply)).as_deref(), Some(r#"0{"sid":"s0"}"#));
    assert_eq!(sockets.transmit(), None);
    assert!(!sockets.has_news() && sockets.is_clear(key));
    sockets.disconnect(key);
    assert_eq!(sockets.transmit().map(|goodbye| text(&goodbye)).as_deref(), Some("1"));
    assert!(sockets.has_news() && !sockets.is_empty(), "its disconnect is to be told");
    assert!(matches!(sockets.advance(now), Next::Event(Event::Disconnect { .. })));
    assert!(!sockets.has_news() && sockets.is_empty() && !sockets.is_clear(key), "it is gone");
    sockets.disconnect_all();
    assert!(sockets.has_news(), "the close is to be told");
    assert!(matches!(sockets.advance(now), Next::Close(_)));
    assert!(!sockets.has_news());
}

#[test]
fn time_does_not_run_backwards() {
    let mut world = World::joined(Config::default());
    world.run(&["await / 1 1000", "wait 500"]);
    world.now = Instant::EPOCH;
    world.sockets.expect_ack(world.key("/"), 2, Instant::from_epoch(Duration::from_millis(400))).unwrap();
    assert!(matches!(world.sockets.next(world.now, &mut None), Next::Event(Event::AckTimeout { id: 2, .. })));
}

#[test]
fn an_idle_machine_is_small() {
    let world = World::joined(Config::default());
    let Sockets { slots, outgoing, leaving, partial, .. } = &world.sockets;
    assert!(size_of::<Sockets>() <= 176, "{}", size_of::<Sockets>());
    assert!(size_of::<Slot>() <= 48, "{}", size_of::<Slot>());
    assert_eq!((slots.capacity(), outgoing.rest.capacity()), (1, 0));
    assert!(leaving.is_none() && partial.is_none() && slots[0].acks.0.is_none());
}
