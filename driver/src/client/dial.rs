use core::future::poll_fn;
use core::pin::pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;

use socketio_protocol::engine::client::Cause;

use super::url::authority;
use crate::runtime::{Runtime, Sleep};

/// How long the first address is tried alone; RFC 8305 section 8, "Connection Attempt Delay".
const DELAY: Duration = Duration::from_millis(250);

/// Addresses that are tried at most.
const MAX_ADDRESSES: usize = 16;

/// Connects to a host: to the one of its addresses that answers first; RFC 8305.
pub(super) async fn dial<R: Runtime>(runtime: &R, host: &str, port: u16) -> Result<R::Stream, Cause> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match runtime.resolve(host, port).await {
            Ok(addresses) => in_turn(addresses),
            Err(error) => return Err(format!("cannot resolve {host}: {error}").into()),
        },
    };
    if addresses.is_empty() {
        return Err(format!("cannot resolve {host}: it has no address").into());
    }
    let target = authority(host, port);
    let tried: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    race(runtime, addresses).await.map_err(|error| match tried.as_slice() {
        [one] if one == host => format!("cannot connect to {target}: {error}").into(),
        all => format!("cannot connect to {target} ({}): {error}", all.join(", ")).into(),
    })
}

/// The addresses in the order in which they are tried: of version 6 and 4 by turns; RFC 8305 section 4.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut families = [VecDeque::new(), VecDeque::new()];
    for address in addresses {
        let [six, four] = &mut families;
        let family = if address.is_ipv6() { six } else { four };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let [mut six, mut four] = families;
    let turns = core::iter::from_fn(|| {
        let turn = [six.pop_front(), four.pop_front()];
        turn.iter().any(Option::is_some).then_some(turn)
    });
    turns.flatten().flatten().take(MAX_ADDRESSES).collect()
}

/// Attempts under way, and the addresses of those to come.
struct Race<F> {
    waiting: VecDeque<SocketAddr>,
    attempts: Vec<Pin<Box<F>>>,
}

/// What has become of the attempts.
enum Progress<S> {
    Connected(S),
    /// At least one has failed, the last one of this.
    Failed(io::Error),
    Pending,
}

/// Tries the addresses, the next one when the last has failed or is not through after a while.
async fn race<R: Runtime>(runtime: &R, addresses: Vec<SocketAddr>) -> io::Result<R::Stream> {
    let mut timer = pin!(runtime.sleep(DELAY));
    let mut race = Race { waiting: addresses.into(), attempts: Vec::new() };
    let start = |race: &mut Race<_>| {
        let next = race.waiting.pop_front();
        race.attempts.extend(next.map(|address| Box::pin(runtime.connect(address))));
    };
    start(&mut race);
    poll_fn(|cx| {
        loop {
            match race.poll(cx) {
                Progress::Connected(stream) => return Poll::Ready(Ok(stream)),
                Progress::Failed(error) if race.waiting.is_empty() && race.attempts.is_empty() => {
                    return Poll::Ready(Err(error));
                }
                _ if race.waiting.is_empty() => return Poll::Pending,
                Progress::Failed(_) => {}
                Progress::Pending if timer.as_mut().poll(cx).is_pending() => return Poll::Pending,
                Progress::Pending => {}
            }
            start(&mut race);
            timer.as_mut().reset(DELAY);
        }
    })
    .await
}

