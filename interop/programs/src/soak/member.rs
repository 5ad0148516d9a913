//! One of the clients, and what it does.

use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use event_listener::Event;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::{self, FuturesUnordered};
use socketio_driver::protocol::engine::Transport;
use socketio_driver::protocol::{Random, Seed};
use socketio_driver::{AckError, Binary, Client, ClientBuilder, DisconnectReason, Runtime};

use super::ledger::{Journal, Membership, ROOMS, Said, Verdict, is_sure, lock};
use super::{Deeds, Soak};
use crate::faulty::Faulty;

/// The number of a question, the turn in which it was asked, and the answer.
type Answered = (u64, u64, Result<(u64, String), AckError>);
type Asked = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// One of the clients.
pub(super) struct Member<R: Runtime> {
    soak: Arc<Soak>,
    runtime: R,
    faulty: Faulty<R>,
    random: Random,
    number: u32,
    client: Client,
    life: Arc<Life>,
    asked: FuturesUnordered<Asked>,
    next_ask: u64,
}

/// What the handlers of a client share with it.
pub(super) struct Life {
    soak: Arc<Soak>,
    number: u32,
    journal: Mutex<Journal>,
    /// It was connected or disconnected.
    turned: Event,
}

impl Life {
    fn judge(&self, verdict: impl FnOnce(&mut Journal) -> Verdict) {
        let verdict = verdict(&mut lock(&self.journal));
        if let Err(fault) = verdict {
            self.soak.faults.add(format!("client {}: {fault}", self.number));
        }
    }

    fn connected(&self, client: &Client) {
        Deeds::count(&self.soak.deeds.connections);
        self.judge(|journal| journal.connected(&self.soak.ledger, client.id().as_deref()));
        self.turned.notify(usize::MAX);
    }

    fn disconnected(&self, reason: DisconnectReason) {
        self.judge(|journal| journal.disconnected(&self.soak.ledger, reason));
        self.turned.notify(usize::MAX);
    }

    fn hears(&self, connection: &str, said: Said, data: Option<Binary>) {
        Deeds::count(&self.soak.deeds.heard);
        self.judge(|journal| journal.hears(&self.soak.ledger, connection, said));
        self.judge(|_| check_data(said.3, data));
    }

    fn echoed(&self, number: u64, data: Option<Binary>) {
        Deeds::count(&self.soak.deeds.echoes);
        self.judge(|journal| journal.echoes.comes(number));
        self.judge(|_| check_data(number, data));
    }

    fn turns(&self) -> u64 {
        lock(&self.journal).turns
    }

    /// Waits until it is connected or disconnected once more than `turns` times.
    async fn turned_since(&self, turns: u64) {
        loop {
            let turned = self.turned.listen();
            if self.turns() != turns {
                return;
            }
            turned.await;
        }
    }
}

/// The attachment of a message: some have one.
fn data(number: u64) -> Option<Binary> {
    let length = usize::try_from(number % 700).unwrap_or(0);
    number.is_multiple_of(16).then(|| Binary::from(vec![number.to_le_bytes()[0]; length]))
}

fn check_data(number: u64, came: Option<Binary>) -> Verdict {
    if came.map(|came| came.0) == data(number).map(|data| data.0) {
        return Ok(());
    }
    Err(format!("the attachment of {number} has changed"))
}

impl<R: Runtime> Member<R> {
    /// A client that begins to connect.
    pub(super) fn new(soak: &Arc<Soak>, runtime: R, number: u32) -> Self {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&soak.options.seed.to_le_bytes());
        seed[8..12].copy_from_slice(&number.to_le_bytes());
        let faulty = Faulty::new(runtime.clone(), &soak.census);
        let (client, life) = start(soak, &faulty, number);
        Self {
            soak: Arc::clone(soak),
            runtime,
            faulty,
            random: Random::new(Seed::new(seed)),
            number,
            client,
            life,
            asked: FuturesUnordered::new(),
            next_ask: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        u64::from_le_bytes(self.random.bytes()) % end
    }

