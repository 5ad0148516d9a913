import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, closeAll, connect, once } from "./lib/client.mjs";
import { Polling, request } from "./lib/http.mjs";
import { onWorkers, startServer } from "./lib/server.mjs";
import { within } from "./lib/time.mjs";
import { RawSocket } from "./lib/websocket.mjs";

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

onWorkers("shutdown", (flags) => {
  describe("asked for by a client", () => {
    it("tells every client, and ends the process in time", async (t) => {
      const server = await start(t, flags);
      const clients = await Promise.all(TRANSPORTS.map((transports) => connect(server, { transports })));
      const reasons = clients.map((client) => once(client, "disconnect"));
      clients[0].emit("shutdown");
      for (const [reason] of await Promise.all(reasons)) assert.equal(reason, "transport close");
      await ended(server);
    });

    it("answers polls that wait, and probes, and sessions that joined no namespace", async (t) => {
      const server = await start(t, flags);
      const [polling, probed, silent] = [await Polling.connected(server), await Polling.open(server), await Polling.open(server)];
      const waiting = polling.get();
      const probe = await RawSocket.open(server, { query: { sid: probed.sid } });
      probe.send("2probe");
      assert.equal(await probe.next(), "3probe");
      const websocket = await RawSocket.session(server);
      const asking = await connect(server, { transports: ["websocket"] });
      asking.emit("shutdown");
      const answer = await waiting;
      assert.equal(answer.status, 200);
      assert.equal(answer.text.split("\x1e").at(-1), "1");
      await Promise.all([probe.close(), websocket.close()]);
      assert.ok(silent.sid);
      await ended(server);
    });

    it("accepts nobody any more", async (t) => {
      const server = await start(t, flags);
      const client = await connect(server, { transports: ["websocket"] });
      client.emit("shutdown");
      await once(client, "disconnect");
      await ended(server);
      await assert.rejects(request(server, { query: { EIO: 4, transport: "polling" } }), /ECONNREFUSED|ECONNRESET/);
    });

    it("does not wait for a client that reads nothing", async (t) => {
      const server = await start(t, flags);
      const deaf = await RawSocket.connected(server);
      deaf.ws._socket.pause();
      const client = await connect(server, { transports: ["websocket"] });
      deaf.send('42["flood",100,65536]');
      await ask(client, "ack");
      client.emit("shutdown");
      await ended(server);
    });

    it("delivers what was said before it", async (t) => {
      const server = await start(t, flags);
      for (const client of [await connect(server, { transports: ["websocket"] })]) {
        const heard = [];
        client.on("echo", (number) => heard.push(number));
        for (let number = 0; number < 100; number++) client.emit("echo", number);
        client.emit("shutdown");
        await once(client, "disconnect");
        assert.equal(heard.length, 100);
      }
      await ended(server);
    });
  });

  for (const signal of ["SIGINT", "SIGTERM"]) {
    it(`is what ${signal} asks for`, async (t) => {
      const server = await start(t, flags);
      const clients = await Promise.all(TRANSPORTS.map((transports) => connect(server, { transports })));
      const reasons = clients.map((client) => once(client, "disconnect"));
      process.kill(server.pid, signal);
      for (const [reason] of await Promise.all(reasons)) assert.equal(reason, "transport close");
      await ended(server);
    });
  }
});

async function start(t, flags) {
  const server = await startServer("conformance", flags);
  t.after(async () => {
    closeAll();
    await server.stop();
  });
  return server;
}

/** The process ends by itself, soon and well. */
async function ended(server) {
  const { code, signal } = await within(5_000, server.exited, "the server's process to end");
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, server.log());
}
