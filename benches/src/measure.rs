use std::alloc::System;
use std::ffi::OsStr;
use std::process::Command;
use std::time::{Duration, Instant};

use stats_alloc::{Region, StatsAlloc};

use crate::Operation;

/// Allocations of one operation.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct Counts {
    /// How many, each growth of a buffer counted.
    pub allocations: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// What the operation allocates once it is warm. `allocator` must be the program's global allocator.
pub fn allocations(operation: &mut Operation, allocator: &StatsAlloc<System>) -> Counts {
    const TIMES: usize = 100;
    (0..TIMES).for_each(|_| (operation.run)());
    let region = Region::new(allocator);
    (0..TIMES).for_each(|_| (operation.run)());
    let change = region.change();
    let each = |count: usize| count as f64 / TIMES as f64;
    Counts { allocations: each(change.allocations + change.reallocations), bytes: each(change.bytes_allocated) }
}

/// Nanoseconds of one operation: the median and the least of many batches.
pub fn nanoseconds(operation: &mut Operation) -> (f64, f64) {
    const BATCHES: usize = 201;
    let mut batch = |times: u32| {
        let start = Instant::now();
        (0..times).for_each(|_| (operation.run)());
        start.elapsed()
    };
    let mut times = 16;
    while batch(times) < Duration::from_micros(200) {
        times *= 2;
    }
    let mut each: Vec<f64> = (0..BATCHES).map(|_| batch(times).as_nanos() as f64 / f64::from(times)).collect();
    each.sort_by(f64::total_cmp);
    (each[BATCHES / 2], each[0])
}

/// Instructions of one operation: `program run <id> <n>` under callgrind, the difference of 400 and 200 times. `None` if
/// there is no valgrind.
///
/// # Panics
///
/// The program fails.
pub fn instructions(program: impl AsRef<OsStr>, id: &str) -> Option<u64> {
    const TIMES: u64 = 200;
    let count = |times: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(program.as_ref())
            .args(["run", id, &times.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let total = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
        assert!(output.status.success() && total.is_some(), "{id}: {said}");
        total
    };
    let (once, twice) = (count(TIMES)?, count(2 * TIMES)?);
    Some(twice.saturating_sub(once) / TIMES)
}
