// What the official parsers make of what they are given, one JSON line of input and of output each:
//
//   {"messages":[..],"ours":[[..],..]}   Socket.IO. Gives `told`, of the messages of one connection; `encoded`, the packets
//                                        among them as the official encoder writes them; `ours`, as `told`, of each of those
//   {"payload":".."}                     Engine.IO. Gives `packets` of a polling payload
//   {"packets":[..]}                     gives the payload that the official encoder makes of these messages
//
// A message is text, or `{"bytes":base64}`. `told` has the packets in front of the first that is refused, and whether one
// was. What a packet carries is a text, so that nothing is lost between two languages: see `canonical`.
import { createInterface } from "node:readline";
import { decodePayload, encodePayload } from "engine.io-parser";
import { Decoder, Encoder } from "socket.io-parser";

/** JSON with sorted keys, the 64 bits of each number, bytes in hexadecimal, and what JSON has not. */
function canonical(value) {
  if (typeof value === "number") return bits(value);
  if (typeof value === "string") return `${value.isWellFormed() ? "" : "lone"}${JSON.stringify(value)}`;
  if (typeof value !== "object" || value === null) return String(value);
  if (Buffer.isBuffer(value)) return `bytes ${value.toString("hex")}`;
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const keys = Object.keys(value).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${keys.map((key) => `${canonical(key)}:${canonical(value[key])}`).join()}}`;
}

function bits(number) {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number);
  return `#${view.getBigUint64(0).toString(16).padStart(16, "0")}`;
}

function data(value) {
  try {
    return canonical(value);
  } catch (error) {
    // Nested deeper than this program can follow.
    if (error instanceof RangeError) return "deep";
    throw error;
  }
}

/** All digits of an id, as far as a number has them. */
const digits = (id) => (id === undefined ? null : Number.isInteger(id) ? String(BigInt(id)) : String(id));

const given = (message) => (typeof message === "string" ? message : Buffer.from(message.bytes, "base64"));
const written = (message) => (typeof message === "string" ? message : { bytes: message.toString("base64") });

function decode(messages) {
  const packets = [];
  const decoder = new Decoder();
  decoder.on("decoded", (packet) => packets.push(packet));
  try {
    for (const message of messages) decoder.add(given(message));
  } catch {
    return { packets, refused: true };
  }
  return { packets, refused: false };
}

function tell({ packets, refused }) {
  const shown = packets.map((packet) => ({
    kind: packet.type,
    namespace: packet.nsp,
    id: digits(packet.id),
    data: data(packet.data),
  }));
  return { packets: shown, refused };
}

/** The messages of a packet; none where the encoder gives up. */
function encode(packet) {
  try {
    return new Encoder().encode(packet).map(written);
  } catch {
    return [];
  }
}

const answers = {
  messages({ messages, ours }) {
    const decoded = decode(messages);
    // The encoder changes what it is given.
    const told = tell(decoded);
    return { told, encoded: decoded.packets.map(encode), ours: ours.map((messages) => tell(decode(messages))) };
  },
  payload: ({ payload }) => ({ packets: decodePayload(payload).map(({ type, data }) => [type, canonical(data ?? "")]) }),
  packets({ packets }) {
    let payload;
    encodePayload(
      packets.map((message) => ({ type: "message", data: given(message) })),
      (encoded) => (payload = encoded),
    );
    return { payload };
  },
};

for await (const line of createInterface(process.stdin)) {
  const question = JSON.parse(line);
  const kind = Object.keys(answers).find((name) => name in question);
  process.stdout.write(`${JSON.stringify(answers[kind](question))}\n`);
}
