use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use socketio_protocol::client::{Client as Machine, Next};
use socketio_protocol::engine::CloseReason;
use socketio_protocol::engine::client::Config;
use socketio_protocol::socket::SocketKey;
use socketio_protocol::socket::manager::{self, Event};
use socketio_protocol::{Input, Instant, Random};

use super::connector::Connector;
use super::mailbox::Order;
use super::network::Network;
use super::sockets::Sockets;
use super::{ManagerEvent, Shared};
use crate::engine::Clock;
use crate::exchange::{BUDGET, Exchange, READ_BUDGET};
use crate::runtime::{Runtime, Sleep};
use crate::task::{Round, Scratch};

/// Orders that the mailbox has room for after a busy time.
const BUSY_CAPACITY: usize = 1024;

/// The one owner of a client: its machine, its stream and requests, its sockets and its timer.
pub(super) struct ClientTask<R: Runtime> {
    runtime: R,
    shared: Arc<Shared>,
    clock: Clock,
    machine: Machine,
    network: Network<R>,
    sockets: Sockets,
    /// The mailbox's other buffer.
    orders: Vec<Order>,
    timer: Option<Pin<Box<R::Sleep>>>,
    /// What the timer is set to.
    armed: Instant,
}

/// What the machine wants, and what came of it.
enum Step {
    /// Nothing that others notice.
    Again,
    /// Something that has to be followed up: an event was told, a request or a stream has begun.
    Worked,
    /// A socket is connected, recovered or not.
    Connected(SocketKey, bool),
    /// There is nothing to do until this time.
    Idle(Option<Instant>),
    /// Reading goes on, into a buffer of the task; nothing else is to be done until this time.
    Read(Option<Instant>),
    /// The stream is lost.
    Lost(io::Error),
    /// Others are to have their turn.
    Enough,
}

