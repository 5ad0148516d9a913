// Socket.IO packets on a WebSocket of `conformance`, whose connect timeout is one second and whose max_payload is 20 000 bytes.
import assert from "node:assert/strict";
import { Polling } from "../lib/http.mjs";
import { sleep } from "../lib/time.mjs";
import { RawSocket } from "../lib/websocket.mjs";
import { gone } from "./http.mjs";

const PLACEHOLDER = (num) => `{"_placeholder":true,"num":${num}}`;

/** Sends `packets` before any CONNECT and asserts that the connection is closed. */
const closesFresh = (...packets) => closes((server) => RawSocket.session(server), packets);

/** The same after the CONNECT of the main namespace. */
const closesConnected = (...packets) => closes((server) => RawSocket.connected(server), packets);

function closes(open, packets) {
  return async (server) => {
    for (const packet of packets) {
      const socket = await open(server);
      socket.send(...[packet].flat());
      const code = await socket.close(1_000).catch((error) => {
        error.message = `${JSON.stringify(packet)}: ${error.message}`;
        throw error;
      });
      assert.equal(code, 1005, JSON.stringify(packet));
      assert.deepEqual(socket.rest(), [], `answered ${JSON.stringify(packet)}`);
    }
  };
}

/** Sends `packets` after CONNECT, and asserts that exactly `answers` come back and that the connection lives. */
const answers = (packets, expected) => async (server) => {
  const socket = await RawSocket.connected(server);
  socket.send(...packets, '42999["ack","alive"]');
  for (const answer of [...expected, '43999["alive"]']) assert.deepEqual(await socket.next(), answer);
  socket.terminate();
};

