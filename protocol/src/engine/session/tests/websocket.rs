use super::*;

#[test]
fn the_open_packet_is_the_first_frame_and_offers_no_upgrades() {
    let mut world = World::new(config(), Transport::WebSocket);
    world.run();
    let id = world.session.id();
    assert_eq!(
        world.frames(),
        [format!(
            r#"0{{"sid":"{}","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}}"#,
            id.as_str()
        )]
    );
}

#[test]
fn rows_47_and_48_messages_are_text_frames_binary_frames_and_base64() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        (world.read_size, world.echoes) = (read_size, true);
        world.write(&[
            Frame::text("4hello"),
            Frame::binary(&[1, 2, 3, 4]),
            Frame::text("4"),
            Frame::binary(&[]),
            Frame::text("bAQID"),
            Frame::text("4€"),
        ]);
        world.run();
        assert_eq!(
            world.log(),
            ["text hello", "binary [1, 2, 3, 4]", "text ", "binary []", "binary [1, 2, 3]", "text €"]
        );
        assert_eq!(world.frames(), ["4hello", "binary [1, 2, 3, 4]", "4", "binary []", "binary [1, 2, 3]", "4€"]);
    });
}

#[test]
fn row_43_a_client_that_closes_is_answered_by_a_close_frame() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        world.read_size = read_size;
        world.write(&[Frame::text("1"), Frame::text("4late")]);
        world.run();
        assert_eq!(world.log(), ["closed: transport close"]);
        assert_eq!(world.frames(), ["close"]);
        world.frame(Frame::close(None));
        assert_eq!(world.log(), ["close stream", "finished"]);
    });
}

#[test]
fn row_44_a_ping_from_the_client_is_the_wrong_direction() {
    let mut world = World::websocket();
    world.text("2");
    assert_eq!(world.log(), ["closed: transport error"]);
    assert_eq!(world.frames(), ["close"]);
}

#[test]
fn row_46_packets_that_cannot_be_read_end_the_session() {
    whole_and_by_bytes(|read_size| {
        for bad in ["", "7", "abc", "b!", "€€"] {
            let mut world = World::websocket();
            world.read_size = read_size;
            world.write(&[Frame::text("4good"), Frame::text(bad), Frame::text("4late")]);
            world.run();
            assert_eq!(world.log(), ["text good", "closed: parse error"], "{bad:?}");
            assert_eq!(world.frames(), ["close"]);
        }
    });
}

#[test]
fn row_41_stray_packets_are_ignored() {
    let mut world = World::websocket();
    world.write(&[Frame::text("5"), Frame::text("6"), Frame::text("0{}"), Frame::text("4a")]);
    world.run();
    assert_eq!(world.log(), ["text a"]);
    assert_eq!(world.frames(), [""; 0]);
}

#[test]
fn row_49_a_message_over_the_limit_is_closed_with_1009() {
    let mut world = World::websocket_with(Config { max_payload: 100, ..config() });
    world.text(&format!("4{}", "x".repeat(99)));
    assert_eq!(world.log().len(), 1);
    world.text(&format!("4{}", "x".repeat(100)));
    assert_eq!(world.log(), ["closed: transport error"]);
    assert_eq!(world.frames(), ["close 1009"]);
}

#[test]
fn cve_2022_21676_a_frame_that_breaks_the_rules_is_closed_with_its_code() {
    for (bytes, code) in [
        ([0xa1, 0x80, 0, 0, 0, 0].as_slice(), "close 1002"),
        (&[0x81, 0x82, 0, 0, 0, 0, b'4', 0xff], "close 1007"),
        (&[0x81, 0x82, 0, 0, 0, 0, b'3', 0xff], "close 1007"),
        (&[0x81, 0x82, 0, 0, 0, 0, b'b', 0xff], "close 1007"),
        (&[0x81, 0x01, b'4'], "close 1002"),
    ] {
        whole_and_by_bytes(|read_size| {
            let mut world = World::websocket();
            world.read_size = read_size;
            world.inbound = bytes.to_vec();
            world.text("4late");
            assert_eq!(world.log(), ["closed: transport error"]);
            assert_eq!(world.frames(), [code]);
            world.end_stream();
            assert_eq!(world.log(), ["finished"]);
        });
    }
}

