// The official server, in this process or in one of its own, and what the tests of clients need of it.
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { fileURLToPath } from "node:url";
import { Server } from "socket.io";
import { ownPort } from "./ports.mjs";
import { eventually, within } from "./time.mjs";

/**
 * Starts the official server, at a port that is nobody else's. `namespaces` are those that exist, `tls` has `key` and
 * `cert`. With `gate`, each WebSocket waits for a call of `openGate()`. Further options are the server's own.
 */
export async function startOfficial({ port, namespaces = ["/"], tls, gate = false, ...options } = {}) {
  const http = tls ? createTlsServer(tls) : createServer();
  const io = new Server(http, options);
  const streams = new Set();
  http.on("connection", (stream) => streams.add(stream.on("close", () => streams.delete(stream))));
  const openGate = gate ? holdUpgrades(http, io.engine) : () => {};
  const queues = new Map(namespaces.map((name) => [name, queue()]));
  for (const [name, { push }] of queues) io.of(name).on("connection", (socket) => push(equip(socket)));
  port ??= await ownPort();
  await new Promise((resolve, reject) => http.once("error", reject).listen(port, "127.0.0.1", resolve));
  return {
    io,
    http,
    openGate,
    port,
    url: `${tls ? "https" : "http"}://127.0.0.1:${port}`,
    /** The next socket of a namespace. */
    socket: (name = "/") => within(10_000, queues.get(name).take(), `a socket in ${name}`),
    close: () => (openGate(true), io.close()),
    /** Ends it at once, whoever is connected. */
    async kill() {
      openGate(true);
      const closed = io.close();
      streams.forEach((stream) => stream.destroy());
      await closed;
    },
    /** Resolves when all sockets have moved to WebSocket. */
    upgraded: () => eventually(() => check(io, ({ transport }) => transport.name === "websocket", "is still polling")),
    /** Resolves when packets can be sent to all sockets at once: over polling, when they have asked again. */
    settled: () => eventually(() => check(io, ({ transport }) => transport.writable, "cannot be written to")),
  };
}

function check(io, holds, fault) {
  for (const namespace of io._nsps.values()) {
    for (const { conn } of namespace.sockets.values()) if (!holds(conn)) throw new Error(`a connection ${fault}`);
  }
}

/** Holds upgrades of HTTP. The returned function lets those of the sessions pass that there are when it is called. */
function holdUpgrades(http, engine) {
  const listeners = http.listeners("upgrade");
  http.removeAllListeners("upgrade");
  const held = new Map();
  const open = new Set();
  let ended = false;
  http.on("upgrade", (...args) => {
    const sid = new URL(args[0].url, "http://host").searchParams.get("sid");
    const pass = () => listeners.forEach((listener) => listener.apply(http, args));
    if (ended || open.has(sid)) pass();
    else held.set(sid, pass);
  });
  return (all = false) => {
    ended ||= all;
    for (const sid of [...Object.keys(engine.clients), ...(all ? held.keys() : [])]) {
      open.add(sid);
      held.get(sid)?.();
      held.delete(sid);
    }
  };
}

function queue() {
  const items = [];
  const waiting = [];
  return {
    push: (item) => (waiting.length ? waiting.shift()(item) : items.push(item)),
    take: () => (items.length ? items.shift() : new Promise((resolve) => waiting.push(resolve))),
  };
}

/**
 * Keeps what a socket receives: `socket.take(n)` gives the next n events as `[name, ...args]`. What asks for an answer
 * gets its own arguments, but for `mute`, and `late`, whose answers wait in `socket.late`.
 */
export function equip(socket) {
  const { push, take } = queue();
  socket.late = [];
  socket.received = 0;
  socket.onAny((event, ...args) => {
    socket.received++;
    const answer = typeof args.at(-1) === "function" ? args.pop() : () => {};
    push([event, ...args]);
    if (event === "late") socket.late.push(answer);
    else if (event !== "mute") answer(...args);
  });
  socket.take = async (count = 1) => {
    const taken = [];
    while (taken.length < count) taken.push(await within(10_000, take(), `event ${taken.length + 1} of ${count}`));
    return taken;
  };
  socket.ask = (...args) =>
    within(10_000, new Promise((resolve) => socket.emit(...args, (...values) => resolve(values))), "an answer");
  socket.ended = new Promise((resolve) => socket.on("disconnect", resolve));
  return socket;
}

/** Starts the official server in a process that can be stopped and killed; it says `welcome` to everybody. */
export async function forkOfficial(options = {}) {
  const child = fork(fileURLToPath(new URL("official_process.mjs", import.meta.url)), [JSON.stringify(options)]);
  const port = await within(10_000, new Promise((resolve) => child.once("message", resolve)), "a port");
  const told = () => within(10_000, new Promise((resolve) => child.once("message", resolve)), "the server to settle");
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    kill: (signal = "SIGKILL") => child.kill(signal),
    settled() {
      child.send("settle");
      return told();
    },
  };
}
