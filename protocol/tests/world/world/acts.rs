//! What was decided, and what it does.

use super::*;

impl World {
    pub(super) fn act(&mut self, act: Act) {
        self.server.clock.read(self.net.now);
        match act {
            Act::World { .. } | Act::Client { .. } => self.set_up(act),
            Act::Wait { ms } => self.wait(ms.unsigned_abs()),
            Act::Restart { ms, tell } => self.restart(ms.unsigned_abs(), tell == 1),
            Act::Verdict { namespace, allow, late } => {
                self.server.set_verdict(namespace as usize % NAMESPACES.len(), allow == 1, late.unsigned_abs());
            }
            Act::Broadcast { namespace, room, except, ack, attachments } => {
                let body = self.body(0, attachments, None);
                let rooms = [room, except].map(|room| usize::try_from(room).ok().map(|room| room % ROOMS.len()));
                self.server.broadcast(namespace as usize % NAMESPACES.len(), rooms, ack, &body, &mut self.ledger);
            }
            Act::Poke { client: -1 } => self.server.poke(),
            Act::Jump { client: -1, ms } => {
                self.server.clock.jump(ms);
                (0..self.clients.len()).for_each(|client| self.harm(client));
            }
            act => {
                let client = act.get("client").and_then(|client| usize::try_from(client).ok()).unwrap_or(usize::MAX);
                let namespaces = self.clients.get(client).map_or(0, Client::namespaces);
                let namespace = act.get("namespace").unwrap_or(0) as usize;
                if namespace < namespaces {
                    self.speak(act, client, namespace);
                    self.disturb(act, client);
                    self.prepare(act, client);
                    self.clients[client].is_behind = true;
                }
            }
        }
    }

    fn set_up(&mut self, act: Act) {
        match act {
            Act::World { seed, queue, ending } => {
                self.net.seed = seed as u64;
                self.server = Server::new(queue.max(1) as usize, &self.net);
                self.ledger.tight = queue < 1 << 20;
                self.server_ends = ending == 1;
            }
            Act::Client { transports, namespaces, latency, jitter, chunk } => {
                let [latency, jitter, chunk] = [latency, jitter, chunk.max(1)].map(i64::unsigned_abs);
                let namespaces = (namespaces.max(1) as usize).min(NAMESPACES.len());
                self.net.add_route(latency, jitter, chunk);
                self.ledger.add_client(namespaces);
                self.clients.push(Client::new(self.clients.len(), transports % TRANSPORTS, namespaces, &self.net));
            }
            _ => {}
        }
    }

    /// What applications want.
    fn speak(&mut self, act: Act, client: usize, namespace: usize) {
        let tries = matches!(act, Act::Sure { .. }).then_some(TRIES);
        let attachments = act.get("attachments").unwrap_or(0);
        let body = self.body(act.get("answer").unwrap_or(0), attachments, tries);
        let Self { net, ledger, server, clients, .. } = self;
        let own = &mut clients[client];
        match act {
            Act::Emit { ack, .. } => own.emit(namespace, ack, &body, net, ledger),
            Act::Volatile { ack, .. } => own.emit_volatile(namespace, ack, &body, net, ledger),
            Act::Sure { .. } => own.emit_sure(namespace, &body, net, ledger),
            Act::Say { ack, .. } => server.say(client, namespace, ack, &body, ledger),
            Act::SayVolatile { .. } => server.say_volatile(client, namespace, &body, ledger),
            Act::Join { room, .. } => server.join(client, namespace, room as usize % ROOMS.len(), ledger),
            Act::Leave { room, .. } => server.leave(client, namespace, room as usize % ROOMS.len(), ledger),
            Act::Connect { .. } => own.connect(namespace, net),
            Act::Disconnect { .. } => own.disconnect(namespace, ledger),
            Act::Remove { .. } => own.remove(namespace, net, ledger),
            Act::Close { .. } => own.close(ledger),
            Act::Kick { .. } => server.kick(client, namespace, ledger),
            Act::KickAll { .. } => server.shut(client, true, ledger),
            Act::Shut { .. } => server.shut(client, false, ledger),
            _ => {}
        }
    }

    /// What goes wrong with what there is.
    fn disturb(&mut self, act: Act, client: usize) {
        let until = self.net.now + act.get("ms").unwrap_or(0).max(0) as Time;
        let Self { net, ledger: Ledger { census, .. }, server, .. } = self;
        // Shorter pauses are no reason to give anybody up.
        let is_long = until >= net.now + 1000;
        let harms = match act {
            Act::Cut { tell, .. } => {
                *if tell == 3 { &mut census.cuts } else { &mut census.cuts_unnoticed } += 1;
                net.cut(client, [tell & 1 == 1, tell & 2 == 2]);
                true
            }
            Act::Dark { .. } => {
                census.darkness += 1;
                net.cut(client, [false; 2]);
                net.routes[client].dark = until;
                true
            }
            Act::Jump { ms, .. } => {
                *if ms < 0 { &mut census.jumps_back } else { &mut census.jumps } += 1;
                self.clients[client].clock.jump(ms);
                true
            }
            Act::Stall { side, .. } => {
                census.stalls += 1;
                net.stall(client, side as usize & 1, until);
                is_long
            }
            Act::Pause { .. } => {
                census.pauses += 1;
                server.pause(client, until);
                // Who takes no messages does not read, and what comes meanwhile is read when it goes on.
                net.stall(client, SERVER, until + 1);
                is_long
            }
            _ => false,
        };
        if harms {
            self.harm(client);
        }
    }

    /// What will go wrong with the next request or stream.
    fn prepare(&mut self, act: Act, client: usize) {
        let (now, route, census) = (self.net.now, &mut self.net.routes[client], &mut self.ledger.census);
        match act {
            Act::Lose { answer, tell, .. } => {
                *if answer == 1 { &mut census.lost_answers } else { &mut census.lost_requests } += 1;
                route.lose = Some((answer == 1, tell == 1));
            }
            Act::Late { ms, .. } => {
                census.late_requests += 1;
                route.late = ms.unsigned_abs();
            }
            Act::Block { ms, .. } => {
                census.blocks += 1;
                route.blocked = now + ms.unsigned_abs();
            }
            _ => {}
        }
    }

    /// What a client has now may suffer.
    fn harm(&mut self, client: usize) {
        self.ledger.harm(client, self.clients[client].link());
    }

    fn restart(&mut self, ms: Time, tell: bool) {
        self.ledger.census.restarts += 1;
        self.server.restart(self.net.now + ms, &mut self.net, &mut self.ledger);
        for client in 0..self.clients.len() {
            self.net.cut(client, [tell, true]);
            self.net.drop_all(client);
            self.harm(client);
        }
    }

    fn body(&mut self, answer: i64, attachments: i64, tries: Option<u32>) -> Body {
        let attachments = attachments.unsigned_abs() as usize;
        Body { number: self.ledger.message(attachments, tries), answer, attachments }
    }
}
