// The official client: the handlers of our `measured` client, whose lines it reads and writes.
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { io } from "socket.io-client";

// How many broadcasts come between two lines that tell whoever sends them.
const STEP = 1024;

const { values: options } = parseArgs({
  options: {
    url: { type: "string" },
    scenario: { type: "string" },
    "in-flight": { type: "string", default: "16" },
    size: { type: "string", default: "32" },
  },
});
const text = "x".repeat(Number(options.size));
let unsent = 0;
let wanted = 0;
let received = 0;

const fail = (why) => {
  console.error(why);
  process.exit(1);
};
const check = (value) => {
  if (value.length !== text.length) fail("a message has changed");
};
const sendAnother = () => {
  if (unsent > 0) {
    unsent -= 1;
    socket.emit("echo", text);
  }
};
const count = () => {
  received += 1;
  if (received === wanted) console.log("done");
};

const socket = io(options.url, { transports: ["websocket"], reconnection: false });
socket.on("echo", (value) => {
  check(value);
  sendAnother();
  count();
});
socket.on("broadcast", (value) => {
  check(value);
  if ((received + 1) % STEP === 0) console.log("received");
  count();
});
socket.on("connect_error", fail);
socket.on("disconnect", (reason) => reason === "io client disconnect" || fail(reason));
socket.on("connect", async () => {
  if (options.scenario === "broadcast") await socket.emitWithAck("join", "room1");
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    received = 0;
    wanted = Number(line);
    console.log("started");
    if (options.scenario === "echo") {
      unsent = wanted;
      for (let i = 0; i < Number(options["in-flight"]); i += 1) sendAnother();
    }
  }
  socket.disconnect();
});
