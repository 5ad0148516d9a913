//! What the application does when it hears something.

use super::*;

impl Client {
    pub(super) fn take(&mut self, told: Told, net: &mut Network, ledger: &mut Ledger) {
        let now = self.latest;
        match told {
            Told::Request(request) => self.request(request, net, ledger),
            Told::OpenStream(target) => self.open_stream(target, net, ledger),
            Told::Login(request) => self.logins.push((net.now + 30 * net.draw(self.index, 2), request)),
            Told::Connected(key) => {
                let id = self.machine.id(key).map(|id| id.as_str());
                ledger.client_connected(self.place(key), self.link(), id);
                let fell_back = self.falls_back && self.machine.transport() == Some(Transport::Polling);
                ledger.census.fallbacks += u64::from(fell_back);
            }
            Told::Disconnected(key, reason) => ledger.client_disconnected(self.place(key), reason, now),
            Told::Message(key, body, request) => {
                let place = self.place(key);
                let talk = ledger.client_heard(place, &body, now);
                if let Some(request) = request.filter(|_| body.answer >= 0) {
                    let due = net.now + body.answer as u64;
                    self.answers.push((due, Answer { namespace: place.1, talk, body, request }));
                }
            }
            Told::Acked(key, id, number) => ledger.client_acked(self.place(key), id, number, now),
            Told::AckFailed(key, id, error) => ledger.client_ack_failed(self.place(key), id, error, now),
            Told::Refused(by_limit) => match by_limit {
                true => ledger.census.refused_by_limit += 1,
                false => ledger.census.refused_by_application += 1,
            },
            Told::Reconnected => ledger.census.reconnects += 1,
            Told::Waits | Told::Nothing => return,
        }
        self.pay(net, ledger);
    }

    /// Gives the answers that are due.
    pub(super) fn pay(&mut self, net: &Network, ledger: &mut Ledger) {
        while let Some(at) = self.answers.iter().position(|(due, _)| *due <= net.now) {
            let (_, Answer { namespace, talk, body, request }) = self.answers.remove(at);
            let id = request.id();
            let taken = self.machine.answer(request, message::encode_answer(NAMESPACES[namespace], id, &body));
            ledger.client_answers(talk, id, taken);
        }
        while let Some(at) = self.logins.iter().position(|(due, _)| *due <= net.now) {
            let (_, request) = self.logins.remove(at);
            let now = self.now(net);
            self.machine.authenticate(now, request, &credentials(self.index));
        }
    }
}

pub(super) fn read(event: Event<'_>) -> Told {
    match event {
        Event::Authenticate(request) => Told::Login(request),
        Event::Connect { socket, .. } => Told::Connected(socket),
        Event::Disconnect { socket, reason } => Told::Disconnected(socket, reason),
        Event::Message { socket, payload, ack } => Told::Message(socket, message::decode(payload), ack),
        Event::Ack { socket, id, payload } => Told::Acked(socket, id, message::decode_answer(payload)),
        Event::AckFailed { socket, id, error } => Told::AckFailed(socket, id, error),
        Event::ConnectError { error: ConnectFailure::Refused(error), .. } => {
            Told::Refused(error.message() == "too many namespaces")
        }
        Event::Reconnect(_) => Told::Reconnected,
        _ => Told::Nothing,
    }
}
