use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::str;

use proptest::prelude::*;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::socket::{Binary, RawArgs};

fn parse(message: &str) -> Result<Header<'_>, PacketError> {
    Header::parse(message, 10)
}

/// The text of a packet without Engine.IO's type, and its attachments.
fn parts(packet: &Packet) -> (String, Vec<Vec<u8>>) {
    let mut frames = packet.frames();
    let first = frames.next().unwrap();
    assert_eq!(first.opcode(), Opcode::Text);
    let text = str::from_utf8(first.payload()).unwrap().strip_prefix('4').unwrap().to_owned();
    let attachments = frames.inspect(|frame| assert_eq!(frame.opcode(), Opcode::Binary));
    (text, attachments.map(|frame| frame.payload().to_vec()).collect())
}

fn text(packet: &Packet) -> String {
    let (text, attachments) = parts(packet);
    assert!(attachments.is_empty());
    text
}

fn event(args: &(impl Serialize + ?Sized)) -> (String, Vec<Vec<u8>>) {
    parts(&encode_event("/", "m", args, None).unwrap())
}

fn bytes(bytes: &[u8]) -> Binary {
    bytes.to_vec().into()
}

#[test]
fn packets_are_split_as_the_rows_say() {
    use PacketType::*;
    // Row, message, type, attachments, namespace, id, payload.
    type Row<'a> = (u32, &'a str, PacketType, usize, &'a str, Option<u64>, &'a str);
    let rows: &[Row<'_>] = &[
        (58, "0", Connect, 0, "/", None, ""),
        (58, "0/", Connect, 0, "/", None, ""),
        (58, "0/,", Connect, 0, "/", None, ""),
        (58, "0/,{}", Connect, 0, "/", None, "{}"),
        (59, "0/custom", Connect, 0, "/custom", None, ""),
        (59, "1/custom", Disconnect, 0, "/custom", None, ""),
        (59, "1/admin,", Disconnect, 0, "/admin", None, ""),
        (60, "0/custom?token=1,{\"a\":1}", Connect, 0, "/custom?token=1", None, "{\"a\":1}"),
        // Not JSON, but that is found out later.
        (62, "0{", Connect, 0, "/", None, "{"),
        (67, "1", Disconnect, 0, "/", None, ""),
        (70, "4{\"message\":\"x\"}", ConnectError, 0, "/", None, "{\"message\":\"x\"}"),
        (70, "4", ConnectError, 0, "/", None, ""),
        (73, "2[1,2]", Event, 0, "/", None, "[1,2]"),
        (73, "2[-1.5e3]", Event, 0, "/", None, "[-1.5e3]"),
        (74, "20[\"x\"]", Event, 0, "/", Some(0), "[\"x\"]"),
        (75, "2007[\"x\"]", Event, 0, "/", Some(7), "[\"x\"]"),
        (76, "29999999999999999999[\"x\"]", Event, 0, "/", Some(9_999_999_999_999_999_999), "[\"x\"]"),
        (79, "3123[]", Ack, 0, "/", Some(123), "[]"),
        (80, "3[1]", Ack, 0, "/", None, "[1]"),
        (84, "52-[\"m\",1]", BinaryEvent, 2, "/", None, "[\"m\",1]"),
        (90, "510-[\"m\"]", BinaryEvent, 10, "/", None, "[\"m\"]"),
        (91, "5002-[\"m\"]", BinaryEvent, 2, "/", None, "[\"m\"]"),
        (92, "50-[\"m\"]", BinaryEvent, 0, "/", None, "[\"m\"]"),
        (93, "51-7[\"m\"]", BinaryEvent, 1, "/", Some(7), "[\"m\"]"),
        (93, "61-/admin,13[]", BinaryAck, 1, "/admin", Some(13), "[]"),
        (96, "2[\"error\"]", Event, 0, "/", None, "[\"error\"]"),
        (99, "2/%41b é,[\"m\"]", Event, 0, "/%41b é", None, "[\"m\"]"),
        // JSON's own whitespace is as good in the payload as anywhere.
        (77, "2[ \t\r\n\"m\" ] ", Event, 0, "/", None, "[ \t\r\n\"m\" ] "),
        // A comma ends a namespace, and only that.
        (99, "2/a,12[\"m,n\",\"/\"]", Event, 0, "/a", Some(12), "[\"m,n\",\"/\"]"),
    ];
    for &(row, message, kind, attachments, namespace, id, payload) in rows {
        let event = matches!(kind, Event | BinaryEvent).then(|| de::event_name(payload)).flatten();
        let header = Header { kind, attachments, namespace, id, payload, event };
        assert_eq!(parse(message), Ok(header), "row {row}: {message}");
    }
}