#[test]
fn row_50_pings_of_the_websocket_are_answered() {
    let mut world = World::websocket();
    let mut ping = Vec::new();
    Frame::pong(b"hi").write_masked([0; 4], &mut ping);
    ping[0] = 0x89;
    world.inbound = ping.clone();
    world.run();
    assert_eq!(world.frames(), ["pong [104, 105]"]);
    world.frame(Frame::pong(b"unasked"));
    assert_eq!((world.log().len(), world.frames().len()), (0, 0));
}

#[test]
fn pings_that_pile_up_are_answered_by_the_latest_pong() {
    let mut world = World::websocket();
    world.reads = false;
    for number in 0..100 {
        let mut ping = Vec::new();
        Frame::pong(&[number]).write_masked([0; 4], &mut ping);
        ping[0] = 0x89;
        world.inbound.extend(ping);
    }
    world.run();
    assert_eq!(world.session.queued(), 3 + Packet::OVERHEAD);
    world.reads = true;
    world.run();
    assert_eq!(world.frames(), ["pong [0]", "pong [99]"]);
    assert_eq!(world.session.queued(), 0);
}

#[test]
fn no_pong_follows_the_close_frame() {
    let mut world = World::websocket();
    world.reads = false;
    ping_twice(&mut world);
    world.session.close(world.now, CloseReason::ForcedClose);
    world.reads = true;
    world.run();
    let end = [Frame::pong(&[0]), Frame::close(None)];
    assert!(world.outbound.ends_with(&end.iter().flat_map(Frame::as_bytes).copied().collect::<Vec<_>>()));
}

#[test]
fn no_pong_follows_the_close_frame_of_a_failed_upgrade() {
    let mut world = World::polling();
    world.session.handle_stream(world.now).unwrap();
    world.reads = false;
    ping_twice(&mut world);
    world.text("4not a probe");
    world.reads = true;
    world.run();
    let end = [Frame::pong(&[0]), Frame::close(None)];
    assert!(world.outbound.ends_with(&end.iter().flat_map(Frame::as_bytes).copied().collect::<Vec<_>>()));
}

#[test]
fn no_pong_follows_the_close_frame_of_an_upgrade_behind_the_close() {
    let mut world = World::probed();
    world.session.close(world.now, CloseReason::ForcedClose);
    world.reads = false;
    ping_twice(&mut world);
    world.text("5");
    world.reads = true;
    world.run();
    let end = [Frame::pong(&[0]), Frame::close(None)];
    assert!(world.outbound.ends_with(&end.iter().flat_map(Frame::as_bytes).copied().collect::<Vec<_>>()));
}

fn ping_twice(world: &mut World) {
    for number in 0..2 {
        let start = world.inbound.len();
        Frame::pong(&[number]).write_masked([0; 4], &mut world.inbound);
        world.inbound[start] = 0x89;
    }
    world.run();
}

#[test]
fn row_51_the_server_closes_without_a_status_behind_what_waits() {
    let mut world = World::websocket();
    world.session.send(Packet::text("last")).unwrap();
    world.close();
    assert_eq!(world.log(), ["closed: forced close"]);
    assert_eq!(world.frames(), ["4last", "close"]);
    assert!(world.reads_input());
    let Next::Io(io) = world.session.next(world.now, &mut Input::empty()) else { panic!() };
    assert!(!io.wants_shutdown(), "the client may say goodbye as well");
    world.inbound = vec![0x89, 0x80, 0, 0, 0, 0];
    world.write(&[Frame::text("4late"), Frame::text("2"), Frame::text("1"), Frame::close(None)]);
    world.run();
    assert_eq!(world.log(), ["close stream", "finished"]);
    assert!(world.outbound.is_empty(), "nothing follows a close frame");
}

#[test]
fn a_close_from_the_client_is_echoed() {
    for (code, echo) in [(None, "close"), (Some(CloseCode::NORMAL), "close 1000")] {
        let mut world = World::websocket();
        world.frame(Frame::close(code));
        assert_eq!(world.log(), ["closed: transport close", "close stream", "finished"]);
        assert_eq!(world.frames(), [echo]);
    }
}

#[test]
fn the_goodbye_once_written_makes_the_machine_due_at_once() {
    let close: fn(&mut World) = |world| world.write(&[Frame::close(None)]);
    let fault: fn(&mut World) = |world| world.inbound = vec![0xff; 20];
    for (goodbye, due) in [(close, true), (fault, false)] {
        let mut world = World::websocket();
        goodbye(&mut world);
        let mut bytes = mem::take(&mut world.inbound);
        let mut input = Input::new(&mut bytes);
        assert!(matches!(world.session.next(world.now, &mut input), Next::Closed(_)));
        let Next::Io(mut io) = world.session.next(world.now, &mut input) else { panic!() };
        assert!(io.deadline() > world.now && !io.wants_shutdown());
        let count = io.pending().map(<[u8]>::len).sum();
        io.written(count);
        assert_eq!((io.deadline() == world.now, io.wants_shutdown()), (due, !due));
    }
}

