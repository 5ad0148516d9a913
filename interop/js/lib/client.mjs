import { afterEach } from "node:test";
import { io } from "socket.io-client";
import { deferred, within } from "./time.mjs";

const open = new Set();

/** Official clients that the surrounding `describe` closes after each test. */
export function useClients(server) {
  afterEach(() => closeAll());
  return {
    connect: (options, namespace) => connect(server, options, namespace),
    socket: (options, namespace) => socket(server, options, namespace),
  };
}

/** Closes every client that is open. */
export function closeAll() {
  for (const client of open) client.disconnect();
  open.clear();
}

/** An official client that has not waited for its connection. */
export function socket(server, options = {}, namespace = "/") {
  const client = io(server.url + namespace, { forceNew: true, reconnection: false, ...options });
  open.add(client);
  return client;
}

/** A connected official client. What the server emits at once is in `client.early`. */
export async function connect(server, options, namespace) {
  const client = socket(server, options, namespace);
  client.early = [];
  client.onAny((...args) => client.early.push(args));
  const { promise, resolve, reject } = deferred();
  client.once("connect", resolve);
  client.once("connect_error", reject);
  await within(5_000, promise, "the client to connect");
  return client;
}

/** The arguments of the next `event`. */
export async function once(emitter, event, ms = 5_000) {
  return within(ms, new Promise((resolve) => emitter.once(event, (...args) => resolve(args))), `event ${event}`);
}

/** Emits `event` and gives what it is answered with: its arguments. */
export async function ask(client, event, ...args) {
  const answer = new Promise((resolve) => client.emit(event, ...args, (...values) => resolve(values)));
  return within(10_000, answer, `the ack of ${event}`);
}

/** The numbers of the server that must come back to what they were. */
export async function stats(client) {
  const [{ allocs, ...numbers }] = await ask(client, "stats");
  return numbers;
}

/** Resolves when the client has moved from polling to WebSocket. */
export async function upgraded(client) {
  const engine = client.io.engine;
  if (engine.transport.name !== "websocket") await once(engine, "upgrade");
}
