// WebSocket framing, and Engine.IO packets on a WebSocket.
import assert from "node:assert/strict";
import { sleep } from "../lib/time.mjs";
import { FrameSocket, RawSocket, frame } from "../lib/websocket.mjs";

const TEXT = 1;
const BINARY = 2;
const CONTINUATION = 0;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** A session over a TCP connection whose handshake packet was read. */
async function session(server, options) {
  const socket = await FrameSocket.open(server, options);
  assert.equal(socket.status, 101, socket.answer);
  assert.equal((await socket.next()).payload[0], 48);
  return socket;
}

/** Sends frames and asserts the code that the connection is closed with. */
async function closes(server, code, ...frames) {
  const socket = await session(server);
  for (const bytes of frames) socket.send(bytes);
  const closed = await socket.close();
  if (Array.isArray(code)) assert.ok(code.includes(closed), `closed with ${closed}`);
  else assert.equal(closed, code);
  await socket.closed();
}

/** Sends packets and asserts that the session is closed for them. */
async function ends(server, ...packets) {
  const socket = await RawSocket.session(server);
  socket.send(...packets);
  assert.equal(await socket.close(), 1005);
}

export const frameFaults = {
  "43 closes a WebSocket at once upon 1": (server) => ends(server, "1"),
  "44 closes upon a ping from the client": (server) => ends(server, "2"),
  "46 closes upon an empty packet": (server) => ends(server, ""),
  "46 closes upon an unknown packet type": (server) => ends(server, "7"),
  "46 closes upon nonsense": (server) => ends(server, "abc"),
  "46 closes upon text of six bytes that is not ASCII": (server) => ends(server, "€€"),
  "48 closes upon base64 that is none": (server) => ends(server, "b!!!!"),

  "49 closes with 1009 upon a message over max_payload": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send(`4${"x".repeat(socket.handshake.maxPayload)}`);
    assert.equal(await socket.close(), 1009);
    const binary = await RawSocket.session(server);
    binary.send(Buffer.alloc(binary.handshake.maxPayload + 1));
    assert.equal(await binary.close(), 1009);
  },

  "49 closes with 1009 when the fragments together are too large": async (server) => {
    const half = "x".repeat(11_000);
    await closes(server, 1009, frame(`4${half}`, { fin: false }), frame(half, { opcode: CONTINUATION }));
  },

  "49 closes with 1009 for a length that is only announced": async (server) => {
    const header = Buffer.from([0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    await closes(server, 1009, header);
  },

  "closes with 1002 for a length with its highest bit set": (server) =>
    closes(server, [1002, 1009], Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4])),
  "closes with 1002 upon a frame that is not masked": (server) => closes(server, 1002, frame("4a", { masked: false })),
  "closes with 1002 upon a reserved bit": async (server) => {
    for (const rsv of [1, 2, 4]) await closes(server, 1002, frame("4a", { rsv }));
  },
  "closes with 1002 upon an unknown opcode": async (server) => {
    for (const opcode of [3, 7, 11, 15]) await closes(server, 1002, frame("4a", { opcode }));
  },
  "closes with 1002 upon a fragmented ping": (server) => closes(server, 1002, frame("x", { opcode: PING, fin: false })),
  "closes with 1002 upon a ping of 126 bytes": (server) => closes(server, 1002, frame("x".repeat(126), { opcode: PING })),
  "closes with 1002 upon a continuation of nothing": (server) =>
    closes(server, 1002, frame("x", { opcode: CONTINUATION })),
  "closes with 1002 upon a message inside a message": (server) =>
    closes(server, 1002, frame("4a", { fin: false }), frame("4b")),
  "closes with 1007 upon text that is no UTF-8": (server) => closes(server, 1007, frame([0x34, 0xff, 0xfe])),
  "closes with 1007 upon a fragment that cannot become UTF-8": (server) =>
    closes(server, 1007, frame([0x34, 0xe2, 0x82], { fin: false }), frame([0x41], { opcode: CONTINUATION })),
  "closes with 1008 upon more than 1 024 fragments": async (server) => {
    const fragments = Array.from({ length: 1_100 }, () => frame("", { opcode: CONTINUATION, fin: false }));
    await closes(server, 1008, frame("4", { fin: false }), Buffer.concat(fragments));
  },
  "closes with 1002 upon a close frame of one byte": (server) => closes(server, 1002, frame("x", { opcode: CLOSE })),
  "closes with 1002 upon a close code that may not be sent": async (server) => {
    for (const code of [0, 999, 1004, 1005, 1006, 1015, 2999, 5000]) {
      await closes(server, 1002, frame([code >> 8, code & 255], { opcode: CLOSE }));
    }
  },
  "answers a close frame with its code": async (server) => {
    for (const code of [1000, 1001, 3000, 4999]) {
      await closes(server, [code, 1000], frame([code >> 8, code & 255], { opcode: CLOSE }));
    }
    await closes(server, 1005, frame("", { opcode: CLOSE }));
  },
  "notices a connection that ends in the middle of a frame": async (server) => {
    for (const cut of [1, 2, 5, 7]) {
      const socket = await session(server);
      socket.send(frame("4hello").subarray(0, cut));
      socket.stream.end();
      await socket.closed();
    }
  },
};

