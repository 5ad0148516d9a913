//! Opening, losing and opening again: sections 2.1, 2.2 and 2.4 of the official client's behaviour.

use super::*;

const FIRST: [&str; 2] = ["error websocket error", "connect_error / websocket error"];

#[test]
fn nothing_happens_before_connect() {
    let mut world = World::new(config());
    assert_eq!(world.says(&["wait 1000", "emit / a", "2[\"x\"]", "opened", "gone", "failed", "broken"]), [""; 0]);
    assert!(!world.manager.is_idle(), "an event is kept");
}

#[test]
fn one_connection_carries_all_namespaces() {
    let mut world = World::new(config());
    assert_eq!(world.says(&["connect /", "connect /a", "connect /"]), ["open"]);
    assert_eq!(world.says(&["opened"]), ["opened", "> 0", "> 0/a,"]);
    assert_eq!(world.says(&["connect /b"]), ["> 0/b,"]);
    assert_eq!(world.says(&["connect /b", "connect /"]), [""; 0], "no second CONNECT");
    assert_eq!(world.says(&[r#"0/b,{"sid":"b"}"#, r#"0{"sid":"r"}"#]), ["connect /b", "connect /"]);
    let [root, a, b] = ["/", "/a", "/b"].map(|name| world.key(name));
    assert_eq!(world.manager.id(b).unwrap().as_str(), "b");
    assert!(world.manager.is_connected(root) && world.manager.is_active(a) && !world.manager.is_connected(a));
    assert_eq!(world.manager.namespace(a), Some("/a"));
    assert_eq!(world.says(&[r#"2/b,["x"]"#, r#"2["y"]"#]), [r#"event /b ["x"]"#, r#"event / ["y"]"#]);
}

#[test]
fn namespaces_have_names() {
    let mut world = World::new(config());
    for name in ["", "a", "a/", "/a,b", "/a\u{1e}1", "/a\n", &["/", &"x".repeat(512)].concat()] {
        assert_eq!(world.manager.socket(name, SocketOptions::default()), Err(InvalidNamespace), "{name}");
    }
    let key = world.manager.socket("/a", SocketOptions::default()).unwrap();
    assert_eq!(world.manager.socket("/a", asked()), Ok(key), "one socket for each");
}

#[test]
fn there_are_news_until_all_is_told() {
    let mut world = World::new(config());
    let key = world.key("/");
    assert!(!world.manager.has_news());
    world.manager.connect(world.now, key);
    assert!(world.manager.has_news(), "a connection is wanted");
    assert!(matches!(world.manager.next(world.now, &mut None), Next::Open { .. }));
    assert!(!world.manager.has_news());
    world.manager.disconnect(key);
    assert!(matches!(world.manager.next(world.now, &mut None), Next::Event(Event::Closed(_))));
    assert!(world.manager.has_news(), "the close is to be told");
    assert!(matches!(world.manager.next(world.now, &mut None), Next::Close(_)));
    assert!(!world.manager.has_news());
}

#[test]
fn an_initial_failure_is_tried_again() {
    let mut world = World::new(config());
    assert_eq!(world.says(&["connect /", "failed"]), ["open", FIRST[0], FIRST[1]]);
    assert_eq!(world.says(&["wait 999"]), [""; 0]);
    assert_eq!(world.says(&["wait 1"]), ["reconnect_attempt 1", "open"]);
    assert_eq!(world.says(&["failed"]), [FIRST[0], FIRST[1], "reconnect_error websocket error"]);
    assert_eq!(world.says(&["wait 1999", "wait 1"]), ["reconnect_attempt 2", "open"]);
    assert_eq!(world.says(&["opened"]), ["opened", "> 0", "reconnect 2"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), ["connect /"]);
    let key = world.key("/");
    assert!(world.manager.is_active(key));
}

#[test]
fn delays_grow_to_their_maximum_and_start_again_after_success() {
    let mut world = World::new(config());
    world.run(&["connect /"]);
    for ms in [1000, 2000, 4000, 5000, 5000] {
        world.run(&["failed"]);
        assert_eq!(world.deadline(), Some(Duration::from_millis(ms)));
        world.run(&[&*format!("wait {ms}")]);
    }
    world.run(&["opened", r#"0{"sid":"x"}"#, "gone"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(1000)));
    assert_eq!(world.says(&["wait 1000"]), ["reconnect_attempt 1", "open"]);
}

#[test]
fn delays_draw_on_the_given_chance() {
    let delays = |seed| {
        let mut manager = Manager::new(Arc::default(), Random::new(Seed::new([seed; 32])), Instant::EPOCH);
        let key = manager.socket("/", SocketOptions::default()).unwrap();
        manager.connect(Instant::EPOCH, key);
        let mut random = Random::new(Seed::new([seed; 32]));
        let expected = Instant::EPOCH + delay(&Config::default(), 0, &mut random);
        assert!(matches!(manager.next(Instant::EPOCH, &mut None), Next::Open { .. }));
        manager.handle_open_failed(Instant::EPOCH, OpenError::Timeout);
        loop {
            if let Next::Wait(until) = manager.next(Instant::EPOCH, &mut None) {
                assert_eq!(until, Some(expected));
                return until;
            }
        }
    };
    assert_eq!(delays(1), delays(1));
    assert_ne!(delays(1), delays(2));
}

/// The time until a manager opens the connection, of which it says nothing before.
fn wait_for_open(manager: &mut Manager, now: Instant) -> Option<Instant> {
    let until = loop {
        match manager.next(now, &mut None) {
            Next::Wait(until) => break until?,
            Next::Open { .. } => panic!("too early"),
            _ => {}
        }
    };
    let early = Instant::from_epoch((until - Instant::EPOCH).saturating_sub(Duration::from_nanos(1)));
    assert!(matches!(manager.next(early, &mut None), Next::Wait(Some(again)) if again == until));
    assert!(matches!(manager.next(until, &mut None), Next::Event(Event::ReconnectAttempt(_))));
    assert!(matches!(manager.next(until, &mut None), Next::Open { .. }));
    Some(until)
}

#[test]
fn the_connection_is_opened_after_the_delays_of_the_formula_for_10_000_seeds() {
    let config = Arc::new(Config { reconnection_attempts: Some(5), ..Config::default() });
    for number in 0..10_000_u32 {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut random = Random::new(Seed::new(seed));
        let mut manager = Manager::new(Arc::clone(&config), random.clone(), Instant::EPOCH);
        let socket = manager.socket("/", SocketOptions::default()).unwrap();
        manager.connect(Instant::EPOCH, socket);
        assert!(matches!(manager.next(Instant::EPOCH, &mut None), Next::Open { .. }));
        let mut now = Instant::EPOCH;
        for attempt in 0..5 {
            // It cannot be opened, or is lost before a namespace has answered.
            if (number >> attempt) % 2 == 0 {
                manager.handle_open_failed(now, OpenError::Timeout);
            } else {
                manager.handle_opened(now);
                manager.handle_closed(now, CloseReason::TransportClose);
            }
            let expected = now + delay(&config, attempt, &mut random);
            now = wait_for_open(&mut manager, now).unwrap();
            assert_eq!(now, expected, "seed {number}, attempt {attempt}");
        }
        manager.handle_open_failed(now, OpenError::Timeout);
        assert_eq!(wait_for_open(&mut manager, now), None, "the attempts are used up");
    }
}

#[test]
fn nothing_is_left_after_close_whatever_was_going_on() {
    for state in [
        &[][..],
        &["connect /"],
        &["connect /", "failed"],
        &["connect /", "failed", "wait 1000"],
        &["connect /", "opened"],
        &["connect /", "opened", r#"0{"sid":"x"}"#],
        &["connect /", "opened", r#"0{"sid":"x"}"#, "gone"],
    ] {
        let mut world = World::new(config());
        world.socket("/", SocketOptions { ack_timeout: Some(Duration::from_secs(90)), ..SocketOptions::default() });
        world.run(state).run(&["emit / a 90000", "emit /idle b 90000", "retry / c", "retry /idle d"]);
        if world.manager.is_open() {
            // One more socket waits for its next turn, and one for an answer; an attachment is missing.
            world.run(&["connect /no", "4/no,", "connect /no", "4/no,", "connect /no", r#"2/no,["early"]"#]);
            world.run(&["connect /asked", r#"52-["a"]"#, "binary x"]);
        }
        world.log.clear();
        world.run(&["close"]);
        let failed = world.log.iter().filter(|line| line.starts_with("failed")).count();
        assert_eq!(failed, 4, "{state:?}: {:?}", world.log);
        assert!(world.manager.is_idle(), "{state:?}: {:?}", world.manager);
        assert_eq!(world.deadline(), None, "{state:?}");
        assert_eq!(world.says(&["wait 1000000", "opened", "failed", "gone", r#"2["x"]"#]), [""; 0], "{state:?}");
    }
}

#[test]
fn attempts_are_limited() {
    let mut world = World::new(Config { reconnection_attempts: Some(2), ..config() });
    world.run(&["connect /", "failed", "wait 1000", "failed"]);
    assert!(!world.manager.is_dormant(), "one more is to come");
    world.run(&["wait 2000"]);
    let last = [FIRST[0], FIRST[1], "reconnect_failed", "reconnect_error websocket error"];
    assert_eq!(world.says(&["failed"]), last);
    assert_eq!(world.says(&["wait 1000000"]), [""; 0]);
    assert_eq!(world.deadline(), None);
    let key = world.key("/");
    assert!(world.manager.is_active(key), "the next connect is for it");
    assert!(world.manager.is_dormant() && !world.manager.is_idle());
    assert_eq!(world.says(&["connect /", "failed"]), ["open", FIRST[0], FIRST[1]]);
    assert_eq!(world.says(&["wait 1000"]), ["reconnect_attempt 1", "open"], "counted anew");
    world.run(&["failed", "wait 2000", "failed"]);
    assert_eq!(world.says(&["disconnect /"]), [""; 0], "there is nothing to close");
    let mut world = World::new(config());
    world.run(&["connect /", "failed", "wait 1000", "failed", "disconnect /", "connect /", "failed"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(1000)), "whoever closes starts anew");
}

#[test]
fn without_reconnection_nothing_is_tried_again() {
    let off = || Config { reconnection: false, ..config() };
    let mut world = World::new(off());
    world.run(&["connect /", "failed"]);
    assert_eq!(world.says(&["wait 100000"]), [""; 0]);
    assert_eq!(world.says(&["connect /"]), ["open"]);
    let mut world = World::connected(off());
    assert_eq!(world.says(&["gone", "wait 9999"]), ["disconnect / transport close", "closed transport close"]);
    assert_eq!(world.says(&["connect /", "opened"]), ["open", "opened", "> 0"]);
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up() {
    let mut world = World::new(config());
    let key = world.key("/");
    world.manager.connect(world.now, key);
    let Next::Open { deadline } = world.manager.next(world.now, &mut None) else { panic!() };
    assert_eq!(deadline, Some(world.now + Duration::from_secs(20)));
    assert_eq!(world.says(&["wait 19999"]), [""; 0]);
    let expected = ["error timeout", "connect_error / timeout", "close forced close"];
    assert_eq!(world.says(&["wait 1"]), expected);
    assert_eq!(world.says(&["opened", "failed"]), [""; 0], "what was given up does not matter");
    assert_eq!(world.deadline(), Some(Duration::from_millis(1000)));
    let mut world = World::new(Config { timeout: None, ..config() });
    assert_eq!(world.says(&["connect /", "wait 1000000"]), ["open"]);
}

#[test]
fn a_lost_connection_is_opened_again_for_every_reason() {
    for reason in [
        CloseReason::TransportClose,
        CloseReason::TransportError,
        CloseReason::PingTimeout,
        CloseReason::ParseError,
        CloseReason::ForcedClose,
    ] {
        let mut world = World::connected(config());
        world.manager.handle_closed(world.now, reason);
        assert_eq!(world.says(&["wait 0"]), [format!("disconnect / {reason}"), format!("closed {reason}")]);
        let key = world.key("/");
        assert!(world.manager.is_active(key) && !world.manager.is_connected(key) && !world.manager.is_open());
        assert_eq!(world.manager.id(key), None);
        assert_eq!(world.says(&["wait 1000", "opened"])[..2], ["reconnect_attempt 1", "open"]);
        assert_eq!(world.says(&[r#"0{"sid":"s1"}"#]), ["connect /"]);
    }
}

#[test]
fn an_error_while_connected_is_the_managers_alone() {
    let mut world = World::connected(config());
    assert_eq!(world.says(&["broken"]), ["error websocket error"]);
    let lost = ["disconnect / ping timeout", "closed ping timeout"];
    assert_eq!(world.says(&["silent"]), lost);
}

#[test]
fn a_connection_that_is_lost_before_the_namespace_answers_is_a_connect_error() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&["gone"]), ["connect_error / transport close", "closed transport close"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(1000)));
    world.run(&["wait 1000", "opened", "gone"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(2000)), "that it opened is no success");
    world.run(&["wait 2000", "opened", "gone"]);
    assert_eq!(world.says(&["wait 4000", "opened"])[3..], ["> 0", "reconnect 3"]);
}

#[test]
fn connect_during_a_delay_waits_for_its_end() {
    let mut world = World::new(config());
    world.run(&["connect /", "failed"]);
    assert_eq!(world.says(&["connect /", "connect /a", "wait 999"]), [""; 0]);
    assert_eq!(
        world.says(&["wait 1", "opened"]),
        ["reconnect_attempt 1", "open", "opened", "> 0", "> 0/a,", "reconnect 1"]
    );
}

#[test]
fn disconnect_or_close_during_a_delay_stops_everything() {
    for stop in ["disconnect /", "close", "remove /"] {
        let mut world = World::new(config());
        world.run(&["connect /", "failed"]);
        assert_eq!(world.says(&[stop, "wait 100000"]), ["closed forced close"], "{stop}");
        assert!(world.manager.is_idle());
        let mut world = World::connected(config());
        world.run(&["gone"]);
        assert_eq!(world.says(&[stop, "wait 100000"]), ["closed forced close"], "{stop}");
        assert!(world.manager.is_idle());
    }
}

#[test]
fn disconnect_in_the_event_that_announces_an_attempt_stops_it() {
    let mut world = World::new(config());
    world.run(&["connect /", "failed"]);
    world.now += Duration::from_secs(1);
    let next = world.manager.next(world.now, &mut None);
    assert!(matches!(next, Next::Event(Event::ReconnectAttempt(1))), "{next:?}");
    drop(next);
    assert_eq!(world.says(&["disconnect /"]), ["closed forced close"]);
}

#[test]
fn disconnect_while_opening_gives_up() {
    let mut world = World::new(config());
    assert_eq!(world.says(&["connect /", "disconnect /"]), ["open", "closed forced close", "close forced close"]);
    assert_eq!(world.says(&["opened"]), [""; 0]);
    assert!(world.manager.is_idle());
    let key = world.key("/");
    world.manager.connect(world.now, key);
    world.manager.disconnect(key);
    assert_eq!(world.says(&["wait 0"]), ["closed forced close"], "what was not begun is not given up");
}

#[test]
fn the_connection_closes_with_the_last_active_socket() {
    let mut world = World::connected(config());
    world.run(&["connect /a", r#"0/a,{"sid":"a"}"#]);
    assert_eq!(world.says(&["disconnect /"]), ["> 1", "disconnect / io client disconnect"]);
    let last = ["> 1/a,", "closed forced close", "disconnect /a io client disconnect", "close forced close"];
    assert_eq!(world.says(&["disconnect /a"]), last);
    assert!(world.manager.is_idle());
    assert_eq!(world.says(&["wait 100000", "disconnect /a", "2/a,[\"x\"]"]), [""; 0]);
    assert_eq!(world.says(&["connect /a", "opened"]), ["open", "opened", "> 0/a,"], "and can be opened again");
}

#[test]
fn a_server_that_disconnects_a_socket_is_believed() {
    let mut world = World::connected(config());
    world.run(&["connect /a", r#"0/a,{"sid":"a"}"#]);
    assert_eq!(world.says(&["1"]), ["disconnect / io server disconnect"]);
    let key = world.key("/");
    assert!(!world.manager.is_active(key));
    assert_eq!(world.says(&["wait 100000", "2[\"late\"]", "1"]), [""; 0]);
    assert_eq!(world.says(&["connect /"]), ["> 0"], "until the application wants it again");
    assert_eq!(world.says(&["1"]), ["connect_error / io server disconnect"]);
    let last = ["closed forced close", "disconnect /a io server disconnect", "close forced close"];
    assert_eq!(world.says(&["1/a,"]), last);
    assert!(world.manager.is_idle());
}

#[test]
fn a_refusal_is_final() {
    let mut world = World::connected(config());
    world.run(&["connect /a"]);
    assert_eq!(world.says(&[r#"4/a,{"message":"no","data":{"b":1,"a":2}}"#]), ["connect_error /a no"]);
    let key = world.key("/a");
    assert!(!world.manager.is_active(key));
    world.run(&["disconnect /", "connect /a", "opened"]);
    let expected = ["closed forced close", "connect_error /a ", "close forced close"];
    assert_eq!(world.says(&["4/a,"]), expected.map(str::trim_end));
    assert!(world.manager.is_idle());
}

#[test]
fn a_refusal_has_words_and_details() {
    for (payload, message, data) in [
        (r#"{"message":"no","data":{"b":1,"a":1e400}}"#, "no", Some(r#"{"b":1,"a":1e400}"#)),
        (r#"{"message":"é\n"}"#, "é\n", None),
        (r#"{"message":7,"data":null}"#, "", None),
        (r#"{"message":"a","message":"b"}"#, "", None),
        (r#""no""#, "no", None),
        ("{}", "", None),
        ("", "", None),
    ] {
        let error = ConnectError::parse(payload).unwrap();
        assert_eq!((error.message(), error.data()), (message, data), "{payload}");
    }
    for payload in ["[1]", "7", "null", "{", r#"{"message":}"#] {
        assert_eq!(ConnectError::parse(payload), None, "{payload}");
    }
}

#[test]
fn refusals_in_a_row_make_the_next_connect_wait() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened"]);
    let refused = ["closed forced close", "connect_error / no", "close forced close"];
    let refusal = r#"4{"message":"no"}"#;
    assert_eq!(world.says(&[refusal]), refused);
    assert_eq!(world.says(&["connect /", "opened", refusal])[..2], ["open", "opened"], "the first is forgiven");
    for ms in [1000, 2000, 4000, 5000, 5000] {
        let key = world.key("/");
        assert_eq!(world.says(&["connect /"]), [""; 0]);
        assert!(world.manager.is_active(key));
        assert_eq!(world.deadline(), Some(Duration::from_millis(ms)));
        assert_eq!(world.says(&[&*format!("wait {ms}"), "opened", refusal])[..3], ["open", "opened", "> 0"]);
    }
    assert_eq!(world.says(&["wait 5000", "connect /"]), ["open"], "who waits by himself need not wait again");
    world.run(&["opened", r#"0{"sid":"x"}"#, "1"]);
    assert_eq!(world.says(&["connect /"]), ["open"], "success makes up for it");
}

#[test]
fn refusals_make_a_socket_wait_on_an_open_connection_too() {
    let mut world = World::connected(config());
    let refusal = r#"4/a,{"message":"no"}"#;
    world.run(&["connect /a", refusal, "connect /a", refusal]);
    assert_eq!(world.says(&["connect /a", "wait 999"]), [""; 0]);
    assert_eq!(world.says(&["wait 1"]), ["> 0/a,"]);
    world.run(&[refusal, "connect /a", "disconnect /a"]);
    assert_eq!(world.says(&["wait 100000"]), [""; 0], "a socket that is not wanted does not wait");
    // The delay outlives a connection.
    world.run(&["connect /a", refusal, "connect /a", "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened"]), ["opened", "> 0", "reconnect 1"]);
    assert_eq!(world.says(&["wait 2999"]), [""; 0]);
    assert_eq!(world.says(&["wait 1"]), ["> 0/a,"]);
}

#[test]
fn a_namespace_that_does_not_answer_is_told_in_time() {
    let mut world = World::new(config());
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&["wait 19999"]), [""; 0]);
    let expected = ["connect_error / timeout", "closed forced close", "close forced close"];
    assert_eq!(world.says(&["wait 1"]), expected);
    assert_eq!(world.says(&["wait 1000", "opened"])[3..], ["> 0", "reconnect 1"]);
    world.run(&["wait 20000"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(2000)), "delays grow");
    let mut world = World::new(Config { connect_timeout: None, ..config() });
    assert_eq!(world.says(&["connect /", "opened", "wait 1000000"]), ["open", "opened", "> 0"]);
    assert_eq!(world.says(&["gone"])[0], "connect_error / transport close");
}

#[test]
fn a_silent_namespace_does_not_cost_the_others_their_connection() {
    let mut world = World::connected(config());
    world.run(&["connect /a"]);
    assert_eq!(world.says(&["wait 20000"]), ["connect_error /a timeout"]);
    assert_eq!(world.deadline(), None);
    assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), ["connect /a"], "late, but welcome");
    world.run(&["connect /b", "wait 20000"]);
    assert_eq!(world.says(&["1/b,"]), ["connect_error /b io server disconnect"]);
    // Nor those that may be answered yet.
    let mut world = World::new(config());
    world.socket("/c", asked()).run(&["connect /", "opened", "wait 10000", "connect /b", "connect /c"]);
    assert_eq!(world.says(&["wait 10000"]), ["connect_error / timeout"]);
    assert_eq!(world.says(&["wait 10000"]), ["connect_error /b timeout"]);
    world.run(&["auth t"]);
    let expected = ["connect_error /c timeout", "closed forced close", "close forced close"];
    assert_eq!(world.says(&["wait 20000"]), expected);
}

#[test]
fn a_server_of_version_2_is_told() {
    for reply in ["0", "0{}", r#"0{"sid":""}"#, r#"0{"sid":7}"#] {
        let mut world = World::new(config());
        world.run(&["connect /", "opened"]);
        let told = world.says(&[reply]);
        assert!(told[0].contains("v2.x with a v3.x client"), "{told:?}");
        assert_eq!(told[1..], ["closed forced close", "close forced close"], "nobody else needs the connection");
        let key = world.key("/");
        assert!(world.manager.is_active(key));
        assert_eq!(world.says(&["wait 1000", "opened"])[3..], ["> 0", "reconnect 1"]);
        world.run(&[reply]);
        assert_eq!(world.deadline(), Some(Duration::from_millis(2000)), "delays grow");
    }
    // It speaks first.
    let mut world = World::new(config());
    world.socket("/", asked()).run(&["connect /", "opened"]);
    assert_eq!(world.says(&["0"])[1..], ["closed forced close", "close forced close"]);
    // However long an answer may take.
    let mut world = World::new(Config { connect_timeout: None, ..config() });
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&["0"]).len(), 3);
}

#[test]
fn a_namespace_of_version_2_does_not_cost_the_others_their_connection() {
    let mut world = World::connected(config());
    world.run(&["connect /a"]);
    let told = world.says(&["0/a,"]);
    assert!(told[0].contains("v2.x with a v3.x client") && told.len() == 1, "{told:?}");
    assert_eq!(world.says(&["0/a,", "wait 100000", "disconnect /a", "connect /a"]), [""; 0], "told once, asked once");
    assert_eq!(world.says(&["disconnect /a"]), [""; 0]);
    world.run(&["connect /a", "0/a,"]);
    assert_eq!(world.says(&["gone"]), ["disconnect / transport close", "closed transport close"], "told already");
    assert_eq!(world.says(&["wait 1000", "opened"])[3..5], ["> 0", "> 0/a,"]);
}

fn set_token(world: &mut World, namespace: &str, token: &str) {
    let key = world.key(namespace);
    world.manager.set_auth(key, Auth::Given(credentials(token)));
}

#[test]
fn the_answer_to_the_same_connect_counts_for_who_comes_back() {
    for leave in ["disconnect /a", "remove /a"] {
        let mut world = World::connected(config());
        world.run(&["connect /a", "wait 15000"]);
        assert_eq!(world.says(&[leave, "connect /a"]), [""; 0], "a second CONNECT");
        assert_eq!(world.deadline(), Some(Duration::from_secs(20)), "but it has its time");
        assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), ["connect /a"]);
        world.run(&["disconnect /a", "wait 100", "connect /a", leave, "connect /a"]);
        assert_eq!(world.says(&[r#"4/a,{"message":"no"}"#]), ["connect_error /a no"], "its refusal, too");
        assert_eq!(world.says(&["connect /a"]), ["> 0/a,"]);
        assert_eq!(world.says(&[leave, "connect /a", "wait 20000"]), ["connect_error /a timeout"]);
        assert_eq!(world.says(&[leave, "connect /a", r#"0/a,{"sid":"a"}"#]), ["connect /a"]);
    }
}

#[test]
fn other_credentials_wait_for_the_answer_to_the_first() {
    let waiting = || {
        let mut world = World::connected(config());
        world.run(&["connect /a", "disconnect /a"]);
        set_token(&mut world, "/a", "u");
        assert_eq!(world.says(&["connect /a"]), [""; 0]);
        assert_eq!(world.deadline(), Some(Duration::from_secs(20)));
        world
    };
    let connect = r#"> 0/a,{"token":"u"}"#;
    let mut world = waiting();
    world.run(&[r#"2/a,["to another"]"#]);
    assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), ["> 1/a,"]);
    assert_eq!(world.says(&["wait 99"]), [""; 0], "not in one breath");
    assert_eq!(world.says(&["wait 1"]), [connect]);
    assert_eq!(world.deadline(), Some(Duration::from_secs(20)));
    assert_eq!(world.says(&[r#"0/a,{"sid":"b"}"#]), ["connect /a"]);
    assert_eq!(world.says(&[r#"2/a,["x"]"#]), [r#"event /a ["x"]"#]);
    // A refusal is none of these credentials.
    assert_eq!(waiting().says(&[r#"4/a,{"message":"no"}"#]), [connect]);
    // The first is never answered, or late.
    let mut world = waiting();
    assert_eq!(world.says(&["wait 20000"]), ["connect_error /a timeout"]);
    assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#, "wait 100"]), ["> 1/a,", connect]);
    let mut world = waiting();
    let expected = ["> 1", "disconnect / io client disconnect"];
    assert_eq!(world.says(&["disconnect /"]), expected);
    assert_eq!(world.says(&["wait 20000"])[1..], ["closed forced close", "close forced close"], "no other needs it");
    // The connection ends.
    let mut world = waiting();
    assert_eq!(world.says(&["gone"])[1], "connect_error /a transport close");
    assert_eq!(world.says(&["wait 1000", "opened"])[3..5], ["> 0", connect]);
    assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), ["connect /a"]);
    // The application changes its mind.
    let mut world = waiting();
    assert_eq!(world.says(&["disconnect /a", r#"0/a,{"sid":"a"}"#, "wait 100000"]), ["> 1/a,"]);
    assert_eq!(world.says(&["connect /a"]), [connect]);
    let mut world = waiting();
    world.run(&["disconnect /a"]);
    let key = world.key("/a");
    world.manager.set_auth(key, Auth::default());
    assert_eq!(world.says(&["connect /a", r#"0/a,{"sid":"a"}"#]), ["connect /a"], "the first again");
}

#[test]
fn disconnect_and_connect_are_not_sent_in_one_breath() {
    for remove in [false, true] {
        let mut world = World::connected(config());
        world.run(&["connect /a", r#"0/a,{"sid":"a"}"#]);
        let key = world.key("/a");
        match remove {
            false => world.manager.disconnect(key),
            true => world.manager.remove(key),
        }
        let key = world.manager.socket("/a", SocketOptions::default()).unwrap();
        world.know("/a", key);
        world.manager.connect(world.now, key);
        assert_eq!(world.says(&["connect /a", "wait 99"]), ["> 1/a,", "disconnect /a io client disconnect"]);
        assert_eq!(world.says(&["wait 1"]), ["> 0/a,"]);
        assert_eq!(world.says(&[r#"0/a,{"sid":"b"}"#]), ["connect /a"]);
        // What does not leave any more does not matter on the next connection.
        world.manager.disconnect(key);
        world.manager.handle_closed(world.now, CloseReason::TransportClose);
        assert_eq!(world.says(&["connect /a", "wait 1000", "opened"])[5..], ["opened", "> 0", "> 0/a,", "reconnect 1"]);
    }
}

#[test]
fn namespaces_that_are_left_together_all_have_their_time() {
    let mut world = World::connected(config());
    world.run(&["connect /a", "connect /b", r#"0/a,{"sid":"a"}"#, r#"0/b,{"sid":"b"}"#]);
    world.run(&["disconnect /a", "disconnect /b"]);
    assert_eq!(world.says(&["connect /a", "connect /b", "wait 99"]), [""; 0]);
    assert_eq!(world.says(&["wait 1"]), ["> 0/a,", "> 0/b,"]);
}

#[test]
fn credentials_are_asked_for_when_they_can_be_sent() {
    let mut world = World::connected(config());
    world.socket("/a", asked()).run(&["connect /a", "auth t", "disconnect /a"]);
    assert_eq!(world.says(&["connect /a"]), [""; 0]);
    assert_eq!(world.deadline(), Some(Duration::from_secs(20)));
    assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#, "wait 100"]), ["> 1/a,", "auth /a"]);
    assert_eq!(world.says(&["auth t"]), [r#"> 0/a,{"token":"t"}"#]);
    assert_eq!(world.says(&[r#"0/a,{"sid":"b"}"#]), ["connect /a"]);
}

#[test]
fn a_timer_opens_no_connection_that_the_application_does_not_ask_for() {
    let refusal = r#"4/a,{"message":"no"}"#;
    let refused = |config| {
        let mut world = World::connected(config);
        for _ in 0..4 {
            world.run(&["connect /a", "wait 4000", refusal]);
        }
        world.run(&["connect /a"]);
        assert_eq!(world.deadline(), Some(Duration::from_secs(4)));
        world
    };
    let mut world = refused(Config { reconnection: false, ..config() });
    let lost = ["disconnect / transport close", "connect_error /a transport close", "closed transport close"];
    assert_eq!(world.says(&["gone"]), lost);
    assert_eq!(world.says(&["wait 100000"]), [""; 0]);
    assert_eq!(world.says(&["connect /a"]), ["open"]);
    assert_eq!(world.says(&["failed", "wait 100000"]).len(), 3, "one attempt for each connect");
    // Asked for again while it waits.
    let mut world = refused(Config { reconnection: false, ..config() });
    assert_eq!(world.says(&["gone", "connect /a", "wait 3999"]), lost);
    assert_eq!(world.says(&["wait 1"]), ["open"]);
    let mut world = refused(Config { reconnection_attempts: Some(1), ..config() });
    world.run(&["gone", "wait 1000"]);
    assert!(world.says(&["failed"]).contains(&"reconnect_failed".into()));
    assert_eq!(world.says(&["wait 100000"]), [""; 0]);
    assert_eq!(world.says(&["connect /"]), ["open"]);
    // The connection that it waits for was closed with its last socket: then the time opens one.
    let mut world = refused(Config { reconnection: false, ..config() });
    world.run(&["disconnect /a", "disconnect /"]);
    assert_eq!(world.says(&["connect /a", "wait 3999"]), [""; 0]);
    assert_eq!(world.says(&["wait 1"]), ["open"]);
    world.run(&["failed", "disconnect /a"]);
    assert!(world.manager.is_idle());
}

#[test]
fn credentials_are_sent_at_every_connection() {
    let mut world = World::new(config());
    let options = SocketOptions { auth: Auth::Given(credentials("t")), ..SocketOptions::default() };
    world.socket("/", options).run(&["connect /"]);
    assert_eq!(world.says(&["opened"])[1..], [r#"> 0{"token":"t"}"#]);
    world.run(&[r#"0{"sid":"x"}"#, "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"token":"t"}"#]);
    let key = world.key("/");
    world.manager.set_auth(key, Auth::Given(credentials("u")));
    world.run(&["gone", "wait 2000"]);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"token":"u"}"#]);
}

#[test]
fn credentials_are_asked_for_at_every_connection() {
    let mut world = World::new(config());
    world.socket("/", asked()).run(&["connect /"]);
    assert_eq!(world.says(&["opened"]), ["opened", "auth /"]);
    assert_eq!(world.says(&["wait 100000", "connect /"]), [""; 0], "the application takes its time");
    assert_eq!(world.says(&["auth t"]), [r#"> 0{"token":"t"}"#]);
    assert_eq!(world.deadline(), Some(Duration::from_secs(20)));
    world.run(&[r#"0{"sid":"x"}"#, "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened", "auth u"])[1..], ["auth /", "reconnect 1", r#"> 0{"token":"u"}"#]);
}

#[test]
fn credentials_for_another_connection_are_void() {
    for between in [["gone", "wait 1000", "opened"], ["disconnect /", "connect /", "opened"]] {
        let mut world = World::new(config());
        world.socket("/", asked()).run(&["connect /", "opened"]).run(&between);
        assert_eq!(world.says(&["auth old"]), [""; 0]);
        assert_eq!(world.says(&["auth new"]), [r#"> 0{"token":"new"}"#]);
    }
}

#[test]
fn a_socket_for_which_there_are_no_credentials_is_disconnected() {
    let mut world = World::connected(config());
    world.socket("/a", asked()).run(&["connect /a", "disconnect /a", "connect /a"]);
    let key = world.key("/a");
    let [old, new] = [world.auth.pop_front().unwrap(), world.auth.pop_front().unwrap()];
    assert!(!world.manager.decline(old) && world.manager.is_active(key), "the request is void");
    assert!(world.manager.decline(new) && !world.manager.is_active(key));
    assert_eq!(world.says(&["wait 100000"]), [""; 0]);
}

#[test]
fn credentials_are_objects() {
    let send = |auth: serde_json::Value, pid, offset| Credentials::new(&auth).unwrap().with_recovery(pid, offset);
    use serde_json::json;
    assert_eq!(send(json!({}), None, None), None);
    assert_eq!(send(json!({}), Some("p"), None).unwrap(), r#"{"pid":"p"}"#);
    assert_eq!(send(json!({"a":1}), Some("p\""), Some("o")).unwrap(), r#"{"pid":"p\"","offset":"o","a":1}"#);
    assert_eq!(send(json!({"pid":1}), Some("p"), Some("o")).unwrap(), r#"{"offset":"o","pid":1}"#);
    assert_eq!(send(json!({"offset":1}), Some("p"), Some("o")).unwrap(), r#"{"pid":"p","offset":1}"#);
    for auth in [json!("a"), json!([1]), json!(null), json!(1)] {
        assert!(Credentials::new(&auth).is_err(), "{auth}");
    }
    assert_eq!(format!("{:?}", credentials("secret")), "Credentials(..)");
}

#[test]
fn the_state_of_a_connection_is_recovered() {
    let mut world = World::new(config());
    let options = SocketOptions { auth: Auth::Given(credentials("t")), ..SocketOptions::default() };
    world.socket("/", options).run(&["connect /", "opened", r#"0{"sid":"x","pid":"p"}"#]);
    let key = world.key("/");
    assert!(!world.manager.is_recovered(key));
    world.run(&[r#"2["a","o1"]"#, r#"2["b",1]"#, r#"2["c"]"#, r#"21["d","no"]"#, r#"31["no"]"#, "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"pid":"p","offset":"o1","token":"t"}"#]);
    assert_eq!(world.says(&[r#"0{"sid":"x","pid":"p"}"#]), ["connect / recovered"]);
    assert!(world.manager.is_recovered(key));
    // What was missed counts, too, and with attachments.
    let missed = [r#"51-["a",{"_placeholder":true,"num":0},"o2"]"#, "binary x", "gone", "wait 1000"];
    world.run(&missed);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"pid":"p","offset":"o2","token":"t"}"#]);
    assert_eq!(world.says(&[r#"0{"sid":"y","pid":"q"}"#]), ["connect /"]);
    assert!(!world.manager.is_recovered(key));
    world.run(&["gone", "wait 1000", "opened", r#"0{"sid":"y"}"#]);
    world.run(&[r#"2["a","o3"]"#, "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"token":"t"}"#], "a server that does not count");
    world.run(&[r#"0{"sid":"y","pid":"r"}"#, "gone", "wait 1000"]);
    assert_eq!(world.says(&["opened"])[1..2], [r#"> 0{"pid":"r","token":"t"}"#]);
}

#[test]
fn late_early_and_repeated_calls_are_harmless() {
    let mut world = World::new(config());
    world.run(&["connect /", "failed"]);
    for _ in 0..3 {
        assert_eq!(world.deadline(), Some(Duration::from_millis(1000)));
    }
    world.run(&["wait 900"]);
    let now = world.now;
    world.now = Instant::EPOCH;
    assert_eq!(world.says(&["wait 99"]), [""; 0]);
    world.now = now;
    assert_eq!(world.says(&["emit / a 50"]), [""; 0]);
    world.now = Instant::EPOCH;
    let key = world.key("/");
    let ack = ExpectedAck { id: 9, deadline: Some(Instant::from_epoch(Duration::from_millis(899))) };
    world.manager.emit(key, Encoder::default().event("/", "x", &(), Some(9)).unwrap(), Some(ack)).unwrap();
    assert_eq!(world.says(&["wait 0"]), ["failed / 9 operation has timed out"], "time has passed already");
    world.now = now;
    assert_eq!(world.says(&["wait 50"]), ["failed / 0 operation has timed out"]);
    assert_eq!(world.says(&["wait 5000"]), ["reconnect_attempt 1", "open"]);
}

#[test]
fn a_closed_manager_keeps_nothing() {
    let mut world = World::connected(config());
    world.run(&["connect /a", r#"0/a,{"sid":"a","pid":"p"}"#, "connect /b", r#"2/b,["early"]"#, "emit /b x 100"]);
    world.run(&["emit / x -", "retry / y", "retry / z", r#"52-["a"]"#, "binary x"]);
    world.log.clear();
    world.run(&["close"]);
    assert!(world.manager.is_idle());
    for (end, id) in [("/", 0), ("/", 1), ("/", 2), ("/b", 0)] {
        let failed = format!("failed {end} {id} socket has been disconnected");
        assert_eq!(world.log.iter().filter(|line| **line == failed).count(), 1, "{failed}: {:?}", world.log);
    }
    assert_eq!(world.deadline(), None);
    let mut fresh = World::new(config());
    for name in ["/", "/a", "/b"] {
        fresh.key(name);
    }
    for (slot, fresh) in world.manager.slots.iter().zip(&mut fresh.manager.slots) {
        // What is counted, and what the server knows the socket by.
        (fresh.turn, fresh.ids) = (slot.turn, slot.ids);
        fresh.pid = slot.pid.clone();
    }
    let World { manager: Manager { now, generation, .. }, .. } = &mut fresh;
    (*now, *generation) = (world.manager.now, world.manager.generation);
    assert_eq!(world.manager, fresh.manager);
}

#[test]
fn a_removed_socket_is_forgotten() {
    let mut world = World::connected(config());
    let key = world.key("/");
    world.run(&["emit / x -"]);
    let expected = [
        "> 1",
        "closed forced close",
        "disconnect / io client disconnect",
        "failed / 0 socket has been disconnected",
        "close forced close",
    ];
    assert_eq!(world.says(&["remove /"]), expected);
    world.run(&["emit /a x -", "retry /a y"]);
    let failed = ["failed /a 0 socket has been disconnected", "failed /a 1 socket has been disconnected"];
    assert_eq!(world.says(&["remove /a"]), failed);
    assert_eq!(world.manager.namespace(key), None);
    let packet = || Encoder::default().event("/", "x", &(), None).unwrap();
    assert_eq!(world.manager.emit(key, packet(), None), Err(EmitError::Gone));
    assert_eq!(world.manager.emit_with_retries(world.now, key, packet(), 0, None), Err(EmitError::Gone));
    assert_ne!(world.key("/"), key, "the place is another socket's");
    assert_eq!(world.manager.namespace(key), None);
    assert_eq!(world.manager.emit(key, packet(), None), Err(EmitError::Gone));
    assert!(world.manager.is_idle());
}

#[test]
fn a_connect_keeps_its_distance_from_a_disconnect_that_is_on_its_way() {
    for leave in ["disconnect /a", "remove /a"] {
        let mut world = World::connected(config());
        world.run(&["connect /a", r#"0/a,{"sid":"a"}"#, leave]);
        assert_eq!(world.says(&["connect /a", "wait 99"]), [""; 0], "not in one breath");
        assert_eq!(world.says(&["wait 1"]), ["> 0/a,"]);
    }
}
