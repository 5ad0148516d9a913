//! What servers are compared on.

use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use crate::check::Exchange;
use crate::client::Client;
use crate::handshake::{Handshake, Handshakes};
use crate::idle::connect_many;
use crate::run::Load;
use crate::{Broadcast, Messages, Polling};

/// Packets that set a connection up are sent so many at a time.
const BATCH: usize = 64;

/// A kind of work and its extent.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `AxB` is A connections with B messages in flight; `N dD` is N subscribers and D broadcasts in flight.
    pub name: String,
    /// What is done.
    pub work: Work,
}

/// What is done. Sizes are those of a message's one argument in bytes.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Messages that are answered.
    Messages {
        /// How they are answered.
        kind: Kind,
        /// Connections.
        connections: usize,
        /// Messages in flight on each.
        in_flight: u64,
        /// Size of the argument.
        size: usize,
        /// Namespaces `/1`, `/2` ... that the connections are spread over; 0 is `/` alone.
        namespaces: usize,
    },
    /// Messages to a room.
    Broadcast {
        /// Members of the room.
        subscribers: usize,
        /// Broadcasts in flight.
        in_flight: u64,
        /// Size of the argument.
        size: usize,
        /// Other rooms that the subscribers are in, all together.
        rooms: usize,
    },
    /// Messages over HTTP.
    Polling {
        /// Sessions, each with two connections.
        sessions: usize,
        /// Messages in one payload.
        in_flight: u64,
        /// Size of the argument.
        size: usize,
    },
    /// Connecting and leaving.
    Handshake(Handshake),
    /// Being there.
    Idle {
        /// Connections.
        connections: usize,
        /// For how long.
        hold: Duration,
    },
}

/// How a message is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By an event with the same string.
    Echo,
    /// By an ack with the same string.
    Ack,
    /// By an event with the same attachment.
    Binary,
}

/// All that servers are compared on; `quick` shortens what holds connections.
pub fn all(quick: bool) -> Vec<Scenario> {
    use Kind::{Ack, Binary, Echo};
    let scenario = |name: &str, work| Scenario { name: name.to_owned(), work };
    let messages = |name, kind, connections, in_flight, size| {
        scenario(name, Work::Messages { kind, connections, in_flight, size, namespaces: 0 })
    };
    let broadcast =
        |name, subscribers, in_flight, size| scenario(name, Work::Broadcast { subscribers, in_flight, size, rooms: 0 });
    let polling = |name, sessions, in_flight| scenario(name, Work::Polling { sessions, in_flight, size: 32 });
    let idle = |name, seconds| scenario(name, Work::Idle { connections: 10_000, hold: Duration::from_secs(seconds) });
    let mut all = vec![
        messages("echo 64x1 32B", Echo, 64, 1, 32),
        messages("echo 16x16 32B", Echo, 16, 16, 32),
        messages("echo 16x16 1KiB", Echo, 16, 16, 1024),
        messages("echo 8x2 64KiB", Echo, 8, 2, 65_536),
        messages("echo 2000x1 32B", Echo, 2_000, 1, 32),
        messages("ack 16x16 32B", Ack, 16, 16, 32),
        messages("binary 16x16 1KiB", Binary, 16, 16, 1024),
        broadcast("broadcast 1000 d1 32B", 1_000, 1, 32),
        broadcast("broadcast 1000 d8 32B", 1_000, 8, 32),
        broadcast("broadcast 100 d8 1KiB", 100, 8, 1024),
        polling("polling 64x1 32B", 64, 1),
        polling("polling 16x16 32B", 16, 16),
        scenario("handshake websocket", Work::Handshake(Handshake::WebSocket)),
        scenario("handshake upgrade", Work::Handshake(Handshake::Upgrade)),
        scenario("handshake polling", Work::Handshake(Handshake::Polling)),
        idle("idle 10000", 2),
    ];
    if !quick {
        all.push(idle("idle 10000 hold 30s", 30));
    }
    all
}