#[test]
fn packets_are_refused_as_the_rows_say() {
    use PacketError::*;
    let rows: &[(u32, &str, PacketError)] = &[
        (54, "", Type),
        (54, "7", Type),
        (54, "a", Type),
        (54, "é", Type),
        (58, "0,", Payload),
        (62, "0\"abc\"", Payload),
        (62, "0[1]", Payload),
        (62, "0null", Payload),
        (69, "1{}", Payload),
        (71, "2", Payload),
        (71, "2/admin,", Payload),
        (71, "21", Payload),
        (71, "51-", Payload),
        (72, "2[]", Payload),
        (72, "2[ ]", Payload),
        (72, "2{}", Payload),
        (72, "2[null]", Payload),
        (72, "2[", Payload),
        (72, "2[\"unfinished", Payload),
        (72, "2[\"unfinished\\\"", Payload),
        (72, "2[\"connect\"]", Payload),
        (72, "2[\"connect_error\",1]", Payload),
        (72, "2[\"disconnect\"]", Payload),
        (72, "2[\"disconnecting\"]", Payload),
        (72, "2[\"newListener\"]", Payload),
        (72, "2[\"removeListener\"]", Payload),
        (72, "2[\"\\u0063onnect\"]", Payload),
        (72, "51-[\"disconn\\u0065ct\"]", Payload),
        (76, "299999999999999999999[\"x\"]", Id),
        (76, "200000000000000000000[\"x\"]", Id),
        (77, "2 [\"m\"]", Payload),
        (77, " 2[\"m\"]", Type),
        (78, "2-1[\"m\"]", Payload),
        (78, "2abc[\"m\"]", Payload),
        (79, "31", Payload),
        (81, "31{}", Payload),
        (90, "511-[\"m\"]", TooManyAttachments),
        (90, "599999999999999999999999999-[\"m\"]", TooManyAttachments),
        (91, "5a-[\"m\"]", Attachments),
        (91, "51.5-[\"m\"]", Attachments),
        (91, "51[\"m\"]", Attachments),
        (91, "5+1-[\"m\"]", Attachments),
        (91, "51[\"-\"]", Attachments),
        (91, "5", Attachments),
        (91, "6", Attachments),
        (92, "5-[\"m\"]", Attachments),
    ];
    for &(row, message, error) in rows {
        assert_eq!(parse(message), Err(error), "row {row}: {message}");
    }
}

#[test]
fn the_payload_of_a_header_decodes() {
    let arguments = |message| parse(message).unwrap().into_payload(vec![Bytes::from_static(&[7])]);
    assert_eq!(arguments("2[\"m\",1]").event(), "m");
    assert_eq!(arguments("2[\"m\",1]").decode::<u8>().unwrap(), 1);
    assert_eq!(arguments("31[2]").decode::<u8>().unwrap(), 2);
    assert_eq!(arguments("0{\"a\":3}").decode::<BTreeMap<String, u8>>().unwrap(), BTreeMap::from([("a".into(), 3)]));
    let placeholder = "51-[\"m\",{\"_placeholder\":true,\"num\":0}]";
    assert_eq!(arguments(placeholder).decode::<Binary>().unwrap(), bytes(&[7]));
    assert!(arguments("2[\"m\",x]").decode::<u8>().is_err());
    let object = parse("2[\"m\",{\"_placeholder\":true,\"num\":0}]").unwrap().into_payload(Vec::new());
    assert_eq!(object.decode::<Value>().unwrap(), json!({"_placeholder": true, "num": 0}), "row 89");
}

