//! What users of other Rust clients complain about, each as a test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use socketio_tokio::{
    Ack, AckError, Args, Auth, Binary, Client, ClientBuilder, ConnectError, EventName, RawArgs, Server, Socket, State,
    Tokio, Transport, client,
};

use crate::relay::Relay;
use crate::support::{Host, Notes, notes, soon, until};

const SHORT: Duration = Duration::from_millis(10);

type Way = &'static [Transport];

over_each_transport! {
    answering_acks_of_the_server,
    several_arguments,
    several_attachments,
    several_namespaces_on_one_connection,
    what_is_emitted_offline_is_sent_in_order_once_connected,
    reconnection_that_does_not_stop,
    no_reconnection_after_disconnect,
    fresh_credentials_at_each_reconnection,
    a_panicking_callback_costs_nobody_the_connection,
    nested_emit_with_ack_does_not_deadlock,
    no_name_of_an_event_is_special,
    thousands_of_acks_at_once,
}

fn to(host: &Host, way: Way) -> ClientBuilder<Tokio> {
    at(host.address, way)
}

fn through(relay: &Relay, way: Way) -> ClientBuilder<Tokio> {
    at(relay.address, way)
}

fn at(address: SocketAddr, way: Way) -> ClientBuilder<Tokio> {
    let builder = client(&format!("http://{address}")).transports(way);
    builder.reconnection_delay(SHORT).reconnection_delay_max(SHORT)
}

/// rust-socketio #461, #491.
async fn answering_acks_of_the_server(way: Way) {
    let (say, mut noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").on("ask me", async |socket: Socket, State(notes): State<Notes>| {
        let (text, bytes): (String, Binary) = socket.emit_with_ack("question", (1, "x")).await?;
        notes.say(format!("{text} {}", bytes.0.len()));
        Ok::<_, AckError>(())
    });
    let host = Host::start(server).await;
    let client = to(&host, way).on("question", async |(number, text): (u32, String), ack: Ack| {
        assert!(ack.is_wanted());
        ack.send((format!("{number}{text}"), Binary::from(vec![0; 3])))
    });
    let client = soon(client.connect()).await.unwrap();
    client.emit("ask me", ()).unwrap();
    assert_eq!(noted.next().await, "1x 3");
}

/// rust-socketio #246, #249, #384.
async fn several_arguments(way: Way) {
    let server = Server::new();
    server.of("/").on("echo", async |args: RawArgs, ack: Ack| ack.send(args));
    let host = Host::start(server).await;
    let client = soon(to(&host, way).connect()).await.unwrap();
    let sent = (1, "two", [3, 4], Option::<u8>::None, serde_json::json!({ "five": 6 }));
    let Args(got): Args<Vec<serde_json::Value>> = soon(client.emit_with_ack("echo", &sent)).await.unwrap();
    assert_eq!(serde_json::Value::from(got), serde_json::to_value(&sent).unwrap());
}

/// rust-socketio #90.
async fn several_attachments(way: Way) {
    let server = Server::new();
    server.of("/").on("echo", async |args: RawArgs, ack: Ack| ack.send(args));
    let host = Host::start(server).await;
    let client = soon(to(&host, way).connect()).await.unwrap();
    let bytes = |len: usize| Binary::from(vec![7; len]);
    let sent = (bytes(3), "between", vec![bytes(0), bytes(70_000)]);
    let got: (Binary, String, Vec<Binary>) = soon(client.emit_with_ack("echo", &sent)).await.unwrap();
    assert_eq!((got.0, got.1.as_str(), got.2), sent);
}

/// rust-socketio #224.
async fn several_namespaces_on_one_connection(way: Way) {
    let server = Server::new();
    for name in ["/", "/chat", "/admin"] {
        server.of(name).on("where", async |socket: Socket, ack: Ack| ack.send(socket.namespace().name()));
    }
    let host = Host::start(server).await;
    let root = soon(to(&host, way).connect()).await.unwrap();
    let chat = soon(root.of("/chat").connect()).await.unwrap();
    let admin = soon(root.of("admin").connect()).await.unwrap();
    for client in [&admin, &root, &chat] {
        let name: String = soon(client.emit_with_ack("where", ())).await.unwrap();
        assert_eq!(name, client.namespace());
    }
    let stats = host.server.stats();
    assert_eq!((stats.sessions, stats.sockets), (1, 3));
    // The others stay when one leaves.
    chat.disconnect();
    until(|| host.server.stats().sockets == 2).await;
    assert!(root.is_connected() && !chat.is_connected());
}

