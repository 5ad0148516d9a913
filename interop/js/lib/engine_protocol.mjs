// What the official suites ask of Engine.IO, one test for each of theirs, in our own words.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Polling, request, underWay } from "./http.mjs";
import { sleep } from "./time.mjs";
import { RawSocket } from "./websocket.mjs";

/** The flags of a server that beats: as the official suites expect it, but with more time for a busy machine to answer. */
export const FLAGS = { pingIntervalMs: 300, pingTimeoutMs: 600, maxPayload: 1_000_000 };

const handshake = (query) => ({ query: { EIO: "4", transport: "polling", ...query } });

async function refused(server, ...requests) {
  for (const options of requests) assert.equal((await request(server, options)).status, 400);
}

/** A WebSocket that must end up closed, whether before or after it is open. */
async function closes(server, query) {
  const socket = await RawSocket.open(server, { search: new URLSearchParams(query) }).catch((error) => error);
  if (socket instanceof Error) assert.equal(socket.status, 400);
  else await socket.close();
}

function checkHandshake(value, upgrades) {
  const { sid, ...rest } = value;
  assert.equal(typeof sid, "string");
  assert.deepEqual(rest, { upgrades, pingInterval: 300, pingTimeout: 600, maxPayload: 1_000_000 });
}

/** Handshake, heartbeat, close and upgrade: the part that both suites share. `beating` is a server with {@link FLAGS}. */
export function describeEngine(server, beating) {
  describe("handshake", () => {
    it("polling: opens a session", async () => checkHandshake((await Polling.open(beating)).handshake, ["websocket"]));
    it("polling: an invalid EIO is refused", () =>
      refused(server, { query: { transport: "polling" } }, handshake({ EIO: "abc" })));
    it("polling: an invalid transport is refused", () =>
      refused(server, { query: { EIO: "4" } }, handshake({ transport: "abc" })));
    it("polling: an invalid method is refused", () =>
      refused(server, { ...handshake(), method: "POST" }, { ...handshake(), method: "PUT" }));
    it("WebSocket: opens a session", async () => {
      const socket = await RawSocket.session(beating);
      checkHandshake(socket.handshake, []);
      socket.terminate();
    });
    it("WebSocket: an invalid EIO closes", async () => {
      await closes(server, { transport: "websocket" });
      await closes(server, { EIO: "abc", transport: "websocket" });
    });
    it("WebSocket: an invalid transport closes", async () => {
      await closes(server, { EIO: "4" });
      await closes(server, { EIO: "4", transport: "abc" });
    });
  });

  describe("heartbeat", () => {
    it("polling: ping and pong", async () => {
      const session = await Polling.open(beating);
      for (let beat = 0; beat < 3; beat++) {
        assert.equal((await session.get()).text, "2");
        assert.equal((await session.post("3")).status, 200);
      }
    });
    it("polling: closes when no pong comes", async () => {
      const session = await Polling.open(beating);
      await sleep(950);
      assert.equal((await session.get()).status, 400);
    });
    it("WebSocket: ping and pong", async () => {
      const socket = await RawSocket.session(beating);
      for (let beat = 0; beat < 3; beat++) {
        assert.equal(await socket.next(), "2");
        socket.send("3");
      }
      socket.terminate();
    });
    it("WebSocket: closes when no pong comes", async () => {
      const socket = await RawSocket.session(beating);
      await socket.close();
    });
  });

  describe("close", () => {
    it("polling: the client closes", () =>
      underWay(server, {}, async (session, poll) => {
        assert.equal((await session.post("1")).status, 200);
        const { status, text } = await poll.response;
        assert.deepEqual([status, text], [200, "6"]);
        assert.equal((await session.get()).status, 400);
      }));
    it("WebSocket: the client closes", async () => {
      const socket = await RawSocket.session(server);
      socket.send("1");
      await socket.close();
    });
  });

  describe("upgrade", () => {
    it("ignores HTTP requests afterwards", async () => {
      const { session, socket } = await upgrade(server);
      assert.equal((await session.get()).status, 400);
      socket.terminate();
    });
    it("closes another WebSocket afterwards", async () => {
      const { session, socket } = await upgrade(beating);
      const second = await RawSocket.open(beating, { query: { sid: session.sid } });
      await second.close();
      socket.send("3");
      assert.equal(await socket.next(), "2");
      socket.terminate();
    });
  });
}

/** A session that has just sent `5`. */
async function upgrade(server) {
  const { session, socket } = await probe(server);
  socket.send("5");
  return { session, socket };
}

/** A session whose probe was answered. */
export async function probe(server) {
  const session = await Polling.open(server);
  const socket = await RawSocket.open(server, { query: { sid: session.sid } });
  socket.send("2probe");
  assert.equal(await socket.next(), "3probe");
  return { session, socket };
}
