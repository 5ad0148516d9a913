use std::time::Duration;

use socketio_tokio::{
    Ack, AckError, Client, ClientBuilder, ClientEvent, ConnectFailure, DisconnectReason, EmitError, Server, Socket,
    State, Tokio, client,
};
use tokio::runtime::Handle;

use crate::WAYS;
use crate::relay::Relay;
use crate::support::{Gate, Host, Notes, OnDrop, notes, soon, until};

const SHORT: Duration = Duration::from_millis(10);

fn to(host: &Host) -> ClientBuilder<Tokio> {
    client(&format!("http://{}", host.address)).reconnection_delay(SHORT).reconnection_delay_max(SHORT)
}

fn listening() -> (Server, crate::support::Noted) {
    let (say, noted) = notes();
    let server = Server::builder().state(say).build();
    let root = server.of("/");
    root.on("say", async |State(notes): State<Notes>, word: String| notes.say(word));
    root.on_disconnect(async |State(notes): State<Notes>, reason: DisconnectReason| notes.say(reason));
    root.on("silent", async |ack: Ack| drop(ack));
    (server, noted)
}

#[tokio::test]
async fn dropping_the_last_handle_sends_what_was_emitted_and_says_goodbye() {
    let (server, mut noted) = listening();
    let host = Host::start(server).await;
    let tasks = Handle::current().metrics().num_alive_tasks();
    for way in WAYS {
        let client = soon(to(&host).transports(way).connect()).await.unwrap();
        let other = client.clone();
        drop(client);
        other.emit("say", "last words").unwrap();
        drop(other);
        noted.expect(&["last words", "client namespace disconnect"]).await;
        host.empty().await;
        until(|| Handle::current().metrics().num_alive_tasks() == tasks).await;
    }
}

#[tokio::test]
async fn a_client_that_is_dropped_while_it_connects_leaves_nothing() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    relay.close();
    let tasks = Handle::current().metrics().num_alive_tasks();
    let connecting = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).connect();
    let connecting = tokio::spawn(connecting.into_future());
    until(|| relay.accepted() > 1).await;
    connecting.abort();
    until(|| Handle::current().metrics().num_alive_tasks() == tasks).await;
}

#[tokio::test]
async fn close_waits_until_everything_is_delivered() {
    let (server, mut noted) = listening();
    let host = Host::start(server).await;
    for way in WAYS {
        let client = soon(to(&host).transports(way).connect()).await.unwrap();
        client.emit("say", "x".repeat(500_000)).unwrap();
        client.emit("say", "end").unwrap();
        soon(client.close()).await;
        assert_eq!(noted.next().await.len(), 500_000);
        noted.expect(&["end", "client namespace disconnect"]).await;
        assert!(!client.is_connected() && !client.is_active());
        while soon(client.next()).await.is_some() {}
        // It can be connected again.
        soon(client.connect()).await.unwrap();
        soon(client.close()).await;
        noted.expect(&["client namespace disconnect"]).await;
    }
    host.empty().await;
}

#[tokio::test]
async fn what_is_awaited_fails_when_the_connection_ends() {
    let (server, _noted) = listening();
    let host = Host::start(server).await;
    let relay = Relay::start(host.address).await;
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT);
    let client = soon(client.connect()).await.unwrap();
    let late = soon(client.emit_with_ack::<()>("silent", ()).timeout(SHORT)).await;
    assert_eq!(late, Err(AckError::Timeout));
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.emit_with_ack::<()>("silent", ()).await }
    });
    while !matches!(soon(client.next()).await, Some(ClientEvent::Connect { .. })) {}
    until(|| host.server.stats().handlers == 0).await;
    tokio::task::yield_now().await;
    relay.cut();
    assert_eq!(soon(asking).await.unwrap(), Err(AckError::Disconnected));
    until(|| client.is_connected()).await;
    let asking = client.emit_with_ack::<()>("silent", ());
    let ending = async {
        tokio::task::yield_now().await;
        client.disconnect();
    };
    let (answer, ()) = soon(async { tokio::join!(asking.into_future(), ending) }).await;
    assert_eq!(answer, Err(AckError::Disconnected));
}

#[tokio::test]
async fn with_retries_each_try_may_take_its_time() {
    let (server, _noted) = listening();
    let host = Host::start(server).await;
    let client = soon(to(&host).retries(1).connect()).await.unwrap();
    assert_eq!(soon(client.emit_with_ack::<()>("silent", ()).timeout(SHORT)).await, Err(AckError::Timeout));
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_takes_no_place() {
    let (server, _noted) = listening();
    server.of("/").on("echo", async |number: u32, ack: Ack| ack.send(number));
    let host = Host::start(server).await;
    let client = soon(to(&host).connect()).await.unwrap();
    for _ in 0..10_000 {
        let asking = core::pin::pin!(client.emit_with_ack::<()>("silent", ()).into_future());
        // Asked, and dropped.
        assert!(poll_once(asking).is_pending());
    }
    assert_eq!(soon(client.emit_with_ack::<u32>("echo", 5)).await, Ok(5));
}

fn poll_once<F: Future>(future: core::pin::Pin<&mut F>) -> core::task::Poll<F::Output> {
    future.poll(&mut core::task::Context::from_waker(core::task::Waker::noop()))
}

#[tokio::test]
async fn handlers_that_wait_end_with_the_client() {
    let server = Server::new();
    server.of("/").on_connect(async |socket: Socket| socket.emit("wait", ()));
    let host = Host::start(server).await;
    let (say, mut noted) = notes();
    let client = to(&host).state(say).on("wait", async |State(notes): State<Notes>| {
        let _told = OnDrop(notes.clone(), "dropped");
        notes.say("waits");
        Gate::default().pass().await;
    });
    let client = soon(client.connect()).await.unwrap();
    noted.expect(&["waits"]).await;
    drop(client);
    noted.expect(&["dropped"]).await;
    host.empty().await;
}

#[tokio::test]
async fn too_much_that_waits_is_an_error_of_the_call() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    relay.close();
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).max_buffered(1000);
    let client = client.start().unwrap();
    client.emit("large", "x".repeat(2000)).unwrap();
    assert_eq!(client.emit("more", ()), Err(EmitError::QueueFull));
    relay.open();
    until(|| client.is_connected()).await;
    until(|| client.emit("more", ()).is_ok()).await;
}

#[test]
fn a_runtime_that_ends_takes_the_client_with_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, _noted) = listening();
    let client: Client = runtime.block_on(async {
        let host = Host::start(server).await;
        soon(to(&host).connect()).await.unwrap()
    });
    drop(runtime);
    assert!(!client.is_connected());
    assert_eq!(client.emit("say", "x"), Err(EmitError::NotConnected));
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    other.block_on(async {
        while soon(client.next()).await.is_some() {}
        let gone = ConnectFailure::Closed(DisconnectReason::IoClientDisconnect);
        assert_eq!(soon(client.connect()).await.unwrap_err(), gone);
        assert_eq!(soon(client.emit_with_ack::<()>("x", ())).await, Err(AckError::Emit(EmitError::NotConnected)));
        soon(client.close()).await;
    });
}
