use std::time::Duration;

use socketio_tokio::protocol::engine::Transport;
use socketio_tokio::protocol::socket::manager::OpenError;
use socketio_tokio::{
    Auth, Client, ClientBuilder, ConnectError, ConnectFailure, DisconnectReason, ManagerEvent, Server, Socket, State,
    Tokio, client,
};
use tokio::net::TcpSocket;

use crate::relay::Relay;
use crate::support::{Host, Notes, notes, soon, until};

const SHORT: Duration = Duration::from_millis(10);

fn to(host: &Host, namespace: &str) -> ClientBuilder<Tokio> {
    client(&format!("http://{}{namespace}", host.address)).reconnection_delay(SHORT).reconnection_delay_max(SHORT)
}

async fn outcome(builder: ClientBuilder<Tokio>) -> Result<Client, ConnectFailure> {
    soon(builder.connect()).await
}

/// A port on which nobody listens, and its URL.
fn nobody() -> (TcpSocket, String) {
    let port = TcpSocket::new_v4().unwrap();
    port.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let url = format!("http://{}", port.local_addr().unwrap());
    (port, url)
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Token<'a> {
    token: &'a str,
}

fn guarded() -> Server {
    let server = Server::new();
    server.of("/guarded").middleware(async |Auth(auth): Auth<serde_json::Value>| match auth["token"].as_str() {
        Some("right") => Ok(()),
        _ => Err(ConnectError::new("not you").with_data(serde_json::json!({ "code": 7 }))),
    });
    server
}

