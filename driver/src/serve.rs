use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::application::Application;
use crate::engine::{ConnectionGuard, Engine};
use crate::handshake::Peer;
use crate::http::respond;
use crate::hyper_io::{Activity, HyperStream, HyperTimer};
use crate::runtime::{Listener, Runtime, Sleep, Stream};
use crate::server::Service;
use crate::tls::{MaybeTls, ServerTls, TlsStream};

/// Bytes of the head of a request, which a session keeps of its first one.
const MAX_HEAD: usize = 64 * 1024;
/// Time that a connection may be silent: that the head of a request, or the next request, may take, and a handshake of TLS.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system had no descriptors or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections after which other tasks get their turn.
const ACCEPT_BUDGET: usize = 64;

/// Serves the connections of `listener` until the server has [shut down](crate::Server::shutdown): it stops listening when
/// no session is left, and returns when no connection is, at the shutdown's deadline at the latest.
///
/// Dropping the future begins a shutdown, too: the sessions get their goodbye by themselves.
///
/// # Errors
///
/// The listener broke. A connection that fails, or that there are no resources for, ends nothing else.
pub async fn serve<S: Service, R: Runtime>(service: &S, runtime: R, listener: impl Listener<R>) -> io::Result<()> {
    serve_all(service, runtime, listener, None).await
}

/// As [`serve`], by TLS: `https` and `wss`.
///
/// A client has 30 seconds for its handshake. One that fails, as that of a client without TLS does, ends its connection.
///
/// # Errors
///
/// The listener broke.
#[cfg(feature = "tls")]
pub async fn serve_tls<S: Service, R: Runtime>(
    service: &S,
    runtime: R,
    listener: impl Listener<R>,
    tls: &ServerTls,
) -> io::Result<()> {
    serve_all(service, runtime, listener, Some(tls.clone())).await
}

async fn serve_all<S: Service, R: Runtime>(
    service: &S,
    runtime: R,
    listener: impl Listener<R>,
    tls: Option<ServerTls>,
) -> io::Result<()> {
    let engine = service.engine();
    let _end = EndOnDrop(engine);
    // Who is between two polls when the shutdown begins gets its goodbye by the next one.
    accept(&runtime, listener, engine.sessions_ended(), |stream, address| {
        let peer = Peer { address, secure: tls.is_some() };
        connection(engine.connection(), runtime.clone(), stream, peer, tls.clone())
    })
    .await?;
    engine.ended().await;
    Ok(())
}

/// Accepts the connections of `listener` until `over` ends, and spawns what `connection` makes of each. Then, or when the
/// future is dropped, it listens no more.
///
/// [`serve`] does nothing else with its listener. It is for a server of your own with Socket.IO in it: hyper takes a
/// [`HyperStream`], and [`respond`] answers the requests for Socket.IO.
///
/// # Errors
///
/// The listener broke. A connection that fails, or that there are no resources for, ends nothing else.
pub async fn accept<R: Runtime, F: Future<Output = ()> + Send + 'static>(
    runtime: &R,
    mut listener: impl Listener<R>,
    over: impl Future,
    mut connection: impl FnMut(R::Stream, Option<SocketAddr>) -> F,
) -> io::Result<()> {
    let mut over = pin!(over);
    let mut count: usize = 0;
    loop {
        let accepted = match select(over.as_mut(), pin!(listener.accept())).await {
            Either::Left(_) => return Ok(()),
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok((stream, address)) => runtime.spawn(connection(stream, address)),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) if is_of_peer(&error) => tracing::debug!(%error, "a connection was gone before it was accepted"),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                if let Either::Left(_) = select(over.as_mut(), pin!(runtime.sleep(ACCEPT_PAUSE))).await {
                    return Ok(());
                }
            }
        }
        count = count.wrapping_add(1);
        if count.is_multiple_of(ACCEPT_BUDGET) {
            yield_now(runtime).await;
        }
    }
}

/// Lets other tasks have their turn, those that wait for a stream or a timer among them.
pub async fn yield_now(runtime: &impl Runtime) {
    let mut yielded = false;
    poll_fn(|cx| {
        if core::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        runtime.yield_now(cx);
        Poll::Pending
    })
    .await;
}

/// Goodbyes need a moment to leave; what does not take its goodbye by then is dropped.
const DROPPED_SERVE: Duration = Duration::from_secs(1);

struct EndOnDrop<'a, A: Application>(&'a Engine<A>);

impl<A: Application> Drop for EndOnDrop<'_, A> {
    fn drop(&mut self) {
        self.0.begin_shutdown(DROPPED_SERVE);
    }
}

/// Whether a connection ended before it was accepted, which some systems tell.
fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether the listener itself is broken.
fn is_fatal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::Unsupported)
}

/// Ends when nothing has gone on for [`HEAD_TIMEOUT`], or somewhat longer. hyper would make a timer for every request.
///
/// `sleep` is set to that time.
async fn silence(sleep: impl Sleep, activity: &Activity) {
    let mut sleep = pin!(sleep);
    loop {
        sleep.as_mut().await;
        if !activity.take() {
            return;
        }
        sleep.as_mut().reset(HEAD_TIMEOUT);
    }
}

/// One connection.
async fn connection<A: Application, R: Runtime>(
    counted: ConnectionGuard<A>,
    runtime: R,
    stream: R::Stream,
    peer: Peer,
    tls: Option<ServerTls>,
) {
    let engine = counted.engine();
    let stream = match tls {
        None => MaybeTls::Left(stream),
        // Boxed: what comes behind does not need its room.
        Some(tls) => match Box::pin(begin_tls(engine, &runtime, stream, &tls)).await {
            Some(stream) => MaybeTls::Right(stream),
            None => return,
        },
    };
    http(engine, &runtime, stream, peer).await;
}

