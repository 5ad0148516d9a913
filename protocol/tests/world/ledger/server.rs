//! The server's side.

use super::*;

impl Ledger {
    /// The id that the next socket that is let in gets.
    pub(crate) fn next_talk(&self) -> usize {
        self.talks.len()
    }

    /// The server has let somebody in.
    pub(crate) fn server_accepts(&mut self, place: Place, link: u64) {
        self.talks.push(Talk {
            place,
            link,
            ends: [End::Before, End::Open],
            ended_by: [false; 2],
            flows: Default::default(),
            awaited: BTreeMap::new(),
            sure: 0,
        });
    }

    /// The server has emitted a message; whether the socket was there.
    pub(crate) fn server_emits(&mut self, talk: usize, number: u64, taken: bool) {
        assert_eq!(taken, self.is_open(talk, SERVER), "emitted: taken in {talk}, or not");
        if taken {
            self.talks[talk].flows[SERVER].push_back(Item::Message(number));
            self.census.sent_down += 1;
        }
    }

    pub(crate) fn server_awaits(&mut self, talk: usize, id: u64, number: u64, deadline: Instant) {
        let earlier = self.talks[talk].awaited.insert(id, (number, deadline));
        assert_eq!(earlier, None, "twice: the ack id {id} is given out");
    }

    /// How many answers are awaited.
    pub(crate) fn server_load(&self, talk: usize) -> usize {
        self.talks[talk].awaited.len()
    }

    /// The server answers a message; whether the socket was there.
    pub(crate) fn server_answers(&mut self, talk: usize, id: u64, taken: bool) {
        assert_eq!(taken, self.is_open(talk, SERVER), "answer: taken in {talk}, or not");
        if taken {
            self.talks[talk].flows[SERVER].push_back(Item::Answer(id));
        }
    }

    pub(crate) fn server_heard(&mut self, talk: usize, body: &Body, now: Instant) {
        if self.check_message(body).is_some() {
            let with = &mut self.talks[talk];
            assert!(
                with.ends == [End::Open; 2] || with.ends[SERVER] == End::Open,
                "outside: {} in {talk}",
                body.number
            );
            assert!(with.sure <= body.number, "order: message {} after {} in {talk}", body.number, with.sure);
            with.sure = body.number;
        } else {
            self.hear(talk, CLIENT, Item::Message(body.number), now);
        }
        self.census.heard_up += 1;
    }

    pub(crate) fn server_acked(&mut self, talk: usize, id: u64, number: u64, now: Instant) {
        let (asked, deadline) = self.talks[talk].awaited.remove(&id).expect("twice: an answer, or nobody awaits it");
        assert_eq!(asked, number, "answer: to another message");
        assert!(deadline > now, "late: the answer to message {number}");
        self.hear(talk, CLIENT, Item::Answer(id), now);
        self.census.acks_down += 1;
    }

    pub(crate) fn server_timeout(&mut self, talk: usize, id: u64, now: Instant) {
        let (number, deadline) = self.talks[talk].awaited.remove(&id).expect("twice: the end of an ack");
        assert!(deadline <= now, "early: no answer to message {number} is awaited any more");
        self.census.ack_timeouts_down += 1;
    }

    pub(crate) fn server_disconnected(&mut self, talk: usize, reason: DisconnectReason, now: Instant) {
        self.judge(talk, SERVER, reason, now);
        self.talks[talk].awaited.clear();
        *match reason {
            DisconnectReason::ServerNamespaceDisconnect => &mut self.census.disconnects_by_server,
            DisconnectReason::Connection(CloseReason::PingTimeout) => &mut self.census.ping_timeouts_of_server,
            _ => &mut self.census.lost_by_server,
        } += 1;
    }

    /// The server is gone, and with it what it knew.
    pub(crate) fn server_restarts(&mut self) {
        for talk in &mut self.talks {
            talk.ends[SERVER] = End::Over;
            talk.awaited.clear();
        }
    }

    /// It is this late: every ack whose time is over was told to be.
    pub(crate) fn check_server_time(&self, now: Instant) {
        for (number, deadline) in self.talks.iter().flat_map(|talk| talk.awaited.values()) {
            assert!(*deadline > now, "forgotten: the time for the answer to message {number} is over");
        }
    }
}