/** Sends an event with ack id 5, and asserts the arguments of the answer, however its attachments are numbered. */
const brings = (packets, expected) => async (server) => {
  const socket = await RawSocket.connected(server);
  socket.send(...packets);
  const [, count, json] = /^4(?:3|6(\d+)-)5(\[.*)$/.exec(await socket.next());
  const attachments = [];
  for (let index = 0; index < Number(count ?? 0); index++) attachments.push(await socket.next());
  assert.deepEqual(JSON.parse(json, (_, value) => (value?._placeholder ? attachments[value.num] : value)), expected);
  socket.terminate();
};

export const packetFaults = {
  "54 closes a WebSocket that sends nothing in time": async (server) => {
    const start = performance.now();
    const socket = await RawSocket.session(server);
    assert.equal(await socket.close(), 1005);
    assert.ok(performance.now() - start > 990);
  },

  "54 closes a polling session that sends nothing in time": async (server) => {
    const session = await Polling.open(server);
    assert.equal(await session.packet(), "1");
    await gone(session);
  },

  "54 closes when only refused CONNECTs came in time": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("40/unknown,", "40/guarded,");
    assert.equal(await socket.next(), '44/unknown,{"message":"Invalid namespace"}');
    assert.equal(await socket.next(), '44/guarded,{"message":"not authorized","data":{"code":42}}');
    assert.equal(await socket.close(), 1005);
  },

  "55 closes upon any packet before CONNECT": closesFresh(
    '42["message"]',
    '42/custom,["message"]',
    "41",
    "43[]",
    '431["x"]',
    '44{"message":"x"}',
    [`451-["message",${PLACEHOLDER(0)}]`, Buffer.from([1])],
    Buffer.from([1]),
  ),

  "57 closes upon a second CONNECT": closesConnected("40", "40{}", '40{"sid":"x"}'),

  "62 closes upon auth that is no object": closesFresh('40"abc"', "40[1]", "40null", "40{", "40true", "40/custom,[]", "40{}x"),

  "65 closes upon an event to a namespace that was not joined": closesConnected('42/custom,["message"]', '42/unknown,["message"]'),

  "66 closes upon an event after the client's own DISCONNECT": closesConnected(["41", '42["message"]']),

  "69 closes upon a DISCONNECT with a payload": closesConnected("41{}", "41[1]", '41"x"'),

  "70 closes upon a CONNECT_ERROR from the client": closesConnected("44", "44{}", '44{"message":"x"}'),

  "71 closes upon an event without a payload": closesConnected("42", "425", "42/,"),

  "72 closes upon a payload that is no event": closesConnected("42[]", "42{}", "42[null]", "42[true]", '42[{"a":1}]', "42[[]]", '42"message"', "421"),

  "72 closes upon a reserved name": closesConnected(
    ...["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"].map((name) => `42["${name}"]`),
  ),

  "closes upon a payload that is not JSON": closesConnected('42["message"', '42["message",}', '42["message"]x', '42["nobody",01]', "42[message]", '42["\u0000"]'),

  "closes upon an unknown packet type": closesConnected("4", "47", "49[]", "4abc", "4€€"),

  "76 closes upon an ack id of more than 19 digits": closesConnected(`42${"9".repeat(20)}["ack"]`, `42${"0".repeat(500)}["ack"]`),

  "78 closes upon an ack id that is none": closesConnected('42-1["ack"]', '42abc["ack"]', '421.5["ack"]', '42+1["ack"]', '42/,x["ack"]'),

  "81 closes upon an ACK whose payload is no list": closesConnected("431{}", '431"x"', "431", "4311"),

  "85 closes upon text between attachments": closesConnected(
    [`451-["message",${PLACEHOLDER(0)}]`, '42["message"]'],
    [`452-["message",${PLACEHOLDER(0)},${PLACEHOLDER(1)}]`, Buffer.from([1]), '42["message"]'],
    [`451-["message",${PLACEHOLDER(0)}]`, "41"],
  ),

  "86 closes upon an attachment that no packet announced": closesConnected(Buffer.from([1]), Buffer.alloc(0), [
    `451-["burst",${PLACEHOLDER(0)}]`,
    Buffer.from([1]),
    Buffer.from([2]),
  ]),

  "88 closes upon a placeholder without an attachment": closesConnected(
    ...["1", "-1", '"0"', "0.5", "1e400", "null", "true", '"splice"', "4294967296", "18446744073709551616"].map((num) => [
      `451-["message",${PLACEHOLDER(num)}]`,
      Buffer.from([1]),
    ]),
  ),

  "90 closes upon more than ten attachments": closesConnected(
    `4511-["message",${Array.from({ length: 11 }, (_, num) => PLACEHOLDER(num))}]`,
    `45${"9".repeat(30)}-["message"]`,
  ),

  "91 closes upon a number of attachments that is none": closesConnected('45a-["message"]', '451.5-["message"]', '451["message"]', '45-1-["message"]', '45-["message"]', "45", "451-"),

  "closes upon a namespace that is too long": closesConnected(`40/${"x".repeat(513)},`, `40/${"x".repeat(10_000)}`),

  "98 closes the connection for all its sockets": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send("40/custom,");
    assert.match(await socket.next(), /^40\/custom,/);
    await socket.next();
    socket.send("42/custom,{}");
    await socket.close();
  },
};

