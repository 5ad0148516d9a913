//! What codecs allocate: nothing on the way in but what the user's own type holds, one block on the way out.

use std::alloc::System;
use std::collections::HashMap;

use socketio_benches::packets::{ECHO, Small};
use socketio_benches::{allocations, operations};
use socketio_protocol::socket::Encoder;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let counted: HashMap<String, f64> = operations()
        .iter_mut()
        .map(|operation| (operation.id(), allocations(operation, ALLOCATOR).allocations))
        .collect();
    let of = |id: &str| *counted.get(id).unwrap_or_else(|| panic!("no operation {id}"));

    for packet in ["small", "echo", "ns+ack", "2KiB-text", "2KiB-items"] {
        let floor = of(&format!("{packet}/decode-typed/serde_json alone"));
        assert_eq!(of(&format!("{packet}/decode-typed/ours")), floor, "{packet}");
        assert_eq!(of(&format!("{packet}/decode-typed/ours, by Sockets")), floor, "{packet}");
        assert_eq!(of(&format!("{packet}/encode-typed/ours")), 1.0, "{packet}");
    }
    assert_eq!(of("small/decode-packet/ours"), 0.0);
    assert_eq!(of("small/decode-borrowed/ours"), 0.0);
    assert_eq!(of("small/decode-value/ours"), of("small/decode-value/serde_json alone"));
    assert_eq!(of("polling-16/decode-payload/ours"), 0.0);
    for frame in ["frame-32B", "frame-1KiB", "frame-64KiB"] {
        assert_eq!(of(&format!("{frame}/decode/ours")), 0.0, "{frame}");
        assert_eq!(of(&format!("{frame}/encode/ours")), 1.0, "{frame}");
    }
    // The bytes.
    assert_eq!(of("binary-1KiB/decode-typed/ours, by Sockets"), 1.0);
    // Both frames, and the list of those that follow the first.
    assert_eq!(of("binary-1KiB/encode-typed/ours"), 3.0);
    // The string, and the answer.
    assert_eq!(of("echo/in-and-out/ours, by Connection"), 2.0);

    assert_eq!(encoding(&mut |encoder| encoder.event("/", "echo", &(ECHO,), None).is_ok()), 1.0);
    let small = Small::sample();
    let clones = encoding(&mut |encoder| {
        let packet = encoder.event("/", "message", &(&small,), None).expect("it can be written");
        let clones = [packet.clone(), packet.clone()];
        clones.iter().all(|clone| clone.len() == packet.len())
    });
    assert!(clones <= 2.0, "a packet and its handle take {clones} allocations");
}

/// Allocations of an encoder that is warm.
fn encoding(run: &mut dyn FnMut(&mut Encoder) -> bool) -> f64 {
    let mut encoder = Encoder::default();
    assert!(run(&mut encoder));
    let region = stats_alloc::Region::new(ALLOCATOR);
    assert!(run(&mut encoder));
    region.change().allocations as f64
}
