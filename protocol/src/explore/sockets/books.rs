use alloc::vec::Vec;
use core::mem;

use crate::SocketId;
use crate::client::Client;
use crate::socket::manager::{AckRequest, Event, SocketOptions};
use crate::socket::{self, Binary, ConnectRequest, Payload, SocketKey};

/// How many events were sent, and which have arrived, a bit for each.
#[derive(Clone, Default, Hash)]
pub(in crate::explore) struct Traffic {
    pub(super) sent: u32,
    pub(super) seen: u32,
}

impl Traffic {
    fn receive(&mut self, number: u32) {
        assert_eq!(self.seen & 1 << number, 0, "twice");
        self.seen |= 1 << number;
    }

    /// Whether all that the other side has sent has arrived.
    pub(super) fn has_all(&self, other: &Self) -> bool {
        self.seen.count_ones() == other.sent
    }
}

/// What the client's application knows.
#[derive(Clone, Hash)]
pub(in crate::explore) struct Here {
    pub(super) books: Vec<Book>,
}

/// What it knows of one socket.
#[derive(Clone, Hash)]
pub(in crate::explore) struct Book {
    pub(super) key: SocketKey,
    pub(super) connected: bool,
    pub(super) traffic: Traffic,
    /// The latest event.
    last: u32,
    /// Questions that were neither answered nor given up.
    pub(super) awaited: Vec<u64>,
    /// Questions of the server that are to be answered.
    pub(super) questions: Vec<AckRequest>,
}

impl Here {
    pub(super) fn new(client: &mut Client, names: &[&str]) -> Self {
        let books = names.iter().map(|name| Book {
            key: client.socket(name, SocketOptions::default()).unwrap(),
            connected: false,
            traffic: Traffic::default(),
            last: 0,
            awaited: Vec::new(),
            questions: Vec::new(),
        });
        Self { books: books.collect() }
    }

    fn book(&mut self, key: SocketKey) -> &mut Book {
        self.books.iter_mut().find(|book| book.key == key).expect("a socket of nobody")
    }

    /// Something was told to the application.
    pub(super) fn hear(&mut self, event: Event<'_>) {
        match event {
            Event::Connect { socket, .. } => {
                assert!(!mem::replace(&mut self.book(socket).connected, true), "connected twice");
            }
            Event::ConnectError { socket, .. } => {
                assert!(!self.book(socket).connected, "an error of a connected socket");
            }
            Event::Disconnect { socket, .. } => {
                assert!(mem::take(&mut self.book(socket).connected), "disconnected twice");
            }
            Event::Message { socket, payload, ack } => {
                let book = self.book(socket);
                let number = number(payload);
                advance(&mut book.last, number);
                book.traffic.receive(number);
                book.questions.extend(ack);
            }
            Event::Ack { socket, id, payload } => {
                assert_eq!(payload.decode::<u64>().unwrap(), id, "another's answer");
                settle(&mut self.book(socket).awaited, id);
            }
            Event::AckFailed { socket, id, .. } => settle(&mut self.book(socket).awaited, id),
            _ => {}
        }
    }
}

/// What the server's application knows of the sockets of one session.
#[derive(Clone, Default, Hash)]
pub(super) struct Hall {
    /// Who asks to be let in.
    asking: Vec<(usize, ConnectRequest)>,
    pub(super) guests: Vec<Guest>,
}

/// A socket that was let in.
#[derive(Clone, Hash)]
pub(super) struct Guest {
    pub(super) key: SocketKey,
    /// Its namespace.
    pub(super) nth: usize,
    pub(super) id: SocketId,
    last: u32,
    pub(super) awaited: Vec<u64>,
    pub(super) questions: Vec<u64>,
}

impl Hall {
    pub(super) fn is_asked(&self, nth: usize) -> bool {
        self.asking.iter().any(|(asked, _)| *asked == nth)
    }

    /// Whether no question is open.
    pub(super) fn is_quiet(&self) -> bool {
        let settled = |guest: &Guest| guest.awaited.is_empty() && guest.questions.is_empty();
        self.asking.is_empty() && self.guests.iter().all(settled)
    }

    pub(super) fn take_request(&mut self, nth: usize) -> ConnectRequest {
        let at = self.asking.iter().position(|(asked, _)| *asked == nth).unwrap();
        self.asking.remove(at).1
    }

    pub(super) fn let_in(&mut self, key: SocketKey, nth: usize, id: SocketId) {
        assert!(self.guests.iter().all(|guest| guest.nth != nth), "two sockets of a namespace");
        self.guests.push(Guest { key, nth, id, last: 0, awaited: Vec::new(), questions: Vec::new() });
    }

    fn guest(&mut self, key: SocketKey) -> &mut Guest {
        self.guests.iter_mut().find(|guest| guest.key == key).expect("a socket that is not connected")
    }

    /// Something was told to the application.
    pub(super) fn hear(&mut self, event: socket::Event<'_>, traffic: &mut [Traffic]) {
        use socket::Event;
        match event {
            Event::Connect { request, namespace, .. } => {
                let nth = super::NAMES.iter().position(|name| *name == namespace).unwrap();
                self.asking.push((nth, request));
            }
            Event::Message { socket, payload, ack } => {
                let guest = self.guest(socket);
                let number = number(payload);
                advance(&mut guest.last, number);
                traffic[guest.nth].receive(number);
                guest.questions.extend(ack);
            }
            Event::Ack { socket, id, payload } => {
                assert_eq!(payload.decode::<u64>().unwrap(), id, "another's answer");
                settle(&mut self.guest(socket).awaited, id);
            }
            Event::AckTimeout { socket, id } => settle(&mut self.guest(socket).awaited, id),
            Event::Disconnect { socket, .. } => {
                let key = self.guest(socket).key;
                self.guests.retain(|guest| guest.key != key);
            }
        }
    }
}

/// A question is answered, or given up: once.
fn settle(awaited: &mut Vec<u64>, id: u64) {
    let at = awaited.iter().position(|other| *other == id).expect("answered twice, or never asked");
    awaited.remove(at);
}

/// Events come in order.
fn advance(last: &mut u32, number: u32) {
    assert!(number > *last, "out of order");
    *last = number;
}

/// The number of an event, whose attachment is there if it has one.
fn number(payload: Payload<'_>) -> u32 {
    if payload.json().contains("_placeholder") {
        let (number, Binary(bytes)) = payload.decode::<(u32, Binary)>().unwrap();
        assert_eq!(&bytes[..], b"ab");
        number
    } else {
        payload.decode().unwrap()
    }
}
