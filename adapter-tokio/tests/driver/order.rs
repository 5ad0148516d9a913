use std::time::Duration;

use socketio_tokio::protocol::websocket::Frame;
use socketio_tokio::{Ack, HandlerError, Server, Socket, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;

use crate::support::{Gate, Host, Notes, notes, soon};

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

/// A session that has much to do lets others have their turn in between, and loses nothing by it.
#[tokio::test]
async fn more_than_one_wake_up_can_do_is_all_answered() {
    const COUNT: usize = 64;
    let server = Server::builder().build();
    server.of("/").on("echo", async |socket: Socket, (text,): (String,)| socket.emit("echo", (text,)));
    let host = Host::start(server).await;
    let mut client = host.client().await;
    // Larger than what is read at once, so that each takes a read, a round and a write of its own.
    let packets: Vec<String> =
        (0..COUNT).map(|number| format!("42[\"echo\",\"{number:02}{}\"]", "x".repeat(70_000))).collect();
    let mut frames = Vec::new();
    for packet in &packets {
        Frame::text(packet).write_masked([1, 2, 3, 4], &mut frames);
    }
    let (mut reader, mut writer) = client.stream.split();
    let mut received = Vec::new();
    // All is there before the server looks again, as far as the sockets hold it.
    let write = async { writer.write_all(&frames).await.unwrap() };
    let read = async {
        let expected: usize = packets.iter().map(|packet| Frame::text(packet).as_bytes().len()).sum();
        while received.len() < expected {
            assert!(soon(reader.read_buf(&mut received)).await.unwrap() > 0);
        }
    };
    tokio::join!(write, read);
    let expected: Vec<u8> = packets.iter().flat_map(|packet| Frame::text(packet).as_bytes().to_vec()).collect();
    assert!(received == expected, "every echo, whole and in order");
    drop(client);
    host.empty().await;
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
