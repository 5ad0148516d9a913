use alloc::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// Anything that may happen to a session, in any order.
#[derive(Clone, Debug)]
enum Event {
    Poll,
    Post(String),
    BinaryPost,
    Upload,
    /// The latest upload ends, if it has no answer yet: with its body, or refused by the caller.
    Uploaded(bool),
    /// Aborts an exchange that may be open, answered or unknown.
    Abort(u64),
    Stream,
    StreamEnds,
    Frames(Vec<&'static str>),
    Bytes(Vec<u8>),
    Send(usize),
    Close,
    Pause(bool),
    Wait(u32),
    WaitBackwards,
    /// Lets the session go on, writing so many bytes of every offer.
    Run(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let packets = || prop::sample::select(vec!["4a", "4b\u{1e}4c", "3", "1", "2", "bAQID", "x", "", "6", "5"]);
    let frames = prop::sample::select(vec!["2probe", "5", "4a", "4b", "3", "1", "2", "bAQID", "x", "", "6"]);
    prop_oneof![
        4 => Just(Event::Poll),
        3 => packets().prop_map(|body| Event::Post(body.to_string())),
        1 => Just(Event::BinaryPost),
        2 => Just(Event::Upload),
        2 => any::<bool>().prop_map(Event::Uploaded),
        1 => (0..8_u64).prop_map(Event::Abort),
        3 => Just(Event::Stream),
        1 => Just(Event::StreamEnds),
        6 => prop::collection::vec(frames, 1..4).prop_map(Event::Frames),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Event::Bytes),
        3 => (0..300_usize).prop_map(Event::Send),
        1 => Just(Event::Close),
        1 => any::<bool>().prop_map(Event::Pause),
        3 => (0..400_u32).prop_map(Event::Wait),
        1 => Just(Event::WaitBackwards),
        8 => prop_oneof![Just(usize::MAX), 0..9_usize].prop_map(Event::Run),
    ]
}

/// Keeps the books of what a session owes.
struct Auditor {
    session: Session,
    now: Instant,
    exchange: u64,
    unanswered: BTreeSet<u64>,
    upload: Option<u64>,
    stream: bool,
    inbound: Vec<u8>,
    upgraded: bool,
    closed: bool,
    finished: bool,
}

impl Auditor {
    fn new(transport: Transport) -> Self {
        let config = Config { max_queued: 2000, upgrade_timeout: 250 * MS, max_payload: 64, ..config() };
        let World { session, now, .. } = World::new(config, transport);
        let stream = transport == Transport::WebSocket;
        Self {
            session,
            now,
            exchange: 0,
            unanswered: BTreeSet::new(),
            upload: None,
            stream,
            inbound: Vec::new(),
            upgraded: false,
            closed: false,
            finished: false,
        }
    }

    fn request(&mut self, kind: ExchangeKind) {
        self.exchange += 1;
        self.unanswered.insert(self.exchange);
        self.session.handle_exchange(self.now, Exchange { id: ExchangeId(self.exchange), kind });
        self.finished = false;
    }

    fn apply(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Poll => self.request(ExchangeKind::Poll),
            Event::Post(body) => self.request(ExchangeKind::Post { body: body.into_bytes().into(), binary: false }),
            Event::BinaryPost => self.request(ExchangeKind::Post { body: Bytes::from_static(b"4a"), binary: true }),
            Event::Upload => {
                self.request(ExchangeKind::Upload);
                self.upload = Some(self.exchange);
            }
            Event::Uploaded(whole) => {
                self.run(0);
                let Some(id) = self.upload.take().filter(|id| self.unanswered.contains(id)) else { return };
                if whole {
                    let kind = ExchangeKind::Post { body: Bytes::from_static(b"4a"), binary: false };
                    self.session.handle_exchange(now, Exchange { id: ExchangeId(id), kind });
                } else {
                    self.unanswered.remove(&id);
                    self.session.handle_refusal(now, ExchangeId(id));
                }
            }
            Event::Abort(back) => {
                let id = self.exchange.saturating_sub(back);
                self.unanswered.remove(&id);
                self.session.handle_abort(now, ExchangeId(id));
            }
            Event::Stream => {
                let accepted = self.session.handle_stream(now).is_ok();
                assert!(!(accepted && (self.stream || self.closed || self.upgraded)));
                self.stream |= accepted;
            }
            Event::StreamEnds if self.stream => {
                self.stream = false;
                self.inbound.clear();
                self.session.handle_stream_closed(now);
            }
            Event::Frames(frames) if self.stream => {
                frames.iter().for_each(|text| Frame::text(text).write_masked([1, 2, 3, 4], &mut self.inbound));
            }
            Event::Bytes(bytes) if self.stream => self.inbound.extend(bytes),
            Event::StreamEnds | Event::Frames(_) | Event::Bytes(_) => {}
            Event::Send(length) => {
                let sent = self.session.send(Packet::text(&"s".repeat(length)));
                assert!(!(self.closed && sent.is_ok()));
            }
            Event::Close => self.session.close(now, CloseReason::ForcedClose),
            Event::Pause(paused) => self.session.pause(now, paused),
            Event::Wait(time) => self.now += time * MS,
            Event::WaitBackwards => self.session.pause(Instant::EPOCH, false),
            Event::Run(portion) => self.run(portion),
        }
    }

