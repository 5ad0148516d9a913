use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socketio_tokio::rustls::ClientConfig;
use socketio_tokio::{Server, Socket, State, serve_tls};
use tokio::net::UnixListener;
use tungstenite::WebSocket;

use crate::by_hand::{Identity, Stream, config, handshake, text, websocket};
use crate::client::blocking;
use crate::support::{Gate, Notes, notes, until};

/// Handlers of one socket that wait before its events are held.
const WAITING: usize = 64;
/// Events that are held.
const HELD: usize = 5;

fn server(notes: Notes, gate: Gate) -> Server {
    let server = Server::builder().max_payload(10_000).state(notes).state(gate).build();
    let root = server.of("/");
    root.on("wait", async |State(gate): State<Gate>| gate.pass().await);
    root.on("send", async |socket: Socket, State(notes): State<Notes>, State(gate): State<Gate>, count: usize| {
        notes.say("waits");
        gate.pass().await;
        for number in 0..count {
            socket.emit("part", (number, "x".repeat(10_000)))?;
        }
        notes.say("sent");
        gate.pass().await;
        Ok::<_, socketio_tokio::EmitError>(())
    });
    server
}

/// Has the server send so many parts once it does not read any more.
fn ask(path: &Path, config: &Arc<ClientConfig>, count: usize) -> WebSocket<Stream<UnixStream>> {
    let socket = UnixStream::connect(path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut client = websocket(handshake(socket, config).unwrap());
    client.send(format!("42[\"send\",{count}]").into()).unwrap();
    for _ in 1..WAITING {
        client.send("42[\"wait\"]".into()).unwrap();
    }
    // Held, until there is so much that the session reads no more.
    let held = format!("42[\"wait\",\"{}\"]", "x".repeat(5000));
    for _ in 0..HELD {
        client.send(held.as_str().into()).unwrap();
    }
    client
}

/// The system takes about 200 KB in between. Of what it does not take, TLS holds some, and for one of the counts it is
/// all there is.
#[tokio::test]
async fn a_session_that_does_not_read_holds_nothing_back() {
    let ((say, mut noted), gate, identity) = (notes(), Gate::default(), Identity::new());
    let path = std::env::temp_dir().join(format!("socketio-tls-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let (server, tls, config) = (server(say, gate.clone()), identity.server(), Arc::new(config(&[&identity])));
    let serving = server.clone();
    tokio::spawn(async move { serve_tls(&serving, listener, &tls).await });
    for count in 1..50 {
        let (path, config) = (path.clone(), Arc::clone(&config));
        let mut client = blocking(move || ask(&path, &config, count)).await;
        noted.expect(&["waits"]).await;
        until(|| server.stats().handlers == WAITING).await;
        gate.open(1);
        noted.expect(&["sent"]).await;
        let client = blocking(move || {
            for number in 0..count {
                assert!(text(&mut client).starts_with(&format!("42[\"part\",{number},")));
            }
            client
        })
        .await;
        // The others, and those that are held.
        gate.open(WAITING + HELD);
        until(|| server.stats().handlers == 0).await;
        drop(client);
    }
    let _ = std::fs::remove_file(&path);
}
