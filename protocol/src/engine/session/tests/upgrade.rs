use super::*;

#[test]
fn row_31_the_probe_is_answered_on_the_stream_alone() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::polling();
        world.read_size = read_size;
        world.session.handle_stream(world.now).unwrap();
        world.text("2probe");
        assert_eq!(world.frames(), ["3probe"]);
        assert_eq!(world.log(), [""; 0]);
        assert_eq!(world.session.transport(), Transport::Polling);
        assert_eq!(world.session.heartbeat.due, world.now + 300 * MS);
    });
}

#[test]
fn the_stream_takes_over() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::polling();
        (world.read_size, world.echoes) = (read_size, true);
        world.session.handle_stream(world.now).unwrap();
        world.write(&[Frame::text("2probe"), Frame::text("5"), Frame::text("4hello"), Frame::binary(&[1])]);
        world.run();
        assert_eq!(world.log(), ["upgraded", "text hello", "binary [1]"]);
        assert_eq!(world.frames(), ["3probe", "4hello", "binary [1]"]);
        assert_eq!(world.session.transport(), Transport::WebSocket);
    });
}

#[test]
fn row_32_a_poll_that_is_pending_at_the_probe_is_released_at_once() {
    let mut world = World::polling();
    world.poll();
    world.session.handle_stream(world.now).unwrap();
    world.write(&[Frame::text("2probe"), Frame::text("5")]);
    world.run();
    assert_eq!(world.log(), ["2: 200 6", "upgraded"]);
}

#[test]
fn row_32_a_poll_after_the_probe_is_held_for_100_ms() {
    let mut world = World::probed();
    for id in [2, 3] {
        world.poll();
        assert_eq!(world.deadline(), world.now + 100 * MS);
        world.wait(99 * MS);
        assert_eq!(world.log(), [""; 0]);
        world.wait(MS);
        assert_eq!(world.log(), [format!("{id}: 200 6")]);
    }
}

#[test]
fn a_poll_behind_the_upgrade_is_a_bad_request_in_either_order() {
    let mut world = World::probed();
    world.poll();
    world.text("5");
    assert_eq!(world.log(), ["upgraded", format!("2: {BAD_REQUEST}").as_str()]);

    let mut world = World::probed();
    world.text("5");
    world.poll();
    assert_eq!(world.log(), ["upgraded", format!("2: {BAD_REQUEST}").as_str()]);
    world.text("4alive");
    assert_eq!(world.log(), ["text alive"]);
}

#[test]
fn rows_25_and_39_requests_after_the_upgrade_do_not_matter_to_the_session() {
    let mut world = World::probed();
    world.text("5");
    world.log();
    world.poll();
    world.poll();
    world.post("4a");
    let id = world.submit(ExchangeKind::Poll);
    world.abort(id);
    assert_eq!(world.log(), [2, 3, 4].map(|id| format!("{id}: {BAD_REQUEST}")));
}

#[test]
fn row_33_polling_goes_on_until_the_upgrade_and_what_waits_follows_it() {
    let mut world = World::probed();
    world.send("1");
    world.poll();
    world.post("4in");
    assert_eq!(world.log(), ["2: 200 41", "text in", "3: 200 ok"]);
    world.send("2");
    world.send("3");
    assert_eq!(world.frames(), [""; 0]);
    world.text("5");
    assert_eq!(world.frames(), ["42", "43"]);
    world.send("4");
    assert_eq!(world.frames(), ["44"]);
}

#[test]
fn what_the_new_stream_has_not_written_yet_comes_before_what_waited() {
    let mut world = World::polling();
    world.reads = false;
    world.send("waits");
    world.session.handle_stream(world.now).unwrap();
    world.text("2probe");
    let Next::Io(mut io) = world.session.next(world.now, &mut Input::empty()) else { panic!() };
    let begun: Vec<u8> = io.pending().flatten().copied().take(3).collect();
    io.written(3);
    world.outbound.extend(begun);
    world.text("5");
    world.reads = true;
    world.run();
    assert_eq!(world.frames(), ["3probe", "4waits"]);
    assert_eq!(world.session.queued(), 0);
}

