use socketio_tokio::{Ack, HandlerError, Server, Socket, State};

use crate::support::{Host, Noted, Notes, WebSocket, notes};

/// Errors and disconnects are noted.
fn server() -> (Server, Noted) {
    let (say, noted) = notes();
    let server = Server::builder().state(say.clone()).build();
    let root = server.of("/");
    root.on("echo", async |ack: Ack, (text,): (String,)| ack.send(text));
    let error = say.clone();
    root.on_error(move |_, event, why| error.say(format!("{event}: {why}")));
    root.on_disconnect(move |reason: socketio_tokio::DisconnectReason| {
        say.say(reason);
        async {}
    });
    server.of("/other").on("echo", async |ack: Ack, (text,): (String,)| ack.send(text));
    (server, noted)
}

fn fails() -> bool {
    true
}

async fn lives(client: &mut WebSocket) {
    client.send("427[\"echo\",\"alive\"]").await;
    client.expect(&["437[\"alive\"]"]).await;
}

#[tokio::test]
async fn a_panic_of_a_handler_costs_its_socket_alone() {
    let (server, mut noted) = server();
    server.of("/").on("now", || {
        assert!(!fails(), "in the call");
        async {}
    });
    server.of("/").on("first", async || assert!(!fails(), "at the first poll"));
    server.of("/").on("later", async || {
        tokio::task::yield_now().await;
        assert!(!fails(), "after an await");
    });
    let host = Host::start(server).await;
    let mut neighbour = host.client().await;
    for (event, why) in [("now", "in the call"), ("first", "at the first poll"), ("later", "after an await")] {
        let mut client = WebSocket::joined(host.address, "/other").await;
        client.join("/").await;
        client.send(&format!("42[\"{event}\"]")).await;
        client.expect(&["41"]).await;
        noted.expect(&[&format!("{event}: the handler panicked: {why}"), "server namespace disconnect"]).await;
        client.send("42/other,7[\"echo\",\"alive\"]").await;
        client.expect(&["43/other,7[\"alive\"]"]).await;
        lives(&mut neighbour).await;
    }
    drop(neighbour);
    noted.expect(&["transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn events_behind_a_panic_are_not_handled() {
    let (server, mut noted) = server();
    server.of("/").on("panic", async || {
        tokio::task::yield_now().await;
        assert!(!fails(), "oops");
    });
    server.of("/").on("held", async |State(notes): State<Notes>| notes.say("handled"));
    server.of("/").on("wait", async || core::future::pending::<()>().await);
    let host = Host::start(server).await;
    let mut client = host.client().await;
    let mut packets = vec!["42[\"wait\"]"; 63];
    packets.extend(["42[\"panic\"]", "42[\"held\"]"]);
    client.send_all(&packets).await;
    client.expect(&["41"]).await;
    noted.expect(&["panic: the handler panicked: oops", "server namespace disconnect"]).await;
    noted.nothing();
}

#[tokio::test]
async fn a_panic_of_on_connect_costs_its_socket_alone() {
    for late in [false, true] {
        let (server, mut noted) = server();
        server.of("/").on_connect(move |_: Socket| {
            assert!(late, "in the call");
            async {
                tokio::task::yield_now().await;
                assert!(!fails(), "after an await");
            }
        });
        let host = Host::start(server).await;
        let mut client = WebSocket::joined(host.address, "/other").await;
        client.join("/").await;
        client.expect(&["41"]).await;
        let why = if late { "after an await" } else { "in the call" };
        noted.expect(&[&format!("connect: the handler panicked: {why}"), "server namespace disconnect"]).await;
        client.send("42/other,7[\"echo\",\"alive\"]").await;
        client.expect(&["43/other,7[\"alive\"]"]).await;
        drop(client);
        host.empty().await;
    }
}

#[tokio::test]
async fn a_panic_of_on_disconnect_costs_nobody() {
    for late in [false, true] {
        let (server, mut noted) = server();
        server.of("/").on_disconnect(move || {
            assert!(late, "in the call");
            async {
                tokio::task::yield_now().await;
                assert!(!fails(), "after an await");
            }
        });
        let host = Host::start(server).await;
        let mut client = host.client().await;
        client.send("41").await;
        let why = if late { "after an await" } else { "in the call" };
        noted.expect(&[&format!("disconnect: the handler panicked: {why}")]).await;
        client.join("/").await;
        lives(&mut client).await;
        drop(client);
        host.empty().await;
    }
}

#[tokio::test]
async fn a_panic_of_on_error_costs_nobody() {
    let (server, _) = server();
    server.of("/").on("fail", async || -> Result<(), HandlerError> { Err("failed".into()) });
    server.of("/").on_error(|_, _, _| panic!("oops"));
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"fail\"]").await;
    lives(&mut client).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn errors_are_told_and_nothing_is_sent() {
    let (server, mut noted) = server();
    server.of("/").on("fail", async || -> Result<(), HandlerError> { Err("failed".into()) });
    server.of("/").on("later", async || -> Result<(), HandlerError> {
        tokio::task::yield_now().await;
        Err("failed later".into())
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("421[\"fail\"]").await;
    noted.expect(&["fail: failed"]).await;
    client.send("422[\"later\"]").await;
    noted.expect(&["later: failed later"]).await;
    for payload in ["[\"echo\"]", "[\"echo\",5]", "[\"echo\",{\"a\":[]}]", "[\"echo\",\"\\ud83d\"]"] {
        client.send(&format!("423{payload}")).await;
        assert!(noted.next().await.starts_with("echo: "), "{payload}");
    }
    lives(&mut client).await;
}

#[tokio::test]
async fn an_error_after_the_disconnect_is_told_too() {
    let (server, mut noted) = server();
    server.of("/").on("bye", async |socket: Socket| -> Result<(), HandlerError> {
        socket.disconnect();
        tokio::task::yield_now().await;
        while socket.is_connected() {
            tokio::task::yield_now().await;
        }
        Ok(socket.emit("too late", ())?)
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"bye\"]").await;
    client.expect(&["41"]).await;
    let mut told = [noted.next().await, noted.next().await];
    told.sort();
    assert_eq!(told, ["bye: the socket is not connected", "server namespace disconnect"]);
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn what_is_no_json_closes_the_connection_with_and_without_a_handler() {
    for event in ["echo", "unknown"] {
        let (server, mut noted) = server();
        let host = Host::start(server).await;
        let mut client = host.client().await;
        client.send(&format!("42[\"{event}\",}}]")).await;
        loop {
            let note = noted.next().await;
            if note == "parse error" {
                break;
            }
            assert!(note.starts_with("echo: "), "{note}");
        }
        client.expect_end().await;
        host.empty().await;
    }
}

#[tokio::test]
async fn what_is_no_json_closes_the_connection_while_it_would_be_held() {
    let (server, mut noted) = server();
    server.of("/").on_connect(async || core::future::pending::<()>().await);
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"unknown\",}]").await;
    noted.expect(&["parse error"]).await;
    client.expect_end().await;
}
