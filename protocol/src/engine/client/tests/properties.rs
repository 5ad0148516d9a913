use proptest::prelude::*;

use super::*;
use crate::engine;
use crate::explore::engine::{App, Pair};
use crate::explore::network;

type Act = network::Act<App>;

fn act() -> impl Strategy<Value = Act> {
    let bytes = || prop_oneof![Just(usize::MAX), 1..9_usize];
    prop_oneof![
        6 => (0..2_usize).prop_map(Act::Request),
        6 => (0..2_usize).prop_map(Act::Response),
        3 => Just(Act::Stream(0)),
        3 => Just(Act::Verdict(0)),
        6 => bytes().prop_map(|most| Act::Up(0, most)),
        6 => bytes().prop_map(|most| Act::Down(0, most)),
        4 => Just(Act::App(App::ClientSends)),
        4 => Just(Act::App(App::ServerSends)),
        2 => (0..60_u32).prop_map(|time| Act::Wait(time * MS)),
    ]
}

fn end() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::App(App::ClientCloses)),
        Just(Act::App(App::ServerCloses)),
        Just(Act::Break),
        (100..50_000_u32).prop_map(|time| Act::Wait(time * MS)),
    ]
}

fn transports() -> impl Strategy<Value = Config> {
    prop_oneof![
        1 => Just(config(WEBSOCKET)),
        1 => Just(config(POLLING)),
        3 => Just(config(UPGRADING)),
        1 => Just(Config::default()),
    ]
}

fn pair(config: Config) -> Pair {
    let mut server = engine::Config::default();
    (server.ping_interval, server.max_payload) = (60_000 * MS, 300);
    Pair::of(config, server)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(config in transports(), acts in prop::collection::vec(act(), 0..100)) {
        let mut pair = pair(config);
        acts.iter().for_each(|act| pair.happen(act));
        pair.settle();
        let [here, there] = pair.ends.books();
        prop_assert!(pair.ends.opened && here.closed.is_none() && there.closed.is_none());
        prop_assert_eq!((there.received, here.received), (here.sent, there.sent));
    }

    #[test]
    fn whatever_happens_comes_to_an_end(
        config in transports(),
        acts in prop::collection::vec(prop_oneof![12 => act(), 1 => end()], 0..100),
    ) {
        let mut pair = pair(config);
        acts.iter().for_each(|act| pair.happen(act));
        pair.happen(&Act::App(App::ClientCloses));
        for _ in 0..8 {
            pair.happen(&Act::Wait(5000 * MS));
            pair.settle();
        }
        let [here, there] = pair.ends.books();
        prop_assert!(pair.ends.finished);
        prop_assert!(pair.ends.failed.is_some() || here.closed.is_some());
        prop_assert!(there.received <= here.sent && here.received <= there.sent);
        prop_assert_eq!(pair.ends.client.queued(), 0);
    }
}