#[tokio::test]
async fn a_refusal_has_message_and_data_and_is_not_tried_again() {
    let host = Host::start(guarded()).await;
    let Err(ConnectFailure::Refused(error)) = outcome(to(&host, "/guarded").auth(Token { token: "wrong" })).await
    else {
        panic!()
    };
    assert_eq!((error.message(), error.data().unwrap()), ("not you", r#"{"code":7}"#));
    let Err(ConnectFailure::Refused(error)) = outcome(to(&host, "/nowhere")).await else { panic!() };
    assert_eq!(error.message(), "Invalid namespace");
    host.empty().await;
}

#[tokio::test]
async fn who_was_refused_can_come_again_with_other_credentials() {
    let host = Host::start(guarded()).await;
    let (say, mut noted) = notes();
    let client = to(&host, "/guarded").state(say).on_connect_error(
        async |client: Client, State(notes): State<Notes>, error: ConnectFailure| {
            notes.say(format!("{error} {}", client.is_active()));
        },
    );
    let client = client.start().unwrap();
    assert_eq!(noted.next().await, "not you false");
    client.set_auth(Token { token: "right" }).unwrap();
    soon(client.connect()).await.unwrap();
    assert!(client.is_connected());
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_told_and_not_waited_for() {
    let host = Host::start(Server::new()).await;
    let (say, mut noted) = notes();
    let builder = to(&host, "").auth_with(async || 3).on_error(move |client, event, _| {
        say.say(format!("{event} {}", client.is_active()));
    });
    let client = builder.start().unwrap();
    let Err(ConnectFailure::Invalid(why)) = soon(client.connect()).await else { panic!() };
    assert!(why.contains("credentials"), "{why}");
    assert!(noted.next().await.starts_with("auth "));
    while soon(client.next()).await.is_some() {}
    assert!(!client.is_active());
    client.set_auth(Token { token: "x" }).unwrap();
    soon(client.connect()).await.unwrap();
}

#[tokio::test]
async fn each_failed_attempt_is_told_until_all_were_made() {
    let (say, mut noted) = notes();
    let manager = say.clone();
    let (_port, url) = nobody();
    let client = client(&url)
        .reconnection_delay(SHORT)
        .reconnection_attempts(2)
        .state(say)
        .on_connect_error(async |State(notes): State<Notes>, error: ConnectFailure| {
            assert!(matches!(error, ConnectFailure::Open(OpenError::Transport(_))), "{error:?}");
            notes.say("connect_error");
        })
        .on_manager(move |event| {
            manager.say(match event {
                ManagerEvent::Error(_) => "error".into(),
                ManagerEvent::ReconnectError(_) => "reconnect_error".into(),
                event => format!("{event:?}"),
            });
        });
    let Err(ConnectFailure::Open(error)) = outcome(client).await else { panic!() };
    assert!(error.to_string().contains("refused"), "{error}");
    let mut told = Vec::new();
    for _ in 0..11 {
        told.push(noted.next().await);
    }
    // As the official client: the next attempt, or that there is none, is decided before the last one's error is told.
    let expected = [
        "error",
        "connect_error",
        "ReconnectAttempt(1)",
        "error",
        "connect_error",
        "reconnect_error",
        "ReconnectAttempt(2)",
        "error",
        "connect_error",
        "ReconnectFailed",
        "reconnect_error",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn without_reconnection_the_first_failure_counts() {
    let (_port, url) = nobody();
    let client = client(&url).reconnection(false);
    assert!(matches!(outcome(client).await, Err(ConnectFailure::Open(_))));
}

#[tokio::test]
async fn the_deadline_of_the_caller_ends_it() {
    let (_port, url) = nobody();
    let client = client(&url).reconnection_delay(SHORT);
    let outcome = soon(client.connect().timeout(3 * SHORT)).await;
    let Err(ConnectFailure::Deadline(Some(error))) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_first_connection_is_tried_until_the_server_is_there() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    relay.close();
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).reconnection_delay_max(SHORT);
    let connecting = tokio::spawn(client.connect().into_future());
    until(|| relay.accepted() > 2).await;
    relay.open();
    assert!(soon(connecting).await.unwrap().unwrap().is_connected());
}

#[tokio::test]
async fn what_cannot_be_used_is_said_at_once() {
    let invalid = |builder: ClientBuilder<Tokio>| match builder.start() {
        Err(ConnectFailure::Invalid(why)) => why,
        other => panic!("{other:?}"),
    };
    let url = "http://127.0.0.1:1";
    for (builder, why) in [
        (client("ftp://example.com"), "scheme"),
        (client("127.0.0.1:3000"), "scheme"),
        (client("http://"), "host"),
        (client(url).auth(3), "object"),
        (client(url).namespace("a,b"), "namespace"),
        (client(url).header("a b", "c"), "header"),
        (client(url).header("a", "b\nc"), "header"),
        (client(url).proxy("nonsense"), "proxy"),
        (client("http://127.0.0.1:1/a,b"), "namespace"),
    ] {
        let said = invalid(builder);
        assert!(said.contains(why), "{said:?} has no {why:?}");
    }
}

#[tokio::test]
async fn a_namespace_has_one_socket_at_a_time() {
    let host = Host::start(Server::new()).await;
    let root = outcome(to(&host, "")).await.unwrap();
    assert!(matches!(root.of("/").start(), Err(ConnectFailure::Invalid(_))));
    let nowhere = root.of("/nowhere").start().unwrap();
    assert!(matches!(root.of("/nowhere").start(), Err(ConnectFailure::Invalid(_))));
    drop(nowhere);
    assert!(matches!(soon(root.of("/nowhere").connect()).await, Err(ConnectFailure::Refused(_))));
}

#[tokio::test]
async fn a_server_that_disconnects_is_not_asked_again() {
    let server = Server::new();
    server.of("/").on("bye", async |socket: Socket| socket.disconnect());
    let host = Host::start(server).await;
    let (say, mut noted) = notes();
    let client = to(&host, "").state(say).on_disconnect(
        async |client: Client, State(notes): State<Notes>, reason: DisconnectReason| {
            notes.say(format!("{reason} {} {}", client.is_connected(), client.is_active()));
        },
    );
    let client = outcome(client).await.unwrap();
    client.emit("bye", ()).unwrap();
    assert_eq!(noted.next().await, "io server disconnect false false");
    soon(client.connect()).await.unwrap();
}

#[tokio::test]
async fn the_namespace_and_the_query_are_in_the_url() {
    let server = Server::new();
    server.of("/chat room").on_connect(async |socket: Socket| {
        let query = socket.handshake().query().to_owned();
        socket.emit("query", (query, socket.handshake().header("x-tenant")))
    });
    let host = Host::start(server).await;
    let client = client(&format!("http://{}/chat room?a=b%20c", host.address))
        .query("d", "e&f")
        .header("X-Tenant", "me")
        .transports(&[Transport::Polling])
        .upgrade(false);
    let client = outcome(client).await.unwrap();
    assert_eq!(client.namespace(), "/chat room");
    loop {
        if let socketio_tokio::ClientEvent::Event(event) = soon(client.next()).await.unwrap() {
            let (query, tenant): (String, String) = event.args().unwrap();
            assert!(query.starts_with("a=b%20c&d=e%26f&EIO=4&transport=polling"), "{query}");
            assert_eq!(tenant, "me");
            break;
        }
    }
}
