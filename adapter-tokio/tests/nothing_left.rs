//! What a process has after its server is gone: alone in its process, since descriptors are counted.

mod support;

use std::time::Duration;

use socketio_tokio::{Server, Socket, Stats};
use tokio::runtime::{Builder, Handle};

use support::{Host, Http, Polling, WebSocket, soon, until};

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

async fn lives_and_ends() {
    let server = Server::new();
    server.of("/").on("join", async |socket: Socket, (room,): (String,)| socket.join(&room));
    let host = Host::start(server).await;
    let mut websockets = Vec::new();
    let mut pollings = Vec::new();
    let mut idle = Vec::new();
    for number in 0..20 {
        let mut client = host.client().await;
        client.send(&format!("42[\"join\",\"room{number}\"]")).await;
        websockets.push(client);
        let mut client = Polling::joined(host.address).await;
        client.send_poll().await;
        let mut probe = WebSocket::attach(host.address, &client.sid).await;
        probe.send("2probe").await;
        probe.expect(&["3probe"]).await;
        websockets.push(probe);
        pollings.push(client);
        idle.push(Http::open(host.address).await);
    }
    until(|| host.server.stats().rooms == 20).await;
    soon(host.server.shutdown(Duration::from_millis(500))).await;
    assert_eq!(host.server.stats(), Stats::default());
    assert!(soon(host.serving).await.unwrap().is_ok());
}

#[test]
fn a_server_that_ended_leaves_no_task_and_no_descriptor() {
    for workers in [1, 2] {
        let runtime = match workers {
            1 => Builder::new_current_thread().enable_all().build().unwrap(),
            _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap(),
        };
        runtime.block_on(async {
            let before = (descriptors(), Handle::current().metrics().num_alive_tasks());
            for _ in 0..3 {
                tokio::spawn(lives_and_ends()).await.unwrap();
                until(|| (descriptors(), Handle::current().metrics().num_alive_tasks()) == before).await;
            }
        });
    }
}
