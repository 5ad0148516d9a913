// Servers that do what no server should: the client says what is wrong, goes on, and does not grow.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { WebSocketServer } from "ws";
import { OURS } from "./lib/agents.mjs";
import { Stage } from "./lib/contract.mjs";
import { endless, handshake, startPolling, startRaw, startWebSocket } from "./lib/hostile.mjs";
import { eventually } from "./lib/time.mjs";
import { frame } from "./lib/websocket.mjs";

const CLIENT = process.env.CLIENTS ?? OURS;
/** How much memory a client may take beyond what it has at its start; its limits below are far smaller. */
const GROWTH = 24 << 20;
const OPTIONS = { maxPayload: 100_000, timeout: 2_000, reconnectionDelayMax: 100 };

const REOPENED = [
  ["manager", "reconnect_attempt", 1],
  ["manager", "open"],
];
const failed = (words) => [
  ["manager", "error", words],
  ["a", "connect_error", words],
  ["manager", "reconnect_attempt", 1],
  ["manager", "error", words],
];
const lost = (reason) => [["a", "connect"], ["a", "disconnect", reason], ...REOPENED];

/**
 * Plays a hostile server until the client has said `lines`. Then, a proper server takes its place: the client must come
 * to it, and be of use, and be as small as before. `connect` tells it to.
 */
function hostile(name, { over = "websocket", options, start, lines, also = () => {}, connect = false }) {
  it(`${name}, over ${over}`, async () => {
    const stage = new Stage(CLIENT, over);
    const bad = await start();
    try {
      const proxy = await stage.proxy(bad);
      const good = await stage.serve({ gate: false });
      stage.client(proxy, { options: { ...OPTIONS, ...options } });
      const before = stage.agent.memory();
      for (const line of lines) await stage.agent.line(...line);
      await also(stage);
      proxy.target = good.port;
      proxy.cut();
      if (connect) stage.agent.tell("connect", { id: "a" });
      await good.socket();
      stage.agent.tell("ask", { id: "a", tag: "alive", event: "echo", args: [name] });
      await stage.agent.line("a", "ack", "alive", name);
      const grown = stage.agent.memory() - before;
      assert.ok(grown < GROWTH || CLIENT !== OURS, `the client has grown by ${grown} bytes`);
      await stage.agent.end();
    } finally {
      await stage.end();
      bad.close();
    }
  });
}

const text = (body, options) => frame(body, { masked: false, ...options });
const accept = (head) => {
  const key = /sec-websocket-key: (.*)\r\n/i.exec(head)[1];
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
};
const OLD =
  "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are not compatible " +
  "(more information here: https://socket.io/docs/v3/migrating-from-2-x-to-3-0/)";
const switching = (head) =>
  "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
  `sec-websocket-accept: ${accept(head)}\r\n`;

const HANDSHAKES = {
  "that is cut off": '0{"sid":"x"',
  "that is no object": '0["x"]',
  "without a session id": "0{}",
  "with a session id of a megabyte": handshake({ sid: "x".repeat(1_000_000) }),
  "with an empty session id": handshake({ sid: "" }),
  "with a negative interval": handshake({ pingInterval: -1 }),
  "with an endless interval": `0{"sid":"x","pingInterval":1e308,"pingTimeout":1e308}`,
  "that is a message": "4hello",
  "that is nothing": "",
};

