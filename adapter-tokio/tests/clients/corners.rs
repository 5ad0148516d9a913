//! Calls in an order that is easy to get wrong, and values of applications that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use socketio_tokio::{Ack, Client, ClientBuilder, ClientEvent, Server, State, Tokio, client};

use crate::relay::Relay;
use crate::support::{Gate, Host, Notes, OnDrop, notes, soon, until};

const SHORT: Duration = Duration::from_millis(10);

fn to(host: &Host) -> ClientBuilder<Tokio> {
    client(&format!("http://{}", host.address)).reconnection_delay(SHORT).reconnection_delay_max(SHORT)
}

async fn connected(client: &Client) {
    while !matches!(soon(client.next()).await, Some(ClientEvent::Connect { .. })) {}
}

#[tokio::test]
async fn close_ends_although_somebody_goes_on_emitting() {
    let host = Host::start(Server::new()).await;
    let client = soon(to(&host).connect()).await.unwrap();
    let closing = client.close();
    let emitting = async {
        tokio::task::yield_now().await;
        client.emit("tick", ()).unwrap();
    };
    soon(async { tokio::join!(closing, emitting) }).await;
}

#[tokio::test]
async fn close_ends_although_somebody_connects_again() {
    let host = Host::start(Server::new()).await;
    let client = to(&host).on_disconnect(async |client: Client| _ = client.connect().await);
    let client = soon(client.connect()).await.unwrap();
    soon(client.close()).await;
}

#[tokio::test]
async fn what_was_emitted_before_a_disconnect_is_delivered_though_a_connect_follows() {
    let (say, mut noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").on("say", async |State(notes): State<Notes>, word: String| notes.say(word));
    let host = Host::start(server).await;
    let client = soon(to(&host).connect()).await.unwrap();
    client.emit("say", "last words").unwrap();
    client.disconnect();
    soon(client.connect()).await.unwrap();
    until(|| client.is_connected()).await;
    client.emit("say", "first words").unwrap();
    noted.expect(&["last words", "first words"]).await;
}

#[tokio::test]
async fn connect_behind_a_disconnect_waits_for_the_new_connection() {
    let host = Host::start(Server::new()).await;
    let client = soon(to(&host).connect()).await.unwrap();
    client.disconnect();
    let client = soon(client.connect()).await.unwrap();
    assert!(client.is_connected(), "connect() has said so");
}

#[tokio::test]
async fn next_goes_on_behind_a_disconnect_and_a_connect_without_reconnection() {
    let host = Host::start(Server::new()).await;
    let client = soon(to(&host).reconnection(false).connect()).await.unwrap();
    connected(&client).await;
    client.disconnect();
    let _ = soon(client.connect()).await;
    until(|| client.is_connected()).await;
    let next = loop {
        match tokio::time::timeout(SHORT, client.next()).await {
            Ok(Some(_)) => {}
            next => break next,
        }
    };
    assert!(client.is_connected() && client.is_active());
    assert!(next.is_err(), "nothing more is to come of a socket that is connected");
}

#[tokio::test]
async fn credentials_that_failed_for_an_old_connection_do_not_end_the_new_one() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    let (calls, gate) = (Arc::new(AtomicU32::new(0)), Gate::default());
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).auth_with({
        let (calls, gate) = (Arc::clone(&calls), gate.clone());
        move || {
            let (number, gate) = (calls.fetch_add(1, Ordering::Relaxed), gate.clone());
            async move {
                if number == 0 {
                    gate.pass().await;
                    return None;
                }
                Some(std::collections::BTreeMap::from([("token", "x")]))
            }
        }
    });
    let client = client.start().unwrap();
    until(|| calls.load(Ordering::Relaxed) == 1).await;
    relay.cut();
    connected(&client).await;
    gate.open(1);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(client.is_connected(), "the credentials of a lost connection have ended this one");
}

#[tokio::test]
async fn who_was_asked_for_credentials_of_a_lost_connection_is_asked_no_more() {
    let host = Host::start(Server::new()).await;
    let relay = Relay::start(host.address).await;
    let (say, mut noted) = notes();
    let client = client(&format!("http://{}", relay.address)).reconnection_delay(SHORT).auth_with(move || {
        let say = say.clone();
        async move {
            say.say("asked");
            let _told = OnDrop(say, "dropped");
            std::future::pending::<()>().await;
        }
    });
    let _client = client.start().unwrap();
    noted.expect(&["asked"]).await;
    relay.cut();
    // The next one is polled after the last one was dropped.
    noted.expect(&["dropped", "asked"]).await;
}

#[derive(Debug)]
struct Panics;

impl<'de> Deserialize<'de> for Panics {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("a bug of the application")
    }
}

#[tokio::test]
async fn a_panic_in_the_type_of_an_answer_does_not_end_the_client() {
    let server = Server::new();
    server.of("/").on("ask", async |ack: Ack| ack.send(1));
    let host = Host::start(server).await;
    let client = soon(to(&host).connect()).await.unwrap();
    let asking = tokio::spawn(client.emit_with_ack::<Panics>("ask", ()).into_future());
    assert!(soon(asking).await.unwrap_err().is_panic(), "it belongs to who asked");
    assert_eq!(soon(client.emit_with_ack::<u8>("ask", ())).await, Ok(1));
}

#[test]
fn a_handler_that_is_replaced_may_use_the_client_when_it_is_dropped() {
    struct Last(Client);

    impl Drop for Last {
        fn drop(&mut self) {
            self.0.on("other", async || ());
        }
    }

    let done = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = client("http://127.0.0.1:9").start().unwrap();
                let last = Last(client.clone());
                client.on("a", move || {
                    let _ = &last;
                    async {}
                });
                client.on("a", async || ());
                done.store(true, Ordering::Relaxed);
            });
        }
    });
    for _ in 0..50 {
        if done.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("a deadlock");
}
