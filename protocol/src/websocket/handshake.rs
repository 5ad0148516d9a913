use core::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, general_purpose::PAD};
use sha1::{Digest, Sha1};

/// The answer to an opening handshake: the value of `Sec-WebSocket-Accept`; RFC 6455 section 4.2.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept([u8; 28]);

impl Accept {
    /// Checks the values of `Sec-WebSocket-Key` and `Sec-WebSocket-Version` that the client sent.
    ///
    /// # Errors
    ///
    /// The key is not 16 bytes in base64, or the version is not 13.
    pub fn new(key: Option<&[u8]>, version: Option<&[u8]>) -> Result<Self, HandshakeError> {
        if version != Some(b"13") {
            return Err(HandshakeError::Version);
        }
        let key = key.filter(|key| is_key(key)).ok_or(HandshakeError::Key)?;
        let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
        let mut value = [0; 28];
        // Cannot fail: 20 bytes make 28 characters.
        BASE64.encode_slice(digest, &mut value).map_err(|_| HandshakeError::Key)?;
        Ok(Self(value))
    }

    /// The header's value.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why an opening handshake is refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// `Sec-WebSocket-Key` is missing or malformed.
    Key,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "unsupported WebSocket version",
            Self::Key => "malformed Sec-WebSocket-Key",
        })
    }
}

impl core::error::Error for HandshakeError {}

/// What the key is hashed with.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Lenient with the bits that the last character has in excess: clients exist that draw 22 characters at random.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, PAD.with_decode_allow_trailing_bits(true));

fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut bytes) == Ok(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_example_of_section_1_3() {
        let accept = Accept::new(Some(KEY), Some(b"13"));
        assert_eq!(accept.as_ref().map(Accept::as_str), Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    }

    #[test]
    fn the_version_is_exactly_13() {
        for version in [None, Some(&b""[..]), Some(b"8"), Some(b"12"), Some(b"013"), Some(b"13, 8"), Some(b"13\0")] {
            assert_eq!(Accept::new(Some(KEY), version), Err(HandshakeError::Version), "{version:?}");
        }
    }

    #[test]
    fn the_key_is_16_bytes_in_base64() {
        let bad: [Option<&[u8]>; 9] = [
            None,
            Some(b""),
            Some(b"dGhlIHNhbXBsZSBub25jZQ"),
            Some(b"dGhlIHNhbXBsZSBub25jZQ="),
            Some(b"dGhlIHNhbXBsZSBub25jZQ== "),
            Some(b"dGhlIHNhbXBsZSBub25jZWE="),
            Some(b"dGhlIHNhbXBsZSBub25jZWFh"),
            Some(b"dGhlIHNhbXBsZSBub25j-_=="),
            Some(b"========================"),
        ];
        for key in bad {
            assert_eq!(Accept::new(key, Some(b"13")), Err(HandshakeError::Key), "{key:?}");
        }
        assert!(Accept::new(Some(b"dGhlIHNhbXBsZSBub25jZR=="), Some(b"13")).is_ok(), "bits in excess");
    }
}
