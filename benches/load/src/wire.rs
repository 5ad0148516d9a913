//! WebSocket frames and HTTP messages, as far as both sides of the bench need them.

use memchr::memmem;

/// Not zero, so that a server that forgets to unmask is found out.
pub const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
/// The `Sec-WebSocket-Key` of every upgrade, the example of RFC 6455.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Opcode of a text frame.
pub const TEXT: u8 = 1;
/// Opcode of a binary frame.
pub const BINARY: u8 = 2;

/// A frame, whole or its header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Opcode without the FIN bit.
    pub opcode: u8,
    /// Where the payload starts, or the masking key if there is one.
    pub start: usize,
    /// Bytes of payload.
    pub length: usize,
}

impl Header {
    /// Reads the header of a frame; `None` until the length is there.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let &[first, second, ref rest @ ..] = frame else { return None };
        let (start, length) = match second & 0x7f {
            126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
            127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
            length => (2, length.into()),
        };
        Some(Self { opcode: first & 0x0f, start, length })
    }
}

/// The opcode and payload of the first frame of `input`, which is not masked, and the bytes that it takes; `None` until
/// it is whole.
pub fn split_frame(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let Header { opcode, start, length } = Header::read(input)?;
    let payload = input.get(start..start + length)?;
    Some((opcode, payload, start + length))
}

/// Appends the header of a frame that is not masked.
pub fn write_header(opcode: u8, length: usize, out: &mut Vec<u8>) {
    header(opcode, length, 0, out);
}

/// Appends a masked frame.
pub fn write_masked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

fn header(opcode: u8, length: usize, masked: u8, out: &mut Vec<u8>) {
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => out.extend_from_slice(&[0x80 | opcode, masked | short]),
        (_, Ok(medium)) => {
            out.extend_from_slice(&[0x80 | opcode, masked | 126]);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.extend_from_slice(&[0x80 | opcode, masked | 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// An HTTP response whose end has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Status code.
    pub status: &'a [u8],
    /// Body, decoded if it was chunked.
    pub body: std::borrow::Cow<'a, [u8]>,
    /// Bytes that the response takes.
    pub taken: usize,
}

/// The first response of `input`; `None` until it is whole.
pub fn split_response(input: &[u8]) -> Option<Response<'_>> {
    let head = memmem::find(input, b"\r\n\r\n")?;
    let (lines, body) = (input.get(..head)?, input.get(head + 4..)?);
    let status = lines.get(9..12)?;
    if let Some(length) = field(lines, b"content-length") {
        let length = str::from_utf8(length).ok()?.parse().ok()?;
        return Some(Response { status, body: body.get(..length)?.into(), taken: head + 4 + length });
    }
    if field(lines, b"transfer-encoding").is_none() {
        return Some(Response { status, body: (&[][..]).into(), taken: head + 4 });
    }
    let (mut decoded, mut at) = (Vec::new(), 0);
    loop {
        let size = memmem::find(body.get(at..)?, b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(body.get(at..at + size)?).ok()?, 16).ok()?;
        at += size + 2;
        decoded.extend_from_slice(body.get(at..at + length)?);
        at += length + 2;
        if length == 0 {
            // The last chunk's line, and the empty trailer's.
            return (at <= body.len()).then(|| Response { status, body: decoded.into(), taken: head + 4 + at });
        }
    }
}

/// The value of a header field; `name` is in lower case.
pub fn field<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| {
        let value = line.get(name.len()..)?.strip_prefix(b":")?;
        line[..name.len()].eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Appends an upgrade request; `sid` is empty for a new session.
pub fn write_upgrade(sid: &str, out: &mut Vec<u8>) {
    let session = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    out.extend_from_slice(
        format!(
            "GET /socket.io/?EIO=4&transport=websocket{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        .as_bytes(),
    );
}

/// Appends a polling GET; `sid` is empty for a new session.
pub fn write_get(sid: &str, out: &mut Vec<u8>) {
    let session = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    out.extend_from_slice(
        format!("GET /socket.io/?EIO=4&transport=polling{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n")
            .as_bytes(),
    );
}

/// Appends a polling POST.
pub fn write_post(sid: &str, body: &[u8], out: &mut Vec<u8>) {
    let length = body.len();
    out.extend_from_slice(
        format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n"
        )
        .as_bytes(),
    );
    out.extend_from_slice(body);
}

/// The session id in an Engine.IO open packet.
pub fn session_id(open: &[u8]) -> Option<&str> {
    let start = memmem::find(open, br#""sid":""#)? + 7;
    let rest = open.get(start..)?;
    let end = memchr::memchr(b'"', rest)?;
    str::from_utf8(rest.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_as_they_are_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let mut frame = Vec::new();
            write_header(BINARY, length, &mut frame);
            frame.extend_from_slice(&payload);
            frame.push(0x81);
            assert_eq!(split_frame(&frame), Some((BINARY, &*payload, frame.len() - 1)));
            assert_eq!(split_frame(&frame[..frame.len() - 2]), None);

            let mut masked = Vec::new();
            write_masked(TEXT, &payload, &mut masked);
            let header = Header::read(&masked).expect("it is whole");
            assert_eq!((header.opcode, header.length), (TEXT, length));
            assert_eq!(masked[1] & 0x80, 0x80);
            assert_eq!(masked[header.start..][..4], MASK);
            let unmasked = masked[header.start + 4..].iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key);
            assert!(unmasked.eq(payload));
        }
    }

    #[test]
    fn responses_end_where_their_heads_say() {
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP";
        let response = split_response(sized).expect("it is whole");
        assert_eq!((response.status, &*response.body, response.taken), (&b"200"[..], &b"ok"[..], sized.len() - 4));
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nA\r\n0123456789\r\n0\r\n\r\nHTTP";
        let response = split_response(chunked).expect("it is whole");
        assert_eq!((&*response.body, response.taken), (&b"ok0123456789"[..], chunked.len() - 4));
        for short in 0..sized.len() - 4 {
            assert_eq!(split_response(&sized[..short]), None);
        }
        for short in 0..chunked.len() - 4 {
            assert_eq!(split_response(&chunked[..short]), None);
        }
    }

    #[test]
    fn the_session_id_is_found() {
        assert_eq!(session_id(br#"0{"sid":"abc","upgrades":[]}"#), Some("abc"));
        assert_eq!(session_id(b"0{}"), None);
    }
}
