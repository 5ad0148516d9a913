use std::collections::VecDeque;
use std::io;

use crate::check::{Encoder, Exchange, Faults, Sequence, Verdict};
use crate::client::Client;
use crate::link::{Link, Links, write_pong};
use crate::run::{Clock, Load, Outcome, SILENCE, Span};

/// A sender of broadcasts, and the subscribers that each of them goes to.
#[derive(Debug)]
pub struct Broadcast {
    /// The subscribers, then the sender.
    links: Links,
    sequences: Vec<Sequence>,
    encoder: Encoder,
    in_flight: u64,
    sent: u64,
    rounds: VecDeque<Round>,
}

/// A broadcast that is under way.
#[derive(Clone, Copy, Debug)]
struct Round {
    sent: u64,
    /// Subscribers that it has not reached.
    missing: u64,
}

impl Broadcast {
    /// The sender emits events `broadcast` with a string of `size` characters.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn new(subscribers: Vec<Client>, sender: Client, in_flight: u64, size: usize) -> io::Result<Self> {
        let exchange = Exchange::echo("", "broadcast", 0, size);
        let sequences = vec![Sequence::new(exchange.answer); subscribers.len()];
        let mut links = Links::new(subscribers)?;
        links.add(sender)?;
        let encoder = Encoder::new(&exchange.request);
        Ok(Self { links, sequences, encoder, in_flight, sent: 0, rounds: VecDeque::new() })
    }
}

impl Load for Broadcast {
    fn run(&mut self, span: Span) -> io::Result<Outcome> {
        let Self { links, sequences, encoder, in_flight, sent, rounds } = self;
        let (clock, mut outcome, mut output) = (Clock::start(span), Outcome::default(), Vec::new());
        let (first, subscribers) = (*sent, sequences.len());
        let mut send = |link: &mut Link, rounds: &mut VecDeque<Round>, now, wanted| {
            let count = clock.grant(now, *sent - first, wanted);
            output.clear();
            (*sent..*sent + count).for_each(|number| encoder.write(number, &mut output));
            *sent += count;
            rounds.extend((0..count).map(|_| Round { sent: now, missing: subscribers as u64 }));
            link.send(&output)
        };
        send(links.link(subscribers), rounds, clock.now(), *in_flight)?;
        // The number of the first of `rounds`.
        let mut oldest = first;
        let mut pongs = Vec::new();
        while !rounds.is_empty() {
            let is_alive = links.wait(SILENCE, |links, index, buffer| {
                let now = clock.now();
                let Some(sequence) = sequences.get_mut(index) else {
                    return take_heartbeats(&mut links[index], buffer, &mut outcome.faults);
                };
                pongs.clear();
                links[index].frames(buffer, |opcode, payload| match sequence.receive(opcode, payload) {
                    Verdict::Answer(number) => {
                        let round = number.checked_sub(oldest).and_then(|place| rounds.get_mut(place as usize));
                        if let Some(round) = round {
                            round.missing -= 1;
                            outcome.latencies.add(now.saturating_sub(round.sent), 1);
                            outcome.operations += 1;
                        }
                    }
                    Verdict::Ping => write_pong(&mut pongs),
                    Verdict::Wrong | Verdict::Nothing => {}
                })?;
                links[index].send(&pongs)?;
                let done = rounds.iter().take_while(|round| round.missing == 0).count();
                rounds.drain(..done);
                oldest += done as u64;
                send(&mut links[subscribers], rounds, now, done as u64)
            })?;
            if !is_alive {
                break;
            }
        }
        rounds.clear();
        outcome.elapsed = clock.elapsed();
        sequences.iter_mut().for_each(|sequence| outcome.faults += sequence.settle(*sent));
        Ok(outcome)
    }
}

fn take_heartbeats(sender: &mut Link, buffer: &mut [u8], faults: &mut Faults) -> io::Result<()> {
    let mut output = Vec::new();
    sender.frames(buffer, |_, payload| match payload {
        b"2" => write_pong(&mut output),
        _ => faults.wrong += 1,
    })?;
    sender.send(&output)
}