impl<R: Runtime> ClientTask<R> {
    pub(super) fn new(
        runtime: R,
        connector: Connector<R>,
        shared: Arc<Shared>,
        engine: Config,
        manager: manager::Config,
        mut random: Random,
    ) -> Self {
        let clock = Clock::start();
        let reconnection = manager.reconnection;
        Self {
            runtime,
            shared,
            machine: Machine::new(Arc::new(engine), Arc::new(manager), random.fork(), clock.now()),
            clock,
            network: Network::new(connector, random),
            sockets: Sockets::new(reconnection),
            orders: Vec::new(),
            timer: None,
            armed: Instant::EPOCH,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Poll<()> {
        for _ in 0..BUDGET {
            let now = self.clock.now();
            self.obey(now, cx, scratch);
            let round = self.advance(now, cx, scratch);
            self.publish();
            match round {
                Round::Again if scratch.taken < READ_BUDGET => {}
                Round::Again | Round::Yield => break,
                Round::Wait(deadline) => {
                    if self.machine.is_idle() && self.network.is_idle() {
                        self.network.rest();
                        if self.sockets.is_empty() {
                            return Poll::Ready(());
                        }
                    }
                    if self.arm(now, deadline, cx) && self.shared.mailbox.sleep(cx.waker()) {
                        return Poll::Pending;
                    }
                }
            }
        }
        self.runtime.yield_now(cx);
        Poll::Pending
    }

    /// Does what the handles ask for, and polls what waits.
    fn obey(&mut self, now: Instant, cx: &mut Context<'_>, scratch: &mut Scratch) {
        let slots = &mut scratch.wishes.slots;
        let mut orders = mem::take(&mut self.orders);
        self.shared.mailbox.take(&mut orders);
        for order in orders.drain(..) {
            self.sockets.obey(order, &mut self.machine, now, slots);
        }
        orders.shrink_to(BUSY_CAPACITY);
        self.orders = orders;
        self.sockets.tick(now);
        self.sockets.poll_work(cx, slots);
        self.sockets.poll_auths(&mut self.machine, now, cx);
    }

    /// Tells the handles how things are.
    fn publish(&mut self) {
        self.sockets.publish(&self.machine);
        self.sockets.tell_closed(&self.machine);
        self.shared.publish_transport(self.machine.transport());
        self.shared.mailbox.publish(self.machine.queued() + self.machine.manager().buffered_bytes());
    }

    /// Moves the machine as far as it goes, then writes once and reads once, until neither is possible.
    fn advance(&mut self, now: Instant, cx: &mut Context<'_>, scratch: &mut Scratch) -> Round {
        // What opens a connection is no event.
        let paused = self.machine.manager().is_open() && self.sockets.is_full(self.shared.max_held);
        if !paused {
            self.network.resume();
        }
        let mut count = self.network.poll(&mut self.machine, now, cx, &mut scratch.read);
        let mut worked = false;
        loop {
            // It is taken out, so that the rest of the scratch can be lent beside the input.
            let mut read = mem::take(&mut scratch.read);
            let mut input = Input::new(read.get_mut(..count).unwrap_or_default());
            let step = loop {
                match self.step(now, &mut input, (worked, paused), cx, scratch) {
                    Step::Again => {}
                    Step::Worked => worked = true,
                    Step::Connected(socket, recovered) => {
                        worked = true;
                        self.sockets.connected(socket, recovered, &self.machine, &mut scratch.wishes.slots);
                    }
                    step => break step,
                }
            };
            scratch.read = read;
            count = 0;
            let error = match step {
                Step::Idle(deadline) => return self.wait(now, deadline, worked),
                Step::Enough => return Round::Yield,
                Step::Read(deadline) => match self.network.read(cx, &mut scratch.read) {
                    Poll::Pending => return self.wait(now, deadline, worked),
                    Poll::Ready(Ok(0)) => None,
                    Poll::Ready(Ok(read)) => {
                        scratch.taken += read;
                        count = read;
                        continue;
                    }
                    Poll::Ready(Err(error)) => Some(error),
                },
                Step::Lost(error) => Some(error),
                Step::Again | Step::Worked | Step::Connected(..) => continue,
            };
            self.network.lose_stream(&mut self.machine, now, error.as_ref());
        }
    }

    /// Does one thing that the machine wants.
    fn step(
        &mut self,
        now: Instant,
        input: &mut Input<'_>,
        (worked, paused): (bool, bool),
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
    ) -> Step {
        match self.machine.next(now, input) {
            Next::Event(event) => {
                // Connections to a server that is ending would fail the next attempt. (A goodbye of ours still needs them.)
                let is_lost = match &event {
                    Event::Closed(reason) => *reason != CloseReason::ForcedClose,
                    event => matches!(event, Event::Error(_)),
                };
                if is_lost {
                    self.network.rest();
                }
                return match self.sockets.handle(event, &mut scratch.wishes.slots) {
                    Some((socket, recovered)) => Step::Connected(socket, recovered),
                    None => Step::Worked,
                };
            }
            Next::Request(request) if paused && request.method() == "GET" => self.network.defer(request),
            Next::Request(request) => {
                self.network.request(request);
                return Step::Worked;
            }
            Next::CancelRequest(id) => self.network.cancel(id),
            Next::OpenStream(target) => {
                self.network.open_stream(target);
                return Step::Worked;
            }
            Next::Upgraded => {
                self.network.rest();
                self.sockets.tell_all(&ManagerEvent::Upgrade);
            }
            Next::CloseStream => self.network.close_stream(cx),
            Next::Continue => {}
            // What handlers sent meanwhile leaves by the same write.
            Next::Io(_) if worked => return Step::Idle(None),
            Next::Io(mut io) => {
                let exchanged = self.network.exchange(&mut io, paused, cx, scratch);
                return match exchanged {
                    None | Some(Ok(Exchange::Blocked)) => Step::Idle(io.deadline()),
                    Some(Ok(Exchange::ReadOn)) => Step::Read(io.deadline()),
                    Some(Ok(Exchange::Done)) => Step::Again,
                    Some(Ok(Exchange::Enough)) => Step::Enough,
                    Some(Err(error)) => Step::Lost(error),
                };
            }
        }
        Step::Again
    }

    /// Waits until the machine or a handle has to be told something.
    fn wait(&self, now: Instant, deadline: Option<Instant>, worked: bool) -> Round {
        let deadline = [deadline, self.sockets.deadline()].into_iter().flatten().min();
        // Behind its last bytes the machine may be due at once.
        let is_due = deadline.is_some_and(|deadline| deadline <= now);
        if worked || is_due { Round::Again } else { Round::Wait(deadline) }
    }

    /// Sets the timer. False if the deadline has come already.
    fn arm(&mut self, now: Instant, deadline: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else { return true };
        let timer = match &mut self.timer {
            Some(timer) => {
                // It is not set anew for each message: a timer that goes off early is set then.
                if deadline < self.armed || self.armed <= now {
                    self.armed = deadline;
                    timer.as_mut().reset(deadline - now);
                }
                timer
            }
            None => {
                self.armed = deadline;
                self.timer.insert(Box::pin(self.runtime.sleep(deadline - now)))
            }
        };
        if timer.as_mut().poll(cx).is_ready() {
            // The clock decides, not the timer.
            self.armed = now;
            return false;
        }
        true
    }
}

impl<R: Runtime> Future for ClientTask<R> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = Scratch::take();
        let polled = self.get_mut().run(cx, &mut scratch);
        scratch.wishes.reset();
        scratch.put_back();
        polled
    }
}

impl<R: Runtime> Unpin for ClientTask<R> {}

impl<R: Runtime> Drop for ClientTask<R> {
    fn drop(&mut self) {
        self.sockets.end();
        self.shared.mailbox.close();
    }
}
