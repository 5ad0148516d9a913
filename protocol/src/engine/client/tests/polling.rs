use super::*;

#[test]
fn messages_both_ways() {
    let mut world = World::polling();
    world.answer(2, "4a\u{1e}bAQI=\u{1e}6\u{1e}4b");
    assert_eq!(world.log(), ["text a", "binary [1, 2]", "text b", "3: GET"]);
    world.client.send(world.now, Packet::text("c")).unwrap();
    world.client.send(world.now, Packet::binary(&[1, 2])).unwrap();
    world.run();
    assert_eq!(world.log(), ["4: POST 4c\u{1e}bAQI="]);
}

#[test]
fn one_post_at_a_time_and_in_order() {
    let mut world = World::polling();
    assert!(world.client.is_writable());
    world.send("a");
    assert!(!world.client.is_writable());
    world.send("b");
    world.send("c");
    assert_eq!(world.log(), ["3: POST 4a"]);
    assert_eq!(world.client.queued(), 2 + 2 * (4 + Packet::OVERHEAD));
    world.answer(3, "ok");
    assert_eq!(world.log(), ["4: POST 4b\u{1e}4c"]);
    assert_eq!(world.client.queued(), 5);
    world.answer(4, "whatever");
    assert!(world.client.is_writable());
    assert_eq!(world.client.queued(), 0);
    assert_eq!(world.log(), [""; 0]);
}

#[test]
fn a_poll_follows_when_all_of_the_last_one_is_told() {
    let mut world = World::polling();
    world.client.handle_response(world.now, RequestId(2), 200, Bytes::from_static(b"4a\x1e4b"));
    for expected in ["text a", "text b", "3: GET", "io"] {
        assert_eq!(describe(world.client.next(world.now, &mut Input::empty())), expected);
    }
}

#[test]
fn what_was_received_counts_before_the_time_that_has_passed() {
    for late_answer in [false, true] {
        let mut world = World::polling();
        let answer = |world: &mut World, body: &'static str| {
            let before = world.now;
            world.now += 500 * MS;
            let now = if late_answer { world.now } else { before };
            world.client.handle_response(now, RequestId(2), 200, body.into());
        };
        answer(&mut world, "4a\u{1e}2\u{1e}4b");
        assert_eq!(world.client.send(world.now, Packet::text("c")), Ok(()), "the answer may have a ping");
        world.run();
        assert_eq!(world.log(), ["text a", "text b", "3: POST 3\u{1e}4c", "4: GET"]);
        assert_eq!((world.pings, world.deadline()), (1, world.now + 500 * MS));
        let mut world = World::polling();
        answer(&mut world, "4a\u{1e}4b");
        world.run();
        assert_eq!(world.log(), ["text a", "text b", "closed: ping timeout", "finished"]);
        // The handshake, too.
        let mut world = World::new(Config { connect_timeout: 500 * MS, ..config(POLLING) });
        world.log();
        let before = world.now;
        world.now += 500 * MS;
        let now = if late_answer { world.now } else { before };
        world.client.handle_response(now, RequestId(1), 200, HANDSHAKE.into());
        world.run();
        assert_eq!(world.log(), ["opened", "2: GET"]);
    }
}

#[test]
fn what_was_received_counts_before_what_has_failed_since() {
    for status in [None, Some(500)] {
        let mut world = World::polling();
        world.send("x");
        world.log();
        world.client.handle_response(world.now, RequestId(2), 200, "4a\u{1e}4b".into());
        let cause = match status {
            None => {
                world.client.handle_request_failed(world.now, RequestId(3), "refused");
                "refused"
            }
            Some(status) => {
                world.client.handle_response(world.now, RequestId(3), status, Bytes::new());
                "status 500"
            }
        };
        world.client.send(world.now, Packet::text("late")).unwrap();
        world.run();
        let closed = format!("closed: transport error: {cause}");
        assert_eq!(world.log(), ["text a", "text b", &*closed, "finished"]);
    }
}

#[test]
fn an_answer_is_taken_once() {
    let mut world = World::polling();
    for body in ["4a", "4b"] {
        world.client.handle_response(world.now, RequestId(2), 200, body.into());
    }
    world.client.handle_request_failed(world.now, RequestId(2), "refused");
    world.run();
    assert_eq!(world.log(), ["text a", "3: GET"]);
}

