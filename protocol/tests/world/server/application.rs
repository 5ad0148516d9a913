//! What the application does when it hears something.

use super::*;

impl Server {
    pub(super) fn take(&mut self, at: usize, told: Told, net: &mut Network, ledger: &mut Ledger) {
        let session = &mut self.sessions[at];
        let now = session.latest;
        match told {
            Told::Asks(request, namespace, client) => {
                assert_eq!(session.client, client, "damaged: the credentials");
                let (allow, late) = self.verdicts[namespace];
                ledger.census.late_verdicts += u64::from(late > 0);
                self.owed.push((net.now + late, session.number, Debt::Verdict(request, namespace, allow)));
            }
            Told::Message(key, body, ack) => {
                let talk = session.talk(key);
                ledger.server_heard(talk, &body, now);
                if let Some(id) = ack.filter(|_| body.answer >= 0) {
                    let due = net.now + body.answer as u64;
                    self.owed.push((due, session.number, Debt::Answer(talk, key, id, body)));
                }
            }
            Told::Acked(key, id, number) => ledger.server_acked(session.talk(key), id, number, now),
            Told::TimedOut(key, id) => ledger.server_timeout(session.talk(key), id, now),
            Told::Disconnected(key, reason) => {
                let place = session.joined.iter().position(|joined| joined.key == key);
                let Joined { talk, namespace, .. } = session.joined.remove(place.expect("twice: the end of a socket"));
                ledger.server_disconnected(talk, reason, now);
                self.members[namespace].remove(talk);
            }
            Told::Closed(reason) => {
                assert!(session.joined.is_empty(), "left: sockets of a session that is closed");
                ledger.census.sessions += 1;
                ledger.census.overflows += u64::from(ledger.tight && reason == CloseReason::TransportError);
            }
            Told::Finished | Told::Waits | Told::Nothing => return,
        }
        self.pay(net, ledger);
    }

    /// Says what is due. Sessions that are over are owed nothing.
    pub(super) fn pay(&mut self, net: &Network, ledger: &mut Ledger) {
        while let Some(next) = self.owed.iter().position(|(due, ..)| *due <= net.now) {
            let (_, number, debt) = self.owed.remove(next);
            let Some(at) = self.sessions.iter().position(|session| session.number == number) else {
                ledger.census.debts_forgotten += 1;
                continue;
            };
            let session = &mut self.sessions[at];
            session.is_behind = true;
            session.work.explain(1);
            match debt {
                Debt::Verdict(request, _, false) => session.machine.reject(request, &ConnectError::new("not you")),
                Debt::Verdict(request, namespace, true) => self.let_in(at, request, namespace, ledger),
                Debt::Answer(talk, key, id, body) => {
                    let namespace = NAMESPACES[ledger.talks[talk].place.1];
                    let answer = message::encode_answer(namespace, id, &body);
                    self.largest = self.largest.max(answer.cost());
                    let taken = session.machine.emit(key, answer);
                    ledger.server_answers(talk, id, taken);
                }
            }
        }
    }

    fn let_in(&mut self, at: usize, request: ConnectRequest, namespace: usize, ledger: &mut Ledger) {
        let session = &mut self.sessions[at];
        let talk = ledger.next_talk();
        let id = SocketId::from(talk.to_string().as_str());
        let Some(key) = session.machine.accept(request, &id) else {
            ledger.census.debts_forgotten += 1;
            return;
        };
        ledger.server_accepts((session.client, namespace), session.link);
        self.members[namespace].insert(talk, &id);
        session.joined.push(Joined { key, talk, namespace });
    }
}

impl Session {
    fn talk(&self, key: SocketKey) -> usize {
        self.joined.iter().find(|joined| joined.key == key).expect("unknown: a socket that nobody let in").talk
    }
}

pub(super) fn read(event: Event<'_>) -> Told {
    match event {
        Event::Connect { request, namespace, auth } => {
            #[derive(Deserialize)]
            struct Login {
                client: usize,
            }
            let namespace = NAMESPACES.iter().position(|known| *known == namespace).expect("damaged: a namespace");
            let login: Login = auth.decode().expect("damaged: the credentials");
            Told::Asks(request, namespace, login.client)
        }
        Event::Message { socket, payload, ack } => Told::Message(socket, message::decode(payload), ack),
        Event::Ack { socket, id, payload } => Told::Acked(socket, id, message::decode_answer(payload)),
        Event::AckTimeout { socket, id } => Told::TimedOut(socket, id),
        Event::Disconnect { socket, reason } => Told::Disconnected(socket, reason),
        other => panic!("unknown: {other:?}"),
    }
}
