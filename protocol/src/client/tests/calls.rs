use super::*;
use crate::socket::encode_ack;
use crate::websocket::{Decoder, Frame, Incoming, Role};

#[test]
fn what_is_to_be_written_is_taken_whole() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    for _ in 0..3 {
        world.client.emit(socket, encode_event("/", "large", &"x".repeat(50_000), None).unwrap(), None).unwrap();
    }
    let mut twin = world.client.clone();
    let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    let bytes = io.take_pending();
    assert!(bytes.len() > 150_000 && io.pending().next().is_none() && io.take_pending().is_empty());
    let Next::Io(mut io) = twin.next(world.now, &mut Input::empty()) else { panic!() };
    let mut expected = Vec::new();
    loop {
        let Some(byte) = io.pending().next().map(|part| part[0]) else { break };
        expected.push(byte);
        io.written(1);
    }
    assert!(bytes == expected);
    assert_eq!(world.client.queued(), 0);
}

#[test]
fn a_large_message_is_read_straight_into_the_client() {
    let (mut world, _) = World::new(&[Transport::WebSocket]);
    world.run();
    let text = format!(r#"["large","{}"]"#, "x".repeat(50_000));
    let mut bytes = Frame::text(&["42", &text].concat()).as_bytes().to_vec();
    let (head, mut tail) = bytes.split_at_mut(100);
    let mut input = Input::new(head);
    let event = loop {
        match world.client.next(world.now, &mut input) {
            Next::Event(event) => break say(event),
            Next::Io(mut io) => {
                assert!(io.wants_read());
                let room = io.read_target().expect("a large message is under way");
                let count = room.len().min(tail.len());
                assert!(count > 0, "all of it was read");
                let read = tail.split_off_mut(..count).unwrap();
                room[..count].copy_from_slice(read);
                io.filled(count);
            }
            _ => {}
        }
    };
    assert_eq!(event, Some(format!("event {text}")));
}

#[test]
fn credentials_are_asked_for_at_every_connect() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.client.set_auth(socket, Auth::Asked);
    assert_eq!(world.run(), ["open"]);
    let request = world.asked.pop().unwrap();
    let credentials = Credentials::new(&serde_json::json!({ "token": "a" })).unwrap();
    world.client.authenticate(world.now, request, &credentials);
    assert_eq!(world.run(), [r#"auth: {"token":"a"}"#, "connect", r#"event ["welcome"]"#]);
    world.client.disconnect(socket);
    world.client.connect(world.now, socket);
    world.run();
    let request = world.asked.pop().unwrap();
    assert!(world.client.decline(request));
    assert!(!world.client.manager().is_active(socket));
    world.client.connect(world.now, socket);
    world.run();
    let request = world.asked.pop().unwrap();
    world.client.disconnect(socket);
    assert!(!world.client.decline(request), "it is void");
}

#[test]
fn answers_are_awaited_as_long_as_they_are_wanted() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    let second = Duration::from_secs(1);
    let [forgotten, late, last] = [(); 3].map(|()| world.client.ack_id(socket));
    assert_eq!([forgotten, late, last], [0, 1, 2]);
    let packet = |name, id| encode_event("/", name, &(), Some(id)).unwrap();
    for id in [forgotten, late] {
        let ack = ExpectedAck { id, deadline: Some(world.now + second) };
        world.client.emit(socket, packet("ask", id), Some(ack)).unwrap();
    }
    world.client.forget_ack(socket, forgotten);
    world.client.emit_with_retries(world.now, socket, packet("insist", last), last, Some(second)).unwrap();
    assert_eq!(world.run(), [r#"server: ["ask"]"#, r#"server: ["ask"]"#, r#"server: ["insist"]"#]);
    world.now += second;
    assert_eq!(world.run(), ["ack 1 operation has timed out", "ack 2 operation has timed out"]);
}

#[test]
fn what_is_volatile_is_sent_at_once_or_never() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    let emit = |world: &mut World, name| {
        world.client.emit_volatile(socket, encode_event("/", name, &(), None).unwrap(), None).unwrap()
    };
    assert!(!emit(&mut world, "early"));
    world.run();
    assert!(emit(&mut world, "now"));
    let Next::Io(_) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    assert!(!emit(&mut world, "busy"));
    assert_eq!(world.run(), [r#"server: ["now"]"#]);
    world.client.disconnect(socket);
    assert!(!emit(&mut world, "late"));
}

#[test]
fn a_client_is_idle_when_its_goodbye_is_delivered() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    assert!(!world.client.is_idle());
    world.run();
    world.client.remove(socket);
    assert_eq!(world.client.manager().namespace(socket), None);
    while !matches!(world.client.next(world.now, &mut Input::empty()), Next::Io(_)) {}
    assert!(world.client.manager().is_idle() && !world.client.is_idle());
    world.run();
    assert!(world.client.is_idle());
}

#[test]
fn an_event_is_answered_as_long_as_its_socket_is_connected() {
    let (mut world, socket) = World::new(&[Transport::WebSocket]);
    world.run();
    let mut bytes = Frame::text(r#"427["ask"]"#).as_bytes().repeat(2);
    let mut input = Input::new(&mut bytes);
    let mut requests = Vec::new();
    loop {
        match world.client.next(world.now, &mut input) {
            Next::Event(Event::Message { ack, .. }) => requests.extend(ack),
            Next::Io(_) => break,
            _ => {}
        }
    }
    let [request, late] = <[_; 2]>::try_from(requests).unwrap();
    assert!(world.client.answer(request, encode_ack("/", 7, &("yes",)).unwrap()));
    let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    let mut bytes = io.take_pending();
    let mut server = Decoder::new(Role::Server, 1000);
    let answer = server.next(&mut Input::new(&mut bytes));
    assert!(matches!(answer, Ok(Some(Incoming::Text(r#"437["yes"]"#)))), "{answer:?}");
    world.client.disconnect(socket);
    assert!(!world.client.answer(late, encode_ack("/", 7, &("no",)).unwrap()));
}

#[test]
fn a_stream_that_breaks_is_told_as_a_fault() {
    let (mut world, _) = World::new(&[Transport::WebSocket]);
    world.run();
    world.client.handle_stream_failed(world.now, "broken");
    assert_eq!(world.run(), ["error websocket error: broken", "disconnect transport error", "close transport error"]);
}
