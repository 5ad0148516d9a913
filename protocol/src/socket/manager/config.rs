use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::socket::EncodeError;

/// How a [`Manager`](super::Manager) connects, and what it keeps; official documentation, "Client options".
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Whether a connection that failed or was lost is opened again; true.
    pub reconnection: bool,
    /// How often in a row, until a namespace lets this side in; `None`, endlessly.
    pub reconnection_attempts: Option<u32>,
    /// The delay before the first of these attempts; 1 s, for which zero stands, too. It doubles with each. No delay is
    /// shorter than a millisecond.
    pub reconnection_delay: Duration,
    /// The longest delay; 5 s, for which zero stands, too.
    pub reconnection_delay_max: Duration,
    /// The part of a delay that chance adds or takes away; 0.5. None, if it is not above 0 and at most 1.
    pub randomization_factor: f64,
    /// Time that one attempt to open the connection may take; 20 s. `None`, any.
    pub timeout: Option<Duration>,
    /// Time that the answer to a CONNECT may take, and the answer to one that has to come first; 20 s. `None`, any.
    pub connect_timeout: Option<Duration>,
    /// Bytes that one socket's events may have while they wait for a connection, or with retries for an answer; 8 MiB. Each
    /// event counts 64 bytes more than it has. One may exceed the limit when nothing else waits.
    pub max_buffered: usize,
    /// How many events of one socket may wait; 10 000.
    pub max_buffered_packets: usize,
    /// Bytes of events that may arrive before their namespace's answer to CONNECT, all namespaces together; 1 MiB, counted
    /// like [`Config::max_buffered`].
    pub max_early: usize,
    /// Attachments of one packet; 10.
    pub max_attachments: usize,
    /// Bytes of one packet with all its attachments; 11 000 000.
    pub max_packet: usize,
    /// Time that the attachments of a packet may take; 45 s, one ping cycle.
    pub attachment_timeout: Duration,
    /// Unanswered acks of one socket; 10 000.
    pub max_acks: usize,
}

/// Of all but [`Config::randomization_factor`], which is no integer.
impl Hash for Config {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { reconnection, reconnection_attempts, reconnection_delay, reconnection_delay_max, .. } = self;
        (reconnection, reconnection_attempts, reconnection_delay, reconnection_delay_max).hash(state);
        let Self { timeout, connect_timeout, max_buffered, max_buffered_packets, max_early, .. } = self;
        (timeout, connect_timeout, max_buffered, max_buffered_packets, max_early).hash(state);
        let Self { max_attachments, max_packet, attachment_timeout, max_acks, .. } = self;
        (max_attachments, max_packet, attachment_timeout, max_acks).hash(state);
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reconnection: true,
            reconnection_attempts: None,
            reconnection_delay: Duration::from_secs(1),
            reconnection_delay_max: Duration::from_secs(5),
            randomization_factor: 0.5,
            timeout: Some(Duration::from_secs(20)),
            connect_timeout: Some(Duration::from_secs(20)),
            max_buffered: 8 << 20,
            max_buffered_packets: 10_000,
            max_early: 1 << 20,
            max_attachments: 10,
            max_packet: 11_000_000,
            attachment_timeout: Duration::from_secs(45),
            max_acks: 10_000,
        }
    }
}

/// What one socket is told at its creation; official documentation, "Client options", section "Socket options".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SocketOptions {
    /// The credentials; none.
    pub auth: Auth,
    /// How often an event of [`emit_with_retries`](super::Manager::emit_with_retries) is sent again if it is not answered;
    /// 0, never.
    pub retries: u32,
    /// How long the answer to each try may take, a millisecond at least; `None`, as long as the connection lasts.
    pub ack_timeout: Option<Duration>,
}

/// Where the credentials of a CONNECT come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// They are known, and the same at every connection.
    Given(Credentials),
    /// They are asked for at every connection, by [`Event::Authenticate`](super::Event::Authenticate).
    Asked,
}

impl Default for Auth {
    fn default() -> Self {
        Self::Given(Credentials::default())
    }
}

/// What a client shows a namespace: the `auth` object of a CONNECT, or nothing. `Debug` shows no part of it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// What stands between the braces of the object. Empty without one.
    fields: Box<str>,
    has_pid: bool,
    has_offset: bool,
}

impl Credentials {
    /// Anything that serde writes as an object.
    ///
    /// # Errors
    ///
    /// It is no object, or cannot be written as JSON.
    pub fn new<T: Serialize + ?Sized>(auth: &T) -> Result<Self, EncodeError> {
        let error = |error: serde_json::Error| EncodeError::Json(error.to_string());
        let json = serde_json::to_string(auth).map_err(error)?;
        let Some(fields) = json.strip_prefix('{').and_then(|json| json.strip_suffix('}')) else {
            return Err(EncodeError::Json("credentials are an object".into()));
        };
        let names: BTreeMap<String, IgnoredAny> = serde_json::from_str(&json).map_err(error)?;
        let [has_pid, has_offset] = ["pid", "offset"].map(|name| names.contains_key(name));
        Ok(Self { fields: fields.into(), has_pid, has_offset })
    }

    /// The object to send, with what the state of the connection can be recovered by, unless a field of the same name is
    /// there. `None` if there is nothing to send.
    pub(super) fn with_recovery(&self, pid: Option<&str>, offset: Option<&str>) -> Option<String> {
        let Some(pid) = pid else {
            return (!self.fields.is_empty()).then(|| ["{", &self.fields, "}"].concat());
        };
        let mut json = String::from("{");
        let mut add = |name: &str, value: &str| {
            // A string can always be written.
            let value = serde_json::to_string(value).unwrap_or_default();
            [name, &value, ","].iter().for_each(|part| json.push_str(part));
        };
        if !self.has_pid {
            add("\"pid\":", pid);
        }
        if let Some(offset) = offset.filter(|_| !self.has_offset) {
            add("\"offset\":", offset);
        }
        json.push_str(&self.fields);
        if json.ends_with(',') {
            json.pop();
        }
        json.push('}');
        Some(json)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip::SipHasher13;

    use super::*;

    #[test]
    fn all_but_chance_counts_in_the_hash() {
        let hash = |config: &Config| {
            let mut hasher = SipHasher13::new();
            config.hash(&mut hasher);
            hasher.finish()
        };
        let changes: [fn(&mut Config); 13] = [
            |config| config.reconnection = false,
            |config| config.reconnection_attempts = Some(0),
            |config| config.reconnection_delay = Duration::ZERO,
            |config| config.reconnection_delay_max = Duration::ZERO,
            |config| config.timeout = None,
            |config| config.connect_timeout = None,
            |config| config.max_buffered = 0,
            |config| config.max_buffered_packets = 0,
            |config| config.max_early = 0,
            |config| config.max_attachments = 0,
            |config| config.max_packet = 0,
            |config| config.attachment_timeout = Duration::ZERO,
            |config| config.max_acks = 0,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut config = Config::default();
            change(&mut config);
            assert_ne!(hash(&config), hash(&Config::default()), "{number}");
        }
    }
}
