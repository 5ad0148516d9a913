use std::collections::VecDeque;
use std::net::SocketAddr;

use socketio_tokio::protocol::Input;
use socketio_tokio::protocol::websocket::{Decoder, Frame, Incoming, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http::Http;
use super::soon;

/// What came from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<u16>),
    /// The server ended the stream.
    End,
}

/// An Engine.IO client on WebSocket.
pub struct WebSocket {
    pub stream: TcpStream,
    /// The session's id.
    pub sid: String,
    decoder: Decoder,
    packets: VecDeque<Packet>,
    key: u32,
}

impl WebSocket {
    /// A session of its own.
    pub async fn open(address: SocketAddr) -> Self {
        let mut client = Self::attach(address, "").await;
        let handshake = client.text().await;
        client.sid = super::http::sid(&handshake);
        client
    }

    /// A second transport for the session `sid`.
    pub async fn attach(address: SocketAddr, sid: &str) -> Self {
        let sid = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
        let mut http = Http::open(address).await;
        let target = format!("/socket.io/?EIO=4&transport=websocket{sid}");
        http.send_request("GET", &target, UPGRADE, "").await;
        let reply = http.reply("GET").await;
        assert_eq!(reply.status, 101, "{reply:?}");
        let mut client = Self {
            stream: http.stream,
            sid: String::new(),
            decoder: Decoder::new(Role::Client, 1 << 30),
            packets: VecDeque::new(),
            key: 1,
        };
        client.decode(&mut http.buffer);
        client
    }

    /// A client that was let into a namespace.
    pub async fn joined(address: SocketAddr, namespace: &str) -> Self {
        let mut client = Self::open(address).await;
        client.join(namespace).await;
        client
    }

    /// Joins a namespace; gives the socket's id.
    pub async fn join(&mut self, namespace: &str) -> String {
        let namespace = if namespace == "/" { String::new() } else { format!("{namespace},") };
        self.send(&format!("40{namespace}")).await;
        let reply = self.text().await;
        let sid = reply.strip_prefix(&format!("40{namespace}{{\"sid\":\"")).unwrap_or_else(|| panic!("{reply}"));
        sid.trim_end_matches("\"}").to_owned()
    }

    pub async fn send(&mut self, packet: &str) {
        self.send_all(&[packet]).await;
    }

    /// Sends packets in one write.
    pub async fn send_all<T: AsRef<str>>(&mut self, packets: &[T]) {
        let frames: Vec<_> = packets.iter().map(|packet| Frame::text(packet.as_ref())).collect();
        self.write(&frames).await;
    }

    pub async fn write(&mut self, frames: &[Frame]) {
        let mut bytes = Vec::new();
        for frame in frames {
            self.key = self.key.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            frame.write_masked(self.key.to_be_bytes(), &mut bytes);
        }
        soon(self.stream.write_all(&bytes)).await.unwrap();
    }

    /// The next packet. Pings of Engine.IO are answered and not shown.
    pub async fn next(&mut self) -> Packet {
        loop {
            let packet = self.next_of_all().await;
            if packet != Packet::Text("2".into()) {
                return packet;
            }
            self.send("3").await;
        }
    }

    /// The next packet, pings included.
    pub async fn next_of_all(&mut self) -> Packet {
        let mut buffer = vec![0; 64 * 1024];
        while self.packets.is_empty() {
            match soon(self.stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => self.packets.push_back(Packet::End),
                Ok(count) => self.decode(&mut buffer[..count]),
            }
        }
        self.packets.pop_front().unwrap()
    }

    pub async fn text(&mut self) -> String {
        match self.next().await {
            Packet::Text(text) => text,
            other => panic!("{other:?} is no text"),
        }
    }

    pub async fn expect(&mut self, packets: &[&str]) {
        for packet in packets {
            assert_eq!(self.text().await, *packet);
        }
    }

    /// Reads to the end of the stream, of which nothing but a close frame is left.
    pub async fn expect_end(&mut self) {
        let mut packet = self.next().await;
        if let Packet::Close(_) = packet {
            self.write(&[Frame::close(None)]).await;
            packet = self.next().await;
        }
        assert_eq!(packet, Packet::End);
    }

    fn decode(&mut self, bytes: &mut [u8]) {
        let mut input = Input::new(bytes);
        while let Some(message) = self.decoder.next(&mut input).unwrap() {
            self.packets.push_back(match message {
                Incoming::Text(text) => Packet::Text(text.into()),
                Incoming::Binary(bytes) => Packet::Binary(bytes.as_slice().into()),
                Incoming::Close(code) => Packet::Close(code.map(|code| code.0)),
                Incoming::Ping(_) | Incoming::Pong(_) => continue,
            });
        }
    }
}

pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
