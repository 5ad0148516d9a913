use std::time::Duration;

use socketio_tokio::{Ack, Binary, ClientBuilder, RawArgs, Server, Socket, State, Tokio, Transport, client};

use crate::WAYS;
use crate::support::{Host, Notes, notes, soon, until};

fn server() -> Server {
    let server = Server::builder().ping_interval(Duration::from_millis(300)).build();
    let root = server.of("/");
    root.on("echo", async |args: RawArgs, ack: Ack| ack.send(args));
    root.on("bytes", async |bytes: Binary, ack: Ack| ack.send(bytes));
    root.on("repeat", async |socket: Socket, (count, text): (u32, String)| {
        for number in 0..count {
            socket.emit("said", (number, &text))?;
        }
        Ok::<_, socketio_tokio::EmitError>(())
    });
    server
}

fn to(host: &Host, way: &[Transport]) -> ClientBuilder<Tokio> {
    client(&format!("http://{}", host.address)).transports(way)
}

#[tokio::test]
async fn events_and_answers_go_both_ways_over_each_transport() {
    let host = Host::start(server()).await;
    for way in WAYS {
        let (say, mut noted) = notes();
        let client =
            to(&host, way).state(say).on("said", async |State(notes): State<Notes>, (number, text): (u32, String)| {
                notes.say(format!("{number} {text}"));
            });
        let client = soon(client.connect()).await.unwrap();
        assert!(client.is_connected() && client.id().is_some());
        let answer: String = soon(client.emit_with_ack("echo", ("once",))).await.unwrap();
        assert_eq!(answer, "once");
        let bytes: Binary = soon(client.emit_with_ack("bytes", Binary::from(vec![1, 2, 3]))).await.unwrap();
        assert_eq!(bytes, Binary::from(vec![1, 2, 3]));
        client.emit("repeat", (100, "x")).unwrap();
        for number in 0..100 {
            assert_eq!(noted.next().await, format!("{number} x"));
        }
        if way.len() == 2 {
            until(|| client.transport() == Some(Transport::WebSocket)).await;
        }
        drop(client);
        until(|| host.server.stats().sessions == 0).await;
    }
}