describe("the handshake", { concurrency: 4 }, () => {
  for (const [name, first] of Object.entries(HANDSHAKES)) {
    hostile(`a handshake ${name}`, {
      start: () => startWebSocket({ first }),
      lines: failed("handshake error"),
    });
    hostile(`a handshake ${name}`, {
      over: "polling",
      start: () => startPolling({ get: (response) => response.end(first) }),
      lines: failed(first.length < 65_536 ? "handshake error" : "polling error"),
    });
  }
  hostile("a handshake of the wrong kind of bytes", {
    start: () => startWebSocket({ first: Buffer.from(handshake()) }),
    lines: failed("handshake error"),
  });
  hostile("a server that accepts, and says nothing", {
    start: () => startRaw(() => {}),
    options: { timeout: 300 },
    lines: failed("timeout"),
  });
  hostile("a server that accepts, and says nothing", {
    over: "polling",
    start: () => startRaw(() => {}),
    options: { timeout: 300 },
    lines: failed("timeout"),
  });
  hostile("a WebSocket that opens, and says nothing", {
    start: () => startRaw((stream, head) => stream.write(`${switching(head)}\r\n`)),
    options: { timeout: 300 },
    lines: failed("timeout"),
  });
  for (const status of ["200 OK", "404 Not Found", "500 Internal Server Error", "302 Found\r\nlocation: /"]) {
    hostile(`an answer ${status.slice(0, 3)} instead of 101`, {
      start: () => startRaw((stream) => stream.end(`HTTP/1.1 ${status}\r\ncontent-length: 5\r\n\r\nhello`)),
      lines: failed("websocket error"),
    });
  }
  hostile("an answer to somebody else's key", {
    start: () => startRaw((stream) => stream.write(`${switching("sec-websocket-key: x\r\n")}\r\n`)),
    lines: failed("websocket error"),
  });
  hostile("an extension that nobody asked for", {
    start: () =>
      startRaw((stream, head) => {
        stream.write(`${switching(head)}sec-websocket-protocol: other\r\nsec-websocket-extensions: x-other\r\n\r\n`);
      }),
    lines: failed("websocket error"),
  });
  hostile("no HTTP at all", {
    start: () => startRaw((stream) => stream.end("SSH-2.0-OpenSSH_9.9\r\n")),
    lines: failed("websocket error"),
  });
  hostile("no HTTP at all", {
    over: "polling",
    start: () => startRaw((stream) => stream.end("SSH-2.0-OpenSSH_9.9\r\n")),
    lines: failed("polling error"),
  });
  for (const [over, words] of [
    ["websocket", "websocket error"],
    ["polling", "polling error"],
  ]) {
    hostile("a head without an end", {
      over,
      start: () =>
        startRaw((stream) => {
          stream.write("HTTP/1.1 200 OK\r\n");
          endless(stream, `x-more: ${"y".repeat(1_000)}\r\n`);
        }),
      lines: failed(words),
    });
    hostile("a line without an end", {
      over,
      start: () => startRaw((stream) => endless(stream, "HTTP/1.1 200 ".padEnd(65_536, "x"))),
      lines: failed(words),
    });
  }
});

