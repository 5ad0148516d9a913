use super::*;

#[test]
fn websocket_comes_first_by_default() {
    let mut world = World::new(Config::default());
    assert_eq!(world.log(), ["stream /engine.io/?EIO=4&transport=websocket"]);
    assert_eq!(world.client.transport(), Transport::WebSocket);
    world.open_stream();
    assert_eq!(world.frames(), [""; 0], "nothing is said before the handshake");
    world.text(HANDSHAKE);
    assert_eq!(world.log(), ["opened"]);
    assert_eq!(world.client.handshake().unwrap().sid(), "abc");
    assert_eq!(world.deadline(), world.now + 500 * MS);
}

#[test]
fn polling_is_tried_where_no_websocket_can_be_opened() {
    let mut world = World::new(Config::default());
    world.fail_stream();
    assert_eq!(world.log()[1..], ["1: GET"]);
    assert_eq!(world.client.transport(), Transport::Polling);
    world.answer(1, HANDSHAKE);
    assert_eq!(world.log(), ["opened", "2: GET"], "and WebSocket is not tried again");
}

#[test]
fn whatever_a_websocket_fails_of_before_it_is_open() {
    type Fault = fn(&mut World);
    let faults: [(Fault, &str); 9] = [
        (|world| world.fail_stream(), "websocket error: refused"),
        (|world| world.end_stream(), "websocket error: the stream has ended"),
        (|world| world.frame(&Frame::close(None)), "websocket error: closed by the server"),
        (|world| world.frame(&Frame::close(Some(CloseCode(1011)))), "websocket error: close code 1011"),
        (|world| world.frame(&Frame::binary(b"0{}")), "handshake error: the server does not start with a handshake"),
        (|world| world.text("40"), "handshake error: the server does not start with a handshake"),
        (|world| world.text("0{}"), "handshake error: the handshake cannot be read"),
        (|world| world.text(&format!("0{}", "x".repeat(70_000))), "handshake error: the handshake is too large"),
        (
            |world| world.frame(&Frame::from_finished(Bytes::from_static(b"\x83\x00"))),
            "websocket error: close code 1002",
        ),
    ];
    for (fault, error) in faults {
        for all in [false, true] {
            let mut world = World::new(Config { try_all_transports: all, ..Config::default() });
            world.open_stream();
            world.log();
            fault(&mut world);
            let mut log = world.log();
            log.retain(|entry| entry != "close stream");
            match all {
                true => assert_eq!(log, ["1: GET"], "{error}"),
                false => assert_eq!(log, [format!("failed: {error}").as_str(), "finished"]),
            }
        }
    }
}

#[test]
fn the_caller_is_told_to_drop_the_stream_that_failed_unless_it_knows() {
    let mut world = World::new(config(WEBSOCKET));
    world.open_stream();
    world.text("0{}");
    assert_eq!(world.log()[1..], ["failed: handshake error: the handshake cannot be read", "close stream", "finished"]);

    let mut world = World::new(config(WEBSOCKET));
    world.fail_stream();
    assert_eq!(world.log()[1..], ["failed: websocket error: refused", "finished"]);
}

#[test]
fn whatever_a_first_poll_fails_of() {
    type Fault = fn(&mut World);
    let faults: [(Fault, &str); 8] = [
        (|world| world.fail(1), "polling error: refused"),
        (|world| world.respond(1, 400, HANDSHAKE), "polling error: status 400"),
        (|world| world.respond(1, 204, ""), "polling error: status 204"),
        (|world| world.answer(1, "1"), "polling error: closed by the server"),
        (|world| world.answer(1, ""), "handshake error: the server does not start with a handshake"),
        (|world| world.answer(1, "4a"), "handshake error: the server does not start with a handshake"),
        (|world| world.answer(1, "0{}"), "handshake error: the handshake cannot be read"),
        (|world| world.answer(1, &"x".repeat(70_000)), "handshake error: the handshake is too large"),
    ];
    for (fault, error) in faults {
        for all in [false, true] {
            let mut world = World::new(Config { try_all_transports: all, ..config(UPGRADING) });
            assert_eq!(world.log(), ["1: GET"]);
            fault(&mut world);
            match all {
                true => assert_eq!(world.log(), ["stream /engine.io/?EIO=4&transport=websocket"], "{error}"),
                false => assert_eq!(world.log(), [format!("failed: {error}").as_str(), "finished"]),
            }
        }
    }
}

#[test]
fn a_first_answer_that_is_no_text_is_no_handshake() {
    let mut world = World::new(config(POLLING));
    world.client.handle_response(world.now, RequestId(1), 200, Bytes::from_static(b"0\xff"));
    world.run();
    assert_eq!(world.log()[1..], ["failed: handshake error: the server does not start with a handshake", "finished"]);
}

#[test]
fn the_last_failure_is_told() {
    let mut world = World::new(Config::default());
    world.fail_stream();
    world.respond(1, 502, "");
    assert_eq!(world.log()[2..], ["failed: polling error: status 502", "finished"]);
}

