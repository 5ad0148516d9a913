//! The floor that the cost of a server is measured against: an epoll server that answers what the load generator sends
//! and nothing else, by one receive and one send per socket and wake-up, without JSON, checks or limits.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::mem;
use std::time::{Duration, Instant};

use clap::Parser;
use memchr::{memchr, memmem};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socketio_load::wire::{Header, TEXT, write_header};

const LISTENER: Token = Token(usize::MAX);
const READ_SIZE: usize = 256 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(25);
const CONNECTED: &[u8] = br#"40{"sid":"00000000000000000000"}"#;
const TEXT_PLAIN: &str = "text/plain; charset=UTF-8";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
/// What precedes the session id in the two kinds of polling requests.
const GET: usize = "GET /socket.io/?EIO=4&transport=polling&sid=".len();
const POST: usize = GET + 1;
/// Length of a session id; it is the number of the session in decimal.
const SID: usize = 20;

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Taken like the other servers do, and ignored.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// Taken like the other servers do, and ignored.
    #[arg(long, default_value = "text")]
    args: String,
    /// Taken like our own server does, and ignored.
    #[arg(long, default_value_t = 0)]
    namespaces: usize,
}

fn main() -> io::Result<()> {
    let mut listener = TcpListener::bind(([127, 0, 0, 1], Options::parse().port).into())?;
    println!("listening on {}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut server = Server { buffer: vec![0; READ_SIZE], ..Server::default() };
    loop {
        let patience = server.ping(Instant::now());
        poll.poll(&mut events, patience)?;
        for event in &events {
            if event.token() != LISTENER {
                server.turn(event.token().0, event.is_read_closed());
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                let index = server.free.pop().unwrap_or(server.connections.len());
                poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
                server.insert(index, stream);
            }
        }
    }
}

#[derive(Default)]
struct Server {
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    sessions: Vec<Session>,
    /// Connections that joined the room, in order.
    room: Vec<usize>,
    /// When which connection is to be pinged; all wait equally long, so that the order is that of time.
    pings: VecDeque<(Instant, usize)>,
    /// What every connection reads into.
    buffer: Vec<u8>,
    /// Buffers that connections have given back.
    spares: Vec<Vec<u8>>,
    /// The answer to what was read.
    answer: Vec<u8>,
    /// What was read and goes to the room.
    broadcast: Vec<u8>,
}

/// A polling session.
#[derive(Default)]
struct Session {
    /// The connection with a GET that is not answered yet.
    waiting: Option<usize>,
    /// The payload that nobody has asked for yet.
    queued: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    is_websocket: bool,
    /// The buffer that holds the beginning of a message, and how many bytes of it; empty if there is none.
    input: Vec<u8>,
    filled: usize,
    /// What the socket did not take yet.
    output: Vec<u8>,
}

impl Server {
    fn insert(&mut self, index: usize, stream: TcpStream) {
        let (input, output) = (Vec::new(), Vec::new());
        let connection = Some(Connection { stream, is_websocket: false, input, filled: 0, output });
        match self.connections.get_mut(index) {
            Some(place) => *place = connection,
            None => self.connections.push(connection),
        }
    }

    fn remove(&mut self, index: usize) {
        self.connections[index] = None;
        self.free.push(index);
        self.room.retain(|&member| member != index);
    }

    fn turn(&mut self, index: usize, is_closed: bool) {
        if self.connections[index].is_none() {
            return;
        }
        let mut buffer = mem::take(&mut self.buffer);
        if self.receive(index, is_closed, &mut buffer).is_err() {
            self.remove(index);
        }
        self.buffer = buffer;
    }

    fn receive(&mut self, index: usize, is_closed: bool, buffer: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let Some(connection) = &mut self.connections[index] else { return Ok(()) };
            connection.flush()?;
            let Some(filled) = connection.read(buffer)? else { return Ok(()) };
            let used = if connection.is_websocket {
                self.frames(index, &buffer[..filled])
            } else {
                self.requests(index, &buffer[..filled])
            };
            let Some(connection) = &mut self.connections[index] else { return Ok(()) };
            connection.send(&self.answer)?;
            self.answer.clear();
            connection.keep(buffer, used, filled, &mut self.spares);
            self.fan_out();
            // A short read has emptied the socket, but the end may have arrived with it.
            if filled < READ_SIZE && !is_closed {
                return Ok(());
            }
        }
    }

    fn fan_out(&mut self) {
        if !self.broadcast.is_empty() {
            for &member in &self.room {
                // A broken one is found out by its own next turn.
                let _ = self.connections[member].as_mut().map(|connection| connection.send(&self.broadcast));
            }
            self.broadcast.clear();
        }
    }

    /// Answers every whole frame; gives the number of bytes that they took.
    fn frames(&mut self, index: usize, input: &[u8]) -> usize {
        let mut used = 0;
        while let Some(Header { opcode, start, length }) = Header::read(&input[used..])
            && let Some(frame) = input.get(used + start..used + start + 4 + length)
            && let Some((mask, payload)) = frame.split_first_chunk()
        {
            let begin = self.answer.len();
            write_header(opcode, length, &mut self.answer);
            let body = self.answer.len();
            unmask(*mask, payload, &mut self.answer);
            if opcode == TEXT {
                self.react(index, begin, body);
            }
            used += start + 4 + length;
        }
        used
    }

    /// Makes the answer of the copy of a text frame that begins at `begin`, its payload at `body`.
    fn react(&mut self, index: usize, begin: usize, body: usize) {
        match &self.answer[body..] {
            [b'4', b'2', b'[', b'"', b'b', ..] => self.broadcast.extend_from_slice(&self.answer[begin..]),
            [b'4', b'2', b'[' | b'/', ..] | [b'4', b'5', ..] => return,
            [b'4', b'2', ..] => return self.acknowledge(index, begin, body),
            b"40" => return replace(&mut self.answer, begin, CONNECTED),
            [b'4', b'0', b'/', ..] => {
                let name = self.answer[body..].to_vec();
                return replace(&mut self.answer, begin, &[&name, &CONNECTED[2..]].concat());
            }
            b"2probe" => return replace(&mut self.answer, begin, b"3probe"),
            _ => {}
        }
        self.answer.truncate(begin);
    }

    /// Makes `430["x"]` of `420["ack","x"]`.
    fn acknowledge(&mut self, index: usize, begin: usize, body: usize) {
        let Some(bracket) = memchr(b'[', &self.answer[body..]) else { return };
        let (id, event) = self.answer[body + 2..].split_at(bracket - 2);
        if event.starts_with(br#"["join","room1""#) {
            self.room.push(index);
        }
        if event.starts_with(br#"["join""#) {
            let answer = [b"43", id, br#"["ok"]"#].concat();
            return replace(&mut self.answer, begin, &answer);
        }
        // The header keeps its length: the arguments of what is sent here are either tiny or long.
        let argument = br#"["ack","#.len();
        let length = self.answer.len() - body + 1 - argument;
        let first = body + bracket;
        self.answer[body + 1] = b'3';
        self.answer.copy_within(first + argument.., first + 1);
        self.answer.truncate(body + length);
        self.answer[begin + 1] = length as u8;
    }

    /// Answers every whole request; gives the number of bytes that they took.
    fn requests(&mut self, index: usize, input: &[u8]) -> usize {
        let mut used = 0;
        while let Some(head) = memmem::find(&input[used..], b"\r\n\r\n") {
            let (request, body) = input[used..].split_at(head + 4);
            let Some(taken) = self.request(index, request, body) else { break };
            used += request.len() + taken;
        }
        used
    }

    /// Answers a request; gives the length of its body, `None` if that has not arrived yet.
    fn request(&mut self, index: usize, head: &[u8], body: &[u8]) -> Option<usize> {
        if head.starts_with(b"POST") {
            let length = memmem::find(head, b"Content-Length: ")? + b"Content-Length: ".len();
            let body = body.get(..number(&head[length..]))?;
            self.post(number(&head[POST..POST + SID]), body);
            write_response("text/html", b"ok", &mut self.answer);
            return Some(body.len());
        }
        match (head[GET - b"polling&sid=".len()], head[GET - b"&sid=".len()]) {
            (b'w', _) => self.upgrade(index, head),
            (_, b'&') => self.get(index, number(&head[GET..GET + SID])),
            _ => {
                write_response(TEXT_PLAIN, &open_packet(self.sessions.len()), &mut self.answer);
                self.sessions.push(Session::default());
            }
        }
        Some(0)
    }

    fn post(&mut self, session: usize, payload: &[u8]) {
        let session = &mut self.sessions[session];
        let answer = if payload == b"40" { CONNECTED } else { payload };
        if let Some(waiting) = session.waiting.take() {
            if let Some(connection) = &mut self.connections[waiting] {
                let begin = self.answer.len();
                write_response(TEXT_PLAIN, answer, &mut self.answer);
                let _ = connection.send(&self.answer[begin..]);
                self.answer.truncate(begin);
            }
        } else {
            if !session.queued.is_empty() {
                session.queued.push(0x1e);
            }
            session.queued.extend_from_slice(answer);
        }
    }

    fn get(&mut self, index: usize, session: usize) {
        let session = &mut self.sessions[session];
        if session.queued.is_empty() {
            session.waiting = Some(index);
        } else {
            write_response(TEXT_PLAIN, &session.queued, &mut self.answer);
            session.queued.clear();
        }
    }

    fn upgrade(&mut self, index: usize, head: &[u8]) {
        if let Some(connection) = &mut self.connections[index] {
            connection.is_websocket = true;
        }
        self.answer.extend_from_slice(SWITCHING.as_bytes());
        if head[GET + 2 - b"&sid=".len()] != b'&' {
            let open = open_packet(0);
            write_header(TEXT, open.len(), &mut self.answer);
            self.answer.extend_from_slice(&open);
        }
        self.pings.push_back((Instant::now() + PING_INTERVAL, index));
    }

    /// Sends the pings that are due; gives the time to the next.
    fn ping(&mut self, now: Instant) -> Option<Duration> {
        loop {
            let &(due, index) = self.pings.front()?;
            if due > now {
                return Some(due - now);
            }
            self.pings.pop_front();
            if let Some(connection) = &mut self.connections[index] {
                let _ = connection.send(&[0x81, 1, b'2']);
                self.pings.push_back((now + PING_INTERVAL, index));
            }
        }
    }
}

impl Connection {
    /// Receives once; gives the bytes that `buffer` holds then, `None` if nothing has arrived.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let read =
            if self.filled == 0 { self.stream.read(buffer) } else { self.stream.read(&mut self.input[self.filled..]) };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                if self.filled > 0 {
                    mem::swap(buffer, &mut self.input);
                }
                Ok(Some(self.filled + count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps what is left in `buffer`, in exchange for another one.
    fn keep(&mut self, buffer: &mut Vec<u8>, used: usize, filled: usize, spares: &mut Vec<Vec<u8>>) {
        self.filled = filled - used;
        if self.filled > 0 {
            if used > 0 {
                buffer.copy_within(used..filled, 0);
            }
            if self.input.is_empty() {
                self.input = spares.pop().unwrap_or_else(|| vec![0; READ_SIZE]);
            }
            mem::swap(buffer, &mut self.input);
        } else if !self.input.is_empty() {
            spares.push(mem::take(&mut self.input));
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.output.is_empty() {
            self.output.extend_from_slice(bytes);
            return Ok(());
        }
        match self.stream.write(bytes) {
            Ok(count) => self.output.extend_from_slice(&bytes[count..]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.output.extend_from_slice(bytes),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        let output = mem::take(&mut self.output);
        self.send(&output)
    }
}

fn unmask(mask: [u8; 4], payload: &[u8], output: &mut Vec<u8>) {
    let key = u64::from(u32::from_ne_bytes(mask)) * 0x1_0000_0001;
    let (blocks, rest) = payload.as_chunks::<64>();
    for block in blocks {
        let mut block = *block;
        block.as_chunks_mut().0.iter_mut().for_each(|word| *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes());
        output.extend_from_slice(&block);
    }
    let (words, rest) = rest.as_chunks();
    words.iter().for_each(|word| output.extend_from_slice(&(u64::from_ne_bytes(*word) ^ key).to_ne_bytes()));
    rest.iter().zip(mask.iter().cycle()).for_each(|(byte, key)| output.push(byte ^ key));
}

/// Makes `text` of the frame that begins at `begin`, which is the last.
fn replace(output: &mut Vec<u8>, begin: usize, text: &[u8]) {
    output.truncate(begin);
    write_header(TEXT, text.len(), output);
    output.extend_from_slice(text);
}

fn open_packet(session: usize) -> Vec<u8> {
    format!(
        r#"0{{"sid":"{session:020}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    )
    .into_bytes()
}

/// As many header fields, and as long, as our own server sends.
fn write_response(content_type: &str, body: &[u8], output: &mut Vec<u8>) {
    let head = format_args!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncache-control: no-store\r\ncontent-length: {}\r\n\
         date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
        body.len()
    );
    output.write_fmt(head).expect("writing to a vector does not fail");
    output.extend_from_slice(body);
}

/// The number that `digits` begin with.
fn number(digits: &[u8]) -> usize {
    digits
        .iter()
        .take_while(|digit| digit.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