impl<S, F: Future<Output = io::Result<S>>> Race<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Progress<S> {
        let mut progress = Progress::Pending;
        self.attempts.retain_mut(|attempt| {
            if matches!(progress, Progress::Connected(_)) {
                return true;
            }
            match attempt.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => progress = Progress::Connected(stream),
                Poll::Ready(Err(error)) => progress = Progress::Failed(error),
                Poll::Pending => return true,
            }
            false
        });
        progress
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{ConnectionRefused, TimedOut};

    use super::super::testing::{FakeStream, Task, World};
    use super::*;

    fn connecting(world: &World, host: &'static str) -> Task<Result<FakeStream, Cause>> {
        let world = world.clone();
        Task::new(async move { dial(&world, host, 80).await })
    }

    fn order(addresses: &[&str]) -> Vec<String> {
        let addresses = in_turn(addresses.iter().map(|address| address.parse().unwrap()).collect());
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn families_take_turns() {
        assert_eq!(
            order(&["1.0.0.1:1", "1.0.0.2:1", "1.0.0.3:1", "1.0.0.1:1", "[a::1]:1", "[a::2]:1", "[a::1]:1"]),
            ["[a::1]:1", "1.0.0.1:1", "[a::2]:1", "1.0.0.2:1", "1.0.0.3:1"]
        );
        let many: Vec<String> = (0..40).map(|last| format!("1.0.0.{last}:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(order(&many), many[..MAX_ADDRESSES]);
    }

    #[test]
    fn the_next_address_is_tried_after_a_while() {
        let world = World::default();
        world.add_host("a", &["1.0.0.1:80", "[a::1]:80", "[a::2]:80"]);
        let mut task = connecting(&world, "a");
        assert!(task.run().is_none());
        assert_eq!(world.tried(), ["[a::1]:80"]);
        world.advance(DELAY - Duration::from_millis(1));
        assert!(task.run().is_none());
        assert_eq!(world.tried(), ["[a::1]:80"]);
        world.advance(Duration::from_millis(1));
        assert!(task.run().is_none());
        assert_eq!(world.tried(), ["[a::1]:80", "1.0.0.1:80"]);
        // The first one goes on, and the rest is given up with its success.
        world.attempt(0).succeed();
        assert!(task.finish().is_ok());
        assert_eq!(world.tried().len(), 2);
        assert!(world.attempt(1).is_given_up());
    }

    #[test]
    fn a_failure_makes_room_for_the_next_address() {
        let world = World::default();
        world.add_host("a", &["1.0.0.1:80", "1.0.0.2:80", "1.0.0.3:80"]);
        let mut task = connecting(&world, "a");
        assert!(task.run().is_none());
        world.attempt(0).fail(ConnectionRefused);
        assert!(task.run().is_none());
        assert_eq!(world.tried().len(), 2);
        // The time runs from the last attempt on.
        world.advance(DELAY - Duration::from_millis(1));
        world.attempt(1).fail(ConnectionRefused);
        assert!(task.run().is_none());
        assert_eq!(world.tried().len(), 3);
        world.advance(DELAY);
        assert!(task.run().is_none());
        world.attempt(2).succeed();
        assert!(task.finish().is_ok());
    }

    #[test]
    fn a_success_counts_for_more_than_a_failure() {
        let world = World::default();
        world.add_host("a", &["1.0.0.1:80", "1.0.0.2:80"]);
        let mut task = connecting(&world, "a");
        assert!(task.run().is_none());
        world.advance(DELAY);
        assert!(task.run().is_none());
        world.attempt(0).succeed();
        world.attempt(1).fail(ConnectionRefused);
        assert!(task.finish().is_ok());
    }

    #[test]
    fn it_is_told_what_was_tried() {
        let world = World::default();
        world.add_host("a", &["1.0.0.1:80", "[a::1]:80"]);
        world.add_host("empty", &[]);
        let mut task = connecting(&world, "a");
        assert!(task.run().is_none());
        world.advance(DELAY);
        assert!(task.run().is_none());
        world.attempt(1).fail(ConnectionRefused);
        assert!(task.run().is_none());
        world.attempt(0).fail(TimedOut);
        assert_eq!(task.finish().unwrap_err().to_string(), "cannot connect to a:80 (a::1, 1.0.0.1): timed out");
        let cause = |host| connecting(&world, host).finish().unwrap_err().to_string();
        assert_eq!(cause("b"), "cannot resolve b: no such host");
        assert_eq!(cause("empty"), "cannot resolve empty: it has no address");
    }

    #[test]
    fn an_address_is_not_looked_up() {
        for (host, address) in [("1.0.0.1", "1.0.0.1:80"), ("a::1", "[a::1]:80")] {
            let world = World::default();
            let mut task = connecting(&world, host);
            assert!(task.run().is_none());
            assert_eq!(world.tried(), [address]);
            world.attempt(0).fail(ConnectionRefused);
            let cause = task.finish().unwrap_err().to_string();
            assert_eq!(cause, format!("cannot connect to {address}: connection refused"));
        }
    }

    #[test]
    fn a_dropped_dial_leaves_nothing() {
        let world = World::default();
        world.add_host("a", &["1.0.0.1:80", "1.0.0.2:80"]);
        let mut task = connecting(&world, "a");
        assert!(task.run().is_none());
        world.advance(DELAY);
        assert!(task.run().is_none());
        drop(task);
        assert!(world.attempt(0).is_given_up() && world.attempt(1).is_given_up());
    }
}
