//! A Socket.IO client on blocking sockets and threads: no async runtime, and no decision about the protocol. It emits an
//! event `hello`, prints what comes, and answers by the same arguments whoever asks for an answer.
//!
//! `cargo run --example blocking_client -- [HOST:PORT [websocket|polling|upgrade]]`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "threads and the clock are the caller's")]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, mpsc};
use std::{env, thread, time};

use socketio_protocol::client::{Client, Next};
use socketio_protocol::engine::client::{Config, Request, RequestId};
use socketio_protocol::engine::{Packet, Transport};
use socketio_protocol::socket::manager::{AckRequest, Event, SocketOptions};
use socketio_protocol::socket::{encode_ack, encode_event};
use socketio_protocol::websocket::Key;
use socketio_protocol::{Input, Instant, Random, Seed};

/// What other threads tell the one that has the machine.
enum News {
    Answer(RequestId, io::Result<(u16, Vec<u8>)>),
    /// Bytes of the stream with this number, none at its end.
    Read(u32, io::Result<Vec<u8>>),
}

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:3000".into());
    let mut config = Config::default();
    config.path = "/socket.io/".into();
    config.transports = match args.next().as_deref() {
        Some("polling") => vec![Transport::Polling].into(),
        Some("upgrade") => vec![Transport::Polling, Transport::WebSocket].into(),
        _ => vec![Transport::WebSocket].into(),
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let (mut random, start) = (Random::new(Seed::new(seed)), time::Instant::now());
    let now = || Instant::from_epoch(start.elapsed());
    let mut client = Client::new(Arc::new(config), Arc::default(), random.fork(), now());
    let socket = client.socket("/", SocketOptions::default()).map_err(io::Error::other)?;
    client.connect(now(), socket);
    client
        .emit(socket, encode_event("/", "hello", &(), None).map_err(io::Error::other)?, None)
        .map_err(io::Error::other)?;

    let (tell, news) = mpsc::channel();
    let (mut stream, mut number, mut buffer) = (None::<TcpStream>, 0, Vec::new());
    loop {
        let mut input = Input::new(&mut buffer);
        let deadline = loop {
            let (mut answer, mut open) = (None, None);
            match client.next(now(), &mut input) {
                Next::Event(event) => answer = show(event),
                Next::OpenStream(target) => open = Some(target),
                Next::CloseStream => {
                    // The peer may have reset it already.
                    let _ = stream.take().map(|stream| stream.shutdown(Shutdown::Both));
                }
                Next::Request(request) => {
                    let (tell, address) = (tell.clone(), address.clone());
                    thread::spawn(move || tell.send(News::Answer(request.id, ask(&address, &request))));
                }
                // What comes of a request all the same is ignored by the machine.
                Next::CancelRequest(_) | Next::Upgraded | Next::Continue => {}
                Next::Io(mut io) => {
                    // Behind what was written there may be more.
                    while io.pending().next().is_some() {
                        let bytes: Vec<u8> = io.pending().flatten().copied().collect();
                        // Of a stream that is broken the reader tells.
                        let _ = stream.as_mut().map(|stream| stream.write_all(&bytes));
                        io.written(bytes.len());
                    }
                    break io.deadline();
                }
            }
            // What the event lent has ended with the `match`: now the client can be used again.
            answer.map(|(request, packet)| client.answer(request, packet));
            if let Some(target) = open {
                number += 1;
                match connect(&address, &target, &Key::generate(&mut random), number, &tell) {
                    Ok(opened) => {
                        stream = Some(opened);
                        client.handle_stream_opened(now());
                    }
                    Err(error) => client.handle_stream_failed(now(), error.to_string()),
                }
            }
        };
        buffer.clear();
        let wait = deadline.map_or(time::Duration::MAX, |deadline| deadline - now());
        match news.recv_timeout(wait) {
            Ok(News::Answer(id, Ok((status, body)))) => client.handle_response(now(), id, status, body.into()),
            Ok(News::Answer(id, Err(error))) => client.handle_request_failed(now(), id, error.to_string()),
            Ok(News::Read(from, _)) if from != number || stream.is_none() => {}
            Ok(News::Read(_, Ok(bytes))) if bytes.is_empty() => client.handle_stream_closed(now()),
            Ok(News::Read(_, Ok(bytes))) => buffer = bytes,
            Ok(News::Read(_, Err(error))) => client.handle_stream_failed(now(), error.to_string()),
            Err(_) => {}
        }
    }
}

/// The application.
fn show(event: Event<'_>) -> Option<(AckRequest, Packet)> {
    match event {
        Event::Message { payload, ack, .. } => {
            println!("event {}", payload.json());
            let (request, args) = (ack?, payload.into_raw().ok()?);
            let answer = encode_ack("/", request.id(), &args).ok()?;
            return Some((request, answer));
        }
        Event::Connect { .. } => println!("connect"),
        Event::ConnectError { error, .. } => println!("connect_error {error}"),
        Event::Disconnect { reason, .. } => println!("disconnect {reason}"),
        _ => {}
    }
    None
}

/// Makes an HTTP request on a connection of its own.
fn ask(address: &str, request: &Request) -> io::Result<(u16, Vec<u8>)> {
    let (method, target, length, kind) = (request.method(), &request.target, request.body.len(), Request::CONTENT_TYPE);
    let head =
        format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(
        &[head.as_bytes(), format!("content-length: {length}\r\n\r\n").as_bytes(), &request.body].concat(),
    )?;
    let (status, length) = read_head(&stream, |status, headers| {
        let length = headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        (status, length.and_then(|header| str::from_utf8(header.value).ok()?.parse::<usize>().ok()))
    })?;
    let length = length.filter(|length| *length <= request.max_answer);
    let mut body = vec![0; length.ok_or_else(|| io::Error::other("an answer of unknown or excessive length"))?];
    stream.read_exact(&mut body)?;
    Ok((status, body))
}

/// Opens a WebSocket, and has a thread read it.
fn connect(address: &str, target: &str, key: &Key, number: u32, tell: &mpsc::Sender<News>) -> io::Result<TcpStream> {
    let headers: String = key.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n").as_bytes())?;
    read_head(&stream, |status, headers| {
        let find = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        key.verify(status, |name| find(name).map(|header| header.value))
    })?
    .map_err(io::Error::other)?;
    let (mut reader, tell) = (stream.try_clone()?, tell.clone());
    thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = reader.read(&mut bytes).map(|count| bytes[..count].to_vec());
            let over = read.as_ref().map_or(true, Vec::is_empty);
            if tell.send(News::Read(number, read)).is_err() || over {
                return;
            }
        }
    });
    Ok(stream)
}

/// Reads no more than the head of an answer, and shows its status and headers.
fn read_head<T>(mut stream: &TcpStream, show: impl FnOnce(u16, &[httparse::Header<'_>]) -> T) -> io::Result<T> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut answer = httparse::Response::new(&mut headers);
    answer.parse(&head).map_err(io::Error::other)?;
    Ok(show(answer.code.unwrap_or_default(), answer.headers))
}
