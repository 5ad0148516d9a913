//! The cases of the Autobahn test suite end to end: `js/lib/autobahn.mjs` plays them with our server, with our client and,
//! for comparison, with those of `ws`. All of them must answer the same, or the difference is one of these.

extern crate alloc;

#[path = "../../protocol/src/websocket/decoder/tests/cases.rs"]
mod cases;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cases::{Case, Event, cases};
use serde::Deserialize;
use serde_json::{Value, json};
use socketio_protocol::websocket::Decoder;

/// How an endpoint differs from the table in some cases, and why.
struct Rule {
    endpoint: &'static str,
    reason: &'static str,
    explains: fn(&Case, &[String]) -> bool,
}

const RULES: [Rule; 2] = [LIMIT_OF_WS, Rule { endpoint: "the client of ws", ..LIMIT_OF_WS }];

const LIMIT_OF_WS: Rule = Rule {
    endpoint: "the server of ws",
    reason: "`ws` takes 16 384 fragments, where Autobahn would have it take all",
    explains: |case, got| case.frames.len() > 16_384 && got == ["close 1008"],
};

/// What is said of an endpoint.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Difference { endpoint: String, number: String, expected: Vec<String>, got: Vec<String> },
    Played { endpoint: String, cases: usize },
}

#[test]
fn servers_and_clients_answer_as_the_table_says() {
    let cases = cases();
    let lines: String = cases.iter().map(|case| format!("{}\n", written(case))).collect();
    let said = socketio_interop::script_with_servers("autobahn", lines);
    let mut counts = [0; RULES.len()];
    let mut played = BTreeMap::new();
    let mut faults = Vec::new();
    for line in said.lines() {
        match serde_json::from_str(line).expect("a line in JSON") {
            Line::Played { endpoint, cases } => _ = played.insert(endpoint, cases),
            Line::Difference { endpoint, number, expected, got } => {
                let case = cases.iter().find(|case| case.number == number).expect("it was in the table");
                let rule = RULES.iter().position(|rule| rule.endpoint == endpoint && (rule.explains)(case, &got));
                match rule {
                    Some(rule) => counts[rule] += 1,
                    None if misses_the_goodbye(&endpoint, case, &got) => {}
                    None => faults.push(format!("{endpoint}, {number}: {got:?} instead of {expected:?}")),
                }
            }
        }
    }
    println!("{played:?}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(played.len(), 4);
    for (rule, count) in RULES.iter().zip(counts) {
        println!("{count:4} {}: {}", rule.endpoint, rule.reason);
        assert!(count > 0, "{} does not do that: {}", rule.endpoint, rule.reason);
    }
}

/// Our client drops a stream some seconds after its goodbye: a peer that is not done with its thousands of fragments by then
/// is reset, and may not have read the code.
fn misses_the_goodbye(endpoint: &str, case: &Case, got: &[String]) -> bool {
    endpoint == "our client" && case.frames.len() > Decoder::MAX_FRAGMENTS && got == ["close 1006"]
}

fn written(case: &Case) -> Value {
    let frames: Vec<_> = case.frames.iter().map(|frame| json!([frame.first, packed(&frame.payload)])).collect();
    let suite = case.differs.as_ref().map_or(&case.expected, |(expected, _)| expected);
    json!({ "number": case.number, "frames": frames, "expected": events(&case.expected), "suite": events(suite) })
}

fn events(events: &[Event]) -> Value {
    let event = |event: &Event| match event {
        Event::Text(text) => json!(["text", packed(text.as_bytes())]),
        Event::Binary(bytes) => json!(["binary", packed(bytes)]),
        Event::Ping(payload) => json!(["ping", packed(payload)]),
        Event::Pong(payload) => json!(["pong", packed(payload)]),
        // 1005 is what a close frame without a code is called.
        Event::Close(code) => json!(["close", code.unwrap_or(1005)]),
        Event::Failed(code) => json!(["close", code]),
    };
    events.iter().map(event).collect()
}

/// What is repeated, and how long it is in the end.
fn packed(payload: &[u8]) -> (String, usize) {
    let unit = payload.get(..10).filter(|unit| payload.iter().eq(unit.iter().cycle().take(payload.len())));
    (STANDARD.encode(unit.unwrap_or(payload)), payload.len())
}
