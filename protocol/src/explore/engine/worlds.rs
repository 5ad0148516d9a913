use core::time::Duration;

use super::App::{ClientCloses, ClientSends, ServerCloses, ServerSends};
use super::*;
use crate::explore::{World as _, explore, is_large};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// An upgrade may take as long as two polls that are held and a half.
const UPGRADE: Duration = Duration::from_millis(250);
const MINUTE: Duration = Duration::from_secs(60);

const POLLING: &[Transport] = &[Transport::Polling];
const WEBSOCKET: &[Transport] = &[Transport::WebSocket];
const UPGRADING: &[Transport] = &[Transport::Polling, Transport::WebSocket];

const CLIENT_SENDS: Act<App> = Act::App(ClientSends);
const SERVER_SENDS: Act<App> = Act::App(ServerSends);
const CLIENT_CLOSES: Act<App> = Act::App(ClientCloses);
const SERVER_CLOSES: Act<App> = Act::App(ServerCloses);
const GET: Act<App> = Act::Fail("GET");
const POST: Act<App> = Act::Fail("POST");

/// A world in which no ping comes while something is on its way.
fn begin(transports: &'static [Transport]) -> Pair {
    let mut server = engine::Config::default();
    (server.ping_interval, server.ping_timeout, server.close_timeout) = (HOUR, HOUR, HOUR);
    server.upgrade_timeout = UPGRADE;
    let transports = transports.into();
    let client = Config { transports, upgrade_timeout: UPGRADE, close_timeout: HOUR, ..Config::default() };
    let mut pair = Pair::of(client, server);
    pair.patience = MINUTE;
    pair
}

/// A session that is open and has nothing under way but a poll.
fn opened(transports: &'static [Transport]) -> Pair {
    let mut pair = begin(transports);
    pair.settle();
    assert!(pair.ends.opened && pair.ends.client.transport() == *transports.last().unwrap());
    pair
}

/// A session that was just opened by polling and begins its upgrade.
fn upgrading() -> Pair {
    let mut pair = begin(UPGRADING);
    pair.happen(&Act::Request(0));
    pair.happen(&Act::Response(0));
    assert!(pair.ends.opened && !pair.ends.here.upgraded);
    pair
}

/// As many acts as the size of the worlds allows.
fn some<A: Clone>(act: A) -> Vec<A> {
    if is_large() { Vec::from([act.clone(), act]) } else { Vec::from([act]) }
}

/// Sends first, and then this.
fn sends_and(send: Act<App>, last: Act<App>) -> Vec<Act<App>> {
    let mut acts = some(send);
    acts.push(last);
    acts
}

fn closed(pair: &Pair) -> [Option<CloseReason>; 2] {
    pair.ends.books().map(|book| book.closed)
}

/// Whether the server may have given up an upgrade whose `5` was on the way. The heartbeat ends what is left.
fn is_split(pair: &Pair) -> bool {
    let [_, there] = pair.ends.books();
    pair.ends.client.transport() == Transport::WebSocket && !there.upgraded
}

fn never_closes(pair: &Pair) {
    assert_eq!(closed(pair), [None; 2]);
}

/// The side that closes has delivered what it sent before.
fn has_delivered(pair: &Pair, side: usize) {
    let books = pair.ends.books();
    assert_eq!(books[1 - side].received, books[side].sent, "what was sent before the close is lost");
}

#[test]
fn upgrade() {
    let sends = [CLIENT_SENDS, CLIENT_SENDS];
    let answers = [SERVER_SENDS, SERVER_SENDS];
    // Nothing but a slow network makes it fail.
    let mut pair = upgrading().with([&sends, &answers]);
    pair.patience = Duration::ZERO;
    explore("upgrade", 2000, pair.clone(), |pair: &Pair| {
        never_closes(pair);
        assert!(!pair.is_settled() || pair.ends.here.upgraded);
    });
    pair.patience = MINUTE;
    explore("upgrade in time or late", 8000, pair, |pair: &Pair| assert!(closed(pair) == [None; 2] || is_split(pair)));
}

#[test]
fn upgrade_that_breaks() {
    let (sends, answers) = (some(CLIENT_SENDS), some(SERVER_SENDS));
    explore("upgrade with a stream that breaks", 3500, upgrading().with([&sends, &answers, &[Act::Break]]), |_| {});
    for (name, fails) in [("GET", GET), ("POST", POST)] {
        let pair = upgrading().with([&sends, &answers, &[fails]]);
        explore(&["upgrade with a failing ", name].concat(), 3000, pair, |_| {});
    }
}