#[test]
fn namespaces_and_ack_ids_end_at_their_limits() {
    let namespace = format!("/{}", "n".repeat(511));
    assert_eq!(parse(&format!("0{namespace}")).unwrap().namespace, namespace);
    assert_eq!(parse(&format!("0{namespace},")).unwrap().namespace, namespace);
    assert_eq!(parse(&format!("0{namespace}n")), Err(PacketError::Namespace));
    assert_eq!(parse(&format!("0{namespace}n,")), Err(PacketError::Namespace));
    assert_eq!(parse(&format!("2{}[\"m\"]", "0".repeat(19))).unwrap().id, Some(0));
    assert_eq!(parse(&format!("2{}[\"m\"]", "0".repeat(1000))), Err(PacketError::Id));
}

/// CVE-2026-33151: the number of attachments is bounded before anything is kept for them.
#[test]
fn cve_2026_33151_the_number_of_attachments_is_bounded() {
    assert_eq!(Header::parse("51-[\"m\"]", 0), Err(PacketError::TooManyAttachments));
    assert_eq!(Header::parse("62-1[]", 1), Err(PacketError::TooManyAttachments));
    assert_eq!(Header::parse("62-1[]", 2).unwrap().attachments, 2);
}

/// CVE-2023-32695: a name that is no name never gets to where events are dispatched.
#[test]
fn cve_2023_32695_event_names_are_strings_or_numbers() {
    for name in ["{\"toString\":\"foo\"}", "[\"m\"]", "true", "false", "null", "", "]", "'m'"] {
        assert_eq!(parse(&format!("2[{name}]")), Err(PacketError::Payload), "{name}");
        assert_eq!(parse(&format!("50-[{name},\"m\"]")), Err(PacketError::Payload), "{name}");
    }
}

/// CVE-2024-38355: `error` is a name like any other, in both directions.
#[test]
fn cve_2024_38355_the_event_error_is_an_event() {
    assert_eq!(parse("2[\"error\",\"x\"]").unwrap().kind, PacketType::Event);
    assert_eq!(text(&encode_event("/", "error", "x", None).unwrap()), "2[\"error\",\"x\"]");
}

/// A fault that others had: six bytes that are no ASCII.
#[test]
fn packets_of_six_bytes_without_ascii_are_refused() {
    for message in ["2é€", "éé€", "😀é", "2[\"é", "5é-€", "2/😀", "51-é€", "0é€é"] {
        let _ = parse(message);
    }
    assert_eq!(parse("2é€"), Err(PacketError::Payload));
    assert_eq!(parse("5é-€"), Err(PacketError::Attachments));
}

#[test]
fn packets_without_arguments_are_written() {
    assert_eq!(text(&encode_connect("/", "s\"id")), "0{\"sid\":\"s\\\"id\"}");
    assert_eq!(text(&encode_connect("/admin", "x")), "0/admin,{\"sid\":\"x\"}");
    assert_eq!(text(&encode_disconnect("/")), "1");
    assert_eq!(text(&encode_disconnect("/admin")), "1/admin,");
    let error = ConnectError::new("no\n");
    assert_eq!(error.message(), "no\n");
    assert_eq!(text(&encode_connect_error("/", &error)), "4{\"message\":\"no\\n\"}");
    let error = ConnectError::new("no").with_data(json!({"code": 7}));
    assert_eq!(text(&encode_connect_error("/a", &error)), "4/a,{\"message\":\"no\",\"data\":{\"code\":7}}");
    let error = ConnectError::new("no").with_data(BTreeMap::from([((1, 2), 3)]));
    assert_eq!(text(&encode_connect_error("/", &error)), "4{\"message\":\"no\"}");
}

