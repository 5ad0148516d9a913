use alloc::sync::Arc;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::Random;

const LENGTH: usize = 20;

/// 20 characters of base64url: 120 random bits, in the form of the official server's ids.
fn generate(random: &mut Random) -> [u8; LENGTH] {
    let mut id = [b'A'; LENGTH];
    // 15 bytes are exactly 20 characters, so encoding into the slice cannot fail.
    let _ = BASE64_URL_SAFE_NO_PAD.encode_slice(random.bytes::<15>(), &mut id);
    id
}

/// The secret name of an Engine.IO session: whoever knows it can speak for the session's client.
///
/// `Debug` shows no part of it. It is never the public [`SocketId`], nor can it be computed from one.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId([u8; LENGTH]);

/// Nobody chooses the ids that are given out: 48 of their bits tell them apart.
impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.first_chunk::<8>().map_or(&[], |start| start));
    }
}

impl SessionId {
    /// Draws an unguessable id of 120 bits.
    pub fn generate(random: &mut Random) -> Self {
        Self(generate(random))
    }

    /// Reads an id that a peer sent; `None` if it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let id: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        // Without a branch for each byte, this is compiled to wide instructions.
        let valid = |byte: u8| {
            let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
            is_letter | (byte.wrapping_sub(b'0') < 10) | (byte == b'-') | (byte == b'_')
        };
        id.iter().fold(true, |all, byte| all & valid(*byte)).then_some(Self(id))
    }

    /// The id as it is written on the wire.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The public name of a Socket.IO socket, which is also the name of the room that only this socket is in.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(Arc<str>);

impl SocketId {
    /// Draws an id of 120 bits.
    pub fn generate(random: &mut Random) -> Self {
        let id = generate(random);
        Self(core::str::from_utf8(&id).unwrap_or_default().into())
    }

    /// The id as it is written on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SocketId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl Deref for SocketId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({})", &self.0)
    }
}

impl serde::Serialize for SocketId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use alloc::format;
    use core::hash::BuildHasher;

    use super::*;
    use crate::Seed;

    #[test]
    fn ids_have_the_official_form_and_differ() {
        let mut random = Random::new(Seed::new([1; 32]));
        let (a, b) = (SessionId::generate(&mut random), SessionId::generate(&mut random));
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 20);
        assert_eq!(SessionId::parse(a.as_str()), Some(a));
        assert_eq!(format!("{a:?}"), "SessionId(..)");
        let hash = |id| std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(id);
        assert_eq!(hash(a), hash(SessionId::parse(a.as_str()).unwrap()));
        assert_ne!(hash(a), hash(b));
    }

    #[test]
    fn the_name_of_a_socket_is_shown() {
        let id = SocketId::from("ann");
        assert_eq!((format!("{id}"), format!("{id:?}")), ("ann".into(), "SocketId(ann)".into()));
    }

    #[test]
    fn ids_are_letters_of_base64url() {
        for letter in (0..=127).map(char::from) {
            let id = format!("ABCDEFGHIJKLMNOPQRS{letter}");
            let valid = letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            assert_eq!(SessionId::parse(&id).is_some(), valid, "{letter:?}");
        }
    }

    #[test]
    fn foreign_ids_are_no_ids() {
        for text in
            ["", "__proto__", "constructor", "abcdefghijklmnopqrs!", "abcdefghijklmnopqrstu", "abcdefghijklmnopqré"]
        {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }
}
