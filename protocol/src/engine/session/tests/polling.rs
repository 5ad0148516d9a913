use super::*;
use crate::engine::Cookie;

#[test]
fn row_6_the_handshake_has_five_keys_and_comes_alone() {
    let mut world = World::new(config(), Transport::Polling);
    let _ = world.session.send(Packet::text("early"));
    world.poll();
    assert_eq!(
        world.log(),
        [format!(
            r#"1: 200 0{{"sid":"{}","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}}"#,
            world.session.id().as_str()
        )]
    );
    world.poll();
    assert_eq!(world.log(), ["2: 200 4early"]);
}

#[test]
fn upgrades_are_offered_only_where_they_are_allowed() {
    let mut without = config();
    without.transports.websocket = false;
    for config in [without, Config { allow_upgrades: false, ..config() }] {
        let mut world = World::new(config, Transport::Polling);
        world.poll();
        assert!(world.log()[0].contains(r#""upgrades":[],"#));
    }
}

#[test]
fn row_29_the_cookie_comes_with_the_handshake_only() {
    let config = Config { cookie: Some(Cookie::default()), ..config() };
    let mut session = World::new(config, Transport::Polling).session;
    let mut cookies = Vec::new();
    for id in 1..3 {
        session.handle_exchange(Instant::EPOCH, Exchange { id: ExchangeId(id), kind: ExchangeKind::Poll });
        let _ = session.send(Packet::text("x"));
        if let Next::Answer(_, response) = session.next(Instant::EPOCH, &mut Input::empty()) {
            cookies.push(response.headers.iter().any(|(name, _)| name == "set-cookie"));
        }
    }
    assert_eq!(cookies, [true, false]);
}

#[test]
fn row_16_a_post_is_answered_when_its_packets_are_told() {
    let mut world = World::polling();
    world.post("4hello\u{1e}bAQIDBA==\u{1e}4");
    assert_eq!(world.log(), ["text hello", "binary [1, 2, 3, 4]", "text ", "2: 200 ok"]);
}

#[test]
fn echoes_of_one_post_come_in_one_poll() {
    let mut world = World::polling();
    world.echoes = true;
    world.poll();
    world.post("4test1\u{1e}4test2\u{1e}bAQIDBA==");
    assert_eq!(
        world.log(),
        ["text test1", "text test2", "binary [1, 2, 3, 4]", "3: 200 ok", "2: 200 4test1\u{1e}4test2\u{1e}bAQIDBA=="]
    );
}

#[test]
fn row_5_all_that_waits_goes_into_one_poll_and_attachments_are_not_split_off() {
    let mut world = World::polling();
    world.send("a");
    let rest: Arc<[Frame]> = Arc::from([Frame::binary(&[1, 2, 3, 4])]);
    world.session.send(Packet::from_frames(Frame::text("4x"), Some(rest))).unwrap();
    assert!(world.session.queued() > 0);
    world.poll();
    assert_eq!(world.log(), ["2: 200 4a\u{1e}4x\u{1e}bAQIDBA=="]);
    assert_eq!(world.session.queued(), 0);
}

#[test]
fn a_packet_over_max_payload_is_not_lost() {
    let mut world = World::polling_with(Config { max_payload: 10, ..config() });
    world.send("small");
    world.send("larger than a request may be");
    world.poll();
    assert_eq!(world.log(), ["2: 200 4small\u{1e}4larger than a request may be"]);
}

#[test]
fn row_2_packets_before_a_bad_one_are_told_and_none_after() {
    for bad in ["", "abc", "b!", "7"] {
        let mut world = World::polling();
        world.poll();
        world.post(&format!("4a\u{1e}{bad}\u{1e}4b"));
        assert_eq!(world.log(), ["text a", "closed: parse error", "3: 400", "2: 200 1", "finished"], "{bad:?}");
    }
}

#[test]
fn row_17_an_invalid_body_is_answered_400() {
    for body in ["abc", "", "\u{1e}"] {
        let mut world = World::polling();
        world.post(body);
        assert_eq!(world.log(), ["closed: parse error", "2: 400", "finished"], "{body:?}");
        world.poll();
        assert_eq!(world.log(), [format!("3: {UNKNOWN}").as_str(), "finished"]);
    }
}

#[test]
fn a_body_that_is_not_utf_8_is_a_parse_error() {
    let mut world = World::polling();
    world.request(ExchangeKind::Post { body: Bytes::from_static(b"4a\x1e4\xff"), binary: false });
    assert_eq!(world.log(), ["closed: parse error", "2: 400", "finished"]);
}

#[test]
fn row_12_two_polls_at_once_end_the_session() {
    let mut world = World::polling();
    world.poll();
    world.poll();
    assert_eq!(world.log(), ["closed: transport error", "2: 200 1", "3: 400", "finished"]);
    world.poll();
    assert_eq!(world.log(), [format!("4: {UNKNOWN}").as_str(), "finished"]);
}

#[test]
fn row_13_two_posts_at_once_end_the_session() {
    let mut world = World::polling();
    world.poll();
    let post = |body| ExchangeKind::Post { body: Bytes::from_static(body), binary: false };
    world.submit(post(b"4a"));
    world.request(post(b"4b"));
    assert_eq!(world.log(), ["closed: transport error", "3: 400", "2: 200 1", "4: 400", "finished"]);
}

#[test]
fn row_14_an_aborted_poll_ends_the_session() {
    let mut world = World::polling();
    let poll = world.poll();
    world.abort(poll);
    assert_eq!(world.log(), ["closed: transport error", "finished"]);
}

#[test]
fn row_15_an_aborted_post_ends_the_session() {
    let mut world = World::polling();
    world.poll();
    let post = world.submit(ExchangeKind::Post { body: Bytes::from_static(b"4a"), binary: false });
    world.abort(post);
    assert_eq!(world.log(), ["closed: transport error", "2: 200 1", "finished"]);
}

#[test]
fn a_post_counts_from_its_announcement() {
    let whole = |body| ExchangeKind::Post { body: Bytes::from_static(body), binary: false };
    for second in [ExchangeKind::Upload, whole(b"4b")] {
        let mut world = World::polling();
        world.poll();
        world.request(ExchangeKind::Upload);
        assert_eq!(world.log(), [""; 0]);
        world.request(second);
        assert_eq!(world.log(), ["closed: transport error", "3: 400", "2: 200 1", "4: 400", "finished"]);
    }
    let mut world = World::polling();
    world.poll();
    world.submit(whole(b"4a"));
    world.request(ExchangeKind::Upload);
    assert_eq!(world.log(), ["closed: transport error", "3: 400", "2: 200 1", "4: 400", "finished"]);
}

#[test]
fn an_announced_post_is_completed_refused_or_aborted() {
    let post = |body| ExchangeKind::Post { body: Bytes::from_static(body), binary: false };
    let mut world = World::polling();
    let id = ExchangeId(world.request(ExchangeKind::Upload));
    world.session.handle_exchange(world.now, Exchange { id, kind: post(b"4a") });
    world.run();
    assert_eq!(world.log(), ["text a", "2: 200 ok"]);

    let id = ExchangeId(world.request(ExchangeKind::Upload));
    world.session.handle_refusal(world.now, id);
    world.post("4b");
    assert_eq!(world.log(), ["text b", "4: 200 ok"]);

    let id = world.request(ExchangeKind::Upload);
    world.abort(id);
    assert_eq!(world.log(), ["closed: transport error", "finished"]);

    let mut world = World::polling();
    world.request(ExchangeKind::Upload);
    world.poll();
    world.close();
    assert_eq!(world.log(), ["closed: forced close", "3: 200 1", &format!("2: {UNKNOWN}"), "finished"]);
}

#[test]
fn a_transport_error_told_by_the_caller_drops_what_waits() {
    let mut world = World::polling();
    world.send("lost");
    world.session.close(world.now, CloseReason::TransportError);
    world.run();
    assert_eq!(world.log(), ["closed: transport error", "finished"]);
    let mut world = World::websocket();
    world.session.send(Packet::text("lost")).unwrap();
    world.session.close(world.now, CloseReason::TransportError);
    world.run();
    assert_eq!((world.log(), world.frames()), (vec!["closed: transport error".into()], vec!["close".into()]));
}

#[test]
fn an_answer_that_did_not_arrive_ends_the_session_if_packets_are_lost_with_it() {
    let mut world = World::polling();
    let poll = world.poll();
    world.send("lost");
    world.abort(poll);
    assert_eq!(world.log(), ["2: 200 4lost", "closed: transport error", "finished"]);

    let mut world = World::polling();
    let poll = world.poll();
    world.send("arrived");
    world.poll();
    world.abort(poll);
    world.abort(99);
    assert_eq!(world.log(), ["2: 200 4arrived"]);

    let mut world = World::polling();
    world.abort(1);
    assert_eq!(world.log(), ["closed: transport error", "finished"], "the handshake is lost");

    let mut world = World::probed();
    let poll = world.poll();
    world.wait(100 * MS);
    world.abort(poll);
    assert_eq!(world.log(), ["2: 200 6"], "nothing is lost");

    let mut world = World::polling_with(Config { max_payload: 5, ..config() });
    let post = world.submit(ExchangeKind::Post { body: Bytes::from_static(b"4hello"), binary: false });
    world.abort(post);
    assert_eq!(world.log(), ["closed: transport error", "finished"], "its packets are lost");
}

#[test]
fn cve_2026_59725_an_octet_stream_is_answered_and_ends_the_session() {
    let mut world = World::polling();
    world.poll();
    world.request(ExchangeKind::Post { body: Bytes::from_static(b"4a"), binary: true });
    assert_eq!(world.log(), ["closed: transport error", "2: 200 1", "3: 400", "finished"]);
}

#[test]
fn rows_19_and_20_a_body_over_the_limit_is_answered_413_and_the_session_lives() {
    let mut world = World::polling_with(Config { max_payload: 5, ..config() });
    world.post("4hello");
    world.post("4hell");
    assert_eq!(world.log(), ["2: 413", "text hell", "3: 200 ok"]);
}

#[test]
fn a_client_that_closes_gets_its_poll_answered_by_noop() {
    let mut world = World::polling();
    world.poll();
    world.post("4a\u{1e}1\u{1e}4b");
    assert_eq!(world.log(), ["text a", "closed: transport close", "3: 200 ok", "2: 200 6", "finished"]);
    world.post("4c");
    world.poll();
    assert_eq!(
        world.log(),
        [format!("4: {UNKNOWN}").as_str(), "finished", format!("5: {UNKNOWN}").as_str(), "finished"]
    );
}

#[test]
fn a_ping_from_the_client_is_the_wrong_direction() {
    let mut world = World::polling();
    world.poll();
    world.post("2\u{1e}4a");
    assert_eq!(world.log(), ["closed: transport error", "3: 400", "2: 200 1", "finished"]);
}

#[test]
fn packets_without_meaning_are_ignored() {
    let mut world = World::polling();
    world.post("0{}\u{1e}5\u{1e}6\u{1e}3x\u{1e}4a");
    assert_eq!(world.log(), ["text a", "2: 200 ok"]);
}

#[test]
fn row_7_the_first_ping_comes_once_and_after_one_interval() {
    let mut world = World::polling();
    world.poll();
    world.wait(299 * MS);
    assert_eq!(world.log(), [""; 0]);
    world.wait(MS);
    assert_eq!(world.log(), ["2: 200 2"]);
    world.poll();
    world.wait(100 * MS);
    world.post("3");
    assert_eq!(world.log(), ["4: 200 ok"]);
    world.wait(299 * MS);
    assert_eq!(world.log(), [""; 0]);
    world.wait(MS);
    assert_eq!(world.log(), ["3: 200 2"]);
}

#[test]
fn row_8_a_ping_that_nobody_collects_still_runs_out() {
    let mut world = World::polling();
    world.wait(300 * MS);
    world.now += 200 * MS;
    world.poll();
    assert_eq!(world.log(), ["closed: ping timeout", format!("2: {UNKNOWN}").as_str(), "finished"]);
}

#[test]
fn a_pong_that_is_missed_ends_the_poll_and_the_session() {
    let mut world = World::polling();
    world.wait(300 * MS);
    world.poll();
    world.poll();
    world.wait(200 * MS);
    assert_eq!(world.log(), ["2: 200 2", "closed: ping timeout", "3: 200 1", "finished"]);
}

#[test]
fn a_closing_session_answers_the_poll_with_what_waits_and_the_goodbye() {
    let mut world = World::polling();
    world.poll();
    world.session.send(Packet::text("last")).unwrap();
    world.close();
    assert_eq!(world.log(), ["closed: forced close", "2: 200 4last\u{1e}1", "finished"]);
    assert_eq!(world.session.send(Packet::text("late")), Err(SendError::Closed));
}

#[test]
fn rows_1_and_30_a_closing_session_waits_for_a_poll() {
    let mut world = World::polling();
    world.send("last");
    world.close();
    world.wait(29_999 * MS);
    world.post("4ignored\u{1e}3\u{1e}2");
    world.poll();
    assert_eq!(world.log(), ["closed: forced close", "2: 200 ok", "3: 200 4last\u{1e}1", "finished"]);

    let mut world = World::polling();
    world.close();
    world.poll();
    assert_eq!(world.log(), ["closed: forced close", "2: 200 1", "finished"]);

    let mut world = World::polling();
    world.close();
    world.wait(30_000 * MS);
    world.poll();
    assert_eq!(world.log(), ["closed: forced close", "finished", format!("2: {UNKNOWN}").as_str(), "finished"]);
}

#[test]
fn what_is_posted_to_a_closing_session_is_not_told() {
    let mut world = World::polling();
    world.close();
    world.post("4late\u{1e}bAQID\u{1e}3");
    assert_eq!(world.log(), ["closed: forced close", "2: 200 ok"]);
}

#[test]
fn a_client_that_closes_while_the_goodbye_waits_ends_the_wait() {
    let mut world = World::polling();
    world.close();
    world.post("1");
    assert_eq!(world.log(), ["closed: forced close", "2: 200 ok", "finished"]);
}

#[test]
fn a_poll_that_came_in_time_gets_the_goodbye_however_late_the_next_call_is() {
    let mut world = World::polling();
    world.send("last");
    world.close();
    world.submit(ExchangeKind::Poll);
    world.wait(60_000 * MS);
    assert_eq!(world.log(), ["closed: forced close", "2: 200 4last\u{1e}1", "finished"]);
}

#[test]
fn more_than_the_limit_waiting_ends_the_session() {
    let mut world = World::polling_with(Config { max_queued: 1000, ..config() });
    world.session.send(Packet::text(&"x".repeat(5000))).unwrap();
    assert_eq!(world.session.send(Packet::text("")), Err(SendError::Overflow));
    assert_eq!(world.session.send(Packet::text("")), Err(SendError::Closed));
    assert_eq!(world.session.queued(), 0);
    world.run();
    assert_eq!(world.log(), ["closed: transport error", "finished"]);
}

#[test]
fn many_small_packets_are_bounded_too() {
    let mut world = World::polling_with(Config { max_queued: 15 * (64 + 3), ..config() });
    let sent = (0..100).take_while(|_| world.session.send(Packet::text("")).is_ok()).count();
    assert_eq!(sent, 15);
}

#[test]
fn a_session_that_nobody_polls_is_writable_only_with_a_poll() {
    let mut world = World::polling();
    assert!(!world.session.is_writable());
    world.poll();
    assert!(world.session.is_writable());
    world.send("x");
    assert!(!world.session.is_writable());
    world.poll();
    world.session.close(world.now, CloseReason::ForcedClose);
    assert!(!world.session.is_writable());
}

#[test]
fn a_paused_session_keeps_its_post_and_its_clock() {
    let mut world = World::polling();
    world.wait(100 * MS);
    world.session.pause(world.now, true);
    world.post("4a");
    world.send("out");
    world.poll();
    world.wait(10_000 * MS);
    assert_eq!(world.log(), ["3: 200 4out"]);
    world.session.pause(world.now, false);
    world.poll();
    assert_eq!(world.log(), ["text a", "2: 200 ok"]);
    world.wait(199 * MS);
    assert_eq!(world.log(), [""; 0]);
    world.wait(MS);
    assert_eq!(world.log(), ["4: 200 2"]);
}

#[test]
fn a_paused_session_can_be_closed() {
    let mut world = World::polling();
    world.session.pause(world.now, true);
    world.post("4a");
    world.close();
    world.poll();
    assert_eq!(world.log(), ["closed: forced close", "2: 200 ok", "3: 200 1", "finished"]);
}

#[test]
fn an_abort_drops_what_waits_and_answers_what_is_open() {
    let mut world = World::polling();
    world.send("x");
    world.session.abort(world.now, CloseReason::TransportError);
    world.poll();
    assert_eq!(world.log(), ["closed: transport error", &format!("2: {UNKNOWN}"), "finished"]);
    let mut world = World::polling();
    world.poll();
    world.session.abort(world.now, CloseReason::TransportError);
    world.run();
    assert_eq!(world.log(), ["closed: transport error", "2: 200 1", "finished"]);
}

#[test]
fn of_a_poll_and_the_goodbye_either_may_come_first() {
    for goodbye_first in [false, true] {
        let mut world = World::polling();
        if goodbye_first {
            world.post("1");
            world.wait(99 * MS);
            world.poll();
            assert_eq!(world.log(), ["closed: transport close", "2: 200 ok", "3: 200 6", "finished"]);
        } else {
            world.poll();
            world.post("1");
            assert_eq!(world.log(), ["closed: transport close", "3: 200 ok", "2: 200 6", "finished"]);
        }
        world.poll();
        assert_eq!(world.log(), [&format!("4: {UNKNOWN}"), "finished"]);
    }
}

#[test]
fn a_poll_behind_the_goodbye_is_waited_for_only_so_long() {
    let mut world = World::polling();
    world.post("1");
    assert_eq!(world.deadline(), world.now + 100 * MS);
    world.wait(100 * MS);
    world.poll();
    let unknown = format!("3: {UNKNOWN}");
    assert_eq!(world.log(), ["closed: transport close", "2: 200 ok", "finished", &unknown, "finished"]);
}