#[test]
fn a_tuple_is_the_list_a_unit_is_none_and_anything_else_is_one_argument() {
    #[derive(Serialize)]
    struct Unit;
    #[derive(Serialize)]
    struct Pair(u8, u8);
    #[derive(Serialize)]
    struct Texts(&'static str, &'static str);
    #[derive(Serialize)]
    struct New((u8, u8));
    #[derive(Serialize)]
    struct Named {
        a: u8,
    }
    #[derive(Serialize)]
    enum Enum {
        Unit,
        New(u8),
        Pair(u8, u8),
        Named { a: u8 },
    }
    struct Display;
    impl Serialize for Display {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("{}", 1))
        }
    }
    assert_eq!(event(&()).0, "2[\"m\"]");
    assert_eq!(event(&[(); 0]).0, "2[\"m\"]");
    assert_eq!(event(&(1, "a", [2, 3], ())).0, "2[\"m\",1,\"a\",[2,3],null]");
    assert_eq!(event(&[1, 2]).0, "2[\"m\",1,2]");
    assert_eq!(event(&vec![1, 2]).0, "2[\"m\",[1,2]]");
    assert_eq!(event(&vec![0; 0]).0, "2[\"m\",[]]");
    assert_eq!(event("a").0, "2[\"m\",\"a\"]");
    assert_eq!(event("").0, "2[\"m\",\"\"]");
    assert_eq!(event(&'c').0, "2[\"m\",\"c\"]");
    assert_eq!(event(&true).0, "2[\"m\",true]");
    assert_eq!(event(&Some((1, 2))).0, "2[\"m\",[1,2]]");
    assert_eq!(event(&None::<u8>).0, "2[\"m\",null]");
    assert_eq!(event(&Unit).0, "2[\"m\",null]");
    assert_eq!(event(&Pair(1, 2)).0, "2[\"m\",[1,2]]");
    assert_eq!(event(&Texts("a", "b")).0, "2[\"m\",[\"a\",\"b\"]]");
    assert_eq!(event(&New((1, 2))).0, "2[\"m\",[1,2]]");
    assert_eq!(event(&Named { a: 1 }).0, "2[\"m\",{\"a\":1}]");
    assert_eq!(event(&Enum::Unit).0, "2[\"m\",\"Unit\"]");
    assert_eq!(event(&Enum::New(1)).0, "2[\"m\",{\"New\":1}]");
    assert_eq!(event(&Enum::Pair(1, 2)).0, "2[\"m\",{\"Pair\":[1,2]}]");
    assert_eq!(event(&Enum::Named { a: 1 }).0, "2[\"m\",{\"Named\":{\"a\":1}}]");
    assert_eq!(event(&Display).0, "2[\"m\",\"1\"]");
    assert_eq!(event(&RawValue::from_string("[1 , 2]".to_string()).unwrap()).0, "2[\"m\",[1 , 2]]");
    assert_eq!(event(&(RawValue::from_string("{ }".to_string()).unwrap(),)).0, "2[\"m\",{ }]");
    assert_eq!(event(&RawArgs::default()).0, "2[\"m\"]");
}

#[test]
fn prefixes_stand_in_the_specification_s_order() {
    let event = |namespace, id| text(&encode_event(namespace, "m", &(1,), id).unwrap());
    assert_eq!(event("/", Some(0)), "20[\"m\",1]");
    assert_eq!(event("/admin", None), "2/admin,[\"m\",1]");
    assert_eq!(event("/admin", Some(u64::MAX)), "2/admin,18446744073709551615[\"m\",1]");
    assert_eq!(text(&encode_ack("/", 13, &()).unwrap()), "313[]", "row 82");
    assert_eq!(text(&encode_ack("/", 13, &(1, 2)).unwrap()), "313[1,2]");
    assert_eq!(text(&encode_ack("/", 13, "a").unwrap()), "313[\"a\"]");
    let (ack, attachments) = parts(&encode_ack("/admin", 13, &bytes(&[1])).unwrap());
    assert_eq!(ack, "61-/admin,13[{\"_placeholder\":true,\"num\":0}]", "row 93");
    assert_eq!(attachments, [[1]]);
    let long = format!("/{}", "n".repeat(1000));
    let args: Vec<_> = (0..12).map(|byte| bytes(&[byte])).collect();
    let (text, attachments) = parts(&encode_event(&long, "m", &(args,), Some(u64::MAX)).unwrap());
    assert!(text.starts_with(&format!("512-{long},18446744073709551615[\"m\",[{{\"_placeholder\"")), "{text}");
    assert_eq!(attachments.len(), 12);
}

