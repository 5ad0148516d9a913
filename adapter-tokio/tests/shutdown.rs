//! The end of a server that serves itself, against clients that do not go by themselves.

mod client;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socketio_tokio::{Server, serve_listener};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use client::{blocking, connect, exchange, request};

/// Less than any limit of the server on how long a request may take.
const LONG: Duration = Duration::from_secs(10);
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

#[tokio::test]
async fn serving_ends_when_the_goodbyes_are_said() {
    let (server, address, serving) = start().await;
    let opened = blocking(move || request(address, "GET", POLLING, "")).await;
    assert_eq!(opened.0, 200);
    assert_eq!(server.stats().sessions, 1);
    // No request comes to take the goodbye, so the session lasts until the deadline.
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(Duration::from_millis(100)).await }
    });
    serving.await.unwrap().unwrap();
    assert_eq!(server.stats(), Server::new().stats());
    ending.await.unwrap();
}

#[tokio::test]
async fn a_client_between_two_polls_gets_its_goodbye_by_the_next() {
    let (server, address, serving) = start().await;
    let (first, second) = blocking(move || (open(address), open(address))).await;
    let ending = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown(LONG).await }
    });
    let begun = Instant::now();
    // On its one thread, the runtime begins the shutdown now.
    tokio::task::yield_now().await;
    blocking(move || {
        let ((mut kept, first), (_, second)) = (first, second);
        assert_eq!(exchange(&mut kept, "GET", &first, ""), (200, "1".into()));
        assert_eq!(request(address, "GET", POLLING, "").0, 400);
        assert_eq!(request(address, "GET", &second, ""), (200, "1".into()));
    })
    .await;
    serving.await.unwrap().unwrap();
    ending.await.unwrap();
    assert!(begun.elapsed() < LONG);
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_up_the_end() {
    let (server, address, _serving) = start().await;
    let head = "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n";
    let mut half = TcpStream::connect(address).unwrap();
    half.write_all(head.as_bytes()).unwrap();
    while server.stats().connections == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    server.shutdown(Duration::from_millis(100)).await;
    assert!(begun.elapsed() < LONG);
    assert_eq!(server.stats(), Server::new().stats());
}

/// Opens a session: the connection, and the path of its polls.
fn open(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = connect(address);
    let (_, open) = exchange(&mut stream, "GET", POLLING, "");
    let sid = open.split('"').nth(3).unwrap();
    (stream, format!("{POLLING}&sid={sid}"))
}

async fn start() -> (Server, SocketAddr, JoinHandle<std::io::Result<()>>) {
    let server = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { serve_listener(&server, listener).await }
    });
    (server, address, serving)
}
