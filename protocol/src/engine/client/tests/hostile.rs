use proptest::prelude::*;

use super::*;

/// Anything that a server, the network or the application may do, in any order.
#[derive(Clone, Debug)]
enum Event {
    /// An answer to a request so many numbers back.
    Answer(u64, u16, String),
    Bytes(u64, Vec<u8>),
    Fail(u64),
    StreamOpens,
    StreamEnds,
    StreamFails,
    Frames(Vec<String>),
    Input(Vec<u8>),
    Send(usize),
    Close,
    Abort,
    Wait(u32),
    WaitBackwards,
    /// Lets the client go on, writing so many bytes of every offer.
    Run(usize),
}

fn packet() -> impl Strategy<Value = String> {
    let packets = [
        HANDSHAKE,
        "0{}",
        r#"0{"sid":"x","upgrades":["websocket"],"pingInterval":1,"pingTimeout":1,"maxPayload":1}"#,
        r#"0{"sid":"","pingInterval":-1,"pingTimeout":1e300}"#,
        "1",
        "2",
        "2probe",
        "3",
        "3probe",
        "4a",
        "4",
        "5",
        "6",
        "7",
        "",
        "bAQ==",
        "b!",
        "b",
    ];
    prop::sample::select(packets.to_vec()).prop_map(String::from)
}

fn event() -> impl Strategy<Value = Event> {
    let payload = || prop::collection::vec(packet(), 1..4).prop_map(|packets| packets.join("\u{1e}"));
    let status = || prop_oneof![8 => Just(200), 1 => any::<u16>()];
    prop_oneof![
        3 => (0..3_u64, Just(200), Just(HANDSHAKE.to_string())).prop_map(|(id, status, body)| Event::Answer(id, status, body)),
        8 => (0..3_u64, status(), payload()).prop_map(|(id, status, body)| Event::Answer(id, status, body)),
        1 => (0..3_u64, any::<Vec<u8>>()).prop_map(|(id, body)| Event::Bytes(id, body)),
        1 => (0..3_u64).prop_map(Event::Fail),
        4 => Just(Event::StreamOpens),
        1 => Just(Event::StreamEnds),
        1 => Just(Event::StreamFails),
        8 => prop::collection::vec(packet(), 1..4).prop_map(Event::Frames),
        2 => Just(Event::Frames(vec!["3probe".to_string()])),
        1 => any::<Vec<u8>>().prop_map(Event::Input),
        3 => (0..300_usize).prop_map(Event::Send),
        1 => Just(Event::Close),
        1 => Just(Event::Abort),
        3 => (0..400_u32).prop_map(Event::Wait),
        1 => Just(Event::WaitBackwards),
        8 => prop_oneof![Just(usize::MAX), 0..9_usize].prop_map(Event::Run),
    ]
}

/// Keeps the books of what a client may do.
struct Auditor {
    client: Client,
    now: Instant,
    count: u64,
    polling: Vec<RequestId>,
    posting: Vec<RequestId>,
    stream: bool,
    open: bool,
    inbound: Vec<u8>,
    opened: bool,
    upgraded: bool,
    over: bool,
    finished: bool,
}

impl Auditor {
    fn new(config: Config) -> Self {
        let config = Config { upgrade_timeout: 250 * MS, max_payload: 500, max_handshake: 200, ..config };
        let now = Instant::EPOCH + 1000 * MS;
        Self {
            client: Client::new(Arc::new(config), Random::new(Seed::new([7; 32])), now),
            now,
            count: 0,
            polling: Vec::new(),
            posting: Vec::new(),
            stream: false,
            open: false,
            inbound: Vec::new(),
            opened: false,
            upgraded: false,
            over: false,
            finished: false,
        }
    }

    fn known(&mut self, back: u64) -> RequestId {
        let id = RequestId(self.count.saturating_sub(back));
        self.forget(id);
        id
    }

    fn forget(&mut self, id: RequestId) -> bool {
        let before = self.polling.len() + self.posting.len();
        self.polling.retain(|open| *open != id);
        self.posting.retain(|open| *open != id);
        before > self.polling.len() + self.posting.len()
    }

