// HTTP requests and polling, at the level of Engine.IO. The numbers are those of the rows in the protocol crate's table.
import assert from "node:assert/strict";
import { Agent, request as httpRequest } from "node:http";
import { connect as tcp } from "node:net";
import { Polling, request, underWay } from "../lib/http.mjs";
import { eventually, sleep, within } from "../lib/time.mjs";
import { RawSocket } from "../lib/websocket.mjs";

const REFUSALS = {
  0: "Transport unknown",
  1: "Session ID unknown",
  2: "Bad handshake method",
  3: "Bad request",
  5: "Unsupported protocol version",
};

/** Asserts that a request was refused with the status 400 and the official code and message. */
export function refused(answer, code) {
  assert.equal(answer.status, 400, `${answer.status} ${answer.text}`);
  assert.deepEqual(JSON.parse(answer.text), { code, message: REFUSALS[code] });
  assert.match(answer.headers["content-type"], /^application\/json/);
}

/** Asserts that a session is no longer known. */
export async function gone(session) {
  await eventually(async () => refused(await session.get(), 1), { ms: 1_000 });
}

const handshake = (query) => ({ query: { EIO: "4", transport: "polling", ...query } });
const OPEN = handshake({});

export const pollingCases = {
  "1 joins packets with a record separator, and ends with none": async (server) => {
    const session = await Polling.open(server);
    assert.equal((await session.post("4one\x1e4two\x1e4three")).text, "ok");
    assert.equal((await session.get()).text, "4one\x1e4two\x1e4three");
  },

  "3 carries binary as b and base64, and reads base64 leniently": async (server) => {
    const session = await Polling.open(server);
    for (const [sent, echoed] of Object.entries({
      "bAQIDBA==": "bAQIDBA==",
      bAQIDBA: "bAQIDBA==",
      "b-_8=": "b+/8=",
      b: "b",
    })) {
      assert.equal((await session.post(sent)).status, 200, sent);
      assert.equal((await session.get()).text, echoed);
    }
  },

  "4 takes binary whose base64 begins with 4 for what it is": async (server) => {
    const session = await Polling.open(server);
    await session.post("b4OHi");
    assert.equal((await session.get()).text, "b4OHi");
  },

  "6 answers a handshake with one packet of exactly five keys": async (server) => {
    const answer = await request(server, OPEN);
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^text\/plain; ?charset=utf-8$/i);
    assert.equal(answer.text[0], "0");
    const keys = Object.keys(JSON.parse(answer.text.slice(1))).sort();
    assert.deepEqual(keys, ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]);
  },

  "6 gives every session another id of 20 characters": async (server) => {
    const sids = await Promise.all(Array.from({ length: 20 }, async () => (await Polling.open(server)).sid));
    assert.equal(new Set(sids).size, sids.length);
    for (const sid of sids) assert.match(sid, /^[\w-]{20}$/);
  },

  "16 answers a POST with ok as text/html": async (server) => {
    const session = await Polling.open(server);
    const answer = await session.post("4x");
    assert.deepEqual([answer.status, answer.text], [200, "ok"]);
    assert.match(answer.headers["content-type"], /^text\/html/);
    assert.equal(answer.headers["content-length"], "2");
  },

  "19 answers a body over max_payload with 413, and keeps the session": async (server) => {
    const session = await Polling.open(server);
    const { maxPayload } = session.handshake;
    assert.equal((await session.post(`4${"x".repeat(maxPayload)}`)).status, 413);
    assert.equal((await session.post("4alive")).text, "ok");
    assert.equal((await session.get()).text, "4alive");
  },

  "19 counts a chunked body while it streams": async (server) => {
    const session = await Polling.open(server);
    const chunk = "x".repeat(1_000);
    const chunks = Array.from({ length: Math.ceil(session.handshake.maxPayload / 1_000) + 1 }, () => chunk);
    const answer = await session.request({ method: "POST", body: ["4", ...chunks] }).catch((error) => error);
    if (!(answer instanceof Error)) assert.equal(answer.status, 413);
    assert.equal((await session.post("4alive")).text, "ok");
    assert.equal((await session.get()).text, "4alive");
  },

  "19 does not wait for the body that a header announces": async (server) => {
    const session = await Polling.open(server);
    const post = session.start({ method: "POST", body: "4", length: session.handshake.maxPayload + 1 });
    assert.equal((await post.response).status, 413);
    post.abort();
    assert.equal((await session.post("4alive")).text, "ok");
  },

  "20 accepts a body of exactly max_payload bytes": async (server) => {
    const session = await Polling.open(server);
    const body = `4${"x".repeat(session.handshake.maxPayload - 1)}`;
    assert.equal((await session.post(body)).text, "ok");
    assert.equal((await session.get()).text, body);
  },

  "23 refuses other methods on a session, which lives": async (server) => {
    const session = await Polling.open(server);
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      const { status } = await session.request({ method, body: "4x" });
      assert.ok(status >= 400 && status < 500, `${method}: ${status}`);
    }
    assert.equal((await session.post("4alive")).text, "ok");
    assert.equal((await session.get()).text, "4alive");
  },

  "25 refuses polling on an upgraded session, which is unaffected": async (server) => {
    const session = await Polling.open(server);
    const socket = await RawSocket.open(server, { query: { sid: session.sid } });
    socket.send("2probe");
    await socket.next();
    socket.send("5");
    socket.send("4a");
    assert.equal(await socket.next(), "4a");
    refused(await session.get(), 3);
    refused(await session.post("4x"), 3);
    socket.send("4b");
    assert.equal(await socket.next(), "4b");
    socket.terminate();
  },

  "27 serves a session's requests on one connection or on several": async (server) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const on = (method, query, body) =>
      new Promise((resolve, reject) => {
        const path = `${server.path}?${new URLSearchParams({ EIO: "4", transport: "polling", ...query })}`;
        const outgoing = httpRequest({ host: "127.0.0.1", port: server.port, method, path, agent }, (incoming) => {
          let text = "";
          incoming.on("data", (chunk) => (text += chunk)).on("end", () => resolve(text));
        });
        outgoing.on("error", reject).end(body);
      });
    const { sid } = JSON.parse((await on("GET", {})).slice(1));
    for (let index = 0; index < 20; index++) {
      assert.equal(await on("POST", { sid }, `4${index}`), "ok");
      assert.equal(await on("GET", { sid }), `4${index}`);
    }
    agent.destroy();
  },

  "28 accepts a body without a length": async (server) => {
    const session = await Polling.open(server);
    const answer = await session.request({ method: "POST", body: ["4ch", "unk", "ed"] });
    assert.equal(answer.text, "ok");
    assert.equal((await session.get()).text, "4chunked");
  },

  "29 sets no cookie unless asked to": async (server) => {
    assert.equal((await request(server, OPEN)).headers["set-cookie"], undefined);
  },
};

