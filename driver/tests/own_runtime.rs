//! The runtime of the example `own-runtime`, and Socket.IO on it.

/// The runtime.
#[path = "../examples/own-runtime/runtime.rs"]
pub mod runtime;

use std::future::{pending, poll_fn};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures_channel::{mpsc as channel, oneshot};
use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use mio::net::{TcpListener, TcpStream};
use socketio_driver::{
    Ack, Client, ClientBuilder, EmitError, Listener, ManagerEvent, RawArgs, Runtime, Server, Sleep, Socket as Peer,
    Stats, Stream, Transport, serve,
};

use runtime::{OwnRuntime, Socket};

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on a thread of its own, for a runtime that hangs to be a failure.
fn run<T: Send + 'static>(test: impl AsyncFnOnce(OwnRuntime) -> T + Send + 'static) -> T {
    let (sender, result) = mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = OwnRuntime::new().unwrap();
        let _ = sender.send(runtime.block_on(test(runtime.clone())));
    });
    match result.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => std::panic::resume_unwind(thread.join().unwrap_err()),
    }
}

/// Counts how often it woke.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Whether nobody but the test has the waker.
fn is_free(alarm: &Arc<Alarm>) -> bool {
    Arc::strong_count(alarm) == 1
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, alarm: &Arc<Alarm>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(alarm));
    future.poll(&mut Context::from_waker(&waker))
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn listen(runtime: &OwnRuntime) -> (Socket<TcpListener>, SocketAddr) {
    let listener = Socket::new(runtime, TcpListener::bind(local(0)).unwrap()).unwrap();
    let address = listener.source.local_addr().unwrap();
    (listener, address)
}

/// A stream of the runtime, and its other end.
async fn pair(runtime: &OwnRuntime) -> (Socket<TcpStream>, std::net::TcpStream) {
    let (mut listener, address) = listen(runtime);
    let peer = std::net::TcpStream::connect(address).unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    assert_eq!(from, Some(peer.local_addr().unwrap()));
    (stream, peer)
}

async fn read(stream: &mut Socket<TcpStream>) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    let count = poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Gives the others a turn, and events and timers.
async fn yield_now(runtime: &OwnRuntime) {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        runtime.yield_now(cx);
        Poll::Pending
    })
    .await;
}

#[test]
fn timers_go_off_in_order_and_not_early() {
    let order = run(async |runtime| {
        let (sender, mut order) = channel::unbounded();
        for milliseconds in [30, 10, 20, 0] {
            let (sender, sleep) = (sender.clone(), runtime.sleep(Duration::from_millis(milliseconds)));
            let start = Instant::now();
            runtime.spawn(async move {
                sleep.await;
                let early = start.elapsed() < Duration::from_millis(milliseconds);
                let _ = sender.unbounded_send((milliseconds, early));
            });
        }
        drop(sender);
        let mut all = Vec::new();
        while let Some(next) = order.next().await {
            all.push(next);
        }
        all
    });
    assert_eq!(order, [(0, false), (10, false), (20, false), (30, false)]);
}

#[test]
fn a_timer_is_set_anew_before_and_after_it_went_off() {
    run(async |runtime| {
        let alarm = Arc::<Alarm>::default();
        let mut sleep = pin!(runtime.sleep(Duration::MAX));
        assert!(poll(sleep.as_mut(), &alarm).is_pending());
        sleep.as_mut().reset(Duration::from_millis(1));
        assert!(is_free(&alarm), "the old time is forgotten");
        sleep.as_mut().await;
        let start = Instant::now();
        sleep.as_mut().reset(Duration::from_millis(20));
        sleep.as_mut().await;
        assert!(start.elapsed() >= Duration::from_millis(20));
        sleep.as_mut().reset(Duration::MAX);
        assert!(poll(sleep.as_mut(), &alarm).is_pending());
    });
}

