use std::time::Duration;

use socketio_tokio::{Ack, AckError, Binary, Server, Socket, State};
use tokio::task::JoinSet;

use crate::support::{Host, Noted, Notes, notes, until};

fn server() -> (Server, Noted) {
    let (say, noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").on("ask", async |socket: Socket, State(notes): State<Notes>, (ms,): (u64,)| {
        let question = socket.emit_with_ack::<(String, Binary)>("question", "what?");
        match question.timeout(Duration::from_millis(ms)).await {
            Ok((text, bytes)) => notes.say(format!("{text} {bytes:?}")),
            Err(error) => notes.say(error),
        }
    });
    server.of("/").on("echo", async |ack: Ack, (text,): (String,)| ack.send(text));
    (server, noted)
}

#[tokio::test]
async fn an_answer_with_an_attachment_arrives_once() {
    use socketio_tokio::protocol::websocket::Frame;
    let (server, mut noted) = server();
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"ask\",10000]").await;
    client.expect(&["420[\"question\",\"what?\"]"]).await;
    let answer = [Frame::text("461-0[\"this\",{\"_placeholder\":true,\"num\":0}]"), Frame::binary(b"!")];
    client.write(&answer).await;
    assert!(noted.next().await.starts_with("this "));
    client.write(&answer).await;
    client.send("427[\"echo\",\"alive\"]").await;
    client.expect(&["437[\"alive\"]"]).await;
    noted.nothing();
}

#[tokio::test]
async fn answers_that_come_too_late_or_with_another_shape_are_errors() {
    let (server, mut noted) = server();
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"ask\",1]").await;
    noted.expect(&["operation has timed out"]).await;
    client.expect(&["420[\"question\",\"what?\"]"]).await;
    client.send_all(&["430[\"late\"]", "42[\"ask\",10000]"]).await;
    client.expect(&["421[\"question\",\"what?\"]"]).await;
    client.send("431[5]").await;
    let error = noted.next().await;
    assert!(error.contains("expected a string"), "{error}");
    client.send("427[\"echo\",\"alive\"]").await;
    client.expect(&["437[\"alive\"]"]).await;
}

#[tokio::test]
async fn a_disconnect_ends_the_wait_for_an_answer() {
    let (server, mut noted) = server();
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"ask\",60000]").await;
    client.expect(&["420[\"question\",\"what?\"]"]).await;
    client.send("41").await;
    noted.expect(&["socket has been disconnected"]).await;
    client.join("/").await;
    client.send("42[\"ask\",60000]").await;
    client.expect(&["421[\"question\",\"what?\"]"]).await;
    drop(client);
    noted.expect(&["socket has been disconnected"]).await;
    host.empty().await;
}

#[tokio::test]
async fn too_many_unanswered_acks_are_an_error() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let mut client = host.client().await;
    until(|| host.server.stats().sockets == 1).await;
    let socket = host.server.of("/").sockets().remove(0);
    let mut asking = JoinSet::new();
    for _ in 0..10_001 {
        let socket = socket.clone();
        asking.spawn(async move { socket.emit_with_ack::<()>("question", ()).await });
    }
    assert_eq!(crate::support::soon(asking.join_next()).await.unwrap().unwrap(), Err(AckError::TooMany));
    drop(socket);
    for _ in 0..10_000 {
        assert!(client.text().await.ends_with("[\"question\"]"));
    }
    drop(client);
    while let Some(ended) = crate::support::soon(asking.join_next()).await {
        assert_eq!(ended.unwrap(), Err(AckError::Disconnected));
    }
    host.empty().await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_longer_does_no_harm() {
    let (server, mut noted) = server();
    server.of("/").on("drop", async |_: Ack| {});
    server.of("/").on("forget", async |socket: Socket, State(notes): State<Notes>| {
        let asking = socket.emit_with_ack::<()>("question", ());
        assert!(tokio::time::timeout(Duration::from_millis(1), asking).await.is_err());
        notes.say("forgotten");
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send_all(&["425[\"drop\"]", "42[\"forget\"]"]).await;
    client.expect(&["420[\"question\"]"]).await;
    noted.expect(&["forgotten"]).await;
    client.send_all(&["430[]", "427[\"echo\",\"alive\"]"]).await;
    client.expect(&["437[\"alive\"]"]).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn nobody_is_asked_who_is_not_connected() {
    let (server, _) = server();
    let host = Host::start(server).await;
    let client = host.client().await;
    until(|| host.server.stats().sockets == 1).await;
    let socket = host.server.of("/").sockets().remove(0);
    drop(client);
    host.empty().await;
    assert!(matches!(socket.emit_with_ack::<()>("question", ()).await, Err(AckError::Emit(_))));
    assert!(socket.emit("event", ()).is_err());
}
