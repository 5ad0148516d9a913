use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::socket::{Binary, Header, encode_ack, encode_event};

fn attach(attachments: &[&[u8]]) -> Option<Held<'static>> {
    let mut placeholders = Placeholders::default();
    attachments.iter().for_each(|bytes| placeholders.push(bytes.to_vec()));
    (placeholders.len() > 0).then(|| Held::Own(Box::new(placeholders)))
}

/// What `read` gives, and whether the payload was found malformed.
fn with<'a, T>(json: &'a str, attachments: &[&'a [u8]], read: impl FnOnce(Payload<'_>) -> T) -> (T, bool) {
    let mut malformed = false;
    let value = read(Payload::of_event(json, None, attach(attachments), &mut malformed));
    (value, malformed)
}

fn decode<T: DeserializeOwned>(json: &str, attachments: &[&[u8]]) -> T {
    let (value, malformed) = with(json, attachments, |payload| payload.decode());
    assert!(!malformed);
    value.unwrap()
}

fn is_shape<T: DeserializeOwned>(json: &str, attachments: &[&[u8]]) -> bool {
    let (value, malformed) = with(json, attachments, |payload| payload.decode::<T>().map(drop));
    matches!(value, Err(DecodeError::Shape(_))) && !malformed
}

fn is_malformed<T: DeserializeOwned>(json: &str, attachments: &[&[u8]]) -> bool {
    let (value, malformed) = with(json, attachments, |payload| payload.decode::<T>().map(drop));
    matches!(value, Err(DecodeError::Malformed)) && malformed && dropped_is_malformed(json, attachments)
}

fn dropped_is_malformed(json: &str, attachments: &[&[u8]]) -> bool {
    let mut malformed = false;
    drop(Payload::of_event(json, None, attach(attachments), &mut malformed));
    malformed
}

fn binary(bytes: &[u8]) -> Binary {
    bytes.to_vec().into()
}

