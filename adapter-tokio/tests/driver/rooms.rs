use socketio_tokio::{Ack, Server, Socket};

use crate::support::{Host, WebSocket};

/// Three clients, the first two in `a`, the last two in `b`, and their ids.
async fn three() -> (Host, [WebSocket; 3], [String; 3]) {
    let server = Server::new();
    let root = server.of("/");
    root.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.join(&room);
        ack.send(())
    });
    root.on("leave", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.leave(&room);
        ack.send(())
    });
    root.on("mark", async |ack: Ack| ack.send(()));
    root.on("to", async |socket: Socket, (rooms,): (Vec<String>,)| {
        rooms.into_iter().fold(socket.broadcast(), |target, room| target.to(&room)).emit("event", ())
    });
    root.on("except", async |socket: Socket, (room,): (String,)| socket.except(&room).emit("event", ()));
    root.on("all-to", async |socket: Socket, (room,): (String,)| socket.namespace().to(&room).emit("event", ()));
    root.on("all", async |socket: Socket, (number,): (u32,)| socket.namespace().emit("event", number));
    let host = Host::start(server).await;
    let mut clients = Vec::new();
    let mut ids = Vec::new();
    for rooms in [&["a"][..], &["a", "b"], &["b"]] {
        let mut client = WebSocket::open(host.address).await;
        ids.push(client.join("/").await);
        for room in rooms {
            client.send(&format!("420[\"join\",\"{room}\"]")).await;
            client.expect(&["430[]"]).await;
        }
        clients.push(client);
    }
    (host, clients.try_into().ok().unwrap(), ids.try_into().unwrap())
}

/// Sends `packet` as the first client; then each has received so many events.
async fn reaches(clients: &mut [WebSocket; 3], packet: &str, copies: [usize; 3]) {
    clients[0].send_all(&[packet, "420[\"mark\"]"]).await;
    for (number, (client, copies)) in clients.iter_mut().zip(copies).enumerate() {
        if number > 0 {
            client.send("420[\"mark\"]").await;
        }
        for _ in 0..copies {
            client.expect(&["42[\"event\"]"]).await;
        }
        client.expect(&["430[]"]).await;
    }
}

#[tokio::test]
async fn broadcasts_reach_whom_they_are_for() {
    let (host, mut clients, [own, second, _]) = three().await;
    reaches(&mut clients, "42[\"to\",[]]", [0, 1, 1]).await;
    reaches(&mut clients, "42[\"to\",[\"a\"]]", [0, 1, 0]).await;
    reaches(&mut clients, "42[\"to\",[\"none\"]]", [0, 0, 0]).await;
    reaches(&mut clients, "42[\"except\",\"b\"]", [0, 0, 0]).await;
    reaches(&mut clients, "42[\"except\",\"a\"]", [0, 0, 1]).await;
    reaches(&mut clients, "42[\"all-to\",\"a\"]", [1, 1, 0]).await;
    reaches(&mut clients, &format!("42[\"except\",\"{second}\"]"), [0, 0, 1]).await;
    reaches(&mut clients, &format!("42[\"to\",[\"{own}\"]]"), [0, 0, 0]).await;
    assert_eq!(host.server.stats().rooms, 2);
    drop(clients);
    host.empty().await;
}

#[tokio::test]
async fn one_socket_in_two_target_rooms_receives_two_copies() {
    let (_host, mut clients, [_, second, _]) = three().await;
    reaches(&mut clients, "42[\"to\",[\"a\",\"b\",\"a\"]]", [0, 1, 1]).await;
    reaches(&mut clients, &format!("42[\"to\",[\"a\",\"{second}\"]]"), [0, 1, 0]).await;
}

#[tokio::test]
async fn emit_to_a_sockets_own_id_room_matches_nobody() {
    let (_host, mut clients, [own, second, _]) = three().await;
    reaches(&mut clients, &format!("42[\"to\",[\"{second}\"]]"), [0, 1, 0]).await;
    reaches(&mut clients, &format!("42[\"all-to\",\"{own}\"]"), [1, 0, 0]).await;
}

#[tokio::test]
async fn who_left_a_room_is_not_reached() {
    let (host, mut clients, _) = three().await;
    clients[1].send("420[\"leave\",\"a\"]").await;
    clients[1].expect(&["430[]"]).await;
    reaches(&mut clients, "42[\"to\",[\"a\"]]", [0, 0, 0]).await;
    clients[1].send("41").await;
    clients[1].join("/").await;
    reaches(&mut clients, "42[\"to\",[\"b\"]]", [0, 0, 1]).await;
    assert_eq!(host.server.stats().sockets, 3);
}

#[tokio::test]
async fn every_recipient_gets_broadcasts_in_their_order() {
    let (_host, mut clients, _) = three().await;
    let packets: Vec<_> = (0..500).map(|number| format!("42[\"all\",{number}]")).collect();
    clients[0].send_all(&packets).await;
    for client in &mut clients {
        for number in 0..500 {
            client.expect(&[&format!("42[\"event\",{number}]")]).await;
        }
    }
}
