use proptest::prelude::*;

use super::together::{Act, Pair};
use super::*;
use crate::engine;

fn act() -> impl Strategy<Value = Act> {
    let bytes = || prop_oneof![Just(usize::MAX), 1..9_usize];
    prop_oneof![
        6 => (0..2_usize).prop_map(Act::Request),
        6 => (0..2_usize).prop_map(Act::Response),
        3 => Just(Act::Stream),
        6 => bytes().prop_map(Act::Up),
        6 => bytes().prop_map(Act::Down),
        4 => Just(Act::ClientSends),
        4 => Just(Act::ServerSends),
        2 => (0..60_u32).prop_map(Act::Wait),
    ]
}

fn end() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::ClientCloses),
        Just(Act::ServerCloses),
        Just(Act::Break),
        (100..50_000_u32).prop_map(Act::Wait),
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
    Pair::new(config, server)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_doubled_or_reordered(config in transports(), acts in prop::collection::vec(act(), 0..100)) {
        let mut pair = pair(config);
        acts.into_iter().for_each(|act| pair.act(act));
        pair.settle();
        prop_assert!(pair.opened && pair.closed == [None; 2]);
        for (sent, received) in pair.sent.iter().zip(pair.received.iter().rev()) {
            prop_assert_eq!(&(1..=*sent).collect::<Vec<_>>(), received);
        }
    }

    #[test]
    fn whatever_happens_comes_to_an_end(
        config in transports(),
        acts in prop::collection::vec(prop_oneof![12 => act(), 1 => end()], 0..100),
    ) {
        let mut pair = pair(config);
        acts.into_iter().for_each(|act| pair.act(act));
        pair.act(Act::ClientCloses);
        for _ in 0..8 {
            pair.act(Act::Wait(5000));
            pair.settle();
        }
        prop_assert!(pair.finished[0]);
        prop_assert!(pair.failed.is_some() || pair.closed[0].is_some());
        for (sent, received) in pair.sent.iter().zip(pair.received.iter().rev()) {
            prop_assert_eq!(&(1..=received.len() as u32).collect::<Vec<_>>(), received);
            prop_assert!(received.len() as u32 <= *sent);
        }
        prop_assert_eq!(pair.client.queued(), 0);
    }
}