    fn apply(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Answer(back, status, body) => {
                let id = self.known(back);
                self.client.handle_response(now, id, status, body.into());
            }
            Event::Bytes(back, body) => {
                let id = self.known(back);
                self.client.handle_response(now, id, 200, body.into());
            }
            Event::Fail(back) => {
                let id = self.known(back);
                self.client.handle_request_failed(now, id, "failed".to_string());
            }
            Event::StreamOpens if self.stream => {
                self.open = true;
                self.client.handle_stream_opened(now);
            }
            Event::StreamEnds if self.stream => {
                (self.stream, self.open) = (false, false);
                self.inbound.clear();
                self.client.handle_stream_closed(now);
            }
            Event::StreamFails if self.stream => {
                (self.stream, self.open) = (false, false);
                self.inbound.clear();
                self.client.handle_stream_failed(now, "failed");
            }
            Event::Frames(frames) if self.open => {
                frames.iter().for_each(|text| self.inbound.extend_from_slice(Frame::text(text).as_bytes()));
            }
            Event::Input(bytes) if self.open => self.inbound.extend(bytes),
            Event::StreamOpens | Event::StreamEnds | Event::StreamFails | Event::Frames(_) | Event::Input(_) => {}
            Event::Send(length) => {
                let sent = self.client.send(now, Packet::text(&"s".repeat(length)));
                assert!(!(self.over && sent.is_ok()));
            }
            Event::Close => self.client.close(now),
            Event::Abort => self.client.abort(now, CloseReason::TransportClose),
            Event::Wait(time) => self.now += time * MS,
            Event::WaitBackwards => self.client.handle_request_failed(Instant::EPOCH, RequestId(0), "nothing"),
            Event::Run(portion) => self.run(portion),
        }
    }

    /// Nothing is left after the last deadline, whatever the server does not do.
    fn finish(&mut self) {
        self.client.close(self.now);
        self.run(0);
        self.now += 30_000 * MS;
        self.run(0);
        assert!(self.finished);
        assert_eq!(self.client.queued(), 0);
    }

    fn run(&mut self, portion: usize) {
        let mut bytes = mem::take(&mut self.inbound);
        let mut input = Input::new(&mut bytes);
        // Every input leads to a bounded number of results.
        for _ in 0..1000 {
            match self.client.next(self.now, &mut input) {
                Next::Opened => assert!(!mem::replace(&mut self.opened, true) && !self.over),
                Next::Message(_) => assert!(self.opened && !self.over, "a message out of place"),
                Next::Request(request) => {
                    self.count += 1;
                    assert_eq!(request.id, RequestId(self.count));
                    assert!(!self.upgraded, "a request after the upgrade");
                    let open = if request.method() == "GET" { &mut self.polling } else { &mut self.posting };
                    open.push(request.id);
                    assert_eq!(open.len(), 1, "two of a kind at a time");
                }
                Next::CancelRequest(id) => assert!(self.forget(id), "nothing to give up"),
                Next::OpenStream(_) => assert!(!mem::replace(&mut self.stream, true)),
                Next::Ping => {}
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true) && self.polling.is_empty()),
                Next::CloseStream => {
                    assert!(mem::take(&mut self.stream), "no stream to close");
                    self.open = false;
                }
                Next::Failed(_) => assert!(!mem::replace(&mut self.over, true) && !self.opened),
                Next::Closed(..) => assert!(!mem::replace(&mut self.over, true), "closed twice"),
                Next::Finished => {
                    assert!(self.over && !self.stream);
                    assert!(self.polling.is_empty() && self.posting.is_empty());
                    self.finished = true;
                    return;
                }
                Next::Io(mut io) => {
                    assert!(!self.finished, "alive again");
                    assert!(input.is_empty());
                    assert!(io.deadline() > self.now, "would be called again and again");
                    assert_eq!(io.wants_read(), self.open);
                    assert!(self.open || io.pending().count() == 0);
                    let offered: usize = io.pending().map(<[u8]>::len).sum();
                    io.written(offered.min(portion));
                    return;
                }
            }
        }
        panic!("never waits");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_client_keeps_the_books_and_ends(
        transports in prop::sample::select(vec![WEBSOCKET, POLLING, UPGRADING, &[Transport::WebSocket, Transport::Polling]]),
        all: bool,
        opens: bool,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut auditor = Auditor::new(Config { try_all_transports: all, ..config(transports) });
        if opens {
            let answer = Event::Answer(0, 200, HANDSHAKE.to_string());
            let frames = Event::Frames(vec![HANDSHAKE.to_string()]);
            let run = || Event::Run(usize::MAX);
            [run(), answer, Event::StreamOpens, frames, run(), Event::StreamOpens, run()].into_iter().for_each(|event| auditor.apply(event));
        }
        events.into_iter().for_each(|event| auditor.apply(event));
        auditor.finish();
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, read_size in 1..9_usize, stage in 0..3_usize) {
        let mut world = match stage {
            0 => World::new(config(WEBSOCKET)),
            1 => World::probing(),
            _ => World::websocket(),
        };
        world.open_stream();
        (world.read_size, world.inbound) = (read_size, bytes);
        world.run();
        world.client.abort(world.now, CloseReason::TransportClose);
        world.run();
        prop_assert_eq!(world.log().pop().unwrap(), "finished");
    }

    #[test]
    fn any_answer_is_read_without_panic(body: Vec<u8>, opened: bool) {
        let mut world = if opened { World::polling() } else { World::new(config(POLLING)) };
        let id = if opened { 2 } else { 1 };
        world.client.handle_response(world.now, RequestId(id), 200, body.into());
        world.run();
        world.client.abort(world.now, CloseReason::TransportClose);
        world.run();
        prop_assert_eq!(world.log().pop().unwrap(), "finished");
    }
}

