//! One connection of an attacker, who may say anything and need not listen.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socketio_load::wire::{
    BINARY, TEXT, session_id, split_frame, split_response, write_get, write_masked, write_upgrade,
};

/// How long a server may take to say what it has to, on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The opcode of a close frame.
const CLOSE: u8 = 8;

/// How the server ended a WebSocket.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a close frame, which has a code or not.
    Frame(Option<u16>),
    /// Without one.
    Dropped,
}

/// A connection to the server.
pub(crate) struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Peer {
    pub(crate) fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).expect("the server accepts connections");
        stream.set_nodelay(true).expect("the socket is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        stream.set_write_timeout(Some(PATIENCE)).expect("the socket is open");
        Self { stream, input: Vec::new() }
    }

    /// A session on a WebSocket, which has joined nothing.
    pub(crate) fn session(server: SocketAddr) -> Self {
        let mut peer = Self::open(server);
        peer.upgrade("");
        peer.wait_for("0{");
        peer
    }

    /// A socket in `/` on a WebSocket, of whose end the server takes note.
    pub(crate) fn joined(server: SocketAddr) -> Self {
        let mut peer = Self::session(server);
        peer.send(&text("40"));
        peer.wait_for("42[\"auth\"");
        peer.send(&text("420[\"note-disconnect\"]"));
        peer.wait_for("430");
        peer
    }

    /// A polling session whose handshake was answered: a connection, and the session's id.
    pub(crate) fn polling(server: SocketAddr) -> (Self, String) {
        let mut peer = Self::open(server);
        let sid = peer.handshake();
        (peer, sid)
    }

    /// Opens a polling session over this connection and gives its id.
    pub(crate) fn handshake(&mut self) -> String {
        let mut request = Vec::new();
        write_get("", &mut request);
        let (status, body) = self.ask(&request);
        assert_eq!(status, 200, "{body}");
        session_id(body.as_bytes()).expect("a handshake has an id").to_owned()
    }

    /// Makes a WebSocket of the connection; `sid` is empty for a new session.
    pub(crate) fn upgrade(&mut self, sid: &str) {
        let mut request = Vec::new();
        write_upgrade(sid, &mut request);
        let (status, body) = self.ask(&request);
        assert_eq!(status, 101, "{body}");
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server takes what is sent");
    }

    /// Sends what the server may not want any more; false if it takes no more of it.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends over and over until the server has not read for a moment.
    pub(crate) fn send_until_full(&mut self, bytes: &[u8]) {
        self.stream.set_write_timeout(Some(Duration::from_millis(200))).expect("the socket is open");
        while self.stream.write_all(bytes).is_ok() {}
    }

    /// Sends a request and gives status and body of the answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> (u16, String) {
        self.send(request);
        self.answer()
    }

    /// Status and body of the next answer.
    pub(crate) fn answer(&mut self) -> (u16, String) {
        loop {
            if let Some(response) = split_response(&self.input) {
                let status = str::from_utf8(response.status).ok().and_then(|status| status.parse().ok());
                let (body, taken) = (String::from_utf8_lossy(&response.body).into_owned(), response.taken);
                self.input.drain(..taken);
                return (status.expect("a status is a number"), body);
            }
            self.receive().expect("the server answers");
        }
    }

    /// Waits for a packet that starts with `prefix`, drops those before it, and answers heartbeats.
    pub(crate) fn wait_for(&mut self, prefix: &str) -> String {
        loop {
            let (opcode, payload) = self.frame().unwrap_or_else(|error| panic!("waited for {prefix}: {error}"));
            assert_ne!(opcode, CLOSE, "waited for {prefix}");
            if payload.starts_with(prefix.as_bytes()) {
                return String::from_utf8_lossy(&payload).into_owned();
            }
            if payload == b"2" {
                self.send(&text("3"));
            }
        }
    }

    /// Reads until the server has ended the WebSocket, and says how it was. Nothing is answered but the close frame.
    pub(crate) fn end(&mut self) -> End {
        self.ending(false)
    }

    /// As [`Peer::end`], and answers heartbeats meanwhile.
    pub(crate) fn end_alive(&mut self) -> End {
        self.ending(true)
    }

    fn ending(&mut self, alive: bool) -> End {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "the server does not end the WebSocket");
            match self.frame() {
                Ok((CLOSE, payload)) => {
                    let _ = self.stream.write_all(&frame(0x80 | CLOSE, &payload));
                    return End::Frame(payload.first_chunk().map(|code| u16::from_be_bytes(*code)));
                }
                Ok((_, payload)) if alive && payload == b"2" => _ = self.stream.write_all(&text("3")),
                Ok(_) => {}
                Err(error) => {
                    assert!(!is_late(&error), "the server does not end the WebSocket");
                    return End::Dropped;
                }
            }
        }
    }

    /// Waits for the end of the connection and gives what came before it.
    pub(crate) fn gone(&mut self) -> Vec<u8> {
        loop {
            if let Err(error) = self.receive() {
                assert!(!is_late(&error), "the server does not end the connection");
                return std::mem::take(&mut self.input);
            }
        }
    }

    /// Waits until there is something to read, and leaves it: the connection is reset when it is dropped.
    pub(crate) fn wait_unread(&self) {
        self.stream.peek(&mut [0]).expect("the server says something");
    }

    /// Ends both directions, for all handles of the socket.
    pub(crate) fn shut_down(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Another handle of the socket, for who reads beside.
    pub(crate) fn stream(&self) -> TcpStream {
        self.stream.try_clone().expect("the socket is open")
    }

    /// Opcode and payload of the next frame.
    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((opcode, payload, taken)) = split_frame(&self.input) {
                let payload = payload.to_vec();
                self.input.drain(..taken);
                return Ok((opcode, payload));
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

/// Whether nothing came in time.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A text message in one frame.
pub(crate) fn text(message: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked(TEXT, message.as_bytes(), &mut frame);
    frame
}

/// A binary message in one frame.
pub(crate) fn binary(message: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked(BINARY, message, &mut frame);
    frame
}

/// A frame with any first byte: FIN, reserved bits and opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_masked(TEXT, payload, &mut frame);
    frame[0] = first;
    frame
}

/// The header of a text frame that says it has so many bytes.
pub(crate) fn declared(length: u64) -> Vec<u8> {
    let mut header = vec![0x80 | TEXT, 0x80 | 127];
    header.extend_from_slice(&length.to_be_bytes());
    header.extend_from_slice(&[1, 2, 3, 4]);
    header
}