#[test]
fn copies_of_attachments_are_limited() {
    let place = r#"{"_placeholder":true,"num":0}"#;
    let json = format!(r#"["m",{place},{place},{place}]"#);
    // The last place takes the bytes.
    for (max, fits) in [(8, true), (7, false)] {
        let (mut malformed, mut held) = (false, attach(&[b"abcd"]).unwrap());
        held.limit_copies(max);
        let payload = Payload::of_event(&json, None, Some(held), &mut malformed);
        assert_eq!(payload.decode::<[Binary; 3]>().is_ok(), fits);
        assert_eq!(malformed, !fits);
    }
}

/// A type as in `serde_bytes`, which asks for bytes by name.
#[derive(Debug, PartialEq)]
struct ByteBuf(Vec<u8>);

impl<'de> Deserialize<'de> for ByteBuf {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteBuf;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes.to_vec()))
            }
            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<ByteBuf, E> {
                Ok(ByteBuf(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[test]
fn names_are_unescaped_and_numbers_stay_as_they_are() {
    for (json, name) in [
        ("[\"m\"]", "m"),
        ("[ \"m\" , 1]", "m"),
        ("[\"\"]", ""),
        (r#"["a\"\u00e9\n"]"#, "a\"é\n"),
        (r#"["\\"]"#, "\\"),
        (r#"["\ud83d"]"#, r"\ud83d"),
        ("[1.50,2]", "1.50"),
        ("[-0]", "-0"),
    ] {
        let (event, malformed) = with(json, &[], |payload| payload.event().into_owned());
        assert_eq!((&*event, malformed), (name, false), "{json}");
    }
    let mut malformed = false;
    let payload = Payload::of_event("[\"plain\"]", None, None, &mut malformed);
    assert!(matches!(payload.event(), Cow::Borrowed("plain")));
    drop(payload);
    assert_eq!(Payload::of_ack("[\"m\"]", None, &mut malformed).event(), "");
    assert_eq!(Payload::of_auth("{}", &mut malformed).event(), "");
    assert_eq!(Payload::of_auth("{}", &mut malformed).json(), "{}");
    assert!(!malformed);
}

#[test]
fn a_tuple_takes_the_list_a_unit_none_and_anything_else_argument_0() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        a: u8,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Pair(u8, u8);
    #[derive(Debug, PartialEq, Deserialize)]
    struct New((u8, u8));
    #[derive(Debug, PartialEq, Deserialize)]
    struct Unit;
    #[derive(Debug, PartialEq, Deserialize)]
    enum Enum {
        Unit,
        New(u8),
    }
    assert_eq!(decode::<(u8, String)>(r#"["m",1,"a"]"#, &[]), (1, "a".to_string()));
    assert_eq!(decode::<(u8,)>("[ \"m\" , 1 , {\"surplus\":[]} , null ] ", &[]), (1,));
    assert_eq!(decode::<[u8; 2]>("[\"m\",1,2]", &[]), [1, 2]);
    decode::<()>("[\"m\"]", &[]);
    decode::<()>("[\"m\",1]", &[]);
    decode::<IgnoredAny>("[\"m\"]", &[]);
    assert_eq!(decode::<u8>("[\"m\",1,2]", &[]), 1);
    assert_eq!(decode::<String>(r#"["m","a"]"#, &[]), "a");
    assert_eq!(decode::<Vec<u8>>("[\"m\",[1,2],3]", &[]), [1, 2]);
    assert_eq!(decode::<Named>("[\"m\",{\"a\":1}]", &[]), Named { a: 1 });
    assert_eq!(decode::<Pair>("[\"m\",[1,2]]", &[]), Pair(1, 2));
    assert_eq!(decode::<New>("[\"m\",[1,2]]", &[]), New((1, 2)));
    assert_eq!(decode::<Unit>("[\"m\",null]", &[]), Unit);
    assert_eq!(decode::<Enum>("[\"m\",\"Unit\"]", &[]), Enum::Unit);
    assert_eq!(decode::<Enum>("[\"m\",{\"New\":1}]", &[]), Enum::New(1));
    assert_eq!(decode::<BTreeMap<String, u8>>("[\"m\",{\"a\":1}]", &[]), BTreeMap::from([("a".to_string(), 1)]));
    assert_eq!(decode::<Value>("[\"m\",[1]]", &[]), json!([1]));
    assert_eq!(decode::<Option<u8>>("[\"m\",1]", &[]), Some(1));
    assert_eq!(decode::<Option<u8>>("[\"m\",null]", &[]), None);
    assert_eq!(decode::<Option<u8>>("[\"m\"]", &[]), None);
    assert_eq!(decode::<Option<(u8, u8)>>("[\"m\",[1,2]]", &[]), Some((1, 2)));
    assert_eq!(decode::<Vec<u8>>("[1,[2]]", &[]), [2]);
    // Missing arguments.
    assert!(is_shape::<u8>("[\"m\"]", &[]));
    assert!(is_shape::<Value>("[\"m\"]", &[]));
    assert!(is_shape::<(u8, u8)>("[\"m\",1]", &[]));
    assert!(is_shape::<(u8, Option<u8>)>("[\"m\",1]", &[]));
    assert!(is_shape::<Pair>("[\"m\",1,2]", &[]));
}

#[test]
fn all_arguments_are_one_sequence() {
    let (value, _) = with("[\"m\",1,[2]]", &[], |payload| payload.decode_all::<Vec<Value>>().unwrap());
    assert_eq!(value, [json!(1), json!([2])]);
    let (value, _) = with("[\"m\"]", &[], |payload| payload.decode_all::<Vec<Value>>().unwrap());
    assert!(value.is_empty());
    let mut malformed = false;
    let payload = Payload::of_ack(" [ ] ", None, &mut malformed);
    assert!(payload.decode_all::<Vec<Value>>().unwrap().is_empty());
    let payload = Payload::of_ack("[1,2]", None, &mut malformed);
    assert_eq!(payload.decode_all::<Vec<u8>>().unwrap(), [1, 2]);
    let payload = Payload::of_ack("[[1],2]", None, &mut malformed);
    assert_eq!(payload.decode::<Vec<u8>>().unwrap(), [1]);
    let payload = Payload::of_ack("[1,2]", None, &mut malformed);
    assert_eq!(payload.decode::<(u8, u8)>().unwrap(), (1, 2));
    assert!(!malformed);
}

#[test]
fn credentials_are_an_object_or_absent() {
    #[derive(Debug, PartialEq, Default, Deserialize)]
    #[serde(default)]
    struct Auth {
        token: String,
    }
    fn auth<T: DeserializeOwned>(json: &str) -> Result<T, bool> {
        let mut malformed = false;
        let value = Payload::of_auth(json, &mut malformed).decode();
        value.map_err(|_| malformed)
    }
    let token = "x".to_string();
    assert_eq!(auth(" {\"token\":\"x\"} "), Ok(Auth { token }));
    assert_eq!(auth(""), Ok(Auth::default()));
    assert_eq!(auth(""), Ok(json!({})));
    assert_eq!(auth(""), Ok(None::<Auth>));
    assert_eq!(auth("{}"), Ok(Some(Auth::default())));
    assert_eq!(auth(""), Ok(()));
    assert_eq!(auth("{}"), Ok(()));
    assert_eq!(auth::<u8>("{}"), Err(false));
    for json in ["{", "{}}", "{} x", "{},{}", "]", "{\"a\"}"] {
        assert_eq!(auth::<()>(json), Err(true), "row 62: {json}");
        assert_eq!(auth::<Value>(json), Err(true), "row 62: {json}");
        let mut malformed = false;
        drop(Payload::of_auth(json, &mut malformed));
        assert!(malformed, "row 62: {json}");
    }
    let mut malformed = false;
    drop(Payload::of_auth("", &mut malformed));
    assert!(!malformed);
}

#[test]
fn text_is_borrowed_where_nothing_is_escaped() {
    for attachments in [&[][..], &[&[1][..]]] {
        let (text, json) = ("[\"m\",\"text\",[\"a\"]]", "[\"m\",\"te\\u0078t\",[\"a\"]]");
        let mut malformed = false;
        let payload = Payload::of_event(text, None, attach(attachments), &mut malformed);
        assert_eq!(payload.decode::<(&str, Vec<&str>)>().unwrap(), ("text", vec!["a"]));
        let payload = Payload::of_event(json, None, attach(attachments), &mut malformed);
        assert!(matches!(payload.decode::<&str>(), Err(DecodeError::Shape(_))));
    }
}

#[test]
fn what_is_no_json_is_malformed_whether_or_not_it_is_decoded() {
    for json in [
        "[\"m\"",
        "[\"m\",]",
        "[\"m\" 1]",
        "[\"m\",1,]",
        "[\"m\",1]]",
        "[\"m\",1] x",
        "[\"m\",tru]",
        "[\"m\",{\"a\"}]",
        "[\"m\",01]",
        "[\"m\",1,\"\u{1}\"]",
        "[\"\\q\",1]",
        "[\"\u{1}\",1]",
        "[\"a\u{1}b\",1]",
        "[1a,1]",
        "[1.,1]",
        "[\"m\",1,'a']",
        "[\"m\",\"a]",
        "[\"m\",1}",
        "[\"m\",1,[}]",
    ] {
        assert!(is_malformed::<()>(json, &[]), "{json}");
        assert!(is_malformed::<u8>(json, &[]), "{json}");
        assert!(is_malformed::<(u8, u8)>(json, &[]), "{json}");
        assert!(is_malformed::<Value>(json, &[]), "{json}");
        assert!(is_malformed::<RawArgs>(json, &[]), "{json}");
        assert!(is_malformed::<()>(json, &[&[1]]), "{json}");
        assert!(is_malformed::<RawArgs>(json, &[&[1]]), "{json}");
    }
}

/// serde_json calls the first two syntax errors, but honest clients send them.
#[test]
fn json_of_another_shape_costs_the_event_and_not_the_connection() {
    let deep = format!("[\"m\",{}{}]", "[".repeat(128), "]".repeat(128));
    for attachments in [&[][..], &[&[1][..]]] {
        assert!(is_shape::<String>(r#"["m","\ud83d"]"#, attachments));
        assert!(is_shape::<f64>("[\"m\",1e400]", attachments));
        assert!(is_shape::<Value>(&deep, attachments));
        assert!(is_shape::<u8>("[\"m\",\"a\"]", attachments));
        assert!(is_shape::<u8>("[\"m\",256]", attachments));
        assert!(is_shape::<(u8, u8)>(r#"["m",1,"\ud83d"]"#, attachments));
        // Nothing wrong with them where nobody looks.
        assert_eq!(decode::<u8>(r#"["m",1,"\ud83d",1e400]"#, attachments), 1);
    }
    assert_eq!(decode::<(u8,)>(&format!("[\"m\",1,{deep}]"), &[]), (1,));
    assert!(!dropped_is_malformed(&deep, &[&[1]]));
    let allowed = format!("[\"m\",{}{}]", "[".repeat(127), "]".repeat(127));
    decode::<Value>(&allowed, &[]);
    decode::<Value>(&allowed, &[&[1]]);
}

#[test]
fn what_is_wrong_with_a_shape_is_told() {
    fn words<T: DeserializeOwned>(args: &str) -> String {
        let (value, _) = with(&format!("[\"m\",{args}]"), &[&[1]], |payload| payload.decode::<T>().map(drop));
        value.unwrap_err().to_string()
    }
    let is = |words: &str, why: &str| {
        assert!(words.starts_with(&format!("the payload has another shape: invalid type: {why}")), "{words}");
    };
    is(&words::<Tagged>(P0), "byte array, expected enum Tagged");
    is(&words::<Tagged>(&format!("[{P0}]")), "sequence, expected enum Tagged");
    is(&words::<Tagged>(&format!("{{\"Unit\":{P0}}}")), "byte array, expected unit");
    is(&words::<String>(P0), "an attachment, expected a string");
    is(&words::<Binary>("\"a\""), "string \"a\", expected bytes");
    is(&words::<Vec<RawArgs>>("[1]"), "newtype struct, expected the whole list of arguments");
    assert_eq!(words::<u8>("x"), "the payload is not JSON");
}

#[test]
fn a_payload_is_judged_once() {
    // Decoded: dropped without a second look at what is left.
    let mut malformed = false;
    let payload = Payload::of_event("[\"m\",1]", None, None, &mut malformed);
    assert_eq!(payload.decode::<u8>().unwrap(), 1);
    assert!(!malformed);
    // A flag that is set stays set.
    let mut malformed = true;
    drop(Payload::of_event("[\"m\",1]", None, None, &mut malformed));
    assert!(malformed);
}

#[derive(Debug, PartialEq, Deserialize)]
struct Upload {
    name: String,
    data: Binary,
    thumbnail: Option<Binary>,
    more: Vec<Binary>,
    #[serde(flatten)]
    rest: BTreeMap<String, AnyBytes>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum AnyBytes {
    Bytes(Binary),
    Number(i64),
    Text(String),
    List(Vec<AnyBytes>),
}

#[derive(Debug, PartialEq, Deserialize)]
enum Tagged {
    New(Binary),
    Pair(Binary, u8),
    Named { data: Binary },
    Unit,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Wrapped(ByteBuf);

const P0: &str = r#"{"_placeholder":true,"num":0}"#;
const P1: &str = r#"{"num" : 1 , "_placeholder" : true}"#;

#[test]
fn placeholders_become_bytes_wherever_they_stand() {
    let (a, b): (&[u8], &[u8]) = (&[1, 2], &[3]);
    assert_eq!(decode::<(Binary, Binary)>(&format!("[\"m\",{P0},{P1}]"), &[a, b]), (binary(a), binary(b)));
    assert_eq!(decode::<Binary>(&format!("[\"m\",{P1}]"), &[a, b]), binary(b));
    assert_eq!(decode::<Wrapped>(&format!("[\"m\",{P0}]"), &[a, b]), Wrapped(ByteBuf(a.to_vec())));
    assert_eq!(decode::<Option<Binary>>(&format!("[\"m\",{P0}]"), &[a]), Some(binary(a)));
    assert_eq!(decode::<(Option<Binary>, Option<u8>)>(&format!("[\"m\",{P0},null]"), &[a]), (Some(binary(a)), None));
    assert_eq!(decode::<Vec<Binary>>(&format!("[\"m\",[ {P0} , {P1} ]]"), &[a, b]), [binary(a), binary(b)]);
    assert_eq!(
        decode::<(u8, Vec<Vec<AnyBytes>>, String)>(&format!("[\"m\",1,[[2,\"t\",{P1}],[]],\"end\"]"), &[a, b]),
        (
            1,
            vec![vec![AnyBytes::Number(2), AnyBytes::Text("t".to_string()), AnyBytes::Bytes(binary(b))], vec![]],
            "end".to_string()
        )
    );
    let json = format!(
        r#"["m",{{"x":{P0},"name":"né\n","data":{P1},"y":[1,{P1}],"thumbnail":{P0},"more":[{P0},{P0}]}}, "surplus"]"#
    );
    let rest = [
        ("x".to_string(), AnyBytes::Bytes(binary(a))),
        ("y".to_string(), AnyBytes::List(vec![AnyBytes::Number(1), AnyBytes::Bytes(binary(b))])),
    ];
    let upload = Upload {
        name: "né\n".to_string(),
        data: binary(b),
        thumbnail: Some(binary(a)),
        more: vec![binary(a), binary(a)],
        rest: rest.into(),
    };
    assert_eq!(decode::<Upload>(&json, &[a, b]), upload);
}

#[test]
fn placeholders_become_bytes_in_enums_maps_and_unknown_fields() {
    let a: &[u8] = &[1, 2];
    assert_eq!(decode::<Tagged>(&format!("[\"m\",{{\"New\":{P0}}}]"), &[a]), Tagged::New(binary(a)));
    assert_eq!(decode::<Tagged>(&format!("[\"m\",{{ \"Pair\" : [{P0},1] }}]"), &[a]), Tagged::Pair(binary(a), 1));
    assert_eq!(
        decode::<Tagged>(&format!("[\"m\",{{\"Named\":{{\"data\":{P0}}}}}]"), &[a]),
        Tagged::Named { data: binary(a) }
    );
    assert_eq!(decode::<(Tagged, Binary)>(&format!("[\"m\",\"Unit\",{P0}]"), &[a]), (Tagged::Unit, binary(a)));
    assert!(is_shape::<Tagged>(&format!("[\"m\",{{\"New\":{P0},\"Unit\":null}}]"), &[a]));
    assert!(is_shape::<Tagged>(&format!("[\"m\",{{\"Unit\":{P0}}}]"), &[a]));
    assert!(is_shape::<Tagged>(&format!("[\"m\",{P0}]"), &[a]));

    type Keys<K> = BTreeMap<K, Binary>;
    assert_eq!(decode::<Keys<String>>(&format!(r#"["m",{{"\u0061":{P0}}}]"#), &[a]).into_iter().next().unwrap().0, "a");
    assert_eq!(decode::<Keys<u64>>(&format!("[\"m\",{{\"7\":{P0}}}]"), &[a]), Keys::from([(7, binary(a))]));
    assert_eq!(decode::<Keys<i8>>(&format!("[\"m\",{{\"-7\":{P0}}}]"), &[a]), Keys::from([(-7, binary(a))]));
    assert_eq!(decode::<Keys<bool>>(&format!("[\"m\",{{\"true\":{P0}}}]"), &[a]), Keys::from([(true, binary(a))]));
    assert_eq!(decode::<Keys<char>>(&format!("[\"m\",{{\"c\":{P0}}}]"), &[a]), Keys::from([('c', binary(a))]));
    assert_eq!(
        decode::<Keys<Option<String>>>(&format!("[\"m\",{{\"c\":{P0}}}]"), &[a]),
        Keys::from([(Some("c".to_string()), binary(a))])
    );
    assert!(is_shape::<Keys<u64>>(&format!("[\"m\",{{\"7 \":{P0}}}]"), &[a]));
    assert!(is_shape::<Keys<u64>>(&format!("[\"m\",{{\"7a\":{P0}}}]"), &[a]));

    #[derive(Debug, PartialEq, Deserialize)]
    struct Known {
        known: u8,
    }
    let json = format!("[\"m\",{{\"unknown\":{P0},\"known\":1,\"list\":[[{P0}]]}},{P0}]");
    assert_eq!(decode::<(Known, IgnoredAny)>(&json, &[a]).0, Known { known: 1 });
    assert_eq!(decode::<Known>(&json, &[a]), Known { known: 1 });
    decode::<()>(&json, &[a]);
    // An array that is longer than the tuple is of another shape, as in serde_json.
    assert!(is_shape::<((Binary,),)>(&format!("[\"m\",[{P0},1]]"), &[a]));
}

#[test]
fn bytes_fill_bytes_and_nothing_else() {
    for bytes in [&b"text"[..], b"1", b"\xff"] {
        for json in [format!("[\"m\",{P0}]"), format!("[\"m\",{P0},{P0}]")] {
            assert!(is_shape::<String>(&json, &[bytes]));
            assert!(is_shape::<char>(&json, &[bytes]));
            assert!(is_shape::<u8>(&json, &[bytes]));
            assert!(is_shape::<Vec<u8>>(&json, &[bytes]));
            assert!(is_shape::<Value>(&json, &[bytes]));
            assert!(is_shape::<BTreeMap<String, Value>>(&json, &[bytes]));
            assert!(is_shape::<(Binary, String)>(&json, &[bytes]));
        }
    }
    // Beyond attachments: a list of numbers, as serde_json writes bytes, but no string.
    assert_eq!(decode::<Binary>("[\"m\",[1,2]]", &[]), binary(&[1, 2]));
    assert_eq!(decode::<(Binary, Binary)>(&format!("[\"m\",[1,2],{P0}]"), &[&[3]]), (binary(&[1, 2]), binary(&[3])));
    assert!(is_shape::<Binary>("[\"m\",\"ab\"]", &[]));
    assert!(is_shape::<Binary>("[\"m\",[256]]", &[]));
    assert!(is_shape::<(Binary, Binary)>(&format!("[\"m\",\"ab\",{P0}]"), &[&[3]]));
}

/// Row 87. Taking attachments in the order in which they came is a fault that others had.
#[test]
fn num_picks_the_attachment_in_any_order_repeatedly_or_not_at_all() {
    let (a, b, c): (&[u8], &[u8], &[u8]) = (&[1], &[2], &[3]);
    let p = |number| format!("{{\"_placeholder\":true,\"num\":{number}}}");
    let decode = |numbers: &[usize]| {
        let list: Vec<_> = numbers.iter().map(|&number| p(number)).collect();
        let json = format!("[\"m\",[{}]]", list.join(","));
        decode::<Vec<Binary>>(&json, &[a, b, c]).into_iter().map(|Binary(bytes)| bytes[0]).collect::<Vec<_>>()
    };
    assert_eq!(decode(&[0, 1, 2]), [1, 2, 3]);
    assert_eq!(decode(&[2, 0, 1]), [3, 1, 2]);
    assert_eq!(decode(&[2, 2, 1, 2, 1]), [3, 3, 2, 3, 2]);
    assert_eq!(decode(&[1]), [2]);
    assert_eq!(decode(&[]), [0; 0]);
}

#[test]
fn the_last_place_of_an_attachment_takes_the_bytes_themselves() {
    let bytes = vec![7; 100];
    let start = bytes.as_ptr();
    let mut placeholders = Placeholders::default();
    placeholders.push(bytes);
    let (json, mut malformed) = (format!("[\"m\",{P0},{P0}]"), false);
    let payload = Payload::of_event(&json, None, Some(Held::Own(Box::new(placeholders))), &mut malformed);
    let (copy, own): (Binary, Binary) = payload.decode().unwrap();
    assert_eq!(copy, own);
    assert_eq!((copy.0.as_ptr() == start, own.0.as_ptr() == start), (false, true));
}

#[test]
fn a_placeholder_is_known_by_its_flag_and_not_by_its_order_or_company() {
    let a: &[u8] = &[1];
    for placeholder in [
        r#"{"num":0,"_placeholder":true}"#,
        r#"{ "extra" : {"x":[1,"}"]} , "num" : 0 , "_placeholder" : true , "more" : null }"#,
        r#"{"_\u0070laceholder":true,"n\u0075m":0}"#,
        r#"{"_placeholder":false,"num":7,"_placeholder":true,"num":0}"#,
        // What hides in a placeholder is never looked at.
        r#"{"_placeholder":true,"x":{"_placeholder":true,"num":9},"num":0}"#,
    ] {
        assert_eq!(decode::<Binary>(&format!("[\"m\",{placeholder}]"), &[a]), binary(a), "{placeholder}");
        assert_eq!(decode::<(Vec<Binary>, u8)>(&format!("[\"m\",[{placeholder}],2]"), &[a]).1, 2, "{placeholder}");
    }
    for object in [
        r#"{"num":0}"#,
        r#"{"_placeholder":1,"num":0}"#,
        r#"{"_placeholder":"true","num":0}"#,
        r#"{"_placeholder":false,"num":0}"#,
        r#"{"_placeholder":true,"num":9,"_placeholder":[]}"#,
        r#"{"_placeholder":[true],"num":0}"#,
        r#"{"Placeholder":true,"num":0}"#,
        r#"{"x":"_placeholder","y":true,"num":0}"#,
    ] {
        let value: Value = serde_json::from_str(object).unwrap();
        assert_eq!(decode::<Value>(&format!("[\"m\",{object}]"), &[a]), value, "{object}");
        assert_eq!(decode::<(Value, Binary)>(&format!("[\"m\",{object},{P0}]"), &[a]), (value, binary(a)), "{object}");
    }
}

/// CVE-2022-2421, row 88: whether or not somebody asks for the bytes.
#[test]
fn cve_2022_2421_a_placeholder_that_points_to_no_attachment_is_malformed() {
    for number in
        ["1", "-1", "-0", "0.5", "0.0", "1e0", "\"0\"", "\"splice\"", "null", "[0]", "{}", "99999999999999999999"]
    {
        for object in [
            format!("{{\"_placeholder\":true,\"num\":{number}}}"),
            format!("{{\"num\":{number},\"_placeholder\":true}}"),
        ] {
            for args in [object.clone(), format!("1,{{\"deep\":[{object}]}}"), format!("{P0},{object}")] {
                let json = format!("[\"m\",{args}]");
                assert!(is_malformed::<()>(&json, &[&[1]]), "{json}");
                assert!(is_malformed::<u8>(&json, &[&[1]]), "{json}");
                assert!(is_malformed::<Binary>(&json, &[&[1]]), "{json}");
                assert!(is_malformed::<RawArgs>(&json, &[&[1]]), "{json}");
            }
        }
    }
    assert!(is_malformed::<u8>("[\"m\",1,{\"_placeholder\":true}]", &[&[1]]));
    let mut malformed = false;
    drop(Payload::of_ack("[{\"_placeholder\":true,\"num\":1}]", attach(&[&[1]]), &mut malformed));
    assert!(malformed);
}

#[test]
fn row_89_a_placeholder_in_a_packet_without_attachments_is_an_object() {
    let json = "[\"m\",{\"_placeholder\":true,\"num\":7}]";
    assert_eq!(decode::<Value>(json, &[]), json!({"_placeholder": true, "num": 7}));
    assert!(is_shape::<Binary>(json, &[]));
    assert!(!dropped_is_malformed(json, &[]));
}

/// A bad placeholder too deep to be found must not be handed on to clients that do find it.
#[test]
fn attachments_too_deep_to_check_are_not_handed_on() {
    let json = format!("[\"m\",{}{{\"_placeholder\":true,\"num\":7}}{}]", "[".repeat(127), "]".repeat(127));
    assert!(is_shape::<RawArgs>(&json, &[&[1]]));
    assert!(is_shape::<()>(&json, &[&[1]]));
    let json = format!("[\"m\",{}{P0}{}]", "[".repeat(126), "]".repeat(126));
    decode::<RawArgs>(&json, &[&[1]]);
    decode::<()>(&json, &[&[1]]);
}

#[test]
fn raw_arguments_come_back_byte_for_byte() {
    fn echo(json: &str, attachments: &[&[u8]]) -> (String, Vec<Vec<u8>>) {
        let (raw, malformed) = with(json, attachments, |payload| payload.into_raw().unwrap());
        assert!(!malformed);
        assert_eq!(raw.attachments(), attachments);
        let packet = encode_event("/", "m", &raw, Some(7)).unwrap();
        let ack = encode_ack("/", 7, &raw).unwrap();
        let text = |packet: &crate::engine::Packet| {
            let frame = packet.frames().next().unwrap();
            core::str::from_utf8(frame.payload()).unwrap().to_string()
        };
        assert_eq!(Header::parse(text(&ack).get(1..).unwrap(), 10).unwrap().payload, raw.json());
        (text(&packet), packet.frames().skip(1).map(|frame| frame.payload().to_vec()).collect())
    }
    assert_eq!(echo("[\"m\"]", &[]), ("427[\"m\"]".to_string(), vec![]));
    assert_eq!(
        echo("[ \"x\" , 1.50 ,{ \"a\":\"\\u0061\\ud83d\"} ] ", &[]).0,
        "427[\"m\",1.50 ,{ \"a\":\"\\u0061\\ud83d\"}]"
    );
    assert_eq!(
        echo(&format!("[\"m\",\"]\",{P1},{P0}, []]"), &[&[1], &[2, 3]]),
        (format!("452-7[\"m\",\"]\",{P1},{P0}, []]"), vec![vec![1], vec![2, 3]])
    );
    assert_eq!(echo("[\"m\",1]", &[&[1]]), ("451-7[\"m\",1]".to_string(), vec![vec![1]]), "unused, but sent");
    assert_eq!(
        echo("[\"m\",{\"_placeholder\":true,\"num\":7}]", &[]).0,
        "427[\"m\",{\"_placeholder\":true,\"num\":7}]"
    );

    let mut malformed = false;
    assert_eq!(Payload::of_ack("[ 1,2 ]", None, &mut malformed).into_raw().unwrap().json(), "[1,2]");
    assert_eq!(Payload::of_ack("[]", None, &mut malformed).into_raw().unwrap(), RawArgs::default());
    assert_eq!(Payload::of_auth("{}", &mut malformed).into_raw().unwrap().json(), "[{}]");
    assert_eq!(Payload::of_auth("", &mut malformed).into_raw().unwrap(), RawArgs::default());
    assert!(is_shape::<(RawArgs,)>("[\"m\",1]", &[]));
    assert!(is_shape::<Vec<RawArgs>>("[\"m\",[1]]", &[]));
    assert_eq!(decode::<(alloc::boxed::Box<RawValue>,)>("[\"m\",[1 ,2]]", &[]).0.get(), "[1 ,2]");
}

/// JSON as people send it, with whitespace where JSON allows it.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just(" true".to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| json!(number).to_string()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""\u0061\ud83d\ude00\n""#.to_string()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{} ]", items.join(" ,"))),
            prop::collection::vec((any::<String>(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{}:\t{value}", json!(key))).collect();
                format!("{{\n{}}}", entries.join(",\r\n"))
            }),
        ]
    })
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Typed {
    number: i64,
    text: String,
    list: Vec<Option<f32>>,
    map: BTreeMap<u16, (bool, char)>,
    choice: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    New(u8),
    Pair(i8, String),
    Named { x: u32 },
}

fn typed() -> impl Strategy<Value = Typed> {
    let choice = prop_oneof![
        Just(Choice::Unit),
        any::<u8>().prop_map(Choice::New),
        any::<(i8, String)>().prop_map(|(a, b)| Choice::Pair(a, b)),
        any::<u32>().prop_map(|x| Choice::Named { x }),
    ];
    (
        any::<i64>(),
        any::<String>(),
        prop::collection::vec(prop::option::of(any::<i16>().prop_map(f32::from)), 0..4),
        prop::collection::btree_map(any::<u16>(), any::<(bool, char)>(), 0..4),
        prop::collection::vec(choice, 0..4),
    )
        .prop_map(|(number, text, list, map, choice)| Typed { number, text, list, map, choice })
}

proptest! {
    #[test]
    fn decoding_equals_decoding_through_a_value(args in prop::collection::vec(json_text(), 0..4)) {
        let json = format!("[\"m\"{}]", args.iter().map(|arg| format!(" , {arg}")).collect::<String>());
        let all: Vec<Value> = args.iter().map(|arg| serde_json::from_str(arg).unwrap()).collect();
        let (value, malformed) = with(&json, &[], |payload| payload.decode_all::<Vec<Value>>());
        prop_assert!(!malformed);
        prop_assert_eq!(&value.unwrap(), &all);
        let (value, _) = with(&json, &[&[1]], |payload| payload.decode_all::<Vec<Value>>());
        prop_assert_eq!(&value.unwrap(), &all);
        let (value, _) = with(&json, &[], |payload| payload.decode::<Value>());
        prop_assert_eq!(value.ok(), all.first().cloned());
        prop_assert!(!dropped_is_malformed(&json, &[]));
    }

    /// As what JavaScript reads: a number that was not rounded on its way comes back the same.
    #[test]
    fn numbers_arrive_to_the_last_bit(number in any::<f64>().prop_filter("JSON has it", |number| number.is_finite())) {
        for text in [format!("{number}"), format!("{number:e}")] {
            let arrived: f64 = decode(&format!("[\"m\",{text}]"), &[]);
            prop_assert_eq!(arrived.to_bits(), number.to_bits(), "{}", text);
        }
    }

    #[test]
    fn strings_decode_as_serde_json_decodes_them(text in any::<String>(), raw in r#"[a-d0é€,"\\ud\x00-\x1f\[\]]{0,24}"#) {
        for token in [json!(text).to_string(), format!("\"{raw}\""), format!(" \"{raw}\" ")] {
            let json = format!("[\"m\",{token}]");
            let list = serde_json::from_str::<Vec<&RawValue>>(&json);
            let expected = list.as_ref().map(|list| serde_json::from_str::<String>(list[1].get()).ok()).map_err(drop);
            for attachments in [&[][..], &[&[1][..]]] {
                let (tuple, malformed) = with(&json, attachments, |payload| payload.decode::<(String,)>());
                prop_assert_eq!(malformed, list.is_err());
                prop_assert_eq!(malformed, matches!(tuple, Err(DecodeError::Malformed)));
                let (single, _) = with(&json, attachments, |payload| payload.decode::<String>());
                prop_assert_eq!(&tuple.ok().map(|(text,)| text), &expected.clone().ok().flatten());
                prop_assert_eq!(&single.ok(), &expected.clone().ok().flatten());
            }
        }
    }

    #[test]
    fn types_decode_as_from_a_value(typed in typed(), bytes in any::<Vec<u8>>()) {
        let value = json!(typed);
        let through: Typed = serde_json::from_value(value.clone()).unwrap();
        let text = value.to_string();
        prop_assert_eq!(&decode::<Typed>(&format!("[\"m\",{text}]"), &[]), &through);
        // Beside a placeholder every value is read by other code.
        let json = format!("[\"m\",[{text},{P0}]]");
        #[derive(Debug, PartialEq, Deserialize)]
        struct Beside(Typed, Binary);
        prop_assert_eq!(decode::<Beside>(&json, &[&bytes]), Beside(through, Binary(bytes.clone().into())));
    }

    #[test]
    fn attachments_come_back(typed in typed(), parts in prop::collection::vec(any::<Vec<u8>>(), 1..5)) {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Packet {
            parts: Vec<Binary>,
            typed: Typed,
            first: Option<Binary>,
            by_number: BTreeMap<usize, Binary>,
        }
        let parts: Vec<_> = parts.into_iter().map(Binary::from).collect();
        let by_number = parts.iter().cloned().enumerate().collect();
        let packet = Packet { first: parts.first().cloned(), by_number, parts, typed };
        let encoded = encode_event("/n", "m", &packet, None).unwrap();
        let frames: Vec<_> = encoded.frames().map(|frame| frame.payload()).collect();
        let text = core::str::from_utf8(frames[0]).unwrap();
        let header = Header::parse(text.get(1..).unwrap(), 10).unwrap();
        prop_assert_eq!(header.attachments, frames.len() - 1);
        prop_assert_eq!(decode::<Packet>(header.payload, &frames[1..]), packet);
    }

    #[test]
    fn no_text_panics(json in any::<String>(), list in r#"\["m"[\[\]{}",:_placeholder truenum0-9\\ ]{0,40}"#) {
        for json in [json, list] {
            for attachments in [&[][..], &[&[1][..]]] {
                let is_json = serde_json::from_str::<IgnoredAny>(&json).is_ok();
                let dropped = dropped_is_malformed(&json, attachments);
                prop_assert!(is_json || dropped);
                let (_, decoded) = with(&json, attachments, |payload| payload.decode::<Value>().is_ok());
                prop_assert_eq!(dropped, decoded);
                let (_, decoded) = with(&json, attachments, |payload| payload.decode::<(Binary, u8)>().is_ok());
                prop_assert_eq!(dropped, decoded);
                let (_, raw) = with(&json, attachments, |payload| payload.into_raw().is_ok());
                prop_assert_eq!(dropped, raw);
            }
        }
    }
}
