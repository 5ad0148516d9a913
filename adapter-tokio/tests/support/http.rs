use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::soon;

/// An HTTP connection.
pub struct Http {
    pub stream: TcpStream,
    /// What was read and not used.
    pub buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Reply {
    /// The value of a header, in lower case where it has letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Http {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &str) {
        soon(self.stream.write_all(bytes.as_bytes())).await.unwrap();
    }

    /// Sends a request; `headers` are whole lines.
    pub async fn send_request(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        self.send(&format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}")).await;
    }

    /// Reads the answer to a request.
    pub async fn reply(&mut self, method: &str) -> Reply {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.read().await, "the server ended the connection without an answer");
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if method != "HEAD" && status != 101 {
            while self.buffer.len() < length {
                assert!(self.read().await, "the server ended the connection in the middle of an answer");
            }
            reply.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        }
        reply
    }

    pub async fn request(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        self.send_request(method, target, headers, body).await;
        self.reply(method).await
    }

    /// Waits until the server ends the connection; gives what came before.
    pub async fn end(&mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn read(&mut self) -> bool {
        let mut bytes = [0; 16 * 1024];
        let count = soon(self.stream.read(&mut bytes)).await.unwrap_or(0);
        self.buffer.extend_from_slice(&bytes[..count]);
        count > 0
    }
}

/// An Engine.IO client on polling: one connection for its polls and one for its POSTs.
pub struct Polling {
    pub sid: String,
    pub target: String,
    pub polls: Http,
    pub posts: Http,
}

impl Polling {
    pub async fn open(address: SocketAddr) -> Self {
        let (mut polls, posts) = (Http::open(address).await, Http::open(address).await);
        let reply = polls.request("GET", "/socket.io/?EIO=4&transport=polling", "", "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let sid = sid(&reply.body);
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        Self { sid, target, polls, posts }
    }

    /// A client that was let into `/`.
    pub async fn joined(address: SocketAddr) -> Self {
        let mut client = Self::open(address).await;
        assert_eq!(client.post("40").await.body, "ok");
        let reply = client.poll().await;
        assert!(reply.starts_with("40{"), "{reply}");
        client
    }

    pub async fn poll(&mut self) -> String {
        let reply = self.polls.request("GET", &self.target, "", "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    }

    /// Sends a poll without waiting for its answer.
    pub async fn send_poll(&mut self) {
        self.polls.send_request("GET", &self.target, "", "").await;
    }

    pub async fn post(&mut self, body: &str) -> Reply {
        self.posts.request("POST", &self.target, "", body).await
    }
}

/// The session's id in a handshake.
pub fn sid(handshake: &str) -> String {
    let rest = handshake.strip_prefix("0{\"sid\":\"").unwrap_or_else(|| panic!("{handshake}"));
    rest.split('"').next().unwrap().to_owned()
}
