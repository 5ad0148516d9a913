use alloc::string::String;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::Config;
use crate::Random;
use crate::engine::Transport;
use crate::engine::admission::percent_decode;

/// The part of all request targets of a client that comes first: the path, the user's parameters, and the version.
pub(super) fn prefix(config: &Config) -> String {
    let mut target = String::new();
    if !config.path.starts_with('/') {
        target.push('/');
    }
    escape(&config.path, |byte| byte != b'?' && may_stand_in_query(byte), &mut target);
    target.push('?');
    for parameter in config.query.split('&').filter(|parameter| !parameter.is_empty() && !is_reserved(parameter)) {
        escape(parameter, may_stand_in_query, &mut target);
        target.push('&');
    }
    target.push_str("EIO=4&transport=");
    target
}

/// The target of one request: polling adds something random that keeps caches out.
pub(super) fn target(prefix: &str, transport: Transport, session: Option<&str>, random: &mut Random) -> String {
    let mut target = String::with_capacity(prefix.len() + 64);
    target.push_str(prefix);
    target.push_str(transport.name());
    if transport == Transport::Polling {
        target.push_str("&t=");
        BASE64_URL_SAFE_NO_PAD.encode_string(random.bytes::<6>(), &mut target);
    }
    if let Some(session) = session {
        target.push_str("&sid=");
        append_component(session, &mut target);
    }
    target
}

/// Appends what `write` writes to a query, behind a separator if it is not the first.
pub(super) fn append_parameter(query: &mut String, write: impl FnOnce(&mut String)) {
    if !query.is_empty() {
        query.push('&');
    }
    write(query);
}

/// Appends `text` as JavaScript's `encodeURIComponent` writes it.
pub(super) fn append_component(text: &str, out: &mut String) {
    escape(text, |byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte), out);
}

/// Whether the parameter is one that only the protocol may set: servers see a list in a parameter that comes twice.
fn is_reserved(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    ["EIO", "transport", "sid", "t"].contains(&&*percent_decode(name))
}

/// RFC 3986 section 3.4; what is escaped already stays as it is.
fn may_stand_in_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}

fn escape(text: &str, may_stand: impl Fn(u8) -> bool, out: &mut String) {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default().to_ascii_uppercase();
    for byte in text.bytes() {
        if may_stand(byte) {
            // All that may stand is ASCII.
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Seed;

    fn targets(config: &Config, session: Option<&str>) -> [String; 2] {
        let mut random = Random::new(Seed::new([3; 32]));
        let prefix = prefix(config);
        [Transport::Polling, Transport::WebSocket].map(|transport| target(&prefix, transport, session, &mut random))
    }

    #[test]
    fn parameters_have_the_official_order() {
        let mut config = Config { path: "/socket.io/".into(), ..Config::default() };
        config.add_query("x", "a b");
        config.add_query("y", "&");
        let [polling, websocket] = targets(&config, None);
        let (start, stamp) = polling.split_at(polling.len() - 8);
        assert_eq!(start, "/socket.io/?x=a%20b&y=%26&EIO=4&transport=polling&t=");
        assert!(stamp.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{stamp}");
        assert_eq!(websocket, "/socket.io/?x=a%20b&y=%26&EIO=4&transport=websocket");

        let [polling, websocket] = targets(&config, Some("a/b+c="));
        assert_eq!(polling, [start, stamp, "&sid=a%2Fb%2Bc%3D"].concat());
        assert_eq!(websocket, "/socket.io/?x=a%20b&y=%26&EIO=4&transport=websocket&sid=a%2Fb%2Bc%3D");
    }

    #[test]
    fn every_poll_has_another_stamp() {
        let mut random = Random::new(Seed::new([3; 32]));
        let mut next = || target("", Transport::Polling, None, &mut random);
        assert_ne!(next(), next());
    }

    #[test]
    fn nothing_of_the_user_breaks_out_of_its_place() {
        for (path, query, start) in [
            ("", "", "/?EIO=4"),
            ("chat", "", "/chat?EIO=4"),
            ("/a b?c#d\r\n€", "", "/a%20b%3Fc%23d%0D%0A%E2%82%AC?EIO=4"),
            ("/a%20b", "x=%20+#\r\n &é", "/a%20b?x=%20+%23%0D%0A%20&%C3%A9&EIO=4"),
            ("/", "&&a&", "/?a&EIO=4"),
            ("/", "EIO=3&a=1&transport=x&%73id=y&t&tt=2&sid=", "/?a=1&tt=2&EIO=4"),
        ] {
            let config = Config { path: path.into(), query: query.into(), ..Config::default() };
            let [_, websocket] = targets(&config, None);
            assert_eq!(websocket, [start, "&transport=websocket"].concat());
        }
    }
}
