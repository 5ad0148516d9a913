//! JSON with bytes in it, as the command line and the output have them: `{"$binary":"<base64>"}`.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Error, Serialize, SerializeTuple, Serializer};
use serde_json::{Value, json};
use socketio_driver::{Binary, RawArgs};

const BINARY: &str = "$binary";

/// A list of arguments to be sent.
pub(crate) struct List<'a>(pub(crate) &'a [Value]);

impl Serialize for List<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A tuple, since a sequence is one argument.
        let mut list = serializer.serialize_tuple(self.0.len())?;
        for value in self.0 {
            list.serialize_element(&Argument(value))?;
        }
        list.end()
    }
}

struct Argument<'a>(&'a Value);

impl Serialize for Argument<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(list) => serializer.collect_seq(list.iter().map(Argument)),
            Value::Object(map) => match map.get(BINARY) {
                Some(Value::String(text)) if map.len() == 1 => {
                    let bytes = BASE64_STANDARD.decode(text);
                    let bytes = bytes.map_err(|error| S::Error::custom(format!("{BINARY} is no base64: {error}")))?;
                    Binary::from(bytes).serialize(serializer)
                }
                _ => serializer.collect_map(map.iter().map(|(name, value)| (name, Argument(value)))),
            },
            other => other.serialize(serializer),
        }
    }
}

/// The list that was received, on one line.
pub(crate) fn show(args: &RawArgs) -> String {
    if !args.attachments().is_empty()
        && let Ok(mut list) = serde_json::from_str(args.json())
    {
        fill(&mut list, args);
        return list.to_string();
    }
    // Nothing is lost that a `Value` does not hold, such as 1e400. Line breaks are between the values only.
    args.json().replace(['\r', '\n'], " ")
}

fn fill(value: &mut Value, args: &RawArgs) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| fill(value, args)),
        Value::Object(map) if map.get("_placeholder") == Some(&Value::Bool(true)) => {
            let number = map.get("num").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            if let Some(bytes) = number.and_then(|number| args.attachments().get(number)) {
                *value = json!({ BINARY: BASE64_STANDARD.encode(bytes) });
            }
        }
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, args)),
        _ => {}
    }
}
