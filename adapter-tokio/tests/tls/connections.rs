use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use socketio_tokio::Server;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use crate::by_hand::{Identity, POLLING, config, connect, exchange, start};
use crate::client::{self, blocking};
use crate::support::until;

#[tokio::test]
async fn clients_without_tls_lose_their_connection_and_nobody_else_does() {
    let identity = Identity::new();
    let host = start(Server::new(), &identity.server()).await;
    let (address, config) = (host.address, Arc::new(config(&[&identity])));
    blocking(move || {
        let mut good = connect(address, &config).unwrap();
        let http = format!("GET {POLLING} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes();
        for garbage in [http, vec![0; 100_000], vec![0xff; 10], b"\x16\x03\x01\x00\x04\x01\x00\x00\x00".to_vec()] {
            let mut client = client::connect(address);
            // It may be closed before it has all.
            let _ = client.write_all(&garbage);
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
            assert_eq!(exchange(&mut good, "GET", POLLING, "").0, 200);
        }
        // One that goes in the middle of its handshake.
        drop(half(address));
    })
    .await;
    host.server.shutdown(Duration::ZERO).await;
    host.empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let identity = Identity::new();
    let host = start(Server::new(), &identity.server()).await;
    let mut client = tokio::net::TcpStream::connect(host.address).await.unwrap();
    let begun = Instant::now();
    // Time goes on when nobody has anything to do.
    let read = timeout(Duration::from_secs(60), client.read(&mut [0; 9])).await;
    assert_eq!(read.expect("it is given up").unwrap_or(0), 0);
    let time = begun.elapsed();
    assert!(time >= Duration::from_secs(30) && time < Duration::from_secs(31), "{time:?}");
    assert_eq!(host.server.stats().connections, 0);
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection_and_holds_up_no_end() {
    let identity = Identity::new();
    let host = start(Server::new(), &identity.server()).await;
    let address = host.address;
    let clients = blocking(move || [half(address), half(address)]).await;
    until(|| host.server.stats().connections == 2).await;
    let begun = Instant::now();
    host.server.shutdown(Duration::from_secs(60)).await;
    host.serving.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    for mut client in clients {
        assert_eq!(blocking(move || client.read(&mut [0; 9]).unwrap_or(0)).await, 0);
    }
}

/// A connection with half of a first message.
fn half(address: SocketAddr) -> TcpStream {
    let mut client = client::connect(address);
    client.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    client
}
