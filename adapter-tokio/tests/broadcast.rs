//! What a recipient of a broadcast costs: alone in its process, since allocations are counted.

mod client;
mod support;

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use socketio_tokio::{Server, Socket};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use client::{blocking, read, upgrade};
use support::Host;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 100;
const RECIPIENTS: usize = 100;
/// Broadcasts at once.
const IN_FLIGHT: [usize; 2] = [1, 8];
const PACKET: &[u8] = b"42[\"event\",\"the same for everybody\"]";

/// A client that is in the room, as its bare stream.
fn member(address: SocketAddr) -> TcpStream {
    let mut client = upgrade(address, "transport=websocket", "40");
    while !read(&mut client).starts_with("40{") {}
    client.into_inner()
}

/// Has the first client send so many events at once, each of which comes back to everybody, and takes them.
fn round(members: &mut [TcpStream], in_flight: usize) {
    let mut buffer = [0; 1024];
    let (frame, _) = buffer.split_at_mut(2 + 4 + PACKET.len());
    let length = u8::try_from(PACKET.len()).unwrap();
    frame[..2].copy_from_slice(&[0x81, 0x80 | length]);
    frame[6..].copy_from_slice(PACKET);
    let events = frame.len() * in_flight;
    for at in 1..in_flight {
        buffer.copy_within(..events / in_flight, at * events / in_flight);
    }
    members[0].write_all(&buffer[..events]).unwrap();
    for member in members {
        let answer = &mut buffer[..in_flight * (2 + PACKET.len())];
        member.read_exact(answer).unwrap();
        for frame in answer.chunks(2 + PACKET.len()) {
            assert_eq!((&frame[..2], &frame[2..]), (&[0x81, length][..], PACKET));
        }
    }
}

/// Allocations of the whole process in a steady state; the clients make none.
fn allocations(members: &mut [TcpStream], in_flight: usize) -> usize {
    (0..ROUNDS).for_each(|_| round(members, in_flight));
    let region = Region::new(ALLOCATOR);
    (0..ROUNDS).for_each(|_| round(members, in_flight));
    let change = region.change();
    change.allocations + change.reallocations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_recipient_of_a_broadcast_costs_no_allocation() {
    let server = Server::new();
    let root = server.of("/");
    root.on_connect(async |socket: Socket| socket.join("room"));
    root.on("event", async |socket: Socket, (text,): (String,)| socket.namespace().to("room").emit("event", (text,)));
    let host = Host::start(server).await;
    let address = host.address;
    blocking(move || {
        let mut members = Vec::new();
        let [fewer, all] = [(); 2].map(|()| {
            members.extend((0..RECIPIENTS).map(|_| member(address)));
            IN_FLIGHT.map(|in_flight| allocations(&mut members, in_flight))
        });
        for ((in_flight, fewer), all) in IN_FLIGHT.into_iter().zip(fewer).zip(all) {
            let each = all.abs_diff(fewer) as f64 / (ROUNDS * in_flight * RECIPIENTS) as f64;
            assert!(each < 0.01, "{each} allocations per recipient: {fewer} and {all} in {ROUNDS} rounds");
        }
    })
    .await;
}