describe("polling", { concurrency: 4 }, () => {
  const answer =
    (status, headers = {}, body = "") =>
    (response) => {
      response.writeHead(status, headers);
      response.end(body);
      return true;
    };
  for (const status of [400, 403, 404, 429, 500, 503]) {
    hostile(`the handshake is answered with ${status}`, {
      over: "polling",
      start: () => startPolling({ get: answer(status, {}, handshake()) }),
      lines: failed("polling error"),
    });
  }
  hostile("a poll is answered with 500", {
    over: "polling",
    start: () => startPolling({ get: (response, number) => (number < 2 ? undefined : answer(500)(response)) }),
    lines: [
      ["a", "connect"],
      ["manager", "error", "polling error"],
      ["a", "disconnect", "transport error"],
    ],
  });
  hostile("a packet is answered with 500", {
    over: "polling",
    start: () => startPolling({ get: (_, number) => (number < 1 ? undefined : true), post: answer(500) }),
    lines: [
      ["manager", "open"],
      ["manager", "error"],
      ["manager", "close", "transport error"],
      ...REOPENED.slice(0, 1),
    ],
  });
  let visits = 0;
  hostile("a redirect is not followed", {
    over: "polling",
    start: () =>
      startPolling({
        get(response, _, { url }) {
          if (url.includes("/elsewhere")) visits++;
          return answer(302, { location: "/elsewhere/?EIO=4" })(response);
        },
      }),
    lines: failed("polling error"),
    also: () => assert.equal(visits, 0),
  });
  const half = (response) => {
    response.writeHead(200, { "content-length": 1_000 });
    response.write(handshake());
    setImmediate(() => response.destroy());
    return true;
  };
  hostile("half a handshake", {
    over: "polling",
    start: () => startPolling({ get: half }),
    lines: failed("polling error"),
  });
  hostile("half an answer", {
    over: "polling",
    start: () => startPolling({ get: (response, number) => (number < 2 ? undefined : half(response)) }),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "transport error"],
    ],
  });
  const stream = (response) => {
    response.writeHead(200);
    endless(response, "4".repeat(65_536));
    return true;
  };
  hostile("a handshake without an end", {
    over: "polling",
    start: () => startPolling({ get: stream }),
    lines: failed("polling error"),
  });
  hostile("an answer without an end", {
    over: "polling",
    start: () => startPolling({ get: (response, number) => (number < 2 ? undefined : stream(response)) }),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "transport error"],
    ],
  });
  hostile("a length of petabytes", {
    over: "polling",
    start: () =>
      startRaw((socket) => socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${2 ** 52}\r\n\r\n${handshake()}`)),
    lines: failed("polling error"),
  });
  hostile("two lengths", {
    over: "polling",
    start: () =>
      startRaw((socket) => {
        socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\n${handshake()}`);
      }),
    lines: failed("polling error"),
  });
  hostile("a body that is not UTF-8", {
    over: "polling",
    start: () =>
      startPolling({
        get: (response, number) =>
          number < 2 ? undefined : answer(200, {}, Buffer.from([0x34, 0xff, 0xfe]))(response),
      }),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "parse error"],
    ],
  });
  hostile("a body with packets that there are not", {
    over: "polling",
    start: () =>
      startPolling({
        get: (response, number) =>
          number < 2 ? undefined : answer(200, {}, '42["fine"]\u001e9what\u001e42["never"]')(response),
      }),
    lines: [
      ["a", "event", "fine"],
      ["a", "disconnect", "parse error"],
    ],
  });
  hostile("a body that is compressed, unasked", {
    over: "polling",
    start: () => startPolling({ get: answer(200, { "content-encoding": "gzip" }, Buffer.alloc(10_000, 0x1f)) }),
    lines: failed("handshake error"),
  });
  hostile("polls that are answered with nothing, at once, for ever", {
    over: "polling",
    start: () => startPolling({ get: (response, number) => (number < 2 ? undefined : answer(200)(response)) }),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "parse error"],
    ],
  });
  let polls = 0;
  hostile("cookies without an end", {
    over: "polling",
    start: () =>
      startPolling({
        get(response, number) {
          polls = number;
          const cookies = Array.from({ length: 10 }, (_, index) => `c${number}-${index}=${"v".repeat(1_000)}`);
          response.setHeader("set-cookie", cookies);
          return number < 2 ? undefined : answer(200, {}, "6")(response);
        },
      }),
    lines: [["a", "connect"]],
    also: () => eventually(() => assert.ok(polls > 40)),
  });
  hostile("a probe that is not answered", {
    over: "upgrade",
    start: () =>
      startPolling({
        get: (response, number) => (number === 2 ? answer(200, {}, '42["still"]')(response) : undefined),
        upgrade(request, stream) {
          stream.on("error", () => {});
          stream.write(`${switching(`sec-websocket-key: ${request.headers["sec-websocket-key"]}\r\n`)}\r\n`);
        },
      }),
    lines: [
      ["a", "connect"],
      ["a", "event", "still"],
    ],
  });
  hostile("a probe that is answered with something else", {
    over: "upgrade",
    start: () =>
      startPolling({
        get: (response, number) => (number === 2 ? answer(200, {}, '42["still"]')(response) : undefined),
        upgrade(request, stream, head) {
          const server = new WebSocketServer({ noServer: true });
          server.handleUpgrade(request, stream, head, (ws) => ws.on("message", () => ws.send("3wrong")));
        },
      }),
    lines: [
      ["a", "connect"],
      ["a", "event", "still"],
    ],
  });
});

