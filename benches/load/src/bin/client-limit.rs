//! The floor that the cost of a client is measured against: it counts frames and sends finished ones, by one receive and
//! one send per wake-up, without JSON, checks or masking. It reads and writes the same lines as our `measured` client.

use core::net::SocketAddr;
use std::io::{self, Read, Write};

use clap::{Parser, ValueEnum};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socketio_load::client::Client;
use socketio_load::wire::{Header, TEXT, write_masked};

const READ_SIZE: usize = 256 * 1024;
/// How many broadcasts come between two lines that tell whoever sends them.
const STEP: u64 = 1024;

#[derive(Parser)]
struct Options {
    #[arg(long)]
    url: String,
    #[arg(long, value_enum)]
    scenario: Scenario,
    #[arg(long, default_value_t = 16)]
    in_flight: u64,
    #[arg(long, default_value_t = 32)]
    size: usize,
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Echo,
    Broadcast,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut load = Load::connect(&options)?;
    println!("ready");
    for line in io::stdin().lines() {
        let count = line?.trim().parse().map_err(io::Error::other)?;
        load.run(&options, count)?;
        println!("done");
    }
    Ok(())
}

struct Load {
    stream: TcpStream,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    /// Bytes in the buffer that are no whole frame yet.
    carried: usize,
    /// As many echoes as are in flight, and the bytes of one.
    frames: Vec<u8>,
    frame: usize,
    /// Bytes of the packet that comes.
    length: usize,
}

impl Load {
    fn connect(options: &Options) -> io::Result<Self> {
        let server: SocketAddr = options.url.trim_start_matches("http://").parse().map_err(io::Error::other)?;
        let mut client = Client::connect(server)?;
        let name = if options.scenario == Scenario::Echo { "echo" } else { "broadcast" };
        if options.scenario == Scenario::Broadcast {
            client.request("420[\"join\",\"room1\"]", "430[")?;
        }
        let (stream, _) = client.into_parts()?;
        stream.set_nonblocking(true)?;
        let (mut stream, poll) = (TcpStream::from_std(stream), Poll::new()?);
        poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
        let packet = format!("42[\"{name}\",\"{}\"]", "x".repeat(options.size));
        let mut frames = Vec::new();
        (0..options.in_flight).for_each(|_| write_masked(TEXT, packet.as_bytes(), &mut frames));
        let frame = frames.len() / options.in_flight as usize;
        let (events, buffer) = (Events::with_capacity(16), vec![0; READ_SIZE]);
        Ok(Self { stream, poll, events, buffer, carried: 0, frames, frame, length: packet.len() })
    }

    fn run(&mut self, options: &Options, count: u64) -> io::Result<()> {
        println!("started");
        let is_echo = options.scenario == Scenario::Echo;
        let mut unsent = if is_echo { count } else { 0 };
        let (mut received, mut free) = (0, options.in_flight);
        while received < count {
            let sent = free.min(unsent);
            if sent > 0 {
                self.stream.write_all(&self.frames[..sent as usize * self.frame])?;
                unsent -= sent;
            }
            free = self.receive()?;
            let before = received;
            received += free;
            if !is_echo {
                (before / STEP..received / STEP).for_each(|_| println!("received"));
            }
        }
        Ok(())
    }

    /// Waits for frames and counts them.
    fn receive(&mut self) -> io::Result<u64> {
        self.poll.poll(&mut self.events, None)?;
        let mut count = 0;
        loop {
            let filled = match self.stream.read(&mut self.buffer[self.carried..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.carried + read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) => return Err(error),
            };
            let mut used = 0;
            while let Some(header) = Header::read(&self.buffer[used..filled]) {
                let end = used + header.start + header.length;
                if header.length != self.length {
                    return Err(io::Error::other("another packet has come"));
                }
                if end > filled {
                    break;
                }
                count += 1;
                used = end;
            }
            self.buffer.copy_within(used..filled, 0);
            self.carried = filled - used;
            // A short read has emptied the socket.
            if filled < READ_SIZE {
                return Ok(count);
            }
        }
    }
}
