// A network that cuts connections at random bytes, for `CUT_SECONDS` (20), from the seed `CUT_SEED` (1): nothing may
// get lost that was promised to arrive.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OURS } from "./lib/agents.mjs";
import { Stage } from "./lib/contract.mjs";
import { seeded, sleep } from "./lib/time.mjs";

const CLIENT = process.env.CLIENTS ?? OURS;
const SECONDS = Number(process.env.CUT_SECONDS ?? 20);
const SEED = Number(process.env.CUT_SEED ?? 1);
const OPTIONS = { timeout: 1_000, reconnectionDelay: 20, reconnectionDelayMax: 100 };
/** How many events may be on their way. */
const AHEAD = 50;

/** Cuts every connection after a random number of bytes, in whatever is passing then, until `stop()`. */
function cut(proxy, transport, random) {
  // Over polling, connections are many and short.
  const early = transport === "websocket" ? 0.3 : 0.05;
  const life = () => Math.floor(random() < early ? random() * 500 : random() * 120_000);
  const left = new Map();
  const cuts = { count: 0, stop: () => (proxy.onData = undefined) };
  proxy.onData = (chunk, _, end) => {
    if (!left.has(end)) left.set(end, life());
    const rest = left.get(end) - chunk.length;
    left.set(end, rest);
    if (rest >= 0) return chunk;
    cuts.count++;
    left.delete(end);
    setImmediate(end);
    return chunk.subarray(0, Math.max(0, chunk.length + rest));
  };
  return cuts;
}

/**
 * Calls `send(number)` from 0 on, not further than `AHEAD` beyond `arrived()`, until the time is over; how many. Where much
 * else runs, it takes longer until something is cut.
 */
async function pace(random, cuts, arrived, send) {
  const end = Date.now() + SECONDS * 1_000;
  const going = () => Date.now() < end || (cuts.count <= SECONDS / 3 && Date.now() < end + 60_000);
  let number = 0;
  for (; going(); await sleep(Math.floor(random() * 10))) {
    for (let burst = random() < 0.05 ? 30 : 1; burst > 0 && number < arrived() + AHEAD; burst--) send(number++);
  }
  return number;
}

/** Of which every number is there, and for the first time in order. */
function inOrder(numbers, count) {
  const first = [...new Set(numbers)];
  assert.deepEqual(
    first,
    Array.from({ length: count }, (_, index) => index),
  );
}

const payload = (random) =>
  random() < 0.3 ? Buffer.alloc(Math.floor(random() * 3_000), 7) : "x".repeat(random() * 500);
const downs = (agent) =>
  agent.log.filter((line) => line.startsWith('["a","event","down"')).map((line) => JSON.parse(line)[3]);

async function play(transport, options, body) {
  const stage = new Stage(CLIENT, transport);
  const random = seeded(SEED);
  try {
    const server = await stage.serve({ gate: false, ...options });
    await body(stage, server, await stage.proxy(server), random);
    await stage.agent.end();
  } finally {
    await stage.end();
  }
}

describe(`connections that are cut for ${SECONDS} s, seed ${SEED}`, { concurrency: 4 }, () => {
  for (const transport of ["websocket", "polling", "upgrade"]) {
    it(`with retries, everything arrives at least once, in order, over ${transport}`, () =>
      play(transport, {}, async (stage, server, proxy, random) => {
        const up = [];
        let current;
        server.io.on("connection", (socket) => {
          current = socket;
          socket.on("up", (number) => up.push(number));
        });
        stage.client(proxy, { options: { ...OPTIONS, retries: 1_000_000, ackTimeout: 1_000 } });
        await stage.agent.line("a", "connect");
        const cuts = cut(proxy, transport, random);
        /** One after the other, as the client does it. */
        const waiting = [];
        let acked = 0;
        let over = false;
        const deliver = (async () => {
          while (!over || waiting.length) {
            const socket = current;
            const answer = waiting.length && socket.timeout(1_000).emitWithAck("down", ...waiting[0]);
            const lost = socket.ended.then(() => false);
            if (
              answer &&
              (await Promise.race([
                answer.then(
                  () => true,
                  () => false,
                ),
                lost,
              ]))
            ) {
              waiting.shift();
              acked++;
            } else await sleep(5);
          }
        })();
        const down = pace(
          random,
          cuts,
          () => acked,
          (number) => waiting.push([number, payload(random)]),
        );
        const reached = () => new Set(up).size;
        const sent = await pace(random, cuts, reached, (number) => {
          stage.agent.tell("emit", { id: "a", event: "up", args: [number, payload(random)] });
        });
        const emitted = await down;
        cuts.stop();
        over = true;
        await deliver;
        stage.agent.tell("ask", { id: "a", tag: "last", event: "echo" });
        await stage.agent.lineWithin(60_000, "a", "ack", "last");
        inOrder(up, sent);
        inOrder(downs(stage.agent), emitted);
        // How much happens is up to the machine; something has to.
        assert.ok(cuts.count > SECONDS / 3, `${cuts.count} cuts`);
        assert.ok(Math.min(sent, emitted) > 2 * SECONDS, `${sent} events up, ${emitted} down`);
      }));
  }

  it("with recovery, what the server emits arrives once, in order, over websocket", () =>
    play("websocket", { connectionStateRecovery: {} }, async (stage, server, proxy, random) => {
      stage.client(proxy, { options: OPTIONS });
      await server.socket();
      server.io.emit("down", 0);
      await stage.agent.line("a", "event", "down", 0);
      const cuts = cut(proxy, "websocket", random);
      const arrived = () => downs(stage.agent).length - 1;
      const count = await pace(random, cuts, arrived, (number) => server.io.emit("down", number + 1, payload(random)));
      cuts.stop();
      server.io.emit("down", count + 1);
      await stage.agent.lineWithin(60_000, "a", "event", "down", count + 1);
      // What arrives before the answer to CONNECT is told twice by the official client, if the connection is lost then.
      const told = CLIENT === OURS ? downs(stage.agent) : [...new Set(downs(stage.agent))];
      assert.deepEqual(
        told,
        Array.from({ length: count + 2 }, (_, index) => index),
      );
      const [, ...again] = stage.agent.log.filter((line) => line.startsWith('["a","connect",'));
      assert.ok(
        again.every((line) => JSON.parse(line)[2].recovered),
        `${again}`,
      );
      // Where much else runs, it is often cut again before it is connected.
      assert.ok(
        Math.min(cuts.count, 2 * again.length) > SECONDS / 3,
        `${cuts.count} cuts, ${again.length} times connected again`,
      );
      assert.ok(count > 4 * SECONDS, `${count} events`);
    }));
});