describe("frames", { concurrency: 4 }, () => {
  const FRAMES = {
    "that are masked": text('42["x"]', { masked: true }),
    "of an unknown kind": text("x", { opcode: 3 }),
    "that claim to be compressed": text('42["x"]', { rsv: 4 }),
    "with reserved bits": text('42["x"]', { rsv: 1 }),
    "that continue nothing": text("x", { opcode: 0 }),
    "that are fragments of a ping": text("x", { opcode: 9, fin: false }),
    "that are a ping of 126 bytes": text("x".repeat(126), { opcode: 9 }),
    "that are not UTF-8": text(Buffer.from([0x34, 0xff, 0xfe])),
    "of 2^62 bytes": Buffer.from([0x81, 127, 64, 0, 0, 0, 0, 0, 0, 0]),
    "of 2^63 bytes": Buffer.from([0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0]),
    "over the limit": text(`42["${"x".repeat(100_001)}"]`),
    "that close with a code of one byte": text("x", { opcode: 8 }),
    "that close with a code that is reserved": text(Buffer.from([0x03, 0xed]), { opcode: 8 }),
    "that are noise": Buffer.from(Array.from({ length: 1_000 }, (_, index) => (index * 7919 + 131) & 255)),
  };
  for (const [name, bytes] of Object.entries(FRAMES)) {
    hostile(`frames ${name}`, {
      start: () => startWebSocket({ then: (peer) => peer.write(bytes) }),
      lines: lost("transport error"),
    });
  }
  hostile("a close frame", {
    start: () => startWebSocket({ then: (peer) => peer.ws.close(1001, "away") }),
    lines: lost("transport close"),
  });
  hostile("fragments without an end", {
    start: () =>
      startWebSocket({
        then(peer) {
          peer.write(text("4", { fin: false }));
          endless(peer.stream, text("x".repeat(1_000), { opcode: 0, fin: false }));
        },
      }),
    lines: lost("transport error"),
  });
  hostile("empty fragments without an end", {
    start: () =>
      startWebSocket({
        then(peer) {
          peer.write(text("4", { fin: false }));
          endless(peer.stream, Buffer.concat(Array(1_000).fill(text("", { opcode: 0, fin: false }))));
        },
      }),
    lines: lost("transport error"),
  });
  hostile("pings without an end, by one that does not read", {
    start: () =>
      startWebSocket({
        then(peer) {
          peer.ws.pause();
          const pings = Buffer.concat(Array(500).fill(text("x".repeat(125), { opcode: 9 })));
          let rounds = 0;
          const more = () => {
            while (rounds++ < 400 && peer.stream.write(pings));
            if (rounds > 400) peer.send('42["done"]');
          };
          peer.stream.on("drain", more);
          more();
        },
      }),
    lines: [["a", "event", "done"]],
  });
  hostile("heartbeats without an end, by one that does not read", {
    start: () =>
      startWebSocket({
        then(peer) {
          peer.ws.pause();
          peer.write(Buffer.concat(Array(200_000).fill(text("2"))));
          peer.send('42["done"]');
        },
      }),
    lines: [["a", "event", "done"]],
  });
});

describe("packets", { concurrency: 4 }, () => {
  const says =
    (...messages) =>
    () =>
      startWebSocket({ then: (peer) => peer.send(...messages) });
  const FAULTS = {
    "of an unknown type": ["47"],
    "of nothing": ["4"],
    "that are no packet of Engine.IO": ["9"],
    "with text that is no JSON": ["42[x]"],
    "without a payload": ["42"],
    "with an object in the place of a list": ["42{}"],
    "without a name": ["42[]"],
    "with a reserved name": ['42["connect"]'],
    "with more attachments than may be": ['459999999-["x"]'],
    "with a negative count of attachments": ['45-1-["x"]'],
    "with a text in the place of an attachment": ['451-["x",{"_placeholder":true,"num":0}]', '42["y"]'],
    "that are an attachment of nothing": [Buffer.from("x")],
    "with an ack id of thirty digits": [`42${"9".repeat(30)}["x"]`],
    "that answer with an id of thirty digits": [`43${"9".repeat(30)}["x"]`],
    "that let the client in twice": ['40{"sid":"y"}'],
    "that refuse a client that is in": ['44{"message":"no"}'],
  };
  for (const [name, messages] of Object.entries(FAULTS)) {
    hostile(`packets ${name}`, { start: says(...messages), lines: lost("parse error") });
  }
  const IGNORED = {
    "for namespaces that nobody is in": ['42/no,["x"]', '42/no,1["x"]', "43/no,1[]", "41/no,", '44/no,{"message":"x"}'],
    "that let in who has not asked": ['40/no,{"sid":"y"}', '40/other,{"sid":"z"}'],
    "for a namespace of that name, with attachments": ['451-/no,["x",{"_placeholder":true,"num":0}]', Buffer.from("x")],
    "that answer what nobody asked": ["430[]", "4377[]", "439999999999999999999[1]", "43[]"],
    "of Engine.IO that mean nothing here": ["3", "5", "6", "3probe", handshake({ sid: "other" })],
    "with names that mean something to JavaScript": ['42["__proto__",{"__proto__":{"a":1}}]', '42["constructor"]'],
  };
  for (const [name, messages] of Object.entries(IGNORED)) {
    hostile(`packets ${name}`, {
      start: says(...messages, '42["after"]'),
      lines: [
        ["a", "connect"],
        ["a", "event", "after"],
      ],
    });
  }
  hostile("an event of a thousand nested lists", {
    start: says(`42["deep",${"[".repeat(1_000)}${"]".repeat(1_000)}]`, '42["after"]'),
    lines: [["a", "event", "after"]],
  });
  hostile("an event of forty thousand nested lists", {
    start: says(`42["deep",${"[".repeat(40_000)}${"]".repeat(40_000)}]`, '42["after"]'),
    lines: [["a", "event", "after"]],
  });
  hostile("a question with the largest id", {
    start: () => {
      let answered;
      return startWebSocket({
        then(peer) {
          peer.ws.on("message", (data) => {
            if (data.toString() === "439223372036854775807[5]") answered ??= peer.send('42["answered"]');
          });
          peer.send('429223372036854775807["echo",5]');
        },
      });
    },
    lines: [
      ["a", "event", "echo", 5],
      ["a", "event", "answered"],
    ],
  });
  hostile("placeholders that point nowhere", {
    start: says('451-["x",{"_placeholder":true,"num":7}]', Buffer.from("x"), '42["after"]'),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "parse error"],
    ],
  });
  hostile("attachments that never come, while heartbeats do", {
    start: says('451-["x",{"_placeholder":true,"num":0}]', "2", "2"),
    lines: [["a", "connect"]],
    also: (stage) => assert.equal(stage.agent.ended, undefined),
  });
  hostile("attachments that are larger than a packet may be", {
    start: () =>
      startWebSocket({
        then: (peer) => peer.send('4510-["x"]', ...Array(9).fill(Buffer.alloc(100_000)), Buffer.alloc(100_001)),
      }),
    lines: lost("transport error"),
  });
});

