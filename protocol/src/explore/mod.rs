//! Exhaustive exploration of small worlds.
//!
//! A world is both machines, a client's and a server's, with what their applications have seen, and all that is on the way
//! between them. From where it starts, every act that is possible is tried in every state: requests, answers, and frames of
//! a stream arrive, one by one or together; time passes to the next deadline; the applications send, close, connect; the
//! network breaks something. So every order of these is tried, to the end, and not a sample of them: states that go on
//! alike are recognised by their [`Fingerprint`](fingerprint::Fingerprint) and followed once, so that the worlds end
//! although their runs do not.
//!
//! What holds for each world then:
//!
//! - No assertion of the world fails in any state: what was received is what was sent, in order, and nothing twice; a
//!   request is answered once; nothing is told after the end; machines come to rest after a few steps, and wait for a
//!   deadline that lies ahead.
//! - From every state one is reached, by nothing but a network that delivers and time that passes, in which all has settled:
//!   everything that was sent has arrived, or both sides are finished. Nobody has to rely on what an application does later,
//!   or on luck: there is no deadlock. Nor is there a livelock, if the network does sooner or later whatever it can do again
//!   and again: what goes on for ever would have to pass by a way out infinitely often.
//!
//! What is not explored:
//!
//! - Other worlds: one client, and as few messages, closes and faults as each world says. `EXPLORE=large` allows a few more.
//! - Times other than deadlines: time passes from one deadline to the next, so whatever happens does so just when one has
//!   come. While something is on its way, time passes only to a deadline within the patience of the world: 0 stands for a
//!   network that is faster than every timer.
//! - What a driver can do to a machine alone, for which there are tests of each: frames in pieces, writes that are taken in
//!   part, time that runs backwards, several calls before one `next`. Here a machine is moved forward after every act, and
//!   what it writes is taken at once.
//! - Hostile peers: both sides are ours.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{eprintln, println};

extern crate std;

pub(crate) mod engine;
mod fingerprint;
pub(crate) mod network;
mod sockets;

/// What can be explored.
pub(crate) trait World: Clone {
    /// What can happen.
    type Act: Clone + Debug;

    /// Tells states apart that do not go on alike.
    fn fingerprint(&self) -> u128;

    /// All that can happen now.
    fn acts(&self) -> Vec<Self::Act>;

    /// Whether an act happens by itself, sooner or later.
    fn is_fair(act: &Self::Act) -> bool;

    /// Lets something happen.
    ///
    /// # Panics
    ///
    /// A promise is broken.
    fn act(&mut self, act: &Self::Act);

    /// What is on its way, in words.
    fn describe(&self) -> String;

    /// Whether nothing is on its way, and everything is as it should be then.
    fn is_settled(&self) -> bool;
}

/// How a state was reached first.
struct Node<A> {
    from: usize,
    act: Option<A>,
    settled: bool,
}

/// All that was reached.
pub(crate) struct Explored<A> {
    nodes: Vec<Node<A>>,
    /// What follows by fair acts: to, from.
    fair: Vec<(u32, u32)>,
    transitions: usize,
}

/// More than any world has, unless something in it grows without end.
const MOST_STATES: usize = 400_000;

/// Whether larger worlds are asked for.
pub(crate) fn is_large() -> bool {
    std::env::var_os("EXPLORE").is_some_and(|size| size == "large")
}

/// Explores a world, breadth first, so that the acts that lead to a failure are as few as possible. Each state is given to
/// `check`, which panics if it should not be.
///
/// At least `least` states must be found: a world that has become smaller proves less.
pub(crate) fn explore<W: World>(name: &str, least: usize, start: W, check: impl Fn(&W)) {
    let mut explored = Explored { nodes: Vec::new(), fair: Vec::new(), transitions: 0 };
    let mut known = BTreeMap::new();
    explored.guard(0, None, || check(&start));
    known.insert(start.fingerprint(), 0);
    explored.nodes.push(Node { from: 0, act: None, settled: start.is_settled() });
    let first = start.clone();
    let mut todo = VecDeque::from([(0, start)]);
    while let Some((from, world)) = todo.pop_front() {
        assert!(explored.nodes.len() < MOST_STATES || is_large(), "{name} is not small");
        for act in world.acts() {
            let mut next = world.clone();
            explored.guard(from, Some(&act), || {
                next.act(&act);
                check(&next);
            });
            explored.transitions += 1;
            let to = match known.entry(next.fingerprint()) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => {
                    let to = *entry.insert(explored.nodes.len());
                    explored.nodes.push(Node { from, act: Some(act.clone()), settled: next.is_settled() });
                    todo.push_back((to, next));
                    to
                }
            };
            if W::is_fair(&act) {
                explored.fair.push((to as u32, from as u32));
            }
        }
    }
    if let Some(stuck) = explored.find_stuck() {
        explored.show_trace(stuck, None);
        eprintln!("{}", explored.dead_end(first, stuck).describe());
        panic!("nothing settles any more, whatever the network delivers and however long one waits");
    }
    let settled = explored.nodes.iter().filter(|node| node.settled).count();
    let states = explored.nodes.len();
    println!("{name}: {states} states, {settled} of them settled, {} transitions", explored.transitions);
    assert!(states >= least && settled > 0, "{name} has only {states} states, {least} are expected");
}

impl<A: Clone + Debug> Explored<A> {
    /// Does something, and tells how it came to that if it panics.
    fn guard(&self, from: usize, act: Option<&A>, something: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(something)) {
            self.show_trace(from, act);
            resume_unwind(panic);
        }
    }

    /// What has led to a node.
    fn trace(&self, mut node: usize) -> Vec<A> {
        let mut acts = Vec::new();
        while let Some(Node { from, act: Some(act), .. }) = self.nodes.get(node) {
            acts.push(act.clone());
            node = *from;
        }
        acts.reverse();
        acts
    }

    fn show_trace(&self, node: usize, last: Option<&A>) {
        let acts = self.trace(node);
        let lines: String = acts.iter().chain(last).map(|act| format!("    {act:?}\n")).collect();
        eprintln!("after {} acts:\n{lines}", acts.len() + usize::from(last.is_some()));
    }

    /// Where the network leads to from a node from which nothing settles.
    fn dead_end<W: World<Act = A>>(&self, mut world: W, node: usize) -> W {
        self.trace(node).iter().for_each(|act| world.act(act));
        for _ in 0..100 {
            let Some(act) = world.acts().into_iter().find(W::is_fair) else { break };
            world.act(&act);
        }
        world
    }

    /// The first state from which none is reached by fair acts that has settled.
    fn find_stuck(&mut self) -> Option<usize> {
        self.fair.sort_unstable();
        let mut settles: Vec<bool> = self.nodes.iter().map(|node| node.settled).collect();
        let mut todo: Vec<usize> = (0..settles.len()).filter(|at| settles[*at]).collect();
        while let Some(to) = todo.pop() {
            let first = self.fair.partition_point(|(other, _)| (*other as usize) < to);
            for (_, from) in self.fair[first..].iter().take_while(|(other, _)| *other as usize == to) {
                if !core::mem::replace(&mut settles[*from as usize], true) {
                    todo.push(*from as usize);
                }
            }
        }
        settles.iter().position(|settles| !settles)
    }
}
