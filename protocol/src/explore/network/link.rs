use alloc::string::String;
use alloc::vec::Vec;
use core::mem;

use crate::SessionId;

/// A WebSocket stream, whose ends are let go one by one.
#[derive(Clone, Debug, Hash)]
pub(super) struct Link {
    /// The target, while the request is on the way.
    pub(super) asked: Option<String>,
    /// The server's answer, or the status of a refusal, on the way back.
    pub(super) verdict: Option<Result<(), u16>>,
    pub(super) session: Option<SessionId>,
    /// Who holds an end.
    pub(super) client: bool,
    pub(super) server: bool,
    /// On the way, from the client and to it: whole frames, without masks.
    pub(super) up: Vec<u8>,
    pub(super) down: Vec<u8>,
    /// Nothing arrives any more, and both learn it.
    pub(super) broken: bool,
}

impl Link {
    /// A stream that the client asks for.
    pub(super) fn new(target: String) -> Self {
        Self {
            asked: Some(target),
            verdict: None,
            session: None,
            client: true,
            server: false,
            up: Vec::new(),
            down: Vec::new(),
            broken: false,
        }
    }

    /// How much may arrive at the server: a frame, or all, or the end.
    pub(super) fn up_sizes(&self) -> Vec<usize> {
        if self.server { sizes(&self.up, self.client_is_gone()) } else { Vec::new() }
    }

    /// How much may arrive at the client.
    pub(super) fn down_sizes(&self) -> Vec<usize> {
        if self.reaches_client() { sizes(&self.down, self.server_is_gone()) } else { Vec::new() }
    }

    pub(super) fn client_is_gone(&self) -> bool {
        self.broken || !self.client
    }

    pub(super) fn server_is_gone(&self) -> bool {
        self.broken || !self.server
    }

    /// Whether the client can read from it.
    pub(super) fn reaches_client(&self) -> bool {
        self.client && self.asked.is_none() && self.verdict.is_none()
    }

    /// What the client writes.
    pub(super) fn write_up(&mut self, bytes: &[u8]) {
        if self.server && !self.broken {
            self.up.extend(unmask(bytes));
        }
    }

    /// What the server writes.
    pub(super) fn write_down(&mut self, bytes: &[u8]) {
        if self.client && !self.broken {
            self.down.extend_from_slice(bytes);
        }
    }

    /// It breaks.
    pub(super) fn cut(&mut self) {
        (self.asked, self.verdict, self.broken) = (None, None, true);
        (self.up, self.down) = (Vec::new(), Vec::new());
    }

    /// Whether nothing is on the way between two ends that are there.
    pub(super) fn is_quiet(&self) -> bool {
        self.client
            && self.server
            && self.up_sizes().is_empty()
            && self.down_sizes().is_empty()
            && self.verdict.is_none()
    }

    /// Whether nobody has an end of it any more.
    pub(super) fn is_over(&self) -> bool {
        !self.client && !self.server && self.asked.is_none()
    }
}

/// Takes at most so many bytes from the front.
pub(super) fn take(bytes: &mut Vec<u8>, most: usize) -> Vec<u8> {
    let rest = bytes.split_off(most.min(bytes.len()));
    mem::replace(bytes, rest)
}

/// The first frame, and all if there are more; or the end.
fn sizes(bytes: &[u8], ended: bool) -> Vec<usize> {
    let all = bytes.len();
    match frame_len(bytes).unwrap_or(all).min(all) {
        0 if ended => Vec::from([0]),
        0 => Vec::new(),
        first if first == all => Vec::from([all]),
        first => Vec::from([first, all]),
    }
}

/// The length of the first frame; RFC 6455 section 5.2. No world has one of 64 KiB.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let payload = match second & 0x7f {
        126 => 2 + usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => usize::from(short),
    };
    Some(2 + mask + payload)
}

/// Masks every frame by zeros instead, so that what chance has given makes no difference.
fn unmask(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some(len) = frame_len(bytes) {
        let (frame, rest) = bytes.split_at(len);
        bytes = rest;
        let start = if frame[1] & 0x7f == 126 { 4 } else { 2 };
        let (header, masked) = frame.split_at(start);
        let (key, payload) = masked.split_first_chunk::<4>().unwrap();
        plain.extend_from_slice(header);
        plain.extend_from_slice(&[0; 4]);
        plain.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    plain
}