#[test]
fn a_post_in_work_at_the_upgrade_is_told_first_and_answered() {
    let mut world = World::probed();
    world.submit(ExchangeKind::Post { body: Bytes::from_static(b"4posted"), binary: false });
    world.write(&[Frame::text("5"), Frame::text("4streamed")]);
    world.run();
    assert_eq!(world.log(), ["text posted", "2: 200 ok", "upgraded", "text streamed"]);
}

#[test]
fn row_34_an_upgrade_without_a_probe_is_accepted() {
    let mut world = World::polling();
    world.poll();
    world.session.handle_stream(world.now).unwrap();
    world.text("5");
    assert_eq!(world.log(), ["upgraded", "2: 200 6"]);
}

/// Polling works and nothing is lost.
fn assert_polling_goes_on(world: &mut World) {
    world.send("kept");
    world.poll();
    world.post("4in");
    let log = world.log();
    assert!(log[0].ends_with("200 4kept"), "{log:?}");
    assert_eq!(log[1], "text in");
    assert!(!world.session.is_over() && world.session.state == State::Open);
}

#[test]
fn row_35_a_failed_upgrade_does_not_kill_the_session() {
    whole_and_by_bytes(|read_size| {
        for frame in ["2foo", "40", "3", "1", "", "abc", "2"].map(Frame::text).into_iter().chain([Frame::binary(&[1])])
        {
            let mut world = World::polling();
            world.read_size = read_size;
            world.session.handle_stream(world.now).unwrap();
            world.write(&[frame, Frame::text("4late")]);
            world.run();
            assert_eq!(world.log(), ["close stream"]);
            assert_eq!(world.frames(), ["close"]);
            assert_polling_goes_on(&mut world);
            assert_eq!(world.session.handle_stream(world.now), Ok(()));
        }
    });
}

#[test]
fn a_stream_that_breaks_the_rules_before_the_upgrade_is_closed_with_its_code() {
    for (bytes, code) in
        [([0xa1, 0x80, 0, 0, 0, 0].as_slice(), "close 1002"), (&[0x81, 0x81, 0, 0, 0, 0, 0xff], "close 1007")]
    {
        let mut world = World::polling();
        world.session.handle_stream(world.now).unwrap();
        world.inbound = bytes.to_vec();
        world.run();
        assert_eq!(world.log(), ["close stream"]);
        assert_eq!(world.frames(), [code]);
        assert_polling_goes_on(&mut world);
    }
}

#[test]
fn row_36_a_stream_that_ends_before_the_upgrade_costs_nothing() {
    let mut world = World::probed();
    world.poll();
    world.end_stream();
    world.wait(100 * MS);
    assert_eq!(world.log(), [""; 0], "the poll is held as ever");
    world.send("kept");
    assert_eq!(world.log(), ["2: 200 4kept"]);
    assert_polling_goes_on(&mut world);

    let mut world = World::probed();
    world.poll();
    world.text("4");
    world.wait(100 * MS);
    assert_eq!(world.log(), ["close stream"], "the poll is held as ever");

    let mut world = World::probed();
    world.frame(Frame::close(Some(CloseCode::NORMAL)));
    assert_eq!(world.log(), ["close stream"]);
    assert_eq!(world.frames(), ["close 1000"]);
    assert_polling_goes_on(&mut world);
}

#[test]
fn row_38_an_upgrade_that_is_started_and_never_finished_leaks_nothing() {
    let config = Config { upgrade_timeout: 50 * MS, ..config() };
    for probes in [false, true] {
        let mut world = World::polling_with(config.clone());
        world.session.handle_stream(world.now).unwrap();
        if probes {
            world.text("2probe");
            assert_eq!(world.frames(), ["3probe"]);
        }
        assert_eq!(world.deadline(), world.now + 50 * MS);
        world.wait(49 * MS);
        assert_eq!(world.log(), [""; 0]);
        world.wait(MS);
        assert_eq!(world.log(), ["close stream"]);
        assert_eq!(world.frames(), ["close"]);
        assert_eq!(world.session.probe, None);
        assert_polling_goes_on(&mut world);
        world.wait(300 * MS);
        world.wait(200 * MS);
        assert_eq!(world.log().last().unwrap(), "finished");
    }
}