/** Needs an echo. */
export const frameCases = {
  "45 accepts an unsolicited pong": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("3", "3", "3", "4a");
    assert.equal(await socket.next(), "4a");
    socket.terminate();
  },

  "47 carries binary frames, empty ones too": async (server) => {
    const socket = await RawSocket.session(server);
    for (const bytes of [[], [4], [0x34, 0x61], Array(200).fill(7)].map((list) => Buffer.from(list))) {
      socket.send(bytes);
      assert.deepEqual(await socket.next(), bytes);
    }
    socket.terminate();
  },

  "47 carries an empty text message": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("4");
    assert.equal(await socket.next(), "4");
    socket.terminate();
  },

  "48 reads base64 in a text frame as binary": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("bAQID");
    assert.deepEqual(await socket.next(), Buffer.from([1, 2, 3]));
    socket.terminate();
  },

  "49 accepts a message of exactly max_payload bytes": async (server) => {
    const socket = await RawSocket.session(server);
    const message = `4${"x".repeat(socket.handshake.maxPayload - 1)}`;
    socket.send(message);
    assert.equal(await socket.next(), message);
    socket.terminate();
  },

  "50 answers a WebSocket ping with its payload, also between fragments": async (server) => {
    const socket = await session(server);
    socket.send(frame("you", { opcode: PING }));
    let pong = await socket.next();
    assert.deepEqual([pong.opcode, pong.payload.toString()], [PONG, "you"]);
    socket.send(frame([0x34, 0xe2], { fin: false }));
    socket.send(frame("", { opcode: PING }));
    pong = await socket.next();
    assert.deepEqual([pong.opcode, pong.payload.length], [PONG, 0]);
    socket.send(frame([0x82], { opcode: CONTINUATION, fin: false }));
    socket.send(frame("unasked", { opcode: PONG }));
    socket.send(frame([0xac], { opcode: CONTINUATION }));
    const echo = await socket.next();
    assert.deepEqual([echo.opcode, echo.payload.toString()], [TEXT, "4€"]);
    socket.destroy();
  },

  "reads frames byte by byte, and many in one segment": async (server) => {
    const socket = await session(server);
    for (const byte of frame("4slowly")) {
      socket.send(Buffer.from([byte]));
      await sleep(1);
    }
    assert.equal((await socket.next()).payload.toString(), "4slowly");
    socket.send(Buffer.concat(Array.from({ length: 100 }, (_, index) => frame(`4${index}`))));
    for (let index = 0; index < 100; index++) assert.equal((await socket.next()).payload.toString(), `4${index}`);
    socket.send(frame(Buffer.alloc(300, 1), { opcode: BINARY }));
    assert.equal((await socket.next()).payload.length, 300);
    socket.destroy();
  },

  "negotiates no extension": async (server) => {
    const headers = { "sec-websocket-extensions": "permessage-deflate; constructor" };
    const socket = await session(server, { headers });
    assert.doesNotMatch(socket.answer, /sec-websocket-extensions/i);
    socket.destroy();
  },
};
