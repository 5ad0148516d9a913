//! How the sessions are driven.

use super::*;

impl Server {
    /// A request has arrived.
    pub(crate) fn take_request(&mut self, number: u64, net: &mut Network) {
        let Some(exchange) = net.exchanges.get_mut(&number) else { return };
        let (client, link) = (exchange.client, exchange.link);
        let Some(request) = exchange.request.take() else { return };
        if net.now < self.away {
            return net.fail(number);
        }
        let headers = [("content-type", engine::client::Request::CONTENT_TYPE)];
        let (at, kind) = match self.admit(request.method(), &request.target, &headers) {
            Ok((found, kind)) => (found.unwrap_or_else(|| self.open(client, link, Transport::Polling, net)), kind),
            Err(response) => return net.answer(number, response.status, response.body),
        };
        let kind = match kind {
            RequestKind::Poll => ExchangeKind::Poll,
            RequestKind::Post { binary } => ExchangeKind::Post { body: request.body, binary },
            RequestKind::Upgrade(_) => panic!("admission: a request becomes a stream"),
        };
        let (now, session) = (self.clock.read(net.now), &mut self.sessions[at]);
        assert_eq!(session.client, client, "admission: to the session of another client");
        if let ExchangeKind::Post { body, .. } = &kind {
            session.work.explain(body.len());
        }
        session.exchanges.push(number);
        session.machine.handle_exchange(now, Exchange { id: ExchangeId(number), kind });
        session.is_behind = true;
    }

    /// A client asks for a stream.
    pub(crate) fn take_ask(&mut self, number: u64, net: &mut Network) {
        if !net.take_ask(number) {
            return;
        }
        let stream = &net.streams[&number];
        let (client, link) = (stream.client, stream.link);
        let admitted = self.admit("GET", &stream.target, &stream.key.headers());
        let (at, accept) = match admitted {
            Ok((at, RequestKind::Upgrade(accept))) if net.now >= self.away => (at, accept),
            _ => return net.refuse(number),
        };
        let response = Response::switching_protocols(&accept);
        let header =
            |name: &str| response.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_bytes());
        stream.key.verify(response.status, header).expect("handshake: the answer");
        net.open(number);
        let Some(at) = at else {
            let at = self.open(client, link, Transport::WebSocket, net);
            self.sessions[at].stream = Some(number);
            return;
        };
        let (now, session) = (self.clock.read(net.now), &mut self.sessions[at]);
        session.is_behind = true;
        match session.machine.handle_stream(now) {
            Ok(()) => assert_eq!(session.stream.replace(number), None, "twice: a stream"),
            Err(refused) => {
                net.write(number, SERVER, std::iter::once(&refused.goodbye[..]));
                net.close(number, SERVER);
            }
        }
    }

    /// The place of the session that a request is for, none for a new one.
    fn admit(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Option<usize>, RequestKind), Response> {
        let (_, query) = target.split_once('?').unwrap();
        let head = RequestHead { method, query, headers: &headers };
        let find = |id: &SessionId| self.sessions.iter().position(|session| session.machine.session().id() == *id);
        match admit(&self.engine, &head, find) {
            Admission::New(kind) => Ok((None, kind)),
            Admission::Session(at, kind) => Ok((Some(at), kind)),
            Admission::Reject(reject) => Err(reject.response()),
            other => panic!("admission: {other:?}"),
        }
    }

    fn open(&mut self, client: usize, link: u64, transport: Transport, net: &Network) -> usize {
        let (id, now) = (SessionId::generate(&mut self.random), self.clock.read(net.now));
        self.count += 1;
        self.sessions.push(Session {
            number: self.count,
            client,
            link,
            machine: Connection::new(self.engine.clone(), self.sockets.clone(), id, transport, now),
            stream: None,
            exchanges: Vec::new(),
            joined: Vec::new(),
            deadline: now,
            latest: now,
            paused: None,
            is_behind: true,
            work: Work::new(net.now),
        });
        self.sessions.len() - 1
    }

    /// A client gave a request up, or cannot be answered.
    pub(crate) fn take_abort(&mut self, number: u64, net: &mut Network) {
        net.forget(number);
        let now = self.clock.read(net.now);
        // To those who do not know it, it means nothing.
        for session in &mut self.sessions {
            session.exchanges.retain(|open| *open != number);
            session.machine.handle_abort(now, ExchangeId(number));
            session.is_behind = true;
        }
    }

    pub(crate) fn take_bytes(&mut self, stream: u64, bytes: &mut [u8], net: &mut Network, ledger: &mut Ledger) {
        if let Some(at) = self.sessions.iter().position(|session| session.stream == Some(stream)) {
            self.run(at, net, ledger, bytes);
        }
    }

    pub(crate) fn take_end(&mut self, stream: u64, net: &Network) {
        let now = self.clock.read(net.now);
        if let Some(session) = self.sessions.iter_mut().find(|session| session.stream == Some(stream)) {
            session.stream = None;
            session.machine.handle_stream_closed(now);
            session.is_behind = true;
        }
    }

    /// Does what is due, and runs every session that was told something or whose time has come.
    pub(crate) fn run_all(&mut self, net: &mut Network, ledger: &mut Ledger) {
        self.pay(net, ledger);
        while let Some(at) = (0..self.sessions.len()).find(|at| self.is_due(*at, net.now)) {
            let (now, session) = (self.clock.read(net.now), &mut self.sessions[at]);
            if session.paused.take_if(|until| *until <= net.now).is_some() {
                session.machine.pause(now, false);
            }
            self.run(at, net, ledger, &mut []);
        }
    }

    fn is_due(&self, at: usize, now: Time) -> bool {
        let session = &self.sessions[at];
        let goes_on = session.paused.is_some_and(|until| until <= now);
        session.is_behind || goes_on || self.clock.when(session.deadline) <= now
    }

    /// Lets the machine of a session take bytes and say what follows, until it waits or is over.
    fn run(&mut self, at: usize, net: &mut Network, ledger: &mut Ledger, bytes: &mut [u8]) {
        let session = &mut self.sessions[at];
        session.is_behind = false;
        session.work.explain(1 + bytes.len());
        let split = net.draw(session.client, bytes.len() as u64 + 1) as usize;
        let (first, mut rest) = bytes.split_at_mut(split);
        let mut input = Input::new(first);
        loop {
            let now = self.clock.read(net.now);
            let session = &mut self.sessions[at];
            session.work.call(net.now);
            let told = session.step(now, &mut input, &mut rest, net, ledger);
            match told {
                Told::Waits => break,
                Told::Finished => return self.finish(at),
                told => self.take(at, told, net, ledger),
            }
        }
        self.check(at);
    }

    fn check(&self, at: usize) {
        let session = &self.sessions[at];
        assert!(session.deadline > self.clock.shown(), "deadline: it is over already");
        assert!(session.joined.len() <= MAX_NAMESPACES, "limit: of namespaces");
        let queued = session.machine.session().queued();
        // A ping and a close frame may be behind the last packet.
        assert!(queued <= self.engine.max_queued.max(self.largest) + 200, "limit: {queued} bytes are queued");
    }

    fn finish(&mut self, at: usize) {
        let session = self.sessions.remove(at);
        assert!(session.joined.is_empty(), "left: {} sockets of a session that is over", session.joined.len());
        assert!(session.exchanges.is_empty(), "unanswered: requests of a session that is over");
        assert_eq!(session.stream, None, "left: the stream of a session that is over");
    }
}

