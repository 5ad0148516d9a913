//! A server and a client on the executors that an application may have.

use std::future::Future;
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::{Either, select};
use smol::net::TcpListener;
use smol::{Executor, LocalExecutor, Timer};
use socketio_smol::{Ack, HandlerError, Server, Smol, Socket, Stats};

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The thread that a handler runs on, asked by a client, which is asked back meanwhile.
async fn ask(smol: Smol) -> String {
    let server = Server::new();
    server.of("/").on("thread", async |socket: Socket, ack: Ack| -> Result<(), HandlerError> {
        let asked: u32 = socket.emit_with_ack("how many", ()).await?;
        Ok(ack.send((asked, thread::current().name().unwrap_or_default()))?)
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let talk = async {
        let client = smol.client(&url).on("how many", async |ack: Ack| ack.send(1)).connect().await.unwrap();
        let (asked, name): (u32, String) = client.emit_with_ack("thread", ()).await.unwrap();
        assert_eq!(asked, 1);
        client.close().await;
        server.shutdown(Duration::from_millis(500)).await;
        name
    };
    let served = Box::pin(async { futures_util::future::join(talk, smol.serve(&server, listener)).await });
    let Either::Left(((name, served), _)) = select(served, Timer::after(PATIENCE)).await else {
        panic!("it did not end in time");
    };
    served.unwrap();
    assert_eq!(server.stats(), Stats::default());
    name
}

/// Runs `test` on a thread with a name.
fn on_thread<T: Send + 'static>(name: &str, test: impl FnOnce() -> T + Send + 'static) -> T {
    thread::Builder::new().name(name.into()).spawn(test).unwrap().join().unwrap()
}

/// Waits until no task is left.
async fn finish(is_empty: impl Fn() -> bool) {
    let finished = Box::pin(async {
        while !is_empty() {
            smol::future::yield_now().await;
        }
    });
    assert!(matches!(select(finished, Timer::after(PATIENCE)).await, Either::Left(_)), "tasks are left");
}

#[test]
fn tasks_run_on_an_executor_of_the_application() {
    let name = on_thread("shared", || {
        let executor = Arc::new(Executor::new());
        let name = smol::block_on(executor.run(ask(Smol::on(&executor))));
        smol::block_on(executor.run(finish(|| executor.is_empty())));
        name
    });
    assert_eq!(name, "shared");
}

#[test]
fn tasks_run_on_a_static_executor() {
    static EXECUTOR: Executor<'_> = Executor::new();
    assert_eq!(on_thread("static", || smol::block_on(EXECUTOR.run(ask(Smol::on_static(&EXECUTOR))))), "static");
}

#[test]
fn tasks_run_on_a_local_executor() {
    let name = on_thread("local", || {
        let executor = Rc::new(LocalExecutor::new());
        let name = smol::block_on(executor.run(ask(Smol::on_local(&executor))));
        // The task that hands others over is left as long as there is a `Smol`.
        smol::block_on(executor.run(finish(|| executor.is_empty())));
        name
    });
    assert_eq!(name, "local");
}

/// A connection to a server that was polled once, which has spawned a task for it, and so many turns of the others later.
async fn accepted(smol: &Smol, turns: usize) -> (TcpStream, impl Future<Output = ()> + use<>) {
    let server = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let smol = smol.clone();
    let mut serving = Box::pin(async move { smol.serve(&server, listener).await.unwrap() });
    assert!(smol::future::poll_once(serving.as_mut()).await.is_none());
    for _ in 0..turns {
        smol::future::yield_now().await;
    }
    (peer, serving)
}

#[test]
fn tasks_that_are_left_end_with_their_executor() {
    for turns in [0, 20] {
        let executor = Arc::new(Executor::new());
        let smol = Smol::on(&executor);
        let mut peer = smol::block_on(executor.run(async {
            let (peer, serving) = accepted(&smol, turns).await;
            executor.spawn(serving).detach();
            peer
        }));
        drop(executor);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the connection is left");

        let executor = Rc::new(LocalExecutor::new());
        let smol = Smol::on_local(&executor);
        let mut peer = smol::block_on(executor.run(async {
            let (peer, serving) = accepted(&smol, turns).await;
            executor.spawn(serving).detach();
            peer
        }));
        drop(executor);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0, "the connection is left");
    }
}

#[test]
fn tasks_run_on_the_global_executor_by_default() {
    let name = smol::block_on(ask(Smol::default()));
    assert!(name.starts_with("smol-"), "{name}");
}