const unanswered = [
  ["manager", "open"],
  ["a", "connect_error", "the namespace has not answered in time"],
];

describe("namespaces", { concurrency: 4 }, () => {
  hostile("CONNECT is never answered", {
    start: () => startWebSocket({ answer: null }),
    options: { connectTimeout: 300 },
    lines: [...unanswered, ...unanswered],
  });
  hostile("CONNECT is answered with nothing", {
    start: () => startWebSocket({ answer: "40" }),
    lines: [["a", "connect_error", OLD]],
  });
  hostile("an id of a megabyte", {
    options: { maxPayload: 10_000_000 },
    start: () => startWebSocket({ answer: `40{"sid":"${"x".repeat(1_000_000)}"}` }),
    lines: [
      ["manager", "open"],
      ["a", "connect_error", "parse error"],
      ["manager", "close", "parse error"],
    ],
  });
  hostile("a refusal without words", {
    start: () => startWebSocket({ answer: "44" }),
    lines: [["a", "connect_error", ""]],
    connect: true,
  });
  hostile("a refusal that is no object", {
    start: () => startWebSocket({ answer: "44[1]" }),
    lines: [["manager", "close", "parse error"]],
  });
  hostile("events without an end in front of the answer to CONNECT", {
    start: () =>
      startWebSocket({
        answer: null,
        then: (peer) => endless(peer.stream, text(`42["early","${"x".repeat(10_000)}"]`)),
      }),
    lines: [
      ["manager", "open"],
      ["a", "connect_error", "parse error"],
      ["manager", "close", "parse error"],
    ],
  });
  hostile("a server that disconnects at once, every time", {
    start: () => startWebSocket({ then: (peer) => peer.send("41") }),
    lines: [
      ["a", "connect"],
      ["a", "disconnect", "io server disconnect"],
    ],
    connect: true,
  });
});

describe("a server that does not read", () => {
  it("does not make the client grow beyond its limit", async () => {
    const stage = new Stage(CLIENT, "websocket");
    const bad = await startWebSocket({ then: (peer) => (peer.ws.pause(), peer.send('42["deaf"]')) });
    try {
      stage.client(await stage.proxy(bad), { options: { maxBuffered: 2_000_000 } });
      await stage.agent.line("a", "event", "deaf");
      const before = stage.agent.memory();
      const args = ["x".repeat(100_000)];
      for (let count = 0; count < 600; count++) stage.agent.tell("emit", { id: "a", event: "more", args });
      await stage.agent.line("a", "emit_error");
      await eventually(() => assert.ok(stage.agent.memory() - before < GROWTH));
      await stage.agent.end();
    } finally {
      await stage.end();
      bad.close();
    }
  });
});
