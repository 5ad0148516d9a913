//! Arguments decoded into types, beside serde_json: the same lists are JSON, the same arguments fit a type, and they
//! become the same value. With an attachment that nobody uses, when other code reads them, the result is the same.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use socketio_protocol::socket::{DecodeError, Header, Payload};

use crate::grammar::Tree;

/// The first byte picks event or ack, and the attachment; the rest is the list, without the bracket that opens it.
pub fn json_differ(data: &[u8]) {
    let [settings, list @ ..] = data else { return };
    let Ok(list) = str::from_utf8(list) else { return };
    let attachments = usize::from(settings & 2 != 0);
    let text =
        if settings & 1 == 0 { format!("5{attachments}-[\"m\"{list}") } else { format!("6{attachments}-0[{list}") };
    let header = Header::parse(&text, 1).expect("the name is there");
    let list: Option<Vec<&RawValue>> = serde_json::from_str(header.payload).ok();
    let args = list.as_ref().map(|list| &list[usize::from(settings & 1 == 0)..]);
    if attachments > 0 && args.is_none_or(|args| args.iter().any(|arg| has_placeholder(arg))) {
        return;
    }

    let payload = || header.into_payload(vec![Bytes::new(); attachments]);
    same(payload().decode_all::<Vec<Value>>(), args.map(each));
    same(payload().decode_all::<Vec<Typed>>(), args.map(each));
    same(payload().decode(), args.map(|_| Some(())));
    same(payload().decode::<Value>(), args.map(alone));
    same(payload().decode::<Vec<Value>>(), args.map(alone));
    same(payload().decode::<Typed>(), args.map(alone));
    first::<Value>(payload, args);
    first::<String>(payload, args);
    first::<i64>(payload, args);
    first::<u8>(payload, args);
    first::<f64>(payload, args);
    first::<bool>(payload, args);
    first::<Option<char>>(payload, args);
    first::<Vec<Option<f32>>>(payload, args);
    first::<(Value, String)>(payload, args);
    first::<BTreeMap<String, Value>>(payload, args);
    first::<BTreeMap<i16, Value>>(payload, args);
    first::<Typed>(payload, args);
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Typed {
    Unit,
    New(u8),
    Pair(Option<bool>, String),
    Named {
        #[serde(default)]
        x: i32,
        y: Option<Box<Typed>>,
        #[serde(flatten)]
        rest: BTreeMap<String, Value>,
    },
}

/// The first of the list, and all of it if all have that type.
fn first<'a, T: DeserializeOwned + PartialEq + Debug>(
    payload: impl Fn() -> Payload<'a>,
    args: Option<&[&'a RawValue]>,
) {
    same(payload().decode::<(T,)>(), args.map(|args| alone(args).map(|value| (value,))));
    same(payload().decode_all::<Vec<T>>(), args.map(each));
}

fn alone<T: DeserializeOwned>(args: &[&RawValue]) -> Option<T> {
    serde_json::from_str(args.first()?.get()).ok()
}

fn each<T: DeserializeOwned>(args: &[&RawValue]) -> Option<Vec<T>> {
    args.iter().map(|arg| serde_json::from_str(arg.get()).ok()).collect()
}

/// `expected` is `None` for what is no JSON, and in that for what has another shape.
fn same<T: PartialEq + Debug>(ours: Result<T, DecodeError>, expected: Option<Option<T>>) {
    let ours = match ours {
        Ok(value) => Some(Some(value)),
        Err(DecodeError::Shape(_)) => Some(None),
        Err(_) => None,
    };
    assert_eq!(ours, expected);
}

/// Whether something in it may be one, or is nested too deep to be looked at.
fn has_placeholder(arg: &RawValue) -> bool {
    serde_json::from_str::<Tree>(arg.get()).map_or(true, |tree| !tree.placeholders().is_empty())
}
