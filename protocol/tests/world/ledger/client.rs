//! The clients' side.

use super::*;

impl Ledger {
    /// A client has emitted a message, without retries.
    pub(crate) fn client_emits(&mut self, (client, namespace): Place, number: u64, ack: Option<(u64, Instant)>) {
        let socket = &mut self.sockets[client][namespace];
        if let Some((id, deadline)) = ack {
            assert!(socket.awaited.insert(id, (number, deadline)).is_none(), "twice: the ack id {id} is given out");
        }
        match socket.talk {
            Some(talk) => self.talks[talk].flows[CLIENT].push_back(Item::Message(number)),
            None => socket.kept.push_back((number, ack.map(|(id, _)| id))),
        }
        self.census.sent_up += 1;
    }

    /// A client has emitted a message with retries.
    pub(crate) fn client_ensures(&mut self, (client, namespace): Place, number: u64, id: u64) {
        self.sockets[client][namespace].sure.push_back((number, id));
        self.census.retried += 1;
    }

    /// A client answers a message that it heard in `talk`; whether its socket took the answer.
    pub(crate) fn client_answers(&mut self, talk: usize, id: u64, taken: bool) {
        assert_eq!(taken, self.is_open(talk, CLIENT), "answer: taken in {talk}, or not");
        if taken {
            self.talks[talk].flows[CLIENT].push_back(Item::Answer(id));
        }
    }

    /// A client drops what its socket has kept.
    pub(crate) fn client_discards(&mut self, (client, namespace): Place) {
        self.sockets[client][namespace].kept.clear();
    }

    /// How many answers are awaited without retries; how many events wait.
    pub(crate) fn client_load(&self, (client, namespace): Place) -> (usize, usize) {
        let socket = &self.sockets[client][namespace];
        (socket.awaited.len(), socket.kept.len() + socket.sure.len())
    }

    pub(crate) fn client_connected(&mut self, place: Place, link: u64, id: Option<&str>) {
        let talk: usize = id.and_then(|id| id.parse().ok()).expect("connected: without an id of ours");
        let socket = &mut self.sockets[place.0][place.1];
        assert!(socket.talk.replace(talk).is_none(), "connected: twice, in {talk}");
        let with = self.talks.get_mut(talk).expect("connected: nobody was let in");
        assert_eq!((with.place, with.link), (place, link), "connected: somebody else was let in");
        assert_eq!(with.ends[CLIENT], End::Before, "connected: again to {talk}");
        with.ends[CLIENT] = End::Open;
        with.flows[CLIENT].extend(socket.kept.drain(..).map(|(number, _)| Item::Message(number)));
        self.census.sockets += 1;
    }

    pub(crate) fn client_disconnected(&mut self, (client, namespace): Place, reason: DisconnectReason, now: Instant) {
        let socket = &mut self.sockets[client][namespace];
        let talk = socket.talk.take().expect("ended: told to a socket that is not connected");
        self.judge(talk, CLIENT, reason, now);
        *match reason {
            DisconnectReason::IoClientDisconnect => &mut self.census.disconnects_by_client,
            DisconnectReason::Connection(CloseReason::PingTimeout) => &mut self.census.ping_timeouts_of_client,
            _ => &mut self.census.lost_by_client,
        } += 1;
    }

    pub(crate) fn client_heard(&mut self, (client, namespace): Place, body: &Body, now: Instant) -> usize {
        let talk = self.sockets[client][namespace].talk.expect("outside: a message for a socket that is not connected");
        self.check_message(body);
        self.hear(talk, SERVER, Item::Message(body.number), now);
        self.census.heard_down += 1;
        talk
    }

    pub(crate) fn client_acked(&mut self, (client, namespace): Place, id: u64, number: u64, now: Instant) {
        let socket = &mut self.sockets[client][namespace];
        let talk = socket.talk.expect("outside: an answer for a socket that is not connected");
        let asked = match socket.sure.front() {
            Some((number, ack)) if *ack == id => {
                assert!(self.messages[*number as usize].heard > 0, "answer: to message {number} that nobody heard");
                socket.sure.pop_front().map(|(number, _)| number)
            }
            _ => socket.awaited.remove(&id).map(|(number, deadline)| {
                assert!(deadline > now, "late: the answer to message {number}");
                number
            }),
        };
        assert_eq!(asked, Some(number), "answer: to another message, or nobody awaits {id}");
        self.hear(talk, SERVER, Item::Answer(id), now);
        self.census.acks_up += 1;
    }

    pub(crate) fn client_ack_failed(&mut self, (client, namespace): Place, id: u64, error: AckError, now: Instant) {
        let socket = &mut self.sockets[client][namespace];
        if socket.sure.front().is_some_and(|(_, ack)| *ack == id) {
            socket.sure.pop_front();
        } else {
            let (number, deadline) = socket.awaited.remove(&id).expect("twice: the end of an ack, or nobody awaits it");
            match error {
                AckError::Timeout => {
                    assert!(deadline <= now, "early: no answer to message {number} is awaited any more");
                    socket.kept.retain(|(_, ack)| *ack != Some(id));
                }
                AckError::Disconnected => {
                    assert_eq!(socket.talk, None, "failed: {number}, but the socket is connected")
                }
                error => panic!("failed: {number} for {error}"),
            }
        }
        match error {
            AckError::Timeout => self.census.ack_timeouts_up += 1,
            _ => self.census.acks_failed += 1,
        }
    }

    /// It is this late: every ack whose time is over was told to be.
    pub(crate) fn check_client_time(&self, client: usize, now: Instant) {
        for (number, deadline) in self.sockets[client].iter().flat_map(|socket| socket.awaited.values()) {
            assert!(*deadline > now, "forgotten: the time for the answer to message {number} is over");
        }
    }

    /// What a client's socket should be like when it has told everything: connected or not, and how many events it keeps.
    pub(crate) fn check_client(&self, (client, namespace): Place, is_connected: bool, kept: usize) {
        let socket = &self.sockets[client][namespace];
        assert_eq!(is_connected, socket.talk.is_some(), "connected: not as it was told");
        assert_eq!(kept, socket.kept.len() + socket.sure.len(), "kept: not what was emitted");
        for (id, (number, _)) in &socket.awaited {
            let is_kept = socket.kept.iter().any(|(_, ack)| *ack == Some(*id));
            assert!(is_connected || is_kept, "forgotten: message {number} will not be answered");
        }
    }
}
