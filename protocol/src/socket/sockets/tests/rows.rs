//! One test per case of the official server's behaviour at the Socket.IO level, numbered as in the project's collection
//! of corner cases. "Closed" is told as `close` and one `disconnect` per socket.

use super::*;

const FORCED: [&str; 2] = ["close forced close", "disconnect / forced close"];
const PARSE: [&str; 2] = ["close parse error", "disconnect / parse error"];
const NOTHING: [&str; 0] = [];

/// A text message of Engine.IO, without its packet type `4`, for each of `texts` on a connection of its own.
fn all_are(texts: &[&str], expected: &[&str]) {
    for text in texts {
        assert_eq!(joined_says(&[text]), expected, "{text}");
    }
}

#[test]
fn row_54_nothing_sent_after_open_and_rejected_connects_run_into_the_timeout() {
    assert_eq!(says(&["wait 44999"]), NOTHING);
    assert_eq!(says(&["wait 45000"]), ["close forced close"]);
    let rejected = says(&["0", "reject", "wait 44999", "0", "wait 1", "accept"]);
    assert_eq!(rejected[2..], ["connect /", "close forced close", "void"]);
    assert_eq!(says(&["0", "accept", "wait 45000"]).len(), 2);
}

#[test]
fn row_55_event_before_connect() {
    assert_eq!(says(&[r#"2["a"]"#]), ["close forced close"]);
}

#[test]
fn row_56_event_pipelined_behind_connect() {
    assert_eq!(says(&["0", r#"2["a"]"#, "accept"]), ["connect /", "close forced close", "void"]);
}

#[test]
fn row_57_connect_twice_for_the_same_namespace() {
    assert_eq!(joined_says(&["0"]), FORCED);
    assert_eq!(joined_says(&["0/a", "0/a"])[1..], FORCED);
}

#[test]
fn row_58_spellings_of_the_main_namespace() {
    for text in ["0", "0/", "0/,", "0/,{}"] {
        assert_eq!(says(&[text, "accept"])[1], r#"> 0{"sid":"s0"}"#, "{text}");
    }
}

#[test]
fn row_59_namespace_without_trailing_comma() {
    let said = says(&["0/custom", "accept", "1/custom"]);
    assert_eq!(
        said,
        ["connect /custom", r#"> 0/custom,{"sid":"s0"}"#, "disconnect /custom client namespace disconnect"]
    );
    assert_eq!(says(&["0/admin,", "accept", "disconnect /admin"])[2], "> 1/admin,");
}

#[test]
fn row_60_a_query_is_part_of_the_name() {
    let said = says(&[r#"0/custom?token=1,{"a":1}"#, "reject"]);
    assert_eq!(said, [r#"connect /custom?token=1 {"a":1}"#, r#"> 4/custom?token=1,{"message":"Invalid namespace"}"#]);
}

#[test]
fn row_61_unknown_namespace_keeps_the_connection() {
    let said = joined_says(&["0/random", "reject", r#"2["a"]"#]);
    assert_eq!(said, ["connect /random", r#"> 4/random,{"message":"Invalid namespace"}"#, r#"event / ["a"]"#]);
}

#[test]
fn row_62_auth_must_be_an_object() {
    for text in [r#"0"abc""#, "0[1]", "0null"] {
        assert_eq!(says(&[text]), ["close parse error"], "{text}");
    }
    assert_eq!(says(&["0{"]), ["connect / {", "close parse error"]);
}

#[test]
fn row_62_a_verdict_that_follows_at_once_does_not_come_before_the_fault() {
    let accept = |sockets: &mut Sockets, request| assert_eq!(sockets.accept(request, &SocketId::from("s0")), None);
    let reject = |sockets: &mut Sockets, request| sockets.reject(request, &ConnectError::new("no"));
    for verdict in [accept as fn(&mut Sockets, ConnectRequest), reject] {
        let mut sockets = Sockets::new(Arc::default(), Instant::EPOCH);
        let message = &mut Some(Message::Text("0{"));
        let Next::Event(Event::Connect { request, .. }) = sockets.next(Instant::EPOCH, message) else { panic!() };
        verdict(&mut sockets, request);
        assert!(matches!(sockets.advance(Instant::EPOCH), Next::Close(CloseReason::ParseError)));
    }
}

#[test]
fn row_63_connect_reply() {
    assert_eq!(says(&["0", "accept"])[1], r#"> 0{"sid":"s0"}"#);
    assert_eq!(says(&["0/a,", "accept"])[1], r#"> 0/a,{"sid":"s0"}"#);
}

#[test]
fn row_64_connect_error() {
    for (error, expected) in [
        (ConnectError::new("no"), r#"4{"message":"no"}"#),
        (ConnectError::new("no").with_data([1]), r#"4{"message":"no","data":[1]}"#),
    ] {
        let mut world = World::new(Config::default());
        world.run(&["0"]);
        world.sockets.reject(world.requests.pop_front().unwrap(), &error);
        world.run(&["wait 0"]);
        assert_eq!(world.log[1], format!("> {expected}"));
    }
}

#[test]
fn row_65_event_to_a_namespace_not_joined() {
    assert_eq!(joined_says(&[r#"2/other,["a"]"#]), FORCED);
    assert_eq!(joined_says(&["3/other,1[]"]), FORCED);
    assert_eq!(joined_says(&["1/other"]), FORCED);
}

#[test]
fn row_65_ours_a_server_side_disconnect_is_no_trap() {
    assert_eq!(joined_says(&["disconnect /", r#"2["a"]"#, "1"])[2..], NOTHING);
}

#[test]
fn row_66_event_after_own_disconnect() {
    assert_eq!(joined_says(&["1", r#"2["a"]"#])[1..], ["close forced close"]);
}

#[test]
fn row_67_a_fresh_socket_after_disconnect() {
    let said = joined_says(&["1", "0", "accept"]);
    assert_eq!(said, ["disconnect / client namespace disconnect", "connect /", r#"> 0{"sid":"s1"}"#]);
}

#[test]
fn row_68_the_connection_survives_its_last_namespace() {
    assert_eq!(joined_says(&["1", "wait 1000000"]), ["disconnect / client namespace disconnect"]);
}

#[test]
fn row_69_disconnect_with_a_payload() {
    assert_eq!(joined_says(&["1{}"]), PARSE);
}

#[test]
fn row_70_connect_error_from_a_client() {
    all_are(&[r#"4{"message":"x"}"#, "4", "4/other,{}"], &FORCED);
}

#[test]
fn row_71_event_without_payload() {
    assert_eq!(joined_says(&["2"]), PARSE);
}

#[test]
fn row_72_events_that_name_nothing_or_what_is_reserved() {
    let texts = ["2[]", "2{}", "2[null]", r#"2["connect"]"#, r#"2["disconnect"]"#, r#"2["newListener"]"#];
    all_are(&texts, &PARSE);
}

#[test]
fn row_73_numeric_event() {
    assert_eq!(joined_says(&["2[1,2]"]), ["event / [1,2]"]);
}

#[test]
fn row_74_ack_id_zero() {
    assert_eq!(joined_says(&[r#"20["x"]"#]), [r#"event / 0 ["x"]"#]);
    assert_eq!(joined_says(&["await / 0 10", "30[1]"]), ["ack / 0 [1]"]);
}

#[test]
fn row_75_leading_zeros() {
    assert_eq!(joined_says(&[r#"2007["x"]"#]), [r#"event / 7 ["x"]"#]);
}

#[test]
fn row_76_long_ack_ids() {
    assert_eq!(joined_says(&[r#"29999999999999999999["x"]"#]), [r#"event / 9999999999999999999 ["x"]"#]);
    all_are(&[r#"210000000000000000000["x"]"#, r#"299999999999999999999["x"]"#], &PARSE);
}

#[test]
fn row_77_space_after_the_type() {
    assert_eq!(joined_says(&[r#"2 ["m"]"#]), PARSE);
}

#[test]
fn row_78_ids_that_are_no_numbers() {
    all_are(&[r#"2-1["m"]"#, r#"2abc["m"]"#], &PARSE);
}

#[test]
fn row_79_unknown_and_duplicate_acks_are_ignored() {
    assert_eq!(joined_says(&["35[]", "await / 1 10", "31[]", "31[]"]), ["ack / 1 []"]);
}

#[test]
fn row_80_ack_without_id_is_ignored() {
    assert_eq!(joined_says(&["3[1]", "await / 0 10", "3[1]"]), NOTHING);
}

#[test]
fn row_81_ack_whose_payload_is_no_array() {
    assert_eq!(joined_says(&["31{}"]), PARSE);
}

#[test]
fn row_83_one_ack_id_for_several_sockets() {
    let said = joined_says(&["0/a", "accept", "await / 5 10", "await /a 5 10", "3/a,5[1]", "35[2]", "35[3]"]);
    assert_eq!(said[2..], ["ack /a 5 [1]", "ack / 5 [2]"]);
}

#[test]
fn row_84_attachments_in_order() {
    use crate::socket::Binary;
    let header = r#"52-["m",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;
    let (a, b): (Binary, Binary) = decoded(&[header, "binary zero", "binary one"]);
    assert_eq!((&a.0[..], &b.0[..]), (&b"zero"[..], &b"one"[..]));
}

#[test]
fn row_85_text_while_attachments_are_awaited() {
    assert_eq!(joined_says(&[r#"51-["a"]"#, r#"2["b"]"#]), PARSE);
}

#[test]
fn row_86_binary_without_header() {
    assert_eq!(joined_says(&["binary x"]), PARSE);
    assert_eq!(says(&["binary x"]), ["close parse error"]);
    assert_eq!(joined_says(&[r#"51-["a"]"#, "binary x", "binary y"])[1..], PARSE);
}

#[test]
fn row_87_num_may_repeat_and_attachments_be_unused() {
    use crate::socket::Binary;
    let header = r#"52-["m",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]"#;
    let (a, b): (Binary, Binary) = decoded(&[header, "binary zero", "binary one"]);
    assert_eq!((&a.0[..], &b.0[..]), (&b"one"[..], &b"one"[..]));
}

/// 28 bytes of text for each copy of an attachment: a list of bytes would take memory out of proportion.
#[test]
fn row_87_copies_of_attachments_count_towards_the_limit_of_the_packet() {
    let places = |count: usize| vec![r#"{"_placeholder":true,"num":0}"#; count].join(",");
    let attachment = format!("binary {}", "x".repeat(1_000_000));
    for (count, says) in [(12, &["event / 7"][..]), (13, &PARSE[..])] {
        // With and without anything else beside the placeholders, and decoded by nobody.
        for list in [places(count), format!("[{}]", places(count))] {
            let said = joined_says(&[&format!(r#"51-7["m",{list}]"#), &attachment]);
            assert!(said.last().unwrap().starts_with(says.last().unwrap()), "{count}: {said:?}");
        }
    }
}

#[test]
fn row_88_num_out_of_range() {
    for num in ["1", "-1", r#""0""#, "0.5", "null"] {
        let header = format!(r#"51-["m",{{"_placeholder":true,"num":{num}}}]"#);
        assert_eq!(joined_says(&[&header, "binary x"])[1..], PARSE, "{num}");
    }
}

#[test]
fn row_89_placeholder_in_a_plain_event() {
    let text = r#"["m",{"_placeholder":true,"num":0}]"#;
    assert_eq!(joined_says(&[&format!("2{text}"), "1"])[..1], [format!("event / {text}")]);
    assert_eq!(joined_says(&[&format!("2{text}")]).len(), 1);
}

#[test]
fn row_90_more_than_ten_attachments() {
    assert_eq!(joined_says(&[r#"511-["a"]"#]), PARSE);
    assert_eq!(joined_says(&[r#"510-["a"]"#]), NOTHING);
}

#[test]
fn row_91_attachment_counts_that_are_none() {
    all_are(&[r#"5a-["a"]"#, r#"51.5-["a"]"#, r#"51["a"]"#], &PARSE);
}

#[test]
fn row_92_no_attachments() {
    assert_eq!(joined_says(&[r#"5-["a"]"#]), PARSE);
    let said = joined_says(&[r#"50-["a"]"#, r#"2["b"]"#, "await / 1 10", "60-1[]"]);
    assert_eq!(said, [r#"event / ["a"]"#, r#"event / ["b"]"#, "ack / 1 []"]);
}

#[test]
fn row_93_ack_id_on_binary() {
    assert_eq!(joined_says(&[r#"51-7["m"]"#, "binary x"]), [r#"event / 7 ["m"]"#]);
    let said = joined_says(&["0/admin", "accept", "await /admin 13 10", "61-/admin,13[]", "binary x"]);
    assert_eq!(said[2..], ["ack /admin 13 []"]);
}

#[test]
fn row_93_a_binary_ack_that_comes_late_takes_its_attachments_along() {
    let said = joined_says(&["await / 1 10", "61-1[]", "wait 10", "binary x", r#"2["a"]"#]);
    assert_eq!(said, ["timeout / 1", r#"event / ["a"]"#]);
    assert_eq!(joined_says(&["61-[]", "binary x", r#"2["a"]"#]), [r#"event / ["a"]"#]);
}

#[test]
fn row_96_event_named_error() {
    assert_eq!(joined_says(&[r#"2["error",1]"#]), [r#"event / ["error",1]"#]);
}

#[test]
fn row_98_a_decode_error_disconnects_all_sockets() {
    let said = joined_says(&["0/a", "accept", "x"]);
    assert_eq!(said[2..], ["close parse error", "disconnect / parse error", "disconnect /a parse error"]);
}

#[test]
fn row_99_namespaces_are_raw_strings() {
    let said = says(&["0/A", "accept", "0/a", "0/%61", "0/é"]);
    assert_eq!(said[2..], ["connect /a", "connect /%61", "connect /é"]);
}
