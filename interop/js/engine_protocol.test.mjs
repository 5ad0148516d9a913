// The tests of the official Engine.IO suite, each by an equivalent of ours.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLAGS, describeEngine, probe } from "./lib/engine_protocol.mjs";
import { Polling, underWay } from "./lib/http.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { RawSocket } from "./lib/websocket.mjs";

onWorkers("the Engine.IO protocol", (flags) => {
  const server = useServer("engine-conformance", flags);
  describeEngine(server, useServer("engine-conformance", { ...flags, ...FLAGS }));

  describe("message", () => {
    for (const [name, payload] of Object.entries({
      "one text packet": "4hello",
      "several text packets": "4test1\x1e4test2\x1e4test3",
      "text and binary packets": "4hello\x1ebAQIDBA==",
    })) {
      it(`polling: ${name}`, async () => {
        const session = await Polling.open(server);
        const posted = await session.post(payload);
        assert.deepEqual([posted.status, posted.text], [200, "ok"]);
        const polled = await session.get();
        assert.deepEqual([polled.status, polled.text], [200, payload]);
      });
    }

    it("polling: an invalid packet closes", async () => {
      const session = await Polling.open(server);
      assert.equal((await session.post("abc")).status, 400);
      assert.equal((await session.get()).status, 400);
    });

    it("polling: a second GET closes", async () => {
      const session = await Polling.open(server);
      const answers = await Promise.all([session.get(), session.get()]);
      // Either may arrive first.
      const [waited, refused] = answers.sort((one, other) => one.status - other.status);
      assert.deepEqual([waited.status, waited.text], [200, "1"]);
      assert.equal(refused.status, 400);
      assert.equal((await session.get()).status, 400);
    });

    it("polling: a cancelled GET closes", () =>
      underWay(server, {}, async (session, poll) => {
        poll.abort();
        assert.equal((await session.get()).status, 400);
      }));

    it("WebSocket: a text packet", async () => {
      const socket = await RawSocket.session(server);
      socket.send("4hello");
      assert.equal(await socket.next(), "4hello");
      socket.terminate();
    });

    it("WebSocket: a binary packet", async () => {
      const socket = await RawSocket.session(server);
      socket.send(Buffer.from([1, 2, 3, 4]));
      assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3, 4]));
      socket.terminate();
    });

    it("WebSocket: an invalid packet closes", async () => {
      const socket = await RawSocket.session(server);
      socket.send("abc");
      await socket.close();
    });
  });

  it("upgrade: from polling to WebSocket", async () => {
    const { session, socket } = await probe(server);
    const poll = await session.get();
    assert.deepEqual([poll.status, poll.text], [200, "6"]);
    socket.send("5", "4hello");
    assert.equal(await socket.next(), "4hello");
    socket.terminate();
  });
});
