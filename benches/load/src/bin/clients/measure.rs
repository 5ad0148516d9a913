//! One measurement of one client.

use core::net::SocketAddr;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde::Serialize;
use socketio_load::client;
use socketio_load::process::{CpuTime, Process};
use socketio_load::wire::{TEXT, write_masked};

use crate::programs::{Client, Server};

/// Broadcasts between two lines in which a client says that it has received so many more.
const STEP: u64 = 1024;
/// Broadcasts that are under way at most. Enough that a client never waits for its own line to be read.
const WINDOW: u64 = 4 * STEP;
/// How long a client may say nothing before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);
/// Messages of the first run.
const FIRST: u64 = 1000;

/// What a client does.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Echoes that the client keeps under way.
    pub(crate) in_flight: u64,
    /// Characters of the argument.
    pub(crate) size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It emits events that come back.
    Echo,
    /// It receives what another connection has the server broadcast, as fast as it can.
    Broadcast,
}

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) span: Duration,
    pub(crate) warm_up: Duration,
}

/// What one measurement gave. A message is an echo there and back, or a broadcast that was received.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sample {
    /// The client's CPU time per message, in nanoseconds.
    pub(crate) cpu_ns: f64,
    pub(crate) per_second: f64,
    /// The part of the time in which the client was running: near 1, it is the client that limits the rate.
    pub(crate) busy: f64,
    /// The part of the time in which its main thread could have run, but others had the processor.
    pub(crate) waited: f64,
    pub(crate) messages: u64,
}

pub(crate) fn measure(server: &Server, client: &Client, scenario: Scenario, settings: Settings) -> io::Result<Sample> {
    let server = Process::start(server.command())?;
    let mut program = Program::start(client, server.address(), scenario)?;
    let mut sender = match scenario.kind {
        Kind::Echo => None,
        Kind::Broadcast => Some(Sender::connect(server.address(), scenario.size)?),
    };
    let mut count = FIRST;
    let mut took = program.run(count, sender.as_mut())?;
    while took < settings.warm_up {
        count *= 2;
        took = program.run(count, sender.as_mut())?;
    }
    let count = (count as f64 * settings.span.as_secs_f64() / took.as_secs_f64()).ceil();
    let (before, waited) = (program.cpu_time()?, program.waited()?);
    let elapsed = program.run(count as u64, sender.as_mut())?;
    let (used, waited) = (program.cpu_time()?.since(&before), program.waited()? - waited);
    Ok(Sample {
        cpu_ns: used.as_secs_f64() * 1e9 / count,
        per_second: count / elapsed.as_secs_f64(),
        busy: used.as_secs_f64() / elapsed.as_secs_f64(),
        waited: waited.as_secs_f64() / elapsed.as_secs_f64(),
        messages: count as u64,
    })
}

/// A client that runs; killed in the end.
struct Program {
    child: Child,
    input: ChildStdin,
    /// What it says.
    lines: Receiver<String>,
}

impl Program {
    /// Starts it and waits until it is connected.
    fn start(client: &Client, server: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        let kind = if scenario.kind == Kind::Echo { "echo" } else { "broadcast" };
        let mut command = client.command();
        command.args(["--url", &format!("http://{server}"), "--scenario", kind]);
        command.args(["--in-flight", &scenario.in_flight.to_string(), "--size", &scenario.size.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).ok_or(io::ErrorKind::BrokenPipe)?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut program = Self { child, input, lines };
        program.expect("ready")?;
        Ok(program)
    }

    /// Has it do so many messages; gives how long that took.
    fn run(&mut self, count: u64, mut sender: Option<&mut Sender>) -> io::Result<Duration> {
        let start = Instant::now();
        writeln!(self.input, "{count}")?;
        // What comes before it counts would be missed.
        self.expect("started")?;
        let (mut sent, mut received) = (0, 0);
        loop {
            if let Some(sender) = &mut sender {
                let more = count.min(received + WINDOW) - sent;
                sender.send(more)?;
                sent += more;
            }
            match &*self.line()? {
                "received" => received += STEP,
                "done" => return Ok(start.elapsed()),
                line => return Err(unexpected(line)),
            }
        }
    }

    fn expect(&mut self, line: &str) -> io::Result<()> {
        match self.line()? {
            said if said == line => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        self.lines.recv_timeout(PATIENCE).or_else(|error| match error {
            RecvTimeoutError::Timeout => Err(io::ErrorKind::TimedOut.into()),
            RecvTimeoutError::Disconnected => {
                Err(io::Error::other(format!("the client ended: {}", self.child.wait()?)))
            }
        })
    }

    fn cpu_time(&self) -> io::Result<CpuTime> {
        CpuTime::of(self.child.id())
    }

    /// How long its main thread has waited for a processor until now.
    fn waited(&self) -> io::Result<Duration> {
        let times = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id()))?;
        let waited = times.split_whitespace().nth(1).and_then(|time| time.parse().ok());
        waited.map(Duration::from_nanos).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unexpected(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("unexpected: {line}"))
}

/// Has the server broadcast.
struct Sender {
    client: client::Client,
    /// As many events as may be under way, and the bytes of one.
    frames: Vec<u8>,
    frame: usize,
}

impl Sender {
    fn connect(server: SocketAddr, size: usize) -> io::Result<Self> {
        let (packet, mut frames) = (format!("42[\"broadcast\",\"{}\"]", "x".repeat(size)), Vec::new());
        (0..WINDOW).for_each(|_| write_masked(TEXT, packet.as_bytes(), &mut frames));
        let frame = frames.len() / WINDOW as usize;
        Ok(Self { client: client::Client::connect(server)?, frames, frame })
    }

    /// `count` is no more than [`WINDOW`].
    fn send(&mut self, count: u64) -> io::Result<()> {
        self.client.send_frames(&self.frames[..count as usize * self.frame])
    }
}