#[test]
fn a_timer_wakes_once_and_the_last_who_asked() {
    run(async |runtime| {
        let alarms = [Arc::<Alarm>::default(), Arc::<Alarm>::default()];
        let mut sleep = pin!(runtime.sleep(Duration::from_millis(5)));
        assert!(alarms.iter().all(|alarm| poll(sleep.as_mut(), alarm).is_pending()));
        while poll(sleep.as_mut(), &alarms[1]).is_pending() {
            yield_now(&runtime).await;
        }
        yield_now(&runtime).await;
        assert_eq!(alarms.each_ref().map(|alarm| alarm.0.load(Relaxed)), [0, 1]);
    });
}

#[test]
fn a_timer_that_is_dropped_leaves_nothing() {
    run(async |runtime| {
        let alarm = Arc::<Alarm>::default();
        for duration in [Duration::from_secs(3600), Duration::MAX] {
            let mut sleep = Box::pin(runtime.sleep(duration));
            assert!(poll(sleep.as_mut(), &alarm).is_pending());
            assert!(!is_free(&alarm));
            drop(sleep);
            assert!(is_free(&alarm));
        }
    });
}

#[test]
fn a_wake_from_another_thread_is_never_missed() {
    run(async |_| {
        let (to_thread, requests) = mpsc::channel::<oneshot::Sender<u32>>();
        let thread = thread::spawn(move || {
            for (number, request) in (0..).zip(requests) {
                // The runtime is now before, in, or behind its decision to sleep.
                (0..number % 300).for_each(|_| std::hint::spin_loop());
                let _ = request.send(number);
            }
        });
        for number in 0..5000 {
            let (sender, answer) = oneshot::channel();
            to_thread.send(sender).unwrap();
            assert_eq!(answer.await, Ok(number));
        }
        drop(to_thread);
        thread.join().unwrap();
    });
}

#[test]
fn another_thread_may_poll_timers_and_spawn_tasks() {
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    run(async |runtime| {
        let (sender, over) = oneshot::channel();
        let other = runtime.clone();
        thread::spawn(move || {
            let waker = Waker::from(Arc::new(Unpark(thread::current())));
            // From the second on the runtime is asleep when the timer is set.
            for _ in 0..10 {
                let mut sleep = pin!(other.sleep(Duration::from_millis(1)));
                while sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    thread::park();
                }
            }
            other.spawn(async move { _ = sender.send(()) });
        });
        over.await.unwrap();
    });
}

#[test]
fn who_yields_lets_events_and_timers_through() {
    run(async |runtime| {
        let (mut stream, mut peer) = pair(&runtime).await;
        let (sender, mut done) = channel::unbounded();
        let (timer, timers) = (runtime.sleep(Duration::from_millis(5)), sender.clone());
        runtime.spawn(async move {
            timer.await;
            let _ = timers.unbounded_send("timer");
        });
        runtime.spawn(async move {
            assert_eq!(read(&mut stream).await.unwrap(), b"now");
            let _ = sender.unbounded_send("stream");
        });
        yield_now(&runtime).await;
        peer.write_all(b"now").unwrap();
        for _ in 0..3 {
            yield_now(&runtime).await;
        }
        assert_eq!(done.try_recv().ok(), Some("stream"), "it had to wait longer than a look at the events takes");
        // Somebody is ready all the time.
        while done.try_recv().is_err() {
            yield_now(&runtime).await;
        }
    });
}

#[test]
fn tasks_take_turns() {
    let turns = run(async |runtime| {
        let turns = Arc::new(Mutex::new(Vec::new()));
        let tasks = ["a", "b"].map(|name| {
            let ((sender, over), turns, other) = (oneshot::channel(), Arc::clone(&turns), runtime.clone());
            runtime.spawn(async move {
                for _ in 0..3 {
                    turns.lock().unwrap().push(name);
                    yield_now(&other).await;
                }
                let _ = sender.send(());
            });
            over
        });
        join_all(tasks).await;
        turns.lock().unwrap().join("")
    });
    assert_eq!(turns, "ababab");
}

