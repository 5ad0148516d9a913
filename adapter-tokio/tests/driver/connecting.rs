use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use socketio_tokio::{Ack, ConnectError, HandlerError, Server, Socket, State};

use crate::support::{Gate, Host, Noted, Notes, Packet, WebSocket, notes, until};

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "token")]
    _token: String,
}

fn server() -> (Server, Noted, Gate) {
    let ((say, noted), gate) = (notes(), Gate::default());
    let server = Server::builder().state(say.clone()).state(gate.clone()).build();
    server.of("/").on("note", async |State(notes): State<Notes>, (note,): (String,)| notes.say(note));
    server.of("/").on_disconnect(move |reason: socketio_tokio::DisconnectReason| {
        say.say(reason);
        async {}
    });
    (server, noted, gate)
}

#[tokio::test]
async fn events_without_a_handler_wait_for_on_connect() {
    let (server, mut noted, gate) = server();
    server.of("/").on_connect(async |socket: Socket, State(gate): State<Gate>| {
        gate.pass().await;
        socket.on("late", async |State(notes): State<Notes>, (note,): (String,)| notes.say(note));
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"note\",\"at once\"]").await;
    noted.expect(&["at once"]).await;
    client.send_all(&["42[\"late\",\"held\"]", "42[\"unknown\"]", "42[\"note\",\"behind\"]"]).await;
    // A namespace joined meanwhile shows that they have been read.
    host.server.of("/other");
    client.join("/other").await;
    noted.nothing();
    gate.open(1);
    noted.expect(&["held", "behind"]).await;
    client.send("42[\"late\",\"declared\"]").await;
    noted.expect(&["declared"]).await;
    drop(client);
    noted.expect(&["transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn an_answer_reaches_on_connect_while_events_are_held() {
    let (server, mut noted, _) = server();
    server.of("/").on_connect(async |socket: Socket, State(notes): State<Notes>| -> Result<(), HandlerError> {
        let answer: String = socket.emit_with_ack("question", ()).await?;
        notes.say(answer);
        Ok(())
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.expect(&["420[\"question\"]"]).await;
    client.send_all(&["42[\"unknown\"]", "42[\"note\",\"event\"]", "430[\"answer\"]"]).await;
    noted.expect(&["answer", "event"]).await;
}

#[tokio::test]
async fn event_pipelined_behind_connect_handled_by_luck() {
    let (server, mut noted, _) = server();
    server.of("/").on_connect(async |socket: Socket, State(notes): State<Notes>| {
        notes.say("connect");
        socket.on("own", async |State(notes): State<Notes>| notes.say("own"));
    });
    let host = Host::start(server).await;
    let mut client = WebSocket::open(host.address).await;
    client.send_all(&["40", "42[\"note\",\"first\"]", "42[\"own\"]"]).await;
    noted.expect(&["connect", "first", "own"]).await;
}

#[tokio::test]
async fn an_error_of_on_connect_disconnects_and_nothing_held_is_handled() {
    let (server, mut noted, gate) = server();
    server.of("/").on_connect(async |socket: Socket, State(gate): State<Gate>| -> Result<(), HandlerError> {
        socket.on("own", async |State(notes): State<Notes>| notes.say("own"));
        gate.pass().await;
        Err("not today".into())
    });
    let (say, mut errors) = notes();
    server.of("/").on_error(move |_, event, error| say.say(format!("{event}: {error}")));
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send_all(&["42[\"unknown\"]", "42[\"own\"]"]).await;
    host.server.of("/other");
    client.join("/other").await;
    gate.open(1);
    client.expect(&["41"]).await;
    noted.expect(&["server namespace disconnect"]).await;
    errors.expect(&["connect: not today"]).await;
    noted.nothing();
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn middleware_runs_in_order_and_rejects_with_message_and_data() {
    let (server, mut noted, _) = server();
    let guarded = server.of("/guarded");
    guarded.middleware(async |State(notes): State<Notes>| {
        notes.say("first");
        tokio::task::yield_now().await;
        Ok(())
    });
    guarded.middleware(async |State(notes): State<Notes>, socket: Socket| {
        notes.say("second");
        match socket.auth::<Token>() {
            Ok(_) => Ok(()),
            Err(_) => Err(ConnectError::new("no").with_data(json!({ "code": 42 }))),
        }
    });
    guarded.middleware(async |State(notes): State<Notes>| {
        notes.say("third");
        Ok(())
    });
    guarded.on_connect(async |State(notes): State<Notes>| notes.say("connect"));
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("40/guarded,{\"token\":1}").await;
    client.expect(&["44/guarded,{\"message\":\"no\",\"data\":{\"code\":42}}"]).await;
    noted.expect(&["first", "second"]).await;
    noted.nothing();
    assert_eq!(host.server.stats().sockets, 1);

    client.send("40/guarded,{\"token\":\"secret\"}").await;
    assert!(client.text().await.starts_with("40/guarded,{\"sid\":"));
    noted.expect(&["first", "second", "third", "connect"]).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn rooms_joined_in_middleware_are_entered_with_the_socket() {
    let (server, _, gate) = server();
    server.of("/").middleware(async |socket: Socket, State(gate): State<Gate>| {
        socket.join("a");
        socket.join("b");
        socket.leave("a");
        gate.pass().await;
        Ok(())
    });
    server.of("/").on("rooms", async |socket: Socket, ack: Ack| ack.send(socket.rooms()));
    let host = Host::start(server).await;
    let mut client = WebSocket::open(host.address).await;
    client.send("40").await;
    until(|| host.server.stats().handlers == 1).await;
    assert_eq!(host.server.stats().rooms, 0, "not before it is let in");
    host.server.to("b").emit("too early", ()).unwrap();
    gate.open(1);
    let reply = client.text().await;
    let id = reply.trim_start_matches("40{\"sid\":\"").trim_end_matches("\"}");
    client.send("421[\"rooms\"]").await;
    client.expect(&[&format!("431[[\"{id}\",\"b\"]]")]).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn rooms_joined_in_rejected_middleware_leak() {
    let (server, _, _) = server();
    let held = Arc::new(());
    let guest = Arc::clone(&held);
    server.of("/").middleware(move |socket: Socket| {
        let guest = Arc::clone(&guest);
        async move {
            socket.join("room");
            // A handler that holds its own socket.
            let own = socket.clone();
            socket.on("event", move || {
                let _ = (&guest, &own);
                async {}
            });
            Err(ConnectError::new("no"))
        }
    });
    let host = Host::start(server).await;
    let mut client = WebSocket::open(host.address).await;
    client.send("40").await;
    client.expect(&["44{\"message\":\"no\"}"]).await;
    assert_eq!((host.server.stats().rooms, host.server.stats().sockets), (0, 0));
    until(|| Arc::strong_count(&held) == 2).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn a_client_that_goes_while_middleware_runs_leaves_nothing() {
    for leaves in [true, false] {
        let (server, mut noted, gate) = server();
        let held = Arc::new(());
        let guest = Arc::clone(&held);
        server.of("/").middleware(move |socket: Socket, State(gate): State<Gate>| {
            let guest = Arc::clone(&guest);
            async move {
                gate.pass().await;
                socket.join("room");
                let own = socket.clone();
                socket.on("event", move || {
                    let _ = (&guest, &own);
                    async {}
                });
                Ok(())
            }
        });
        server.of("/").on_connect(async |State(notes): State<Notes>| notes.say("connect"));
        server.of("/witness").on_connect(async |socket: Socket, State(notes): State<Notes>| {
            socket.on_disconnect(move || {
                notes.say("witness");
                async {}
            });
        });
        let host = Host::start(server).await;
        let mut client = WebSocket::open(host.address).await;
        client.send("40").await;
        until(|| host.server.stats().handlers == 1).await;
        if leaves {
            // It leaves, and asks for a namespace that does not exist, whose refusal shows that it was heard.
            client.send_all(&["41", "40/none,"]).await;
            client.expect(&["44/none,{\"message\":\"Invalid namespace\"}"]).await;
            gate.open(1);
            until(|| Arc::strong_count(&held) == 2).await;
        } else {
            client.join("/witness").await;
            drop(client);
            noted.expect(&["witness"]).await;
            gate.open(1);
        }
        until(|| Arc::strong_count(&held) == 2).await;
        if !leaves {
            host.empty().await;
        }
        noted.nothing();
    }
}

#[tokio::test]
async fn a_handler_declared_when_the_socket_is_gone_is_forgotten() {
    let (server, mut noted, gate) = server();
    let held = Arc::new(());
    let guest = Arc::clone(&held);
    server.of("/").on("slow", move |socket: Socket, State(gate): State<Gate>| {
        let guest = Arc::clone(&guest);
        async move {
            gate.pass().await;
            let own = socket.clone();
            socket.join("room");
            socket.on("event", move || {
                let _ = (&guest, &own);
                async {}
            });
        }
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"slow\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    drop(client);
    noted.expect(&["transport close"]).await;
    gate.open(1);
    host.empty().await;
    until(|| Arc::strong_count(&held) == 2).await;
}

#[tokio::test]
async fn a_panic_of_middleware_refuses_the_client_alone() {
    for late in [false, true] {
        let (server, mut noted, _) = server();
        server.of("/guarded").middleware(move |socket: Socket| {
            assert!(late || socket.is_connected(), "panics in the call");
            async move {
                tokio::task::yield_now().await;
                assert!(socket.is_connected(), "panics later");
                Ok(())
            }
        });
        let host = Host::start(server).await;
        let mut client = host.client().await;
        client.send("40/guarded,").await;
        client.expect(&["44/guarded,{\"message\":\"internal server error\"}"]).await;
        client.send("42[\"note\",\"alive\"]").await;
        noted.expect(&["alive"]).await;
        drop(client);
        host.empty().await;
    }
}

#[tokio::test]
async fn an_unknown_namespace_is_refused() {
    let (server, _, _) = server();
    let host = Host::start(server).await;
    let mut client = WebSocket::open(host.address).await;
    client.send("40/none,").await;
    client.expect(&["44/none,{\"message\":\"Invalid namespace\"}"]).await;
    client.send("41/none,").await;
    assert_eq!(client.next().await, Packet::Close(None));
}
