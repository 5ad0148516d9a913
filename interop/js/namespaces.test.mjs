import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, once, stats, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { eventually } from "./lib/time.mjs";

onWorkers("namespaces", (flags) => {
  const server = useServer("conformance", flags);
  const { connect, socket } = useClients(server);

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    describe(transports.join(" to "), () => {
      it("shares one connection between two namespaces", async () => {
        const main = await connect({ transports });
        const custom = main.io.socket("/custom", { auth: { token: "xyz" } });
        const auth = once(custom, "auth");
        assert.deepEqual(await auth, [{ token: "xyz" }]);
        assert.notEqual(custom.id, main.id);
        assert.notEqual(custom.id, main.io.engine.id);

        const counts = async () => {
          const { sessions, sockets } = await stats(main);
          return [sessions, sockets];
        };
        // The clients of the test before may be about to leave.
        await eventually(async () => assert.deepEqual(await counts(), [1, 2]));
        custom.disconnect();
        await eventually(async () => assert.deepEqual(await counts(), [1, 1]));
        assert.deepEqual(await ask(main, "ack", "alive"), ["alive"]);
      });

      it("connects to a namespace alone, without the main one", async () => {
        const custom = await connect({ transports, auth: { a: 1 } }, "/custom");
        if (custom.early.length === 0) await once(custom, "auth");
        assert.deepEqual(custom.early, [["auth", { a: 1 }]]);
      });

      it("keeps the connection when the main namespace is left", async () => {
        const main = await connect({ transports });
        const custom = main.io.socket("/custom");
        await once(custom, "connect");
        main.disconnect();
        const again = once(main, "connect");
        main.connect();
        await again;
        assert.equal(custom.connected, true);
        assert.deepEqual(await ask(main, "ack", 1), [1]);
        custom.disconnect();
      });

      it("refuses an unknown namespace, and the connection lives", async () => {
        const main = await connect({ transports });
        const unknown = main.io.socket("/random");
        const refused = once(unknown, "connect_error");
        const [error] = await refused;
        assert.equal(error.message, "Invalid namespace");
        assert.equal("data" in error && error.data !== undefined, false);
        assert.deepEqual(await ask(main, "ack", "alive"), ["alive"]);
      });

      it("tells apart names that differ in case or percent signs", async () => {
        const main = await connect({ transports });
        for (const name of ["/Custom", "/cust%6fm", "/custom/", "/custom?token=1"]) {
          const other = main.io.socket(name);
          const refused = once(other, "connect_error");
          assert.equal((await refused)[0].message, "Invalid namespace", name);
        }
      });

      it("refuses with the middleware's message and data", async () => {
        for (const auth of [{}, { token: "wrong" }]) {
          const guarded = socket({ transports, auth }, "/guarded");
          const [error] = await once(guarded, "connect_error");
          assert.equal(error.message, "not authorized");
          assert.deepEqual(error.data, { code: 42 });
          assert.equal(guarded.connected, false);
          guarded.disconnect();
        }
      });

      it("lets in whom the middleware lets in, also after a refusal on the same connection", async () => {
        const main = await connect({ transports });
        const guarded = main.io.socket("/guarded", { auth: { token: "wrong" } });
        await once(guarded, "connect_error");
        guarded.auth = { token: "secret" };
        const connected = once(guarded, "connect");
        guarded.connect();
        await connected;
        assert.deepEqual(await ask(main, "ack", "alive"), ["alive"]);
        guarded.disconnect();
      });
    });
  }

  it("leaves nothing behind of those who were refused", async () => {
    const observer = await connect({ transports: ["websocket"] });
    // What earlier tests left is being closed.
    const before = await eventually(async () => {
      const now = await stats(observer);
      assert.equal(now.sessions, 1);
      return now;
    });
    for (let index = 0; index < 20; index++) {
      const guarded = socket({ transports: ["websocket"] }, "/guarded");
      await once(guarded, "connect_error");
      guarded.disconnect();
    }
    await eventually(async () => {
      const { sessions, sockets, rooms } = await stats(observer);
      assert.deepEqual([sessions, sockets, rooms], [before.sessions, before.sockets, before.rooms]);
    });
  });
});