#[test]
fn reader_and_writer_are_woken_apart() {
    run(async |runtime| {
        let (mut stream, mut peer) = pair(&runtime).await;
        let [reader, writer] = [Arc::<Alarm>::default(), Arc::<Alarm>::default()];
        let (reading, writing) = (Waker::from(Arc::clone(&reader)), Waker::from(Arc::clone(&writer)));
        let bytes = vec![1; 1 << 20];
        let mut written = 0;
        let write = |stream: &mut Socket<TcpStream>| {
            stream.poll_write(&mut Context::from_waker(&writing), &[IoSlice::new(&bytes), IoSlice::new(b"x")])
        };
        let mut fill = |stream: &mut Socket<TcpStream>| {
            while let Poll::Ready(count) = write(stream) {
                written += count.unwrap();
            }
            written
        };
        let mut buffer = [0; 8];
        let mut read =
            |stream: &mut Socket<TcpStream>| stream.poll_read(&mut Context::from_waker(&reading), &mut buffer);
        let mut taken = vec![0; fill(&mut stream)];
        assert!(read(&mut stream).is_pending());
        let before = writer.0.load(Relaxed);
        peer.read_exact(&mut taken).unwrap();
        while writer.0.load(Relaxed) == before {
            yield_now(&runtime).await;
        }
        assert!(write(&mut stream).is_ready());
        assert!(read(&mut stream).is_pending());
        let before = reader.0.load(Relaxed);
        peer.write_all(b"hello").unwrap();
        while reader.0.load(Relaxed) == before {
            yield_now(&runtime).await;
        }
        assert!(matches!(read(&mut stream), Poll::Ready(Ok(5))));
        drop(stream);
        drop((reading, writing));
        assert!(is_free(&reader) && is_free(&writer));
    });
}

