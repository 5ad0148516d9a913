//! Handshakes, from the TCP connection to the namespace `/`.

use core::net::SocketAddr;
use std::io;
use std::thread;
use std::time::Instant;

use crate::client::Client;
use crate::polling;
use crate::run::{Clock, Load, Outcome, Span};

/// Clients that connect at the same time.
const CLIENTS: usize = 16;

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// By WebSocket at once: upgrade, `0{`, `40`, `40{`.
    WebSocket,
    /// By HTTP as in [`Handshake::Polling`], then upgrade, `2probe`, `3probe`, `5`, and an echo over the WebSocket.
    Upgrade,
    /// By HTTP over one connection: GET `0{`, POST `40`, GET `40{`.
    Polling,
}

/// Clients that connect and leave, again and again.
#[derive(Debug)]
pub struct Handshakes {
    server: SocketAddr,
    kind: Handshake,
}

impl Handshakes {
    /// Nothing is connected yet.
    pub fn new(server: SocketAddr, kind: Handshake) -> Self {
        Self { server, kind }
    }
}

impl Load for Handshakes {
    fn run(&mut self, span: Span) -> io::Result<Outcome> {
        let clock = Clock::start(span);
        let parts: Vec<io::Result<Outcome>> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| self.repeat(clock))).collect();
            clients.into_iter().map(|client| client.join().map_err(|_| io::Error::other("panic"))?).collect()
        });
        let mut outcome = Outcome::default();
        for part in parts {
            let part = part?;
            outcome.operations += part.operations;
            outcome.latencies.merge(&part.latencies);
        }
        outcome.elapsed = clock.elapsed();
        Ok(outcome)
    }
}

impl Handshakes {
    fn repeat(&self, clock: Clock) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        while clock.grant(clock.now(), outcome.operations, 1) > 0 {
            let start = Instant::now();
            let clients = self.once()?;
            outcome.latencies.add(start.elapsed().as_nanos() as u64, 1);
            outcome.operations += 1;
            drop(clients);
        }
        Ok(outcome)
    }

    fn once(&self) -> io::Result<(Client, Option<Client>)> {
        match self.kind {
            Handshake::WebSocket => Ok((Client::connect(self.server)?, None)),
            Handshake::Polling => Ok((polling::connect(self.server)?.0, None)),
            Handshake::Upgrade => {
                let (first, sid) = polling::connect(self.server)?;
                let mut second = Client::open(self.server)?;
                second.upgrade(&sid)?;
                second.request("2probe", "3probe")?;
                second.send("5")?;
                second.request("42[\"echo\",\"upgraded\"]", "42[\"echo\",\"upgraded\"]")?;
                Ok((second, Some(first)))
            }
        }
    }
}
