use super::*;

/// Polling works and nothing is lost.
fn assert_polling_goes_on(world: &mut World, poll: u64) {
    world.send("kept");
    let log = world.log();
    let post = log.iter().find(|entry| entry.ends_with("POST 4kept")).unwrap_or_else(|| panic!("{log:?}"));
    let id = post.split_once(':').unwrap().0.parse().unwrap();
    world.answer(id, "ok");
    world.answer(poll, "4in");
    let log = world.log();
    assert_eq!(log[0], "text in");
    assert!(log[1].ends_with(": GET"), "{log:?}");
    assert_eq!(world.client.transport(), Transport::Polling);
}

#[test]
fn a_polling_session_is_upgraded() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::new(config(UPGRADING));
        world.read_size = read_size;
        world.answer(1, HANDSHAKE);
        let log = ["1: GET", "opened", "stream /engine.io/?EIO=4&transport=websocket&sid=abc", "2: GET"];
        assert_eq!(world.log(), log);
        world.open_stream();
        assert_eq!(world.frames(), ["2probe"]);
        world.text("3probe");
        assert_eq!(world.frames(), [""; 0], "the poll is waited for");
        world.answer(2, "4last\u{1e}6");
        assert_eq!(world.log(), ["text last", "upgraded"]);
        assert_eq!(world.frames(), ["5"]);
        assert_eq!(world.client.transport(), Transport::WebSocket);
        world.text(&format!("4{}", "x".repeat(70_000)));
        world.send("out");
        assert_eq!(world.log(), [format!("text {}", "x".repeat(70_000))]);
        assert_eq!(world.frames(), ["4out"]);
    });
}

#[test]
fn nothing_is_posted_or_polled_while_polling_comes_to_rest() {
    let mut world = World::probing();
    world.send("before");
    world.text("3probe");
    world.send("meanwhile");
    assert!(!world.client.is_writable());
    assert_eq!(world.log(), ["3: POST 4before"]);
    world.answer(2, "6\u{1e}2");
    assert_eq!(world.log(), [""; 0]);
    assert_eq!(world.frames(), [""; 0], "the POST is waited for");
    world.answer(3, "ok");
    assert_eq!(world.log(), ["upgraded"]);
    assert_eq!(world.frames(), ["5", "3", "4meanwhile"]);
}

#[test]
fn a_packet_of_which_a_part_was_posted_goes_on_over_the_stream() {
    let mut world = World::probing();
    let rest: Arc<[Frame]> = Arc::from([Frame::binary(&[1; 90]), Frame::binary(&[2])]);
    world.client.send(world.now, Packet::from_frames(Frame::text("452-[]"), Some(rest))).unwrap();
    world.run();
    world.text("3probe");
    world.answer(3, "ok");
    world.answer(2, "6");
    assert_eq!(world.log(), ["3: POST 452-[]", "upgraded"]);
    assert_eq!(world.frames(), ["5".to_string(), format!("binary {:?}", [1; 90]), "binary [2]".to_string()]);
}

#[test]
fn polling_goes_on_until_the_probe_is_answered() {
    let mut world = World::polling_with(config(UPGRADING));
    world.answer(2, "4a");
    world.send("b");
    world.open_stream();
    world.answer(3, "4c");
    world.answer(4, "ok");
    assert_eq!(world.log(), ["text a", "3: GET", "4: POST 4b", "text c", "5: GET"]);
    assert_eq!(world.frames(), ["2probe"]);
}

#[test]
fn when_there_is_no_upgrade() {
    let offered = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200}"#;
    let none = r#"0{"sid":"abc","upgrades":["webtransport"],"pingInterval":300,"pingTimeout":200}"#;
    for (config, handshake, upgrades) in [
        (config(UPGRADING), offered, true),
        (Config { try_all_transports: false, ..config(UPGRADING) }, offered, true),
        (config(UPGRADING), none, false),
        (Config { upgrade: false, ..config(UPGRADING) }, offered, false),
        (config(POLLING), offered, false),
    ] {
        let mut world = World::new(config);
        world.answer(1, handshake);
        assert_eq!(world.log().len() == 4, upgrades);
    }
}

#[test]
fn a_probe_that_fails_does_no_harm() {
    type Fault = fn(&mut World);
    let faults: [Fault; 12] = [
        |world| world.end_stream(),
        |world| world.fail_stream(),
        |world| world.text("4early"),
        |world| world.text("2probe"),
        |world| world.text("3"),
        |world| world.text("3probe2"),
        |world| world.text("1"),
        |world| world.text(""),
        |world| world.frame(&Frame::binary(b"3probe")),
        |world| world.frame(&Frame::close(None)),
        |world| world.frame(&Frame::from_finished(Bytes::from_static(b"\x81\x823p"))),
        |world| world.frame(&Frame::from_finished(Bytes::from_static(b"\x81\x01\xff"))),
    ];
    for fault in faults {
        for answered in [false, true] {
            let mut world = World::probing();
            if answered {
                world.text("3probe");
                world.send("held");
                assert_eq!(world.log(), [""; 0]);
            }
            fault(&mut world);
            world.text("3probe");
            let mut log = world.log();
            log.retain(|entry| entry != "close stream");
            let expected: &[&str] = if answered { &["3: POST 4held"] } else { &[] };
            assert_eq!(log, expected);
            assert!(world.frames().iter().all(|frame| frame.starts_with("close")));
            if answered {
                world.answer(3, "ok");
            }
            assert_polling_goes_on(&mut world, 2);
            assert_eq!(world.frames(), [""; 0]);
        }
    }
}

