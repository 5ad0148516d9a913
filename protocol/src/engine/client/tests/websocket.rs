use super::*;

#[test]
fn what_was_read_counts_before_the_time_that_has_passed() {
    let mut world = World::websocket();
    world.now += 500 * MS;
    for text in ["4a", "2", "4b"] {
        world.inbound.extend_from_slice(Frame::text(text).as_bytes());
    }
    world.run();
    assert_eq!((world.log(), world.pings), (vec!["text a".to_string(), "text b".to_string()], 1));
    assert_eq!(world.frames(), ["3"]);
    assert_eq!(world.deadline(), world.now + 500 * MS);
    world.now += 500 * MS;
    world.text("4c");
    assert_eq!(world.log(), ["text c", "closed: ping timeout"], "no other message keeps it alive");
    let mut world = World::new(config(WEBSOCKET));
    world.open_stream();
    world.log();
    world.now += 20_000 * MS;
    world.text(HANDSHAKE);
    assert_eq!(world.log(), ["opened"]);
}

#[test]
fn messages_both_ways() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        world.read_size = read_size;
        for frame in [Frame::text("4hello"), Frame::binary(&[4, 255]), Frame::text("4"), Frame::text("bAQID")] {
            world.inbound.extend_from_slice(frame.as_bytes());
        }
        world.run();
        assert_eq!(world.log(), ["text hello", "binary [4, 255]", "text ", "binary [1, 2, 3]"]);
        world.send("€");
        world.client.send(world.now, Packet::binary(&[1])).unwrap();
        world.run();
        assert_eq!(world.frames(), ["4€", "binary [1]"]);
    });
}

#[test]
fn a_large_message_is_read_straight_into_the_client() {
    let mut world = World::websocket();
    let mut head = Frame::binary(&[5; 100_000]).as_bytes().to_vec();
    let tail = head.split_off(100);
    world.inbound = head;
    world.run();
    let mut tail = &tail[..];
    while !tail.is_empty() {
        let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
        let Some(room) = io.read_target() else { break };
        let count = room.len().min(tail.len());
        assert!(count > 0, "there is room");
        room[..count].copy_from_slice(&tail[..count]);
        io.filled(count);
        tail = &tail[count..];
    }
    assert!(tail.len() < 10_000);
    world.inbound = tail.to_vec();
    world.run();
    assert_eq!(world.log(), [format!("binary {:?}", [5; 100_000])]);
}

