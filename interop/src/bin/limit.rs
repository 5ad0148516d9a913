//! The floor that the cost of an echo is measured against: an epoll server that answers what the load generator sends and
//! nothing else, by one receive and one send per socket and wake-up, without JSON, checks or limits.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
const READ_SIZE: usize = 64 * 1024;
/// Fits the one `Sec-WebSocket-Key` that the generator sends, the example of RFC 6455.
const SWITCHING: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &[u8] = br#"0{"sid":"limit","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &[u8] = br#"40{"sid":"limit"}"#;

struct Connection {
    stream: TcpStream,
    upgraded: bool,
    /// The received beginning of a frame.
    input: Vec<u8>,
    /// What the socket did not take yet.
    output: Vec<u8>,
}

fn main() -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    println!("listening on {}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = HashMap::new();
    let mut buffer = vec![0; READ_SIZE];
    let mut next = 0;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(next), interest)?;
                    let (input, output) = (Vec::new(), Vec::new());
                    connections.insert(next, Connection { stream, upgraded: false, input, output });
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&event.token().0)
                && connection.turn(&mut buffer).is_err()
            {
                connections.remove(&event.token().0);
            }
        }
    }
}

impl Connection {
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            let carried = self.input.len();
            buffer[..carried].copy_from_slice(&self.input);
            let count = match self.stream.read(&mut buffer[carried..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let received = &mut buffer[..carried + count];
            let used = if self.upgraded { echo(received, &mut self.output) } else { self.upgrade(received) };
            self.input.clear();
            self.input.extend_from_slice(&received[used..]);
            // A short read has emptied the socket.
            if carried + count < buffer.len() {
                break;
            }
        }
        self.flush()
    }

    fn upgrade(&mut self, received: &[u8]) -> usize {
        if !received.ends_with(b"\r\n\r\n") {
            return 0;
        }
        self.upgraded = true;
        self.output.extend_from_slice(SWITCHING);
        write_text(OPEN, &mut self.output);
        received.len()
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) if count == self.output.len() => self.output.clear(),
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Answers every whole frame; gives the number of bytes that they took.
fn echo(received: &mut [u8], output: &mut Vec<u8>) -> usize {
    let mut used = 0;
    while let Some((start, length)) = header(&received[used..])
        && let Some(frame) = received.get_mut(used + start..used + start + 4 + length)
    {
        let (mask, payload) = frame.split_at_mut(4);
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
        match &*payload {
            b"40" => write_text(CONNECTED, output),
            [b'4', b'2', ..] => write_text(payload, output),
            _ => {}
        }
        used += start + 4 + length;
    }
    used
}

/// Where the masking key of a frame starts, and the length of its payload.
fn header(frame: &[u8]) -> Option<(usize, usize)> {
    match *frame.get(1)? & 0x7f {
        126 => Some((4, usize::from(u16::from_be_bytes([*frame.get(2)?, *frame.get(3)?])))),
        length => Some((2, usize::from(length))),
    }
}

fn write_text(payload: &[u8], output: &mut Vec<u8>) {
    match u8::try_from(payload.len()) {
        Ok(length @ ..126) => output.extend_from_slice(&[0x81, length]),
        _ => {
            output.extend_from_slice(&[0x81, 126]);
            output.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
    }
    output.extend_from_slice(payload);
}