#[test]
fn after_a_fault_the_stream_is_shut_down_and_what_still_comes_is_discarded() {
    let mut world = World::websocket();
    world.inbound = vec![0xff; 20];
    world.run();
    assert_eq!(world.frames(), ["close 1002"]);
    world.write(&[Frame::text("4late"), Frame::close(None)]);
    world.run();
    assert_eq!(world.log(), ["closed: transport error"]);
    assert!(world.reads_input());
    world.wait(LINGER);
    assert_eq!(world.log(), ["close stream", "finished"]);
}

#[test]
fn the_close_frame_comes_behind_the_frame_that_is_on_its_way() {
    let mut world = World::websocket();
    ["begun", "waits"].iter().for_each(|text| world.session.send(Packet::text(text)).unwrap());
    let Next::Io(mut io) = world.session.next(world.now, &mut Input::empty()) else { panic!() };
    let begun: Vec<u8> = io.pending().flatten().copied().take(3).collect();
    io.written(begun.len());
    world.outbound.extend(begun);
    world.inbound = vec![0xff; 20];
    world.run();
    assert_eq!(world.frames(), ["4begun", "close 1002"]);
}

#[test]
fn an_abort_waits_for_nobody() {
    let mut world = World::websocket();
    world.reads = false;
    world.send("x");
    world.session.abort(world.now, CloseReason::TransportError);
    world.run();
    assert_eq!(world.log(), ["closed: transport error", "close stream", "finished"]);
    assert_eq!(world.session.queued(), 0);
}

#[test]
fn a_stream_that_ends_ends_the_session() {
    let mut world = World::websocket();
    world.end_stream();
    assert_eq!(world.log(), ["closed: transport close", "finished"]);
}

#[test]
fn a_client_that_does_not_answer_the_close_is_waited_for_only_so_long() {
    let mut world = World::websocket();
    world.close();
    assert_eq!(world.deadline(), world.now + LINGER);
    world.wait(LINGER);
    assert_eq!(world.log(), ["closed: forced close", "close stream", "finished"]);
}

#[test]
fn a_client_that_does_not_read_the_goodbye_is_waited_for_only_so_long() {
    let mut world = World::websocket();
    world.reads = false;
    world.send("x");
    world.close();
    assert_eq!(world.deadline(), world.now + 30_000 * MS);
    world.wait(30_000 * MS);
    assert_eq!(world.log(), ["closed: forced close", "close stream", "finished"]);
    assert_eq!(world.session.queued(), 0);
}

#[test]
fn an_overflow_ends_the_session_at_once() {
    let mut world = World::websocket_with(Config { max_queued: 1000, ..config() });
    world.session.send(Packet::text("begun")).unwrap();
    world.session.send(Packet::text("waits")).unwrap();
    let Next::Io(mut io) = world.session.next(world.now, &mut Input::empty()) else { panic!() };
    let begun: Vec<u8> = io.pending().flatten().copied().take(3).collect();
    io.written(3);
    world.outbound.extend(begun);
    assert_eq!(world.session.send(Packet::text(&"x".repeat(1000))), Err(SendError::Overflow));
    assert_eq!(SendError::Overflow.to_string(), "too many bytes wait to be sent");
    world.run();
    assert_eq!(world.log(), ["closed: transport error", "close stream", "finished"]);
    assert_eq!((world.frames(), world.session.queued()), (Vec::new(), 0));
}

#[test]
fn requests_to_a_websocket_session_are_refused_and_do_not_matter_to_it() {
    let mut world = World::websocket();
    world.poll();
    world.post("4a");
    let aborted = world.submit(ExchangeKind::Poll);
    world.abort(aborted);
    assert_eq!(world.log(), [format!("1: {BAD_REQUEST}"), format!("2: {BAD_REQUEST}")]);
    assert_eq!(world.session.exchanges, None);
    world.text("4alive");
    assert_eq!(world.log(), ["text alive"]);
    world.close();
    world.poll();
    assert_eq!(world.log(), ["closed: forced close", format!("4: {UNKNOWN}").as_str()]);
}

