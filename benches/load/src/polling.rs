use core::net::SocketAddr;
use std::io;

use crate::check::{Exchange, Sequence, Template, Verdict};
use crate::client::{Client, unexpected};
use crate::link::{Link, Links};
use crate::run::{Clock, Load, Outcome, SILENCE, Span};
use crate::wire::{TEXT, session_id, split_response, write_get, write_post};

/// Stands between the packets of a payload.
const SEPARATOR: u8 = 0x1e;

/// Sessions over HTTP: each posts its messages in one payload and polls until every answer is there, over two
/// connections that are kept.
#[derive(Debug)]
pub struct Polling {
    /// Of each session the one that polls, then the one that posts.
    links: Links,
    sessions: Vec<Session>,
    in_flight: u64,
    output: Vec<u8>,
}

#[derive(Debug)]
struct Session {
    sid: String,
    get: Vec<u8>,
    template: Template,
    sequence: Sequence,
    sent: u64,
    sent_before: u64,
    /// When the payload under way was sent.
    time: u64,
    /// Answers that it lacks.
    missing: u64,
    is_busy: bool,
    is_posting: bool,
    is_polling: bool,
    owes_pong: bool,
}

/// A session over HTTP that has joined `/`, and its id.
///
/// # Errors
///
/// The connection fails, or the server answers something else.
pub(crate) fn connect(server: SocketAddr) -> io::Result<(Client, String)> {
    let mut client = Client::open(server)?;
    let open = client.http(|out| write_get("", out))?;
    let sid = session_id(&open).ok_or_else(|| unexpected(&open))?.to_owned();
    client.http(|out| write_post(&sid, b"40", out))?;
    loop {
        let payload = client.http(|out| write_get(&sid, out))?;
        let mut is_connected = false;
        for packet in payload.split(|&byte| byte == SEPARATOR) {
            match packet {
                // One server begins with a heartbeat.
                b"2" => drop(client.http(|out| write_post(&sid, b"3", out))?),
                [b'4', b'0', b'{', ..] => is_connected = true,
                _ => return Err(unexpected(&payload)),
            }
        }
        if is_connected {
            return Ok((client, sid));
        }
    }
}

impl Polling {
    /// Sessions whose payloads hold `in_flight` echoes of `size` characters.
    ///
    /// # Errors
    ///
    /// A connection fails.
    pub fn connect(server: SocketAddr, sessions: usize, in_flight: u64, size: usize) -> io::Result<Self> {
        let mut links = Links::new(Vec::new())?;
        let connect = |index| {
            let (client, sid) = connect(server)?;
            links.add(client)?;
            links.add(Client::open(server)?)?;
            Ok(Session::new(sid, Exchange::echo("", "echo", index, size)))
        };
        let sessions = (0..sessions).map(connect).collect::<io::Result<_>>()?;
        Ok(Self { links, sessions, in_flight, output: Vec::new() })
    }
}

impl Load for Polling {
    fn run(&mut self, span: Span) -> io::Result<Outcome> {
        let Self { links, sessions, in_flight, output } = self;
        let (clock, mut outcome, mut busy) = (Clock::start(span), Outcome::default(), sessions.len());
        for (index, session) in sessions.iter_mut().enumerate() {
            session.sent_before = session.sent;
            session.is_busy = true;
            let (count, now) = (clock.grant(0, 0, *in_flight), clock.now());
            session.poll(links.link(2 * index))?;
            session.post(links.link(2 * index + 1), now, count, output)?;
        }
        while busy > 0 {
            let is_alive = links.wait(SILENCE, |links, index, buffer| {
                let (session, now) = (&mut sessions[index / 2], clock.now());
                session.take(&mut links[index], index % 2 == 0, buffer, now, &mut outcome)?;
                if !session.is_busy || session.is_posting || (session.missing > 0 && session.is_polling) {
                    return Ok(());
                }
                if session.missing > 0 {
                    return session.poll(&mut links[index & !1]);
                }
                let count = clock.grant(now, session.sent - session.sent_before, *in_flight);
                if count == 0 {
                    session.is_busy = false;
                    busy -= 1;
                    return Ok(());
                }
                session.poll(&mut links[index & !1])?;
                session.post(&mut links[index | 1], now, count, output)
            })?;
            if !is_alive {
                break;
            }
        }
        outcome.elapsed = clock.elapsed();
        sessions.iter_mut().for_each(|session| outcome.faults += session.sequence.settle(session.sent));
        Ok(outcome)
    }
}

impl Session {
    fn new(sid: String, exchange: Exchange) -> Self {
        let mut get = Vec::new();
        write_get(&sid, &mut get);
        Self {
            sid,
            get,
            template: exchange.request,
            sequence: Sequence::new(exchange.answer),
            sent: 0,
            sent_before: 0,
            time: 0,
            missing: 0,
            is_busy: false,
            is_posting: false,
            is_polling: false,
            owes_pong: false,
        }
    }

    fn poll(&mut self, link: &mut Link) -> io::Result<()> {
        self.is_polling = true;
        link.send(&self.get)
    }

    fn post(&mut self, link: &mut Link, now: u64, count: u64, output: &mut Vec<u8>) -> io::Result<()> {
        self.time = now;
        self.missing = count;
        self.is_posting = true;
        let mut body = Vec::new();
        if core::mem::take(&mut self.owes_pong) {
            body.extend_from_slice(b"3\x1e");
        }
        for number in self.sent..self.sent + count {
            self.template.write_packet(number, &mut body);
            body.push(SEPARATOR);
        }
        body.pop();
        self.sent += count;
        output.clear();
        write_post(&self.sid, &body, output);
        link.send(output)
    }

    /// Takes the responses that have arrived, of polls or of posts.
    fn take(
        &mut self,
        link: &mut Link,
        is_get: bool,
        buffer: &mut [u8],
        now: u64,
        outcome: &mut Outcome,
    ) -> io::Result<()> {
        let mut refused = None;
        link.receive(buffer, |input| {
            let mut used = 0;
            while let Some(response) = split_response(&input[used..]) {
                let is_open = if is_get { &mut self.is_polling } else { &mut self.is_posting };
                let was_open = core::mem::take(is_open);
                if response.status != b"200" || !was_open || (!is_get && !response.body.eq_ignore_ascii_case(b"ok")) {
                    refused = Some(unexpected(&input[used..]));
                } else if is_get {
                    self.payload(&response.body, now, outcome);
                }
                used += response.taken;
            }
            used
        })?;
        refused.map_or(Ok(()), Err)
    }

    fn payload(&mut self, payload: &[u8], now: u64, outcome: &mut Outcome) {
        for packet in payload.split(|&byte| byte == SEPARATOR) {
            match self.sequence.receive(TEXT, packet) {
                Verdict::Answer(_) => {
                    self.missing = self.missing.saturating_sub(1);
                    outcome.latencies.add(now.saturating_sub(self.time), 1);
                    outcome.operations += 1;
                }
                Verdict::Wrong => self.missing = self.missing.saturating_sub(1),
                Verdict::Ping => self.owes_pong = true,
                Verdict::Nothing => {}
            }
        }
    }
}