#[test]
fn two_polls_and_two_posts() {
    let (sends, answers) = (some(CLIENT_SENDS), some(SERVER_SENDS));
    let mut pair = opened(POLLING);
    pair.uploads = true;
    // What the second poll takes does not arrive at the client.
    let polls = pair.clone().with([&sends, &[SERVER_CLOSES], &[Act::Twin("GET")], &[GET]]);
    explore("two polls", 3500, polls, |_| {});
    explore("two posts", 7000, pair.clone().with([&sends, &answers, &[Act::Twin("POST")], &[POST]]), |_| {});
    explore("a poll and a post that fail", 1300, pair.with([&sends, &answers, &[GET], &[POST]]), |_| {});
}

#[test]
fn close_against_upgrade() {
    let (last, words) = (sends_and(CLIENT_SENDS, CLIENT_CLOSES), sends_and(SERVER_SENDS, SERVER_CLOSES));
    let (sends, answers) = (some(CLIENT_SENDS), some(SERVER_SENDS));
    explore("the client closes while it upgrades", 4000, upgrading().with([&last, &answers]), |pair: &Pair| {
        if pair.is_settled() && pair.ends.finished && !is_split(pair) {
            has_delivered(pair, 0);
            assert_eq!(closed(pair), [Some(CloseReason::ForcedClose), Some(CloseReason::TransportClose)]);
        }
    });
    explore("the server closes while it is upgraded", 3400, upgrading().with([&sends, &words]), |_| {});
    explore("both close while they upgrade", 10_000, upgrading().with([&last, &words]), |_| {});
}

#[test]
fn close_against_close() {
    let (last, words) = (sends_and(CLIENT_SENDS, CLIENT_CLOSES), sends_and(SERVER_SENDS, SERVER_CLOSES));
    for (name, start, least) in [("polling", opened(POLLING), 400), ("WebSocket", opened(WEBSOCKET), 130)] {
        let name = |what: &str| [what, " over ", name].concat();
        explore(&name("both close"), 2 * least, start.clone().with([&last, &words]), |_| {});
        let pair = start.clone().with([&last, &[SERVER_SENDS]]);
        explore(&name("the client closes"), least, pair, |pair: &Pair| {
            if pair.is_settled() && pair.ends.finished {
                has_delivered(pair, 0);
            }
        });
        let pair = start.with([&words, &[CLIENT_SENDS]]);
        explore(&name("the server closes"), least, pair, |pair: &Pair| {
            if pair.is_settled() && closed(pair)[0] == Some(CloseReason::TransportClose) {
                has_delivered(pair, 1);
            }
        });
    }
}

#[test]
fn close_before_the_session_is_open() {
    const FALLING_BACK: &[Transport] = &[Transport::WebSocket, Transport::Polling];
    for (transports, least) in [(POLLING, 400), (WEBSOCKET, 180), (UPGRADING, 6000), (FALLING_BACK, 2500)] {
        let pair = begin(transports).with([&[CLIENT_SENDS, CLIENT_CLOSES], &[SERVER_CLOSES]]);
        let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
        explore(&["close while opening by ", &names.join(", ")].concat(), least, pair, |_| {});
    }
}

/// A session with heartbeats.
fn beating(transports: &'static [Transport]) -> Pair {
    let mut server = engine::Config::default();
    (server.ping_interval, server.ping_timeout, server.upgrade_timeout) = (700 * MS, 300 * MS, UPGRADE);
    let client = Config { transports: transports.into(), upgrade_timeout: UPGRADE, ..Config::default() };
    Pair::of(client, server)
}

#[test]
fn heartbeat() {
    for (transports, least) in [(POLLING, 150), (WEBSOCKET, 45), (UPGRADING, 400)] {
        let names: Vec<_> = transports.iter().map(|transport| transport.name()).collect();
        let name = |what: &str| [what, " by ", &names.join(", ")].concat();
        let mut pair = beating(transports).with([&some(CLIENT_SENDS), &some(SERVER_SENDS)]);
        pair.patience = Duration::ZERO;
        explore(&name("heartbeat for ever"), least, pair.clone(), never_closes);
        pair.patience = Duration::MAX;
        explore(&name("heartbeat in time or late"), 10 * least, pair.clone(), |_| {});
        explore(&name("heartbeat against close"), 4 * least, pair.with([&[CLIENT_CLOSES], &[SERVER_CLOSES]]), |_| {});
    }
}