/** What a client does wrong over HTTP; needs no echo. */
export const pollingFaults = {
  "2 refuses an empty packet after a separator, having delivered what stood before": async (server) => {
    for (const body of ["4a\x1e", "\x1e4a", "4a\x1e\x1e4b", ""]) {
      const session = await Polling.open(server);
      assert.equal((await session.post(body)).status, 400, JSON.stringify(body));
      await gone(session);
    }
  },

  "9 does not know the sid of a closed session": async (server) => {
    const session = await Polling.open(server);
    assert.equal((await session.post("1")).status, 200);
    // A GET may have been overtaken by the goodbye, one.
    assert.ok([200, 400].includes((await session.get()).status));
    refused(await session.get(), 1);
    refused(await session.post("4x"), 1);
  },

  "10 and 11 open no session for a foreign or malformed sid": async (server) => {
    for (const sid of ["__proto__", "constructor", "x", "A".repeat(20), "A".repeat(5_000), "ü€😀", "%00", "../..", " "]) {
      for (const method of ["GET", "POST"]) {
        refused(await request(server, { ...handshake({ sid }), method, body: method === "POST" ? "4x" : undefined }), 1);
      }
    }
    assert.notEqual((await request(server, { query: "EIO=4&transport=polling&sid=%ff%fe" })).status, 200);
  },

  "12 closes the session upon a second GET while one waits": (server) =>
    underWay(server, {}, async (session, first) => {
      const second = await session.get();
      assert.equal(second.status, 400);
      const answer = await first.response;
      assert.deepEqual([answer.status, answer.text], [200, "1"]);
      refused(await session.get(), 1);
    }),

  "13 closes the session upon a second POST while one is on its way": (server) =>
    underWay(server, { method: "POST", body: "4ab", length: 10 }, async (session, first) => {
      assert.equal((await session.post("4cd")).status, 400);
      const end = await within(2_000, first.response.catch(() => ({ status: "reset" })), "the end of the first POST");
      assert.notEqual(end.status, 200);
      await gone(session);
    }),

  "14 closes the session when a GET is aborted": (server) =>
    underWay(server, {}, async (session, poll) => {
      poll.abort();
      await gone(session);
    }),

  "15 closes the session when a POST is aborted": (server) =>
    underWay(server, { method: "POST", body: "4ab", length: 10 }, async (session, post) => {
      post.abort();
      await gone(session);
    }),

  "17 refuses a body that is no payload, and closes the session": async (server) => {
    for (const body of ["abc", "7", "4x\x1e9", "x4hello", "b!!!!", "\ud800", "€"]) {
      const session = await Polling.open(server);
      assert.equal((await session.post(body)).status, 400, JSON.stringify(body));
      await gone(session);
    }
  },

  "17 refuses a body that is no UTF-8": async (server) => {
    const session = await Polling.open(server);
    assert.equal((await session.post(Buffer.from([0x34, 0xff, 0xfe]))).status, 400);
    await gone(session);
  },

  "18 answers octet-stream in Engine.IO 4 with 400, and closes the session": async (server) => {
    const session = await Polling.open(server);
    const headers = { "content-type": "application/octet-stream" };
    assert.equal((await session.post(Buffer.from([0, 1, 255, 52]), headers)).status, 400);
    await gone(session);
  },

  "21 refuses a preflight where no CORS is configured": async (server) => {
    refused(await request(server, { ...OPEN, method: "OPTIONS", headers: { origin: "http://a.example" } }), 2);
  },

  "22 refuses HEAD without a body": async (server) => {
    const answer = await request(server, { ...OPEN, method: "HEAD" });
    assert.deepEqual([answer.status, answer.text], [400, ""]);
  },

  "24 checks in the official order, with the official codes": async (server) => {
    const cases = [
      [{ query: {} }, 0],
      [{ query: { EIO: "4" } }, 0],
      [handshake({ transport: "abc" }), 0],
      [handshake({ transport: "__proto__" }), 0],
      [handshake({ transport: "abc", sid: "x" }), 0],
      [handshake({ sid: "x", EIO: "9" }), 1],
      [{ ...handshake({ sid: "x" }), method: "PUT" }, 1],
      [{ ...OPEN, method: "POST" }, 2],
      [{ ...OPEN, method: "PUT" }, 2],
      [{ ...OPEN, method: "DELETE" }, 2],
      [{ ...handshake({ EIO: "3" }), method: "POST" }, 2],
      [handshake({ transport: "websocket" }), 3],
      [{ query: { transport: "polling" } }, 5],
      [handshake({ EIO: "3" }), 5],
      [handshake({ EIO: "abc" }), 5],
      [handshake({ EIO: "5" }), 5],
      [handshake({ EIO: "04" }), 5],
    ];
    for (const [options, code] of cases) {
      try {
        refused(await request(server, options), code);
      } catch (error) {
        error.message = `${JSON.stringify(options)}: ${error.message}`;
        throw error;
      }
    }
  },

  "24 serves its own path, and not its neighbours": async (server) => {
    const name = server.path.slice(0, -1);
    for (const path of [`${name}x/`, `/x${server.path}`, "/", "/favicon.ico", `${name.slice(0, -1)}/`]) {
      assert.equal((await request(server, { ...OPEN, path })).status, 404, path);
    }
  },

  "31 survives what is no HTTP": async (server) => {
    for (const bytes of ["\x16\x03\x01\x02\x00\x01\x00", "GET\r\n\r\n", "\0".repeat(100), "x".repeat(200_000)]) {
      const stream = tcp(server.port, "127.0.0.1");
      stream.on("error", () => {});
      const closed = new Promise((resolve) => stream.on("close", resolve));
      stream.resume();
      stream.end(bytes);
      await within(5_000, closed, "the end of the connection");
    }
  },

  "31 refuses a head that is too large": async (server) => {
    const headers = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`x-${index}`, "y".repeat(2_000)]));
    const answer = await request(server, { ...OPEN, headers }).catch(() => ({ status: "closed" }));
    assert.ok([431, "closed"].includes(answer.status), String(answer.status));
  },
};

