use alloc::borrow::Cow;
use alloc::string::String;
use core::time::Duration;

use super::target::{append_component, append_parameter};
use crate::engine::Transport;

/// Where an Engine.IO client connects to, by which transports, and how long it waits. Every default is the official
/// client's or, where that has none, a documented one; the order of the transports is ours.
///
/// ```
/// use socketio_protocol::engine::Transport;
/// use socketio_protocol::engine::client::Config;
///
/// let mut config = Config::default();
/// config.path = "/socket.io/".into();
/// config.transports = vec![Transport::Polling, Transport::WebSocket].into();
/// config.add_query("room", "a & b");
/// assert_eq!(config.query, "room=a%20%26%20b");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The path of the server; `/engine.io/`. What cannot stand in a URL is escaped; what is escaped stays so.
    pub path: Cow<'static, str>,
    /// Parameters for the server, as they stand in a URL; none. `EIO`, `transport`, `sid` and `t` are the protocol's and
    /// left out. [`Config::add_query`] escapes.
    pub query: String,
    /// The transports in the order in which they are tried; WebSocket, then polling. A session that was opened by polling
    /// is upgraded if WebSocket comes later in the list.
    pub transports: Cow<'static, [Transport]>,
    /// Whether the next transport is tried where one cannot be opened; true. The official client's default is false.
    pub try_all_transports: bool,
    /// Whether a polling session is upgraded to WebSocket; true.
    pub upgrade: bool,
    /// Time that the session has to open, all transports together; 20 s. Each gets an equal share of what is left, so that
    /// one that hangs leaves time for the next. [`Duration::MAX`] is no limit.
    pub connect_timeout: Duration,
    /// Time that an upgrade may take before it is given up; 10 s, which is the official server's.
    pub upgrade_timeout: Duration,
    /// Time that a closing session has to deliver what is queued, and the goodbye; 30 s.
    pub close_timeout: Duration,
    /// Largest body of the answer to a poll, and largest WebSocket message, in bytes; 100 MiB, which is the limit of the
    /// official client's WebSocket library.
    pub max_payload: usize,
    /// Largest first answer of the server, in bytes; 64 KiB. The body of an answer that is not read is limited by it, too.
    pub max_handshake: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: Cow::Borrowed("/engine.io/"),
            query: String::new(),
            transports: Cow::Borrowed(&[Transport::WebSocket, Transport::Polling]),
            try_all_transports: true,
            upgrade: true,
            connect_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            max_payload: 100 << 20,
            max_handshake: 64 << 10,
        }
    }
}

impl Config {
    /// Adds a parameter to [`Config::query`], escaped as by JavaScript's `encodeURIComponent`.
    pub fn add_query(&mut self, name: &str, value: &str) {
        append_parameter(&mut self.query, |query| {
            append_component(name, query);
            query.push('=');
            append_component(value, query);
        });
    }
}
