// What the official JavaScript parsers take for the same packets: reads the texts that `count messages` prints, and prints
// figures, one JSON object per line. JavaScript has no types to decode into: its `decode-value` is what it can do.

import { readFileSync } from "node:fs";
import { Decoder, Encoder, PacketType } from "socket.io-parser";
import { decodePayload, encodePayload } from "engine.io-parser";

const BATCHES = 201;
const CODEC = `Node ${process.versions.node.split(".")[0]}`;
const messages = JSON.parse(readFileSync(0, "utf8"));
const attachment = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256));
let kept;

function measure(packet, operation, run) {
  const batch = (times) => {
    const start = process.hrtime.bigint();
    for (let index = 0; index < times; index++) run();
    return Number(process.hrtime.bigint() - start);
  };
  let times = 1000;
  while (batch(times) < 1e6) times *= 2;
  const each = Array.from({ length: BATCHES }, () => batch(times) / times).sort((a, b) => a - b);
  const figures = { ns: each[BATCHES >> 1], ns_min: each[0] };
  console.log(JSON.stringify({ packet, operation, codec: CODEC, ...figures }));
}

function decode(text, binary) {
  const decoder = new Decoder();
  let packet;
  decoder.on("decoded", (decoded) => (packet = decoded));
  return () => {
    decoder.add(text);
    if (binary) decoder.add(binary);
    kept = packet;
  };
}

for (const [name, text] of Object.entries(messages)) {
  const binary = name === "binary-1KiB" ? attachment : undefined;
  measure(name, "decode-value", decode(text, binary));
  decode(text, binary)();
  const packet = kept;
  // What the application holds: an event, whose attachments the encoder finds.
  if (binary) packet.type = PacketType.EVENT;
  const encoder = new Encoder();
  measure(name, "encode-value", () => (kept = encoder.encode({ ...packet })));
}

const packets = Array.from({ length: 16 }, () => ({ type: "message", data: messages.small }));
let payload;
encodePayload(packets, (encoded) => (payload = encoded));
measure("polling-16", "encode-payload", () => encodePayload(packets, (encoded) => (kept = encoded)));
measure("polling-16", "decode-payload", () => (kept = decodePayload(payload)));