/// Row 94: attachments are numbered depth-first, in the order in which they are written.
#[test]
fn bytes_anywhere_become_attachments_in_depth_first_order() {
    #[derive(Serialize)]
    struct Named {
        a: Binary,
        b: Enum,
    }
    #[derive(Serialize)]
    enum Enum {
        New(Binary),
        Pair(Option<Binary>, u8),
        Named { c: Binary },
    }
    struct ByHand;
    impl Serialize for ByHand {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("k", &Seq)?;
            map.end()
        }
    }
    struct Seq;
    impl Serialize for Seq {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(None)?;
            seq.serialize_element(&bytes(&[5]))?;
            seq.end()
        }
    }
    let args = (
        Named { a: bytes(&[0]), b: Enum::New(bytes(&[1])) },
        [Enum::Pair(Some(bytes(&[2])), 7), Enum::Named { c: bytes(&[3]) }],
        (bytes(&[4]), ByHand),
        bytes(&[]),
    );
    let (text, attachments) = event(&args);
    let p = |number| format!("{{\"_placeholder\":true,\"num\":{number}}}");
    assert_eq!(
        text,
        format!(
            "57-[\"m\",{{\"a\":{},\"b\":{{\"New\":{}}}}},[{{\"Pair\":[{},7]}},{{\"Named\":{{\"c\":{}}}}}],[{},{{\"k\":[{}]}}],{}]",
            p(0),
            p(1),
            p(2),
            p(3),
            p(4),
            p(5),
            p(6)
        )
    );
    assert_eq!(attachments, [vec![0], vec![1], vec![2], vec![3], vec![4], vec![5], vec![]]);
    assert_eq!(
        event(&(bytes(&[1]), bytes(&[2]))),
        (
            "52-[\"m\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]".to_owned(),
            vec![vec![1], vec![2]]
        ),
        "row 84"
    );
}

/// A type may put what a serializer says in its own words.
#[test]
fn an_argument_that_words_refusals_itself_is_written() {
    struct Wrapped<T>(T);
    impl<T: Serialize> Serialize for Wrapped<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.serialize(serializer).map_err(|error| serde::ser::Error::custom(format_args!("wrapped: {error}")))
        }
    }
    assert_eq!(event(&Wrapped("a")).0, "2[\"m\",\"a\"]");
    assert_eq!(event(&Wrapped((1, bytes(&[1])))), event(&(1, bytes(&[1]))));
    assert_eq!(event(&(Wrapped(1), Wrapped("\n"))).0, "2[\"m\",1,\"\\n\"]");
    let keyed = || Wrapped(Keyed(vec![(bytes(&[1]), 1)]));
    let words = Err(EncodeError::Json("wrapped: key must be a string".to_owned()));
    assert_eq!(encode_event("/", "m", &keyed(), None), words);
    assert_eq!(encode_event("/", "m", &(bytes(&[1]), keyed()), None), words);
}

#[test]
fn a_list_of_which_an_argument_fails_once_is_not_sent_as_one_argument() {
    /// It fails so many times.
    struct Busy(Cell<u8>);
    impl Serialize for Busy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0.get() {
                0 => serializer.serialize_bool(true),
                times => {
                    self.0.set(times - 1);
                    Err(serde::ser::Error::custom("busy"))
                }
            }
        }
    }
    let busy = |times| (bytes(&[1]), Busy(Cell::new(times)));
    assert!(event(&busy(1)).0.ends_with(",true]"), "each argument is tried twice");
    let error = EncodeError::Json("an argument fails only at times".to_owned());
    assert_eq!(encode_event("/", "m", &busy(2), None), Err(error));
}

#[test]
fn types_are_written_for_people_to_read() {
    struct Address;
    impl Serialize for Address {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() {
                serializer.serialize_str("::1")
            } else {
                serializer.serialize_bytes(&[1])
            }
        }
    }
    assert_eq!(event(&(Address, [Address])).0, "2[\"m\",\"::1\",[\"::1\"]]");
}

