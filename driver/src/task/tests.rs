use std::sync::{Arc, Mutex, mpsc};

use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::{Response, server, upgrade};
use socketio_protocol::engine::Transport;

use super::*;
use crate::client::testing::{FakeStream, Peer, Task, World};
use crate::handshake::Handshake;
use crate::server::{Server, SocketIo};

/// The upgrade of a connection that asks for it.
fn upgrade_of(connection: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static) -> OnUpgrade {
    let (sender, upgrade) = mpsc::channel();
    let service = service_fn(move |mut request| {
        sender.send(upgrade::on(&mut request)).unwrap();
        async { Response::builder().status(101).header("upgrade", "x").body(Empty::<Bytes>::new()) }
    });
    let connection = server::conn::http1::Builder::new().serve_connection(connection, service).with_upgrades();
    Task::new(connection).finish().unwrap();
    upgrade.recv().unwrap()
}

const REQUEST: &str = "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";

#[test]
fn streams_are_found_again_behind_an_upgrade() {
    let connect = || {
        let peer = Peer::default();
        peer.send(REQUEST);
        peer.send("ahead");
        peer.stream()
    };
    let own = upgrade_of(HyperStream::new(MaybeTls::Left(connect())));
    let of_others = upgrade_of(HyperStream::new(connect()));
    for upgrade in [own, of_others] {
        let upgraded = Task::new(upgrade).finish().unwrap();
        let (stream, ahead) = Open::<FakeStream>::from_upgraded::<World>(upgraded);
        assert!(matches!(stream, Open::Direct(_)));
        assert_eq!(ahead, "ahead");
    }
}

/// A session whose client has upgraded, and the client.
fn session(server: &Server) -> (SessionTask<World, SocketIo>, Peer) {
    let peer = Peer::default();
    peer.send(REQUEST);
    let upgrade = upgrade_of(HyperStream::new(MaybeTls::Left(peer.stream())));
    peer.received();
    let (engine, (head, ())) = (server.engine(), http::Request::new(()).into_parts());
    let (id, mailbox) = engine.register().unwrap();
    let session = Session::new(Arc::clone(&engine.0.config), id, Transport::WebSocket, engine.now());
    let handshake = Arc::new(Handshake::new(&head, Default::default()));
    let connection = engine.0.application.open(handshake, &mailbox, engine.now());
    (SessionTask::new(engine.clone(), World::default(), mailbox, session, connection, Some(upgrade)), peer)
}

#[test]
fn a_client_that_sends_without_an_end_lets_others_have_their_turn() {
    const SENT: usize = 4 << 20;
    // A mask of zeros changes nothing.
    let large = [&[0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0][..], &[b'6'; 60_000]].concat();
    for (what, message) in [
        ("pings", vec![0x89, 0x80, 0, 0, 0, 0]),
        ("pongs", vec![0x8a, 0x80, 0, 0, 0, 0]),
        ("packets that mean nothing", large),
        ("what comes behind a fault", vec![0xff; 1_000]),
    ] {
        let server = Server::new();
        let (mut task, peer) = session(&server);
        let sent = message.repeat(SENT / message.len());
        peer.send(&sent);
        assert!(Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let read = sent.len() - peer.left();
        assert!((1..=READ_BUDGET + READ).contains(&read), "{read} bytes of {what} were read at once");
    }
}

#[test]
fn many_messages_of_one_client_are_told_in_turns_and_in_order() {
    const SENT: usize = 3 * MESSAGE_BUDGET;
    let (server, told) = (Server::new(), Arc::new(Mutex::new(Vec::new())));
    let notes = Arc::clone(&told);
    server.of("/").on("a", move |(number,): (usize,)| {
        notes.lock().unwrap().push(number);
        async {}
    });
    let (mut task, peer) = session(&server);
    let send = |text: &str| {
        peer.send([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
        peer.send(text);
    };
    let mut poll = || Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending();
    send("40");
    assert!(poll());
    (0..SENT).for_each(|number| send(&format!("42[\"a\",{number}]")));
    for turn in 1..=3 {
        assert!(poll());
        assert_eq!(told.lock().unwrap().len(), turn * MESSAGE_BUDGET);
    }
    assert!(told.lock().unwrap().iter().copied().eq(0..SENT));
}