#[test]
fn a_stream_that_breaks_the_rules_of_a_probe_is_closed_and_dropped() {
    let mut world = World::probing();
    world.text("4early");
    assert_eq!(world.frames(), ["close"]);
    assert_eq!(world.log(), ["close stream"]);

    let mut world = World::probing();
    world.frame(&Frame::from_finished(Bytes::from_static(b"\x81\x01\xff")));
    assert_eq!(world.frames(), ["close 1007"]);

    let mut world = World::probing();
    world.reads = false;
    world.text("4early");
    assert_eq!(world.log(), [""; 0]);
    let at = world.now + 500 * MS;
    assert_eq!(world.deadline(), at);
    world.answer(2, "2");
    world.wait(499 * MS);
    world.answer(3, "2");
    for (poll, _) in (6..).step_by(2).zip(0..11) {
        world.answer(poll - 2, "ok");
        world.wait(450 * MS);
        world.answer(poll - 1, "2");
    }
    assert!(world.log().contains(&"close stream".to_string()));
}

#[test]
fn a_probe_has_a_bounded_time() {
    for stage in 0..3 {
        let config = Config { upgrade_timeout: 400 * MS, ..config(UPGRADING) };
        let mut world = World::polling_with(config);
        assert_eq!(world.deadline(), world.now + 400 * MS);
        if stage > 0 {
            world.open_stream();
        }
        if stage > 1 {
            world.text("3probe");
        }
        world.frames();
        world.wait(399 * MS);
        assert_eq!(world.log(), [""; 0]);
        world.wait(MS);
        assert_eq!(world.log(), ["close stream"]);
        assert_eq!(world.frames().len(), usize::from(stage > 0));
        assert_polling_goes_on(&mut world, 2);
    }
}

#[test]
fn pings_of_the_websocket_are_answered_during_a_probe() {
    let mut world = World::probing();
    world.inbound.extend_from_slice(b"\x89\x01x\x8a\x00");
    world.text("3probe");
    world.inbound.extend_from_slice(b"\x89\x01y");
    world.answer(2, "6");
    assert_eq!(world.log(), ["upgraded"]);
    let mut frames = world.frames();
    frames.retain(|frame| frame != "pong [120]");
    assert_eq!(frames.len(), 2, "{frames:?}");
}

#[test]
fn a_session_that_ends_takes_its_probe_along() {
    for stage in 0..3 {
        let mut world = World::polling_with(config(UPGRADING));
        if stage > 0 {
            world.open_stream();
        }
        if stage > 1 {
            world.text("3probe");
        }
        world.respond(2, 400, "");
        assert_eq!(world.log(), ["closed: transport error: status 400", "close stream", "finished"]);
    }
}

#[test]
fn closed_while_the_probe_is_not_answered() {
    for opened in [false, true] {
        let mut world = World::polling_with(config(UPGRADING));
        if opened {
            world.open_stream();
        }
        world.frames();
        world.close();
        let mut log = world.log();
        log.sort();
        assert_eq!(log, ["3: POST 1", "close stream", "closed: forced close"]);
        assert_eq!(world.frames().len(), usize::from(opened));
        world.answer(3, "ok");
        assert_eq!(world.log(), ["2: cancelled", "finished"]);
    }
}

#[test]
fn closed_while_polling_comes_to_rest() {
    let mut world = World::probing();
    world.text("3probe");
    world.client.send(world.now, Packet::text("last")).unwrap();
    world.close();
    assert_eq!(world.log(), ["closed: forced close"], "it waits for the upgrade");
    world.answer(2, "4late\u{1e}6");
    assert_eq!(world.log(), [""; 0]);
    assert_eq!(world.frames(), ["5", "4last", "1", "close"]);
    world.end_stream();
    assert_eq!(world.log(), ["finished"]);
}

#[test]
fn closed_while_polling_comes_to_rest_and_then_the_probe_fails() {
    let mut world = World::probing();
    world.text("3probe");
    world.client.send(world.now, Packet::text("last")).unwrap();
    world.close();
    world.end_stream();
    assert_eq!(world.log(), ["closed: forced close", "3: POST 4last"]);
    world.answer(3, "ok");
    assert_eq!(world.log(), ["4: POST 1"]);
    world.answer(4, "ok");
    assert_eq!(world.log(), ["2: cancelled", "finished"]);
}

#[test]
fn closed_and_the_upgrade_never_settles() {
    let mut world = World::probing();
    world.text("3probe");
    world.close();
    world.wait(30_000 * MS);
    assert_eq!(world.log(), ["closed: forced close", "2: cancelled", "close stream", "finished"]);
}

#[test]
fn closed_before_the_upgrade_is_begun() {
    let mut world = World::new(config(UPGRADING));
    world.client.handle_response(world.now, RequestId(1), 200, HANDSHAKE.into());
    let Next::Opened = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    world.close();
    assert_eq!(world.log(), ["1: GET", "closed: forced close", "2: POST 1"]);
}

#[test]
fn ended_before_the_upgrade_is_begun() {
    let mut world = World::new(config(UPGRADING));
    world.answer(1, &format!("{HANDSHAKE}\u{1e}1"));
    assert_eq!(world.log(), ["1: GET", "opened", "closed: transport close", "finished"]);
}

#[test]
fn a_missed_ping_ends_the_session_in_the_middle_of_an_upgrade() {
    let mut world = World::probing();
    world.text("3probe");
    world.wait(500 * MS);
    assert_eq!(world.log(), ["closed: ping timeout", "2: cancelled", "close stream", "finished"]);
}
