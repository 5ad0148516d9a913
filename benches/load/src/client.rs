//! A client that waits for every answer: it sets up what is measured then.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::wire::{TEXT, split_frame, split_response, write_masked, write_upgrade};

/// How long a server may stay silent before the generator gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const READ_SIZE: usize = 16 * 1024;

/// A connection to a server over which one thing happens at a time.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that were received and not used yet.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Client {
    /// Opens a TCP connection.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub fn open(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, input: Vec::new(), output: Vec::new() })
    }

    /// Opens a WebSocket, takes the handshake and joins `/`.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server answers something else.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let mut client = Self::open(server)?;
        client.upgrade("")?;
        client.wait_for("0{")?;
        client.request("40", "40{")?;
        Ok(client)
    }

    /// Makes a WebSocket of the connection; `sid` is empty for a new session.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server refuses.
    pub fn upgrade(&mut self, sid: &str) -> io::Result<()> {
        self.output.clear();
        write_upgrade(sid, &mut self.output);
        self.exchange(b"101").map(drop)
    }

    /// Sends an HTTP request that `write` writes, and gives the body of the answer.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server refuses.
    pub fn http(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<Vec<u8>> {
        self.output.clear();
        write(&mut self.output);
        self.exchange(b"200")
    }

    fn exchange(&mut self, status: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.write_all(&self.output)?;
        loop {
            if let Some(response) = split_response(&self.input) {
                if response.status != status {
                    return Err(unexpected(&self.input));
                }
                let (body, taken) = (response.body.into_owned(), response.taken);
                self.input.drain(..taken);
                return Ok(body);
            }
            self.receive()?;
        }
    }

    /// Sends a packet and waits for one that starts with `answer`; others that arrive before it are dropped.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server stays silent for ten seconds.
    pub fn request(&mut self, packet: &str, answer: &str) -> io::Result<String> {
        self.send(packet)?;
        self.wait_for(answer)
    }

    /// Sends a packet.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub fn send(&mut self, packet: &str) -> io::Result<()> {
        self.output.clear();
        write_masked(TEXT, packet.as_bytes(), &mut self.output);
        self.stream.write_all(&self.output)
    }

    /// Sends frames as they are.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub fn send_frames(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames)
    }

    /// Waits for a packet that starts with `prefix`; others that arrive before it are dropped.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server stays silent for ten seconds.
    pub fn wait_for(&mut self, prefix: &str) -> io::Result<String> {
        loop {
            while let Some((_, payload, taken)) = split_frame(&self.input) {
                let found = payload.starts_with(prefix.as_bytes()).then(|| payload.to_vec());
                let is_refused = payload.starts_with(b"44") || payload.starts_with(b"41");
                let (refused, is_ping) = (is_refused.then(|| unexpected(payload)), payload == b"2");
                self.input.drain(..taken);
                match (found, refused) {
                    (Some(payload), _) => return String::from_utf8(payload).map_err(io::Error::other),
                    (_, Some(error)) => return Err(error),
                    _ if is_ping => self.send("3")?,
                    _ => {}
                }
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_SIZE];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// The socket, and what was received and not used yet. Heartbeats over a WebSocket are answered: nobody looks at what is
    /// left before more arrives.
    ///
    /// # Errors
    ///
    /// The connection fails.
    pub fn into_parts(mut self) -> io::Result<(TcpStream, Vec<u8>)> {
        let (input, mut rest, mut at) = (core::mem::take(&mut self.input), Vec::new(), 0);
        while let Some((_, payload, taken)) = split_frame(&input[at..]) {
            match payload {
                b"2" => self.send("3")?,
                _ => rest.extend_from_slice(&input[at..at + taken]),
            }
            at += taken;
        }
        rest.extend_from_slice(&input[at..]);
        Ok((self.stream, rest))
    }
}

pub(crate) fn unexpected(bytes: &[u8]) -> io::Error {
    let shown = bytes.get(..200).unwrap_or(bytes);
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {}", String::from_utf8_lossy(shown)))
}