impl Work {
    /// Whether the handlers' arguments are bytes.
    pub fn is_binary(&self) -> bool {
        matches!(self, Self::Messages { kind: Kind::Binary, .. })
    }

    /// Connects; `None` if the work is [`Work::Idle`].
    ///
    /// # Errors
    ///
    /// A connection fails.
    pub fn prepare(&self, server: SocketAddr) -> io::Result<Option<Box<dyn Load>>> {
        Ok(Some(match *self {
            Self::Messages { kind, connections, in_flight, size, namespaces } => {
                let mut clients = connect_many(server, connections)?;
                let names = (0..connections).map(|index| namespace(index, connections, namespaces));
                let names: Vec<String> = names.collect();
                for (client, name) in clients.iter_mut().zip(&names).filter(|(_, name)| !name.is_empty()) {
                    client.request(&format!("40{name}"), &format!("40{name}"))?;
                }
                let exchange = |(index, name): (usize, &String)| match kind {
                    Kind::Echo => Exchange::echo(name, "echo", index, size),
                    Kind::Ack => Exchange::ack(index, size),
                    Kind::Binary => Exchange::binary(index, size),
                };
                let exchanges = names.iter().enumerate().map(exchange).collect();
                Box::new(Messages::new(clients, exchanges, in_flight)?)
            }
            Self::Broadcast { subscribers, in_flight, size, rooms } => {
                let mut clients = connect_many(server, subscribers)?;
                for (index, client) in clients.iter_mut().enumerate() {
                    client.request("420[\"join\",\"room1\"]", "430[")?;
                    let own: Vec<usize> = (index..rooms).step_by(subscribers).collect();
                    own.chunks(BATCH).try_for_each(|rooms| join(client, rooms))?;
                }
                Box::new(Broadcast::new(clients, Client::connect(server)?, in_flight, size)?)
            }
            Self::Polling { sessions, in_flight, size } => {
                Box::new(Polling::connect(server, sessions, in_flight, size)?)
            }
            Self::Handshake(kind) => Box::new(Handshakes::new(server, kind)),
            Self::Idle { .. } => return Ok(None),
        }))
    }
}

/// The namespace of a connection as it stands in a packet.
fn namespace(index: usize, connections: usize, namespaces: usize) -> String {
    if namespaces == 0 { String::new() } else { format!("/{},", 1 + index * namespaces / connections) }
}

fn join(client: &mut Client, rooms: &[usize]) -> io::Result<()> {
    rooms.iter().try_for_each(|room| client.send(&format!("42{room}[\"join\",\"other{room}\"]")))?;
    rooms.iter().try_for_each(|room| client.wait_for(&format!("43{room}[")).map(drop))
}

/// One thing that grows 10 and 100 times while all else stays; names end in ` = N`.
pub fn scaling() -> Vec<Scenario> {
    let echo = |connections, in_flight, namespaces| Work::Messages {
        kind: Kind::Echo,
        connections,
        in_flight,
        size: 32,
        namespaces,
    };
    let broadcast = |subscribers, rooms| Work::Broadcast { subscribers, in_flight: 1, size: 32, rooms };
    let mut all = Vec::new();
    let mut grow = |what: &str, counts: [usize; 3], work: &dyn Fn(usize) -> Work| {
        all.extend(counts.map(|count| Scenario { name: format!("{what} = {count}"), work: work(count) }));
    };
    grow("echo, connections", [20, 200, 2_000], &|count| echo(count, 1, 0));
    grow("broadcast, subscribers", [10, 100, 1_000], &|count| broadcast(count, 0));
    grow("broadcast to 100, other rooms", [1_000, 10_000, 100_000], &|count| broadcast(100, count));
    grow("echo 16x16, namespaces", [10, 100, 1_000], &|count| echo(16, 16, count));
    all
}
