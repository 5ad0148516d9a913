//! What a server says first, read by a client: the answer to its first poll, the first frame of its stream, and the head
//! that is to open one. A handshake is beside a reading of it by `serde_json::Value`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::Value;
use socketio_protocol::engine::Transport;
use socketio_protocol::engine::client::{Client, Config, Handshake, Next};
use socketio_protocol::websocket::{Accept, AnswerError, Frame, Key};
use socketio_protocol::{Input, Instant, Random, Seed};

/// The first byte picks who reads the rest.
pub fn handshake(data: &[u8]) {
    match data {
        [kind, answer @ ..] if kind % 4 == 0 => poll(200, answer),
        [kind, high, low, answer @ ..] if kind % 4 == 1 => poll(u16::from_be_bytes([*high, *low]), answer),
        [kind, text @ ..] if kind % 4 == 2 => stream(text),
        [_, head @ ..] => upgrade(head),
        [] => {}
    }
}

/// The answer to the first poll.
fn poll(status: u16, answer: &[u8]) {
    let mut client = client(Transport::Polling);
    let Next::Request(request) = client.next(NOW, &mut Input::empty()) else { panic!("no poll") };
    client.handle_response(NOW, request.id, status, Bytes::copy_from_slice(answer));
    let opened = outcome(&mut client, &mut Input::empty());
    let packet = str::from_utf8(answer).ok().and_then(|text| text.split('\u{1e}').next());
    judge(client.handshake(), opened, packet.filter(|_| status == 200 && answer.len() <= MAX_HANDSHAKE));
}

/// A text, in the first frame of a stream.
fn stream(text: &[u8]) {
    let mut client = client(Transport::WebSocket);
    let Next::OpenStream(_) = client.next(NOW, &mut Input::empty()) else { panic!("no stream") };
    client.handle_stream_opened(NOW);
    let Ok(text) = str::from_utf8(text) else { return };
    let mut wire = Frame::text(text).as_bytes().to_vec();
    let opened = outcome(&mut client, &mut Input::new(&mut wire));
    judge(client.handshake(), opened, Some(text).filter(|text| text.len() <= MAX_HANDSHAKE));
}

const NOW: Instant = Instant::EPOCH;
const MAX_HANDSHAKE: usize = 1000;

fn client(transport: Transport) -> Client {
    let mut config = Config::default();
    config.transports = vec![transport].into();
    config.max_handshake = MAX_HANDSHAKE;
    Client::new(Arc::new(config), Random::new(Seed::new([0; 32])), NOW)
}

/// Whether the session was opened. If not, that is told, and the client is finished.
fn outcome(client: &mut Client, input: &mut Input<'_>) -> bool {
    match client.next(NOW, input) {
        Next::Opened => return true,
        Next::Failed(_) => {}
        next => panic!("{next:?}"),
    }
    while let Next::CloseStream | Next::CancelRequest(_) = client.next(NOW, input) {}
    assert!(matches!(client.next(NOW, input), Next::Finished));
    false
}

/// `packet` is what came first, if it counts.
fn judge(handshake: Option<&Handshake>, opened: bool, packet: Option<&str>) {
    let json = packet.and_then(|packet| packet.strip_prefix('0'));
    let value: Option<Value> = json.and_then(|json| serde_json::from_str(json).ok());
    let is_json = |json| serde_json::from_str::<IgnoredAny>(json).is_ok();
    // Which of two keys counts is nobody's promise. A `Value` does not hold all that is JSON, and is what the
    // text behind this key says.
    let is_special = |json: &str| json.contains("$serde_json::private::RawValue");
    if json.is_some_and(|json| may_repeat(json) || is_special(json) || (value.is_none() && is_json(json))) {
        return;
    }
    let plain = value.as_ref().and_then(plainly);
    assert_eq!(opened, plain.is_some(), "{packet:?}");
    let read = handshake.map(|handshake| {
        let bytes = Some(handshake.max_payload()).filter(|bytes| *bytes != usize::MAX);
        let intervals = [handshake.ping_interval(), handshake.ping_timeout()];
        (handshake.sid(), handshake.upgrades(), intervals, bytes)
    });
    assert_eq!(read, plain);
}

type Plain<'a> = (&'a str, bool, [Duration; 2], Option<usize>);

/// What the handshake says: session id, upgrade, ping interval and timeout, largest payload.
fn plainly(json: &Value) -> Option<Plain<'_>> {
    let object = json.as_object()?;
    let sid = object.get("sid")?.as_str().filter(|sid| (1..=256).contains(&sid.len()))?;
    let upgrades = match object.get("upgrades") {
        Some(upgrades) => upgrades.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
        None => Vec::new(),
    };
    let milliseconds = |name| {
        let number = object.get(name)?.as_f64().filter(|number| (1.0..=2_147_483_647.0).contains(number))?;
        Some(Duration::from_millis(number as u64))
    };
    let bytes = match object.get("maxPayload") {
        None | Some(Value::Null) => None,
        Some(bytes) => Some(bytes.as_f64()?).filter(|bytes| *bytes >= 1.0).map(|bytes| bytes as usize),
    };
    let intervals = [milliseconds("pingInterval")?, milliseconds("pingTimeout")?];
    Some((sid, upgrades.contains(&"websocket"), intervals, bytes.filter(|bytes| *bytes != usize::MAX)))
}

/// Whether a key may be there twice.
fn may_repeat(json: &str) -> bool {
    let keys = ["sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"];
    json.contains('\\') || keys.iter().any(|key| json.matches(key).count() > 1)
}

/// The head of the answer to a request for a WebSocket: it opens one only with all that RFC 6455 section 4.1 asks for.
fn upgrade(head: &[u8]) {
    let key = Key::generate(&mut Random::new(Seed::new([0; 32])));
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1)).unwrap_or_default();
    let status = str::from_utf8(status).ok().and_then(|status| status.parse().ok()).unwrap_or(0);
    let headers: Vec<_> = lines.filter_map(header).collect();
    let find = |name: &str| headers.iter().find(|(other, _)| other == name).map(|(_, value)| *value);

    let upgrade = find("upgrade").unwrap_or_default().eq_ignore_ascii_case(b"websocket");
    let mut tokens = find("connection").unwrap_or_default().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let unasked = ["sec-websocket-extensions", "sec-websocket-protocol"].map(|name| find(name).unwrap_or_default());
    let accept = Accept::new(Some(key.as_str().as_bytes()), Some(b"13")).expect("a key of ours");
    let expected = if status != 101 {
        Err(AnswerError::Status(status))
    } else if !upgrade || !tokens.any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
        Err(AnswerError::Upgrade)
    } else if find("sec-websocket-accept") != Some(accept.as_str().as_bytes()) {
        Err(AnswerError::Accept)
    } else if unasked.concat().is_empty() {
        Ok(())
    } else {
        Err(AnswerError::Unasked)
    };
    assert_eq!(key.verify(status, find), expected);
}

fn header(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = String::from_utf8_lossy(line[..colon].trim_ascii()).to_ascii_lowercase();
    Some((name, line[colon + 1..].trim_ascii()))
}