    fn deeds(&self) -> &Deeds {
        &self.soak.deeds
    }

    /// Does one thing after the other, until the time is over, and then comes to rest.
    pub(super) async fn live(mut self, until: Instant) -> Self {
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let pause = Duration::from_millis(self.below(2 * self.soak.options.pace_ms.max(1)));
            self.rest(pause.min(left)).await;
            if Instant::now() < until {
                self.act().await;
            }
        }
        self.settle().await;
        self
    }

    async fn act(&mut self) {
        match self.below(100) {
            0..45 => self.talk(),
            45..60 => self.ask(),
            60..75 => self.echo(),
            75..85 => self.stroll().await,
            85..90 => self.leave_and_return().await,
            90..93 => self.renew().await,
            93..96 if !is_sure(self.number) => self.have_disconnected().await,
            _ => self.break_off().await,
        }
        self.enter().await;
    }

    /// Says something in both rooms, for everybody to hear.
    pub(super) async fn say_last_words(self) -> Self {
        (0..ROOMS).for_each(|room| self.say(room));
        self.send_echo();
        self.inquire().await
    }

    /// Has a question answered.
    pub(super) async fn inquire(mut self) -> Self {
        self.ask();
        self.settle().await;
        self
    }

    /// Everybody has said their last words, and all questions are answered.
    pub(super) fn check(&self) {
        self.life.judge(|journal| journal.check(&self.soak.ledger));
    }

    pub(super) async fn close(mut self) {
        self.client.close().await;
        self.settle_questions().await;
    }

    /// What it is like, for who waits for it in vain.
    pub(super) fn describe(number: u32, life: &Life) -> String {
        let journal = lock(&life.journal);
        let rooms: Vec<_> = (0..ROOMS).map(|room| journal.membership(room)).collect();
        format!("client {number}: turns {}, rooms {rooms:?}, breaking {}", journal.turns, journal.expects_break)
    }

    pub(super) fn life(&self) -> Arc<Life> {
        Arc::clone(&self.life)
    }

    /// Lets time pass, while answers come.
    async fn rest(&mut self, pause: Duration) {
        let mut sleep = pin!(self.runtime.sleep(pause));
        loop {
            let mut answers = self.asked.by_ref().chain(stream::pending());
            let answered = match select(sleep.as_mut(), answers.next()).await {
                Either::Right((Some(answered), _)) => answered,
                _ => return,
            };
            self.answered(answered).await;
        }
    }

    /// Is connected, where it belongs, and waits for nothing.
    async fn settle(&mut self) {
        self.be_connected().await;
        self.enter().await;
        self.settle_questions().await;
    }

    async fn settle_questions(&mut self) {
        while let Some(answered) = self.asked.next().await {
            self.answered(answered).await;
        }
    }

    async fn answered(&mut self, (number, turns, answer): Answered) {
        match answer {
            Ok((echoed, text)) => {
                Deeds::count(&self.deeds().answers);
                self.life.judge(|_| match echoed == number && text == question(number) {
                    true => Ok(()),
                    false => Err(format!("the answer to question {number} is {echoed}, {text}")),
                });
            }
            Err(AckError::Disconnected) => {
                Deeds::count(&self.deeds().unanswered);
                // The question may be told of it first; if it never is, this is found to hang. What was asked before
                // it was connected fails when the client itself gives up, and nothing turns.
                if Journal::is_connected_in(turns) {
                    self.life.turned_since(turns).await;
                }
            }
            Err(error) => self.life.judge(|_| Err(format!("question {number}: {error}"))),
        }
    }

    async fn be_connected(&mut self) {
        if let Err(error) = self.client.connect().await {
            self.life.judge(|_| Err(format!("cannot connect: {error}")));
        }
    }

    /// Joins the rooms that it is not in.
    async fn enter(&mut self) {
        for room in 0..ROOMS {
            while lock(&self.life.journal).membership(room) != Membership::In {
                self.join(room).await;
            }
        }
    }

    async fn join(&mut self, room: usize) {
        let turns = self.request("join", room).await;
        let mut journal = lock(&self.life.journal);
        // Else it has joined on a connection that is gone, or on the next one: it joins again.
        if journal.turns == turns && journal.is_connected() {
            journal.joined(&self.soak.ledger, room);
        }
    }

    async fn leave(&mut self, room: usize) {
        self.request("leave", room).await;
        // What was on its way is here with the answer to another question.
        self.request("leave", room).await;
        lock(&self.life.journal).left(room);
    }

    /// Asks for something about a room until it is answered; gives the turn in which the last request was made.
    async fn request(&mut self, event: &str, room: usize) -> u64 {
        let name = self.soak.ledger.room(self.number, room);
        loop {
            let turns = {
                let mut journal = lock(&self.life.journal);
                journal.asks(room);
                journal.turns
            };
            match self.client.emit_with_ack::<String>(event, (&name,)).await {
                Ok(_) => return turns,
                Err(AckError::Disconnected) => {
                    self.life.turned_since(turns).await;
                    self.be_connected().await;
                }
                Err(error) => self.life.judge(|_| Err(format!("{event}: {error}"))),
            }
        }
    }

    fn talk(&mut self) {
        for _ in 0..=self.below(2) {
            let room = usize::from(self.below(2) == 1);
            self.say(room);
        }
    }

    fn say(&self, room: usize) {
        Deeds::count(&self.deeds().said);
        let said: Said = {
            let mut record = self.soak.ledger.of(self.number);
            let number = record.said[room];
            record.said[room] += 1;
            (room, self.number, record.life, number)
        };
        let name = self.soak.ledger.room(self.number, room);
        let emitted = self.client.emit("say", (name, said, data(said.3)));
        self.life.judge(|_| emitted.map_err(|error| error.to_string()));
    }

    fn echo(&mut self) {
        (0..=self.below(3)).for_each(|_| self.send_echo());
    }

    fn send_echo(&self) {
        // Nobody acknowledges it, which one with retries would wait for.
        if is_sure(self.number) {
            return;
        }
        let number = {
            let echoes = &mut lock(&self.life.journal).echoes;
            echoes.next += 1;
            echoes.next - 1
        };
        let emitted = self.client.emit("echo", (number, data(number)));
        self.life.judge(|_| emitted.map_err(|error| error.to_string()));
    }

    fn ask(&mut self) {
        let number = self.next_ask;
        self.next_ask += 1;
        let turns = self.life.turns();
        let mut answer = self.client.emit_with_ack::<(u64, String)>("ack", (number, question(number))).into_future();
        // The first poll sends the question, in the order of what is said.
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match answer.as_mut().poll(&mut cx) {
            std::task::Poll::Ready(answer) => self.asked.push(Box::pin(async move { (number, turns, answer) })),
            std::task::Poll::Pending => self.asked.push(Box::pin(async move { (number, turns, answer.await) })),
        }
    }

    /// Leaves a room, and comes back sooner or later.
    async fn stroll(&mut self) {
        self.leave(1).await;
        let pause = Duration::from_millis(self.below(300));
        self.rest(pause).await;
        self.talk();
    }

    async fn leave_and_return(&mut self) {
        Deeds::count(&self.deeds().disconnects);
        self.talk();
        self.echo();
        self.ask();
        self.client.disconnect();
        self.talk();
        self.echo();
        let pause = Duration::from_millis(self.below(200));
        self.rest(pause).await;
        self.talk();
        self.be_connected().await;
    }

    /// Another client takes the place of this one.
    async fn renew(&mut self) {
        Deeds::count(&self.deeds().renewals);
        self.talk();
        self.ask();
        self.client.close().await;
        self.settle_questions().await;
        self.soak.ledger.of(self.number).begin();
        (self.client, self.life) = start(&self.soak, &self.faulty, self.number);
        self.talk();
        self.echo();
        self.be_connected().await;
    }

    async fn have_disconnected(&mut self) {
        Deeds::count(&self.deeds().expulsions);
        lock(&self.life.journal).expects_break = true;
        let turns = self.life.turns();
        let closes = self.below(2) == 1;
        let emitted = self.client.emit("disconnect-me", (closes,));
        self.life.judge(|_| emitted.map_err(|error| error.to_string()));
        self.talk();
        self.ask();
        self.life.turned_since(turns).await;
        self.echo();
        self.be_connected().await;
        lock(&self.life.journal).expects_break = false;
    }

    /// Has its connections cut in the middle of something.
    async fn break_off(&mut self) {
        Deeds::count(&self.deeds().cuts);
        lock(&self.life.journal).expects_break = true;
        let refused = self.below(4).saturating_sub(1);
        self.faulty.refuse(u32::try_from(refused).unwrap_or(0));
        let turns = self.life.turns();
        self.talk();
        self.echo();
        let after = self.below(400);
        self.faulty.cut(after);
        self.talk();
        self.ask();
        let pause = Duration::from_millis(self.below(50));
        self.rest(pause).await;
        // From here on no connection that was cut can break later, when nobody expects it.
        self.faulty.cut(0);
        self.talk();
        self.echo();
        self.break_seen(turns).await;
        self.be_connected().await;
        self.faulty.refuse(0);
        lock(&self.life.journal).expects_break = false;
    }

    /// Waits until the client knows of a cut, or is known not to need what was cut: a connection that rests, say.
    async fn break_seen(&mut self, turns: u64) {
        let life = self.life();
        let answer = self.client.emit_with_ack::<(u64, String)>("ack", (0, "")).into_future();
        select(pin!(life.turned_since(turns)), answer).await;
    }
}