/// rust-socketio #230.
async fn what_is_emitted_offline_is_sent_in_order_once_connected(way: Way) {
    let (say, mut noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").on("number", async |State(notes): State<Notes>, number: u32| notes.say(number));
    let host = Host::start(server).await;
    let relay = Relay::start(host.address).await;
    relay.close();
    let client = through(&relay, way).start().unwrap();
    for number in 0..100 {
        client.emit("number", number).unwrap();
    }
    client.emit_volatile("number", 1000).unwrap();
    until(|| relay.accepted() > 2).await;
    relay.open();
    for number in 0..100 {
        assert_eq!(noted.next().await, number.to_string());
    }
    client.emit("number", 100).unwrap();
    assert_eq!(noted.next().await, "100");
}

/// rust-socketio #248: its back-off ends after 15 minutes. (The delays are tested in virtual time, in the core.)
async fn reconnection_that_does_not_stop(way: Way) {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    let client = soon(through(&relay, way).connect()).await.unwrap();
    for _ in 0..20 {
        // While it changes, a connection that the relay has not seen yet may outlive the cut.
        until(|| client.transport().as_ref() == way.last()).await;
        let before = client.id();
        relay.cut();
        until(|| client.is_connected() && client.id() != before).await;
    }
    relay.close();
    let before = relay.accepted();
    until(|| relay.accepted() > before + 5).await;
    relay.open();
    until(|| client.is_connected()).await;
}

/// rust-socketio #374.
async fn no_reconnection_after_disconnect(way: Way) {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    let client = soon(through(&relay, way).connect()).await.unwrap();
    client.disconnect();
    host.empty().await;
    relay.cut();
    // Nothing more comes, and says so.
    assert!(soon(client.next()).await.is_some());
    while soon(client.next()).await.is_some() {}
    assert!(!client.is_active());
    let accepted = relay.accepted();
    tokio::time::sleep(3 * SHORT).await;
    assert_eq!(relay.accepted(), accepted);
}

/// rust-socketio #401, #405.
async fn fresh_credentials_at_each_reconnection(way: Way) {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Token {
        token: u32,
    }
    let (say, mut noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").middleware(async |State(notes): State<Notes>, Auth(auth): Auth<Token>| {
        notes.say(auth.token);
        Ok::<_, ConnectError>(())
    });
    let host = Host::start(server).await;
    let relay = Relay::start(host.address).await;
    let count = Arc::new(AtomicU32::new(0));
    let client = through(&relay, way).auth_with(move || {
        let token = count.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            Token { token }
        }
    });
    let client = soon(client.connect()).await.unwrap();
    assert_eq!(noted.next().await, "0");
    for token in 1..4 {
        relay.cut();
        assert_eq!(noted.next().await, token.to_string());
        until(|| client.is_connected()).await;
    }
}

/// rust-socketio #222.
async fn a_panicking_callback_costs_nobody_the_connection(way: Way) {
    let server = Server::new();
    server.of("/").on("go", async |socket: Socket| socket.emit("bad", [[0; 0]]).and(socket.emit("good", ())));
    let host = Host::start(server).await;
    let (say, mut noted) = notes();
    let errors = say.clone();
    let client = to(&host, way)
        .state(say)
        .on("bad", async |bad: Vec<u8>| assert!(!bad.is_empty(), "oh"))
        .on("good", async |State(notes): State<Notes>| notes.say("good"))
        .on_connect(async |client: Client| -> Result<(), ConnectError> {
            client.emit("go", ()).unwrap();
            panic!("ah")
        })
        .on_error(move |_, event, error| errors.say(format!("{event}: {error}")));
    let client = soon(client.connect()).await.unwrap();
    noted.expect(&["connect: the handler panicked: ah", "bad: the handler panicked: oh", "good"]).await;
    assert!(client.is_connected());
}

/// rust-socketio #467.
async fn nested_emit_with_ack_does_not_deadlock(way: Way) {
    let (say, mut noted) = notes();
    let server = Server::builder().state(say.clone()).build();
    let root = server.of("/");
    root.on("start", async |socket: Socket, State(notes): State<Notes>| {
        let sum: u32 = socket.emit_with_ack("outer", 3).await?;
        notes.say(sum);
        Ok::<_, AckError>(())
    });
    root.on("double", async |number: u32, ack: Ack| ack.send(2 * number));
    let host = Host::start(server).await;
    let client = to(&host, way).on("outer", async |client: Client, number: u32, ack: Ack| {
        let mut sum = 0;
        for number in 0..number {
            let double: u32 = client.emit_with_ack("double", number).await?;
            let inner: u32 = client.emit_with_ack("double", double).await?;
            sum += inner;
        }
        ack.send(sum)?;
        Ok::<_, socketio_tokio::HandlerError>(())
    });
    let client = soon(client.connect()).await.unwrap();
    client.emit("start", ()).unwrap();
    assert_eq!(noted.next().await, "12");
}

const NAMES: [&str; 6] = ["message", "Message", "error", "open", "close", "ERROR"];

/// rust-socketio takes these names for its own, and an event of one element for a message.
async fn no_name_of_an_event_is_special(way: Way) {
    let server = Server::new();
    server.of("/").on("all", async |socket: Socket| NAMES.iter().try_for_each(|name| socket.emit(name, ())));
    let host = Host::start(server).await;
    let (say, mut noted) = notes();
    let client = to(&host, way).state(say).on_any(async |State(notes): State<Notes>, EventName(name), Args(args)| {
        let _: Vec<()> = args;
        notes.say(name);
    });
    let client = soon(client.connect()).await.unwrap();
    client.emit("all", ()).unwrap();
    noted.expect(&NAMES).await;
}

/// rust-socketio draws the ids of its acks from 1000 numbers.
async fn thousands_of_acks_at_once(way: Way) {
    let server = Server::new();
    server.of("/").on("echo", async |number: u32, ack: Ack| ack.send(number));
    let host = Host::start(server).await;
    let client = soon(to(&host, way).connect()).await.unwrap();
    let asked = (0..5000).map(|number| {
        let client = client.clone();
        tokio::spawn(async move { client.emit_with_ack::<u32>("echo", number).await.unwrap() == number })
    });
    for right in asked.collect::<Vec<_>>() {
        assert!(soon(right).await.unwrap());
    }
}
