//! A lean load generator: Socket.IO over WebSocket by hand, just enough to keep a server busy and to check its echoes.

use core::fmt::Write as _;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

use mio::{Events, Interest, Poll, Token};

/// How long a server may stay silent before the generator gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Not zero, so that a server that forgets to unmask is found out.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const READ_SIZE: usize = 16 * 1024;

/// A client that has joined the namespace `/` over a WebSocket.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that were received and not used yet.
    input: Vec<u8>,
}

impl Client {
    /// Opens a WebSocket, takes the handshake and joins `/`.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server answers something else.
    pub fn connect(server: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { stream, input: Vec::new() };
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        client.stream.write_all(request.as_bytes())?;
        client.skip_response_head()?;
        client.wait_for("0{")?;
        client.request("40", "40{")?;
        // Nothing is asked of most clients after this: they should not hold memory of the test either.
        client.input = Vec::new();
        Ok(client)
    }

    /// Sends a packet and waits for one that starts with `answer`; others that arrive before it are dropped.
    ///
    /// # Errors
    ///
    /// The connection fails, or the server stays silent for ten seconds.
    pub fn request(&mut self, packet: &str, answer: &str) -> io::Result<String> {
        let mut frame = Vec::new();
        write_masked(packet.as_bytes(), &mut frame);
        self.stream.write_all(&frame)?;
        self.wait_for(answer)
    }

    fn wait_for(&mut self, prefix: &str) -> io::Result<String> {
        loop {
            while let Some((payload, taken)) = split_frame(&self.input) {
                let found = payload.starts_with(prefix.as_bytes()).then(|| payload.to_vec());
                self.input.drain(..taken);
                if let Some(payload) = found {
                    return String::from_utf8(payload).map_err(io::Error::other);
                }
            }
            self.receive()?;
        }
    }

    fn skip_response_head(&mut self) -> io::Result<()> {
        loop {
            if let Some(end) = self.input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                if !self.input.starts_with(b"HTTP/1.1 101 ") {
                    return Err(unexpected(&self.input));
                }
                self.input.drain(..end + 4);
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Reads once; says whether more may be waiting.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; READ_SIZE];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(count == READ_SIZE)
            }
        }
    }
}

/// Lets every client send `count` events named `event` with one string of 32 characters each, `in_flight` of them at a
/// time, and checks that every one comes back unchanged and in order.
///
/// # Errors
///
/// A connection fails, an echo is wrong, or the server stays silent for ten seconds.
pub fn echo(clients: &mut [Client], event: &str, in_flight: u32, count: u32) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut runs = Vec::with_capacity(clients.len());
    for (index, client) in clients.iter_mut().enumerate() {
        client.stream.set_nonblocking(true)?;
        let mut source = mio::net::TcpStream::from_std(client.stream.try_clone()?);
        poll.registry().register(&mut source, Token(index), Interest::READABLE)?;
        runs.push((source, Run::new(client, event, count)));
    }
    for (_, run) in &mut runs {
        run.send(in_flight)?;
    }
    let mut events = Events::with_capacity(1024);
    let mut open = runs.len();
    while open > 0 {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for ready in &events {
            let (_, run) = &mut runs[ready.token().0];
            let was_open = !run.is_complete();
            run.turn()?;
            open -= usize::from(was_open && run.is_complete());
        }
    }
    drop(runs);
    clients.iter().try_for_each(|client| client.stream.set_nonblocking(false))
}

/// One client's part of [`echo`].
struct Run<'a> {
    client: &'a mut Client,
    event: &'a str,
    count: u32,
    sent: u32,
    received: u32,
    packet: String,
    output: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(client: &'a mut Client, event: &'a str, count: u32) -> Self {
        Self { client, event, count, sent: 0, received: 0, packet: String::new(), output: Vec::new() }
    }

    fn is_complete(&self) -> bool {
        self.received == self.count
    }

    fn send(&mut self, events: u32) -> io::Result<()> {
        self.output.clear();
        for _ in 0..events.min(self.count - self.sent) {
            write_event(self.event, self.sent, &mut self.packet);
            write_masked(self.packet.as_bytes(), &mut self.output);
            self.sent += 1;
        }
        // What is in flight is far below any socket's buffer, so that a write that would block is a fault.
        self.client.stream.write_all(&self.output)
    }

    /// Takes every echo that has arrived and sends as many new events by one write.
    fn turn(&mut self) -> io::Result<()> {
        loop {
            match self.client.receive() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let (mut at, mut echoes) = (0, 0);
        while let Some((payload, taken)) = split_frame(&self.client.input[at..]) {
            at += taken;
            write_event(self.event, self.received, &mut self.packet);
            if payload == self.packet.as_bytes() {
                self.received += 1;
                echoes += 1;
            } else if payload == b"2" {
                let mut pong = Vec::new();
                write_masked(b"3", &mut pong);
                self.client.stream.write_all(&pong)?;
            } else if !payload.starts_with(b"42[\"auth\"") {
                return Err(unexpected(payload));
            }
        }
        self.client.input.drain(..at);
        if echoes > 0 { self.send(echoes) } else { Ok(()) }
    }
}

fn write_event(event: &str, number: u32, packet: &mut String) {
    packet.clear();
    write!(packet, "42[\"{event}\",\"{number:032}\"]").expect("writing to a string does not fail");
}

/// Appends a masked text frame of less than 64 KiB.
fn write_masked(payload: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => out.extend_from_slice(&[0x81, 0x80 | length]),
        _ => {
            let length = u16::try_from(payload.len()).expect("the generator sends short packets only");
            out.extend_from_slice(&[0x81, 0x80 | 126]);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// The payload of the first frame of `input`, and the bytes that the frame takes; `None` until it is whole.
fn split_frame(input: &[u8]) -> Option<(&[u8], usize)> {
    let (start, length) = match *input.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*input.get(2)?, *input.get(3)?]))),
        length => (2, usize::from(length)),
    };
    let payload = input.get(start..start + length)?;
    Some((payload, start + length))
}

fn unexpected(bytes: &[u8]) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {}", String::from_utf8_lossy(bytes)))
}
