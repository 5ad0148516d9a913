use alloc::string::String;

use super::App::*;
use super::*;
use crate::explore::network::Act;
use crate::explore::{World as _, explore, is_large};

const POLLING: &[Transport] = &[Transport::Polling];
const WEBSOCKET: &[Transport] = &[Transport::WebSocket];
const UPGRADING: &[Transport] = &[Transport::Polling, Transport::WebSocket];

/// What is planned for one application, or for the network.
fn plan<const N: usize>(acts: [App; N]) -> Vec<Act<App>> {
    acts.map(Act::App).into()
}

/// A client that is connected to two namespaces, or with an upgrade before it still asks for one.
fn connected(transports: &'static [Transport]) -> World {
    let upgrades = transports == UPGRADING;
    let mut world = world(transports, if upgrades { 1 } else { 2 }, Door::Open, false);
    (0..world.ends.there.len()).for_each(|nth| world.happen(&Act::App(Connect(nth))));
    if upgrades {
        world.happen(&Act::Request(0));
        world.happen(&Act::Response(0));
    } else {
        world.settle();
        assert!(world.ends.here.books.iter().all(|book| book.connected));
    }
    world
}

fn name(what: &str, transports: &[Transport]) -> String {
    let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
    [what, " by ", &names.join(", ")].concat()
}

/// All that was sent has arrived.
fn loses_nothing(world: &World) {
    for (book, traffic) in world.ends.here.books.iter().zip(&world.ends.there) {
        assert!(!world.is_settled() || (book.traffic.has_all(traffic) && traffic.has_all(&book.traffic)), "lost");
    }
}

/// Nobody but an application closes the connection.
fn stays_connected(world: &World) {
    assert!(world.ends.client.connections() == 1, "connected again");
}

#[test]
fn connect_against_disconnect() {
    for (what, door) in [("connect", Door::Late), ("connect or be refused", Door::Choosy)] {
        // Another namespace keeps the connection.
        let mut world = world(WEBSOCKET, 2, Door::Open, true);
        world.patience = Duration::from_secs(30);
        world.happen(&Act::App(Connect(0)));
        world.settle();
        world.ends.door = door;
        let client = plan([Connect(1), Emit(1), Disconnect(1), Connect(1), Disconnect(1)]);
        let server = plan([ServerEmit(1), ServerDisconnect(1)]);
        let world = world.with([&client, &server]);
        explore(&[what, " against disconnect, beside another"].concat(), 10_000, world, stays_connected);
    }
    for (transports, least) in [(POLLING, 1500), (WEBSOCKET, 1700)] {
        let client = plan([Connect(0), Emit(0), Disconnect(0), Connect(0)]);
        let server = plan([ServerEmit(0), ServerDisconnect(0)]);
        let world = world(transports, 1, Door::Late, true).with([&client, &server]);
        explore(&name("connect against disconnect", transports), least, world, |_| {});
    }
}

#[test]
fn ack_against_timeout_and_disconnect() {
    for (transports, least) in [(POLLING, 4000), (WEBSOCKET, 500)] {
        let asks = if is_large() { plan([Ask(0), Ask(0)]) } else { plan([Ask(0)]) };
        let server = plan([ServerAsk(0)]);
        let mut world = connected(transports);
        world.patience = ACK_TIMEOUT;
        let both = world.clone().with([&asks, &server]);
        explore(&name("ack against timeout", transports), least, both, loses_nothing);
        for (what, end) in [
            ("disconnect by the client", Act::App(Disconnect(0))),
            ("disconnect by the server", Act::App(ServerDisconnect(0))),
            ("close by the server", Act::App(ServerClose)),
            ("a break", if transports == POLLING { Act::Fail("GET") } else { Act::Break }),
        ] {
            let world = world.clone().with([&asks, &server, &[end]]);
            explore(&name(&["ack against ", what].concat(), transports), least, world, |_| {});
        }
    }
}

#[test]
fn attachment_against_disconnect_and_close() {
    for (transports, least) in [(POLLING, 1000), (WEBSOCKET, 250), (UPGRADING, 4000)] {
        let world = connected(transports);
        let last = world.ends.there.len() - 1;
        let client = plan([EmitBinary(last), Emit(0)]);
        let server = plan([ServerEmitBinary(last), ServerEmit(0)]);
        let both = world.clone().with([&client, &server]);
        explore(&name("attachments", transports), least, both, loses_nothing);
        for (what, end) in [
            ("disconnect by the client", Disconnect(last)),
            ("disconnect by the server", ServerDisconnect(last)),
            ("close by the client", Close),
            ("close by the server", ServerClose),
        ] {
            let world = world.clone().with([&client, &server, &plan([end])]);
            explore(&name(&["attachments against ", what].concat(), transports), least, world, |_| {});
        }
    }
}

#[test]
fn connection_lost_and_opened_again() {
    let (get, post) = (Act::Fail("GET"), Act::Fail("POST"));
    for (transports, cut, least) in [(WEBSOCKET, Act::Break, 5000), (POLLING, get, 70_000), (POLLING, post, 65_000)] {
        let mut world = world(transports, 1, Door::Open, true);
        world.happen(&Act::App(Connect(0)));
        let cuts = if is_large() { Vec::from([cut.clone(), cut]) } else { Vec::from([cut]) };
        let client = plan([Emit(0), Emit(0)]);
        let world = world.with([&client, &plan([ServerEmit(0)]), &cuts, &plan([Close])]);
        explore(&name("reconnection", transports), least, world, |_| {});
    }
}