#[test]
fn who_closes_wants_no_more() {
    let mut world = World::polling();
    world.send("x");
    world.log();
    world.client.handle_response(world.now, RequestId(2), 200, "4a\u{1e}4b".into());
    world.client.handle_request_failed(world.now, RequestId(3), "refused");
    world.close();
    assert_eq!(world.log(), ["closed: forced close", "finished"]);
}

#[test]
fn requests_as_they_are_written() {
    let request =
        |body: &'static str| Request { id: RequestId(1), target: "/a/?b=c".into(), body: body.into(), max_answer: 1 };
    let get = "GET /a/?b=c HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\n\r\n";
    assert_eq!(request("").to_http1("h:1"), get.as_bytes());
    let post = "POST /a/?b=c HTTP/1.1\r\nhost: h:1\r\nconnection: close\r\ncontent-type: text/plain;charset=UTF-8\r\n\
        content-length: 4\r\n\r\n4\u{e9}x";
    assert_eq!(request("4\u{e9}x").to_http1("h: 1\r\n"), post.as_bytes());
}

#[test]
fn requests_have_their_limits() {
    let mut world = World::new(Config { max_payload: 1000, max_handshake: 500, ..config(POLLING) });
    world.client.send(world.now, Packet::text("a")).unwrap();
    world.client.handle_response(world.now, RequestId(1), 200, HANDSHAKE.into());
    let Next::Opened = world.client.next(world.now, &mut Input::empty()) else { panic!() };
    for limit in [500, 1000] {
        let Next::Request(request) = world.client.next(world.now, &mut Input::empty()) else { panic!() };
        assert_eq!(request.max_answer, limit, "{}", request.method());
        assert!(request.target.contains("&sid=abc"));
    }
}

#[test]
fn an_answer_may_have_all_that_is_allowed() {
    let config = || Config { max_payload: 10, max_handshake: HANDSHAKE.len(), ..config(POLLING) };
    for (length, told) in [(9, "text xxxxxxxxx"), (10, "closed: transport error: the answer is too large")] {
        let mut world = World::polling_with(config());
        world.answer(2, &format!("4{}", "x".repeat(length)));
        assert_eq!(world.log()[0], told);
    }
}

#[test]
fn a_batch_has_at_most_what_the_server_takes() {
    // The server takes 100 bytes.
    for (lengths, batches) in [
        (&[49, 49][..], &[99 + 2][..]),
        (&[50, 48], &[51 + 1 + 49]),
        (&[200, 1, 98, 1, 200, 300], &[201, 2, 99, 2, 201, 301]),
        (&[1, 200], &[2, 201]),
        (&[99], &[100]),
    ] {
        let mut world = World::polling();
        for length in lengths {
            world.client.send(world.now, Packet::text(&"x".repeat(*length))).unwrap();
        }
        world.run();
        let mut posted = Vec::new();
        for id in 3.. {
            let log = world.log();
            let Some(post) = log.last() else { break };
            posted.push(post.split_once("POST ").unwrap().1.to_string());
            world.answer(id, "ok");
        }
        let sizes: Vec<usize> = posted.iter().map(String::len).collect();
        if sizes.len() == batches.len() {
            assert_eq!(sizes, batches);
        } else {
            // A sum just over the limit.
            assert_eq!(sizes.iter().sum::<usize>() + 1, batches[0]);
            assert!(batches[0] > 100);
        }
        let packets = posted.iter().flat_map(|body| body.split('\u{1e}'));
        assert_eq!(packets.map(|packet| packet.len() - 1).collect::<Vec<_>>(), lengths);
    }
}

#[test]
fn base64_and_separators_count_exactly() {
    // 4 + 1 + 1 + 4 * 22 + ...: b and 88 characters, a separator, and 10 more are 100.
    for (text, posts) in [(9, 1), (10, 2)] {
        let mut world = World::polling();
        world.client.send(world.now, Packet::binary(&[0; 66])).unwrap();
        world.client.send(world.now, Packet::text(&"x".repeat(text))).unwrap();
        world.run();
        world.answer(3, "ok");
        assert_eq!(world.log().len(), posts, "{text}");
    }
}