/** For a server with `--cors-origin http://page.example`. */
export const corsCases = {
  "21 answers a preflight before any check": async (server) => {
    for (const query of [OPEN.query, {}, { sid: "unknown" }, { transport: "abc" }]) {
      const headers = { origin: "http://page.example", "access-control-request-method": "POST" };
      const answer = await request(server, { query, method: "OPTIONS", headers });
      assert.deepEqual([answer.status, answer.text], [204, ""]);
      assert.equal(answer.headers["access-control-allow-origin"], "http://page.example");
      assert.match(answer.headers["access-control-allow-methods"], /POST/);
    }
  },

  "21 lets the allowed page read every answer, errors included": async (server) => {
    const headers = { origin: "http://page.example" };
    for (const options of [OPEN, handshake({ sid: "unknown" }), handshake({ transport: "abc" })]) {
      const answer = await request(server, { ...options, headers });
      assert.equal(answer.headers["access-control-allow-origin"], "http://page.example");
      assert.match(answer.headers.vary ?? "", /origin/i);
    }
  },

  "21 allows no other page": async (server) => {
    const answer = await request(server, { ...OPEN, headers: { origin: "http://evil.example" } });
    assert.notEqual(answer.headers["access-control-allow-origin"], "http://evil.example");
    assert.notEqual(answer.headers["access-control-allow-origin"], "*");
  },
};

