use std::io;

use crate::check::{Encoder, Exchange, Sequence, Verdict};
use crate::client::Client;
use crate::link::{Link, Links, write_pong};
use crate::run::{Clock, Load, Outcome, SILENCE, Span};

/// Connections that each keep some messages in flight which are answered one by one.
#[derive(Debug)]
pub struct Messages {
    links: Links,
    peers: Vec<Peer>,
    in_flight: u64,
    output: Vec<u8>,
}

#[derive(Debug)]
struct Peer {
    encoder: Encoder,
    sequence: Sequence,
    /// In all runs, and before this one.
    sent: u64,
    sent_before: u64,
    /// When messages were sent, by their number modulo those in flight.
    times: Vec<u64>,
}

impl Messages {
    /// Connections, each with what it sends, and how many messages each keeps in flight.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn new(clients: Vec<Client>, exchanges: Vec<Exchange>, in_flight: u64) -> io::Result<Self> {
        let peer = |exchange: Exchange| Peer {
            encoder: Encoder::new(&exchange.request),
            sequence: Sequence::new(exchange.answer),
            sent: 0,
            sent_before: 0,
            times: vec![0; in_flight as usize],
        };
        let peers = exchanges.into_iter().map(peer).collect();
        Ok(Self { links: Links::new(clients)?, peers, in_flight, output: Vec::new() })
    }
}

impl Load for Messages {
    fn run(&mut self, span: Span) -> io::Result<Outcome> {
        let Self { links, peers, in_flight, output } = self;
        let (clock, mut outcome, mut outstanding) = (Clock::start(span), Outcome::default(), 0);
        for (index, peer) in peers.iter_mut().enumerate() {
            peer.sent_before = peer.sent;
            outstanding += peer.send(links.link(index), &clock, clock.now(), *in_flight, output)?;
        }
        while outstanding > 0 {
            let is_alive = links.wait(SILENCE, |links, index, buffer| {
                let (link, peer, now) = (&mut links[index], &mut peers[index], clock.now());
                let mut free = 0;
                link.frames(buffer, |opcode, payload| match peer.sequence.receive(opcode, payload) {
                    Verdict::Answer(number) => {
                        let sent = peer.times.get((number % *in_flight) as usize);
                        outcome.latencies.add(now.saturating_sub(*sent.unwrap_or(&0)), 1);
                        outcome.operations += 1;
                        free += 1;
                    }
                    Verdict::Wrong => free += 1,
                    Verdict::Ping => write_pong(output),
                    Verdict::Nothing => {}
                })?;
                let sent = peer.send(link, &clock, now, free, output)?;
                outstanding = (outstanding + sent).saturating_sub(free);
                Ok(())
            })?;
            if !is_alive {
                break;
            }
        }
        outcome.elapsed = clock.elapsed();
        peers.iter_mut().for_each(|peer| outcome.faults += peer.sequence.settle(peer.sent));
        Ok(outcome)
    }
}

impl Peer {
    /// Sends `output` and as many of `wanted` messages as may be sent.
    fn send(&mut self, link: &mut Link, clock: &Clock, now: u64, wanted: u64, output: &mut Vec<u8>) -> io::Result<u64> {
        let count = clock.grant(now, self.sent - self.sent_before, wanted);
        for number in self.sent..self.sent + count {
            let place = (number % self.times.len() as u64) as usize;
            self.times[place] = now;
            self.encoder.write(number, output);
        }
        self.sent += count;
        link.send(output)?;
        output.clear();
        Ok(count)
    }
}