#[test]
fn attachments_may_travel_in_batches_of_their_own() {
    let mut world = World::polling();
    let rest: Arc<[Frame]> = Arc::from([Frame::binary(&[1; 60]), Frame::binary(&[2; 60])]);
    world.client.send(world.now, Packet::from_frames(Frame::text("452-[]"), Some(rest))).unwrap();
    world.send("last");
    let mut packets = Vec::new();
    for id in 3..5 {
        packets.extend(world.log());
        world.answer(id, "ok");
    }
    let ones = "AQEB".repeat(20);
    let twos = "AgIC".repeat(20);
    assert_eq!(packets, [format!("3: POST 452-[]\u{1e}b{ones}"), format!("4: POST b{twos}\u{1e}4last")]);
    assert_eq!(world.client.queued(), 0);
}

#[test]
fn a_server_without_a_limit_gets_all_at_once() {
    let mut world = World::new(config(POLLING));
    (0..100).for_each(|_| world.client.send(world.now, Packet::text("0123456789")).unwrap());
    world.answer(1, r#"0{"sid":"a","pingInterval":300,"pingTimeout":200}"#);
    assert_eq!(world.log()[2].len(), "2: POST ".len() + 100 * 12 - 1);
}

#[test]
fn a_ping_is_answered_first_and_starts_the_time_anew() {
    let mut world = World::polling();
    world.send("a");
    world.send("b");
    world.wait(499 * MS);
    world.answer(2, "2\u{1e}2\u{1e}2");
    assert_eq!(world.deadline(), world.now + 500 * MS);
    assert_eq!(world.log(), ["3: POST 4a", "4: GET"]);
    world.answer(3, "ok");
    assert_eq!(world.log(), ["5: POST 3\u{1e}4b"]);
    world.answer(4, "4no ping");
    world.wait(500 * MS);
    assert_eq!(
        world.log(),
        ["text no ping", "6: GET", "closed: ping timeout", "5: cancelled", "6: cancelled", "finished"]
    );
}

#[test]
fn whatever_ends_the_session() {
    type Fault = fn(&mut World);
    let faults: [(Fault, &str); 10] = [
        (|world| world.answer(2, "1"), "transport close"),
        (|world| world.respond(2, 400, ""), "transport error: status 400"),
        (|world| world.respond(2, 204, "6"), "transport error: status 204"),
        (|world| world.fail(2), "transport error: refused"),
        (|world| world.respond(3, 413, ""), "transport error: status 413"),
        (|world| world.fail(3), "transport error: refused"),
        (|world| world.answer(2, ""), "parse error"),
        (|world| world.answer(2, "7"), "parse error"),
        (|world| world.answer(2, "b!"), "parse error"),
        (|world| world.answer(2, &"4".repeat(2000)), "transport error: the answer is too large"),
    ];
    for (fault, reason) in faults {
        let mut world = World::polling_with(Config { max_payload: 1999, ..config(POLLING) });
        world.send("a");
        world.send("lost");
        world.log();
        fault(&mut world);
        let log = world.log();
        assert_eq!(log[0], format!("closed: {reason}"));
        assert!(log[1].ends_with("cancelled"), "{log:?}");
        assert_eq!(log[2..], ["finished"]);
        assert_eq!(world.client.queued(), 0);
    }
}

#[test]
fn an_answer_that_is_no_text_is_a_parse_error() {
    let mut world = World::polling();
    world.client.handle_response(world.now, RequestId(2), 200, Bytes::from_static(b"4\xff"));
    world.run();
    assert_eq!(world.log(), ["closed: parse error", "finished"]);
}

#[test]
fn packets_before_a_bad_one_are_told_and_none_after_it() {
    for (bad, reason) in [("x", "parse error"), ("", "parse error"), ("1", "transport close")] {
        let mut world = World::polling();
        world.answer(2, &format!("4a\u{1e}{bad}\u{1e}4b"));
        assert_eq!(world.log(), ["text a", format!("closed: {reason}").as_str(), "finished"]);
    }
}

#[test]
fn answers_nobody_waits_for_are_ignored() {
    let mut world = World::polling();
    for id in [0, 1, 3, u64::MAX] {
        world.answer(id, "4x");
        world.respond(id, 500, "");
        world.fail(id);
    }
    assert_eq!(world.log(), [""; 0]);
    world.answer(2, "4a");
    world.answer(2, "4b");
    assert_eq!(world.log(), ["text a", "3: GET"]);
}

#[test]
fn a_second_handshake_is_ignored() {
    let mut world = World::polling();
    world.answer(2, r#"0{"sid":"other","upgrades":[],"pingInterval":1,"pingTimeout":1}"#);
    assert_eq!(world.log(), ["3: GET"]);
    assert_eq!(world.client.handshake().unwrap().sid(), "abc");
    assert_eq!(world.deadline(), world.now + 500 * MS);
}

#[test]
fn the_goodbye_comes_behind_what_is_queued() {
    let mut world = World::polling();
    world.send("a");
    world.send("b");
    world.close();
    assert_eq!(world.log(), ["3: POST 4a", "closed: forced close"]);
    world.answer(3, "ok");
    assert_eq!(world.log(), ["4: POST 4b"], "behind it, not with it");
    world.answer(4, "ok");
    assert_eq!(world.log(), ["5: POST 1"]);
    world.answer(2, "4late\u{1e}bAQID\u{1e}2\u{1e}7");
    assert_eq!((world.log(), world.pings), (Vec::new(), 0), "no message, no ping, no error, and no poll");
    world.answer(5, "ok");
    assert_eq!(world.log(), ["finished"]);
}

#[test]
fn the_goodbye_alone_and_the_poll_is_given_up_behind_it() {
    let mut world = World::polling();
    world.close();
    assert_eq!(world.log(), ["closed: forced close", "3: POST 1"]);
    world.close();
    world.answer(3, "ok");
    assert_eq!(world.log(), ["2: cancelled", "finished"]);
}

#[test]
fn a_goodbye_does_not_overtake_what_does_not_fit_into_one_request() {
    let mut world = World::polling();
    for length in [50, 60] {
        world.client.send(world.now, Packet::text(&"x".repeat(length))).unwrap();
    }
    world.close();
    assert_eq!(world.log()[1], format!("3: POST 4{}", "x".repeat(50)));
    world.answer(3, "ok");
    assert_eq!(world.log(), [format!("4: POST 4{}", "x".repeat(60))]);
    world.answer(4, "ok");
    assert_eq!(world.log(), ["5: POST 1"]);
}

#[test]
fn an_answer_is_freed_with_the_session() {
    let mut world = World::polling();
    world.client.handle_response(world.now, RequestId(2), 200, Bytes::from_static(b"4a\x1e4b"));
    assert_eq!(describe(world.client.next(world.now, &mut Input::empty())), "text a");
    world.client.abort(world.now, CloseReason::TransportClose);
    assert!(world.client.polling.rests());
}

#[test]
fn a_goodbye_that_is_not_taken_is_given_up() {
    let mut world = World::polling();
    world.close();
    assert_eq!(world.deadline(), world.now + 30_000 * MS);
    world.wait(30_000 * MS);
    assert_eq!(world.log()[2..], ["3: cancelled", "2: cancelled", "finished"]);

    let mut world = World::polling();
    world.close();
    world.fail(3);
    assert_eq!(world.log()[2..], ["2: cancelled", "finished"]);
}

#[test]
fn a_server_that_closes_first_needs_no_goodbye() {
    let mut world = World::polling();
    world.close();
    world.answer(2, "1");
    assert_eq!(world.log()[2..], ["3: cancelled", "finished"]);
}

#[test]
fn a_throttled_timer_is_seen_when_something_is_sent() {
    let mut world = World::polling();
    world.now += 500 * MS;
    assert_eq!(world.client.send(world.now, Packet::text("late")), Err(SendError::Closed));
    world.run();
    assert_eq!(world.log(), ["closed: ping timeout", "2: cancelled", "finished"]);
}

#[test]
fn control_frames_of_the_caller_are_no_packets() {
    let mut world = World::polling();
    world.client.send(world.now, Packet::from_frames(Frame::pong(b"x"), None)).unwrap();
    world.run();
    assert_eq!(world.log(), [""; 0]);
    assert_eq!(world.client.queued(), 0);
}
