// Connections that are lost, refused, silent, and come back.
import assert from "node:assert/strict";
import { ownPort } from "../ports.mjs";
import { eventually, within } from "../time.mjs";

const RECOVERY = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };

export default [
  {
    name: "the server ends, and another one starts at its port",
    async run(t) {
      const first = await t.serve();
      t.client(first, { options: { reconnectionDelay: 1_000 } });
      await t.connected(first);
      await first.close();
      await t.agent.lines(["a", "disconnect", "transport close"], ["manager", "close", "transport close"]);
      t.agent.tell("emit", { id: "a", event: "kept", args: [Buffer.from("x")] });
      const second = await t.serve({ port: first.port });
      const socket = await second.socket();
      await t.connected(second);
      assert.deepEqual(await socket.take(), [["kept", Buffer.from("x")]]);
    },
  },
  {
    name: "the server is killed",
    async run(t) {
      const first = await t.fork();
      const proxy = await t.proxy(first);
      t.client(proxy);
      await t.welcomed(first);
      proxy.hold();
      first.kill();
      await t.agent.line("a", "disconnect");
      await t.agent.line("manager", "reconnect_attempt", 1);
      const second = await t.serve();
      proxy.target = second.port;
      proxy.resume();
      await t.connected(second);
    },
    compared: withoutUpgrade,
  },
  {
    name: "the server is suspended: the heartbeat ends the connection",
    async run(t) {
      const server = await t.fork({ pingInterval: 200, pingTimeout: 800 });
      t.client(server);
      await t.welcomed(server);
      server.kill("SIGSTOP");
      await t.agent.line("a", "disconnect", "ping timeout");
      await t.agent.line("manager", "reconnect_attempt", 1);
      server.kill("SIGCONT");
      await t.agent.line("a", "event", "welcome");
    },
    compared: withoutUpgrade,
  },
  {
    name: "the network swallows everything: the heartbeat ends the connection",
    async run(t) {
      const server = await t.serve({ pingInterval: 200, pingTimeout: 800 });
      const proxy = await t.proxy(server);
      t.client(proxy);
      const socket = await server.socket();
      await t.connected(server);
      // At the upgrade the official server gives up waiting for a pong: it must be there, or nothing times out.
      t.agent.tell("ask", { id: "a", tag: "first", event: "echo" });
      await t.agent.line("a", "ack", "first");
      proxy.silence();
      t.agent.tell("ask", { id: "a", tag: "lost", event: "echo" });
      await t.agent.line("a", "disconnect", "ping timeout");
      assert.equal(await within(5_000, socket.ended, "the end of the socket"), "ping timeout");
      await t.agent.line("a", "ack_error", "lost", "socket has been disconnected");
      await t.agent.line("manager", "reconnect_attempt", 1);
      proxy.cut();
      proxy.resume();
      await t.agent.line("a", "connect");
    },
    compared: firstOnly,
  },
  {
    name: "nobody listens: every attempt fails, then connect() begins anew",
    async run(t) {
      const port = await ownPort();
      t.client({ url: `http://127.0.0.1:${port}` }, { options: { reconnectionAttempts: 3, reconnectionDelay: 50 } });
      await t.agent.line("manager", "reconnect_failed");
      await t.agent.line("manager", "reconnect_error");
      const server = await t.serve({ port });
      t.agent.tell("emit", { id: "a", event: "kept" });
      t.agent.tell("connect", { id: "a" });
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual(await socket.take(), [["kept"]]);
    },
  },
  {
    name: "nobody listens, and nothing is tried again",
    async run(t) {
      const port = await ownPort();
      t.client({ url: `http://127.0.0.1:${port}` }, { options: { reconnection: false } });
      await t.agent.line("a", "connect_error");
      const server = await t.serve({ port });
      t.agent.tell("connect", { id: "a" });
      const socket = await server.socket();
      await t.connected(server);
      socket.conn.close();
      await t.agent.lines(["a", "disconnect", "transport close"], ["manager", "close", "transport close"]);
    },
  },
  {
    name: "the first attempts are refused, until the server is there",
    async run(t) {
      const port = await ownPort();
      t.client({ url: `http://127.0.0.1:${port}` });
      await t.agent.line("manager", "reconnect_attempt", 2);
      await t.agent.line("manager", "reconnect_error");
      const server = await t.serve({ port });
      await t.agent.line("manager", "reconnect", 3);
      await t.connected(server);
    },
  },
  {
    name: "an attempt takes too long",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      proxy.hold();
      t.client(proxy, { options: { timeout: 1_000 } });
      await t.agent.line("a", "connect_error", "timeout");
      await t.agent.line("manager", "reconnect_error", "timeout");
      await t.agent.line("manager", "reconnect_attempt", 2);
      proxy.resume();
      await t.connected(server);
    },
  },
  {
    name: "disconnect() while a connection is awaited",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      proxy.hold();
      t.client(proxy);
      t.agent.tell("emit", { id: "a", event: "kept" });
      t.agent.tell("disconnect", { id: "a" });
      await t.agent.line("manager", "close", "forced close");
      t.agent.tell("connect", { id: "a" });
      proxy.resume();
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual(await socket.take(), [["kept"]]);
    },
  },
  {
    name: "disconnect() during the delay between two attempts",
    async run(t) {
      const server = await t.serve();
      t.client(server, { options: { reconnectionDelay: 60_000, reconnectionDelayMax: 60_000 } });
      const socket = await server.socket();
      await t.connected(server);
      socket.conn.close();
      await t.agent.lines(["a", "disconnect", "transport close"], ["manager", "close", "transport close"]);
      t.agent.tell("disconnect", { id: "a" });
      await t.agent.line("manager", "close", "forced close");
      t.agent.tell("connect", { id: "a" });
      await t.connected(server);
    },
  },
  {
    name: "the connection is lost before the namespace answers",
    async run(t) {
      const server = await t.serve();
      let asked;
      const waiting = new Promise((resolve) => (asked = resolve));
      server.io.use((socket, next) => (asked ? (asked({ socket, next }), (asked = undefined)) : next()));
      t.client(server);
      (await waiting).socket.conn.close();
      await t.agent.line("manager", "close", "transport close");
      await t.connected(server);
    },
  },
  {
    name: "all namespaces come back, with the credentials of now",
    async run(t) {
      const server = await t.serve({ namespaces: ["/", "/b"] });
      t.client(server, { options: { auth: { turn: 1 } } });
      const root = await server.socket();
      await t.connected(server);
      t.agent.tell("socket", { id: "b", namespace: "/b", options: { auth: { turn: 1 } } });
      await server.socket("/b");
      await t.agent.line("b", "connect");
      t.agent.tell("auth", { id: "a", auth: { turn: 2 } });
      t.agent.tell("auth", { id: "b", auth: { turn: 3 } });
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
      root.conn.close();
      const again = await server.socket();
      const other = await server.socket("/b");
      assert.deepEqual([again.handshake.auth, other.handshake.auth], [{ turn: 2 }, { turn: 3 }]);
      await t.agent.lines(["a", "connect"], ["b", "connect"]);
    },
  },
  {
    name: "the state of the connection is recovered: what was missed arrives once",
    async run(t) {
      const server = await t.serve(RECOVERY);
      const proxy = await t.proxy(server);
      t.client(proxy);
      const socket = await server.socket();
      await t.connected(server);
      await socket.join("room");
      socket.emit("first", 1);
      await t.agent.line("a", "event", "first", 1);
      const { id } = socket;
      await server.settled();
      proxy.hold();
      proxy.cut();
      await socket.ended;
      server.io.emit("missed", 2, Buffer.from("b"));
      server.io.to("room").emit("missed", 3);
      server.io.to("elsewhere").emit("never", 4);
      await t.agent.line("a", "disconnect");
      t.agent.tell("emit", { id: "a", event: "kept" });
      await t.agent.obeyed();
      proxy.resume();
      const again = await server.socket();
      await t.agent.line("a", "connect");
      assert.ok(again.recovered && again.id === id && again.rooms.has("room"));
      assert.deepEqual(await again.take(), [["kept"]]);
      again.emit("next", 5);
      await t.agent.line("a", "event", "next", 5);
    },
    compared: (log) => withoutUpgrade(withoutOffsets(log)),
  },
  {
    name: "the state of the connection is gone",
    async run(t) {
      const first = await t.serve(RECOVERY);
      t.client(first, { options: { reconnectionDelay: 1_000 } });
      const socket = await first.socket();
      await t.connected(first);
      socket.emit("first", 1);
      await t.agent.line("a", "event", "first", 1);
      await first.settled();
      await first.close();
      await t.agent.line("a", "disconnect");
      const second = await t.serve({ port: first.port, ...RECOVERY });
      const again = await second.socket();
      await t.connected(second);
      assert.ok(!again.recovered);
    },
    compared: withoutOffsets,
  },
  {
    name: "events with retries arrive at least once, in order, one after the other",
    async run(t) {
      const server = await t.serve();
      t.client(server, { options: { retries: 3, ackTimeout: 1_000 } });
      const socket = await server.socket();
      socket.offAny();
      // Hears the first try of each event, and answers the second.
      const tries = [];
      socket.on("numbered", (number, answer) => {
        tries.push(number);
        if (tries.filter((other) => other === number).length > 1) answer(`got ${number}`);
      });
      await t.connected(server);
      for (let number = 0; number < 3; number++) {
        t.agent.tell("ask", { id: "a", tag: number, event: "numbered", args: [number] });
      }
      await t.agent.line("a", "ack", 2, "got 2");
      assert.deepEqual(tries, [0, 0, 1, 1, 2, 2]);
    },
  },
  {
    name: "an event with retries is given up after the last one, and the next one is sent",
    async run(t) {
      const server = await t.serve();
      t.client(server, { options: { retries: 1, ackTimeout: 150 } });
      const socket = await server.socket();
      await t.connected(server);
      t.agent.tell("ask", { id: "a", tag: "vain", event: "mute", args: [1] });
      t.agent.tell("emit", { id: "a", event: "mute", args: [2] });
      t.agent.tell("ask", { id: "a", tag: "answered", event: "echo", args: [3] });
      await t.agent.line("a", "ack_error", "vain", "operation has timed out");
      await t.agent.line("a", "ack", "answered", 3);
      assert.deepEqual(await socket.take(5), [
        ["mute", 1],
        ["mute", 1],
        ["mute", 2],
        ["mute", 2],
        ["echo", 3],
      ]);
    },
  },
  {
    name: "an event with retries outlives its connection",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      t.client(proxy, { options: { retries: 5, ackTimeout: 20_000 } });
      const socket = await server.socket();
      await t.agent.line("a", "connect");
      t.agent.tell("ask", { id: "a", tag: "asked", event: "late", args: [1] });
      t.agent.tell("emit", { id: "a", event: "next", args: [2] });
      await socket.take();
      socket.conn.close();
      await t.agent.line("a", "disconnect");
      const again = await server.socket();
      assert.deepEqual(await again.take(), [["late", 1]]);
      again.late[0]("done");
      await t.agent.line("a", "ack", "asked", "done");
      assert.deepEqual(await again.take(), [["next", 2]]);
    },
  },
  {
    name: "volatile events are dropped while the connection is lost",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      t.client(proxy);
      const socket = await server.socket();
      await t.connected(server);
      proxy.hold();
      socket.conn.close();
      await t.agent.line("manager", "reconnect_attempt", 1);
      t.agent.tell("emit", { id: "a", event: "dropped", volatile: true });
      t.agent.tell("emit", { id: "a", event: "kept" });
      await t.agent.obeyed();
      proxy.resume();
      const again = await server.socket();
      await t.connected(server);
      assert.deepEqual(await again.take(), [["kept"]]);
    },
  },
  {
    name: "what was sent into a connection that is lost is lost, what is emitted later is not",
    over: ["websocket", "upgrade"],
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      t.client(proxy);
      const socket = await server.socket();
      await t.connected(server);
      proxy.silence();
      t.agent.tell("emit", { id: "a", event: "lost" });
      // Only what is written can be lost.
      await eventually(() => assert.ok(proxy.swallowed > 0));
      proxy.hold();
      proxy.cut();
      await t.agent.line("a", "disconnect");
      t.agent.tell("emit", { id: "a", event: "kept" });
      await socket.ended;
      proxy.resume();
      const again = await server.socket();
      await t.agent.line("a", "connect");
      assert.deepEqual(await again.take(), [["kept"]]);
    },
    compared: withoutUpgrade,
  },
];

/** When the upgrade is done, is for the network to say. */
function withoutUpgrade(log) {
  return log.filter((line) => !line.startsWith('["manager","upgrade"'));
}

/** The server's name for an event is its last argument. */
function withoutOffsets(log) {
  return log.map((line) => line.replace(/(^\["a","event".*),"[\w-]{7}(\.\d+)?"\]$/, "$1]"));
}

/** Up to the first attempt to connect again: what follows depends on how much of the silence is left. */
function firstOnly(log) {
  return log.slice(0, log.indexOf('["manager","reconnect_attempt",1]') + 1);
}
