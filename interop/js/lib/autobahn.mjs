// Plays the cases of `protocol/src/websocket/decoder/tests/cases.rs` with four endpoints that echo: our server and client, and
// those of `ws`. The other end is always one of `ws`, which sends by its own functions what is legal, and raw bytes where it
// must not be. Says of each endpoint how many cases it was given, and where it did something else than was expected.
//
// A line of input is `{"number":..,"frames":[[first,payload],..],"expected":[[kind,payload or code],..]}`, where a payload is
// `[unit in base64, length]`, the unit repeated up to that length. `suite` is what Autobahn expects, and so of `ws`.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import WebSocket, { WebSocketServer } from "ws";
import { Agent, OURS } from "./agents.mjs";
import { startServer } from "./server.mjs";
import { deferred, within } from "./time.mjs";
import { frame } from "./websocket.mjs";

const OPCODE = 0x0f;
const FIN = 0x80;
const TEXT = 1;
const BINARY = 2;
const PING = 9;
const PONG = 10;
/** Four times as much as the largest message has. */
const MAX_PAYLOAD = 64 << 20;
/** More than that and `client-conformance` spends its time in saying what it has heard. */
const MAX_SAID = 5 << 20;

const bytes = ([unit, length]) => (length ? Buffer.alloc(length, unit, "base64") : Buffer.alloc(0));
const shown = (kind, payload) => `${kind} ${payload.length} ${createHash("sha1").update(payload).digest("hex").slice(0, 10)}`;

/** What an echo answers: a message by itself, a ping by a pong, a goodbye and a fault by a goodbye. */
function answers(events) {
  const told = events.map(([kind, what]) => (Array.isArray(what) ? shown(kind, bytes(what)) : `${kind} ${what}`));
  return told.filter((event) => !event.startsWith("pong")).map((event) => event.replace(/^ping/, "pong"));
}

const cases = (await text(process.stdin))
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line))
  .map(({ number, frames, expected, suite }) => ({
    number,
    frames: frames.map(([first, payload]) => ({ first, payload: bytes(payload) })),
    expected: answers(expected),
    suite: answers(suite),
  }));

/**
 * Sends frames one after the other, each when what came before is answered: who is at fault, or leaves, may get no more
 * answers, and who asks several times may be answered once. If the case does not end the connection, a last ping finds out
 * that nothing more comes.
 */
async function play(ws, { frames, expected, masked, read }) {
  const got = [];
  let wake = () => {};
  let closed = false;
  const come = (answer) => (answer && got.push(answer), wake());
  ws.on("message", (data, binary) => come(read(data, binary)));
  ws.on("pong", (data) => come(shown("pong", data)));
  ws.on("error", (error) => come(`error ${error.message}`));
  ws.on("close", (code) => ((closed = true), come(`close ${code}`)));
  const until = async (count) => {
    while (got.length < count && !closed) {
      const { promise, resolve } = deferred();
      wake = resolve;
      await within(10_000, promise, `more than ${got.slice(-3)}`);
    }
  };

  const ends = expected.some((answer) => answer.startsWith("close"));
  const answered = expected.length - (ends ? 1 : 0);
  let asked = 0;
  const held = [];
  for (const { first, payload, announces } of frames) {
    if (ends) held.push(raw(first, payload, masked));
    else send(ws, first, payload);
    const opcode = first & OPCODE;
    if (announces || !(opcode === PING || (opcode <= BINARY && first & FIN)) || asked === answered) continue;
    asked++;
    if (ends) ws._socket.write(Buffer.concat(held.splice(0)));
    await until(asked);
  }
  if (ends) ws._socket.write(Buffer.concat(held));
  if (!ends) ws.ping("end");
  await until(expected.length + 1);
  if (!ends) ws.terminate();
  return got.filter((answer) => ends || answer !== shown("pong", Buffer.from("end")));
}

function raw(first, payload, masked) {
  return frame(payload, { opcode: first & OPCODE, fin: Boolean(first & FIN), rsv: (first >> 4) & 7, masked });
}

function send(ws, first, payload) {
  const opcode = first & OPCODE;
  if (opcode === PING) ws.ping(payload);
  else if (opcode === PONG) ws.pong(payload);
  else ws.send(payload, { binary: opcode === BINARY, fin: Boolean(first & FIN) });
}

