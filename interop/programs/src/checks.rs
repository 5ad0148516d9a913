//! What holds on every runtime, for the tests of the adapters.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use futures_util::future::{Either, abortable, select};
use socketio_driver::protocol::engine::Transport;
use socketio_driver::{Client, ClientBuilder, Listener, Runtime, Server, Sleep, Socket, State, Stream, yield_now};

use crate::faulty::{Census, Faulty};
use crate::platform::Platform;

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(1_000_000);

/// Waits for what has to come.
async fn soon<T>(runtime: &impl Runtime, future: impl Future<Output = T>) -> T {
    match select(pin!(future), pin!(runtime.sleep(PATIENCE))).await {
        Either::Left((output, _)) => output,
        Either::Right(_) => panic!("it did not come in time"),
    }
}

fn run<P: Platform, F: Future<Output = ()> + Send + 'static>(main: impl FnOnce(P::Runtime) -> F) {
    P::run(1, main).expect("the runtime starts");
}

/// Timers go off in their time, can be set anew, and may be set to the end of time.
///
/// # Panics
///
/// They do not. So for the others.
pub fn timers<P: Platform>() {
    run::<P, _>(|runtime| async move {
        let mut never = Box::pin(runtime.sleep(Duration::MAX));
        assert!(poll(never.as_mut()).is_pending());
        never.as_mut().reset(Duration::MAX);
        assert!(poll(never.as_mut()).is_pending());
        let begin = Instant::now();
        runtime.sleep(Duration::from_millis(20)).await;
        assert!(begin.elapsed() >= Duration::from_millis(20));
        assert!(poll(never.as_mut()).is_pending());
        never.as_mut().reset(Duration::ZERO);
        soon(&runtime, never.as_mut()).await;
        never.as_mut().reset(Duration::from_millis(1));
        soon(&runtime, never).await;
    });
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Hosts are found, and connections made without Nagle's delay on both sides, or refused.
pub fn connections<P: Platform>() {
    run::<P, _>(|runtime| async move {
        let (listener, address) = bind();
        let found = soon(&runtime, runtime.resolve("localhost", address.port())).await.expect("a host");
        assert!(found.contains(&address), "{found:?}");
        let mut listening = P::listen(&runtime, listener).expect("a listener");
        let mut ours = soon(&runtime, runtime.connect(address)).await.expect("a connection");
        let (mut theirs, peer) = soon(&runtime, listening.accept()).await.expect("a connection");
        assert!(peer.is_some());
        assert!(P::is_prompt(&ours) && P::is_prompt(&theirs), "Nagle's delay is on");
        soon(&runtime, send(&mut ours, &mut theirs)).await;
        soon(&runtime, send(&mut theirs, &mut ours)).await;
        drop(listening);
        let refused = soon(&runtime, runtime.connect(address)).await.err().expect("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// More than what fits into the buffers of the system, and the end of it.
async fn send<S: Stream>(from: &mut S, to: &mut S) {
    const SIZE: usize = 8 * 1024 * 1024;
    let bytes: Vec<u8> = (0..SIZE).map(|index| index.to_le_bytes()[index % 3]).collect();
    let (mut sent, mut received, mut buffer) = (0, Vec::new(), vec![0; 100_000]);
    poll_fn(|cx| {
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let (first, second) = rest.split_at(rest.len() / 2);
            let slices = [IoSlice::new(first), IoSlice::new(second)];
            let Poll::Ready(count) = from.poll_write(cx, &slices) else { break };
            sent += count.expect("the connection lives");
        }
        if sent == SIZE {
            let _ = from.poll_shutdown(cx).map(|result| result.expect("the writing half can be closed"));
        }
        loop {
            let Poll::Ready(count) = to.poll_read(cx, &mut buffer) else { return Poll::Pending };
            match count.expect("the connection lives") {
                0 => return Poll::Ready(()),
                count => received.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            }
        }
    })
    .await;
    assert!(received == bytes, "other bytes arrived");
}

/// A task that yields lets others have their turn, those that wait for a stream or a timer among them.
pub fn turns<P: Platform>() {
    run::<P, _>(|runtime| async move {
        let (listener, address) = bind();
        let mut listening = P::listen(&runtime, listener).expect("a listener");
        let mut peer = std::net::TcpStream::connect(address).expect("a connection");
        let (mut stream, _) = listening.accept().await.expect("a connection");
        let (told, heard) = channel();
        runtime.spawn({
            let (told, runtime) = (told.clone(), runtime.clone());
            async move {
                runtime.sleep(Duration::from_millis(1)).await;
                told.send("timer").expect("somebody waits");
            }
        });
        runtime.spawn(async move {
            let mut buffer = [0];
            poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await.expect("a byte");
            told.send("stream").expect("somebody waits");
        });
        let (sender, yielded) = oneshot::channel();
        let yielding = runtime.clone();
        // On the one thread of the others.
        runtime.spawn(async move {
            peer.write_all(&[1]).expect("it is connected");
            let (begin, mut heard_of) = (Instant::now(), Vec::new());
            while heard_of.len() < 2 && begin.elapsed() < PATIENCE {
                heard_of.extend(heard.try_iter());
                yield_now(&yielding).await;
            }
            let _ = sender.send(heard_of.len());
        });
        assert_eq!(soon(&runtime, yielded).await, Ok(2), "others did not have their turn");
    });
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// How a server ends.
#[derive(Copy, Clone)]
enum End {
    /// It is shut down.
    Shutdown,
    /// Its future is dropped.
    Drop,
}

/// A server and clients that end leave no task, timer, connection or descriptor behind, however they end. Descriptors are
/// those of the process: nothing else may go on in it.
pub fn nothing_left<P: Platform>() {
    run::<P, _>(|runtime| async move {
        // What the runtime and the system's libraries open once.
        live_and_end::<P>(&runtime, End::Shutdown).await;
        let before = descriptors();
        for end in [End::Shutdown, End::Drop, End::Shutdown, End::Drop] {
            live_and_end::<P>(&runtime, end).await;
            until(&runtime, || descriptors() == before).await;
        }
    });
}

async fn live_and_end<P: Platform>(runtime: &P::Runtime, end: End) {
    let (census, client_census) = <(Arc<Census>, Arc<Census>)>::default();
    let faulty = Faulty::new(runtime.clone(), &census);
    let server = Server::builder().state(faulty.clone()).build();
    let root = server.of("/");
    root.on("wait", async |State(faulty): State<Faulty<P::Runtime>>| faulty.sleep(FOREVER).await);
    root.on("ask", async |socket: Socket| _ = socket.emit_with_ack::<()>("question", ()).timeout(FOREVER).await);
    let (listener, address) = bind();
    let listener = faulty.listen(P::listen(runtime, listener).expect("a listener"));
    let (serving, abort) = abortable({
        let server = server.clone();
        async move { socketio_driver::serve(&server, faulty, listener).await }
    });
    let (sender, served) = oneshot::channel();
    runtime.spawn(async move { _ = sender.send(serving.await) });

    let client_side = Faulty::new(runtime.clone(), &client_census);
    let clients = soon(runtime, talk(&client_side, address)).await;
    let bare = soon(runtime, open(runtime, address)).await;
    until(runtime, || server.stats().handlers == 2 * clients.len()).await;
    match end {
        End::Shutdown => {
            soon(runtime, server.shutdown(Duration::from_millis(300))).await;
            let served = soon(runtime, served).await.expect("it is not dropped");
            served.expect("it is not aborted").expect("the listener is sound");
        }
        End::Drop => abort.abort(),
    }
    until(runtime, || (census.take(), server.stats()) == Default::default()).await;
    for client in &clients {
        client.close().await;
    }
    drop((clients, bare));
    until(runtime, || client_census.take() == Default::default()).await;
}

/// Clients of every kind, each with a handler that waits and one that asks them in vain.
async fn talk(runtime: &impl Runtime, address: SocketAddr) -> Vec<Client> {
    let mut clients = Vec::new();
    for transports in [&[Transport::WebSocket][..], &[Transport::Polling], &[Transport::Polling, Transport::WebSocket]]
    {
        for _ in 0..4 {
            let builder = ClientBuilder::new(runtime.clone(), &format!("http://{address}"));
            let client = builder.transports(transports).on("question", async || {}).connect().await.expect("a server");
            client.emit("wait", ()).expect("it is connected");
            client.emit("ask", ()).expect("it is connected");
            clients.push(client);
        }
    }
    clients
}

/// Connections that say nothing, half a request, and a whole one that nobody comes back for.
async fn open<R: Runtime>(runtime: &R, address: SocketAddr) -> Vec<R::Stream> {
    let mut streams = Vec::new();
    for text in ["", "POST /socket.io/?EIO=4", "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"] {
        for _ in 0..4 {
            let mut stream = runtime.connect(address).await.expect("a connection");
            if !text.is_empty() {
                let slices = [IoSlice::new(text.as_bytes())];
                poll_fn(|cx| stream.poll_write(cx, &slices)).await.expect("it is connected");
            }
            if text.ends_with("\r\n\r\n") {
                let mut buffer = [0; 4096];
                poll_fn(|cx| stream.poll_read(cx, &mut buffer)).await.expect("an answer");
            }
            streams.push(stream);
        }
    }
    streams
}

async fn until(runtime: &impl Runtime, condition: impl Fn() -> bool) {
    soon(runtime, async {
        while !condition() {
            runtime.sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// How many descriptors the process has, where the system tells.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// A server is reached in the Unix domain: by polling, and by WebSocket.
#[cfg(unix)]
pub fn unix<P: crate::UnixPlatform>() {
    use std::io::Read;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread;

    let path = std::env::temp_dir().join(format!("socketio-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a path");
    let peer = path.clone();
    run::<P, _>(|runtime| async move {
        let server = Server::new();
        server.of("/");
        let ending = server.clone();
        let asking = thread::spawn(move || {
            let ask = |query: &str, headers: &str, end: &str| {
                let mut stream = UnixStream::connect(&peer).expect("somebody listens");
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                let request =
                    format!("GET /socket.io/?EIO=4&transport={query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
                stream.write_all(request.as_bytes()).expect("it reads");
                let mut answer = Vec::new();
                while !String::from_utf8_lossy(&answer).contains(end) {
                    let mut buffer = [0; 1024];
                    let count = stream.read(&mut buffer).expect("an answer in time");
                    assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
                    answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
                }
                String::from_utf8_lossy(&answer).into_owned()
            };
            let polled = ask("polling", "", "\"maxPayload\"");
            let key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
            let upgraded = ask("websocket", key, "\"maxPayload\"");
            (polled, upgraded)
        });
        let shutdown = runtime.clone();
        runtime.spawn(async move {
            while !asking.is_finished() {
                shutdown.sleep(Duration::from_millis(1)).await;
            }
            let (polled, upgraded) = asking.join().expect("the client is content");
            assert!(polled.starts_with("HTTP/1.1 200"), "{polled}");
            assert!(upgraded.starts_with("HTTP/1.1 101"), "{upgraded}");
            ending.shutdown(Duration::from_millis(100)).await;
        });
        let listener = P::listen_unix(listener).expect("a listener");
        soon(&runtime, socketio_driver::serve(&server, runtime.clone(), listener)).await.expect("it serves");
    });
    std::fs::remove_file(path).expect("it can be removed");
}

/// The checks of an adapter, as tests. `unix` behind the platform adds that of Unix domain sockets.
#[macro_export]
macro_rules! checks {
    ($platform:ty $(, $unix:ident)?) => {
        $crate::checks!(@ $platform; timers connections turns);
        $(#[cfg(unix)] $crate::checks!(@ $platform; $unix);)?
    };
    (@ $platform:ty; $($check:ident)*) => {
        $(#[test]
        fn $check() {
            $crate::checks::$check::<$platform>();
        })*
    };
}
