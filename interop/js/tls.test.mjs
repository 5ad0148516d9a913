import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { certificates } from "./lib/certificates.mjs";
import { ask, closeAll, connect } from "./lib/client.mjs";
import { onWorkers, startServer } from "./lib/server.mjs";
import { eventually, within } from "./lib/time.mjs";

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

/** Clients that can no longer connect, as those on polling that trust one certificate alone, are to be forgotten soon. */
const BEATING = { pingIntervalMs: 500, pingTimeoutMs: 1_000 };

onWorkers("TLS", (flags) => {
  const directory = mkdtempSync(join(tmpdir(), "socketio-"));
  const [tlsChain, tlsKey] = [join(directory, "chain.pem"), join(directory, "key.pem")];
  const server = {};
  let first, second;

  function install({ cert, key }) {
    writeFileSync(tlsChain, cert);
    writeFileSync(tlsKey, key);
  }

  before(async () => {
    [first, second] = [await certificates(), await certificates()];
    install(first);
    const { url, ...rest } = await startServer("conformance", { ...flags, ...BEATING, tlsChain, tlsKey });
    Object.assign(server, { url: url.replace("http:", "https:"), ...rest });
  });
  after(async () => {
    closeAll();
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  for (const transports of TRANSPORTS) {
    it(`serves ${transports.join(" to ")}`, async () => {
      const client = await connect(server, { transports, ca: first.ca });
      await eventually(() => assert.equal(client.io.engine.transport.name, transports.at(-1)));
      const args = ["€", { bytes: Buffer.from([0, 255]) }, "x".repeat(300_000), Buffer.alloc(300_000, 7)];
      assert.deepEqual(await ask(client, "ack", ...args), args);
      assert.deepEqual(await ask(client, "secure"), [true]);
      const echoes = Array.from({ length: 200 }, (_, index) => ask(client, "ack", index));
      assert.deepEqual(await Promise.all(echoes), Array.from({ length: 200 }, (_, index) => [index]));
    });
  }

  it("is not trusted by whom it should not be", async () => {
    await assert.rejects(connect(server, { transports: ["websocket"], ca: second.ca }));
  });

  it("speaks HTTP/1.1 inside, and nothing else", async () => {
    const agree = async (ALPNProtocols) => {
      const stream = connectTls({ port: server.port, host: "127.0.0.1", ca: first.ca, ALPNProtocols });
      try {
        await within(5_000, new Promise((resolve, reject) => stream.on("secureConnect", resolve).on("error", reject)), "TLS");
        return stream.alpnProtocol;
      } finally {
        stream.destroy();
      }
    };
    assert.equal(await agree(["h2", "http/1.1"]), "http/1.1");
    await assert.rejects(agree(["h2"]));
  });

  it("closes a connection without TLS, and no other", async () => {
    const client = await connect(server, { transports: ["websocket"], ca: first.ca });
    const plain = connectTcp(server.port, "127.0.0.1");
    plain.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n");
    plain.resume();
    await within(5_000, new Promise((resolve) => plain.on("close", resolve).on("error", () => {})), "the end");
    assert.deepEqual(await ask(client, "ack", 1), [1]);
  });

  describe("with another certificate", () => {
    it("shows it to new clients, and keeps those that are there", async () => {
      const before = await Promise.all(TRANSPORTS.map((transports) => connect(server, { transports, ca: first.ca })));
      install(second);
      assert.deepEqual(await ask(before[0], "reload-tls"), [null]);
      const later = await connect(server, { transports: ["websocket"], ca: second.ca });
      await assert.rejects(connect(server, { transports: ["websocket"], ca: first.ca }));
      for (const client of [before[0], later]) assert.deepEqual(await ask(client, "ack", 1), [1]);
      assert.ok(before[0].connected);
    });

    it("stays with the last one if the files are of no use", async () => {
      const client = await connect(server, { transports: ["websocket"], ca: second.ca });
      writeFileSync(tlsKey, "no key");
      const [complaint] = await ask(client, "reload-tls");
      assert.match(complaint, /key/);
      const later = await connect(server, { transports: ["websocket"], ca: second.ca });
      assert.deepEqual(await ask(later, "ack", 1), [1]);
    });
  });

  it("leaves no connection behind", async () => {
    closeAll();
    const observer = await connect(server, { transports: ["websocket"], ca: second.ca });
    await eventually(async () => {
      const [{ sessions, connections }] = await ask(observer, "stats");
      assert.deepEqual([sessions, connections], [1, 0]);
    });
  });
});
