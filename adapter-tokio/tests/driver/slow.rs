use std::time::Duration;

use socketio_tokio::protocol::websocket::Frame;
use socketio_tokio::{HandlerError, Server, ServerBuilder, Socket, State};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{Gate, Host, Noted, Notes, Packet, notes, soon};

/// Handlers of one socket that wait at once before its events are held.
const WAITING: usize = 64;

/// `slow` notes its number and waits for the gate; `ask` waits for the client.
fn server(builder: ServerBuilder) -> (Server, Noted, Gate) {
    let ((say, noted), gate) = (notes(), Gate::default());
    let server = builder.state(say.clone()).state(gate.clone()).build();
    let root = server.of("/");
    root.on("slow", async |State(notes): State<Notes>, State(gate): State<Gate>, (number,): (u32,)| {
        notes.say(number);
        gate.pass().await;
    });
    root.on("ask", async |socket: Socket, State(notes): State<Notes>| -> Result<(), HandlerError> {
        let answer: String = socket.emit_with_ack("question", ()).await?;
        notes.say(answer);
        Ok(())
    });
    root.on_disconnect(move |reason: socketio_tokio::DisconnectReason| {
        say.say(reason);
        async {}
    });
    (server, noted, gate)
}

fn slow(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("42[\"slow\",{number}]")).collect()
}

async fn started(noted: &mut Noted, numbers: std::ops::Range<usize>) {
    for number in numbers {
        assert_eq!(noted.next().await, number.to_string());
    }
}

#[tokio::test]
async fn events_are_held_behind_sixty_four_waiting_handlers_and_answers_are_not() {
    let (server, mut noted, gate) = server(Server::builder());
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"ask\"]").await;
    client.expect(&["420[\"question\"]"]).await;
    client.send_all(&slow(0..200)).await;
    client.send("430[\"answered\"]").await;
    started(&mut noted, 0..WAITING - 1).await;
    // The answer lies behind all the events: they have been read. The handler that got it makes room for one.
    noted.expect(&["answered", "63"]).await;
    noted.nothing();
    assert_eq!(host.server.stats().handlers, WAITING);

    gate.open(1);
    noted.expect(&["64"]).await;
    gate.open(199);
    started(&mut noted, 65..200).await;
    drop(client);
    noted.expect(&["transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn heartbeats_go_on_behind_held_events() {
    let builder = Server::builder().ping_interval(Duration::from_millis(50)).ping_timeout(Duration::from_secs(5));
    let (server, mut noted, gate) = server(builder);
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send_all(&slow(0..100)).await;
    started(&mut noted, 0..WAITING).await;
    for _ in 0..3 {
        assert_eq!(client.next_of_all().await, Packet::Text("2".into()));
        client.send("3").await;
    }
    gate.open(100);
    started(&mut noted, WAITING..100).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_held_events_along() {
    let (server, mut noted, gate) = server(Server::builder());
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send_all(&slow(0..100)).await;
    client.send("41").await;
    started(&mut noted, 0..WAITING).await;
    noted.expect(&["client namespace disconnect"]).await;
    gate.open(100);
    client.join("/").await;
    client.send("42[\"slow\",1000]").await;
    noted.expect(&["1000"]).await;
    drop(client);
    noted.expect(&["transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn leaving_and_coming_back_makes_no_room_for_more_waiting_handlers() {
    let (server, mut noted, gate) = server(Server::builder());
    let host = Host::start(server).await;
    let mut client = host.client().await;
    let (times, mut packets) = (200, slow(0..WAITING));
    packets.extend(["41".to_owned(), "40".to_owned()]);
    for _ in 0..times {
        client.send_all(&packets).await;
    }
    started(&mut noted, 0..WAITING).await;
    // Whatever is read is read by then: another client is served behind it.
    let _other = host.client().await;
    assert!(host.server.stats().handlers <= 3 * WAITING, "{:?}", host.server.stats());

    // The others start later, not never.
    gate.open(times * WAITING);
    for _ in 0..(times - 1) * WAITING + times {
        noted.next().await;
    }
    noted.nothing();
}

#[tokio::test]
async fn reading_stops_when_too_much_is_held_and_everything_arrives_once_and_in_order() {
    let beat = Duration::from_millis(250);
    let builder = Server::builder().max_payload(10_000).ping_interval(beat).ping_timeout(beat);
    let (server, mut noted, gate) = server(builder);
    let host = Host::start(server).await;
    let mut client = host.client().await;

    let (count, padding) = (20_000, "x".repeat(1000));
    let mut bytes = Vec::new();
    for number in 0..count {
        Frame::text(&format!("42[\"slow\",{number},\"{padding}\"]")).write_masked([1, 2, 3, 4], &mut bytes);
        if number % 10 == 0 {
            Frame::text("3").write_masked([1, 2, 3, 4], &mut bytes);
        }
    }
    let mut writing = std::pin::pin!(client.stream.write_all(&bytes));
    // Four times as long as a client lives whose pongs are not heard.
    assert!(timeout(Duration::from_secs(2), writing.as_mut()).await.is_err(), "all of it was read");
    started(&mut noted, 0..WAITING).await;
    noted.nothing();

    gate.open(count);
    soon(async {
        let mut expected = WAITING..count;
        let mut written = false;
        while !written {
            tokio::select! {
                result = writing.as_mut() => written = result.is_ok(),
                note = noted.next() => assert_eq!(note, expected.next().unwrap().to_string()),
            }
        }
        started(&mut noted, expected).await;
    })
    .await;
}

#[tokio::test]
async fn what_a_client_sent_last_counts_though_it_takes_nothing_any_more() {
    const EVENTS: usize = 1_000;
    let (server, mut noted, _) = server(Server::builder());
    server.of("/").on("flood", async |socket: Socket| -> Result<(), HandlerError> {
        // More than the system takes, and less than what a connection may wait for.
        (0..100).try_for_each(|_| socket.emit("flood", "x".repeat(60_000)))?;
        Ok(())
    });
    server.of("/").on("count", async |State(notes): State<Notes>, (number,): (usize,)| notes.say(number));
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"flood\"]").await;
    // Some of it is here, and stays unread: the end of the connection resets it.
    soon(client.stream.readable()).await.unwrap();
    let events: Vec<_> = (0..EVENTS).map(|number| format!("42[\"count\",{number}]")).collect();
    client.send_all(&events).await;
    drop(client);
    for number in 0..EVENTS {
        assert_eq!(noted.next().await, number.to_string());
    }
    host.empty().await;
}