#[test]
fn output_that_was_offered_does_not_pull_the_deadline_in() {
    let mut world = World::websocket();
    world.reads = false;
    let deadline = world.deadline();
    world.send("x");
    assert_eq!(world.deadline(), deadline);
}

#[test]
fn a_websocket_is_writable_while_nothing_waits() {
    let mut world = World::websocket();
    assert!(world.session.is_writable());
    world.reads = false;
    world.send("x");
    assert!(!world.session.is_writable());
    world.reads = true;
    world.run();
    assert!(world.session.is_writable());
    world.close();
    assert!(!world.session.is_writable());
}

#[test]
fn an_idle_websocket_holds_no_buffers() {
    let mut world = World::websocket();
    (world.echoes, world.read_size) = (true, 7);
    world.write(&[Frame::text(&format!("4{}", "x".repeat(9000))), Frame::text("bAQID"), Frame::text("3")]);
    world.run();
    assert_eq!(world.session.decoded.capacity(), 0);
    assert_eq!(world.session.exchanges, None);
    assert_eq!(world.session.queue, Queue::default());
}

#[test]
fn a_paused_session_reads_nothing_and_loses_nothing() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        world.read_size = read_size;
        world.session.pause(world.now, true);
        assert!(!world.reads_input());
        world.write(&[Frame::text("4a"), Frame::text("4b")]);
        world.run();
        world.send("out");
        world.wait(60_000 * MS);
        assert_eq!(world.log(), [""; 0]);
        assert_eq!(world.frames(), ["4out"]);
        world.session.pause(world.now, false);
        world.run();
        assert_eq!(world.log(), ["text a", "text b"]);
        assert!(world.reads_input());
        assert_eq!(world.deadline(), world.now + 300 * MS);
    });
}

#[test]
fn a_large_message_is_read_straight_into_the_session() {
    let mut world = World::websocket();
    let mut bytes = Vec::new();
    Frame::binary(&[5; 100_000]).write_masked([9; 4], &mut bytes);
    let tail = bytes.split_off(100);
    world.inbound = bytes;
    world.run();
    let mut tail = tail.as_slice();
    let mut direct = 0;
    while !tail.is_empty() {
        let Next::Io(mut io) = world.session.next(world.now, &mut Input::empty()) else { panic!() };
        let Some(room) = io.read_target() else { break };
        let count = room.len().min(tail.len());
        room[..count].copy_from_slice(&tail[..count]);
        io.filled(count);
        direct += count;
        tail = &tail[count..];
    }
    assert!(direct > 90_000);
    world.inbound = tail.to_vec();
    world.run();
    assert_eq!(world.log(), [format!("binary {:?}", [5; 100_000])]);
}

#[test]
fn a_second_stream_is_refused() {
    let mut world = World::websocket();
    let refused = world.session.handle_stream(world.now).unwrap_err();
    assert_eq!(refused.goodbye.as_ref(), [0x88, 0]);
    world.text("4alive");
    assert_eq!(world.log(), ["text alive"]);
}

#[test]
fn who_writes_a_part_of_some_frames_hands_over_the_rest() {
    let frames: Vec<u8> = ["4one", "4two"].iter().flat_map(|text| Frame::text(text).as_bytes().to_vec()).collect();
    for written in 0..=frames.len() {
        let mut world = World::websocket();
        assert!(world.session.is_clear());
        world.outbound.extend_from_slice(&frames[..written]);
        world.session.send_frames(Bytes::copy_from_slice(&frames)).unwrap();
        world.session.handle_written(written);
        assert_eq!(world.session.is_clear(), written == frames.len());
        world.session.send(Packet::text("three")).unwrap();
        world.run();
        assert_eq!(world.frames(), ["4one", "4two", "4three"], "{written}");
        assert!(world.session.is_clear() && world.session.queued() == 0);
    }
}

#[test]
fn only_a_silent_stream_that_carries_messages_is_clear() {
    let mut world = World::polling();
    assert!(!world.session.is_clear(), "there is no stream");
    world.session.handle_stream(world.now).unwrap();
    assert!(!world.session.is_clear(), "it does not carry messages yet");
    world.write(&[Frame::text("2probe"), Frame::text("5")]);
    world.run();
    assert!(world.session.is_clear());
    world.session.send(Packet::text("waits")).unwrap();
    assert!(!world.session.is_clear());
    world.run();
    world.close();
    assert!(!world.session.is_clear(), "nothing follows the goodbye");
}
