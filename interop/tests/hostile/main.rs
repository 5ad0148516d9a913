//! What hostile peers do to a whole server, beside honest clients: each attack of the tables in the files beside this one.
//!
//! After each, and while it goes on, the same holds: the server's heap stays under what the limits allow so many peers,
//! honest clients get their answers in time, the attackers are told what the documentation says, and when they are gone
//! nothing of them is left. That a single fault has its right answer is tested in `js/wire`; here it comes by the hundred.
//!
//! `ATTACK` may have a part of the names of those that are to be tried alone.

#![cfg(target_os = "linux")]

mod honest;
mod packets;
mod peer;
mod requests;
mod site;
mod slow;
mod websockets;

use std::env;
use std::time::{Duration, Instant};

use socketio_interop::alone;

use honest::Honest;
use site::{SLACK, Site};

/// Something that hostile peers do to a server.
struct Attack {
    /// What, and by which advisory or row of `decisions.md` it is known.
    name: &'static str,
    /// Bytes of heap that the limits allow it, beside [`SLACK`].
    heap: usize,
    /// Does it, checks what the peers are told, and leaves.
    act: fn(&Site),
}

/// Processor time that the server may take before it answers an honest client, 99 of 100 times: it serves others in turns,
/// each of half a megabyte, which may be 75 000 frames. Where it does not, time is over only with the flood.
const TURNS: Duration = Duration::from_millis(if cfg!(debug_assertions) { 200 } else { 100 });
/// Times that an attack is tried before the server is said to be slow: what else the machine does costs processor time, too.
const ROUNDS: usize = 3;

#[test]
fn attacks_do_no_harm() {
    alone(all_attacks);
}

fn all_attacks() {
    let wanted = env::var("ATTACK").unwrap_or_default();
    let (http, streams) = ([requests::ATTACKS], [websockets::ATTACKS, packets::ATTACKS]);
    // What becomes of requests is the same on all runtimes.
    for (example, http) in [("interop", &http[..]), ("interop-smol", &[]), ("interop-async-std", &[])] {
        // On one thread, where everybody is in everybody's way.
        let site = Site::start(example);
        let honest = Honest::connect(site.server());
        let attacks = http.iter().chain(&streams).copied().flatten();
        for attack in attacks.filter(|attack| attack.name.contains(&wanted)) {
            attack.withstood_by(&site, &honest);
        }
        drop(honest);
        site.end();
    }
}

impl Attack {
    fn withstood_by(&self, site: &Site, honest: &Honest) {
        let before = honest.stats();
        for round in 1.. {
            let begun = Instant::now();
            honest.forget();
            (self.act)(site);
            honest.check();
            let (wait, peak) = (honest.wait(), honest.peak().saturating_sub(before.heap));
            site.say(&format!(
                "{}: {:.1} s, {wait:.1?} of the processor before 99 of 100 answers, {} KiB of {}",
                self.name,
                begun.elapsed().as_secs_f64(),
                peak / 1024,
                (self.heap + SLACK) / 1024
            ));
            assert!(peak <= self.heap + SLACK, "{}: {peak} bytes of heap", self.name);
            let left = honest.wait_for(|now| now.counts == before.counts && now.heap <= before.heap + SLACK);
            assert_eq!(left, Ok(()), "{}: something is left; before {before:?}", self.name);
            if wait <= TURNS {
                break;
            }
            assert!(round < ROUNDS, "{}: honest clients wait for {wait:?} of the processor's time", self.name);
        }
    }
}
