import assert from "node:assert/strict";
import { it } from "node:test";
import { ask, useClients } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { seeded } from "./lib/time.mjs";

const BURST = Array.from({ length: 16 }, (_, index) => index);

onWorkers("order", (flags) => {
  const server = useServer("conformance", flags);
  const { connect } = useClients(server);

  it("starts the handlers of 1 000 bursts of sixteen events in order", async () => {
    const random = seeded(1);
    const client = await connect({ transports: ["websocket"] });
    for (let burst = 0; burst < 1_000; burst++) {
      for (const number of BURST) client.emit("burst", number, Math.floor(random() * 4));
      assert.deepEqual(await ask(client, "burst-starts"), [BURST], `burst ${burst}`);
    }
  });

  it("starts them in order over polling, and for several clients at once", async () => {
    const random = seeded(2);
    const clients = await Promise.all(
      ["websocket", "polling", "websocket", "polling"].map((transport) => connect({ transports: [transport] })),
    );
    const bursts = async (client) => {
      for (let burst = 0; burst < 100; burst++) {
        for (const number of BURST) client.emit("burst", number, Math.floor(random() * 4));
        assert.deepEqual(await ask(client, "burst-starts"), [BURST]);
      }
    };
    await Promise.all(clients.map(bursts));
  });

  it("completes a handler that awaits the client's ack while fifteen others wait", async () => {
    for (const transports of [["websocket"], ["polling"]]) {
      const client = await connect({ transports });
      client.on("question", (text, answer) => answer(`${text}!`));
      const start = Date.now();
      for (const number of BURST.slice(1)) client.emit("burst", number, 2_000);
      assert.deepEqual(await ask(client, "ask", "now"), ["now!"]);
      assert.ok(Date.now() - start < 1_900, "the fifteen still wait");
      assert.deepEqual(await ask(client, "burst-starts"), [BURST.slice(1)]);
    }
  });

  it("holds the events behind 64 waiting handlers in order, while acks still come through", async () => {
    const client = await connect({ transports: ["websocket"] });
    client.on("question", (answer) => answer("heard"));
    const asked = ask(client, "ask");
    const numbers = Array.from({ length: 150 }, (_, index) => index);
    for (const number of numbers) client.emit("burst", number, 100);
    assert.deepEqual(await asked, ["heard"]);
    assert.deepEqual(await ask(client, "burst-starts"), [numbers]);
  });
});