#[test]
fn each_transport_has_its_share_of_the_time() {
    let mut world = World::new(Config::default());
    assert_eq!(world.deadline(), world.now + 10_000 * MS);
    world.wait(10_000 * MS - Duration::from_nanos(1));
    assert_eq!(world.log().len(), 1);
    world.wait(Duration::from_nanos(1));
    assert_eq!(world.log(), ["close stream", "1: GET"]);
    assert_eq!(world.deadline(), world.now + 10_000 * MS);
    world.wait(10_000 * MS);
    assert_eq!(world.log(), ["failed: timeout", "1: cancelled", "finished"]);
}

#[test]
fn what_a_transport_did_not_need_is_the_next_one_s() {
    let mut world = World::new(Config::default());
    world.wait(1000 * MS);
    world.fail_stream();
    assert_eq!(world.deadline(), world.now + 19_000 * MS);
}

#[test]
fn one_transport_has_all_of_the_time() {
    for config in [config(WEBSOCKET), Config { try_all_transports: false, ..Config::default() }] {
        let mut world = World::new(config);
        assert_eq!(world.deadline(), world.now + 20_000 * MS);
        world.open_stream();
        world.wait(20_000 * MS);
        assert_eq!(world.log()[1..], ["failed: timeout", "close stream", "finished"]);
    }
}

#[test]
fn a_clock_that_jumps_over_the_end_leaves_no_time_for_the_next_transport() {
    let mut world = World::new(Config::default());
    world.wait(20_000 * MS);
    assert_eq!(world.log()[1..], ["failed: timeout", "close stream", "finished"]);
}

#[test]
fn an_attempt_without_time_fails_at_once() {
    let mut world = World::new(Config { connect_timeout: Duration::ZERO, ..Config::default() });
    assert_eq!(world.log(), ["failed: timeout", "finished"]);
}

#[test]
fn an_attempt_without_a_limit_waits_for_ever() {
    let mut world = World::new(Config { connect_timeout: Duration::MAX, ..config(POLLING) });
    world.wait(1_000_000_000 * MS);
    world.answer(1, HANDSHAKE);
    assert_eq!(world.log(), ["1: GET", "opened", "2: GET"]);
}

#[test]
fn without_transports_nothing_can_be_opened() {
    let mut world = World::new(config(&[]));
    assert_eq!(world.log(), ["failed: no transport", "finished"]);
}

#[test]
fn a_transport_named_twice_is_tried_once() {
    let mut world = World::new(config(&[Transport::WebSocket, Transport::WebSocket]));
    world.fail_stream();
    assert_eq!(world.log()[1..], ["failed: websocket error: refused", "finished"]);
}

#[test]
fn what_is_sent_before_the_session_is_open_leaves_first() {
    for (config, entries) in
        [(config(POLLING), vec!["opened", "2: POST 4early", "3: GET"]), (config(WEBSOCKET), vec!["opened"])]
    {
        let mut world = World::new(config);
        world.open_stream();
        world.send("early");
        assert!(!world.client.is_writable());
        assert_eq!(world.frames(), [""; 0]);
        world.log();
        world.answer(1, HANDSHAKE);
        world.text(HANDSHAKE);
        assert_eq!(world.log(), entries);
        let expected: &[&str] = if entries.len() == 1 { &["4early"] } else { &[] };
        assert_eq!(world.frames(), expected);
    }
}

#[test]
fn packets_behind_the_handshake_count() {
    let mut world = World::new(config(POLLING));
    world.answer(1, &format!("{HANDSHAKE}\u{1e}4a\u{1e}2"));
    assert_eq!(world.log(), ["1: GET", "opened", "text a", "2: POST 3", "3: GET"]);

    let mut world = World::new(config(WEBSOCKET));
    world.open_stream();
    world.inbound.extend_from_slice(Frame::text(HANDSHAKE).as_bytes());
    world.text(&format!("4{}", "x".repeat(70_000)));
    assert_eq!(world.log()[1..], ["opened".to_string(), format!("text {}", "x".repeat(70_000))]);
}

#[test]
fn closed_before_it_is_open() {
    for config in [config(POLLING), config(WEBSOCKET), Config::default()] {
        let mut world = World::new(config);
        world.send("never");
        world.open_stream();
        world.log();
        world.close();
        let log = world.log();
        assert_eq!(log[0], "closed: forced close");
        assert!(["1: cancelled", "close stream"].contains(&&*log[1]), "{log:?}");
        assert_eq!(log[2..], ["finished"]);
    }
}

#[test]
fn a_ping_of_the_websocket_before_the_handshake_is_answered() {
    let mut world = World::new(config(WEBSOCKET));
    world.open_stream();
    world.inbound.extend_from_slice(b"\x89\x01x\x8a\x00");
    world.run();
    assert_eq!(world.frames(), ["pong [120]"]);
    world.text(HANDSHAKE);
    assert_eq!(world.log()[1..], ["opened"]);
}

#[test]
fn bytes_before_the_stream_is_open_are_nobody_s() {
    let mut world = World::new(config(WEBSOCKET));
    world.text("40");
    let Next::Io(io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    assert!(!io.wants_read());
    assert_eq!(io.pending().count(), 0);
}
