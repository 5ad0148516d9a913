import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { after, describe, it } from "node:test";
import { createInterface } from "node:readline";
import { Server } from "socket.io";
import { ownPort } from "./lib/ports.mjs";
import { command } from "./lib/server.mjs";
import { eventually, within } from "./lib/time.mjs";

const bytes = (length) => Buffer.from({ length }, (_, index) => (index * 31) & 255);
const running = [];
after(() => running.forEach((end) => end()));

/** The official server, at a port that is nobody else's. */
async function serve({ port, ...options } = {}) {
  const http = createServer();
  const io = new Server(http, { pingInterval: 200, pingTimeout: 1_000, ...options });
  port ??= await ownPort();
  await new Promise((resolve) => http.listen(port, "127.0.0.1", resolve));
  running.push(() => io.close());
  return { io, port, address: `127.0.0.1:${port}` };
}

/** The example, and the lines that it has printed. */
function start(address, transport) {
  const [binary] = command("blocking_client");
  const child = spawn(binary, [address, transport], { stdio: ["ignore", "pipe", "inherit"] });
  running.push(() => child.kill("SIGKILL"));
  const lines = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  return { lines, child };
}

/** The next socket of the server, once it has said hello. */
const greeted = (io) =>
  within(10_000, new Promise((resolve) => io.once("connection", (socket) => socket.once("hello", () => resolve(socket)))), "hello");

for (const transport of ["websocket", "polling", "upgrade"]) {
  describe(`a client without a runtime, over ${transport}`, () => {
    it("says what it kept, answers, and hears everything in order", async () => {
      const { io, address } = await serve();
      const client = start(address, transport);
      const socket = await greeted(io);
      const question = ["€😀\u0000", { a: [bytes(3), { b: bytes(2_000) }] }, bytes(0), null];
      const ask = (...args) => new Promise((resolve) => socket.emit("question", ...args, (...answer) => resolve(answer)));
      assert.deepEqual(await within(5_000, ask(question, 1, bytes(5)), "an answer"), [question, 1, bytes(5)]);
      const expected = Array.from({ length: 200 }, (_, index) => `event ["tick",${index}]`);
      for (let index = 0; index < 200; index++) socket.emit("tick", index);
      await eventually(() => assert.equal(client.lines.length, 202));
      assert.deepEqual(client.lines.slice(2), expected);
      assert.equal(client.lines[0], "connect");
      if (transport === "upgrade") {
        await eventually(() => assert.equal(socket.conn.transport.name, "websocket"));
        assert.deepEqual(await within(5_000, ask(1), "an answer"), [1]);
      }
    });

    it("stays connected over several heartbeats", async () => {
      const { io, address } = await serve({ pingInterval: 50, pingTimeout: 1_000 });
      const client = start(address, transport);
      const socket = await greeted(io);
      let pongs = 0;
      socket.conn.on("packet", ({ type }) => (pongs += type === "pong"));
      await eventually(() => assert.ok(pongs > 10));
      assert.deepEqual(client.lines, ["connect"]);
    });

    it("comes back when the server does", async () => {
      const first = await serve();
      const client = start(first.address, transport);
      await greeted(first.io);
      await eventually(() => assert.deepEqual(client.lines, ["connect"]));
      await first.io.close();
      await eventually(() => assert.match(client.lines[1], /^disconnect transport (close|error)$/));
      const second = await serve({ port: first.port });
      const again = new Promise((resolve) => second.io.once("connection", resolve));
      await within(10_000, again, "the client to come back");
      await eventually(() => assert.equal(client.lines.at(-1), "connect"));
    });

    it("does not come back when the server has disconnected it", async () => {
      const { io, address } = await serve();
      const client = start(address, transport);
      const socket = await greeted(io);
      socket.disconnect();
      await eventually(() => assert.deepEqual(client.lines, ["connect", "disconnect io server disconnect"]));
    });

    it("tells why a namespace refuses it", async () => {
      const { io, address } = await serve();
      io.use((_, next) => next(new Error("not you")));
      const client = start(address, transport);
      await eventually(() => assert.deepEqual(client.lines, ["connect_error not you"]));
    });
  });
}
