use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::Hash;
use core::time::Duration;

use bytes::Bytes;

use crate::engine::client::{Request, RequestId};
use crate::engine::{self, ExchangeId, Refused, Response, Transport};
use crate::{Input, Instant, SessionId};

/// The machines at both ends, and the applications that use them.
pub(crate) trait Ends: Clone + Hash {
    /// What the applications can do.
    type Act: Clone + Debug + Eq + Hash;

    /// What the client wants next.
    fn client_next(&mut self, now: Instant, input: &mut Input<'_>) -> Step;

    /// What a session of the server wants next.
    fn session_next(&mut self, id: SessionId, now: Instant, input: &mut Input<'_>) -> Step;

    /// A session is finished.
    fn forget(&mut self, id: SessionId);

    fn tell_client(&mut self, now: Instant, news: ToClient);

    /// Tells a session, if it lives.
    fn tell_session(&mut self, now: Instant, id: SessionId, news: ToSession) -> Result<(), Refused>;

    /// The server makes a session.
    fn open(&mut self, config: &Arc<engine::Config>, id: SessionId, transport: Transport, now: Instant);

    /// The sessions of the server.
    fn sessions(&self) -> Vec<SessionId>;

    /// The number of the client's latest request.
    fn requests(&self) -> u64;

    /// Whether an application can do something now.
    fn can(&self, act: &Self::Act) -> bool;

    fn act(&mut self, now: Instant, act: &Self::Act);

    /// What the applications do sooner or later.
    fn reactions(&self) -> Vec<Self::Act> {
        Vec::new()
    }

    /// Whether all is as it should be when nothing is on its way: what carries messages then, if anything.
    fn rests(&self) -> Option<Rest>;
}

/// What one call of a machine's `next` has led to.
pub(crate) enum Step {
    /// The application was told something.
    Told,
    Request(Request),
    Cancel(RequestId),
    OpenStream(String),
    CloseStream,
    Answer(ExchangeId, Response),
    /// These bytes were written, and the next call is due then.
    Io(Vec<u8>, Option<Instant>),
    Finished,
}

pub(crate) enum ToClient {
    Response(RequestId, u16, Bytes),
    RequestFailed(RequestId),
    StreamOpened,
    StreamClosed,
    StreamFailed(Option<u16>),
}

pub(crate) enum ToSession {
    Exchange(engine::Exchange),
    Abort(ExchangeId),
    Stream,
    StreamClosed,
}

/// How a world may be at rest.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Connected: everything that was sent has arrived.
    Connected(Transport),
    /// Both sides are finished.
    Over,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act<A> {
    /// The head of a request arrives at the server: of the first one that is under way, the second, ...
    Request(usize),
    /// The rest of a POST arrives.
    Body(usize),
    /// An answer arrives at the client.
    Response(usize),
    /// The server learns that nobody waits for the answer.
    Abort(usize),
    /// Nobody waits for the answer, and the server does not learn it.
    Vanish(usize),
    /// The server decides about a stream that the client has asked for.
    Stream(usize),
    /// What it has decided arrives at the client.
    Verdict(usize),
    /// At most so many bytes of a stream arrive, or its end if there are none.
    Up(usize, usize),
    Down(usize, usize),
    Wait(Duration),
    /// The connection of a GET, or a POST, breaks.
    Fail(&'static str),
    /// Somebody sends a GET, or a POST, of the session once more.
    Twin(&'static str),
    /// The stream breaks.
    Break,
    /// An application does what is planned, or what it was asked for.
    App(A),
    React(A),
}
