use std::time::Duration;

use socketio_tokio::protocol::engine::Transport;
use socketio_tokio::{
    Ack, AckError, Client, ClientBuilder, ClientEvent, DisconnectReason, ManagerEvent, Server, Socket, State, Tokio,
    client,
};

use crate::relay::Relay;
use crate::support::{Gate, Host, Notes, notes, soon, until};

const SHORT: Duration = Duration::from_millis(10);

fn to(host: &Host) -> ClientBuilder<Tokio> {
    client(&format!("http://{}", host.address)).reconnection_delay(SHORT)
}

/// A server that counts for everybody who comes, and when it is asked to.
fn counting() -> Server {
    let server = Server::builder().ping_interval(Duration::from_millis(200)).build();
    let root = server.of("/");
    root.on_connect(async |socket: Socket| (0..3).try_for_each(|number| socket.emit("number", number)));
    root.on("count", async |socket: Socket, (from, to): (u32, u32)| {
        (from..to).try_for_each(|number| socket.emit("number", (number, "x".repeat(1000))))
    });
    root.on("answer", async |ack: Ack| ack.send(()));
    root.on("ask", async |socket: Socket| {
        let sum: u32 = socket.emit_with_ack("sum", (1, 2)).await?;
        socket.emit("number", sum)?;
        Ok::<_, AckError>(())
    });
    server
}

/// The next event of the server, and its number.
async fn number(client: &Client) -> u32 {
    loop {
        match soon(client.next()).await.unwrap() {
            ClientEvent::Event(event) if event.name() == "number" => return event.args().unwrap(),
            ClientEvent::Disconnect(reason) => panic!("{reason}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn events_wait_until_somebody_asks_for_them() {
    let host = Host::start(counting()).await;
    let client = soon(to(&host).connect()).await.unwrap();
    client.emit("count", (3, 10)).unwrap();
    until(|| host.server.stats().handlers == 0).await;
    for expected in 0..10 {
        assert_eq!(number(&client).await, expected);
    }
}

#[tokio::test]
async fn events_wait_until_a_handler_is_declared() {
    let host = Host::start(counting()).await;
    let (say, mut noted) = notes();
    let client = soon(to(&host).state(say).connect()).await.unwrap();
    client.emit("count", (3, 10)).unwrap();
    // The answer comes behind the events.
    assert_eq!(soon(client.emit_with_ack("answer", ())).await, Ok(()));
    client.on("number", async |State(notes): State<Notes>, number: u32| notes.say(number));
    for expected in 0..10 {
        assert_eq!(noted.next().await, expected.to_string());
    }
}

#[tokio::test]
async fn a_handler_that_on_connect_declares_gets_every_event() {
    let host = Host::start(counting()).await;
    let (say, mut noted) = notes();
    let gate = Gate::default();
    let client = to(&host).state(say).state(gate.clone()).on("other", async || {}).on_connect(
        async |client: Client, State(gate): State<Gate>| {
            gate.pass().await;
            client.on("number", async |State(notes): State<Notes>, number: u32| notes.say(number));
        },
    );
    let client = soon(client.connect()).await.unwrap();
    client.emit("count", (3, 10)).unwrap();
    gate.open(1);
    for expected in 0..10 {
        assert_eq!(noted.next().await, expected.to_string());
    }
}

#[tokio::test]
async fn an_event_can_be_answered_later() {
    let host = Host::start(counting()).await;
    let client = soon(to(&host).connect()).await.unwrap();
    client.emit("ask", ()).unwrap();
    loop {
        match soon(client.next()).await.unwrap() {
            ClientEvent::Event(event) if event.name() == "sum" => {
                let (a, b): (u32, u32) = event.args().unwrap();
                event.into_ack().send(a + b + 100).unwrap();
                break;
            }
            _ => {}
        }
    }
    assert_eq!(number(&client).await, 103);
}

#[tokio::test]
async fn what_becomes_of_the_connection_is_told_in_order() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).reconnection_delay_max(SHORT);
    let client = soon(client.connect()).await.unwrap();
    let mut told = Vec::new();
    let mut cut = false;
    while told.len() < 8 {
        match soon(client.next()).await.unwrap() {
            ClientEvent::Connect { recovered } => told.push(format!("connect {recovered}")),
            ClientEvent::Disconnect(reason) => told.push(format!("disconnect {reason}")),
            ClientEvent::Manager(event) => told.push(format!("{event:?}")),
            event => panic!("{event:?}"),
        }
        if told.len() == 2 && !cut {
            cut = true;
            relay.cut();
        }
    }
    let expected = [
        "Open",
        "connect false",
        "disconnect transport close",
        "Close(TransportClose)",
        "ReconnectAttempt(1)",
        "Open",
        "Reconnect(1)",
        "connect false",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn nothing_more_comes_after_a_disconnect() {
    let host = Host::start(counting()).await;
    let client = soon(to(&host).connect()).await.unwrap();
    assert_eq!(number(&client).await, 0);
    let waiting = tokio::spawn({
        let client = client.clone();
        async move {
            let mut reason = None;
            while let Some(event) = client.next().await {
                if let ClientEvent::Disconnect(said) = event {
                    reason = Some(said);
                }
            }
            reason
        }
    });
    client.disconnect();
    assert_eq!(soon(waiting).await.unwrap(), Some(DisconnectReason::IoClientDisconnect));
    assert!(soon(client.next()).await.is_none());
    soon(client.connect()).await.unwrap();
    assert_eq!(number(&client).await, 0);
}

/// Who reads slowly makes the server wait, and loses nothing.
#[tokio::test]
async fn reading_stops_while_nobody_asks_for_events() {
    for way in [Transport::WebSocket, Transport::Polling] {
        let server = Server::builder().max_queued(64 << 20).build();
        server.of("/").on("count", async |socket: Socket| {
            (0..20_000).try_for_each(|number| socket.emit("number", (number, "x".repeat(1000))))
        });
        server.of("/").on("answer", async |ack: Ack| ack.send(()));
        let host = Host::start(server).await;
        let client = soon(to(&host).transports(&[way]).max_held(100_000).connect()).await.unwrap();
        assert!(matches!(soon(client.next()).await, Some(ClientEvent::Manager(ManagerEvent::Open))));
        client.emit("count", ()).unwrap();
        assert_eq!(number(&client).await, 0);
        // An answer comes behind the events, and is not read: but for one that came in the same answer to a poll, which is
        // taken whole.
        let ask = || soon(client.emit_with_ack::<()>("answer", ()).timeout(50 * SHORT));
        if way == Transport::Polling {
            let _ = ask().await;
        }
        assert_eq!(ask().await, Err(AckError::Timeout), "{way:?}");
        for expected in 1..20_000 {
            assert_eq!(number(&client).await, expected);
        }
    }
}
