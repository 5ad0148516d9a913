//! What a process has after the runtime of the example is gone: alone in its process, since descriptors are counted.

#![cfg(target_os = "linux")]

/// The runtime.
#[path = "../examples/own-runtime/runtime.rs"]
pub mod runtime;

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_channel::oneshot;
use mio::net::TcpListener;
use socketio_driver::{ClientBuilder, Runtime, Server, Transport, serve};

use runtime::{OwnRuntime, Socket};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Ends while the server serves, clients are connected, another one looks for a server, and somebody sleeps. Gives the
/// waker of one of the tasks.
async fn busy(runtime: &OwnRuntime) -> Waker {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Socket::new(runtime, TcpListener::bind(address).unwrap()).unwrap();
    let url = format!("http://{}", listener.source.local_addr().unwrap());
    let (server, on) = (Server::new(), runtime.clone());
    server.of("/");
    runtime.spawn(async move { serve(&server, on, listener).await.unwrap() });
    runtime.spawn(runtime.sleep(Duration::MAX));
    for transport in [Transport::Polling, Transport::WebSocket] {
        let client = ClientBuilder::new(runtime.clone(), &url).transports(&[transport]).connect();
        // It stays connected.
        std::mem::forget(client.await.unwrap());
    }
    let (sender, waker) = oneshot::channel();
    let mut sender = Some(sender);
    runtime.spawn(poll_fn(move |cx| {
        let _ = sender.take().map(|sender| sender.send(cx.waker().clone()));
        Poll::Pending
    }));
    let waker = waker.await.unwrap();
    let _searching = ClientBuilder::new(runtime.clone(), "http://127.0.0.1:1").start().unwrap();
    waker
}

#[test]
fn a_runtime_that_ended_leaves_no_task_and_no_descriptor() {
    let before = descriptors();
    for _ in 0..3 {
        let runtime = OwnRuntime::new().unwrap();
        let waker = runtime.block_on(busy(&runtime));
        // A task, stream or timer that is left would hold the runtime's own.
        drop(runtime);
        assert_eq!(descriptors(), before);
        waker.wake();
    }
}