impl Session {
    /// One call of the machine.
    fn step<'b>(
        &mut self,
        now: Instant,
        input: &mut Input<'b>,
        rest: &mut &'b mut [u8],
        net: &mut Network,
        ledger: &mut Ledger,
    ) -> Told {
        self.latest = self.latest.max(now);
        match self.machine.next(now, input) {
            Next::Event(event) => return read(event),
            Next::Answer(ExchangeId(number), response) => {
                self.exchanges.retain(|open| *open != number);
                net.answer(number, response.status, response.body);
            }
            Next::CloseStream => net.close(self.stream.take().expect("unknown: a stream to be closed"), SERVER),
            Next::Upgraded | Next::Continue => {}
            Next::Closed(reason) => return Told::Closed(reason),
            Next::Finished => return Told::Finished,
            Next::Io(mut io) => {
                assert!(input.is_empty(), "input: left behind");
                if let Some(target) = io.read_target().filter(|_| !rest.is_empty()) {
                    ledger.census.reads_into_target += 1;
                    let count = fill(target, rest);
                    io.filled(count);
                    return Told::Nothing;
                }
                let written = self.stream.map_or(0, |stream| net.write(stream, SERVER, io.pending()));
                io.written(written);
                self.work.explain(written);
                ledger.census.segments += u64::from(written > 0);
                if written == 0 && rest.is_empty() {
                    self.deadline = io.deadline();
                    return Told::Waits;
                }
                *input = Input::new(mem::take(rest));
            }
        }
        Told::Nothing
    }
}
