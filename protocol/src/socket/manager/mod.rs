//! Socket.IO 5, the client's side: sockets on one connection that is opened again when it is lost.
//!
//! A [`Manager`] is a pure state machine: it decides when a connection is opened and closed, asks the namespaces to let
//! its sockets in, keeps their events until then, and gives what the server sends. It does no I/O, reads no clock, and
//! never panics, whatever the server sends. The connection is one of Engine.IO, whoever makes it.
//!
//! # The run loop
//!
//! 1. Make [`Manager::new`], a [`socket`](Manager::socket) for each namespace, and [`connect`](Manager::connect) them.
//! 2. Call [`Manager::next`] with the time, and with a message when there is one. It answers one thing at a time:
//!    - [`Next::Event`]: something for the application. A payload is decoded at once, or dropped.
//!    - [`Next::Open`]: begin to open a connection.
//!    - [`Next::Transmit`]: send this packet over it.
//!    - [`Next::Close`]: close it, once what was transmitted is sent, or give up opening it. Whatever becomes of it is not
//!      told to the manager: the next thing that it hears of is the next connection.
//!    - [`Next::Wait`]: go to step 3.
//!
//!    Until it answers [`Next::Wait`], call it again. The message stays where it is while something older is said.
//! 3. Wait for what comes first, and tell it: the connection is [open](Manager::handle_opened), [could not be
//!    opened](Manager::handle_open_failed), or [is over](Manager::handle_closed); a message; the time that [`Next::Wait`]
//!    told; a wish of the application. Then, step 2.
//! 4. After [`Manager::close`], [`Manager::is_idle`] says when everything is told.
//!
//! Call it late, early or twice: a deadline has passed when `now` says so, and time never runs backwards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::engine::Message;
//! use socketio_protocol::socket::encode_event;
//! use socketio_protocol::socket::manager::{Auth, Config, Credentials, Event, Manager, Next, SocketOptions};
//! use socketio_protocol::{Instant, Random, Seed};
//!
//! let now = Instant::EPOCH; // from your clock
//! let random = Random::new(Seed::new([0; 32])); // from your operating system
//! let mut manager = Manager::new(Arc::new(Config::default()), random, now);
//!
//! let mut options = SocketOptions::default();
//! options.auth = Auth::Given(Credentials::new(&serde_json::json!({ "token": "abc" })).unwrap());
//! let socket = manager.socket("/", options).unwrap();
//! manager.connect(now, socket);
//! manager.emit(socket, encode_event("/", "hello", "world", None).unwrap(), None).unwrap();
//!
//! // A connection is wanted. Here it is opened at once.
//! let Next::Open { .. } = manager.next(now, &mut None) else { panic!() };
//! manager.handle_opened(now);
//! let Next::Event(Event::Opened) = manager.next(now, &mut None) else { panic!() };
//! // `4` is the message type of Engine.IO.
//! let Next::Transmit(connect) = manager.next(now, &mut None) else { panic!() };
//! assert_eq!(connect.frames().next().unwrap().payload(), br#"40{"token":"abc"}"#);
//! let Next::Wait(Some(_)) = manager.next(now, &mut None) else { panic!() };
//!
//! // The namespace lets the client in: what was buffered is sent, then the socket is connected.
//! let Next::Transmit(hello) = manager.next(now, &mut Some(Message::Text(r#"0{"sid":"x"}"#))) else { panic!() };
//! assert_eq!(hello.frames().next().unwrap().payload(), br#"42["hello","world"]"#);
//! let Next::Event(Event::Connect { recovered: false, .. }) = manager.next(now, &mut None) else { panic!() };
//! assert_eq!(manager.id(socket).unwrap().as_str(), "x");
//!
//! let Next::Event(Event::Message { payload, .. }) = manager.next(now, &mut Some(Message::Text(r#"2["sum",1,2]"#)))
//! else {
//!     panic!()
//! };
//! let (a, b): (i64, i64) = payload.decode().unwrap();
//! assert_eq!(a + b, 3);
//! let Next::Wait(None) = manager.next(now, &mut None) else { panic!() };
//! ```
//!
//! # Connecting again
//!
//! A connection that could not be opened, the first one too, or that was lost for whatever reason, is opened again after a
//! delay, until [`Config::reconnection_attempts`] were made in vain. The delays follow the official formula, and grow until
//! a namespace lets this side in: that the connection opens is not enough.
//!
//! | what happens | what a socket is told | connected again by itself | active |
//! |---|---|---|---|
//! | the connection cannot be opened in time, or at all | `connect_error` | yes | yes |
//! | it is lost, or closed for a `parse error`, while the socket is connected | `disconnect` | yes | yes |
//! | the same before the namespace answers | `connect_error` | yes | yes |
//! | the namespace does not answer in time, or as version 2 does | `connect_error` | with the next connection, which is opened after a delay if no other socket has a use for this one | yes |
//! | the namespace refuses | `connect_error` | no | no |
//! | the server disconnects the socket | `disconnect`, `io server disconnect` | no | no |
//! | [`Manager::disconnect`] | `disconnect`, `io client disconnect`, if it was connected | no | no |
//!
//! When the last active socket leaves, the connection is closed. [`Manager::connect`] brings a socket back, and leads to
//! one attempt at least to open the connection if there is none, whatever the configuration says.
//!
//! A socket that was refused twice and more in a row has to wait as long as after so many failed attempts. The end of that
//! wait opens the connection only if nothing was tried since the application asked for it: if the connection is lost or
//! cannot be opened meanwhile, the socket is told `connect_error` as all others, and waits for the next connection with
//! them. So after [`Event::ReconnectFailed`], or with [`Config::reconnection`] off, no timer opens a connection.
//!
//! A namespace is asked once at a time on one connection, or servers would close it. A socket that is disconnected and
//! connected again while CONNECT is unanswered takes the answer for its own if it would send the same. If its credentials
//! are others, it waits for the answer, leaves the namespace again if that lets it in, and then asks. It has
//! [`Config::connect_timeout`] for each of the two. A CONNECT follows a DISCONNECT after a tenth of a second.
//!
//! # Events
//!
//! What is emitted while a socket is not connected is kept, in order and within limits, whether the socket is active or
//! not. When a namespace lets a socket in, it is told what arrived early, then what is kept is sent, then the first event
//! with retries, and at last it is connected. An event that was sent is lost with its connection, unless it has retries.
//!
//! Every event that asks for an answer ends in exactly one [`Event::Ack`] or [`Event::AckFailed`]. An event that is kept
//! outlives connections, and its deadline does not wait for them.
//!
//! # Errors
//!
//! A server's fault is no `Result`.
//!
//! | what the server sends | what happens |
//! |---|---|
//! | what is no packet; a payload that is not JSON; a text among the attachments, attachments without a packet | closed (`parse error`), opened again |
//! | CONNECT for a socket that is connected, or has not asked; CONNECT_ERROR for one that is connected | the same |
//! | an id of a socket or a session with more than 256 bytes | the same |
//! | more than [`Config::max_early`] in front of the answer to CONNECT | the same |
//! | anything for a namespace without an active socket | ignored; a CONNECT that comes too late is answered by DISCONNECT |
//! | an answer that nobody awaits, twice, too late or without an id | ignored |
//!
//! # Where this differs from the official client
//!
//! There, opening the connection is enough to start with the shortest delay again; CONNECT may stay unanswered for
//! ever; a server of version 2 is not asked again, and the connection to it stays open; a second `connect()` sends a
//! second CONNECT, and one right behind a DISCONNECT, for both of which servers close the connection; `close` is told
//! whenever no socket is active, even if nothing was open or wanted; `disconnect` is told to sockets that never were
//! connected; volatile events are kept while a namespace has not answered; what arrived early is told on the next
//! connection, if the first was lost before the answer, and what was sent to a socket that has left is told to the next
//! one; an answer that an event gets too late is sent on whatever connection there is; an answer to an earlier try of an event with retries does not count; buffers have no limits;
//! the last argument of any event is taken for its offset, even if it is the event's name; and after 1024 attempts the
//! formula gives no delay, or the longest, as chance has it.

mod backoff;
mod config;
mod event;
mod machine;
mod slot;

pub use config::{Auth, Config, Credentials, SocketOptions};
pub use event::{
    AckError, AckRequest, AuthRequest, ConnectFailure, EmitError, Event, ExpectedAck, InvalidNamespace, Next, OpenError,
};
pub use machine::Manager;
pub(crate) use machine::Step;
