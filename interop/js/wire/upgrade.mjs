// The upgrade from polling to WebSocket, at the level of Engine.IO, on a server that echoes and whose upgrade timeout is 600 ms.
import assert from "node:assert/strict";
import { Polling } from "../lib/http.mjs";
import { sleep, soonerThan } from "../lib/time.mjs";
import { FrameSocket, RawSocket, frame } from "../lib/websocket.mjs";
import { gone, refused } from "./http.mjs";

/** A polling session, and a WebSocket for it that has not said anything. */
async function probing(server) {
  const session = await Polling.open(server);
  const socket = await RawSocket.open(server, { query: { sid: session.sid } });
  return { session, socket };
}

/** A polling session whose probe was answered. */
async function probed(server) {
  const { session, socket } = await probing(server);
  socket.send("2probe");
  assert.equal(await socket.next(), "3probe");
  return { session, socket };
}

/** Asserts that polling goes on. */
async function goesOn(session, text = "4alive") {
  assert.equal((await session.post(text)).text, "ok");
  assert.equal(await session.packet(), text);
}

export const upgradeCases = {
  "31 answers a probe with a probe": async (server) => {
    const { session, socket } = await probed(server);
    socket.send("5", "4a");
    assert.equal(await socket.next(), "4a");
    refused(await session.get(), 3);
    socket.terminate();
  },

  "31 does not take the probe for a pong": async (server) => {
    const { socket } = await probed(server);
    socket.send("2probe");
    socket.send("5", "4a");
    const messages = [await socket.next(), await socket.next()].filter((message) => message !== "3probe");
    if (messages.length < 2) assert.equal(messages[0], "4a");
    socket.terminate();
  },

  "32 releases a GET that waits, at once": (server) =>
    soonerThan(50, async () => {
      const session = await Polling.open(server);
      const waiting = session.get();
      await sleep(20);
      const socket = await RawSocket.open(server, { query: { sid: session.sid } });
      socket.send("2probe");
      const start = performance.now();
      assert.equal(await socket.next(), "3probe");
      assert.equal((await waiting).text, "6");
      const took = performance.now() - start;
      socket.terminate();
      return took;
    }),

  "32 releases a GET that comes after the probe within 100 ms": (server) =>
    soonerThan(180, async () => {
      const { session, socket } = await probed(server);
      const start = performance.now();
      assert.equal((await session.get()).text, "6");
      const took = performance.now() - start;
      socket.send("5", "4a");
      assert.equal(await socket.next(), "4a");
      socket.terminate();
      return took;
    }),

  "33 keeps polling until the upgrade is complete": async (server) => {
    const { session, socket } = await probed(server);
    assert.equal((await session.post("4a")).text, "ok");
    assert.equal(await session.packet(), "4a");
    assert.deepEqual(socket.rest(), []);
    socket.send("5", "4b");
    assert.equal(await socket.next(), "4b");
    socket.terminate();
  },

  "33 sends what was not collected on the WebSocket": async (server) => {
    const { session, socket } = await probed(server);
    await session.post("4a\x1ebAQID\x1e4b");
    socket.send("5", "4c");
    const packets = [await socket.next(), await socket.next(), await socket.next(), await socket.next()];
    assert.deepEqual(packets, ["4a", Buffer.from([1, 2, 3]), "4b", "4c"]);
    socket.terminate();
  },

  "34 accepts 5 without a probe": async (server) => {
    const { socket } = await probing(server);
    socket.send("5", "4a");
    assert.equal(await socket.next(), "4a");
    socket.terminate();
  },

  "35 closes only the new transport when it says something else": async (server) => {
    for (const message of ["2foo", "2", "3", "40", "4x", "1", "6", "abc", "", Buffer.from([1])]) {
      const { session, socket } = await probing(server);
      socket.send(message);
      await socket.close();
      await goesOn(session);
    }
  },

  "36 goes on polling when the new transport dies after the probe": async (server) => {
    for (const end of ["close", "terminate"]) {
      const { session, socket } = await probed(server);
      await session.post("4first");
      socket.ws[end]();
      await socket.closed;
      while (true) {
        const packet = await session.packet();
        if (packet !== "6") {
          assert.equal(packet, "4first");
          break;
        }
      }
      await goesOn(session);
      const again = await RawSocket.open(server, { query: { sid: session.sid } });
      again.send("2probe");
      assert.equal(await again.next(), "3probe");
      again.send("5", "4a");
      assert.equal(await again.next(), "4a");
      again.terminate();
    }
  },

  "37 closes a second WebSocket while one probes": async (server) => {
    const { session, socket } = await probed(server);
    const second = await RawSocket.open(server, { query: { sid: session.sid } });
    await second.close();
    socket.send("5", "4a");
    assert.equal(await socket.next(), "4a");
    const third = await RawSocket.open(server, { query: { sid: session.sid } });
    await third.close();
    socket.send("4b");
    assert.equal(await socket.next(), "4b");
    socket.terminate();
  },

  "37 closes a second WebSocket of a session that began on one": async (server) => {
    const socket = await RawSocket.session(server);
    const second = await RawSocket.open(server, { query: { sid: socket.handshake.sid } }).catch((error) => error);
    if (second instanceof Error) assert.equal(second.status, 400);
    else await second.close();
    socket.send("4a");
    assert.equal(await socket.next(), "4a");
    socket.terminate();
  },

  "38 closes only the new transport when the upgrade takes too long": async (server) => {
    for (const open of [probing, probed]) {
      const start = performance.now();
      const { session, socket } = await open(server);
      await socket.close(2_000);
      assert.ok(performance.now() - start > 590);
      await goesOn(session);
    }
  },

  "39 refuses a GET that waits when the upgrade completes, and every later one": async (server) => {
    const { session, socket } = await probed(server);
    const waiting = session.get();
    await sleep(20);
    socket.send("5");
    refused(await waiting, 3);
    refused(await session.get(), 3);
    socket.send("4a");
    assert.equal(await socket.next(), "4a");
    socket.terminate();
  },

  "39 refuses a GET that is sent right behind 5": async (server) => {
    for (let round = 0; round < 20; round++) {
      const { session, socket } = await probed(server);
      socket.send("5");
      refused(await session.get(), 3);
      socket.terminate();
    }
  },

  "40 closes both transports when the session ends while it probes": async (server) => {
    const { session, socket } = await probed(server);
    assert.equal((await session.post("1")).text, "ok");
    await socket.close();
    await gone(session);
  },

  "41 ignores a stray 5, 6 and 0 on an established WebSocket": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("5", "6", "0{}", "4a");
    assert.equal(await socket.next(), "4a");
    socket.terminate();
  },

  "42 opens no polling session for a request that wants to upgrade": async (server) => {
    const socket = await RawSocket.open(server, { query: { transport: "polling" } }).catch((error) => error);
    if (socket instanceof Error) assert.equal(socket.status, 400);
    else await socket.close();
  },

  "serves the frames that come in one segment with the handshake": async (server) => {
    const session = await Polling.open(server);
    const behind = Buffer.concat([frame("2probe"), frame("5"), frame("4a")]);
    const socket = await FrameSocket.open(server, { query: { sid: session.sid }, behind });
    assert.equal((await socket.next()).payload.toString(), "3probe");
    assert.equal((await socket.next()).payload.toString(), "4a");
    socket.destroy();
  },

  "refuses an upgrade before it is one": async (server) => {
    for (const [query, code] of [
      [{ EIO: "abc" }, 5],
      [{ EIO: "" }, 5],
      [{ transport: "abc" }, 0],
      [{ sid: "unknown" }, 1],
      [{ sid: "__proto__" }, 1],
    ]) {
      const error = await RawSocket.open(server, { query }).then(
        () => assert.fail(`opened for ${JSON.stringify(query)}`),
        (error) => error,
      );
      assert.equal(error.status, 400, JSON.stringify(query));
      assert.equal(JSON.parse(error.text).code, code);
    }
  },

  "refuses a handshake that RFC 6455 does not allow": async (server) => {
    for (const headers of [
      { "sec-websocket-version": "8" },
      { "sec-websocket-version": undefined },
      { "sec-websocket-key": undefined },
      { "sec-websocket-key": "short" },
      { upgrade: "h2c" },
    ]) {
      const socket = await FrameSocket.open(server, { headers });
      assert.ok([400, 426].includes(socket.status), `${JSON.stringify(headers)}: ${socket.status}`);
      socket.destroy();
    }
  },
};
