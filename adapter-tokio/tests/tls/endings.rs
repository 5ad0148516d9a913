use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use socketio_tokio::{Server, Socket};
use tungstenite::Message;

use crate::by_hand::{Identity, POLLING, config, connect, exchange, start, text, websocket};
use crate::client::blocking;

#[tokio::test]
async fn a_server_that_ends_says_so_to_everybody_and_by_tls() {
    let identity = Identity::new();
    let host = start(Server::new(), &identity.server()).await;
    let (address, config) = (host.address, Arc::new(config(&[&identity])));
    let mut pushed = blocking({
        let config = Arc::clone(&config);
        move || websocket(connect(address, &config).unwrap())
    })
    .await;
    let (mut polled, path) = blocking({
        let config = Arc::clone(&config);
        move || {
            let mut stream = connect(address, &config).unwrap();
            let (_, open) = exchange(&mut stream, "GET", POLLING, "");
            (stream, format!("{POLLING}&sid={}", open.split('"').nth(3).unwrap()))
        }
    })
    .await;
    let ending = tokio::spawn({
        let server = host.server.clone();
        async move { server.shutdown(Duration::from_secs(60)).await }
    });
    // On its one thread, the runtime begins the shutdown now.
    tokio::task::yield_now().await;
    blocking(move || {
        // The goodbye of a session that polls can be fetched by a new connection.
        let mut fresh = connect(address, &config).unwrap();
        assert_eq!(exchange(&mut fresh, "GET", &path, ""), (200, "1".into()));
        assert!(matches!(pushed.read().unwrap(), Message::Close(_)));
        // The answer to it.
        pushed.flush().unwrap();
        for stream in [pushed.get_mut(), &mut polled, &mut fresh] {
            // An end that TLS did not announce would be an error.
            assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
        }
    })
    .await;
    ending.await.unwrap();
    host.serving.await.unwrap().unwrap();
    assert_eq!(host.server.stats(), Server::new().stats());
}

#[tokio::test]
async fn what_was_sent_before_the_end_arrives_at_a_slow_client() {
    const COUNT: usize = 100;
    let server = Server::new();
    server.of("/").on("all", async |socket: Socket| {
        for number in 0..COUNT {
            socket.emit("part", (number, "x".repeat(50_000)))?;
        }
        socket.disconnect_and_close();
        Ok::<_, socketio_tokio::EmitError>(())
    });
    let identity = Identity::new();
    let host = start(server, &identity.server()).await;
    let (address, config, server) = (host.address, Arc::new(config(&[&identity])), host.server.clone());
    blocking(move || {
        let mut client = websocket(connect(address, &config).unwrap());
        client.send("42[\"all\"]".into()).unwrap();
        while server.stats().sockets > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        for number in 0..COUNT {
            assert!(text(&mut client).starts_with(&format!("42[\"part\",{number},")));
        }
        assert_eq!(text(&mut client), "41");
        assert!(matches!(client.read().unwrap(), Message::Close(_)));
        client.flush().unwrap();
        assert_eq!(client.get_mut().read(&mut [0; 9]).unwrap(), 0);
    })
    .await;
    host.empty().await;
}
