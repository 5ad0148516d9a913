//! The bare server gives the answers that the generator expects.

use std::process::Command;
use std::time::Duration;

use socketio_load::check::Faults;
use socketio_load::handshake::Handshake;
use socketio_load::idle::Idle;
use socketio_load::process::Process;
use socketio_load::run::Span;
use socketio_load::scenario::{Kind, Work};

fn server() -> Process {
    Process::start(Command::new(env!("CARGO_BIN_EXE_limit"))).expect("the server starts")
}

/// Runs twice, since a load goes on where it has stopped.
fn run(work: Work, count: u64, operations: u64) {
    let server = server();
    let mut load = work.prepare(server.address()).expect("it connects").expect("it is no idling");
    for _ in 0..2 {
        let outcome = load.run(Span::Messages(count)).expect("the connections live");
        assert_eq!((outcome.operations, outcome.faults), (operations, Faults::default()), "{work:?}");
    }
}

#[test]
fn messages_are_answered() {
    for kind in [Kind::Echo, Kind::Ack, Kind::Binary] {
        run(Work::Messages { kind, connections: 3, in_flight: 16, size: 32, namespaces: 0 }, 100, 300);
    }
    for (in_flight, size) in [(16, 200), (2, 65_536)] {
        let work = Work::Messages { kind: Kind::Echo, connections: 3, in_flight, size, namespaces: 0 };
        run(work, 100, 300);
    }
    run(Work::Messages { kind: Kind::Echo, connections: 4, in_flight: 2, size: 32, namespaces: 2 }, 10, 40);
}

#[test]
fn broadcasts_reach_the_room() {
    run(Work::Broadcast { subscribers: 5, in_flight: 3, size: 32, rooms: 200 }, 50, 250);
}

#[test]
fn polling_sessions_are_answered() {
    run(Work::Polling { sessions: 3, in_flight: 16, size: 32 }, 160, 480);
    run(Work::Polling { sessions: 3, in_flight: 1, size: 32 }, 20, 60);
}

#[test]
fn handshakes_end() {
    for kind in [Handshake::WebSocket, Handshake::Upgrade, Handshake::Polling] {
        run(Work::Handshake(kind), 2, 32);
    }
}

#[test]
fn idle_connections_answer() {
    let server = server();
    let mut idle = Idle::connect(server.address(), 20).expect("they connect");
    idle.hold(Duration::from_millis(1)).expect("they stay");
    let outcome = idle.probe().expect("they stay");
    assert_eq!((outcome.operations, outcome.faults), (20, Faults::default()));
}
