//! Attacks that take half a minute, since that is what the server waits for the head of a request, and for who does not take
//! an answer; and those against the system's limits. The servers are others than those of the other attacks.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use socketio_interop::servers;

use crate::honest::Honest;
use crate::peer::Peer;
use crate::requests::get;
use crate::site::{CONNECTION, MAX_HEAD, SLACK, Site};

/// Peers of each kind.
const PEERS: usize = 50;
/// Peers that read nothing: the system keeps megabytes for each.
const DEAF: usize = 2;
/// Time that a connection may be silent, and that a peer may take nothing; and when all has to be over.
const SILENCE: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(45);
/// A buffer doubles while a head arrives, and of answers that are not read so much waits.
const HEAP: usize = (3 * PEERS + DEAF) * CONNECTION + (PEERS + DEAF) * 2 * MAX_HEAD;

#[test]
fn slow_heads_and_answers_that_are_not_read_end_after_half_a_minute() {
    let site = Site::start_by(Command::new(servers().join("interop")), "slow-peers");
    let honest = Honest::connect(site.server());
    let before = honest.stats();
    honest.forget();
    let open = |count| (0..count).map(|_| Peer::open(site.address())).collect::<Vec<_>>();
    let (mut deaf, refused) = (open(DEAF), get("transport=polling&sid=unknown", "").repeat(100));
    deaf.iter_mut().for_each(|peer| peer.send_until_full(&refused));
    let begun = Instant::now();
    let (silent, mut slow, mut large) = (open(PEERS), open(PEERS), open(PEERS));
    let head = get("transport=polling", &format!("X-Header: {}\r\n", "x".repeat(MAX_HEAD)));
    large.iter_mut().for_each(|peer| peer.send(&head[..MAX_HEAD - 1_000]));
    for byte in head.chunks(1).take_while(|_| begun.elapsed() < SILENCE - Duration::from_secs(1)) {
        slow.iter_mut().for_each(|peer| peer.send(byte));
        thread::sleep(Duration::from_millis(250));
    }
    let left = honest.wait_for(|now| now.counts == before.counts && now.heap <= before.heap + SLACK);
    assert_eq!(left, Ok(()), "something is left; before {before:?}");
    assert!((SILENCE..END).contains(&begun.elapsed()), "it took {:?}", begun.elapsed());
    for mut peer in silent.into_iter().chain(slow).chain(large) {
        assert_eq!(peer.gone(), b"", "closed without an answer");
    }
    let peak = honest.peak() - before.heap;
    site.say(&format!("slow heads, answers that are not read: {} KiB of {}", peak / 1024, (HEAP + SLACK) / 1024));
    assert!(peak <= HEAP + SLACK, "{peak} bytes of heap");
    drop((deaf, honest));
    site.end();
}

/// Descriptors that the server may have.
const DESCRIPTORS: usize = 64;

#[test]
fn more_connections_than_descriptors_keep_newcomers_out_and_nobody_else() {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\"")]).arg(servers().join("interop"));
    let site = Site::start_by(command, "few-descriptors");
    let honest = Honest::connect(site.server());
    let before = honest.stats();
    // Those that the server does not accept wait in the system.
    let peers: Vec<_> = (0..2 * DESCRIPTORS).map(|_| Peer::open(site.address())).collect();
    // The server takes one to count them, and there is none.
    let full = honest.wait_for(|now| now.counts[6] == 0);
    assert_eq!(full, Ok(()), "there are descriptors left");
    thread::sleep(Duration::from_secs(1));
    honest.check();
    drop(peers);
    let left = honest.wait_for(|now| now.counts == before.counts);
    assert_eq!(left, Ok(()), "something is left; before {before:?}");
    Peer::joined(site.address());
    drop(honest);
    site.end();
}