#[test]
fn a_failed_stream_that_reads_nothing_is_dropped_all_the_same() {
    let mut world = World::polling_with(Config { ping_interval: 60_000 * MS, ..config() });
    world.reads = false;
    world.session.handle_stream(world.now).unwrap();
    world.text("2foo");
    assert_eq!(world.deadline(), world.now + LINGER);
    world.wait(LINGER);
    assert_eq!(world.log(), ["close stream"]);
    assert_polling_goes_on(&mut world);
}

#[test]
fn row_37_a_second_stream_is_refused_and_the_first_goes_on() {
    let mut world = World::probed();
    assert_eq!(world.session.handle_stream(world.now).unwrap_err().goodbye.as_ref(), [0x88, 0]);
    world.text("5");
    assert_eq!(world.log(), ["upgraded"]);
    assert!(world.session.handle_stream(world.now).is_err());
    world.text("4alive");
    assert_eq!(world.log(), ["text alive"]);
}

#[test]
fn row_40_closing_during_an_upgrade_says_goodbye_by_polling() {
    let mut world = World::polling();
    world.session.handle_stream(world.now).unwrap();
    world.send("last");
    world.close();
    assert_eq!(world.log(), ["closed: forced close", "close stream"]);
    assert_eq!(world.frames(), ["close"]);
    world.poll();
    assert_eq!(world.log(), ["2: 200 4last\u{1e}1", "finished"]);
}

#[test]
fn row_40_closing_behind_an_answered_probe_says_goodbye_where_the_client_goes_on() {
    let closed = || {
        let mut world = World::probed();
        world.send("last");
        world.close();
        assert_eq!(world.log(), ["closed: forced close"]);
        world
    };
    let mut world = closed();
    world.poll();
    assert_eq!(world.log(), ["2: 200 4last\u{1e}1", "close stream", "finished"]);
    assert_eq!(world.frames(), ["close"]);

    let mut world = closed();
    world.text("5");
    assert_eq!(world.frames(), ["4last", "close"]);
    world.write(&[Frame::close(None)]);
    world.run();
    assert_eq!(world.log(), ["close stream", "finished"]);

    let mut world = closed();
    (0..100).for_each(|_| world.wait(1000 * MS));
    assert_eq!(world.log(), ["close stream", "finished"]);
}

#[test]
fn a_session_that_ends_during_an_upgrade_drops_the_stream() {
    let mut world = World::probed();
    world.post("1");
    assert_eq!(world.log(), ["closed: transport close", "2: 200 ok", "close stream"]);
    assert_eq!(world.frames(), ["close"]);
}

#[test]
fn no_stream_is_taken_by_a_session_that_is_over() {
    let mut world = World::polling();
    world.close();
    assert!(world.session.handle_stream(world.now).is_err());
    world.poll();
    assert!(world.session.handle_stream(world.now).is_err());
}

#[test]
fn the_heartbeat_goes_on_through_an_upgrade() {
    let mut world = World::probed();
    world.wait(300 * MS);
    assert_eq!(world.frames(), [""; 0]);
    world.text("5");
    assert_eq!(world.frames(), ["2"]);
    world.wait(199 * MS);
    assert_eq!(world.log(), ["upgraded"]);
    world.wait(MS);
    assert_eq!(world.log(), ["closed: ping timeout"]);
}

#[test]
fn probes_that_pile_up_are_answered_once() {
    let mut world = World::polling();
    world.reads = false;
    world.session.handle_stream(world.now).unwrap();
    world.write(&vec![Frame::text("2probe"); 1000]);
    world.run();
    world.reads = true;
    world.run();
    assert_eq!(world.frames(), ["3probe"]);
    world.text("2probe");
    assert_eq!(world.frames(), ["3probe"]);
}

#[test]
fn a_paused_upgrade_goes_on_later() {
    let mut world = World::probed();
    world.session.pause(world.now, true);
    assert!(!world.reads_input());
    world.write(&[Frame::text("5"), Frame::text("4a")]);
    world.run();
    assert_eq!(world.log(), [""; 0]);
    world.session.pause(world.now, false);
    world.run();
    assert_eq!(world.log(), ["upgraded", "text a"]);
}
