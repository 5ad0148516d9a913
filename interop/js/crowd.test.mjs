import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { ask, stats, useClients } from "./lib/client.mjs";
import { Polling } from "./lib/http.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { eventually, within } from "./lib/time.mjs";
import { RawSocket } from "./lib/websocket.mjs";

const CLIENT = fileURLToPath(new URL("./lib/client_process.mjs", import.meta.url));
const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

onWorkers("a crowd", (flags) => {
  // A hundred clients in one process take their time to answer.
  const server = useServer("conformance", { ...flags, pingIntervalMs: 500, pingTimeoutMs: 20_000 });
  const { connect, observe, visits } = useCrowd(server);

  it("serves 100 clients at once, and forgets them all", async () => {
    const observer = await observe();
    const before = await stats(observer);
    const clients = await Promise.all(
      Array.from({ length: 100 }, (_, index) => connect({ transports: TRANSPORTS[index % 3] })),
    );
    assert.equal(new Set(clients.map(({ id }) => id)).size, 100);
    assert.equal((await stats(observer)).sockets, before.sockets + 100);

    const numbers = Array.from({ length: 20 }, (_, index) => index);
    await Promise.all(
      clients.map(async (client, index) => {
        const answers = await Promise.all(numbers.map((number) => ask(client, "ack", index, number)));
        assert.deepEqual(answers, numbers.map((number) => [index, number]));
        await ask(client, "join", "room1");
        client.heard = 0;
        client.on("broadcast", () => client.heard++);
      }),
    );
    for (const client of clients.slice(0, 20)) client.emit("broadcast", "everybody");
    await eventually(() => assert.ok(clients.every(({ heard }) => heard === 20)));
    assert.ok(clients.every(({ connected, heard }) => connected && heard === 20));

    for (const client of clients) client.disconnect();
    await backTo(observer, before);
  });

  it("keeps nothing of a thousand short visits", async () => {
    const observer = await observe();
    const before = await stats(observer);
    await visits(900);
    await backTo(observer, before);
  });
});

onWorkers("a client that goes", (flags) => {
  const server = useServer("conformance", { ...flags, pingIntervalMs: 500, pingTimeoutMs: 2_000 });
  const { observe } = useCrowd(server);

  for (const transports of TRANSPORTS) {
    it(`notices that a client on ${transports.join(" to ")} was killed`, async () => {
      const observer = await observe();
      const before = await stats(observer);
      const child = fork(CLIENT, [server.url, transports.join(",")], { stdio: "inherit" });
      await within(10_000, new Promise((resolve) => child.once("message", resolve)), "the client's process");
      assert.equal((await stats(observer)).sockets, before.sockets + 1);
      child.kill("SIGKILL");
      await backTo(observer, before);
      assert.match((await ask(observer, "disconnect-notes"))[0][0][1], /^(transport close|transport error|ping timeout)$/);
    });
  }

  it("notices a TCP connection that is reset", async () => {
    const observer = await observe();
    const before = await stats(observer);
    for (let index = 0; index < 10; index++) {
      const socket = await RawSocket.connected(server);
      socket.ws._socket.resetAndDestroy();
    }
    await backTo(observer, before);
  });

  it("notices a client that vanished without a word", async () => {
    const observer = await observe();
    const before = await stats(observer);
    const websocket = await RawSocket.connected(server);
    await Polling.connected(server);
    await Polling.open(server);
    assert.equal((await stats(observer)).sessions, before.sessions + 3);
    await backTo(observer, before);
    await eventually(() => assert.ok(websocket.ended));
  });
});

function useCrowd(server) {
  const { connect } = useClients(server);
  let warm = false;

  async function visits(count) {
    for (let index = 0; index < count; index += 10) {
      const clients = await Promise.all(
        Array.from({ length: 10 }, (_, visitor) => connect({ transports: TRANSPORTS[visitor % 3] })),
      );
      for (const client of clients) client.disconnect();
    }
  }

  /** A client that watches the server, whose threads have all made the buffers that they keep. */
  async function observe() {
    const observer = await connect({ transports: ["websocket"] });
    if (!warm) {
      await visits(100);
      await eventually(async () => assert.equal((await stats(observer)).sessions, 1));
      warm = true;
    }
    return observer;
  }

  return { connect, observe, visits };
}

/** Waits until the server holds what it held before; heap and descriptors too, but for a little slack. */
async function backTo(observer, before) {
  await eventually(async () => {
    const { heap, ...counts } = await stats(observer);
    const { heap: heapBefore, ...countsBefore } = before;
    assert.deepEqual(counts, countsBefore);
    assert.ok(heap <= heapBefore + 64 * 1024, `${heap - heapBefore} bytes of heap more than before`);
  });
}
