//! A client by hand, which blocks.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

pub(crate) async fn blocking<T: Send + 'static>(client: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(client).await.unwrap()
}

pub(crate) fn read(client: &mut WebSocket<TcpStream>) -> String {
    match client.read().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("not a text: {other}"),
    }
}

/// Opens a WebSocket whose first message comes in one piece with the head of the request.
pub(crate) fn upgrade(address: SocketAddr, query: &str, first: &str) -> WebSocket<TcpStream> {
    let mut early = vec![0x81, 0x80 | u8::try_from(first.len()).unwrap(), 0, 0, 0, 0];
    early.extend(first.as_bytes());
    let stream = switch(address, &format!("/socket.io/?EIO=4&{query}"), "websocket", &early);
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

/// Switches the protocol of a connection, sending `early` bytes of the new one with the request.
pub(crate) fn switch(address: SocketAddr, path: &str, protocol: &str, early: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), early].concat()).unwrap();
    let answer = read_head(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}

/// Status and body of one request on a connection of its own.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    exchange(&mut connect(address), method, path, body)
}

/// Status and body of one request.
pub(crate) fn exchange(stream: &mut TcpStream, method: &str, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(stream);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}