/// The stream inside TLS, if the handshake succeeds in time. It is given up as an idle connection is when the server ends:
/// the client may be on its way to fetch its session's goodbye.
async fn begin_tls<A: Application, R: Runtime>(
    engine: &Engine<A>,
    runtime: &R,
    stream: R::Stream,
    tls: &ServerTls,
) -> Option<TlsStream<R::Stream>> {
    let (ended, timeout) = (pin!(engine.sessions_ended()), pin!(runtime.sleep(HEAD_TIMEOUT)));
    match select(pin!(tls.accept(stream)), select(ended, timeout)).await {
        Either::Left((Ok(stream), _)) => Some(stream),
        Either::Left((Err(error), _)) => {
            tracing::debug!(%error, "a handshake of TLS failed");
            None
        }
        Either::Right(_) => {
            tracing::debug!("a handshake of TLS was given up");
            None
        }
    }
}

/// HTTP on one connection.
async fn http<A: Application, R: Runtime>(engine: &Engine<A>, runtime: &R, stream: impl Stream, peer: Peer) {
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let (answering, response) = (activity.request(), respond(engine, runtime, peer, request));
        async move {
            let _answering = answering;
            Ok::<_, Infallible>(response.await)
        }
    });
    let stream = HyperStream::with_timer(stream, HyperTimer(runtime.clone()), Arc::clone(&activity));
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(MAX_HEAD);
    let connection = http.serve_connection(stream, service).with_upgrades();
    let mut connection = pin!(connection);
    let (ended, silent) = (pin!(engine.sessions_ended()), pin!(silence(runtime.sleep(HEAD_TIMEOUT), &activity)));
    match select(connection.as_mut(), select(ended, silent)).await {
        Either::Right((Either::Left(_), _)) => {}
        _ => return,
    }
    connection.as_mut().graceful_shutdown();
    // Each session has answered its requests. One that has not come whole by the deadline is dropped.
    let left = engine.end().map_or(Duration::ZERO, |end| end - engine.now());
    select(connection, pin!(runtime.sleep(left))).await;
}

#[cfg(test)]
mod tests {
    use core::future::pending;
    use core::pin::Pin;
    use core::task::{Context, Waker};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::client::testing::{FakeStream, Peer as FakePeer};
    use crate::server::Server;

    /// Goes off every time; between two times somebody else is polled once.
    struct Tick(bool);

    impl Future for Tick {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            let over = core::mem::replace(&mut self.0, true);
            if over { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl Sleep for Tick {
        fn reset(mut self: Pin<&mut Self>, duration: Duration) {
            assert_eq!(duration, HEAD_TIMEOUT);
            self.0 = false;
        }
    }

    #[test]
    fn a_connection_is_silent_when_no_request_is_answered_and_none_was() {
        let (activity, mut cx) = (Activity::default(), Context::from_waker(Waker::noop()));
        let mut silence = pin!(silence(Tick(false), &activity));
        let mut tick = || silence.as_mut().poll(&mut cx).is_ready();
        assert!(!tick(), "the time has not come");
        let request = activity.request();
        assert!(!tick() && !tick() && !tick(), "a poll may take longer");
        drop(request);
        assert!(!tick(), "it has just been answered");
        activity.wrote();
        assert!(!tick(), "an answer is on its way");
        assert!(tick());
    }

    /// Counts what it spawns, and drops it.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicUsize>);

    impl Runtime for Counting {
        type Stream = FakeStream;
        type Sleep = Tick;

        fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn sleep(&self, _: Duration) -> Tick {
            Tick(false)
        }

        fn resolve(&self, _: &str, _: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
            pending()
        }

        fn connect(&self, _: SocketAddr) -> impl Future<Output = io::Result<FakeStream>> + Send + 'static {
            pending()
        }
    }

    /// There is always another connection, or another error.
    struct Flood(Option<io::ErrorKind>);

    impl Listener<Counting> for Flood {
        async fn accept(&mut self) -> io::Result<(FakeStream, Option<SocketAddr>)> {
            match self.0 {
                Some(kind) => Err(kind.into()),
                None => Ok((FakePeer::default().stream(), None)),
            }
        }
    }

    #[test]
    fn a_flood_of_connections_lets_others_have_their_turn() {
        let (server, runtime) = (Server::new(), Counting::default());
        let mut serving = pin!(serve(&server, runtime.clone(), Flood(None)));
        let mut cx = Context::from_waker(Waker::noop());
        for turn in 1..=3 {
            assert!(serving.as_mut().poll(&mut cx).is_pending());
            assert_eq!(runtime.0.load(Ordering::Relaxed), turn * ACCEPT_BUDGET);
        }
    }

    #[test]
    fn errors_end_nothing_but_those_of_the_listener() {
        let mut cx = Context::from_waker(Waker::noop());
        for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::OutOfMemory] {
            let server = Server::new();
            let mut serving = pin!(serve(&server, Counting::default(), Flood(Some(kind))));
            assert!(serving.as_mut().poll(&mut cx).is_pending());
            // The end is not held up by a pause.
            server.engine().begin_shutdown(Duration::ZERO);
            assert!(matches!(serving.as_mut().poll(&mut cx), Poll::Ready(Ok(()))), "{kind}");
        }
        let server = Server::new();
        let mut broken = pin!(serve(&server, Counting::default(), Flood(Some(io::ErrorKind::InvalidInput))));
        assert!(matches!(broken.as_mut().poll(&mut cx), Poll::Ready(Err(_))));
    }
}
