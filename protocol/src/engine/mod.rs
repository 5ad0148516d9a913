//! Engine.IO 4: sessions over HTTP long-polling and WebSocket. This page is the server's side; [`client`] is the other.
//!
//! [`admit`] decides about a request from its head alone. A [`Session`] is what an admitted client talks to, over
//! whatever carries its bytes: HTTP requests are values ([`Exchange`] in, [`Response`] out), a WebSocket is bytes.
//! Neither does I/O, reads a clock, or knows an HTTP library.
//!
//! # Driving a session
//!
//! 1. Make it by [`Session::new`] when [`admit`] says [`Admission::New`], and keep it under its [`SessionId`](crate::SessionId).
//!    [`Admission::Session`] gives it back for the client's later requests. [`RequestKind::Upgrade`] is answered by
//!    [`Response::switching_protocols`], which makes the connection a WebSocket.
//! 2. Tell it what happens: a request by [`Session::handle_exchange`] (a POST with its whole body), a request that the
//!    client gave up by [`Session::handle_abort`], a WebSocket that was opened for it later, not by its first request, by
//!    [`Session::handle_stream`], and the end of either by [`Session::handle_stream_closed`]. What the application wants
//!    is [`Session::send`] and [`Session::close`].
//! 3. After each of these, call [`Session::next`] and do what it says, again and again, until it gives [`Next::Io`]: all
//!    that can be done is done then. Every exchange is answered by exactly one [`Next::Answer`], unless it was aborted;
//!    add [`Config::response_headers`].
//! 4. [`Io`] says what to wait for, all at once: for the stream to take [`Io::pending`], for bytes from the stream if
//!    [`Io::wants_read`], and for [`Io::deadline`]. Whatever comes first, or any of step 2, leads back to step 3; bytes
//!    that were read are lent to [`Session::next`].
//! 5. [`Next::Closed`] comes once, when the session is over for the application. Go on until [`Next::Finished`], so that
//!    the goodbye is delivered and no request stays unanswered; then forget the session.
//!
//! Time is the `now` of each call. It never runs backwards for the session, and whether a deadline has passed is decided
//! by it alone, so that late, early and repeated calls are harmless. What a client does wrong is no error here: it gets
//! its answer, and the session closes with a [`CloseReason`].
//!
//! # One polling exchange, driven by hand
//!
//! ```
//! use std::sync::Arc;
//!
//! use socketio_protocol::engine::{
//!     Admission, Config, Exchange, ExchangeId, ExchangeKind, Next, RequestHead, RequestKind, Session, Transport, admit,
//! };
//! use socketio_protocol::{Input, Instant, Random, Seed, SessionId};
//!
//! let config = Arc::new(Config::default());
//! let now = Instant::EPOCH; // from your clock
//! let seed = Seed::new([0; 32]); // from your operating system
//!
//! // `GET /engine.io/?EIO=4&transport=polling` arrives, and there are no sessions yet.
//! let head = RequestHead { method: "GET", query: "EIO=4&transport=polling", headers: &[("host", "localhost")] };
//! let admission = admit(&config, &head, |_| None::<Session>);
//! assert_eq!(admission, Admission::New(RequestKind::Poll));
//!
//! let id = SessionId::generate(&mut Random::new(seed));
//! let mut session = Session::new(config.clone(), id, Transport::Polling, now);
//! session.handle_exchange(now, Exchange { id: ExchangeId(1), kind: ExchangeKind::Poll });
//!
//! // The handshake is what to answer with.
//! let Next::Answer(ExchangeId(1), response) = session.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!(response.status, 200);
//! assert!(response.body.starts_with(br#"0{"sid":"#));
//!
//! // Then nothing is left to do, until the client sends something or the first ping is due.
//! let Next::Io(io) = session.next(now, &mut Input::empty()) else { panic!() };
//! assert_eq!(io.deadline(), now + config.ping_interval);
//! ```

mod admission;
pub mod client;
mod config;
mod end;
mod http;
mod packet;
mod payload;
mod queue;
mod session;

pub use admission::{Admission, Reject, RequestKind, admit};
pub use config::{Config, Cookie, CookieError, Cors, OriginPolicy, SameSite, Transports};
pub use end::{CloseReason, SendError};
pub use http::{Header, Headers, RequestHead, Response};
pub use packet::{DecodeError, Message, Packet, PacketType};
pub use payload::{PayloadReader, Segment};
pub use session::{Exchange, ExchangeId, ExchangeKind, Io, Next, Refused, Session};

use end::LINGER;

/// How a session's bytes travel.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// The name in the `transport` query parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}
