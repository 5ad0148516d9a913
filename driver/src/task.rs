use core::cell::RefCell;
use core::future::Future;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::Bytes;
use futures_channel::oneshot;
use hyper::rt::{Read as _, ReadBuf, Write as _};
use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use socketio_protocol::engine::{CloseReason, ExchangeId, Io, Next, Response, Session};
use socketio_protocol::{Input, Instant, SessionId};

use crate::application::{Application, Connection, Turn, Wishes};
use crate::engine::{Engine, MailOf};
use crate::exchange::{BUDGET, Exchange, MESSAGE_BUDGET, READ, READ_BUDGET, exchange};
use crate::hyper_io::HyperStream;
use crate::mailbox::{Mail, Mailbox};
use crate::outbox;
use crate::runtime::{Runtime, Sleep, Stream};
use crate::tls::MaybeTls;

/// Buffers that a session's task needs only while it is awake: one set per thread, taken and put back in one poll.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) read: Vec<u8>,
    /// How much was read in this wake-up.
    pub(crate) taken: usize,
    /// How many messages were told in it.
    told: usize,
    pub(crate) write: Vec<u8>,
    pub(crate) wishes: Wishes,
}

thread_local! {
    static SCRATCH: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

impl Scratch {
    pub(crate) fn take() -> Box<Self> {
        let mut scratch = SCRATCH.with_borrow_mut(Option::take).unwrap_or_default();
        scratch.read.resize(READ, 0);
        (scratch.taken, scratch.told) = (0, 0);
        scratch
    }

    pub(crate) fn put_back(self: Box<Self>) {
        SCRATCH.with_borrow_mut(|slot| *slot = Some(self));
    }
}

/// The one owner of a session: its machine, its stream, its application side and its timer.
pub(crate) struct SessionTask<R: Runtime, A: Application> {
    engine: Engine<A>,
    runtime: R,
    mailbox: Mailbox<MailOf<A>>,
    session: Session,
    connection: A::Connection,
    link: Link<R::Stream>,
    replies: Vec<(ExchangeId, oneshot::Sender<Response>)>,
    timer: Pin<Box<R::Sleep>>,
    /// What the timer is set to.
    armed: Instant,
    /// Whom the timer wakes.
    waker: Option<Waker>,
    /// The mailbox wakes the same.
    listens: bool,
    finished: bool,
    /// The last, for who sees that the session is gone to find its stream closed and its sockets gone.
    _registration: Registration<A>,
}

/// A session's place among the others, until it is dropped.
struct Registration<A: Application>(Engine<A>, SessionId);

impl<A: Application> Drop for Registration<A> {
    fn drop(&mut self) {
        self.0.unregister(&self.1);
    }
}

/// The session's WebSocket stream.
enum Link<S> {
    None,
    /// The 101 is on its way.
    Opening(OnUpgrade),
    Open(Open<S>),
}

enum Open<S> {
    Direct(MaybeTls<S>),
    Upgraded(Box<Upgraded>),
}

/// What a round of work led to.
pub(crate) enum Round {
    /// More can be done at once.
    Again,
    /// More can be done, after others had their turn.
    Yield,
    /// Nothing until the deadline, or until something comes.
    Wait(Option<Instant>),
}

impl<R: Runtime, A: Application> SessionTask<R, A> {
    pub(crate) fn new(
        engine: Engine<A>,
        runtime: R,
        mailbox: Mailbox<MailOf<A>>,
        session: Session,
        connection: A::Connection,
        stream: Option<OnUpgrade>,
    ) -> Self {
        let interval = engine.0.config.ping_interval;
        let armed = engine.now() + interval;
        Self {
            timer: Box::pin(runtime.sleep(interval)),
            link: stream.map_or(Link::None, Link::Opening),
            replies: Vec::new(),
            finished: false,
            _registration: Registration(engine.clone(), session.id()),
            armed,
            waker: None,
            listens: false,
            engine,
            runtime,
            mailbox,
            session,
            connection,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        let mut now = self.engine.now();
        for _ in 0..BUDGET {
            if self.read_mail(now, cx, &mut scratch.wishes) {
                // It was counted in the mailbox; what handlers send must be counted behind it.
                self.write_directly(cx, &mut scratch.write);
                outbox::flush(&mut self.session);
                self.mailbox.publish(self.session.queued());
            }
            (scratch.wishes.pause, scratch.wishes.deadline) = (false, None);
            self.connection.poll(&mut Turn::new(now, cx, &mut scratch.wishes));
            self.write_directly(cx, &mut scratch.write);
            apply(&mut self.session, now, &mut scratch.wishes);
            // What was written waits no more: it must not count when handlers send more.
            self.mailbox.publish(self.session.queued());
            self.session.pause(now, scratch.wishes.pause);
            match self.advance(now, cx, scratch) {
                Round::Again if scratch.taken < READ_BUDGET => {}
                Round::Again | Round::Yield => break,
                Round::Wait(deadline) => {
                    self.mailbox.publish(self.session.queued());
                    if self.is_over() {
                        return Poll::Ready(());
                    }
                    if self.arm(now, deadline, cx) && self.listen(cx) {
                        return Poll::Pending;
                    }
                    now = self.engine.now();
                }
            }
        }
        // The outbox is closed with this call.
        outbox::flush(&mut self.session);
        self.mailbox.publish(self.session.queued());
        self.runtime.yield_now(cx);
        Poll::Pending
    }

    /// Writes what was sent, if nothing waits in front of it: mostly that is all there is to do. What the stream does not
    /// take goes to the session.
    fn write_directly(&mut self, cx: &mut Context<'_>, gather: &mut Vec<u8>) {
        let Link::Open(stream) = &mut self.link else { return };
        if !self.session.is_clear() {
            return;
        }
        let written = outbox::write(gather, |bytes| match stream.poll_write(cx, &[IoSlice::new(bytes)]) {
            Poll::Ready(Ok(written)) => written,
            // A stream that is broken tells it again when the session has it written or read.
            _ => 0,
        });
        if let Some(written) = written {
            outbox::flush(&mut self.session);
            self.session.handle_written(written);
        }
    }

    /// Takes the mailbox's content in, in order. False if there was none.
    fn read_mail(&mut self, now: Instant, cx: &mut Context<'_>, wishes: &mut Wishes) -> bool {
        if !self.mailbox.has_mail() {
            return false;
        }
        let mut mails = Vec::new();
        self.listens = false;
        self.mailbox.take(&mut mails);
        for mail in mails.drain(..) {
            match mail {
                Mail::Exchange(exchange, reply) => {
                    self.replies.push((exchange.id, reply));
                    self.session.handle_exchange(now, exchange);
                }
                Mail::Body(exchange) => self.session.handle_exchange(now, exchange),
                Mail::Refused(exchange) => {
                    self.replies.retain(|(id, _)| *id != exchange);
                    self.session.handle_refusal(now, exchange);
                }
                Mail::Abort(exchange) => {
                    self.replies.retain(|(id, _)| *id != exchange);
                    self.session.handle_abort(now, exchange);
                }
                Mail::Stream(stream) => self.open_stream(now, stream),
                Mail::Application(mail) => {
                    self.connection.handle_mail(&mut Turn::new(now, cx, wishes), mail);
                }
                Mail::Overflow => {
                    outbox::clear();
                    self.session.abort(now, CloseReason::TransportError);
                }
                // Carried out behind what was sent before, and what the application says about that.
                Mail::Shutdown => _ = wishes.close.get_or_insert(CloseReason::ServerShuttingDown),
            }
        }
        self.mailbox.recycle(mails);
        true
    }

    fn open_stream(&mut self, now: Instant, stream: OnUpgrade) {
        match self.session.handle_stream(now) {
            Ok(()) => self.link = Link::Opening(stream),
            Err(refused) => self.runtime.spawn(async move {
                if let Ok(upgraded) = stream.await {
                    let mut stream = Open::<R::Stream>::from_upgraded::<R>(upgraded).0;
                    let goodbye = [IoSlice::new(&refused.goodbye)];
                    // A frame of two bytes fits into an empty send buffer; whoever does not take it gets only the end.
                    let _ = core::future::poll_fn(|cx| stream.poll_write(cx, &goodbye)).await;
                    let _ = core::future::poll_fn(|cx| stream.poll_shutdown(cx)).await;
                }
            }),
        }
    }

    /// Moves the machine as far as it goes, then writes once and reads once, until neither is possible.
    fn advance(&mut self, now: Instant, cx: &mut Context<'_>, scratch: &mut Scratch) -> Round {
        let Scratch { read, taken, told, write, wishes } = scratch;
        let mut count = self.poll_link(now, cx, read);
        loop {
            let mut input = Input::new(read.get_mut(..count).unwrap_or_default());
            let mut worked = false;
            count = loop {
                match self.session.next(now, &mut input) {
                    Next::Message(message) => {
                        worked = true;
                        self.connection.handle_message(&mut Turn::new(now, cx, wishes), message);
                        // What was sent can wait until the messages are used up, but not for an end.
                        if wishes.close.is_some() || wishes.pause {
                            apply(&mut self.session, now, wishes);
                        }
                        *told += 1;
                        if *told >= MESSAGE_BUDGET {
                            // It keeps what was read and is not told yet.
                            self.session.pause(now, true);
                        }
                    }
                    Next::Answer(exchange, response) => self.answer(exchange, response),
                    Next::Upgraded => {}
                    Next::CloseStream => self.close_stream(cx),
                    Next::Closed(reason) => {
                        worked = true;
                        self.connection.handle_close(&mut Turn::new(now, cx, wishes), reason);
                        outbox::clear();
                    }
                    Next::Finished => {
                        self.finished = true;
                        return if worked { Round::Again } else { Round::Wait(wishes.deadline) };
                    }
                    Next::Io(_) if *told >= MESSAGE_BUDGET => {
                        self.session.pause(now, wishes.pause);
                        return Round::Yield;
                    }
                    // What handlers sent meanwhile leaves by the same write.
                    Next::Io(_) if worked => return Round::Again,
                    Next::Io(mut io) => {
                        let Link::Open(stream) = &mut self.link else { return wait(now, wishes, &io) };
                        match exchange(stream, &mut io, cx, write, taken) {
                            Ok(Exchange::Blocked) => return wait(now, wishes, &io),
                            Ok(Exchange::Enough) => return Round::Yield,
                            Ok(Exchange::Done) => break 0,
                            Ok(Exchange::ReadOn) => match stream.poll_read(cx, read) {
                                Poll::Pending => return wait(now, wishes, &io),
                                Poll::Ready(Ok(count @ 1..)) => {
                                    *taken += count;
                                    break count;
                                }
                                Poll::Ready(Ok(0) | Err(_)) => {}
                            },
                            Err(_) => {}
                        }
                        self.link = Link::None;
                        self.session.handle_stream_closed(now);
                        break 0;
                    }
                }
            };
        }
    }

    fn answer(&mut self, exchange: ExchangeId, response: Response) {
        if let Some(at) = self.replies.iter().position(|(id, _)| *id == exchange) {
            // Nobody receives it when the client is gone: then the abort is in the mailbox.
            let _ = self.replies.swap_remove(at).1.send(response);
        }
    }

    fn close_stream(&mut self, cx: &mut Context<'_>) {
        if let Link::Open(stream) = &mut self.link {
            // The machine has waited for the goodbye to be written; one attempt is enough.
            let _ = stream.poll_shutdown(cx);
        }
        self.link = Link::None;
    }

    /// Moves an upgrade on. What was read ahead of it goes into `read`; gives its length.
    fn poll_link(&mut self, now: Instant, cx: &mut Context<'_>, read: &mut Vec<u8>) -> usize {
        if let Link::Opening(upgrade) = &mut self.link {
            match Pin::new(upgrade).poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(upgraded)) => {
                    let (stream, leftover) = Open::from_upgraded::<R>(upgraded);
                    self.link = Link::Open(stream);
                    read.splice(..leftover.len().min(read.len()), leftover.iter().copied());
                    return leftover.len();
                }
                Poll::Ready(Err(_)) => {
                    self.link = Link::None;
                    self.session.handle_stream_closed(now);
                }
            }
        }
        0
    }

    /// Sets the timer. False if the deadline has come already.
    fn arm(&mut self, now: Instant, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let end = self.engine.end();
        let Some(deadline) = [deadline, end].into_iter().flatten().min() else {
            self.listens = false;
            return true;
        };
        if self.armed <= now {
            self.rest();
        }
        if deadline < self.armed || self.armed <= now {
            self.armed = deadline;
            (self.waker, self.listens) = (None, false);
            self.timer.as_mut().reset(deadline - now);
        }
        // Far from its time, a timer that knows whom to wake need not be asked.
        let far = self.armed > now + Duration::from_millis(2);
        if far && self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return true;
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            // It went off early or for an older deadline: the clock decides, not the timer.
            self.armed = now;
            self.rest();
            return false;
        }
        self.waker = Some(cx.waker().clone());
        self.listens = false;
        true
    }

    /// Gives the memory of a busy time back.
    fn rest(&mut self) {
        self.mailbox.rest();
        self.connection.rest();
    }

    /// Has mail wake the task. False if there is some already.
    fn listen(&mut self, cx: &Context<'_>) -> bool {
        if !self.listens {
            self.listens = self.mailbox.sleep(cx.waker());
        }
        self.listens && !self.mailbox.has_mail()
    }

    fn is_over(&self) -> bool {
        (self.finished && !self.connection.is_busy()) || self.engine.end().is_some_and(|end| self.engine.now() >= end)
    }
}

