//! RFC 6455 framing for both roles, over the caller's buffer.
//!
//! This is a codec: it owns no stream and answers nothing by itself. One end of a connection has a [`Decoder`] and goes
//! round this loop:
//!
//! 1. Read from the stream: into [`Decoder::read_target`] where it offers room (then tell [`Decoder::filled`]), else
//!    into a buffer of your own, which may be shared by all connections. Lend that buffer as an [`Input`](crate::Input).
//! 2. Call [`Decoder::next`] until it gives `None`. Messages are unmasked in place and borrow the buffer or the decoder,
//!    so each is used, or copied, before the next call. Fragments are put together; `None` means that the input is used
//!    up and what makes no whole frame yet is kept inside. Who wants no more messages for now calls
//!    [`Decoder::buffer_rest`] in its place.
//! 3. Answer: a [`Frame::pong`] to a ping, a [`Frame::close`] with the same code to a close, and then end the stream.
//!    A server writes [`Frame::as_bytes`], the same for every recipient; a client [`Frame::write_masked`] with a fresh
//!    random key per frame.
//! 4. On an error send a [`Frame::close`] with its code and end the stream: the decoder gives nothing more.
//!
//! | the peer | is closed with |
//! |---|---|
//! | sent a reserved bit, an unknown opcode, the wrong masking, a length in more bytes than needed, a control frame that is fragmented or over 125 bytes, a fragment out of place, a close code that must not be sent, half of one | 1002 |
//! | sent text, or the reason of a close, that is not UTF-8 | 1007 |
//! | sent more than [`Decoder::MAX_FRAGMENTS`] fragments of one message | 1008 |
//! | declared more than `max_message` bytes for one message, all fragments together | 1009 |
//!
//! All but UTF-8 and close codes is decided by the header, before memory is taken for the payload; and no more memory is
//! taken than a small multiple of what arrived. No extension is supported. [`Accept`] is the server's side of the opening
//! handshake, [`Key`] the client's; the rest of it is HTTP.
//!
//! ```
//! use socketio_protocol::Input;
//! use socketio_protocol::websocket::{CloseCode, Decoder, Frame, Incoming, Role};
//!
//! let mut decoder = Decoder::new(Role::Server, 1_000_000);
//! let mut read = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let mut input = Input::new(&mut read);
//! let mut replies = Vec::new();
//! while let Some(message) = decoder.next(&mut input)? {
//!     replies.push(match message {
//!         Incoming::Text(text) => Frame::text(text),
//!         Incoming::Binary(bytes) => Frame::binary(bytes.as_slice()),
//!         Incoming::Ping(payload) => Frame::pong(payload),
//!         Incoming::Pong(_) => continue,
//!         Incoming::Close(code) => Frame::close(code),
//!     });
//! }
//! assert_eq!(replies[0].as_bytes(), b"\x81\x05Hello");
//! # Ok::<(), CloseCode>(())
//! ```

mod decoder;
mod frame;
mod handshake;

pub(crate) use decoder::Located;
pub use decoder::{Binary, Decoder, Incoming};
pub(crate) use frame::Part;
pub use frame::{Frame, FrameBuilder, Opcode};
pub use handshake::{Accept, AnswerError, HandshakeError, Key};
pub(crate) use handshake::{has_token, http1_head, push_header};

/// Which end of the connection this is. A server requires masked frames, a client unmasked ones.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Frames from the peer are masked, ours are not.
    Server,
    /// Frames from the peer are not masked, ours are.
    Client,
}

/// Why a WebSocket connection is closed; RFC 6455 section 7.4.1.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1007: a text message was not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// 1008: a policy, such as the limit on fragments, was broken.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message was larger than the limit.
    pub const TOO_BIG: Self = Self(1009);
}

impl CloseCode {
    /// Whether the code may stand in a close frame; RFC 6455 section 7.4 and the registry that it opens.
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The longest payload of a control frame.
const MAX_CONTROL: u8 = 125;

/// Masks or unmasks a whole payload.
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= key;
    }
}