/** For a server with a ping interval of 200 ms and a ping timeout of 400 ms. */
export const heartbeatCases = {
  "7 pings first after the interval, and then again and again": async (server) => {
    const beats = async () => {
      const start = performance.now();
      const session = await Polling.open(server);
      const times = [];
      for (let beat = 1; beat <= 3; beat++) {
        assert.equal((await session.get()).text, "2");
        times.push(performance.now() - start);
        await session.post("3");
      }
      return times;
    };
    const slots = Array.from({ length: 3 }, (_, index) => (index + 1) * 200);
    let times;
    // A busy machine makes some of them late, but none early.
    for (let attempt = 1; attempt <= 5; attempt++) {
      times = await beats();
      slots.forEach((slot, index) => assert.ok(times[index] > slot * 0.975, `early: ${times} ms`));
      if (slots.every((slot, index) => times[index] < slot + 190)) return;
    }
    assert.fail(`late: ${times} ms`);
  },

  "8 gives up a session whose ping nobody collects": async (server) => {
    const session = await Polling.open(server);
    await sleep(800);
    refused(await session.get(), 1);
  },

  "8 answers the waiting GET when the pong does not come": async (server) => {
    const session = await Polling.open(server);
    assert.equal((await session.get()).text, "2");
    const answer = await session.get();
    assert.deepEqual([answer.status, answer.text], [200, "1"]);
    await gone(session);
  },

  "45 takes an unsolicited pong for a sign of life, and does nothing else for it": async (server) => {
    const start = performance.now();
    const socket = await RawSocket.session(server);
    for (let index = 0; index < 10; index++) {
      socket.send("3", "3");
      await sleep(10);
    }
    assert.equal(await socket.next(), "2");
    assert.ok(performance.now() - start > 195);
    socket.send("3", "4alive");
    assert.equal(await socket.next(), "4alive");
    socket.terminate();
  },

  "45 takes two pongs in one segment": async (server) => {
    const socket = await RawSocket.session(server);
    for (let beat = 0; beat < 4; beat++) {
      assert.equal(await socket.next(), "2");
      socket.ws._socket.cork();
      socket.send("3", "3");
      socket.ws._socket.uncork();
    }
    socket.terminate();
  },

  "8 closes a WebSocket that does not answer pings": async (server) => {
    const start = performance.now();
    const socket = await RawSocket.session(server);
    assert.equal(await socket.next(), "2");
    await socket.close();
    const elapsed = performance.now() - start;
    assert.ok(elapsed > 595 && elapsed < 900, `after ${elapsed} ms`);
  },
};
