import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, once, useClients } from "./lib/client.mjs";
import { useServer } from "./lib/server.mjs";
import { eventually, within } from "./lib/time.mjs";
import { FrameSocket, RawSocket, frame } from "./lib/websocket.mjs";

const transports = ["websocket"];
const bytes = (length) => Buffer.from({ length }, (_, index) => (index * 31) & 255);

describe("a server without a runtime", () => {
  const server = useServer("blocking", [0]);
  const { connect, socket } = useClients(server);

  it("brings back text, JSON and binary as events", async () => {
    const client = await connect({ transports });
    for (const args of [
      ["text", "€😀\u0000"],
      [1, -2.5, null, true, { a: [{}], b: "" }],
      [bytes(10), { nested: [bytes(3)] }, "between", bytes(0)],
      [bytes(300_000), "x".repeat(300_000)],
      [],
    ]) {
      const back = once(client, "any name");
      client.emit("any name", ...args);
      assert.deepEqual(await back, args);
    }
  });

  it("answers with the same arguments", async () => {
    const client = await connect({ transports });
    assert.deepEqual(await ask(client, "question", 1, "two", { three: [bytes(3)] }), [1, "two", { three: [bytes(3)] }]);
    assert.deepEqual(await ask(client, "question"), []);
  });

  it("hears a client that reads nothing, and has lost nothing when it reads again", async () => {
    const raw = await RawSocket.session(server);
    raw.send("40");
    await raw.next();
    raw.ws._socket.pause();
    const events = Array.from({ length: 80 }, (_, index) => `42["big",${index},"${"x".repeat(100_000)}"]`);
    // More than the system takes off a client's hands. Answers that nobody awaits are ignored.
    const ignored = Array(14).fill(`431["${"x".repeat(900_000)}"]`);
    raw.send(...events, ...ignored);
    await eventually(() => assert.equal(raw.ws.bufferedAmount, 0), { ms: 30_000 });
    raw.ws._socket.resume();
    for (const event of events) assert.ok((await raw.next()) === event);
    raw.terminate();
  });

  it("connects again after a disconnect, under another id", async () => {
    const client = await connect({ transports });
    const { id } = client;
    client.disconnect();
    const again = once(client, "connect");
    client.connect();
    await again;
    assert.notEqual(client.id, id);
    assert.deepEqual(await ask(client, "again", 1), [1]);
  });

  it("serves two clients at once, each with what it said itself", async () => {
    const clients = [await connect({ transports }), await connect({ transports })];
    assert.notEqual(clients[0].id, clients[1].id);
    const numbers = Array.from({ length: 200 }, (_, index) => index);
    const asked = clients.map((client, who) => Promise.all(numbers.map((number) => ask(client, "say", who, number))));
    const answers = await Promise.all(asked);
    answers.forEach((answer, who) => assert.deepEqual(answer, numbers.map((number) => [who, number])));
    clients[0].disconnect();
    assert.deepEqual(await ask(clients[1], "still there"), []);
  });

  it("refuses other namespaces, and keeps the connection", async () => {
    const main = await connect({ transports });
    const [error] = await once(main.io.socket("/other"), "connect_error");
    assert.equal(error.message, "no such namespace");
    assert.deepEqual(await ask(main, "alive"), []);
  });

  it("refuses what is not for it by an answer of HTTP", async () => {
    const status = async (path) => (await fetch(server.url + path)).status;
    assert.equal(await status("/elsewhere/?EIO=4&transport=websocket"), 404);
    assert.equal(await status("/socket.io/?EIO=4&transport=polling"), 400);
    assert.equal(await status("/socket.io/?EIO=4&transport=websocket"), 400);
    const polling = socket({ transports: ["polling"] });
    assert.match((await once(polling, "connect_error"))[0].message, /xhr poll error/);
  });

  it("takes what came together with the request", async () => {
    const stream = await FrameSocket.open(server, { behind: frame("40") });
    assert.equal(stream.status, 101);
    assert.match((await stream.next()).payload.toString(), /^0\{/);
    assert.match((await stream.next()).payload.toString(), /^40\{"sid"/);
    stream.destroy();
  });

  it("closes the connection of a client that breaks the protocol", async () => {
    const raw = await RawSocket.session(server);
    raw.send("42[");
    assert.equal(await raw.close(), 1005);
  });
});

describe("a server without a runtime, with a fast heartbeat", () => {
  const server = useServer("blocking", [0, 100, 1_000]);
  const { connect } = useClients(server);

  it("keeps a client alive", async () => {
    const client = await connect({ transports });
    let pings = 0;
    const beaten = new Promise((resolve) => client.io.on("ping", () => ++pings === 8 && resolve()));
    await within(5_000, beaten, "eight pings");
    assert.deepEqual(await ask(client, "alive"), []);
  });

  it("gives up a client that does not answer its pings", async () => {
    const raw = await RawSocket.session(server);
    assert.equal(await raw.next(), "2");
    assert.equal(await raw.close(), 1005);
  });
});