    /// Nothing is left after the last deadline, whatever the peer does not do.
    fn finish(&mut self) {
        self.session.close(self.now, CloseReason::ForcedClose);
        self.run(0);
        self.now += 30_000 * MS;
        self.run(0);
        // A stream that failed an upgrade just before the end is waited for.
        self.now += LINGER;
        self.run(0);
        assert!(self.finished);
    }

    fn run(&mut self, portion: usize) {
        let mut bytes = mem::take(&mut self.inbound);
        let mut input = Input::new(&mut bytes);
        // Every input leads to a bounded number of results.
        for _ in 0..1000 {
            match self.session.next(self.now, &mut input) {
                Next::Message(_) => assert!(!self.closed, "a message after the end"),
                Next::Answer(id, _) => assert!(self.unanswered.remove(&id.0), "answered twice, or never asked"),
                Next::Upgraded => assert!(!mem::replace(&mut self.upgraded, true)),
                Next::CloseStream => assert!(mem::take(&mut self.stream), "no stream to close"),
                Next::Closed(_) => assert!(!mem::replace(&mut self.closed, true), "closed twice"),
                Next::Finished => {
                    assert!(self.closed && self.unanswered.is_empty() && !self.stream);
                    self.finished = true;
                    return;
                }
                Next::Io(mut io) => {
                    assert!(!self.finished, "alive again");
                    assert!(input.is_empty());
                    assert!(io.deadline() > self.now, "would be called again and again");
                    assert!(self.stream || (!io.wants_read() && io.pending().count() == 0));
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
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_exchange_is_answered_once_and_every_session_ends(
        websocket: bool,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut auditor = Auditor::new(if websocket { Transport::WebSocket } else { Transport::Polling });
        events.into_iter().for_each(|event| auditor.apply(event));
        auditor.finish();
    }

    #[test]
    fn nothing_is_read_from_any_bytes_but_messages_and_an_end(
        bytes: Vec<u8>,
        read_size in 1..9_usize,
    ) {
        let mut world = World::websocket();
        (world.read_size, world.inbound) = (read_size, bytes);
        world.run();
        world.end_stream();
        prop_assert!(world.log().ends_with(&["finished".to_string()]));
    }
}

#[test]
fn every_order_of_what_happens_around_an_upgrade_keeps_the_books() {
    let events = [
        Event::Poll,
        Event::Post("4a".to_string()),
        Event::Upload,
        Event::Uploaded(true),
        Event::Stream,
        Event::Frames(vec!["2probe"]),
        Event::Frames(vec!["5"]),
        Event::StreamEnds,
        Event::Send(1),
        Event::Wait(100),
        Event::Close,
    ];
    for order in 0..events.len().pow(4) {
        for run_between in [true, false] {
            let mut auditor = Auditor::new(Transport::Polling);
            for event in [Event::Poll, Event::Run(usize::MAX), Event::Stream] {
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

/// What an honest client and the application do while an upgrade goes on.
#[derive(Copy, Clone, Debug)]
enum Act {
    ServerSends,
    ClientSends,
    ClientPolls,
    /// The next step of the upgrade.
    Upgrade,
    UpgradeFails,
    Wait,
    Run(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::ServerSends),
        3 => Just(Act::ClientSends),
        3 => Just(Act::ClientPolls),
        3 => Just(Act::Upgrade),
        1 => Just(Act::UpgradeFails),
        2 => Just(Act::Wait),
        4 => prop_oneof![Just(usize::MAX), 1..9_usize].prop_map(Act::Run),
    ]
}

/// A client that keeps the rules: one request of a kind at a time, and `5` only when no poll is open.
struct Client {
    world: World,
    polls: bool,
    stage: usize,
    sent: [u32; 2],
    received: [Vec<u32>; 2],
    waiting: VecDeque<u32>,
}

impl Client {
    fn act(&mut self, act: Act) {
        match act {
            Act::ServerSends => {
                self.sent[0] += 1;
                self.world.session.send(Packet::text(&self.sent[0].to_string())).unwrap();
            }
            Act::ClientSends => {
                self.sent[1] += 1;
                self.waiting.push_back(self.sent[1]);
            }
            Act::ClientPolls if self.stage < 3 && !self.polls => {
                self.polls = true;
                self.world.submit(ExchangeKind::Poll);
            }
            Act::Upgrade => self.upgrade(),
            Act::UpgradeFails if (1..3).contains(&self.stage) => {
                self.world.session.handle_stream_closed(self.world.now);
                self.world.inbound.clear();
                self.world.outbound.clear();
                self.world.decoder = Decoder::new(Role::Client, 1 << 20);
                self.stage = 0;
            }
            Act::Wait => self.world.now += 7 * MS,
            Act::Run(read_size) => self.run(read_size),
            Act::ClientPolls | Act::UpgradeFails => {}
        }
    }

    fn upgrade(&mut self) {
        match self.stage {
            0 if self.world.session.handle_stream(self.world.now).is_ok() => self.stage = 1,
            1 => {
                self.world.write(&[Frame::text("2probe")]);
                self.stage = 2;
            }
            2 if !self.polls => {
                self.world.write(&[Frame::text("5")]);
                self.stage = 3;
            }
            _ => {}
        }
    }

    fn run(&mut self, read_size: usize) {
        self.world.read_size = read_size;
        let waiting = mem::take(&mut self.waiting);
        if self.stage == 3 {
            let frames: Vec<Frame> = waiting.iter().map(|number| Frame::text(&format!("4{number}"))).collect();
            self.world.write(&frames);
        } else if !waiting.is_empty() {
            let packets: Vec<String> = waiting.iter().map(|number| format!("4{number}")).collect();
            let body = packets.join("\u{1e}").into_bytes().into();
            self.world.submit(ExchangeKind::Post { body, binary: false });
        }
        self.world.run();
        for entry in self.world.log() {
            if let Some(number) = entry.strip_prefix("text ") {
                self.received[1].push(number.parse().unwrap());
            } else if let Some((_, packets)) = entry.split_once(": 200 ")
                && packets != "ok"
            {
                self.polls = false;
                self.receive(packets.split('\u{1e}'));
            } else {
                assert!(entry == "upgraded" || entry.ends_with("200 ok"), "{entry}");
            }
        }
        let frames = self.world.frames();
        self.receive(frames.iter().map(String::as_str));
    }

    fn receive<'p>(&mut self, packets: impl Iterator<Item = &'p str>) {
        let messages = packets.filter(|packet| !["6", "3probe"].contains(packet));
        self.received[0].extend(messages.map(|packet| packet.strip_prefix('4').unwrap().parse::<u32>().unwrap()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn an_upgrade_loses_doubles_and_reorders_nothing(acts in prop::collection::vec(act(), 0..80)) {
        let world = World::polling_with(Config { ping_interval: 60_000 * MS, ..config() });
        let (sent, received) = ([0; 2], [Vec::new(), Vec::new()]);
        let mut client = Client { world, polls: false, stage: 0, sent, received, waiting: VecDeque::new() };
        for act in acts {
            client.act(act);
        }
        client.run(usize::MAX);
        client.act(Act::ClientPolls);
        client.run(usize::MAX);
        for (sent, received) in client.sent.iter().zip(client.received) {
            prop_assert_eq!((1..=*sent).collect::<Vec<_>>(), received);
        }
    }
}