#[test]
fn what_stays_in_the_encoder_is_the_packet() {
    let long = "x".repeat(20_000);
    let mut encoder = Encoder::default();
    for text in ["", "text", &long] {
        for binaries in [vec![], vec![bytes(&[1])], vec![bytes(&[1; 300]), bytes(&[])], vec![bytes(long.as_bytes())]] {
            let args = (text, binaries);
            let packet = encode_event("/n", "m", &args, Some(7)).unwrap();
            let frames: Vec<u8> = packet.frames().flat_map(Frame::as_bytes).copied().collect();
            let encoded = encoder.write_event("/n", "m", &args, Some(7)).unwrap();
            let mut out = b"before".to_vec();
            encoded.copy_to(&mut out);
            assert_eq!(encoded.len(), frames.len());
            assert_eq!(out.strip_prefix(b"before"), Some(&*frames));
        }
    }
}

#[test]
fn an_encoder_keeps_its_buffers_unless_they_are_large() {
    let mut encoder = Encoder::default();
    encoder.event("/", "m", "small", None).unwrap();
    assert_ne!(encoder.buffer.capacity(), 0);
    let huge = "x".repeat(Encoder::KEEP + 1);
    for args in [(Some(&huge), bytes(&[])), (None, bytes(huge.as_bytes()))] {
        encoder.write_event("/", "m", &args, None).unwrap();
        assert!(encoder.buffer.capacity() + encoder.attached.capacity() > Encoder::KEEP);
        encoder.event("/", "m", "small", None).unwrap();
        assert!(encoder.buffer.capacity() + encoder.attached.capacity() <= Encoder::KEEP);
    }
    encoder.event("/", "m", &huge, None).unwrap();
    assert_eq!(encoder.buffer.capacity(), 0, "a large packet takes it along");
}

#[test]
fn faults_have_words() {
    use crate::socket::TooManyAcks;
    use crate::socket::manager::InvalidNamespace;
    let faults: [(&dyn core::error::Error, &str); 5] = [
        (&PacketError::TooManyAttachments, "too many attachments"),
        (&EncodeError::ReservedName, "the event name is reserved"),
        (&EncodeError::Json("why".to_owned()), "the arguments cannot be written as JSON: why"),
        (&TooManyAcks, "too many acks are awaited"),
        (&InvalidNamespace, "this is no name of a namespace"),
    ];
    for (fault, words) in faults {
        assert_eq!(fault.to_string(), words);
    }
}

#[test]
fn keys_and_numbers_are_written_as_serde_json_writes_them() {
    fn same(value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(json) => assert_eq!(event(&(value,)).0, format!("2[\"m\",{json}]")),
            Err(error) => {
                let ours = encode_event("/", "m", &(value,), None).unwrap_err();
                assert_eq!(ours, EncodeError::Json(error.to_string()));
            }
        }
    }
    same(&f64::NAN);
    same(&f32::INFINITY);
    same(&(1e300, 0.1_f32, -0.0, 5e-324));
    same(&(i128::MIN, u128::MAX, i64::MIN, u64::MAX));
    same(&BTreeMap::from([(1, 'a')]));
    same(&BTreeMap::from([(true, 'a')]));
    same(&BTreeMap::from([('k', 'a')]));
    same(&BTreeMap::from([(Some("k"), 'a')]));
    same(&BTreeMap::from([((1, 2), 'a')]));
    same(&BTreeMap::from([(vec![1], 'a')]));
    same(&"\u{0}\u{1f}\"\\/\u{7f}\u{2028}é😀");
    assert!(event_fails(&[(bytes(&[1]), 1)].into_iter().collect::<Keyed>()));
}

/// A map with bytes as keys, which no `BTreeMap` of ours is.
struct Keyed(Vec<(Binary, u8)>);

