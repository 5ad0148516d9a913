//! A runtime whose hosts, connections and clock the test has in its hands.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Wake;

use crate::mailbox::lock;
use crate::runtime::{Runtime, Sleep, Stream};

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Duration,
    timers: Vec<(Duration, Waker)>,
    hosts: HashMap<String, Vec<SocketAddr>>,
    /// Whether connections are made at once, else by the test.
    listens: bool,
    attempts: Vec<Attempt>,
    peers: VecDeque<Peer>,
}

impl World {
    /// A world whose hosts have an address, and where every address is listened at.
    pub(crate) fn listening(hosts: &[&str]) -> Self {
        let world = Self::default();
        for host in hosts {
            world.add_host(host, &["10.0.0.1:1"]);
        }
        lock(&world.0).listens = true;
        world
    }

    pub(crate) fn add_host(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        lock(&self.0).hosts.insert(name.into(), addresses);
    }

    /// The addresses that were tried, those given up included.
    pub(crate) fn tried(&self) -> Vec<String> {
        lock(&self.0).attempts.iter().map(|attempt| attempt.address.to_string()).collect()
    }

    pub(crate) fn attempt(&self, number: usize) -> Attempt {
        lock(&self.0).attempts[number].clone()
    }

    pub(crate) fn advance(&self, duration: Duration) {
        let mut state = lock(&self.0);
        state.now += duration;
        let now = state.now;
        let due: Vec<_> = state.timers.extract_if(.., |timer| timer.0 <= now).collect();
        drop(state);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// The server's end of the next connection.
    pub(crate) fn accept(&self) -> Peer {
        self.try_accept().expect("a connection")
    }

    pub(crate) fn try_accept(&self) -> Option<Peer> {
        lock(&self.0).peers.pop_front()
    }
}

/// An attempt to connect.
#[derive(Clone)]
pub(crate) struct Attempt {
    address: SocketAddr,
    state: Arc<Mutex<AttemptState>>,
}

#[derive(Default)]
struct AttemptState {
    result: Option<io::Result<Peer>>,
    waker: Option<Waker>,
    given_up: bool,
}

impl Attempt {
    pub(crate) fn succeed(&self) -> Peer {
        let peer = Peer::default();
        self.end(Ok(peer.clone()));
        peer
    }

    pub(crate) fn fail(&self, kind: io::ErrorKind) {
        self.end(Err(kind.into()));
    }

    fn end(&self, result: io::Result<Peer>) {
        let mut state = lock(&self.state);
        state.result = Some(result);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// Whether nobody waits for it.
    pub(crate) fn is_given_up(&self) -> bool {
        lock(&self.state).given_up
    }
}

impl Runtime for World {
    type Stream = FakeStream;
    type Sleep = FakeSleep;

    fn spawn(&self, _: impl Future<Output = ()> + Send + 'static) {
        panic!("nothing is to happen outside the futures");
    }

    fn sleep(&self, duration: Duration) -> FakeSleep {
        FakeSleep { world: self.clone(), deadline: lock(&self.0).now + duration }
    }

    fn resolve(&self, host: &str, _: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        let found = lock(&self.0).hosts.get(host).cloned();
        async move { found.ok_or_else(|| io::Error::other("no such host")) }
    }

    fn connect(&self, address: SocketAddr) -> impl Future<Output = io::Result<FakeStream>> + Send + 'static {
        struct Connecting(Attempt);

        impl Drop for Connecting {
            fn drop(&mut self) {
                lock(&self.0.state).given_up = true;
            }
        }

