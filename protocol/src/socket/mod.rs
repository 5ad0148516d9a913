//! Socket.IO 5, the server's side: namespaces, events, acks and attachments over Engine.IO messages.
//!
//! The client's side is in [`manager`]; packets, payloads and what sockets are called by belong to both.
//!
//! [`Sockets`] is a pure state machine for everything that one connection says at the Socket.IO level. It takes the
//! messages of an Engine.IO connection, whoever made them, and gives events; it takes packets and gives them back in the
//! order in which they are to be sent. It does no I/O, reads no clock, calls nobody back, and never panics, whatever the
//! client sends. [`encode_event`] and [`encode_ack`] make packets from typed values, a [`Payload`] becomes typed values.
//!
//! # The run loop
//!
//! 1. Make [`Sockets::new`] when the connection opens.
//! 2. Call [`Sockets::next`] with the time, and with a message when there is one. It answers one thing at a time:
//!    - [`Next::Event`]: something for the application. [`Event::Connect`] asks for a verdict, now or later: hand the
//!      request back by [`Sockets::accept`] or [`Sockets::reject`]. A payload is decoded at once, or dropped.
//!    - [`Next::Transmit`]: send this packet.
//!    - [`Next::Close`]: close the connection, once what was transmitted is sent.
//!    - [`Next::Wait`]: go to step 3.
//!
//!    Until it answers [`Next::Wait`], call it again without a message, or [`Sockets::advance`], which is the same.
//! 3. Wait for a message, for the time that [`Next::Wait`] told, or for the application, which may
//!    [`emit`](Sockets::emit), [expect an ack](Sockets::expect_ack) or [disconnect](Sockets::disconnect). Then, step 2.
//! 4. When the connection is over, say so by [`Sockets::handle_close`], and take the last events by step 2.
//!
//! Call it late, early or twice: a deadline has passed when `now` says so, and time never runs backwards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::engine::Message;
//! use socketio_protocol::socket::{Config, Event, Next, Sockets, encode_ack};
//! use socketio_protocol::{Instant, SocketId};
//!
//! let now = Instant::EPOCH;
//! let mut sockets = Sockets::new(Arc::new(Config::default()), now);
//!
//! // The client asks for the main namespace, with credentials.
//! let Next::Event(Event::Connect { request, namespace, auth }) =
//!     sockets.next(now, &mut Some(Message::Text(r#"0{"token":"abc"}"#)))
//! else {
//!     panic!()
//! };
//! assert_eq!((namespace, auth.json()), ("/", r#"{"token":"abc"}"#));
//! drop(auth);
//! let socket = sockets.accept(request, &SocketId::from("ann")).unwrap();
//! let Next::Transmit(reply) = sockets.next(now, &mut None) else { panic!() };
//! // `4` is the message type of Engine.IO.
//! assert_eq!(reply.frames().next().unwrap().payload(), br#"40{"sid":"ann"}"#);
//!
//! // An event with two arguments, which asks for an answer.
//! let Next::Event(Event::Message { payload, ack: Some(id), .. }) =
//!     sockets.next(now, &mut Some(Message::Text(r#"27["add",1,2]"#)))
//! else {
//!     panic!()
//! };
//! assert_eq!(payload.event(), "add");
//! let (a, b): (i64, i64) = payload.decode().unwrap();
//! sockets.emit(socket, encode_ack("/", id, &(a + b)).unwrap());
//! let Next::Transmit(answer) = sockets.next(now, &mut None) else { panic!() };
//! assert_eq!(answer.frames().next().unwrap().payload(), b"437[3]");
//! assert!(matches!(sockets.next(now, &mut None), Next::Wait(None)));
//! ```
//!
//! An event borrows the machine, and its payload does something when it is dropped: what it says has to be moved out of
//! the `match` before the machine can be used again.
//!
//! # Errors
//!
//! A client's fault is no `Result`: the machine closes the connection, and all its sockets are told why.
//!
//! | what the client sends | what happens |
//! |---|---|
//! | what is no packet; a payload that is not JSON; a text among the attachments, attachments without a packet | `parse error` |
//! | a packet for a namespace that it has not joined, or has asked for only; a second CONNECT; a CONNECT_ERROR | `forced close` |
//! | an answer that nobody awaits, twice, too late or without an id | ignored |
//! | anything for a namespace that this side has disconnected, before the client asks for it again | ignored |
//!
//! The last row is ours: the official server closes the connection, which an honest client meets whenever its packet and
//! the server's DISCONNECT cross. Nor does the official server tell its sockets `parse error` here, but `forced close`.
//!
//! # Limits
//!
//! See [`Config`] for those of one connection: attachments (in number, bytes and time), namespaces, awaited acks, and the
//! time to the first CONNECT that is accepted. [`Header`] has those of one packet. Packets that wait for [`Next::Transmit`]
//! are the caller's: they leave with the next calls.

mod acks;
mod attachment;
mod de;
mod key;
pub mod manager;
mod packet;
mod partial;
mod payload;
mod placeholder;
mod queue;
mod raw;
mod ser;
mod sockets;
mod text;

pub use acks::TooManyAcks;
pub use attachment::Binary;
pub use key::SocketKey;
pub use packet::{
    ConnectError, EncodeError, Encoded, Encoder, encode_ack, encode_connect, encode_connect_error, encode_disconnect,
    encode_event,
};
pub use packet::{Header, PacketError, PacketType};
pub use payload::{DecodeError, Payload};
pub use raw::RawArgs;
pub use sockets::{Config, ConnectRequest, DisconnectReason, Event, Next, Sockets};