impl FromIterator<(Binary, u8)> for Keyed {
    fn from_iter<I: IntoIterator<Item = (Binary, u8)>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl Serialize for Keyed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

fn event_fails(args: &impl Serialize) -> bool {
    matches!(encode_event("/", "m", args, None), Err(EncodeError::Json(_)))
}

#[test]
fn reserved_names_and_raw_arguments_inside_others_are_not_written() {
    for name in ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"] {
        assert_eq!(encode_event("/", name, &(), None), Err(EncodeError::ReservedName));
    }
    assert_eq!(text(&encode_event("/", "conn\"ect", &(), None).unwrap()), "2[\"conn\\\"ect\"]");
    assert!(event_fails(&(RawArgs::default(),)));
    assert!(event_fails(&vec![RawArgs::default()]));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn namespace_name() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[^,]{1,100}"]
}

proptest! {
    #[test]
    fn no_text_panics(message in any::<String>(), max in 0usize..20) {
        let _ = Header::parse(&message, max);
    }

    #[test]
    fn nothing_that_looks_like_a_packet_panics(
        message in r#"[0-7][0-9é]{0,3}-?(/[a-zé€]{0,3},?)?[0-9]{0,22}[\[{ "\\,\]}a1é😀-]{0,8}"#,
    ) {
        if let Ok(header) = parse(&message) {
            prop_assert!(message.ends_with(header.payload));
            prop_assert!(header.namespace.starts_with('/'));
        }
    }

    #[test]
    fn every_kind_comes_back(
        namespace in namespace_name(),
        name in "[^cdnr].*",
        value in json_value(),
        id in prop::option::of(0..10_000_000_000_000_000_000_u64),
        attachments in prop::collection::vec(any::<Vec<u8>>(), 0..5),
        sid in any::<String>(),
    ) {
        let binaries: Vec<_> = attachments.iter().map(|attachment| bytes(attachment)).collect();
        let placeholders: Vec<_> =
            (0..attachments.len()).map(|number| json!({"_placeholder": true, "num": number})).collect();
        let (message, sent) = parts(&encode_event(&namespace, &name, &(&value, &binaries), id).unwrap());
        let header = parse(&message).unwrap();
        prop_assert_eq!(&sent, &attachments);
        let binary = !attachments.is_empty();
        prop_assert_eq!(header.kind, if binary { PacketType::BinaryEvent } else { PacketType::Event });
        prop_assert_eq!((header.namespace, header.id, header.attachments), (&*namespace, id, attachments.len()));
        prop_assert_eq!(header.payload, serde_json::to_string(&json!([name, value, placeholders])).unwrap());

        let (message, sent) = parts(&encode_ack(&namespace, id.unwrap_or(0), &(&value, &binaries)).unwrap());
        let header = parse(&message).unwrap();
        prop_assert_eq!(&sent, &attachments);
        prop_assert_eq!(header.kind, if binary { PacketType::BinaryAck } else { PacketType::Ack });
        prop_assert_eq!((header.namespace, header.id), (&*namespace, Some(id.unwrap_or(0))));
        prop_assert_eq!(header.payload, serde_json::to_string(&json!([value, placeholders])).unwrap());

        let message = text(&encode_connect(&namespace, &sid));
        let header = parse(&message).unwrap();
        prop_assert_eq!((header.kind, header.namespace, header.id), (PacketType::Connect, &*namespace, None));
        prop_assert_eq!(header.payload, serde_json::to_string(&json!({ "sid": sid })).unwrap());

        let message = text(&encode_disconnect(&namespace));
        let header = parse(&message).unwrap();
        prop_assert_eq!((header.kind, header.namespace), (PacketType::Disconnect, &*namespace));

        let message = text(&encode_connect_error(&namespace, &ConnectError::new(&*sid).with_data(&value)));
        let header = parse(&message).unwrap();
        prop_assert_eq!((header.kind, header.namespace), (PacketType::ConnectError, &*namespace));
        let expected = json!({ "message": sid, "data": value });
        prop_assert_eq!(serde_json::from_str::<Value>(header.payload).unwrap(),
            serde_json::from_str::<Value>(&serde_json::to_string(&expected).unwrap()).unwrap());
    }
}