/// Waits until the machine or the application has to act.
fn wait(now: Instant, wishes: &Wishes, io: &Io<'_>) -> Round {
    let deadline = wishes.deadline.map_or(io.deadline(), |wish| wish.min(io.deadline()));
    // Behind its last bytes the machine may be due at once.
    if deadline > now { Round::Wait(Some(deadline)) } else { Round::Again }
}

/// Does what the application asked for.
fn apply(session: &mut Session, now: Instant, wishes: &mut Wishes) {
    outbox::flush(session);
    if let Some(reason) = wishes.close.take() {
        session.close(now, reason);
    }
    if wishes.pause {
        session.pause(now, true);
    }
}

impl<S: Stream> Open<S> {
    /// The stream of an upgraded connection, and what was read ahead.
    fn from_upgraded<R: Runtime<Stream = S>>(upgraded: Upgraded) -> (Self, Bytes) {
        let upgraded = match upgraded.downcast::<HyperStream<MaybeTls<S>>>() {
            Ok(Parts { io, read_buf, .. }) => return (Self::Direct(io.into_inner()), read_buf),
            Err(upgraded) => upgraded,
        };
        // Of a host that wrapped it by itself.
        let upgraded = match upgraded.downcast::<HyperStream<S>>() {
            Ok(Parts { io, read_buf, .. }) => return (Self::Direct(MaybeTls::Left(io.into_inner())), read_buf),
            Err(upgraded) => upgraded,
        };
        match R::downcast(upgraded) {
            Ok((stream, leftover)) => (Self::Direct(MaybeTls::Left(stream)), leftover),
            Err(upgraded) => (Self::Upgraded(Box::new(upgraded)), Bytes::new()),
        }
    }
}

impl<S: Stream> Stream for Open<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Direct(stream) => stream.poll_read(cx, buffer),
            Self::Upgraded(upgraded) => {
                let mut buffer = ReadBuf::new(buffer);
                Pin::new(upgraded).poll_read(cx, buffer.unfilled()).map_ok(|()| buffer.filled().len())
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Self::Direct(stream) => stream.poll_write(cx, slices),
            Self::Upgraded(upgraded) => Pin::new(upgraded).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct(stream) => stream.poll_flush(cx),
            Self::Upgraded(upgraded) => Pin::new(upgraded).poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Direct(stream) => stream.poll_shutdown(cx),
            Self::Upgraded(upgraded) => Pin::new(upgraded).poll_shutdown(cx),
        }
    }
}

impl<R: Runtime, A: Application> Future for SessionTask<R, A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let _outbox = outbox::open(&self.mailbox);
        let mut scratch = Scratch::take();
        let polled = self.get_mut().run(cx, &mut scratch);
        scratch.wishes.reset();
        scratch.put_back();
        polled
    }
}

impl<R: Runtime, A: Application> Unpin for SessionTask<R, A> {}

impl<R: Runtime, A: Application> Drop for SessionTask<R, A> {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

#[cfg(test)]
mod tests;
