// A client that does what it is told, one JSON command on each line of its input, and says what happens to it, one JSON
// list on each line of its output, without ids and times. This one is the official client; the example
// `client-conformance` understands the same commands, and its lines are compared with these.
//
//   {"do":"client","id":"a","url":..,"namespace":"/","options":{..},"greet":[event,..]}   creates it, and connects
//   {"do":"socket","id":"b","namespace":"/b","options":{..},"greet":[..]}                 another one, same connection
//   {"do":"connect","id":"a"}   {"do":"disconnect","id":"a"}   {"do":"auth","id":"a","auth":{..}}
//   {"do":"emit","id":"a","event":..,"args":[..],"volatile":true}
//   {"do":"ask","id":"a","tag":..,"event":..,"args":[..],"timeout":ms}                    an event that is to be answered
//   {"do":"mark","tag":..}   says so, once what was told before is done
//   {"do":"close"}   disconnects all of them             {"do":"end"}   ends the process
//
// `options` are those of the official client. A client with `greet` emits this in its handler of `connect`. Bytes are
// `{"$bin":base64}` at any depth. An event that asks for an answer gets its own arguments, but for one named `mute`.
import { createInterface } from "node:readline";
import { Manager } from "socket.io-client";
import { mark } from "./agents.mjs";

const say = (...line) => process.stdout.write(`${JSON.stringify(line, (_, value) => value ?? null)}\n`);
const sockets = new Map();
let manager;

/** Bytes for `$bin`, at any depth. */
function unmark(value) {
  if (typeof value !== "object" || value === null) return value;
  if (typeof value.$bin === "string") return Buffer.from(value.$bin, "base64");
  if (Array.isArray(value)) return value.map(unmark);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unmark(inner)]));
}

/**
 * Says what the manager emits. The sockets listen to it, too, and who comes first depends on who asked first: here an
 * error is said before what it means to the sockets, the end of the connection after it.
 */
function watch(manager) {
  const watched = ["open", "error", "close", "reconnect_attempt", "reconnect", "reconnect_error", "reconnect_failed"];
  const emit = manager.emitReserved;
  manager.emitReserved = function (event, ...args) {
    const [what] = args;
    const tell = () => say("manager", event, ...(what === undefined ? [] : [what?.message ?? what]));
    if (watched.includes(event) && event !== "close") tell();
    emit.call(this, event, ...args);
    if (event === "close") tell();
    if (event === "open") this.engine.on("upgrade", ({ name }) => say("manager", "upgrade", name));
    return this;
  };
}

function open(id, namespace, options, greet) {
  const socket = manager.socket(namespace, options);
  sockets.set(id, socket);
  socket.on("connect", () => {
    say(id, "connect", { recovered: Boolean(socket.recovered), hasId: Boolean(socket.id) });
    if (greet) socket.emit(...unmark(greet));
  });
  socket.on("connect_error", ({ message, data }) => say(id, "connect_error", message, ...(data ? [data] : [])));
  socket.on("disconnect", (reason) => say(id, "disconnect", reason));
  socket.onAny((event, ...args) => {
    const answer = typeof args.at(-1) === "function" ? args.pop() : () => {};
    say(id, "event", event, ...mark(args));
    if (event !== "mute") answer(...args);
  });
  socket.connect();
}

function ask(socket, { id, tag, event, args = [], timeout }) {
  const answered = (error, ...values) =>
    error ? say(id, "ack_error", tag, error.message) : say(id, "ack", tag, ...mark(values));
  // What `emitWithAck` sets, but that takes only the first value of an answer.
  answered.withError = true;
  (timeout === undefined ? socket : socket.timeout(timeout)).emit(event, ...unmark(args), answered);
}

const commands = {
  client({ id, url, namespace = "/", options = {}, greet }) {
    manager = new Manager(url, { ...options, autoConnect: false });
    watch(manager);
    open(id, namespace, options, greet);
  },
  socket: ({ id, namespace, options, greet }) => open(id, namespace, options, greet),
  connect: ({ id }) => sockets.get(id).connect(),
  disconnect: ({ id }) => sockets.get(id).disconnect(),
  auth: ({ id, auth }) => (sockets.get(id).auth = auth),
  emit({ id, event, args = [], volatile }) {
    const socket = sockets.get(id);
    (volatile ? socket.volatile : socket).emit(event, ...unmark(args));
  },
  ask: (command) => ask(sockets.get(command.id), command),
  mark: ({ tag }) => say("mark", tag),
  close() {
    for (const socket of sockets.values()) socket.disconnect();
    say("closed");
  },
  end: () => process.exit(0),
};

createInterface(process.stdin)
  .on("line", (line) => {
    const command = JSON.parse(line);
    commands[command.do](command);
  })
  .on("close", () => process.exit(0));
