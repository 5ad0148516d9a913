//! A server on a port of its own, and clients that speak its protocols by hand.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

mod http;
mod websocket;

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socketio_tokio::{Server, Stats, serve_listener};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use http::{Http, Polling};
pub use websocket::{Packet, UPGRADE, WebSocket};

/// How long to wait for what has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what has to come.
pub async fn soon<T>(future: impl IntoFuture<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it did not come in time")
}

/// Waits until `condition` holds.
pub async fn until(condition: impl Fn() -> bool) {
    soon(async {
        while !condition() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// A server that is being served.
pub struct Host {
    pub server: Server,
    pub address: SocketAddr,
    pub serving: JoinHandle<io::Result<()>>,
}

impl Host {
    pub async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let server = server.clone();
            async move { serve_listener(&server, listener).await }
        });
        Self { server, address, serving }
    }

    /// A client in `/`.
    pub async fn client(&self) -> WebSocket {
        WebSocket::joined(self.address, "/").await
    }

    /// Waits until the server holds nothing: no session, connection, socket, room or handler.
    pub async fn empty(&self) {
        let wait = timeout(PATIENCE, async {
            while self.server.stats() != Stats::default() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(wait.await.is_ok(), "left behind: {:?}", self.server.stats());
    }
}

/// What handlers tell a test.
#[derive(Clone)]
pub struct Notes(mpsc::UnboundedSender<String>);

pub struct Noted(mpsc::UnboundedReceiver<String>);

pub fn notes() -> (Notes, Noted) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Notes(sender), Noted(receiver))
}

impl Notes {
    pub fn say(&self, note: impl ToString) {
        // A handler may outlive the test.
        let _ = self.0.send(note.to_string());
    }
}

impl Noted {
    pub async fn next(&mut self) -> String {
        soon(self.0.recv()).await.unwrap()
    }

    pub async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.next().await, *expected);
        }
    }

    /// Nothing was said that was not looked at.
    pub fn nothing(&mut self) {
        assert_eq!(self.0.try_recv().ok(), None);
    }
}

/// Handlers wait here until the test lets them go on, one by one.
#[derive(Clone)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    pub async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    pub fn open(&self, count: usize) {
        self.0.add_permits(count);
    }
}

/// Says something when it is dropped.
pub struct OnDrop(pub Notes, pub &'static str);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.say(self.1);
    }
}
