import { setTimeout as sleep } from "node:timers/promises";

export { sleep };

/** `promise`, or a failure that says what was waited for after `ms` milliseconds. */
export async function within(ms, promise, what) {
  const { promise: late, reject } = deferred();
  const timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Calls `probe` until it does not throw, and gives its result. */
export async function eventually(probe, { ms = 5_000, every = 20 } = {}) {
  const end = Date.now() + ms;
  for (;;) {
    try {
      return await probe();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await sleep(every);
  }
}

/** Fails unless `run` takes less than `ms` milliseconds in one of several rounds: what else the machine does is added. */
export async function soonerThan(ms, run) {
  const times = [];
  for (let round = 0; round < 5; round++) {
    times.push(await run());
    if (times.at(-1) < ms) return;
  }
  throw new Error(`not within ${ms} ms: ${times}`);
}

/** A promise together with the functions that settle it. */
export function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** A small seeded generator of numbers in [0, 1). */
export function seeded(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