/** An official echo, and the other end of a connection with it. */
async function official(side, example) {
  const client = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false, maxPayload: MAX_PAYLOAD });
  const [[accepted]] = await Promise.all([once(servers, "connection"), once(client, "open")]);
  const [echo, ws] = side === "server" ? [accepted, client] : [client, accepted];
  echo.on("error", () => {});
  echo.on("message", (data, binary) => echo.send(data, { binary }));
  const read = (data, binary) => shown(binary ? "binary" : "text", data);
  return play(ws, { ...example, masked: side === "server", read });
}

/** Our server: text is a message if it begins with a 4. */
async function ourServer(server, example) {
  const ws = new WebSocket(`ws://127.0.0.1:${server.port}/engine.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
    maxPayload: MAX_PAYLOAD,
  });
  await once(ws, "message");
  const frames = example.frames.map(({ first, payload }) =>
    (first & OPCODE) === TEXT ? { first, payload: Buffer.concat([Buffer.from("4"), payload]) } : { first, payload },
  );
  const read = (data, binary) => (binary ? shown("binary", data) : shown("text", data.subarray(1)));
  return play(ws, { ...example, frames, masked: true, read });
}

/** Our client, which is sent events that ask for an answer. */
async function ourClient(agent, example) {
  const options = { transports: ["websocket"], reconnection: false };
  agent.tell("client", { id: "a", url: `http://127.0.0.1:${port}`, options });
  const [ws] = await once(servers, "connection");
  ws.send('0{"sid":"x","upgrades":[],"pingInterval":60000,"pingTimeout":60000,"maxPayload":1000000}');
  await once(ws, "message");
  ws.send('40{"sid":"x"}');
  const read = (data, binary) => {
    if (binary) return shown("binary", data);
    // An attachment follows.
    if (data.subarray(0, 2).toString() === "46") return undefined;
    return shown("text", Buffer.from(JSON.parse(data.subarray(data.indexOf("[")).toString())[0]));
  };
  const played = play(ws, { ...example, frames: events(example.frames), masked: false, read });
  return played.finally(() => agent.tell("disconnect", { id: "a" }));
}

/** The same messages as arguments of events, cut into frames in the same places. */
function events(frames) {
  let open;
  return frames.flatMap(({ first, payload }) => {
    const opcode = first & OPCODE;
    if (opcode === TEXT || opcode === BINARY) open = opcode;
    if (opcode === BINARY) {
      const event = '451-7["m",{"_placeholder":true,"num":0}]';
      return [{ first: FIN | TEXT, payload: Buffer.from(event), announces: true }, { first, payload }];
    }
    if (opcode > BINARY || open !== TEXT) return [{ first, payload }];
    const start = opcode === TEXT ? '427["m","' : "";
    const end = first & FIN ? '"]' : "";
    return [{ first, payload: Buffer.concat([Buffer.from(start), escaped(payload), Buffer.from(end)]) }];
  });
}

/** The inside of a string in JSON. What is no UTF-8 stays as it is. */
function escaped(payload) {
  const escape = (character) => JSON.stringify(character).slice(1, -1);
  return Buffer.from(payload.toString("latin1").replace(/[\0-\x1f"\\]/g, escape), "latin1");
}

async function judge(endpoint, given, answer) {
  for (const example of given) {
    const { number, expected } = example;
    const got = await answer(example).catch((error) => [error.message]);
    if (JSON.stringify(got) === JSON.stringify(expected)) continue;
    process.stdout.write(`${JSON.stringify({ endpoint, number, expected, got })}\n`);
  }
  process.stdout.write(`${JSON.stringify({ endpoint, cases: given.length })}\n`);
}

/** Where clients connect to, whoever they are. */
const servers = new WebSocketServer({ port: 0, host: "127.0.0.1", maxPayload: MAX_PAYLOAD });
await once(servers, "listening");
const { port } = servers.address();

const bySuite = cases.map((example) => ({ ...example, expected: example.suite }));
await judge("the server of ws", bySuite, (example) => official("server", example));
await judge("the client of ws", bySuite, (example) => official("client", example));

const server = await startServer("engine-conformance", { maxPayload: MAX_PAYLOAD });
await judge("our server", cases, (example) => ourServer(server, example));
await server.stop();

const agent = new Agent(OURS);
const small = cases.filter(({ frames }) => frames.reduce((sum, { payload }) => sum + payload.length, 0) <= MAX_SAID);
await judge("our client", small, (example) => ourClient(agent, example));
await agent.end();
process.exit(0);
