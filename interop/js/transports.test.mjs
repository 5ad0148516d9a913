import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NodeWebSocket, NodeXHR } from "socket.io-client";
import { ask, once, upgraded, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { deferred, eventually, sleep, within } from "./lib/time.mjs";

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

onWorkers("transports", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  for (const transports of TRANSPORTS) {
    describe(transports.join(" to "), () => {
      it("connects, hears what the server emits at once, and talks both ways", async () => {
        const client = await connect({ transports, auth: { token: "abc" } });
        if (client.early.length === 0) await once(client, "auth");
        assert.deepEqual(client.early[0], ["auth", { token: "abc" }]);

        const back = once(client, "message-back");
        client.emit("message", 1, "two", { three: [true, null, 4.5] });
        assert.deepEqual(await back, [1, "two", { three: [true, null, 4.5] }]);
        if (transports.length === 2) await upgraded(client);
        assert.equal(client.io.engine.transport.name, transports.at(-1));
        assert.deepEqual(await ask(client, "ack", "still there"), ["still there"]);
      });

      it("keeps the order of many messages in both directions", async () => {
        const client = await connect({ transports });
        const sent = Array.from({ length: 1_000 }, (_, index) => index);
        const received = [];
        const all = collect(client, "echo", sent.length, received);
        for (const number of sent) client.emit("echo", number);
        await all;
        assert.deepEqual(received, sent);
      });

      it("carries text of every kind and length", async () => {
        const client = await connect({ transports });
        const texts = ["", "a\u0000b", "\x1e", "€😀𝄞", "\u2028\u2029", '"\\', "x".repeat(125), "x".repeat(126), "ö".repeat(70_000)];
        for (const text of texts) assert.deepEqual(await ask(client, "ack", text), [text]);
      });

      it("says who disconnected", async () => {
        const client = await connect({ transports });
        const left = once(client, "disconnect");
        client.emit("disconnect-me", false);
        assert.equal((await left)[0], "io server disconnect");

        const other = await connect({ transports });
        const closed = once(other, "disconnect");
        other.emit("disconnect-me", true);
        assert.match((await closed)[0], /^(io server disconnect|transport close)$/);
      });

      it("connects again after a disconnect", async () => {
        const client = await connect({ transports });
        const id = client.id;
        client.disconnect();
        const again = once(client, "connect");
        client.connect();
        await again;
        assert.notEqual(client.id, id);
        assert.deepEqual(await ask(client, "ack", "again"), ["again"]);
      });
    });
  }

  it("loses, doubles and reorders nothing while messages fly both ways during the upgrade", async () => {
    for (const first of [0, 10, 50, 100, 200]) {
      const opening = deferred();
      const client = await connect({ transports: [NodeXHR, openingUpon(opening.promise)] });
      const received = [];
      let sent = 0;
      let before = client.io.engine.transport.name === "polling" ? undefined : 0;
      client.io.engine.on("upgrade", () => (before = sent));
      client.on("echo", (number) => received.push(number));
      while ((before === undefined && sent < 10_000) || sent < 500) {
        if (sent >= first) opening.resolve();
        for (const end = sent + 10; sent < end; sent++) client.emit("echo", sent);
        await sleep(1);
      }
      await eventually(() => assert.equal(received.length, sent));
      assert.deepEqual(received, Array.from({ length: sent }, (_, index) => index));
      assert.ok(before >= first, "messages were in flight before the upgrade");
      assert.deepEqual(await ask(client, "ack", "after"), ["after"]);
      client.disconnect();
    }
  });

  it("loses nothing of what the server sends by itself while the client upgrades", async () => {
    const opening = deferred();
    const client = await connect({ transports: [NodeXHR, openingUpon(opening.promise)] });
    client.once("flood", opening.resolve);
    const received = [];
    const all = collect(client, "flood", 500, received);
    client.emit("flood", 500, 100);
    const binary = ask(client, "ack", Buffer.from([1, 2, 3]));
    await all;
    await upgraded(client);
    assert.deepEqual(received, Array.from({ length: 500 }, (_, index) => index));
    assert.deepEqual(await binary, [Buffer.from([1, 2, 3])]);
  });
});

onWorkers("heartbeat", (flags) => {
  const server = useServer("conformance", { ...flags, pingIntervalMs: 100, pingTimeoutMs: 1_000 });
  const { connect } = useClients(server);

  for (const transports of TRANSPORTS) {
    it(`keeps ${transports.join(" to ")} alive`, async () => {
      const client = await connect({ transports });
      let pings = 0;
      const beaten = new Promise((resolve) => client.io.on("ping", () => ++pings === 8 && resolve()));
      await within(5_000, beaten, "eight pings");
      assert.deepEqual(await ask(client, "ack", "alive"), ["alive"]);
    });
  }
});

/** The client's WebSocket transport, but it does not connect before `promise` is fulfilled. */
function openingUpon(promise) {
  return class extends NodeWebSocket {
    doOpen() {
      promise.then(() => super.doOpen());
    }
  };
}

/** Resolves when `count` events have come; their first arguments go into `received`. */
function collect(client, event, count, received) {
  const done = new Promise((resolve) => {
    client.on(event, (first) => {
      received.push(first);
      if (received.length === count) resolve();
    });
  });
  return within(15_000, done, `${count} times ${event}`);
}
