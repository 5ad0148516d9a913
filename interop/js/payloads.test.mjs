import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, once, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";

const bytes = (length, seed = 1) => Buffer.from({ length }, (_, index) => (index * 31 + seed) & 255);
const shared = bytes(10, 7);

const PAYLOADS = {
  "a buffer": [bytes(4)],
  "an empty buffer": [Buffer.alloc(0)],
  "64 KiB": [bytes(65_536)],
  "200 000 bytes": [bytes(200_000)],
  "every length around a frame header's steps": [125, 126, 127, 65_535, 65_536].map((length) => bytes(length)),
  "ten attachments": Array.from({ length: 10 }, (_, index) => bytes(index, index)),
  "nested": [{ a: [bytes(3), { b: bytes(5), c: "text" }], d: null }, [[bytes(1)]], 5],
  "the same buffer thrice": [shared, { again: shared }, [shared]],
  "bytes whose base64 begins with 4": [Buffer.from([0xe0, 0xe1, 0xe2])],
  "what only looks like a placeholder": [{ _placeholder: true, num: 0 }, { _placeholder: "x" }],
  "no arguments": [],
  "plain JSON": [null, true, -1.5, 1e300, "ü\u0000\n", [], {}, { "a b": [[[]]] }],
  "a text of 300 000 characters": ["€".repeat(300_000)],
};

onWorkers("payloads", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  for (const transports of [["websocket"], ["polling"]]) {
    describe(transports[0], () => {
      for (const [name, args] of Object.entries(PAYLOADS)) {
        it(`brings back ${name}`, async () => {
          const client = await connect({ transports });
          const echo = once(client, "echo");
          client.emit("echo", ...args);
          assert.deepEqual(await echo, args);
          const back = once(client, "message-back");
          client.emit("message", ...args);
          assert.deepEqual(await back, args);
          assert.deepEqual(await ask(client, "message-with-ack", ...args), args);
          assert.equal(client.connected, true);
        });
      }

      it("brings back a buffer next to what only looks like a placeholder", async () => {
        const client = await connect({ transports });
        assert.deepEqual(await ask(client, "ack", bytes(3), "text", bytes(2)), [bytes(3), "text", bytes(2)]);
      });

      it("keeps text and binary events in order", async () => {
        const client = await connect({ transports });
        const received = [];
        client.on("echo", (index, value) => received.push([index, value]));
        const sent = Array.from({ length: 200 }, (_, index) => [index, index % 3 ? `text ${index}` : bytes(index)]);
        for (const [index, value] of sent) client.emit("echo", index, value);
        await ask(client, "ack");
        assert.deepEqual(received, sent);
      });
    });
  }

  it("tells binary on polling and on WebSocket apart from nothing else", async () => {
    const client = await connect({ transports: ["polling", "websocket"] });
    const received = [];
    client.on("echo", (value) => received.push(value));
    for (let index = 0; index < 50; index++) client.emit("echo", bytes(index));
    await ask(client, "ack");
    assert.deepEqual(received, Array.from({ length: 50 }, (_, index) => bytes(index)));
  });
});
