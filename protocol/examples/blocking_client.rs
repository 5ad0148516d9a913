//! A Socket.IO client on blocking sockets and threads: no async runtime, and no decision about the protocol. It emits an
//! event `hello`, prints what comes, and answers by the same arguments whoever asks for an answer.
//!
//! `cargo run --example blocking_client -- [ADDRESS:PORT [websocket|polling|upgrade]]`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "threads and the clock are the caller's")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::{collections::HashMap, env, error, thread::spawn, time};

use socketio_protocol::client::{Client, Next};
use socketio_protocol::engine::client::{Config, Request, RequestId};
use socketio_protocol::engine::{Packet, Transport};
use socketio_protocol::socket::manager::{AckRequest, Event, SocketOptions};
use socketio_protocol::socket::{encode_ack, encode_event};
use socketio_protocol::{Input, Instant, Random, Seed, websocket::Key};

/// What other threads tell the one that has the machine. Streams have numbers: what is told of one that was dropped
/// concerns nobody.
enum News {
    Answer(RequestId, io::Result<(u16, Vec<u8>)>),
    Opened(u32, TcpStream),
    Bytes(u32, Vec<u8>),
    Over(u32, io::Result<()>),
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = env::args().skip(1);
    let address = args.next().as_deref().unwrap_or("127.0.0.1:3000").parse()?;
    let mut config = Config::default();
    config.path = "/socket.io/".into();
    config.transports = match args.next().as_deref() {
        Some("polling") => vec![Transport::Polling].into(),
        Some("upgrade") => vec![Transport::Polling, Transport::WebSocket].into(),
        _ => vec![Transport::WebSocket].into(),
    };
    let (mut seed, start) = ([0; 32], time::Instant::now());
    getrandom::getrandom(&mut seed)?;
    let (mut random, now) = (Random::new(Seed::new(seed)), || Instant::from_epoch(start.elapsed()));
    let mut client = Client::new(Arc::new(config), Arc::default(), random.fork(), now());
    let socket = client.socket("/", SocketOptions::default())?;
    client.connect(now(), socket);
    client.emit(socket, encode_event("/", "hello", &(), None)?, None)?;

    let (sender, news) = mpsc::channel();
    let (mut stream, mut number, mut buffer) = (None::<TcpStream>, 0, Vec::new());
    loop {
        let mut input = Input::new(&mut buffer);
        let deadline = loop {
            let (tell, mut answer) = (sender.clone(), None);
            match client.next(now(), &mut input) {
                Next::Event(event) => answer = show(event),
                Next::Request(ask) => drop(spawn(move || tell.send(News::Answer(ask.id, fetch(address, &ask))))),
                Next::OpenStream(target) => {
                    let key = Key::generate(&mut random);
                    spawn(move || tell.send(News::Over(number, read(address, &target, &key, number, &tell))));
                }
                Next::CloseStream => {
                    number += 1;
                    // The peer may have reset it already.
                    let _ = stream.take().map(|stream| stream.shutdown(Shutdown::Both));
                }
                // What comes of a request that is given up is ignored by the machine.
                Next::CancelRequest(_) | Next::Upgraded | Next::Continue => {}
                Next::Io(mut io) => {
                    let bytes = io.take_pending();
                    // When it is broken, the thread that reads it tells.
                    let _ = stream.as_mut().map(|s| s.write_all(&bytes).or_else(|_| s.shutdown(Shutdown::Both)));
                    break io.deadline();
                }
            }
            // What the event lent has ended with the `match`: now the client can be used again.
            answer.map(|(packet, request)| client.answer(request, packet));
        };
        buffer.clear();
        match news.recv_timeout(deadline.map_or(time::Duration::MAX, |deadline| deadline - now())) {
            Ok(News::Answer(id, Ok((status, body)))) => client.handle_response(now(), id, status, body.into()),
            Ok(News::Answer(id, Err(error))) => client.handle_request_failed(now(), id, error.to_string()),
            Ok(News::Opened(of, opened)) if of == number => {
                stream = Some(opened);
                client.handle_stream_opened(now());
            }
            Ok(News::Bytes(of, bytes)) if of == number => buffer = bytes,
            Ok(News::Over(of, Ok(()))) if of == number => client.handle_stream_closed(now()),
            Ok(News::Over(of, Err(error))) if of == number => client.handle_stream_failed(now(), error.to_string()),
            _ => {}
        }
    }
}

/// The application.
fn show(event: Event<'_>) -> Option<(Packet, AckRequest)> {
    match event {
        Event::Message { payload, ack, .. } => {
            println!("event {}", payload.json());
            let (request, args) = (ack?, payload.into_raw().ok()?);
            return Some((encode_ack("/", request.id(), &args).ok()?, request));
        }
        Event::Connect { .. } => println!("connect"),
        Event::ConnectError { error, .. } => println!("connect_error {error}"),
        Event::Disconnect { reason, .. } => println!("disconnect {reason}"),
        _ => {}
    }
    None
}

/// Opens a WebSocket, and tells what it reads until its end.
fn read(address: SocketAddr, target: &str, key: &Key, number: u32, tell: &mpsc::Sender<News>) -> io::Result<()> {
    let (mut stream, status, headers) = ask(address, key.to_http1(&address.to_string(), target).as_bytes())?;
    key.verify(status, |name| headers.get(name).map(String::as_bytes)).map_err(io::Error::other)?;
    stream.get_ref().set_read_timeout(None)?;
    let _ = tell.send(News::Opened(number, stream.get_ref().try_clone()?));
    while !stream.fill_buf()?.is_empty() {
        let bytes = stream.buffer().to_vec();
        stream.consume(bytes.len());
        let _ = tell.send(News::Bytes(number, bytes));
    }
    Ok(())
}

/// Makes an HTTP request.
fn fetch(address: SocketAddr, request: &Request) -> io::Result<(u16, Vec<u8>)> {
    let (answer, status, headers) = ask(address, &request.to_http1(&address.to_string()))?;
    let mut body = Vec::new();
    answer.take(request.max_answer as u64 + 1).read_to_end(&mut body)?;
    let is_whole = headers.get("content-length").is_some_and(|length| *length == body.len().to_string());
    is_whole.then_some((status, body)).ok_or_else(|| io::Error::other("an answer that is not whole"))
}

/// Sends a request on a connection of its own. Gives the rest of the answer behind its status and its headers.
fn ask(address: SocketAddr, request: &[u8]) -> io::Result<(BufReader<TcpStream>, u16, HashMap<String, String>)> {
    let limit = time::Duration::from_secs(20);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    // A poll waits for the next ping at most.
    stream.set_write_timeout(Some(limit)).and(stream.set_read_timeout(Some(3 * limit)))?;
    stream.write_all(request)?;
    let mut reader = BufReader::with_capacity(64 << 10, stream);
    let mut head = reader.by_ref().take(64 << 10).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let status = head.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default();
    let headers = head.filter_map(|l| l.split_once(':').map(|(k, v)| (k.to_lowercase(), v.trim().into()))).collect();
    Ok((reader, status, headers))
}
