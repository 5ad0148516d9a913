import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, once, stats, useClients } from "./lib/client.mjs";
import { Polling } from "./lib/http.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { eventually, sleep } from "./lib/time.mjs";
import { RawSocket } from "./lib/websocket.mjs";

const MIB = 1 << 20;
const QUEUE_LIMIT = 8 * MIB;
/** What the server holds besides the queue: the packet being built, and the others' traffic. */
const SLACK = 2 * MIB;
/** So many that a pause of the test's own garbage collector, which every client feels, is less than one in a hundred. */
const ASKS = 500;

onWorkers("a client that reads nothing", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  it("is closed when its queue is full, and the server's memory stays bounded", async () => {
    const observer = await connect({ transports: ["websocket"] });
    const before = await stats(observer);
    const deaf = await deafSocket(server);
    const watch = watchHeap(observer);
    deaf.send(`42["flood",4000,16384]`);
    await eventually(async () => assert.equal((await stats(observer)).sessions, before.sessions));
    const peak = await watch.end();
    assert.ok(peak - before.heap < QUEUE_LIMIT + SLACK, `${peak - before.heap} bytes more than before`);
    assert.deepEqual(await ask(observer, "disconnect-notes"), [[[deaf.socketId, "transport error"]]]);
    await eventually(async () => {
      const after = await stats(observer);
      assert.equal(after.fds, before.fds);
      assert.ok(after.heap < before.heap + SLACK);
    });
    deaf.ws._socket.resume();
    await deaf.close();
  });

  it("is closed on polling too", async () => {
    const observer = await connect({ transports: ["websocket"] });
    const before = await stats(observer);
    const deaf = await Polling.connected(server);
    await deaf.post('420["note-disconnect"]');
    await deaf.packet();
    const watch = watchHeap(observer);
    await deaf.post('42["flood",4000,16384]');
    await eventually(async () => assert.equal((await stats(observer)).sockets, before.sockets));
    const peak = await watch.end();
    assert.ok(peak - before.heap < QUEUE_LIMIT + SLACK, `${peak - before.heap} bytes more than before`);
    assert.equal((await ask(observer, "disconnect-notes"))[0][0][1], "transport error");
  });

  it("gets everything in order if it reads again before the queue is full", async () => {
    const deaf = await deafSocket(server);
    deaf.send('42["flood",400,16384]');
    await sleep(300);
    deaf.ws._socket.resume();
    for (let index = 0; index < 400; index++) {
      const message = await deaf.next();
      assert.equal(message.slice(0, 20), `42["flood",${index},"xxxxxxxx`.slice(0, 20));
      assert.equal(message.length, `42["flood",${index},""]`.length + 16_384);
    }
    deaf.send('421["ack","alive"]');
    assert.equal(await deaf.next(), '431["alive"]');
    deaf.terminate();
  });

  it("may be sent one packet larger than the limit when nothing else waits", async () => {
    const client = await connect({ transports: ["websocket"] });
    const flood = once(client, "flood");
    client.emit("flood", 1, QUEUE_LIMIT + MIB);
    assert.equal((await flood)[1].length, QUEUE_LIMIT + MIB);
    assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
  });

  it("costs the others at most twice their latency", async () => {
    const others = await Promise.all(Array.from({ length: 8 }, () => connect({ transports: ["websocket"] })));
    for (let round = 0; round < 3; round++) await latency(others);
    // The best of as many rounds as it takes: what else runs on the machine must not decide.
    const best = { alone: Infinity, flooded: Infinity };
    for (let round = 0; round < 4 || (round < 40 && best.flooded > 2 * best.alone); round++) {
      best.alone = Math.min(best.alone, await latency(others));
      const deaf = await deafSocket(server);
      deaf.send('42["flood",4000,16384]');
      best.flooded = Math.min(best.flooded, await latency(others));
      deaf.terminate();
      await sleep(50);
    }
    assert.ok(best.flooded <= 2 * best.alone, JSON.stringify(best));
  });
});

/** A connected client that has stopped to read from its socket. */
async function deafSocket(server) {
  const socket = await RawSocket.connected(server);
  socket.send('420["note-disconnect"]');
  assert.equal(await socket.next(), '430["ok"]');
  socket.ws._socket.pause();
  return socket;
}

/** Asks for the server's heap over and over; `end()` gives the largest answer. */
function watchHeap(observer) {
  let running = true;
  let peak = 0;
  const watching = (async () => {
    while (running) peak = Math.max(peak, (await stats(observer)).heap);
  })();
  return {
    async end() {
      running = false;
      await watching;
      return peak;
    },
  };
}

/** The 99th percentile of the milliseconds that an echo takes to each of `clients`. */
async function latency(clients) {
  const times = [];
  await Promise.all(
    clients.map(async (client) => {
      for (let index = 0; index < ASKS; index++) {
        const start = performance.now();
        await ask(client, "ack", index);
        times.push(performance.now() - start);
      }
    }),
  );
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)];
}
