//! How sockets come to their end.

mod client;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use socketio_tokio::{DisconnectReason, Server, Socket, State, serve_listener};
use tokio::net::TcpListener;

use client::{blocking, read, upgrade};

type Reasons = Arc<Mutex<Vec<(String, DisconnectReason)>>>;

#[tokio::test]
async fn closing_the_connection_disconnects_all_its_namespaces() {
    let reasons = Reasons::default();
    let server = Server::builder().state(Arc::clone(&reasons)).build();
    for name in ["/", "/other"] {
        server.of(name).on_disconnect(note);
    }
    server.of("/").on("close", async |socket: Socket| socket.disconnect_and_close());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let server = server.clone();
        async move { serve_listener(&server, listener).await }
    });
    let (first, second) = blocking(move || {
        let mut client = upgrade(address, "transport=websocket", "40");
        client.send("40/other,".into()).unwrap();
        for start in ["0{", "40{", "40/other,{"] {
            assert!(read(&mut client).starts_with(start));
        }
        client.send(r#"42["close"]"#.into()).unwrap();
        let told = (read(&mut client), read(&mut client));
        while client.read().is_ok() {}
        told
    })
    .await;
    // A client that is told so does not connect again by itself.
    assert_eq!((&*first, &*second), ("41", "41/other,"));
    server.shutdown(Duration::from_secs(5)).await;
    let told: Vec<_> = reasons.lock().unwrap().drain(..).collect();
    let reason = DisconnectReason::ServerNamespaceDisconnect;
    assert_eq!(told, [("/".into(), reason), ("/other".into(), reason)]);
}

async fn note(socket: Socket, State(reasons): State<Reasons>, reason: DisconnectReason) {
    reasons.lock().unwrap().push((socket.namespace().name().into(), reason));
}
