//! Many connections that do nothing but stay.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::thread;
use std::time::Instant;

use crate::check::{Encoder, Exchange, Sequence, Verdict};
use crate::client::Client;
use crate::link::{Links, write_pong};
use crate::run::Outcome;

/// Threads that connect, and connections between two looks at the heartbeats.
const CONNECTORS: usize = 16;
const BATCH: usize = 256;
/// How long every connection together has for its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections that have joined `/` over a WebSocket.
#[derive(Debug)]
pub struct Idle {
    links: Links,
    peers: Vec<(Encoder, Sequence)>,
}

impl Idle {
    /// Connects all of them.
    ///
    /// # Errors
    ///
    /// A connection fails.
    pub fn connect(server: SocketAddr, count: usize) -> io::Result<Self> {
        let mut idle = Self { links: Links::new(Vec::new())?, peers: Vec::new() };
        while idle.peers.len() < count {
            for client in connect_many(server, BATCH.min(count - idle.peers.len()))? {
                idle.links.add(client)?;
                let exchange = Exchange::echo("", "echo", idle.peers.len(), 32);
                idle.peers.push((Encoder::new(&exchange.request), Sequence::new(exchange.answer)));
            }
            idle.turn(Duration::ZERO)?;
        }
        Ok(idle)
    }

    /// Stays and answers heartbeats.
    ///
    /// # Errors
    ///
    /// The server closes a connection.
    pub fn hold(&mut self, time: Duration) -> io::Result<()> {
        let start = Instant::now();
        while let Some(rest) = time.checked_sub(start.elapsed()) {
            self.turn(rest)?;
        }
        Ok(())
    }

    /// Lets every connection send one echo; whoever has not answered after ten seconds counts as lost.
    ///
    /// # Errors
    ///
    /// A connection fails.
    pub fn probe(&mut self) -> io::Result<Outcome> {
        let (start, mut outcome, mut output) = (Instant::now(), Outcome::default(), Vec::new());
        for (index, (encoder, _)) in self.peers.iter().enumerate() {
            output.clear();
            encoder.write(0, &mut output);
            self.links.link(index).send(&output)?;
        }
        while outcome.operations < self.peers.len() as u64
            && let Some(rest) = PATIENCE.checked_sub(start.elapsed())
        {
            let answers = self.turn(rest)?;
            outcome.latencies.add(start.elapsed().as_nanos() as u64, answers);
            outcome.operations += answers;
        }
        outcome.elapsed = start.elapsed();
        self.peers.iter_mut().for_each(|(_, sequence)| outcome.faults += sequence.settle(1));
        Ok(outcome)
    }

    /// Waits once; gives the number of answers.
    fn turn(&mut self, patience: Duration) -> io::Result<u64> {
        let (peers, mut answers, mut pongs) = (&mut self.peers, 0, Vec::new());
        self.links.wait(patience, |links, index, buffer| {
            pongs.clear();
            links[index].frames(buffer, |opcode, payload| match peers[index].1.receive(opcode, payload) {
                Verdict::Answer(_) => answers += 1,
                Verdict::Ping => write_pong(&mut pongs),
                Verdict::Wrong | Verdict::Nothing => {}
            })?;
            links[index].send(&pongs)
        })?;
        Ok(answers)
    }
}

/// Connects clients, several at a time.
///
/// # Errors
///
/// A connection fails.
pub fn connect_many(server: SocketAddr, count: usize) -> io::Result<Vec<Client>> {
    let connect = |part: usize| -> io::Result<Vec<Client>> {
        (part..count).step_by(CONNECTORS).map(|_| Client::connect(server)).collect()
    };
    let parts: Vec<io::Result<Vec<Client>>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTORS).map(|part| scope.spawn(move || connect(part))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("panic"))?).collect()
    });
    let mut clients = Vec::with_capacity(count);
    for part in parts {
        clients.extend(part?);
    }
    Ok(clients)
}
