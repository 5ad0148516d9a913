use serde::{Deserialize, Serialize};
use socketio_tokio::{Ack, Binary, RawArgs, Server, Socket, Transport, client};

use crate::by_hand::{Identity, start};
use crate::support::{Host, soon, until};

const WAYS: [&[Transport]; 3] =
    [&[Transport::WebSocket], &[Transport::Polling], &[Transport::Polling, Transport::WebSocket]];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Files {
    names: Vec<String>,
    one: Binary,
    other: Binary,
}

fn server() -> Server {
    let server = Server::builder().max_payload(3_000_000).build();
    let root = server.of("/");
    root.on("echo", async |args: RawArgs, ack: Ack| ack.send(args));
    root.on("secure", async |socket: Socket, ack: Ack| ack.send(socket.handshake().secure()));
    server
}

#[tokio::test]
async fn events_go_both_ways_over_each_transport() {
    let identity = Identity::new();
    let host = start(server(), &identity.server()).await;
    for scheme in ["https", "wss"] {
        for way in WAYS {
            let url = format!("{scheme}://{}", host.address);
            let client = soon(client(&url).tls(identity.client()).transports(way).connect()).await.unwrap();
            assert!(soon(client.emit_with_ack::<bool>("secure", ())).await.unwrap());
            // More than TLS and the system hold at once, and of different bytes.
            let long: String = (0..150_000).map(|number| format!("{number:07}")).collect();
            let answer: String = soon(client.emit_with_ack("echo", (&long,))).await.unwrap();
            assert!(answer == long);
            let files = Files {
                names: vec!["a".into(), "b".into()],
                one: long.clone().into_bytes().into(),
                other: vec![0; 100_000].into(),
            };
            let answer: Files = soon(client.emit_with_ack("echo", (&files,))).await.unwrap();
            assert!(answer == files);
            if way.len() == 2 {
                until(|| client.transport() == Some(Transport::WebSocket)).await;
                let answer: String = soon(client.emit_with_ack("echo", (&long,))).await.unwrap();
                assert!(answer == long);
            }
            soon(client.close()).await;
        }
    }
    host.empty().await;
}

#[tokio::test]
async fn a_server_without_tls_knows_that_it_has_none() {
    let host = Host::start(server()).await;
    let client = soon(client(&format!("http://{}", host.address)).connect()).await.unwrap();
    assert!(!soon(client.emit_with_ack::<bool>("secure", ())).await.unwrap());
}
