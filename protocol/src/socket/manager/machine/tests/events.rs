//! What sockets send and receive: section 2.3 of the official client's behaviour.

use super::*;

#[test]
fn what_is_emitted_before_is_sent_in_order_before_connect_is_told() {
    let mut world = World::new(config());
    world.run(&["emit / a", "connect /", "emit / b", "opened", "emit / c"]);
    let key = world.key("/");
    assert_eq!(world.manager.buffered(key), 3);
    let expected = [r#"> 2["a"]"#, r#"> 2["b"]"#, r#"> 2["c"]"#, "connect /"];
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), expected);
    assert_eq!(world.manager.buffered(key), 0);
    assert_eq!(world.says(&["emit / d"]), [r#"> 2["d"]"#]);
    assert_eq!(
        world.says(&["gone", "emit / e", "emit / f", "wait 1000", "opened"])[2..],
        ["reconnect_attempt 1", "open", "opened", "> 0", "reconnect 1"]
    );
    assert_eq!(world.says(&[r#"0{"sid":"y"}"#]), [r#"> 2["e"]"#, r#"> 2["f"]"#, "connect /"]);
}

#[test]
fn what_is_kept_survives_failures_and_disconnects() {
    let mut world = World::new(config());
    world.run(&["connect /", "emit / a", "failed", "wait 1000", "failed", "disconnect /", "emit / b"]);
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), [r#"> 2["a"]"#, r#"> 2["b"]"#, "connect /"]);
}

#[test]
fn early_events_come_before_everything_else() {
    let mut world = World::new(config());
    world.socket("/", SocketOptions { retries: 1, ..SocketOptions::default() });
    world.run(&["connect /", "emit / a", "retry / b", "opened"]);
    let early = [r#"2["x"]"#, r#"51-["y",{"_placeholder":true,"num":0}]"#, "binary 1", r#"27["z"]"#];
    assert_eq!(world.says(&early), [""; 0]);
    assert_eq!(
        world.says(&[r#"0{"sid":"x"}"#]),
        [
            r#"event / ["x"]"#,
            r#"event / ["y",{"_placeholder":true,"num":0}]"#,
            r#"event / 7 ["z"]"#,
            r#"> 2["a"]"#,
            r#"> 20["b"]"#,
            "connect /",
        ]
    );
    assert_eq!(world.says(&["answer"]), [r#"> 37["a"]"#]);
}

#[test]
fn early_attachments_are_kept() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened", r#"52-["y",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#]);
    world.run(&["binary one", "binary two"]);
    let next = world.manager.next(world.now, &mut Some(Message::Text(r#"0{"sid":"x"}"#)));
    let Next::Event(Event::Message { payload, .. }) = next else { panic!("{next:?}") };
    let (two, one): (crate::socket::Binary, crate::socket::Binary) = payload.decode().unwrap();
    assert_eq!((&one.0[..], &two.0[..]), (&b"one"[..], &b"two"[..]));
}

#[test]
fn a_placeholder_in_an_early_event_without_attachments_is_an_object() {
    let mut world = World::new(config());
    let object = serde_json::json!({"_placeholder": true, "num": 0});
    world.run(&["connect /", "opened", &format!(r#"2["x",{object}]"#)]);
    let next = world.manager.next(world.now, &mut Some(Message::Text(r#"0{"sid":"x"}"#)));
    let Next::Event(Event::Message { payload, .. }) = next else { panic!("{next:?}") };
    assert_eq!(payload.decode::<serde_json::Value>().unwrap(), object);
}

#[test]
fn what_is_emitted_while_early_events_are_told_keeps_its_order() {
    let mut world = World::new(config());
    world.run(&["connect /", "emit / a", "opened", r#"2["x"]"#]);
    let next = world.manager.next(world.now, &mut Some(Message::Text(r#"0{"sid":"x"}"#)));
    assert!(matches!(next, Next::Event(Event::Message { .. })));
    drop(next);
    let key = world.key("/");
    assert_eq!(world.manager.id(key).unwrap().as_str(), "x");
    assert_eq!(world.says(&["emit / b"]), [r#"> 2["a"]"#, r#"> 2["b"]"#, "connect /"]);
}

#[test]
fn a_socket_that_leaves_while_early_events_are_told_was_never_connected() {
    for (end, told) in [
        ("disconnect /", &["> 1", "closed forced close", "close forced close"][..]),
        ("gone", &["connect_error / transport close", "closed transport close"]),
    ] {
        let mut world = World::new(config());
        world.run(&["connect /", "emit / a -", "opened", r#"2["x"]"#, r#"2["y"]"#]);
        let next = world.manager.next(world.now, &mut Some(Message::Text(r#"0{"sid":"x"}"#)));
        assert!(matches!(next, Next::Event(Event::Message { .. })));
        drop(next);
        assert_eq!(world.says(&[end]), told);
        let key = world.key("/");
        assert_eq!(world.manager.buffered(key), 1, "what was not sent is kept");
    }
}

#[test]
fn early_events_of_a_lost_connection_are_lost() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened", r#"2["x"]"#, "gone", "wait 1000", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), ["connect /"]);
    world.run(&["disconnect /"]);
    assert!(world.manager.is_idle());
}

#[test]
fn what_was_sent_to_a_socket_that_has_left_is_not_told_to_the_next_one() {
    for again in ["connect /", "remove /"] {
        let mut world = World::new(config());
        world.run(&["connect /", "connect /a", "opened", r#"0{"sid":"x"}"#, r#"0/a,{"sid":"y"}"#]);
        let leaves = ["> 1", "disconnect / io client disconnect"];
        assert_eq!(world.says(&["disconnect /", again, r#"2["a"]"#, "connect /"]), leaves);
        let late = [r#"21["b"]"#, "wait 100", r#"2["c"]"#, r#"51-["d",{"_placeholder":true,"num":0}]"#, "binary 1"];
        assert_eq!(world.says(&late), ["> 0"]);
        let joins = [r#"0{"sid":"z"}"#, r#"2["e"]"#];
        assert_eq!(world.says(&joins), ["connect /", r#"event / ["e"]"#]);
    }
}

#[test]
fn events_that_come_early_are_kept_after_the_server_has_disconnected_the_socket() {
    let mut world = World::new(config());
    world.run(&["connect /", "connect /a", "opened", r#"0{"sid":"x"}"#, r#"0/a,{"sid":"y"}"#, "1", "connect /"]);
    assert_eq!(world.says(&[r#"2["a"]"#, r#"0{"sid":"z"}"#]), [r#"event / ["a"]"#, "connect /"]);
}

#[test]
fn messages_wait_for_what_is_older() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened"]);
    let mut message = Some(Message::Text(r#"0{"sid":"x"}"#));
    assert!(matches!(world.manager.next(world.now, &mut message), Next::Event(Event::Connect { .. })));
    let key = world.key("/");
    world.manager.emit(key, Encoder::default().event("/", "a", &(), None).unwrap(), None).unwrap();
    assert_eq!(world.says(&[r#"2["x"]"#]), [r#"> 2["a"]"#, r#"event / ["x"]"#]);
}

#[test]
fn volatile_events_are_sent_at_once_or_dropped() {
    let mut world = World::new(config());
    assert_eq!(
        world.says(&["volatile / a", "connect /", "volatile / b 100", "opened", "volatile / c"]),
        ["dropped", "open", "dropped", "opened", "> 0", "dropped"]
    );
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), ["connect /"]);
    assert_eq!(
        world.says(&["volatile / d", "stuck / e 100", "volatile / f 100"]),
        [r#"> 2["d"]"#, "dropped", r#"> 22["f"]"#]
    );
    assert_eq!(world.says(&["wait 100"]), ["failed / 2 operation has timed out"], "a dropped event awaits nothing");
    world.run(&["gone"]);
    assert_eq!(world.says(&["volatile / g"]), ["dropped"]);
}

#[test]
fn acks_are_awaited_until_their_deadline() {
    let mut world = World::connected(config());
    assert_eq!(
        world.says(&["emit / a 100", "emit / b -", "emit / c 50"]),
        [r#"> 20["a"]"#, r#"> 21["b"]"#, r#"> 22["c"]"#]
    );
    assert_eq!(world.deadline(), Some(Duration::from_millis(50)));
    assert_eq!(world.says(&["31[1,2]", "31[1,2]", "39[]", "3[]"]), ["ack / 1 [1,2]"], "once, and if awaited");
    assert_eq!(world.says(&["wait 50", "32[]"]), ["failed / 2 operation has timed out"]);
    world.now += Duration::from_millis(50);
    assert_eq!(world.says(&["30[]"]), ["failed / 0 operation has timed out"], "what comes with the deadline is late");
    assert_eq!(world.says(&["emit / c -"]).len(), 1);
    assert_eq!(world.deadline(), None);
    assert_eq!(world.says(&["emit / d -", "wait 1000000000", "34[]"]), [r#"> 24["d"]"#, "ack / 4 []"]);
}

#[test]
fn acks_with_attachments() {
    let mut world = World::connected(config());
    world.run(&["emit / a 100"]);
    let answer = [r#"61-0[{"_placeholder":true,"num":0}]"#, "binary x", r#"61-0[{"_placeholder":true,"num":0}]"#];
    assert_eq!(world.says(&answer), [r#"ack / 0 [{"_placeholder":true,"num":0}]"#]);
    assert_eq!(world.says(&["binary y"]), [""; 0]);
}

#[test]
fn an_event_that_is_late_before_it_was_sent_is_not_sent() {
    let mut world = World::new(config());
    world.run(&["emit / a 100", "emit / b 200", "connect /"]);
    assert_eq!(world.says(&["wait 100"]), ["failed / 0 operation has timed out"]);
    world.run(&["opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#, "31[]"]), [r#"> 21["b"]"#, "connect /", "ack / 1 []"]);
    world.run(&["disconnect /"]);
    assert!(world.manager.is_idle());
}

#[test]
fn pending_acks_fail_with_the_connection_unless_their_event_is_kept() {
    for (end, reason) in [("gone", "transport close"), ("1", "io server disconnect")] {
        let mut world = World::connected(config());
        world.run(&["connect /a", r#"0/a,{"sid":"a"}"#, "emit / a 100000", "emit / b -"]);
        let failed = |id| format!("failed / {id} socket has been disconnected");
        assert_eq!(world.says(&[end])[..3], [format!("disconnect / {reason}"), failed(0), failed(1)]);
        world.run(&["emit / c -", "connect /", "wait 1000", "opened"]);
        assert_eq!(world.says(&[r#"0{"sid":"x"}"#, "32[]", "30[]"])[..3], [r#"> 22["c"]"#, "connect /", "ack / 2 []"]);
    }
    let mut world = World::new(config());
    world.run(&["connect /", "emit / a -", "opened", "gone", "wait 1000", "opened"]);
    assert_eq!(world.says(&["30[]", r#"0{"sid":"x"}"#, "30[1]"]), [r#"> 20["a"]"#, "connect /", "ack / 0 [1]"]);
}

#[test]
fn events_are_answered_once_and_on_their_connection() {
    let mut world = World::connected(config());
    world.run(&[r#"27["a"]"#, r#"20["b"]"#, r#"21["c"]"#, r#"28["d"]"#]);
    assert_eq!(world.says(&["answer"]), [r#"> 37["a"]"#]);
    world.run(&["gone"]);
    assert_eq!(world.says(&["answer"]), ["not answered"]);
    world.run(&["wait 1000", "opened", r#"0{"sid":"x"}"#]);
    assert_eq!(world.says(&["answer"]), ["not answered"]);
    world.run(&["connect /a", "1", "connect /", r#"0{"sid":"y"}"#]);
    assert_eq!(world.says(&["answer"]), ["not answered"], "not by a new socket either");
}

#[test]
fn buffers_are_bounded() {
    let mut world = World::new(Config { max_buffered_packets: 2, ..config() });
    assert_eq!(
        world.says(&["emit / a", "retry / b", "emit / c -", "retry / d"]),
        ["error too many events wait for a connection", "error too many events wait for a connection"]
    );
    let key = world.key("/");
    assert_eq!(world.manager.buffered(key), 2);
    assert_eq!(world.manager.slot(key).unwrap().acks.earliest(), None, "and nothing awaited");
    assert_eq!(world.says(&["emit /a x"]), [""; 0], "each socket has its own");
    let packet = |len: usize| Encoder::default().event("/", "a", &"x".repeat(len), None).unwrap();
    let cost = packet(100).cost();
    let mut world = World::new(Config { max_buffered: 2 * cost, ..config() });
    let key = world.key("/");
    let emit = |world: &mut World, len| world.manager.emit(key, packet(len), None);
    assert_eq!(
        [100, 101, 100, 0].map(|len| emit(&mut world, len)),
        [Ok(()), Err(EmitError::Full), Ok(()), Err(EmitError::Full)]
    );
    world.run(&["connect /", "opened", r#"0{"sid":"x"}"#, "gone"]);
    assert_eq!(emit(&mut world, 1000), Ok(()), "one may be larger");
    assert_eq!(emit(&mut world, 0), Err(EmitError::Full));
    world.run(&["close"]);
    assert!(world.manager.is_idle());
}

#[test]
fn what_was_withdrawn_makes_room() {
    let mut world = World::new(Config { max_buffered_packets: 1, ..config() });
    assert_eq!(world.says(&["emit / a 10", "wait 10", "emit / b"]), ["failed / 0 operation has timed out"]);
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), [r#"> 2["b"]"#, "connect /"]);
    world.run(&["disconnect /"]);
    assert!(world.manager.is_idle());
}

#[test]
fn awaited_acks_are_bounded() {
    let mut world = World::connected(Config { max_acks: 1, ..config() });
    assert_eq!(
        world.says(&["emit / a 10", "emit / b 10", "volatile / c 10", "wait 10", "emit / d 10"]),
        [
            r#"> 20["a"]"#,
            "error too many acks are awaited",
            "error too many acks are awaited",
            "failed / 0 operation has timed out",
            r#"> 23["d"]"#,
        ]
    );
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_not_told_and_takes_no_place() {
    let mut world = World::connected(Config { max_acks: 1, ..config() });
    let socket = world.manager.socket("/", SocketOptions::default()).unwrap();
    world.run(&["emit / a 10"]);
    world.manager.forget_ack(socket, 0);
    assert_eq!(world.deadline(), None);
    assert_eq!(world.says(&["30[]", "emit / b 10", "31[]"]), [r#"> 21["b"]"#, "ack / 1 []"]);
}

#[test]
fn a_failure_that_nobody_waits_for_any_more_is_not_told() {
    let mut world = World::connected(config());
    let socket = world.manager.socket("/", SocketOptions::default()).unwrap();
    world.run(&["emit / a 10", "emit / b 10"]);
    world.log.clear();
    world.manager.disconnect(socket);
    world.manager.forget_ack(socket, 0);
    let told = world.says(&["wait 0"]);
    assert!(told.contains(&"failed / 1 socket has been disconnected".to_string()), "{told:?}");
    assert!(!told.contains(&"failed / 0 socket has been disconnected".to_string()), "{told:?}");
}

#[test]
fn what_waits_is_counted_in_bytes() {
    let cost = |namespace, id| Encoder::default().event(namespace, "x", &(), id).unwrap().cost();
    let [plain, retried, other] = [cost("/", None), cost("/", Some(0)), cost("/a", None)];
    let mut world = World::new(config());
    let mut waits = |inputs: &[&str]| world.run(inputs).manager.buffered_bytes();
    assert_eq!(waits(&["emit / x", "retry / x", "retry / x", "emit /a x"]), plain + 2 * retried + other);
    assert_eq!(waits(&["connect /", "opened", r#"0{"sid":"x"}"#]), 2 * retried + other);
    assert_eq!(waits(&["30[]"]), retried + other);
    assert_eq!(waits(&["31[]"]), other);
    assert_eq!(waits(&["close"]), 0);
}

fn with_retries(retries: u32, ms: Option<u64>) -> World {
    let mut world = World::new(config());
    let ack_timeout = ms.map(Duration::from_millis);
    world.socket("/", SocketOptions { retries, ack_timeout, ..SocketOptions::default() });
    world
}

#[test]
fn events_with_retries_are_sent_one_after_the_other() {
    let mut world = with_retries(2, Some(100));
    world.run(&["retry / a", "connect /", "opened", "retry / b"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), [r#"> 20["a"]"#, "connect /"]);
    assert_eq!(world.says(&["retry / c", "emit / d", "volatile / e"]), [r#"> 2["d"]"#, r#"> 2["e"]"#]);
    assert_eq!(world.says(&["31[]", "30[1]"]), ["ack / 0 [1]", r#"> 21["b"]"#], "only what was sent is answered");
    assert_eq!(world.says(&["30[1]", "31[2]", "32[3]"]), ["ack / 1 [2]", r#"> 22["c"]"#, "ack / 2 [3]"]);
    assert_eq!(world.deadline(), None);
    world.run(&["disconnect /"]);
    assert!(world.manager.is_idle());
}

#[test]
fn events_with_retries_are_given_up_after_their_last_try() {
    for retries in 0..3_u32 {
        let mut world = with_retries(retries, Some(100));
        world.run(&["connect /", "opened", r#"0{"sid":"x"}"#]);
        assert_eq!(world.says(&["retry / a", "retry / b"]), [r#"> 20["a"]"#]);
        for _ in 0..retries {
            assert_eq!(world.says(&["wait 99", "wait 1"]), [r#"> 20["a"]"#]);
        }
        let expected = ["failed / 0 operation has timed out", r#"> 21["b"]"#];
        assert_eq!(world.says(&["wait 100"]), expected, "{retries}");
        assert_eq!(world.says(&["30[]", "31[]"]), ["ack / 1 []"]);
    }
}

#[test]
fn an_event_may_have_a_timeout_of_its_own_for_each_try() {
    let mut world = with_retries(1, Some(100));
    world.run(&["connect /", "opened", r#"0{"sid":"x"}"#, "retry / a 30", "retry / b"]);
    assert_eq!(world.says(&["wait 30"]), [r#"> 20["a"]"#]);
    assert_eq!(world.says(&["wait 30"]), ["failed / 0 operation has timed out", r#"> 21["b"]"#]);
    assert_eq!(world.says(&["wait 99", "wait 1"]), [r#"> 21["b"]"#]);
}

#[test]
fn a_try_has_a_millisecond_at_least() {
    for nanos in [0, 1] {
        let mut world = World::new(config());
        let ack_timeout = Some(Duration::from_nanos(nanos));
        world.socket("/", SocketOptions { retries: u32::MAX, ack_timeout, ..SocketOptions::default() });
        world.run(&["connect /", "opened", r#"0{"sid":"x"}"#]);
        assert_eq!(world.says(&["retry / a"]), [r#"> 20["a"]"#], "or it is sent again for ever");
        assert_eq!(world.deadline(), Some(Duration::from_millis(1)));
        assert_eq!(world.says(&["wait 60000"]), [r#"> 20["a"]"#]);
    }
}

#[test]
fn the_answer_to_an_earlier_try_counts() {
    let mut world = with_retries(1, Some(100));
    world.run(&["connect /", "opened", r#"0{"sid":"x"}"#]);
    assert_eq!(
        world.says(&["retry / a", "wait 100", "30[1]", "30[2]"]),
        [r#"> 20["a"]"#, r#"> 20["a"]"#, "ack / 0 [1]"]
    );
}

#[test]
fn events_with_retries_are_sent_again_on_the_next_connection() {
    let mut world = with_retries(1, None);
    world.run(&["connect /", "opened", r#"0{"sid":"x"}"#]);
    assert_eq!(world.says(&["retry / a", "retry / b", "wait 1000000"]), [r#"> 20["a"]"#], "without a time limit");
    assert_eq!(world.says(&["gone"]), ["disconnect / transport close", "closed transport close"]);
    assert_eq!(world.says(&["30[]", "wait 1000", "opened", "30[]"])[2..], ["opened", "> 0", "reconnect 1"]);
    assert_eq!(world.says(&[r#"0{"sid":"y"}"#]), [r#"> 20["a"]"#, "connect /"]);
    // That was the last try.
    assert_eq!(
        world.says(&["gone"]),
        ["disconnect / transport close", "failed / 0 socket has been disconnected", "closed transport close"]
    );
    world.run(&["wait 1000", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"z"}"#, "31[]"]), [r#"> 21["b"]"#, "connect /", "ack / 1 []"]);
}

#[test]
fn a_packet_that_was_not_transmitted_is_not_sent_on_the_next_connection() {
    let mut world = World::connected(config());
    let key = world.key("/");
    world.manager.emit(key, Encoder::default().event("/", "a", &(), None).unwrap(), None).unwrap();
    assert_eq!(world.says(&["gone"]), ["disconnect / transport close", "closed transport close"]);
    world.run(&["wait 1000", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"y"}"#]), ["connect /"]);
}

#[test]
fn ids_of_acks_are_counted_for_each_socket() {
    let mut world = World::connected(config());
    let [root, a] = ["/", "/a"].map(|name| world.key(name));
    let ids = [root, root, a, root, a].map(|key| world.manager.ack_id(key));
    assert_eq!(ids, [0, 1, 0, 2, 1]);
}

#[test]
fn an_idle_machine_is_small() {
    let world = World::connected(config());
    assert!(size_of::<Manager>() <= 600, "{}", size_of::<Manager>());
    assert!(size_of::<Slot>() <= 400, "{}", size_of::<Slot>());
    let slot = &world.manager.slots[0];
    assert!(slot.acks.0.is_none() && slot.early.capacity() == 0 && world.manager.news.rest.capacity() == 0);
}
