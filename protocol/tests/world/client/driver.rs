//! How the machine is driven by what the network brings.

use super::application::read;
use super::*;

impl Client {
    pub(crate) fn take_answer(&mut self, net: &Network, id: RequestId, status: u16, body: Bytes) {
        self.requests.retain(|(known, _)| *known != id);
        self.work.explain(1 + body.len());
        let now = self.now(net);
        self.machine.handle_response(now, id, status, body);
    }

    pub(crate) fn take_failure(&mut self, net: &Network, id: RequestId) {
        self.requests.retain(|(known, _)| *known != id);
        let now = self.now(net);
        self.machine.handle_request_failed(now, id, "reset");
    }

    pub(crate) fn take_opened(&mut self, net: &Network, stream: u64) {
        if self.stream == Some(stream) {
            let now = self.now(net);
            self.machine.handle_stream_opened(now);
        }
    }

    /// The stream was refused, has ended, or broke.
    pub(crate) fn take_end(&mut self, net: &Network, stream: u64, broke: bool) {
        if self.stream.take_if(|own| *own == stream).is_none() {
            return;
        }
        let now = self.now(net);
        match broke {
            true => self.machine.handle_stream_failed(now, "reset"),
            false => self.machine.handle_stream_closed(now),
        }
    }

    /// Does what is due, and lets the machine take bytes and say what follows, until it waits.
    pub(crate) fn run(&mut self, net: &mut Network, ledger: &mut Ledger, bytes: &mut [u8]) {
        self.is_behind = false;
        self.work.explain(1 + bytes.len());
        self.pay(net, ledger);
        // What has arrived is often read in two parts.
        let split = net.draw(self.index, bytes.len() as u64 + 1) as usize;
        let (first, mut rest) = bytes.split_at_mut(split);
        let mut input = Input::new(first);
        loop {
            match self.step(&mut input, &mut rest, net, ledger) {
                Told::Waits => break,
                told => self.take(told, net, ledger),
            }
        }
        self.check(ledger);
    }

    /// One call of the machine. What is left in `rest` is read when it waits.
    fn step<'b>(
        &mut self,
        input: &mut Input<'b>,
        rest: &mut &'b mut [u8],
        net: &mut Network,
        ledger: &mut Ledger,
    ) -> Told {
        self.work.call(net.now);
        let now = self.clock.read(net.now);
        self.latest = self.latest.max(now);
        match self.machine.next(now, input) {
            Next::Event(event) => return read(event),
            Next::Request(request) => return Told::Request(request),
            Next::OpenStream(target) => return Told::OpenStream(target),
            Next::CancelRequest(id) => {
                ledger.census.requests_cancelled += 1;
                self.requests.retain(|(known, _)| *known != id);
                net.cancel(self.index, id);
            }
            Next::CloseStream => net.close(self.stream.take().expect("unknown: a stream to be closed"), CLIENT),
            Next::Upgraded => ledger.census.upgrades += 1,
            Next::Continue => {}
            Next::Io(mut io) => {
                assert!(input.is_empty(), "input: left behind");
                if let Some(target) = io.read_target().filter(|_| !rest.is_empty()) {
                    ledger.census.reads_into_target += 1;
                    let count = fill(target, rest);
                    io.filled(count);
                    return Told::Nothing;
                }
                let written = self.stream.map_or(0, |stream| net.write(stream, CLIENT, io.pending()));
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

    pub(super) fn request(&mut self, request: Request, net: &mut Network, ledger: &mut Ledger) {
        let (is_poll, link) = (request.body.is_empty(), self.link());
        assert!(self.requests.iter().all(|(_, polls)| *polls != is_poll), "twice: a request");
        self.requests.push((request.id, is_poll));
        if net.request(self.index, link, request) {
            ledger.harm(self.index, link);
        }
    }

    pub(super) fn open_stream(&mut self, target: String, net: &mut Network, ledger: &mut Ledger) {
        let link = self.link();
        if net.is_dark(self.index) {
            ledger.harm(self.index, link);
        }
        let key = Key::generate(&mut Random::new(Seed::new([7; 32])));
        let earlier = self.stream.replace(net.ask(self.index, link, target, key));
        assert_eq!(earlier, None, "twice: a stream");
    }

    fn check(&self, ledger: &Ledger) {
        let is_to_come = self.deadline.is_none_or(|deadline| deadline > self.clock.shown());
        assert!(is_to_come, "deadline: it is over already");
        let manager = self.machine.manager();
        let kept = manager.buffered_bytes();
        assert!(kept <= MAX_KEPT_BYTES.max(self.largest) * self.keys.len(), "limit: {kept} bytes are kept");
        for (namespace, key) in self.keys.iter().enumerate() {
            ledger.check_client((self.index, namespace), manager.is_connected(*key), manager.buffered(*key));
        }
    }
}
