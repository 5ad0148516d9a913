//! The generator finds the mistakes of a server: here those of a proxy in front of the bare one.

use core::net::SocketAddr;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use socketio_load::check::Faults;
use socketio_load::process::Process;
use socketio_load::run::Span;
use socketio_load::scenario::{Kind, Work};
use socketio_load::wire::{BINARY, split_frame};

/// The frames of one answer.
type Answer = Vec<Vec<u8>>;
/// Appends to what goes out what becomes of the answer with this number.
type Fault = fn(usize, Answer, &mut Vec<Answer>);

const WORKS: [Work; 4] = [
    messages(Kind::Echo),
    messages(Kind::Ack),
    messages(Kind::Binary),
    Work::Broadcast { subscribers: 1, in_flight: IN_FLIGHT as u64, size: 32, rooms: 0 },
];
const COUNT: u64 = 16;
const IN_FLIGHT: usize = 4;

const fn messages(kind: Kind) -> Work {
    Work::Messages { kind, connections: 1, in_flight: IN_FLIGHT as u64, size: 32, namespaces: 0 }
}

#[test]
fn a_proxy_without_fault_shows_none() {
    check(|_, answer, out| out.push(answer), |found| found.total() == 0);
}

#[test]
fn a_lost_answer_is_counted() {
    let lose: Fault = |number, answer, out| out.extend((number != 5).then_some(answer));
    check(lose, |found| found.lost == 1 && found.total() == 1);
}

#[test]
fn a_duplicated_answer_is_counted() {
    let duplicate: Fault = |number, answer, out| {
        out.extend((number == 5).then(|| answer.clone()));
        out.push(answer);
    };
    check(duplicate, |found| found.duplicated == 1 && found.total() == 1);
}

#[test]
fn a_reordered_answer_is_counted() {
    // The first of those that are in flight comes behind the second.
    let swap: Fault = |number, answer, out| out.insert(out.len() - usize::from(number == 1), answer);
    check(swap, |found| found.reordered == 1 && found.total() == 1);
}

#[test]
fn a_wrong_answer_is_counted() {
    let change: Fault = |number, mut answer, out| {
        if let Some(byte) = answer.last_mut().and_then(|frame| frame.iter_mut().rev().nth(20)).filter(|_| number == 5) {
            *byte ^= 1;
        }
        out.push(answer);
    };
    check(change, |found| found.wrong == 1);
}

/// All kinds of work at once, since a lost answer is waited for.
fn check(fault: Fault, is_right: fn(Faults) -> bool) {
    let server = Process::start(Command::new(env!("CARGO_BIN_EXE_limit"))).expect("the server starts");
    thread::scope(|scope| {
        for work in WORKS {
            let proxy = proxy(server.address(), fault);
            scope.spawn(move || {
                let mut load = work.prepare(proxy).expect("it connects").expect("it is no idling");
                let found = load.run(Span::Messages(COUNT)).expect("the connections live").faults;
                assert!(is_right(found), "{work:?}: {found:?}");
            });
        }
    });
}

fn proxy(server: SocketAddr, fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        while let Ok((client, _)) = listener.accept() {
            let server = TcpStream::connect(server).expect("the server listens");
            let (mut up, mut down) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            thread::spawn(move || io::copy(&mut up, &mut down));
            thread::spawn(move || answers(server, client, fault));
        }
    });
    address
}

/// Passes on what the server sends; the first answers, as many as are in flight, together, so that they can change places.
fn answers(mut server: TcpStream, mut client: TcpStream, fault: Fault) -> io::Result<()> {
    let (mut input, mut buffer, mut is_upgraded) = (Vec::new(), [0; 4096], false);
    let (mut number, mut answer, mut out) = (0, Answer::new(), Vec::new());
    loop {
        let count = server.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..count]);
        if !is_upgraded {
            let head = input.windows(4).position(|bytes| bytes == b"\r\n\r\n").map_or(0, |end| end + 4);
            client.write_all(&input.drain(..head).collect::<Vec<_>>())?;
            is_upgraded = head > 0;
        }
        while is_upgraded && let Some((opcode, payload, taken)) = split_frame(&input) {
            let (is_first, is_answer) = (payload.starts_with(b"451-"), opcode == BINARY || payload.ends_with(b"\"]"));
            let is_answer = is_answer && !payload.ends_with(b"[\"ok\"]");
            let frame: Vec<u8> = input.drain(..taken).collect();
            if !is_first && !is_answer {
                client.write_all(&frame)?;
                continue;
            }
            answer.push(frame);
            if is_answer {
                fault(number, std::mem::take(&mut answer), &mut out);
                number += 1;
                if number >= IN_FLIGHT {
                    client.write_all(&out.drain(..).flatten().flatten().collect::<Vec<_>>())?;
                }
            }
        }
    }
}
