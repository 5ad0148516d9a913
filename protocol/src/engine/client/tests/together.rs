use super::*;
use crate::engine;
use crate::engine::Transports;
use crate::explore::engine::{App, Pair};
use crate::explore::network::Act;

/// Servers whose heartbeat takes longer than any test.
fn server(transports: Transports) -> engine::Config {
    let mut config = engine::Config::default();
    (config.ping_interval, config.transports) = (3_600_000 * MS, transports);
    config
}

#[test]
fn every_transport_opens_a_session() {
    for (client, allowed, transport, upgraded) in [
        (config(WEBSOCKET), Transports::default(), Transport::WebSocket, false),
        (config(POLLING), Transports::default(), Transport::Polling, false),
        (config(UPGRADING), Transports::default(), Transport::WebSocket, true),
        (config(UPGRADING), Transports::POLLING, Transport::Polling, false),
        (config(UPGRADING), Transports::WEBSOCKET, Transport::WebSocket, false),
        (Config::default(), Transports::default(), Transport::WebSocket, false),
        (Config::default(), Transports::POLLING, Transport::Polling, false),
    ] {
        let mut pair = Pair::of(client, server(allowed));
        pair.happen(&Act::App(App::ClientSends));
        pair.settle();
        assert!(pair.ends.opened);
        let [here, there] = pair.ends.books();
        assert_eq!((pair.ends.client.transport(), here.upgraded, there.upgraded), (transport, upgraded, upgraded));
        for _ in 0..3 {
            pair.happen(&Act::App(App::ClientSends));
            pair.happen(&Act::App(App::ServerSends));
        }
        pair.settle();
        let [here, there] = pair.ends.books();
        assert_eq!((here.sent, there.received, there.sent, here.received), (4, 4, 3, 3));
    }
}

#[test]
fn a_server_that_allows_nothing_is_told() {
    for (client, error) in [
        (config(WEBSOCKET), OpenError::WebSocket(Some(Cause::Status(400)))),
        (Config::default(), OpenError::Polling(Some(Cause::Status(400)))),
    ] {
        let mut none = Transports::default();
        (none.polling, none.websocket) = (false, false);
        let mut pair = Pair::of(client, server(none));
        pair.settle();
        assert_eq!(pair.ends.failed, Some(error));
        assert!(pair.ends.finished);
    }
}

#[test]
fn the_heartbeat_keeps_every_transport_alive() {
    for transports in [WEBSOCKET, POLLING, UPGRADING] {
        let mut pair = Pair::of(config(transports), engine::Config::default());
        let start = pair.now;
        for _ in 0..1000 {
            pair.settle();
            pair.happen(&Act::Wait(600 * MS));
        }
        assert!(pair.ends.books().iter().all(|book| book.closed.is_none()), "{transports:?}");
        assert!(pair.now > start + 600_000 * MS);
    }
}
