//! An echo server of Socket.IO over WebSocket, on blocking sockets and one thread per client: no async runtime, and no
//! decision about the protocol.
//!
//! `cargo run --example blocking -- [PORT [PING_INTERVAL_MS PING_TIMEOUT_MS]]`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "threads and the clock are the caller's")]

use core::{convert::Infallible, ops::Range, time::Duration};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::{env, sync::Arc, thread, time};

use socketio_protocol::engine::{self, Admission, RequestHead, RequestKind, Response, Transport, Transports, admit};
use socketio_protocol::server::{Connection, Io, Next};
use socketio_protocol::socket::{ConnectError, ConnectRequest, Event, SocketKey, encode_ack, encode_event};
use socketio_protocol::{Input, Instant, Random, Seed, SessionId, SocketId};

fn main() -> io::Result<()> {
    let mut args = env::args().skip(1).map(|arg| arg.parse::<u16>().expect("a number"));
    let listener = TcpListener::bind(("127.0.0.1", args.next().unwrap_or(3000)))?;
    let mut config = engine::Config::default();
    config.transports = Transports::WEBSOCKET;
    for (value, ms) in [&mut config.ping_interval, &mut config.ping_timeout].into_iter().zip(args) {
        *value = Duration::from_millis(ms.into());
    }
    let config = Arc::new(config);
    let mut seed = [0; 32];
    getrandom::getrandom(&mut seed)?;
    let mut random = Random::new(Seed::new(seed));
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (stream, config, random) = (stream?, config.clone(), random.fork());
        // Whatever goes wrong with a client ends with its thread.
        thread::spawn(move || serve(stream, config, random));
    }
    Ok(())
}

/// One client, from its request to its end.
fn serve(mut stream: TcpStream, config: Arc<engine::Config>, mut random: Random) -> io::Result<()> {
    let start = time::Instant::now();
    let now = || Instant::from_epoch(start.elapsed());
    let mut buffer = vec![0; 64 * 1024];
    let Some(early) = open(&mut stream, &config, &mut buffer)? else { return Ok(()) };
    stream.set_nodelay(true)?;
    // A client that writes may read nothing meanwhile: then it is read from, before the next attempt.
    stream.set_write_timeout(Some(Duration::from_millis(20)))?;

    let id = SessionId::generate(&mut random);
    let mut client = Connection::new(config, Arc::default(), id, Transport::WebSocket, now());
    let mut input = Input::new(&mut buffer[early]);
    loop {
        let io = loop {
            let reply = match client.next(now(), &mut input) {
                Next::Event(event) => echo(event),
                Next::Io(io) => break io,
                Next::CloseStream => stream.shutdown(Shutdown::Both).map(|()| None)?,
                Next::Finished => return Ok(()),
                Next::Answer(..) | Next::Upgraded | Next::Closed(_) | Next::Continue => None,
            };
            // What the event lent has ended with the `match`: now the connection can be used again.
            match reply {
                Some(Reply::Join(request, true)) => _ = client.accept(request, &SocketId::generate(&mut random)),
                Some(Reply::Join(request, false)) => client.reject(request, &ConnectError::new("no such namespace")),
                Some(Reply::Emit(socket, packet)) => _ = client.emit(socket, packet),
                None => {}
            }
        };
        let read = exchange(&mut stream, io, now(), &mut buffer).inspect_err(|_| client.handle_stream_closed(now()));
        input = Input::new(&mut buffer[..read.unwrap_or(0)]);
    }
}

/// Answers the request. Where in `buffer` that is what came after it, unless the client was sent away.
fn open(stream: &mut TcpStream, config: &engine::Config, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut count = 0;
    loop {
        match stream.read(&mut buffer[count..])? {
            0 => return Ok(None),
            more => count += more,
        }
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let status = request.parse(&buffer[..count]).map_err(io::Error::other)?;
        let httparse::Status::Complete(end) = status else { continue };
        let (path, query) = request.path.and_then(|path| path.split_once('?')).unwrap_or_default();
        let headers: Vec<_> = request.headers.iter().map(|header| (header.name, header.value)).collect();
        let head = RequestHead { method: request.method.unwrap_or_default(), query, headers: &headers.as_slice() };
        let response = match admit(config, &head, |_| None::<Infallible>) {
            _ if path != "/socket.io/" => Response::not_found(),
            Admission::New(RequestKind::Upgrade(accept)) => Response::switching_protocols(&accept),
            Admission::Reject(reject) => reject.response(),
            // Without polling and CORS there is nothing else.
            _ => Response::not_found(),
        };
        let general = config.response_headers(&head);
        let headers = response.headers.iter().chain(&general).map(|(name, value)| format!("{name}: {value}\r\n"));
        let text = format!("HTTP/1.1 {} \r\n{}\r\n", response.status, headers.collect::<String>());
        stream.write_all(&[text.as_bytes(), &response.body].concat())?;
        return Ok((response.status == 101).then_some(end..count));
    }
}

/// Writes what waits, then reads until the deadline. Tells how many bytes were read into `buffer`.
fn exchange(stream: &mut TcpStream, mut io: Io<'_>, now: Instant, buffer: &mut [u8]) -> io::Result<usize> {
    let pending: Vec<_> = io.pending().map(IoSlice::new).collect();
    if !pending.is_empty() {
        io.written(in_time(stream.write_vectored(&pending))?);
    }
    let wait = if io.pending().next().is_none() { io.deadline() - now } else { Duration::ZERO };
    stream.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    // Nothing pauses the connection here, so that there is always a stream to read from.
    let Some(target) = io.read_target() else { return in_time(stream.read(buffer)) };
    let count = in_time(stream.read(target))?;
    io.filled(count);
    Ok(0)
}

/// How many bytes were read or written before the time was over; an error at the end of the stream.
fn in_time(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
        result => result,
    }
}

/// What the application does once it has seen an event.
enum Reply {
    /// Whether the client is let in.
    Join(ConnectRequest, bool),
    Emit(SocketKey, engine::Packet),
}

/// The application: who asks for an answer gets their own arguments, everybody else the event that they sent.
fn echo(event: Event<'_>) -> Option<Reply> {
    match event {
        Event::Connect { request, namespace, .. } => Some(Reply::Join(request, namespace == "/")),
        Event::Message { socket, payload, ack } => {
            let (name, args) = (payload.event(), payload.into_raw().ok()?);
            let packet = ack.map_or_else(|| encode_event("/", &name, &args, None), |id| encode_ack("/", id, &args));
            Some(Reply::Emit(socket, packet.ok()?))
        }
        _ => None,
    }
}
