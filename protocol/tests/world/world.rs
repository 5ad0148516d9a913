//! A world: a server, clients, the network between them, and the time.

use super::census::Census;
use super::client::{Client, TRIES};
use super::clock::Time;
use super::ledger::Ledger;
use super::message::Body;
use super::network::{CLIENT, Network, Parcel, SERVER};
use super::server::{MAX_NAMESPACES, Server};
use super::trace::{Act, NAMESPACES, ROOMS, TRANSPORTS};

mod acts;

/// What became of a world in which everything that was promised was kept.
pub(crate) struct Outcome {
    pub(crate) census: Census,
    /// Two worlds with the same have seen the same.
    pub(crate) digest: u64,
}

struct World {
    net: Network,
    ledger: Ledger,
    server: Server,
    clients: Vec<Client>,
    /// Whether the server says goodbye at the end.
    server_ends: bool,
}

/// Lets everything happen that was decided, then waits until all have heard all, and ends everything. Panics where something
/// is not as it was promised.
pub(crate) fn run(trace: &[Act]) -> Outcome {
    let mut net = Network::default();
    net.now = START;
    let mut world = World {
        server: Server::new(1 << 20, &net),
        net,
        ledger: Ledger::default(),
        clients: Vec::new(),
        server_ends: false,
    };
    for act in trace {
        world.act(*act);
        world.settle_time();
    }
    world.heal();
    world.wait_for("liveness: not everybody is connected, or has heard everything", World::is_settled);
    world.end();
    world.wait_for("left: something, although everything is over", World::is_over);
    world.ledger.census.worlds += 1;
    Outcome { census: world.ledger.census, digest: world.net.digest }
}

/// Late enough for clocks to go back.
const START: Time = 100_000;

/// How long anything may take, when nothing goes wrong any more: all timeouts are shorter.
const PATIENCE: Time = 60_000;

/// How many may be due at the same time.
const MOST_PARCELS: u32 = 100_000;

/// Time.
impl World {
    /// Lets time pass.
    fn wait(&mut self, ms: Time) {
        let end = self.net.now + ms;
        loop {
            let wakes = self.clients.iter().map(Client::wake).chain([self.server.wake()]);
            let next = wakes.chain(self.net.next_due()).min().unwrap_or(end).max(self.net.now);
            if next > end {
                break;
            }
            self.net.now = next;
            self.settle_time();
        }
        self.net.now = end;
    }

    /// Does everything that is due now.
    fn settle_time(&mut self) {
        let mut parcels = 0;
        loop {
            while let Some(parcel) = self.net.pop() {
                self.deliver(parcel);
                parcels += 1;
                assert!(parcels < MOST_PARCELS, "endless work: all at {}", self.net.now);
            }
            self.server.run_all(&mut self.net, &mut self.ledger);
            for client in &mut self.clients {
                if client.is_behind || client.wake() <= self.net.now {
                    client.run(&mut self.net, &mut self.ledger, &mut []);
                }
            }
            if self.net.next_due().is_none_or(|due| due > self.net.now) {
                break;
            }
        }
        self.ledger.check_server_time(self.server.clock.read(self.net.now));
        for (client, at) in self.clients.iter_mut().zip(0..) {
            self.ledger.check_client_time(at, client.clock.read(self.net.now));
        }
    }

    fn wait_for(&mut self, breach: &str, is_reached: impl Fn(&mut Self) -> bool) {
        let end = self.net.now + PATIENCE;
        while !is_reached(self) {
            assert!(self.net.now < end, "{breach}");
            self.wait(500);
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        let Self { net, ledger, server, clients, .. } = self;
        match parcel {
            Parcel::Request(number) => server.take_request(number, net),
            Parcel::Aborted(number) => {
                ledger.census.requests_aborted += 1;
                server.take_abort(number, net);
            }
            Parcel::Answer(number) => {
                let Some((client, id, status, body)) = net.take_answer(number) else { return };
                ledger.census.requests_refused += u64::from(status == 400);
                clients[client].take_answer(net, id, status, body);
                self.told(client);
            }
            Parcel::Failed(number) => {
                let Some((client, id)) = net.take_failure(number) else { return };
                clients[client].take_failure(net, id);
                self.told(client);
            }
            Parcel::Ask(number) => server.take_ask(number, net),
            Parcel::Opened(number) | Parcel::Refused(number) | Parcel::Bytes(number, _) | Parcel::End(number, _) => {
                if let Some(client) = net.streams.get(&number).map(|stream| stream.client) {
                    self.deliver_to_stream(parcel, number, client);
                }
            }
        }
    }

    fn deliver_to_stream(&mut self, parcel: Parcel, number: u64, client: usize) {
        let Self { net, ledger, server, clients, .. } = self;
        match parcel {
            Parcel::Opened(_) => clients[client].take_opened(net, number),
            Parcel::Refused(_) => {
                ledger.census.streams_refused += 1;
                net.close(number, CLIENT);
                clients[client].take_end(net, number, true);
            }
            Parcel::Bytes(_, side) => {
                let Some((mut bytes, was_full)) = net.read(number, side) else { return };
                match side {
                    CLIENT => server.take_bytes(number, &mut bytes, net, ledger),
                    _ => clients[client].run(net, ledger, &mut bytes),
                }
                // There is room again for the side that has waited for it.
                match side {
                    CLIENT => clients[client].is_behind |= was_full,
                    _ if was_full => server.poke(),
                    _ => {}
                }
                return;
            }
            Parcel::End(_, side) => match net.read_end(number, side) {
                Some(_) if side == CLIENT => return server.take_end(number, net),
                Some(broke) => clients[client].take_end(net, number, broke),
                None => return,
            },
            _ => return,
        }
        self.told(client);
    }

    /// A client was told something: it is asked what follows now, or behind the next thing that it is told.
    fn told(&mut self, client: usize) {
        match self.net.draw(client, 4) {
            0 => self.clients[client].is_behind = true,
            _ => self.clients[client].run(&mut self.net, &mut self.ledger, &mut []),
        }
    }
}

/// The end.
impl World {
    fn heal(&mut self) {
        for route in &mut self.net.routes {
            (route.dark, route.blocked, route.lose, route.late) = (0, 0, None, 0);
        }
        self.server.heal(&self.net);
        self.settle_time();
    }

    /// Whether everybody is connected and has heard everything. Whoever is not to be connected, is so from now on.
    fn is_settled(&mut self) -> bool {
        for client in &mut self.clients {
            client.connect_all(&self.net);
            client.is_behind = true;
        }
        self.settle_time();
        let is_there = |client: &Client| client.connected() >= client.namespaces().min(MAX_NAMESPACES);
        self.clients.iter().all(is_there) && self.ledger.is_settled()
    }

    fn end(&mut self) {
        if self.server_ends {
            self.server.shut_all(&mut self.ledger);
            self.settle_time();
            self.wait(20_000);
        }
        for client in &mut self.clients {
            client.close(&mut self.ledger);
            client.is_behind = true;
        }
        self.settle_time();
    }

    fn is_over(&mut self) -> bool {
        let is_quiet = self.net.exchanges.is_empty() && self.net.streams.is_empty();
        is_quiet && self.server.is_idle() && self.ledger.is_over() && self.clients.iter().all(Client::is_idle)
    }
}
