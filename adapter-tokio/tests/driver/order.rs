use std::time::Duration;

use socketio_tokio::{Ack, HandlerError, Server, Socket, State};
use tokio::runtime::Builder;

use crate::support::{Gate, Host, Notes, notes};

/// Handlers of one socket start in the order of its events, however they wait.
async fn bursts() {
    let (say, mut noted) = notes();
    let server = Server::builder().state(say).build();
    server.of("/").on("n", async |State(notes): State<Notes>, (number, pause): (u32, u32)| {
        notes.say(number);
        match pause {
            0 => {}
            1 | 2 => tokio::task::yield_now().await,
            pause => tokio::time::sleep(Duration::from_millis(u64::from(pause))).await,
        }
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    let mut random = 1_u32;
    for _ in 0..200 {
        let mut packets = Vec::new();
        for number in 0..16 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            packets.push(format!("42[\"n\",{number},{}]", (random >> 16) % 6));
        }
        // All in one segment, each in one of its own, and what lies between.
        for segment in packets.chunks(((random >> 24) % 16 + 1) as usize) {
            client.send_all(segment).await;
        }
        for number in 0..16 {
            assert_eq!(noted.next().await, number.to_string());
        }
    }
    drop(client);
    host.empty().await;
}

#[test]
fn handlers_start_in_the_order_of_the_events_on_one_worker() {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(bursts());
}

#[test]
fn handlers_start_in_the_order_of_the_events_on_two_workers() {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(bursts());
}

#[tokio::test]
async fn a_handler_gets_an_answer_of_its_client_while_fifteen_others_wait() {
    let gate = Gate::default();
    let server = Server::builder().state(gate.clone()).build();
    server.of("/").on("wait", async |State(gate): State<Gate>| gate.pass().await);
    server.of("/").on("ask", async |socket: Socket, ack: Ack| -> Result<(), HandlerError> {
        let answer: u32 = socket.emit_with_ack("question", ()).await?;
        Ok(ack.send(answer)?)
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    let mut packets = vec!["42[\"wait\"]"; 15];
    packets.push("427[\"ask\"]");
    client.send_all(&packets).await;
    client.expect(&["420[\"question\"]"]).await;
    client.send("430[5]").await;
    client.expect(&["437[5]"]).await;
    assert_eq!(host.server.stats().handlers, 15);
    gate.open(15);
    drop(client);
    host.empty().await;
}