        let attempt = Attempt { address, state: Arc::default() };
        let mut world = lock(&self.0);
        world.attempts.push(attempt.clone());
        if world.listens {
            world.peers.push_back(attempt.succeed());
        }
        let connecting = Connecting(attempt);
        poll_fn(move |cx| {
            let mut state = lock(&connecting.0.state);
            state.waker = Some(cx.waker().clone());
            state.result.take().map_or(Poll::Pending, |result| Poll::Ready(result.map(FakeStream)))
        })
    }
}

pub(crate) struct FakeSleep {
    world: World,
    deadline: Duration,
}

impl Future for FakeSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut world = lock(&self.world.0);
        if world.now >= self.deadline {
            return Poll::Ready(());
        }
        world.timers.push((self.deadline, cx.waker().clone()));
        Poll::Pending
    }
}

impl Sleep for FakeSleep {
    fn reset(mut self: Pin<&mut Self>, duration: Duration) {
        let now = lock(&self.world.0).now;
        self.deadline = now + duration;
    }
}

/// The server's end of a connection.
#[derive(Clone, Default)]
pub(crate) struct Peer(Arc<Mutex<Pipe>>);

#[derive(Default)]
struct Pipe {
    to_client: VecDeque<u8>,
    from_client: Vec<u8>,
    /// Behind `to_client`.
    end: Option<io::Result<()>>,
    /// Bytes that can be written, if they are limited.
    room: Option<usize>,
    shut_down: bool,
    closed: bool,
    wakers: Vec<Waker>,
}

impl Peer {
    /// The client's end.
    pub(crate) fn stream(&self) -> FakeStream {
        FakeStream(self.clone())
    }

    fn change(&self) -> MutexGuard<'_, Pipe> {
        let mut pipe = lock(&self.0);
        // Woken while it is locked: wakers only set a flag here.
        pipe.wakers.drain(..).for_each(Waker::wake);
        pipe
    }

    /// What has come since the last call.
    pub(crate) fn received(&self) -> Vec<u8> {
        core::mem::take(&mut lock(&self.0).from_client)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.received()).unwrap()
    }

    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        self.change().to_client.extend(bytes.as_ref());
    }

    /// Answers with status 200 and `body`.
    pub(crate) fn answer(&self, body: &str) {
        self.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }

    pub(crate) fn close(&self) {
        self.change().end = Some(Ok(()));
    }

    pub(crate) fn reset(&self) {
        self.change().end = Some(Err(io::ErrorKind::ConnectionReset.into()));
    }

    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.change().room = room;
    }

    /// How many bytes the client has not read.
    pub(crate) fn left(&self) -> usize {
        lock(&self.0).to_client.len()
    }

    /// Whether the client has dropped its end.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        lock(&self.0).shut_down
    }
}

/// The client's end of a connection.
pub(crate) struct FakeStream(Peer);

impl core::fmt::Debug for FakeStream {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("FakeStream")
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        lock(&self.0.0).closed = true;
    }
}

impl Stream for FakeStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.0.0);
        match &pipe.end {
            _ if !pipe.to_client.is_empty() => Poll::Ready(io::Read::read(&mut pipe.to_client, buffer)),
            Some(Ok(())) => Poll::Ready(Ok(0)),
            Some(Err(error)) => Poll::Ready(Err(error.kind().into())),
            None => {
                pipe.wakers.push(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.0.0);
        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let count = pipe.room.unwrap_or(usize::MAX).min(offered.len());
        if count == 0 {
            pipe.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.room = pipe.room.map(|room| room - count);
        pipe.from_client.extend(&offered[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0.0).shut_down = true;
        Poll::Ready(Ok(()))
    }
}

/// A future that the test polls.
pub(crate) struct Task<T> {
    future: Pin<Box<dyn Future<Output = T> + Send>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<T> Task<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { future: Box::pin(future), woken: Arc::new(Woken(AtomicBool::new(true))) }
    }

    /// Polls it as long as it is woken.
    pub(crate) fn run(&mut self) -> Option<T> {
        let waker = Waker::from(Arc::clone(&self.woken));
        while self.woken.0.swap(false, Ordering::Relaxed) {
            if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(output);
            }
        }
        None
    }

    /// Its output, which has to be there.
    pub(crate) fn finish(mut self) -> T {
        self.run().expect("the end")
    }
}
