// Events, acks, namespaces, refusals, disconnecting.
import assert from "node:assert/strict";
import { eventually } from "../time.mjs";

const bytes = (length) => Buffer.from({ length }, (_, index) => (index * 31 + length) & 255);

export default [
  {
    name: "events with several arguments, both ways",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const args = [1, -2.5, '€😀\u0000\u001e"\\', true, null, [], {}, [[1], { a: { b: [2] } }], ""];
      t.agent.tell("emit", { id: "a", event: "all", args });
      assert.deepEqual(await socket.take(), [["all", ...args]]);
      t.agent.tell("emit", { id: "a", event: "none" });
      assert.deepEqual(await socket.take(), [["none"]]);
      socket.emit("all", ...args);
      socket.emit("none");
      assert.deepEqual(await t.agent.line("a", "event", "all"), ["a", "event", "all", ...args]);
      assert.deepEqual(await t.agent.line("a", "event", "none"), ["a", "event", "none"]);
    },
  },
  {
    name: "binary, nested and repeated, both ways",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const twice = bytes(40);
      const args = [bytes(0), { a: [bytes(3), { b: bytes(70_000) }], c: "x" }, twice, [twice], "end"];
      t.agent.tell("emit", { id: "a", event: "blob", args });
      assert.deepEqual(await socket.take(), [["blob", ...args]]);
      socket.emit("blob", ...args);
      await t.agent.line("a", "event", "blob", ...args);
      // Directly one after the other.
      for (let index = 0; index < 5; index++) socket.emit(`blob${index}`, bytes(index), index, bytes(300));
      await t.agent.line("a", "event", "blob4", bytes(4), 4, bytes(300));
      for (let index = 0; index < 5; index++)
        t.agent.tell("emit", { id: "a", event: `b${index}`, args: [bytes(index)] });
      const expected = Array.from({ length: 5 }, (_, index) => [`b${index}`, bytes(index)]);
      assert.deepEqual(await socket.take(5), expected);
    },
  },
  {
    name: "acks, both ways",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const args = ["a", 1, { b: bytes(9) }, null];
      t.agent.tell("ask", { id: "a", tag: "some", event: "echo", args });
      await t.agent.line("a", "ack", "some", ...args);
      t.agent.tell("ask", { id: "a", tag: "none", event: "echo" });
      await t.agent.line("a", "ack", "none");
      t.agent.tell("ask", { id: "a", tag: "in time", event: "echo", args: [1], timeout: 10_000 });
      await t.agent.line("a", "ack", "in time", 1);
      assert.deepEqual(await socket.ask("echo", ...args), args);
      assert.deepEqual(await socket.ask("echo"), []);
      // Answered in another order than asked.
      t.agent.tell("ask", { id: "a", tag: "first", event: "late", args: [1] });
      t.agent.tell("ask", { id: "a", tag: "second", event: "late", args: [2] });
      await socket.take(4 + 1);
      const [first, second] = socket.late;
      second("second");
      await t.agent.line("a", "ack", "second", "second");
      first("first");
      await t.agent.line("a", "ack", "first", "first");
    },
  },
  {
    name: "acks that time out, on both sides; a late answer is ignored",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      t.agent.tell("ask", { id: "a", tag: "late", event: "late", timeout: 150 });
      await t.agent.line("a", "ack_error", "late", "operation has timed out");
      socket.late[0]("too late");
      socket.late[0]("twice");
      await assert.rejects(socket.timeout(150).emitWithAck("mute", 1));
      t.agent.tell("ask", { id: "a", tag: "after", event: "echo", args: [2] });
      await t.agent.line("a", "ack", "after", 2);
    },
  },
  {
    name: "an ack that is awaited when the connection is lost fails",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      t.agent.tell("ask", { id: "a", tag: "lost", event: "mute" });
      await socket.take();
      socket.disconnect();
      await t.agent.line("a", "disconnect", "io server disconnect");
      await t.agent.line("a", "ack_error", "lost", "socket has been disconnected");
    },
  },
  {
    name: "several namespaces on one connection",
    async run(t) {
      const server = await t.serve({ namespaces: ["/", "/b", "/c-d"] });
      t.client(server);
      const root = await server.socket();
      await t.connected(server);
      t.agent.tell("socket", { id: "b", namespace: "/b", options: { auth: { name: "b" } } });
      const b = await server.socket("/b");
      await t.agent.line("b", "connect");
      t.agent.tell("socket", { id: "c", namespace: "/c-d" });
      const c = await server.socket("/c-d");
      await t.agent.line("c", "connect");
      assert.ok(root.conn === b.conn && b.conn === c.conn);
      assert.deepEqual([b.handshake.auth, c.handshake.auth], [{ name: "b" }, {}]);
      for (const [id, socket] of Object.entries({ a: root, b, c })) {
        t.agent.tell("emit", { id, event: "to", args: [id, bytes(2)] });
        assert.deepEqual(await socket.take(), [["to", id, bytes(2)]]);
        t.agent.tell("ask", { id, tag: id, event: "echo", args: [id] });
        await t.agent.line(id, "ack", id, id);
        socket.emit("from", id, bytes(1));
        await t.agent.line(id, "event", "from", id, bytes(1));
      }
      // The others stay.
      t.agent.tell("disconnect", { id: "b" });
      await t.agent.line("b", "disconnect", "io client disconnect");
      assert.equal(await b.ended, "client namespace disconnect");
      c.disconnect();
      await t.agent.line("c", "disconnect", "io server disconnect");
      t.agent.tell("ask", { id: "a", tag: "last", event: "echo" });
      await t.agent.line("a", "ack", "last");
      t.agent.tell("connect", { id: "c" });
      await t.agent.line("c", "connect");
    },
  },
  {
    name: "a connection without the main namespace",
    async run(t) {
      const server = await t.serve({ namespaces: ["/b"] });
      t.client(server, { namespace: "/b" });
      const socket = await server.socket("/b");
      await t.connected(server);
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo", args: [bytes(5)] });
      await t.agent.line("a", "ack", 1, bytes(5));
      socket.disconnect(true);
      await t.agent.line("manager", "close");
      await t.agent.line("a", "disconnect", "io server disconnect");
    },
  },
  {
    name: "rejected with data, then let in with other credentials",
    async run(t) {
      const server = await t.serve();
      server.io.use(({ handshake: { auth } }, next) =>
        auth.token === "secret" ? next() : next(Object.assign(new Error("not you"), { data: { code: 42, got: auth } })),
      );
      t.client(server, { options: { auth: { token: "wrong" } } });
      // The last active socket is gone, and with it the connection.
      const refusal = ["a", "connect_error", "not you", { code: 42, got: { token: "wrong" } }];
      await t.agent.lines(refusal, ["manager", "close", "forced close"]);
      await eventually(() => assert.equal(server.io.engine.clientsCount, 0));
      t.agent.tell("auth", { id: "a", auth: { token: "secret", more: [1] } });
      t.agent.tell("connect", { id: "a" });
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual(socket.handshake.auth, { token: "secret", more: [1] });
    },
  },
  {
    name: "one namespace refuses, another one does not",
    async run(t) {
      const server = await t.serve({ namespaces: ["/", "/b"] });
      server.io.of("/b").use((_, next) => next(new Error("no entry")));
      t.client(server);
      await t.connected(server);
      t.agent.tell("socket", { id: "b", namespace: "/b" });
      await t.agent.line("b", "connect_error", "no entry");
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
      t.agent.tell("connect", { id: "b" });
      await t.agent.line("b", "connect_error", "no entry");
    },
  },
  {
    name: "an invalid namespace",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      await t.connected(server);
      t.agent.tell("socket", { id: "b", namespace: "/nowhere" });
      await t.agent.line("b", "connect_error", "Invalid namespace");
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
    },
  },
  {
    name: "the server disconnects the socket, which connects again",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      socket.emit("bye", bytes(4));
      socket.disconnect();
      await t.agent.line("a", "event", "bye");
      await t.agent.lines(["a", "disconnect", "io server disconnect"], ["manager", "close"]);
      await eventually(() => assert.equal(server.io.engine.clientsCount, 0));
      t.agent.tell("connect", { id: "a" });
      await t.connected(server);
    },
  },
  {
    name: "the server closes the connection, and the client comes back",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      socket.disconnect(true);
      // Nothing brings this socket back: all namespaces are told.
      await t.agent.lines(["a", "disconnect", "io server disconnect"], ["manager", "close"]);
      t.agent.tell("connect", { id: "a" });
      await t.connected(server);
      // What ends only the connection is no goodbye.
      const again = await server.socket();
      again.conn.close();
      await t.agent.line("a", "disconnect", "transport close");
      await t.connected(server);
    },
  },
  {
    name: "the client disconnects, and connects again",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const byes = [0, 1, 2, 3].map((index) => ["bye", index, bytes(100)]);
      for (const [event, ...args] of byes) t.agent.tell("emit", { id: "a", event, args });
      t.agent.tell("disconnect", { id: "a" });
      await t.agent.line("a", "disconnect", "io client disconnect");
      assert.deepEqual(await socket.take(4), byes);
      assert.equal(await socket.ended, "client namespace disconnect");
      await eventually(() => assert.equal(server.io.engine.clientsCount, 0));
      t.agent.tell("emit", { id: "a", event: "kept" });
      t.agent.tell("connect", { id: "a" });
      const again = await server.socket();
      await t.connected(server);
      assert.deepEqual(await again.take(), [["kept"]]);
    },
  },
  {
    name: "the client closes the connection with all its sockets",
    async run(t) {
      const server = await t.serve({ namespaces: ["/", "/b"] });
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      t.agent.tell("socket", { id: "b", namespace: "/b" });
      const other = await server.socket("/b");
      await t.agent.line("b", "connect");
      t.agent.tell("emit", { id: "b", event: "last", args: [bytes(1_000)] });
      t.agent.tell("close");
      await t.agent.line("closed");
      assert.deepEqual(await other.take(), [["last", bytes(1_000)]]);
      assert.deepEqual(await Promise.all([socket.ended, other.ended]), Array(2).fill("client namespace disconnect"));
      await eventually(() => assert.equal(server.io.engine.clientsCount, 0));
    },
  },
  {
    name: "what is emitted while offline is kept, in order, and sent before connect is told",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      proxy.hold();
      t.client(proxy, { greet: ["greeting", bytes(1)] });
      const kept = Array.from({ length: 50 }, (_, index) => ["kept", index, ...(index % 7 ? [] : [bytes(index)])]);
      for (const [event, ...args] of kept) t.agent.tell("emit", { id: "a", event, args });
      t.agent.tell("ask", { id: "a", tag: "kept", event: "echo", args: ["asked"] });
      await t.agent.obeyed();
      proxy.resume();
      const socket = await server.socket();
      assert.deepEqual(await socket.take(52), [...kept, ["echo", "asked"], ["greeting", bytes(1)]]);
      await t.agent.line("a", "connect");
      await t.agent.line("a", "ack", "kept", "asked");
    },
  },
  {
    name: "an ack of a kept event times out while offline, and the event is not sent",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      proxy.hold();
      t.client(proxy);
      t.agent.tell("ask", { id: "a", tag: "kept", event: "never", timeout: 100 });
      t.agent.tell("emit", { id: "a", event: "kept" });
      await t.agent.line("a", "ack_error", "kept", "operation has timed out");
      proxy.resume();
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual(await socket.take(), [["kept"]]);
    },
  },
  {
    name: "what the server emits in its connection handler",
    async run(t) {
      const server = await t.serve();
      server.io.on("connection", (socket) => {
        for (let index = 0; index < 20; index++) socket.emit("early", index, ...(index % 3 ? [] : [bytes(index)]));
      });
      t.client(server);
      const socket = await server.socket();
      await t.agent.line("a", "event", "early", 19);
      socket.emit("later");
      await t.agent.line("a", "event", "later");
    },
  },
  {
    name: "volatile events are dropped before there is a connection",
    async run(t) {
      const server = await t.serve();
      const proxy = await t.proxy(server);
      proxy.hold();
      t.client(proxy);
      t.agent.tell("emit", { id: "a", event: "dropped", volatile: true });
      t.agent.tell("emit", { id: "a", event: "kept" });
      await t.agent.obeyed();
      proxy.resume();
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual(await socket.take(), [["kept"]]);
      // Nor are they sent while a request is on its way.
      const now = eventually(() => {
        t.agent.tell("emit", { id: "a", event: "now", volatile: true });
        if (socket.received < 2) throw new Error("nothing has come");
      });
      assert.deepEqual(await socket.take(), [["now"]]);
      await now;
    },
  },
  {
    name: "the server's volatile and compressed events, and broadcasts",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      await socket.join("room");
      server.io.to("room").emit("to room", bytes(3));
      server.io.emit("to all", 1);
      socket.compress(true).emit("compressed", "x".repeat(5_000));
      await t.agent.line("a", "event", "compressed");
      assert.deepEqual(await server.io.timeout(5_000).emitWithAck("echo", 1, 2), [1]);
    },
  },
  {
    name: "many events, both ways, in order",
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const numbers = Array.from({ length: 500 }, (_, index) => index);
      for (const index of numbers) {
        const args = index % 10 ? [index] : [index, bytes(index)];
        socket.emit("down", ...args);
        t.agent.tell("emit", { id: "a", event: "up", args });
      }
      await t.agent.line("a", "event", "down", 499);
      const up = await socket.take(500);
      assert.deepEqual(
        up.map(([, index]) => index),
        numbers,
      );
    },
  },
];
