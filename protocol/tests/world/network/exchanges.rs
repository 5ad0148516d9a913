//! HTTP requests.

use super::*;

impl Network {
    /// A client makes a request. Whether the network does it harm.
    pub(crate) fn request(&mut self, client: usize, link: u64, request: Request) -> bool {
        self.note(&request.body);
        let (number, due) = (self.number(), self.arrival(client));
        let is_dark = self.is_dark(client);
        let (loses, late) = (self.routes[client].lose.take(), mem::take(&mut self.routes[client].late));
        let lost = if is_dark { Some((false, self.draw(client, 2) == 0)) } else { loses };
        let arrives = lost.is_none_or(|(answer, _)| answer);
        let exchange = Exchange {
            client,
            link,
            id: request.id,
            request: Some(request).filter(|_| arrives),
            answer: None,
            client_waits: true,
            told: false,
            server_owes: arrives,
            due: due + late,
            lost: lost.map(|(_, told)| told),
        };
        self.exchanges.insert(number, exchange);
        if arrives {
            self.post(due + late, Parcel::Request(number));
        } else if lost.is_some_and(|(_, told)| told) {
            self.post(due, Parcel::Failed(number));
        }
        lost.is_some() || late >= 1000
    }

    /// The server answers.
    pub(crate) fn answer(&mut self, number: u64, status: u16, body: Bytes) {
        self.note(&body);
        let exchange = self.exchanges.get_mut(&number).filter(|exchange| exchange.server_owes);
        let exchange = exchange.expect("twice: an answer to a request that waits for none");
        exchange.server_owes = false;
        let (client, lost) = (exchange.client, exchange.lost);
        let (due, is_dark) = (self.arrival(client), self.is_dark(client));
        match (lost, self.exchanges.get_mut(&number)) {
            (None, Some(exchange)) if !is_dark => {
                exchange.answer = Some((status, body));
                self.post(due, Parcel::Answer(number));
            }
            (Some(true), _) => {
                self.post(due, Parcel::Failed(number));
                self.post(due, Parcel::Aborted(number));
            }
            _ => self.tidy(number),
        }
    }

    /// A client gives a request up.
    pub(crate) fn cancel(&mut self, client: usize, id: RequestId) {
        let waits = |exchange: &Exchange| exchange.client == client && exchange.id == id && exchange.client_waits;
        let found = self.exchanges.iter_mut().find(|(_, exchange)| waits(exchange));
        let (number, exchange) = found.expect("unknown: a request that is given up");
        exchange.client_waits = false;
        let (number, due) = (*number, exchange.due.max(self.now));
        if !self.is_dark(client) {
            self.post(due + 1, Parcel::Aborted(number));
        }
        self.tidy(number);
    }

    /// An answer is there: for whom. Whether that client still waits for it is no question of the network's.
    pub(crate) fn take_answer(&mut self, number: u64) -> Option<(usize, RequestId, u16, Bytes)> {
        let exchange = self.exchanges.get_mut(&number)?;
        let (status, body) = exchange.answer.take()?;
        let told = (exchange.client, exchange.id, status, body);
        (exchange.client_waits, exchange.told) = (false, true);
        self.tidy(number);
        Some(told)
    }

    /// A client is to be told that its request has failed, unless it was told of it before.
    pub(crate) fn take_failure(&mut self, number: u64) -> Option<(usize, RequestId)> {
        let exchange = self.exchanges.get_mut(&number).filter(|exchange| !exchange.told)?;
        let told = (exchange.client, exchange.id);
        (exchange.client_waits, exchange.told, exchange.answer) = (false, true, None);
        self.tidy(number);
        Some(told)
    }

    /// There is no server.
    pub(crate) fn fail(&mut self, number: u64) {
        self.forget(number);
        if let Some(client) = self.exchanges.get(&number).map(|exchange| exchange.client) {
            let due = self.arrival(client);
            self.post(due, Parcel::Failed(number));
        }
    }

    /// The server has forgotten an exchange.
    pub(crate) fn forget(&mut self, number: u64) {
        if let Some(exchange) = self.exchanges.get_mut(&number) {
            exchange.server_owes = false;
            self.tidy(number);
        }
    }

    pub(super) fn tidy(&mut self, number: u64) {
        if self.exchanges.get(&number).is_some_and(|it| !it.client_waits && !it.server_owes && it.answer.is_none()) {
            self.exchanges.remove(&number);
        }
    }
}
