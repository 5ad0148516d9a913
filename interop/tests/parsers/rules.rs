//! Where our parsers and the official ones differ on purpose. Each rule has a row in the tables of `protocol/src/decisions.md`,
//! and explains something in the corpus, or it has no reason to be here.

use crate::ours::SHAPE;
use crate::pools::{REPLACED_NUMBER, REPLACED_PLACEHOLDER};

/// A difference that is meant.
pub(crate) struct Rule {
    /// Its row: the number, or the beginning of the row where it has none.
    pub(crate) row: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) explains: Explains,
}

/// What differs, and whether the rule is about that.
#[derive(Copy, Clone)]
pub(crate) enum Explains {
    /// The ids of a packet, ours first.
    Id(fn(&str, &str) -> bool),
    /// What a packet of this text carries, ours first.
    Data(fn(&str, &str, &str) -> bool),
    /// Ours refuses this text, and the official parser does not.
    Refusal(fn(&Parts<'_>) -> bool),
    /// The official parser refuses this text, and ours does not; whether ours has made a packet of it.
    Acceptance(fn(&Parts<'_>, bool) -> bool),
}

/// Of what we read.
pub(crate) const READING: [Rule; 16] = [
    Rule {
        row: "an empty message, or a blank in the place of the type",
        reason: "the number that JavaScript makes of nothing and of blanks is 0, and so they are a CONNECT",
        explains: Explains::Refusal(|parts| parts.kind.is_none_or(is_blank)),
    },
    Rule {
        row: "71",
        reason: "an event or an ack has a payload by the specification",
        explains: Explains::Refusal(|parts| {
            parts.payload.is_empty() && matches!(parts.kind, Some('2' | '3' | '5' | '6'))
        }),
    },
    Rule {
        row: "a namespace of more than 512 bytes",
        reason: "what a peer can make grow has a limit",
        explains: Explains::Refusal(|parts| parts.namespace.len() > 512),
    },
    Rule {
        row: "76",
        reason: "no number has more than 19 digits: the reference would answer with another one",
        explains: Explains::Refusal(|parts| parts.id.len() > 19 && is_digits(parts.id)),
    },
    Rule {
        row: "77",
        reason: "blanks are read as digits by the reference",
        explains: Explains::Refusal(|parts| parts.id.contains(is_blank)),
    },
    Rule {
        row: "91",
        reason: "a count is digits; the reference takes all that JavaScript takes for a number",
        explains: Explains::Refusal(|parts| !is_digits(parts.count)),
    },
    Rule {
        row: "`num` is an index in other words",
        reason: "an index is digits; the reference takes what is as large, and puts nothing in place of a fraction",
        explains: Explains::Refusal(|parts| PLACES.iter().any(|place| parts.payload.contains(place))),
    },
    Rule {
        row: "a key that is there twice",
        reason: "all values are looked at, also those that are replaced",
        explains: Explains::Refusal(|parts| parts.payload.contains(REPLACED_PLACEHOLDER)),
    },
    Rule {
        row: "92",
        reason: "an event with no attachments lacks nothing",
        explains: Explains::Acceptance(|parts, made| {
            made && !parts.count.is_empty() && parts.count.bytes().all(|b| b == b'0')
        }),
    },
    Rule {
        row: "the payload of a packet with attachments",
        reason: "a payload is looked at once, when all has come",
        explains: Explains::Acceptance(|parts, made| !made && matches!(parts.kind, Some('5' | '6'))),
    },
    Rule {
        row: "an ack id beyond 2^53",
        reason: "a number of JavaScript has 53 bits: the reference would answer with another id",
        explains: Explains::Id(is_rounded),
    },
    Rule {
        row: "a payload that is JSON of another shape",
        reason: "no number of Rust's is as large as 1e400",
        explains: Explains::Data(|ours, theirs, _| {
            ours == SHAPE && ["#7ff0000000000000", "#fff0000000000000"].iter().any(|number| theirs.contains(number))
        }),
    },
    Rule {
        row: "a payload that is JSON of another shape",
        reason: "no `str` holds half of a pair of surrogates",
        explains: Explains::Data(|ours, theirs, _| ours == SHAPE && theirs.contains("lone\"")),
    },
    Rule {
        row: "a payload that is JSON of another shape",
        reason: "a stack has an end, and so has nesting",
        explains: Explains::Data(|ours, theirs, _| {
            ours == SHAPE && (theirs == "deep" || theirs.contains(&"[".repeat(120)))
        }),
    },
    Rule {
        row: "half of a surrogate pair in the name",
        reason: "the name of an event is given as it was written",
        explains: Explains::Data(|ours, theirs, _| {
            ours != SHAPE && theirs.starts_with("[lone\"") && behind(ours) == behind(theirs)
        }),
    },
    Rule {
        row: "a key that is there twice",
        reason: "all values are read, also those that are replaced",
        explains: Explains::Data(|ours, _, text| ours == SHAPE && text.contains(REPLACED_NUMBER)),
    },
];

/// Of what we write.
pub(crate) const READ_BY_THEM: [Rule; 1] = [Rule {
    row: "73",
    reason: "a name is text to us, and is written as text",
    explains: Explains::Data(|ours, theirs, _| {
        ours.starts_with("[#") && theirs.starts_with("[\"") && behind(ours) == behind(theirs)
    }),
}];

/// Of what they write.
pub(crate) const WRITTEN_BY_THEM: [Rule; 4] = [
    Rule {
        row: "a key `__proto__`",
        reason: "the official encoder loses it beside attachments",
        explains: Explains::Data(|ours, theirs, _| {
            let key = "\"__proto__\":";
            ours.contains(key) && ours.contains("bytes ") && !theirs.contains(key)
        }),
    },
    Rule {
        row: "`-0`",
        reason: "JavaScript reads it, and writes 0",
        explains: Explains::Data(|ours, theirs, _| ours.replace("#8000000000000000", "#0000000000000000") == theirs),
    },
    Rule {
        row: "`-0`",
        reason: "JavaScript reads a number that is too large, and writes `null`, which is no name",
        explains: Explains::Acceptance(|parts, _| parts.payload.contains("1e400]")),
    },
    Rule {
        row: "an ack id beyond 2^53",
        reason: "JavaScript writes zeros for the digits that it does not need",
        explains: Explains::Id(is_rounded),
    },
];

/// Whether the first difference is base64 that we refuse: Node.js takes everything for base64, and leaves out what is none.
/// Rows 2 and 3.
pub(crate) fn is_base64_of_node(payload: &str, ours: &[(String, String)], theirs: &[(String, String)]) -> bool {
    let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let text = payload.split('\u{1e}').nth(same).unwrap_or_default();
    ours.get(same..).is_some_and(|rest| matches!(rest, [(kind, _)] if kind == "error")) && text.starts_with('b')
}

/// Numbers of placeholders that are no index to us.
const PLACES: [&str; 6] = ["\"num\":-0", "\"num\":0.0", "\"num\":0e7", "\"num\":1e0", "\"num\":0.5", "\"num\":1e-400"];

/// Whether both ids are the same number to JavaScript.
fn is_rounded(ours: &str, theirs: &str) -> bool {
    let [ours, theirs] = [ours, theirs].map(|id| id.parse::<f64>().ok());
    ours == theirs && ours > Some((1_u64 << 53) as f64 - 1.0)
}

/// What stands behind the name of an event.
fn behind(data: &str) -> Option<&str> {
    data.split_once([',', ']']).map(|(_, rest)| rest)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A packet as the official parser splits it.
pub(crate) struct Parts<'a> {
    kind: Option<char>,
    count: &'a str,
    namespace: &'a str,
    id: &'a str,
    payload: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let mut rest = text.chars();
        let kind = rest.next();
        let rest = rest.as_str();
        let (count, rest) = match kind {
            Some('5' | '6') => rest.split_once('-').unwrap_or(("", rest)),
            _ => ("", rest),
        };
        let (namespace, rest) = match rest.starts_with('/') {
            true => rest.split_once(',').unwrap_or((rest, "")),
            false => ("/", rest),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && !is_blank(c)).unwrap_or(rest.len());
        let (id, payload) = rest.split_at(end);
        Self { kind, count, namespace, id, payload }
    }
}

/// What JavaScript takes for the number 0.
fn is_blank(c: char) -> bool {
    (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}'
}