#[test]
fn the_end_and_the_loss_of_a_connection_are_read() {
    run(async |runtime| {
        let (mut stream, mut peer) = pair(&runtime).await;
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read(&mut stream).await.unwrap(), b"");
        poll_fn(|cx| stream.poll_shutdown(cx)).await.unwrap();
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);

        let (mut stream, peer) = pair(&runtime).await;
        poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(b"never read")])).await.unwrap();
        let mut reading = pin!(read(&mut stream));
        assert!(poll(reading.as_mut(), &Arc::default()).is_pending());
        assert_eq!(peer.peek(&mut [0; 16]).unwrap(), 10);
        // Closed with bytes unread, it is reset.
        drop(peer);
        assert_eq!(reading.await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_stream_that_is_dropped_is_closed() {
    run(async |runtime| {
        let (stream, mut peer) = pair(&runtime).await;
        drop(stream);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn connections_are_without_delay_on_both_sides() {
    run(async |runtime| {
        let (mut listener, address) = listen(&runtime);
        let stream = runtime.connect(address).await.unwrap();
        assert!(stream.source.nodelay().unwrap());
        let (accepted, from) = listener.accept().await.unwrap();
        assert!(accepted.source.nodelay().unwrap());
        assert_eq!(from.unwrap(), stream.source.local_addr().unwrap());
    });
}

#[test]
fn a_connection_may_be_refused() {
    run(async |runtime| {
        let nobody = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        nobody.bind(&local(0).into()).unwrap();
        let address = nobody.local_addr().unwrap().as_socket().unwrap();
        let refused = runtime.connect(address).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// A listener that nobody asks for connections, and the one connection that it has room for.
#[cfg(target_os = "linux")]
fn full_listener() -> (socket2::Socket, SocketAddr, std::net::TcpStream) {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&local(0).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    (listener, address, std::net::TcpStream::connect(address).unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn an_attempt_to_connect_is_given_up_when_it_is_dropped() {
    run(async |runtime| {
        let (_listener, address, _first) = full_listener();
        let alarm = Arc::<Alarm>::default();
        let mut attempt = Box::pin(runtime.connect(address));
        assert!(poll(attempt.as_mut(), &alarm).is_pending());
        assert!(!is_free(&alarm));
        drop(attempt);
        assert!(is_free(&alarm));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_attempt_that_takes_its_time_holds_nobody_up() {
    run(async |runtime| {
        let (listener, address, _first) = full_listener();
        let attempt = pin!(runtime.connect(address));
        let Either::Right(((), attempt)) = select(attempt, runtime.sleep(Duration::from_millis(20))).await else {
            panic!("it cannot be connected yet");
        };
        // With room for it the system's next attempt succeeds.
        listener.accept().unwrap();
        let stream = attempt.await.unwrap();
        assert_eq!(stream.source.peer_addr().unwrap(), address);
    });
}

#[test]
fn names_are_looked_up() {
    run(async |runtime| {
        let addresses = runtime.resolve("localhost", 80).await.unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{addresses:?}");
        assert!(!addresses.is_empty());
        runtime.resolve("no\0name", 80).await.unwrap_err();
    });
}

/// Is there for as long as the task that holds it.
fn tracer() -> (Arc<()>, Weak<()>) {
    let tracer = Arc::new(());
    let trace = Arc::downgrade(&tracer);
    (tracer, trace)
}

#[test]
fn a_panic_ends_its_task_alone() {
    run(async |runtime| {
        let (tracer, trace) = tracer();
        runtime.spawn(async move {
            let _tracer = tracer;
            std::panic::resume_unwind(Box::new("a handler's mistake"));
        });
        let (sender, other) = oneshot::channel();
        runtime.spawn(async move { _ = sender.send(()) });
        other.await.unwrap();
        yield_now(&runtime).await;
        assert_eq!(trace.strong_count(), 0);
    });
}

/// Spawns a task that holds `tracer` and never ends.
fn spawn_endless(runtime: &OwnRuntime, tracer: Arc<()>) {
    runtime.spawn(async move {
        let _tracer = tracer;
        pending().await
    });
}

#[test]
fn tasks_that_are_left_are_dropped_however_main_ends() {
    for panics in [false, true] {
        let [waiting, new] = [tracer(), tracer()];
        let result = thread::spawn(move || {
            let runtime = OwnRuntime::new().unwrap();
            runtime.block_on(async {
                spawn_endless(&runtime, waiting.0);
                yield_now(&runtime).await;
                // It will not have been polled.
                spawn_endless(&runtime, new.0);
                if panics {
                    std::panic::resume_unwind(Box::new(()));
                }
            });
        });
        assert_eq!(result.join().is_err(), panics);
        assert_eq!((waiting.1.strong_count(), new.1.strong_count()), (0, 0));
    }
}

#[test]
fn what_is_spawned_at_the_end_and_later_is_dropped() {
    struct SpawnOnDrop(OwnRuntime, Option<Arc<()>>);

    impl Drop for SpawnOnDrop {
        fn drop(&mut self) {
            spawn_endless(&self.0, self.1.take().unwrap());
        }
    }

    let runtime = OwnRuntime::new().unwrap();
    let [at_the_end, later] = [tracer(), tracer()];
    let spawns = SpawnOnDrop(runtime.clone(), Some(at_the_end.0));
    runtime.block_on(async {
        runtime.spawn(async move {
            let _spawns = spawns;
            pending().await
        });
        yield_now(&runtime).await;
    });
    assert_eq!(at_the_end.1.strong_count(), 0);
    spawn_endless(&runtime, later.0);
    assert_eq!(later.1.strong_count(), 0);
}

#[test]
fn what_is_spawned_before_runs_with_main() {
    let runtime = OwnRuntime::new().unwrap();
    let (sender, answer) = oneshot::channel();
    runtime.spawn(async move { _ = sender.send(1) });
    assert_eq!(runtime.block_on(answer), Ok(1));
}

#[test]
#[should_panic(expected = "a runtime runs once")]
fn it_does_not_run_within_itself() {
    run(async |runtime| runtime.block_on(async {}));
}

#[test]
fn a_waker_keeps_no_task_and_no_runtime_alive() {
    let (tracer, trace) = tracer();
    let waker = run(async move |runtime| {
        let (sender, waker) = oneshot::channel();
        let mut sender = Some(sender);
        runtime.spawn(poll_fn(move |cx| {
            let _ = &tracer;
            _ = sender.take().unwrap().send(cx.waker().clone());
            Poll::Pending
        }));
        waker.await.unwrap()
    });
    assert_eq!(trace.strong_count(), 0);
    waker.wake();
}

#[test]
fn the_chapter_shows_the_example_line_by_line() {
    let chapter = include_str!("../src/your_own_runtime.md");
    let mut shown = chapter.lines();
    let mut code = Vec::new();
    while shown.any(|line| line == "```rust") {
        code.extend(shown.by_ref().take_while(|line| *line != "```").filter(|line| !line.is_empty()));
    }
    let example = include_str!("../examples/own-runtime/runtime.rs").lines().filter(|line| !line.is_empty());
    assert_eq!(code, example.collect::<Vec<_>>());
}

fn server() -> Server {
    async fn echo(socket: Peer, args: RawArgs, ack: Ack) -> Result<(), EmitError> {
        socket.emit("echo", args.clone())?;
        ack.send(args)
    }

    let server = Server::new();
    server.of("/").on("echo", echo);
    server
}

async fn exchange(client: &Client) {
    for number in 0..100 {
        let answer: u32 = client.emit_with_ack("echo", number).timeout(PATIENCE).await.unwrap();
        assert_eq!(answer, number);
    }
    let long = "ä".repeat(200_000);
    let answer: String = client.emit_with_ack("echo", &long).timeout(PATIENCE).await.unwrap();
    assert_eq!(answer, long);
}

/// Begins a client; gives where it tells of an upgrade, too.
fn client(runtime: &OwnRuntime, url: &str, transports: &[Transport]) -> (Client, channel::UnboundedReceiver<()>) {
    let (sender, upgrades) = channel::unbounded();
    let client = ClientBuilder::new(runtime.clone(), url)
        .transports(transports)
        .on("echo", async || {})
        .on_manager(move |event| {
            if matches!(event, ManagerEvent::Upgrade) {
                let _ = sender.unbounded_send(());
            }
        })
        .start()
        .unwrap();
    (client, upgrades)
}

#[test]
fn server_and_client_talk_by_every_transport() {
    run(async |runtime| {
        let server = server();
        let (listener, address) = listen(&runtime);
        let (sender, served) = oneshot::channel();
        let (serving, on) = (server.clone(), runtime.clone());
        runtime.spawn(async move { _ = sender.send(serve(&serving, on, listener).await) });
        // Both names and addresses are connected to.
        let urls = [format!("http://{address}"), format!("http://localhost:{}", address.port())];
        for url in &urls {
            for transport in [Transport::Polling, Transport::WebSocket] {
                let (client, _) = client(&runtime, url, &[transport]);
                client.connect().timeout(PATIENCE).await.unwrap();
                exchange(&client).await;
                assert_eq!(client.transport(), Some(transport));
                client.close().await;
            }
            let (client, mut upgrades) = client(&runtime, url, &[Transport::Polling, Transport::WebSocket]);
            client.connect().timeout(PATIENCE).await.unwrap();
            upgrades.next().await.unwrap();
            exchange(&client).await;
            assert_eq!(client.transport(), Some(Transport::WebSocket));
            client.close().await;
        }
        server.shutdown(PATIENCE).await;
        assert!(served.await.unwrap().is_ok());
        assert_eq!(server.stats(), Stats::default());
    });
}

#[test]
fn many_clients_talk_at_once() {
    run(async |runtime| {
        let server = server();
        let (listener, address) = listen(&runtime);
        let (serving, on) = (server.clone(), runtime.clone());
        runtime.spawn(async move { serve(&serving, on, listener).await.unwrap() });
        let url = format!("http://{address}");
        let transports = [Transport::Polling, Transport::WebSocket];
        let clients: Vec<_> = (0..50).map(|number| client(&runtime, &url, &transports[number % 2..]).0).collect();
        join_all(clients.iter().map(async |client| {
            client.connect().timeout(PATIENCE).await.unwrap();
            exchange(client).await;
        }))
        .await;
        assert_eq!(server.stats().sockets, 50);
    });
}
