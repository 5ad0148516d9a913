//! What a server may do wrong.

use super::*;
use crate::socket::placeholder::Placeholders;

const CLOSED: [&str; 3] = ["disconnect / parse error", "closed parse error", "close parse error"];

#[test]
fn what_is_no_packet_closes_the_connection_which_is_opened_again() {
    for text in [
        "",
        "7",
        "hello",
        "2",
        "2{}",
        "2[]",
        "2[null]",
        r#"2["connect"]"#,
        "3{}",
        "30{}",
        "1{}",
        "0[]",
        "0null",
        r#"0{"sid":"x""#,
        "4[1]",
        "4null",
        "4{",
        "5-[\"a\"]",
        "5a-[\"a\"]",
        "511-[\"a\"]",
        "511111111111111111111111-",
        r#"299999999999999999999["a"]"#,
        r#"399999999999999999999[]"#,
        r#"2-1["a"]"#,
        &["2/", &"x".repeat(512), r#",["a"]"#].concat(),
    ] {
        let mut world = World::connected(config());
        assert_eq!(world.says(&[text]), CLOSED, "{text}");
        assert_eq!(world.says(&["wait 1000", "opened", r#"0{"sid":"y"}"#])[..2], ["reconnect_attempt 1", "open"]);
        let key = world.key("/");
        assert!(world.manager.is_connected(key));
    }
}

#[test]
fn a_payload_that_is_no_json_closes_the_connection_after_its_event() {
    let mut world = World::connected(config());
    assert_eq!(world.says(&[r#"2["a",}]"#])[1..], CLOSED);
    let mut world = World::connected(config());
    world.run(&["emit / a -"]);
    assert_eq!(world.says(&["30[}]"])[1..], CLOSED);
    let mut world = World::new(config());
    world.run(&["connect /", "opened", "emit / b", r#"2["a",}]"#, r#"2["c"]"#]);
    let expected = ["event / [\"a\",}]", "connect_error / parse error", "closed parse error", "close parse error"];
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), expected, "also if it came early");
    let key = world.key("/");
    assert_eq!(world.manager.buffered(key), 1);
}

#[test]
fn connect_for_a_connected_socket_closes_the_connection() {
    for connect in [r#"0{"sid":"y"}"#, "0", "0{}"] {
        let mut world = World::connected(config());
        assert_eq!(world.says(&[connect]), CLOSED);
    }
    let mut world = World::connected(config());
    assert_eq!(world.says(&[r#"4{"message":"no"}"#]), CLOSED);
    let mut world = World::new(config());
    world.run(&["connect /", "opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"y""#])[0], "connect_error / parse error");
    let mut world = World::new(config());
    world.socket("/", asked()).run(&["connect /", "opened"]);
    let expected = ["connect_error / parse error", "closed parse error", "close parse error"];
    assert_eq!(world.says(&[r#"0{"sid":"y"}"#]), expected, "nobody has asked");
}

#[test]
fn what_concerns_nobody_is_ignored() {
    let mut world = World::connected(config());
    world.key("/idle");
    let unknown = [
        r#"0/x,{"sid":"x"}"#,
        "0/x,",
        "1/x,",
        r#"2/x,["a"]"#,
        r#"2/x,1["a"]"#,
        "3/x,1[]",
        r#"4/x,{"message":"no"}"#,
        r#"51-/x,["a"]"#,
        "binary b",
        r#"61-/x,1["a"]"#,
        "binary b",
        "1/idle,",
        r#"2/idle,["a"]"#,
        "0/idle,",
        r#"4/idle,{"message":"no"}"#,
        "3[]",
        "30[]",
        "39999999999999999999[]",
    ];
    assert_eq!(world.says(&unknown), [""; 0]);
    assert_eq!(world.says(&[r#"2["a"]"#]), [r#"event / ["a"]"#]);
}

#[test]
fn a_namespace_that_answers_too_late_is_left() {
    let mut world = World::connected(config());
    for leave in ["disconnect /a", "remove /a"] {
        world.run(&["wait 100", "connect /a", leave]);
        assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), ["> 1/a,"]);
        assert_eq!(world.says(&[r#"0/a,{"sid":"a"}"#]), [""; 0], "once");
    }
}

#[test]
fn attachments_come_at_once_and_within_limits() {
    let header = r#"52-["a"]"#;
    for inputs in [&["binary x"][..], &[header, r#"2["b"]"#], &[header, "binary x", "1"], &[header, "binary x", header]]
    {
        let mut world = World::connected(config());
        assert_eq!(world.says(inputs), CLOSED, "{inputs:?}");
    }
    let mut world = World::connected(config());
    assert_eq!(world.says(&[header, "binary x", "binary y", "binary z"])[1..], CLOSED, "one too many");
    let mut world = World::connected(Config { max_packet: 20, ..config() });
    assert_eq!(world.says(&[header, "binary 123456", "binary 123456"]), [r#"event / ["a"]"#]);
    assert_eq!(world.says(&[header, "binary 123456", "binary 1234567"]), CLOSED);
    let mut world = World::connected(Config { max_packet: 20, ..config() });
    assert_eq!(world.says(&["2[\"0123456789abcdef\"]"]), CLOSED);
    let mut world = World::connected(Config { max_attachments: 1, ..config() });
    assert_eq!(world.says(&[header]), CLOSED);
}

#[test]
fn copies_of_attachments_count_towards_the_limit_of_a_packet() {
    let header = format!(r#"51-["a",{}]"#, [r#"{"_placeholder":true,"num":0}"#; 4].join(","));
    for (size, says) in [(66, &[][..]), (67, &CLOSED[..])] {
        let mut world = World::connected(Config { max_packet: 200, ..config() });
        assert_eq!(world.says(&[&header, &format!("binary {}", "x".repeat(size))])[1..], *says);
    }
}

#[test]
fn attachments_come_in_time() {
    let mut world = World::connected(config());
    world.run(&[r#"52-["a"]"#, "wait 44999", "binary x"]);
    assert_eq!(world.deadline(), Some(Duration::from_millis(1)));
    world.now += Duration::from_millis(1);
    assert_eq!(world.says(&["binary y"]), CLOSED, "what comes with the deadline is late");
    let mut world = World::connected(config());
    world.run(&[r#"52-["a"]"#, "binary x"]);
    assert_eq!(world.says(&["wait 45000"]), CLOSED);
    assert_eq!(world.manager.partial, None);
}

#[test]
fn a_packet_whose_socket_leaves_between_attachments_is_discarded() {
    for leave in ["disconnect /", "remove /"] {
        let mut world = World::connected(config());
        world.run(&["connect /a", r#"0/a,{"sid":"a"}"#, r#"52-["a"]"#, "binary x", leave]);
        assert_eq!(world.manager.partial.as_ref().unwrap().placeholders, Placeholders::default());
        assert_eq!(world.says(&["binary y", r#"2/a,["b"]"#]), [r#"event /a ["b"]"#]);
    }
}

#[test]
fn the_place_of_a_large_packet_is_given_back() {
    let mut world = World::connected(config());
    world.run(&[&format!(r#"51-["{}"]"#, "x".repeat(Partial::<Subject>::KEEP)), "binary x"]);
    assert_eq!(world.log.len(), 1);
    assert_eq!(world.manager.partial, None);
}

#[test]
fn early_events_are_bounded() {
    let event = r#"2["a"]"#;
    let max_early = 3 * (event.len() + 64);
    let mut world = World::new(Config { max_early, ..config() });
    world.run(&["connect /", "connect /a", "opened", event, event]);
    assert_eq!(world.says(&[event]), [""; 0]);
    let expected =
        ["connect_error / parse error", "connect_error /a parse error", "closed parse error", "close parse error"];
    assert_eq!(world.says(&[r#"2/a,["a"]"#]), expected, "of all namespaces together");
    world.run(&["wait 1000", "opened", event, event, event, r#"0{"sid":"x"}"#]);
    assert_eq!(world.says(&[r#"2/a,["a"]"#, r#"2/a,["a"]"#]), [""; 0], "what was told makes room");
    world.run(&["close"]);
    assert!(world.manager.is_idle());
}

#[test]
fn ids_of_servers_are_bounded() {
    let id = |len| "i".repeat(len);
    for (reply, fits) in [
        (format!(r#"0{{"sid":"{}","pid":"{}"}}"#, id(256), id(256)), true),
        (format!(r#"0{{"sid":"{}"}}"#, id(257)), false),
        (format!(r#"0{{"sid":"x","pid":"{}"}}"#, id(257)), false),
    ] {
        let mut world = World::new(config());
        world.run(&["connect /", "opened"]);
        assert_eq!(world.says(&[&*reply])[0] == "connect /", fits);
    }
}

#[test]
fn nothing_is_taken_before_the_connection_opens_or_after_it_is_over() {
    let mut world = World::new(config());
    world.run(&["connect /"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#, "7", "binary x", r#"2["a"]"#]), [""; 0]);
    world.run(&["opened"]);
    assert_eq!(world.says(&[r#"0{"sid":"x"}"#]), ["connect /"], "nor kept");
    let mut world = World::connected(config());
    world.run(&["gone"]);
    assert_eq!(world.says(&[r#"2["a"]"#, "7", "binary x", "gone", "opened"]), [""; 0]);
    let mut world = World::connected(config());
    world.run(&["7"]);
    assert_eq!(world.says(&[r#"2["a"]"#, "7", "gone"]), [""; 0]);
}
