import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, afterEach, before, describe, it } from "node:test";
import { ask, closeAll, connect, stats } from "./lib/client.mjs";
import { onWorkers, useServer } from "./lib/server.mjs";
import { eventually } from "./lib/time.mjs";
import { frameCases, frameFaults } from "./wire/frames.mjs";
import { corsCases, heartbeatCases, pollingCases, pollingFaults } from "./wire/http.mjs";
import { attachmentTimeout, packetCases, packetFaults } from "./wire/packets.mjs";
import { upgradeCases } from "./wire/upgrade.mjs";

onWorkers("the wire", (flags) => {
  const small = { ...flags, maxPayload: 20_000, upgradeTimeoutMs: 600, connectTimeoutMs: 1_000 };
  const beating = { ...flags, pingIntervalMs: 200, pingTimeoutMs: 400 };

  engine("polling", small, { ...pollingCases, ...pollingFaults });
  engine("the upgrade", small, upgradeCases);
  engine("WebSocket", small, { ...frameCases, ...frameFaults });
  engine("heartbeat", beating, heartbeatCases);
  engine("CORS", { ...flags, corsOrigin: "http://page.example" }, corsCases);

  describe("Socket.IO", () => {
    const server = useServer("conformance", beating);
    run(server, attachmentTimeout);
  });

  describe("beside honest clients", () => {
    const server = useServer("conformance", small);
    const honest = [];
    before(async () => {
      for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
        honest.push(await connect(server, { transports }));
      }
    });
    after(closeAll);
    afterEach(async () => {
      for (const client of honest) assert.deepEqual(await ask(client, "ack", "honest"), ["honest"]);
    });

    run(server, { ...packetCases, ...packetFaults, ...pollingFaults, ...frameFaults });

    it("leaves nothing behind of all that was done wrong", async () => {
      const faults = Object.entries({ ...packetFaults, ...pollingFaults, ...frameFaults }).filter(([name]) => !/^54/.test(name));
      const before = await settled(honest[0]);
      for (const [, fault] of faults) await fault(server).catch(() => "told by the fault's own test");
      await eventually(async () => {
        const { heap, ...counts } = await stats(honest[0]);
        const { heap: heapBefore, ...countsBefore } = before;
        assert.deepEqual(counts, countsBefore);
        assert.ok(heap <= heapBefore + 64 * 1024, `${heap - heapBefore} bytes of heap more than before`);
      });
    });
  });
});

/** An Engine.IO server that echoes, and the cases for it; it must hold no connection in the end. */
function engine(title, flags, cases) {
  describe(title, () => {
    const server = useServer("engine-conformance", flags);
    let descriptors;
    before(() => (descriptors = descriptorsOf(server)));
    run(server, cases);
    it("leaves no connection behind", () => eventually(() => assert.ok(descriptorsOf(server) <= descriptors)));
  });
}

function run(server, cases) {
  for (const [name, test] of Object.entries(cases)) it(name, () => test(server));
}

/** The open descriptors of the server's process, where the system tells. */
function descriptorsOf({ pid }) {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** The server's numbers once they no longer change: what earlier tests left is being closed. */
async function settled(client) {
  let last = await stats(client);
  return eventually(async () => {
    const now = await stats(client);
    const same = now.sessions === last.sessions && now.fds === last.fds && now.tasks === last.tasks;
    last = now;
    assert.ok(same);
    return now;
  }, { every: 100 });
}
