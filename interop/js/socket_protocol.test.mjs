// The tests of the official Socket.IO suite, each by an equivalent of ours.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FLAGS, describeEngine, probe } from "./lib/engine_protocol.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { RawSocket } from "./lib/websocket.mjs";

const TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
const BUFFERS = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];

onWorkers("the Socket.IO protocol", (flags) => {
  const server = useServer("conformance", { ...flags, connectTimeoutMs: 1_000 });
  const beating = useServer("conformance", { ...flags, ...FLAGS, connectTimeoutMs: 3_000 });
  describeEngine(server, beating);

  it("upgrade: from polling to WebSocket", async () => {
    const { socket } = await probe(beating);
    socket.send("5");
    assert.equal(await socket.next(), "2");
    socket.terminate();
  });

  describe("connect", () => {
    for (const [name, packet, prefix, auth] of [
      ["to the main namespace", "40", "40", "{}"],
      ["to the main namespace, with a payload", '40{"token":"123"}', "40", '{"token":"123"}'],
      ["to a custom namespace", "40/custom,", "40/custom,", "{}"],
      ["to a custom namespace, with a payload", '40/custom,{"token":"abc"}', "40/custom,", '{"token":"abc"}'],
    ]) {
      it(name, async () => {
        const socket = await RawSocket.session(server);
        socket.send(packet);
        const reply = await socket.next();
        assert.ok(reply.startsWith(prefix), reply);
        const { sid, ...rest } = JSON.parse(reply.slice(prefix.length));
        assert.equal(typeof sid, "string");
        assert.deepEqual(rest, {});
        assert.equal(await socket.next(), `42${prefix.slice(2)}["auth",${auth}]`);
        socket.terminate();
      });
    }

    it("not to an unknown namespace", async () => {
      const socket = await RawSocket.session(server);
      socket.send("40/random");
      assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
      socket.terminate();
    });

    it("not with an invalid handshake", async () => {
      const socket = await RawSocket.session(server);
      socket.send("4abc");
      await socket.close();
    });

    it("closes without a handshake", async () => {
      const socket = await RawSocket.session(server);
      await socket.close();
    });
  });

  describe("disconnect", () => {
    it("from the main namespace", async () => {
      const socket = await RawSocket.connected(beating);
      socket.send("41");
      assert.equal(await socket.next(), "2");
      socket.terminate();
    });

    it("from a custom namespace, and goes on in the main one", async () => {
      const socket = await RawSocket.connected(server);
      socket.send("40/custom");
      assert.match(await socket.next(), /^40\/custom,/);
      assert.match(await socket.next(), /^42\/custom,/);
      socket.send("41/custom", '42["message","message to main namespace"]');
      assert.equal(await socket.next(), '42["message-back","message to main namespace"]');
      socket.terminate();
    });
  });

  describe("message", () => {
    for (const [name, sent, received] of [
      ["text", ['42["message",1,"2",{"3":[true]}]'], ['42["message-back",1,"2",{"3":[true]}]']],
      ["binary", [`452-["message",${TWO}]`, ...BUFFERS], [`452-["message-back",${TWO}]`, ...BUFFERS]],
      ["text with an ack", ['42456["message-with-ack",1,"2",{"3":[false]}]'], ['43456[1,"2",{"3":[false]}]']],
      ["binary with an ack", [`452-789["message-with-ack",${TWO}]`, ...BUFFERS], [`462-789[${TWO}]`, ...BUFFERS]],
      ["an ack asked of the client", ['42["emit-with-ack",1,"2"]'], [/^42(\d+)\["emit-with-ack",1,"2"\]$/]],
    ]) {
      it(name, async () => {
        const socket = await RawSocket.connected(server);
        socket.send(...sent);
        for (const expected of received) {
          const message = await socket.next();
          if (!(expected instanceof RegExp)) assert.deepEqual(message, expected);
          else {
            socket.send(`43${expected.exec(message)[1]}["answer",3]`);
            assert.equal(await socket.next(), '42["emit-with-ack","answer",3]');
          }
        }
        socket.terminate();
      });
    }

    for (const [name, packet] of [
      ["an unknown packet type", "4abc"],
      ["an invalid payload", "42{}"],
      ["an invalid ack id", '42abc["message-with-ack",1,"2",{"3":[false]}]'],
    ]) {
      it(`closes upon ${name}`, async () => {
        const socket = await RawSocket.connected(server);
        socket.send(packet);
        await socket.close();
      });
    }
  });
});