export const packetCases = {
  "56 waits with an event behind CONNECT, or closes: it never runs a handler before the reply": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("40", '42["message","early"]');
    const first = await socket.next().catch(() => "closed");
    if (first !== "closed") assert.match(first, /^40\{"sid":/);
    socket.terminate();
  },

  "58 takes 40, 40/ and 40/, for the main namespace": async (server) => {
    for (const packet of ["40", "40/,", "40/", "40{}", "40/,{}"]) {
      const socket = await RawSocket.session(server);
      socket.send(packet);
      const reply = await socket.next();
      assert.match(reply, /^40\{"sid":"[\w-]{20}"\}$/, packet);
      assert.equal(await socket.next(), '42["auth",{}]');
      socket.terminate();
    }
  },

  "59 takes a namespace without a comma, and writes one": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send("40/custom");
    assert.match(await socket.next(), /^40\/custom,\{"sid":"[\w-]{20}"\}$/);
    assert.equal(await socket.next(), '42/custom,["auth",{}]');
    socket.send("41/custom", "40");
    assert.match(await socket.next(), /^40\{/);
    socket.terminate();
  },

  "60, 61 and 99 refuse unknown namespaces by their literal name": async (server) => {
    const socket = await RawSocket.connected(server);
    for (const name of ["/random", "/custom?token=1", "/Custom", "/cust%6fm", "/custom/", "//", "/€", '/"\\']) {
      socket.send(`40${name},{"a":1}`);
      assert.equal(await socket.next(), `44${name},{"message":"Invalid namespace"}`);
    }
    socket.send('421["ack","alive"]');
    assert.equal(await socket.next(), '431["alive"]');
    socket.terminate();
  },

  "63 replies to CONNECT with the sid alone, which is not the session's": async (server) => {
    const socket = await RawSocket.session(server);
    socket.send('40{"token":"123"}');
    const reply = JSON.parse((await socket.next()).slice(2));
    assert.deepEqual(Object.keys(reply), ["sid"]);
    assert.notEqual(reply.sid, socket.handshake.sid);
    assert.equal(await socket.next(), '42["auth",{"token":"123"}]');
    socket.terminate();
  },

  "64 refuses with message and data": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send("40/guarded,");
    assert.equal(await socket.next(), '44/guarded,{"message":"not authorized","data":{"code":42}}');
    socket.send('40/guarded,{"token":"secret"}');
    assert.match(await socket.next(), /^40\/guarded,\{"sid":/);
    socket.terminate();
  },

  "67 gives a fresh socket to a CONNECT after a DISCONNECT": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send("41", "40");
    const { sid } = JSON.parse((await socket.next()).slice(2));
    assert.notEqual(sid, socket.socketId);
    assert.equal(await socket.next(), '42["auth",{}]');
    socket.send('421["ack"]');
    assert.equal(await socket.next(), "431[]");
    socket.terminate();
  },

  "68 keeps a connection whose last socket left": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send("41");
    await sleep(700);
    assert.equal(socket.ended, undefined);
    socket.send("40");
    assert.match(await socket.next(), /^40\{"sid":/);
    socket.terminate();
  },

  "73 accepts an event whose name is a number": answers(["42[1,2]", "421[1,2]"], []),
  "74 answers the ack id 0": answers(['420["ack","x"]'], ['430["x"]']),
  "75 takes leading zeros for none": answers(['42007["ack","x"]'], ['437["x"]']),
  "76 answers ids of 19 digits": answers(
    ['429007199254740993["ack"]', '429223372036854775807["ack"]'],
    ["439007199254740993[]", "439223372036854775807[]"],
  ),
  "79 and 80 ignore ACKs that nobody awaits": answers(["431[1]", "43[1]", "43999999[]", "431[1]"], []),
  "82 answers with no arguments": answers(['425["ack"]'], ["435[]"]),
  "84 accepts a pong between attachments": answers(
    [`451-["echo",${PLACEHOLDER(0)}]`, "3", Buffer.from([7])],
    [`451-["echo",${PLACEHOLDER(0)}]`, Buffer.from([7])],
  ),
  "87 takes attachments by number: out of order": brings(
    [`452-5["ack",${PLACEHOLDER(1)},${PLACEHOLDER(0)}]`, Buffer.from([1]), Buffer.from([2])],
    [Buffer.from([2]), Buffer.from([1])],
  ),
  "87 takes attachments by number: key order in the placeholder": brings(
    ['451-5["ack",{"num":0,"_placeholder":true}]', Buffer.from([1])],
    [Buffer.from([1])],
  ),
  "87 takes attachments by number: unused ones": brings(['451-5["ack","text"]', Buffer.from([1])], ["text"]),
  "87 takes attachments by number: one used twice": brings(
    [`451-5["ack",${PLACEHOLDER(0)},{"again":${PLACEHOLDER(0)}}]`, Buffer.from([1])],
    [Buffer.from([1]), { again: Buffer.from([1]) }],
  ),
  "89 leaves a placeholder in a plain event alone": answers(
    [`425["ack",${PLACEHOLDER(0)},${PLACEHOLDER(-7)}]`],
    [`435[${PLACEHOLDER(0)},${PLACEHOLDER(-7)}]`],
  ),
  "90 accepts ten attachments": async (server) => {
    const socket = await RawSocket.connected(server);
    const list = Array.from({ length: 10 }, (_, num) => PLACEHOLDER(num)).join();
    const buffers = Array.from({ length: 10 }, (_, num) => Buffer.alloc(num, num));
    socket.send(`4510-5["ack",${list}]`, ...buffers);
    assert.equal(await socket.next(), `4610-5[${list}]`);
    for (const buffer of buffers) assert.deepEqual(await socket.next(), buffer);
    socket.terminate();
  },
  "92 delivers a binary event of no attachments, and goes on": answers(['450-5["ack","x"]', '42["echo",1]'], ['435["x"]', '42["echo",1]']),
  "93 writes type, attachments, id in this order": answers(
    [`451-13["ack",${PLACEHOLDER(0)}]`, Buffer.from([1])],
    [`461-13[${PLACEHOLDER(0)}]`, Buffer.from([1])],
  ),
  "96 lets an event be called error": answers(['42["error","x"]', '425["error"]', '42["__proto__"]', '42["constructor",1]', '42[""]'], []),

  "77 never takes a space for an ack id": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send('42 ["ack","x"]', '427["ack","alive"]');
    const answer = await socket.next().catch(() => "closed");
    if (answer !== "closed") assert.equal(answer, '437["alive"]');
    socket.terminate();
  },

  "lives on after JSON that fits no type of ours": answers(
    ['42["nobody",1e400]', '42["join","\\ud83d"]', '42["join",{"a":[1]}]', '42["burst","x"]', '42["join"]'],
    [],
  ),

  "lives on after JSON that is nested too deep": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send(`42["join",${"[".repeat(500)}${"]".repeat(500)}]`, '421["ack","alive"]');
    assert.equal(await socket.next(), '431["alive"]');
    socket.terminate();
  },

  "brings back JSON that has no value here, or answers nothing": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send('421["ack","\\ud83d"]', '422["ack",1e400]', '423["ack",-0,1.0,1E2]', '424["ack","alive"]');
    for (;;) {
      const answer = await socket.next();
      assert.match(answer, /^43[1-4]\[/);
      if (answer.startsWith("434")) break;
    }
    socket.terminate();
  },

  "2 delivers the packets before the bad one, and none after": async (server) => {
    const witness = await RawSocket.connected(server);
    witness.send('421["join","room1"]');
    assert.equal(await witness.next(), '431["ok"]');
    const session = await Polling.connected(server);
    assert.equal((await session.post('42["broadcast",1]\x1exyz\x1e42["broadcast",2]')).status, 400);
    await gone(session);
    assert.equal(await witness.next(), '42["broadcast",1]');
    witness.send('422["ack"]');
    assert.equal(await witness.next(), "432[]");
    witness.terminate();
  },
};

/** For a server with a ping interval of 200 ms and a ping timeout of 400 ms. */
export const attachmentTimeout = {
  "closes when attachments do not come within a ping cycle": async (server) => {
    const socket = await RawSocket.connected(server);
    socket.send(`451-["message",${PLACEHOLDER(0)}]`);
    const start = performance.now();
    while (!socket.ended && performance.now() - start < 1_000) {
      if ((await socket.next().catch(() => undefined)) === "2") socket.send("3");
    }
    assert.equal(await socket.close(0), 1005);
  },
};
