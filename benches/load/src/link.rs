//! Many sockets on one thread.

use core::time::Duration;
use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::client::Client;
use crate::wire::{TEXT, split_frame, write_masked};

const READ_SIZE: usize = 512 * 1024;

/// A socket that never waits.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// The beginning of a message.
    input: Vec<u8>,
    /// What the socket did not take yet.
    output: Vec<u8>,
}

/// Links by number, and what they share.
#[derive(Debug)]
pub(crate) struct Links {
    links: Vec<Link>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Links {
    pub(crate) fn new(clients: Vec<Client>) -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        let mut links = Self { links: Vec::new(), poll, events, buffer: vec![0; READ_SIZE] };
        clients.into_iter().try_for_each(|client| links.add(client))?;
        Ok(links)
    }

    pub(crate) fn add(&mut self, client: Client) -> io::Result<()> {
        let (stream, input) = client.into_parts()?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let (token, interest) = (Token(self.links.len()), Interest::READABLE | Interest::WRITABLE);
        self.poll.registry().register(&mut stream, token, interest)?;
        self.links.push(Link { stream, input, output: Vec::new() });
        Ok(())
    }

    pub(crate) fn link(&mut self, index: usize) -> &mut Link {
        &mut self.links[index]
    }

    /// Waits until links are ready and lets `turn` handle each; false if none was.
    pub(crate) fn wait(
        &mut self,
        patience: Duration,
        mut turn: impl FnMut(&mut [Link], usize, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.poll.poll(&mut self.events, Some(patience))?;
        for event in &self.events {
            let index = event.token().0;
            self.links[index].flush()?;
            turn(&mut self.links, index, &mut self.buffer)?;
        }
        Ok(!self.events.is_empty())
    }
}

impl Link {
    /// Takes what has arrived; `take` gives how many bytes it used of those that it is shown.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8]) -> usize) -> io::Result<()> {
        loop {
            let carried = self.input.len();
            buffer[..carried].copy_from_slice(&self.input);
            let filled = match self.stream.read(&mut buffer[carried..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => carried + count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let used = take(&buffer[..filled]);
            self.input.clear();
            self.input.extend_from_slice(&buffer[used..filled]);
            // A short read has emptied the socket.
            if filled < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Takes the frames that have arrived.
    pub(crate) fn frames(&mut self, buffer: &mut [u8], mut take: impl FnMut(u8, &[u8])) -> io::Result<()> {
        self.receive(buffer, |input| {
            let mut used = 0;
            while let Some((opcode, payload, taken)) = split_frame(&input[used..]) {
                take(opcode, payload);
                used += taken;
            }
            used
        })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.output.is_empty() {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        match self.stream.write(bytes) {
            Ok(count) => self.output.extend_from_slice(&bytes[count..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.output.extend_from_slice(bytes),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = core::mem::take(&mut self.output);
        self.send(&output)
    }
}

/// Appends the answer to a heartbeat.
pub(crate) fn write_pong(out: &mut Vec<u8>) {
    write_masked(TEXT, b"3", out);
}