fn question(number: u64) -> String {
    format!("question {number}")
}

/// The transports by number: half of the clients begin with WebSocket, some poll, the others begin with that.
pub(super) fn polls(number: u32) -> bool {
    number % 10 == 1
}

/// A client that begins to connect.
fn start<R: Runtime>(soak: &Arc<Soak>, faulty: &Faulty<R>, number: u32) -> (Client, Arc<Life>) {
    let journal = Mutex::new(Journal::new(number));
    let life = Arc::new(Life { soak: Arc::clone(soak), number, journal, turned: Event::new() });
    let lives: [_; 5] = std::array::from_fn(|_| Arc::clone(&life));
    let [connects, disconnects, hears, echoes, errs] = lives;
    let mut builder = ClientBuilder::new(faulty.clone(), &soak.options.url)
        .reconnection_delay(Duration::from_millis(50))
        .reconnection_delay_max(Duration::from_secs(1))
        .on_connect(move |client: Client| {
            connects.connected(&client);
            async {}
        })
        .on_disconnect(move |reason: DisconnectReason| {
            disconnects.disconnected(reason);
            async {}
        })
        .on("said", move |(connection, said, data): (String, Said, Option<Binary>)| {
            hears.hears(&connection, said, data);
            async {}
        })
        .on("echo", move |(number, data): (u64, Option<Binary>)| {
            echoes.echoed(number, data);
            async {}
        })
        .on_error(move |_, event, error| errs.judge(|_| Err(format!("{event}: {error}"))));
    builder = match number % 10 {
        _ if polls(number) => builder.transports(&[Transport::Polling]),
        0..6 => builder.transports(&[Transport::WebSocket]),
        _ => builder.transports(&[Transport::Polling, Transport::WebSocket]),
    };
    if is_sure(number) {
        builder = builder.retries(u32::MAX - 1);
    }
    let client = builder.start().unwrap_or_else(|error| panic!("{}: {error}", soak.options.url));
    (client, life)
}