#[test]
fn every_order_of_what_happens_around_an_upgrade_keeps_the_books() {
    let frames = |packet: &str| Event::Frames(vec![packet.to_string()]);
    let answer = |back, body: &str| Event::Answer(back, 200, body.to_string());
    let events = [
        answer(0, "4a"),
        answer(1, "6"),
        answer(0, "1"),
        Event::StreamOpens,
        frames("3probe"),
        frames("4x"),
        frames("1"),
        Event::StreamEnds,
        Event::Send(1),
        Event::Wait(250),
        Event::Close,
    ];
    for order in 0..events.len().pow(4) {
        for run_between in [true, false] {
            let mut auditor = Auditor::new(config(UPGRADING));
            for event in [Event::Run(usize::MAX), answer(0, HANDSHAKE), Event::Run(usize::MAX), Event::StreamOpens] {
                auditor.apply(event);
            }
            for place in 0..4 {
                auditor.apply(events[order / events.len().pow(place) % events.len()].clone());
                if run_between {
                    auditor.run(usize::MAX);
                }
            }
            auditor.finish();
        }
    }
}

#[test]
fn a_length_that_is_only_declared_takes_no_memory() {
    for header in [&b"\x82\x7f\x00\x00\x00\x00\x06\x40\x00\x00"[..], b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"] {
        let mut world = World::websocket();
        world.inbound = header.to_vec();
        world.run();
        world.inbound = vec![0; 100];
        world.run();
        let mut room = 0;
        if let Next::Io(mut io) = world.client.next(world.now, &mut Input::empty()) {
            room = io.read_target().map_or(0, |target| target.len());
        }
        assert!(room < 64 << 10, "{room}");
    }
    let mut world = World::websocket();
    world.frame(&Frame::from_finished(Bytes::from_static(b"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff")));
    assert_eq!(world.log()[0], "closed: transport error: close code 1002");
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_header() {
    let mut world = World::new(Config { max_payload: 1000, ..config(WEBSOCKET) });
    world.open_stream();
    world.text(HANDSHAKE);
    world.text(&format!("4{}", "x".repeat(999)));
    assert!(world.log()[2].starts_with("text xxx"));
    world.inbound = b"\x81\x7e\x03\xe9".to_vec();
    world.run();
    assert_eq!(world.log(), ["closed: transport error: close code 1009", "close stream", "finished"]);
    assert_eq!(world.frames(), ["close 1009"]);
}
