//! Socket.IO packets beside the grammar of the specification: read alike, and refused alike but for these differences,
//! all deliberate:
//!
//! | packet | ours | the specification |
//! |---|---|---|
//! | a namespace at the end without its comma | read, as others do | no packet |
//! | CONNECT_ERROR | its payload is for its reader to judge | an object |
//! | a namespace of more than 512 bytes, an id of more than 19 digits, too many attachments | refused | no limits |
//! | an event whose name is reserved, or neither string nor number | refused | any list that is not empty |
//! | a placeholder that stands for no attachment, also if a later value replaces it | refused | not said |

use bytes::Bytes;
use serde_json::value::RawValue;
use socketio_protocol::socket::{DecodeError, Header, PacketType};

use crate::grammar::{self, Packet, Payload, Tree};

/// The bytes are the text of a packet.
pub fn socket_packet_differ(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    match (read(text), grammar::parse(text)) {
        (Read::Packet(ours), Some(theirs)) => same(&ours, &theirs),
        (Read::Packet(ours), None) => {
            let strict = strictly(text, &ours.header);
            same(&ours, &grammar::parse(&strict).expect("a packet for both"));
        }
        (Read::Refused, Some(theirs)) => assert!(may_be_refused(&theirs), "{theirs:?}"),
        (Read::Refused, None) => {}
        (Read::TooDeep, _) => assert!(text.matches(['[', '{']).count() > 100, "{text}"),
    }
}

const MAX_ATTACHMENTS: usize = 10;

enum Read<'a> {
    Packet(Ours<'a>),
    Refused,
    /// Placeholders that nobody can look for.
    TooDeep,
}

struct Ours<'a> {
    header: Header<'a>,
    name: String,
    /// The list of arguments, but for what has none.
    args: Option<String>,
}

/// Reads a packet with the JSON in it, whose attachments are empty.
fn read(text: &str) -> Read<'_> {
    let Ok(header) = Header::parse(text, MAX_ATTACHMENTS) else { return Read::Refused };
    let payload = header.into_payload(vec![Bytes::new(); header.attachments]);
    let name = payload.event().into_owned();
    let args = match header.kind {
        PacketType::Disconnect | PacketType::ConnectError => Ok(None),
        PacketType::Connect => payload.decode::<()>().map(|()| None),
        _ => payload.into_raw().map(|raw| Some(raw.json().to_owned())),
    };
    match args {
        Ok(args) => Read::Packet(Ours { header, name, args }),
        Err(DecodeError::Shape(_)) => Read::TooDeep,
        Err(_) => Read::Refused,
    }
}

fn same(ours: &Ours<'_>, theirs: &Packet<'_>) {
    let header = &ours.header;
    assert_eq!(char::from(header.kind as u8), theirs.kind);
    assert_eq!(Ok(header.attachments), theirs.attachments.parse());
    assert_eq!(header.namespace, theirs.namespace);
    assert_eq!(header.id, theirs.id.parse().ok());
    let Payload::List(list) = &theirs.payload else { return assert_eq!(ours.args, None) };
    let is_event = matches!(theirs.kind, '2' | '5');
    let (name, list) = list.split_at(is_event.into());
    assert_eq!(ours.name, name.first().map(|name| text_of(name)).unwrap_or_default());
    let args: Vec<&RawValue> =
        ours.args.as_deref().map(|args| serde_json::from_str(args).expect("a list")).unwrap_or_default();
    let texts = |list: &[&RawValue]| list.iter().map(|value| value.get().to_owned()).collect::<Vec<_>>();
    assert_eq!(texts(&args), texts(list));
    assert_ne!(placeholders_fit(list, header.attachments), Some(false));
}

/// The packet with what is forgiven put right.
fn strictly(text: &str, header: &Header<'_>) -> String {
    let front = &text[..text.len() - header.payload.len()];
    let comma = if front.contains('/') && !front.contains(',') { "," } else { "" };
    let payload = if header.kind == PacketType::ConnectError { "{}" } else { header.payload };
    [front, comma, payload].concat()
}

fn may_be_refused(packet: &Packet<'_>) -> bool {
    let attachments: usize = packet.attachments.parse().unwrap_or(usize::MAX);
    let beyond = packet.namespace.len() > Header::MAX_NAMESPACE || packet.id.len() > Header::MAX_ID_DIGITS;
    let Payload::List(list) = &packet.payload else { return beyond };
    let (name, list) = list.split_at(matches!(packet.kind, '2' | '5').into());
    let fits = placeholders_fit(list, attachments).unwrap_or(false);
    beyond || attachments > MAX_ATTACHMENTS || name.first().is_some_and(|name| is_no_name(name)) || !fits
}

fn is_no_name(name: &RawValue) -> bool {
    let reserved = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];
    !name.get().starts_with(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
        || reserved.contains(&&*text_of(name))
}

/// What a string means, if a string can hold it; else as it is written.
fn text_of(name: &RawValue) -> String {
    let text = name.get();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned())
}

/// `None` if serde_json cannot hold the list, which JSON allows.
fn placeholders_fit(list: &[&RawValue], attachments: usize) -> Option<bool> {
    if attachments == 0 {
        return Some(true);
    }
    let values = list.iter().map(|value| serde_json::from_str(value.get()).ok()).collect::<Option<_>>()?;
    let is_one = |number: &Option<u64>| number.is_some_and(|number| number < attachments as u64);
    Some(Tree::List(values).placeholders().iter().all(is_one))
}