#[test]
fn a_packet_of_several_frames_and_a_run_of_packets_are_masked_one_by_one() {
    let mut world = World::websocket();
    let rest: Arc<[Frame]> = Arc::from([Frame::binary(&[1]), Frame::binary(&[])]);
    world.client.send(world.now, Packet::from_frames(Frame::text("451-[]"), Some(rest))).unwrap();
    let run = [Frame::text("4a"), Frame::text("4b")].map(|frame| frame.as_bytes().to_vec()).concat();
    world.client.send_frames(world.now, run.into()).unwrap();
    let Next::Io(io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    assert_eq!(io.pending().count(), 1, "one write for all of it");
    world.run();
    assert_eq!(world.frames(), ["451-[]", "binary [1]", "binary []", "4a", "4b"]);
}

#[test]
fn every_frame_has_a_key_of_its_own() {
    let mut world = World::websocket();
    (0..2).for_each(|_| world.client.send(world.now, Packet::text("same")).unwrap());
    let Next::Io(io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    let bytes: Vec<u8> = io.pending().flatten().copied().collect();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_ne!(first, second);
}

#[test]
fn bytes_are_offered_until_they_are_written_whatever_the_portions() {
    for portion in [1, 2, 7, 70_000] {
        let mut world = World::websocket();
        let large = "x".repeat(100_000);
        world.client.send(world.now, Packet::text(&large)).unwrap();
        world.client.send(world.now, Packet::text("1")).unwrap();
        let queued = world.client.queued();
        let mut left = usize::MAX;
        loop {
            let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
            let bytes: Vec<u8> = io.pending().flatten().copied().take(portion).collect();
            if bytes.is_empty() {
                break;
            }
            io.written(bytes.len());
            world.outbound.extend(bytes);
            assert!(world.client.queued() < left);
            left = world.client.queued();
        }
        assert!(queued > 100_000 && left == 0);
        assert_eq!(world.frames(), [format!("4{large}"), "41".to_string()]);
    }
}

#[test]
fn what_is_queued_beyond_a_batch_is_offered_when_that_is_written() {
    let mut world = World::websocket();
    (0..100).for_each(|_| world.client.send(world.now, Packet::text(&"x".repeat(2000))).unwrap());
    let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    let mut batches = 0;
    loop {
        let len = io.pending().next().map_or(0, <[u8]>::len);
        if len == 0 {
            break;
        }
        assert!(len < (64 << 10) + 2100);
        io.written(len);
        batches += 1;
    }
    assert_eq!(batches, 4);
}

#[test]
fn a_stream_that_is_not_written_is_no_place_for_what_is_volatile() {
    let mut world = World::websocket();
    assert!(world.client.is_writable());
    world.reads = false;
    world.send("a");
    assert!(!world.client.is_writable());
    world.reads = true;
    world.run();
    assert!(world.client.is_writable());
}

#[test]
fn a_ping_is_answered_and_starts_the_time_anew() {
    whole_and_by_bytes(|read_size| {
        let mut world = World::websocket();
        world.read_size = read_size;
        for _ in 0..5 {
            world.wait(499 * MS);
            world.text("2");
            assert_eq!(world.frames(), ["3"]);
            assert_eq!(world.deadline(), world.now + 500 * MS);
        }
        world.text("4no ping");
        assert_eq!(world.log(), ["text no ping"]);
        world.wait(500 * MS);
        assert_eq!(world.log(), ["closed: ping timeout"]);
        assert_eq!(world.frames(), ["close"]);
        world.wait(5000 * MS);
        assert_eq!(world.log(), ["close stream", "finished"]);
    });
}

#[test]
fn pings_without_reading_leave_one_pong() {
    let mut world = World::websocket();
    world.reads = false;
    world.send("first");
    for _ in 0..1000 {
        world.text("2");
        world.frame(&Frame::from_finished(Bytes::from_static(b"\x89\x01x")));
    }
    world.inbound.extend_from_slice(b"\x89\x01y");
    world.run();
    assert!(world.client.queued() < 100);
    world.reads = true;
    world.run();
    assert_eq!(world.frames(), ["4first", "pong [121]", "3"]);
}

#[test]
fn a_timer_that_was_throttled_does_not_let_anything_be_sent() {
    let mut world = World::websocket();
    world.now += 499 * MS;
    assert_eq!(world.client.send(world.now, Packet::text("in time")), Ok(()));
    world.now += MS;
    assert_eq!(world.client.send(world.now, Packet::text("late")), Err(SendError::Closed));
    world.run();
    assert_eq!(world.log(), ["closed: ping timeout"]);
    assert_eq!(world.frames(), ["close"]);
}

#[test]
fn row_41_stray_packets_are_ignored() {
    let mut world = World::websocket();
    for packet in ["0{}", HANDSHAKE, "3", "3probe", "5", "6"] {
        world.text(packet);
    }
    world.text("4alive");
    assert_eq!(world.log(), ["text alive"]);
    assert_eq!(world.client.handshake().unwrap().sid(), "abc");
}

#[test]
fn whatever_ends_the_session() {
    type Fault = fn(&mut World);
    let faults: [(Fault, &str, &[&str]); 10] = [
        (|world| world.text("1"), "transport close", &["close"]),
        (
            |world| world.frame(&Frame::close(Some(CloseCode(1001)))),
            "transport close: close code 1001",
            &["close 1001"],
        ),
        (|world| world.frame(&Frame::close(None)), "transport close", &["close"]),
        (|world| world.end_stream(), "transport close: the stream has ended", &[]),
        (|world| world.fail_stream(), "transport error: refused", &[]),
        (|world| world.text("7"), "parse error", &["close"]),
        (|world| world.text(""), "parse error", &["close"]),
        (|world| world.text("b!"), "parse error", &["close"]),
        (
            |world| world.frame(&Frame::from_finished(Bytes::from_static(b"\x81\x824a"))),
            "transport error: close code 1002",
            &["close 1002"],
        ),
        (
            |world| world.frame(&Frame::from_finished(Bytes::from_static(b"\x81\x024\xff"))),
            "transport error: close code 1007",
            &["close 1007"],
        ),
    ];
    for (fault, reason, frames) in faults {
        for read_size in [usize::MAX, 1] {
            let mut world = World::websocket();
            world.read_size = read_size;
            fault(&mut world);
            assert_eq!(world.client.send(world.now, Packet::text("late")), Err(SendError::Closed));
            world.text("4late");
            assert_eq!(world.log()[0], format!("closed: {reason}"));
            assert_eq!(world.frames(), frames, "{reason}");
            world.wait(5000 * MS);
            assert_eq!(world.log().last().unwrap(), "finished");
        }
    }
}

#[test]
fn what_is_queued_is_not_sent_to_a_server_that_has_closed() {
    let mut world = World::websocket();
    world.reads = false;
    world.send(&"x".repeat(100_000));
    world.send("lost");
    world.text("1");
    world.reads = true;
    world.run();
    assert_eq!(world.frames()[1..], ["close"]);
}

#[test]
fn the_goodbye_comes_behind_what_is_queued_and_waits_for_the_server_s() {
    let mut world = World::websocket();
    world.client.send(world.now, Packet::text("a")).unwrap();
    world.close();
    assert_eq!(world.log(), ["closed: forced close"]);
    assert_eq!(world.frames(), ["4a", "1", "close"]);
    assert_eq!(world.deadline(), world.now + 5000 * MS);
    world.text("4late");
    world.text("2");
    world.frame(&Frame::from_finished(Bytes::from_static(b"\x89\x01x")));
    world.close();
    assert!(world.outbound.is_empty(), "nothing follows a close frame");
    assert_eq!(world.log(), [""; 0]);
    world.frame(&Frame::close(None));
    assert_eq!(world.log(), ["close stream", "finished"]);
    assert_eq!(world.frames(), [""; 0]);
}

#[test]
fn a_server_that_does_not_read_the_goodbye_is_left() {
    let mut world = World::websocket();
    world.reads = false;
    world.send("a");
    world.close();
    assert_eq!(world.deadline(), world.now + 30_000 * MS);
    world.wait(30_000 * MS);
    assert_eq!(world.log(), ["closed: forced close", "close stream", "finished"]);
}

#[test]
fn a_server_cannot_put_off_the_end() {
    let mut world = World::websocket();
    world.close();
    let deadline = world.deadline();
    for _ in 0..4 {
        world.wait(1000 * MS);
        for packet in ["1", "7", "2", "4a"] {
            world.text(packet);
        }
        assert_eq!(world.deadline(), deadline);
    }
}

#[test]
fn a_server_that_closes_while_we_do_is_answered_once() {
    let mut world = World::websocket();
    world.reads = false;
    world.send(&"x".repeat(100_000));
    world.close();
    world.frame(&Frame::close(Some(CloseCode::NORMAL)));
    world.reads = true;
    world.run();
    assert_eq!(world.frames()[1..], ["close 1000"]);
    assert_eq!(world.log(), ["closed: forced close", "close stream", "finished"]);
}

#[test]
fn a_server_that_closes_late_gets_no_more_time_than_there_was() {
    let mut world = World::websocket();
    world.reads = false;
    world.send(&"x".repeat(100_000));
    world.send("behind it");
    world.close();
    let deadline = world.deadline();
    world.wait(28_000 * MS);
    world.text("1");
    assert_eq!(world.deadline(), deadline);
}

#[test]
fn a_decoded_message_is_freed() {
    let mut world = World::websocket();
    world.text("bAQID");
    world.text("4a");
    assert_eq!(world.log(), ["binary [1, 2, 3]", "text a"]);
    assert_eq!(world.client.decoded.capacity(), 0);
}

#[test]
fn an_idle_stream_holds_no_buffer() {
    let mut world = World::websocket();
    (0..100).for_each(|_| world.client.send(world.now, Packet::text(&"x".repeat(2000))).unwrap());
    world.run();
    assert!(world.client.stream.as_ref().unwrap().out.capacity() <= 4 << 10);
    world.text("2");
    assert!(world.client.stream.as_ref().unwrap().out.capacity() < 64);
}
