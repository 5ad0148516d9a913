use core::convert::Infallible;
use core::pin::pin;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{Either, select};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use crate::application::Application;
use crate::engine::{ConnectionGuard, Engine};
use crate::http::respond;
use crate::hyper_io::{Activity, HyperStream, HyperTimer};
use crate::runtime::{Listener, Runtime, Sleep};
use crate::server::Service;

/// Time that a connection may be silent: that the head of a request, or the next request, may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the system had no descriptors or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of `listener` until the server has [shut down](crate::Server::shutdown): it stops listening when
/// no session is left, and returns when no connection is, at the shutdown's deadline at the latest.
///
/// Dropping the future begins a shutdown, too: the sessions get their goodbye by themselves.
///
/// # Errors
///
/// The listener broke. A connection that fails, or that there are no resources for, ends nothing else.
pub async fn serve<S: Service, R: Runtime>(
    service: &S,
    runtime: R,
    mut listener: impl Listener<R::Stream>,
) -> io::Result<()> {
    let engine = service.engine();
    let _end = EndOnDrop(engine);
    // Who is between two polls when the shutdown begins gets its goodbye by the next one.
    let mut over = pin!(engine.sessions_ended());
    loop {
        let accepted = match select(over.as_mut(), pin!(listener.accept())).await {
            Either::Left(_) => break,
            Either::Right((accepted, _)) => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                runtime.spawn(connection(engine.connection(), runtime.clone(), stream, address));
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                runtime.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    engine.ended().await;
    Ok(())
}

/// Goodbyes need a moment to leave; what does not take its goodbye by then is dropped.
const DROPPED_SERVE: Duration = Duration::from_secs(1);

struct EndOnDrop<'a, A: Application>(&'a Engine<A>);

impl<A: Application> Drop for EndOnDrop<'_, A> {
    fn drop(&mut self) {
        self.0.begin_shutdown(DROPPED_SERVE);
    }
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

/// One HTTP connection.
async fn connection<A: Application, R: Runtime>(
    counted: ConnectionGuard<A>,
    runtime: R,
    stream: R::Stream,
    address: Option<SocketAddr>,
) {
    let engine = counted.engine().clone();
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        let (answering, response) = (activity.request(), respond(&engine, &runtime, address, request));
        async move {
            let _answering = answering;
            Ok::<_, Infallible>(response.await)
        }
    });
    let stream = HyperStream::with_timer(stream, HyperTimer(runtime.clone()), Arc::clone(&activity));
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(stream, service).with_upgrades();
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
    use core::future::Future;
    use core::pin::Pin;
    use core::task::{Context, Poll, Waker};

    use super::*;

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
}
