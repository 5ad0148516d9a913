// What is below the events: the upgrade, TLS, headers, cookies, sizes, heartbeats.
import assert from "node:assert/strict";
import { certificates } from "../certificates.mjs";
import { eventually } from "../time.mjs";

const numbers = (count) => Array.from({ length: count }, (_, index) => index);

export default [
  {
    name: "an upgrade with traffic, both ways: complete and in order",
    over: ["upgrade"],
    async run(t) {
      const server = await t.serve();
      t.client(server);
      const socket = await server.socket();
      await t.agent.line("a", "connect");
      const send = (from, to) => {
        for (let number = from; number < to; number++) {
          const args = number % 5 ? [number] : [number, Buffer.alloc(number, 1)];
          socket.emit("down", ...args);
          t.agent.tell("emit", { id: "a", event: "up", args });
        }
      };
      send(0, 200);
      await socket.take(50);
      const upgraded = t.upgrade(server);
      for (let number = 200; number < 600; number += 10) {
        send(number, number + 10);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await upgraded;
      send(600, 800);
      const up = await socket.take(750);
      assert.deepEqual(
        up.map(([, number]) => number),
        numbers(800).slice(50),
      );
      await t.agent.lineSeen("a", "event", "down", 799);
    },
    // The events are the same; where between them the upgrade ends, is for the network to say.
    compared: (log) => [
      ...log.filter((line) => line.startsWith('["manager","upgrade"')),
      ...log.filter((line) => !line.startsWith('["manager","upgrade"')),
    ],
  },
  {
    name: "an upgrade that the server does not offer",
    over: ["upgrade"],
    async run(t) {
      const server = await t.serve({ allowUpgrades: false });
      t.client(server);
      const socket = await server.socket();
      await t.agent.line("a", "connect");
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
      assert.equal(socket.conn.transport.name, "polling");
    },
  },
  {
    name: "an upgrade that fails: polling goes on",
    over: ["upgrade"],
    async run(t) {
      const server = await t.serve({ gate: false });
      server.http.removeAllListeners("upgrade");
      const refused = new Promise((resolve) =>
        server.http.on("upgrade", (_, stream) => {
          stream.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
          resolve();
        }),
      );
      t.client(server);
      const socket = await server.socket();
      await t.agent.line("a", "connect");
      await refused;
      for (const number of numbers(20)) socket.emit("down", number);
      await t.agent.line("a", "event", "down", 19);
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo", args: [Buffer.from("x")] });
      await t.agent.line("a", "ack", 1, Buffer.from("x"));
    },
  },
  {
    name: "an upgrade that the client does not want",
    over: ["upgrade"],
    async run(t) {
      const server = await t.serve({ gate: false });
      t.client(server, { options: { upgrade: false } });
      const socket = await server.socket();
      await t.agent.line("a", "connect");
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
      assert.equal(socket.conn.transport.name, "polling");
    },
  },
  {
    name: "a transport that the server does not have, then the next one",
    over: ["upgrade"],
    async run(t) {
      const server = await t.serve({ gate: false, transports: ["websocket"] });
      t.client(server, { options: { tryAllTransports: true } });
      await t.agent.line("a", "connect");
    },
  },
  {
    name: "a transport that the server does not have, and no other one is tried",
    over: ["websocket", "polling"],
    async run(t) {
      const others = { websocket: ["polling"], polling: ["websocket"] };
      const server = await t.serve({ transports: others[t.transport] });
      t.client(server, { options: { tryAllTransports: false, reconnectionAttempts: 1 } });
      await t.agent.line("manager", "reconnect_failed");
      await t.agent.line("manager", "reconnect_error");
    },
  },
  {
    name: "TLS, by an authority that is known",
    async run(t) {
      const { ca, ...tls } = await certificates();
      const server = await t.serve({ tls });
      t.client(server, { options: { ca } });
      const socket = await server.socket();
      await t.connected(server);
      assert.ok(socket.handshake.secure);
      const args = ["x".repeat(50_000), Buffer.alloc(50_000, 7)];
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo", args });
      await t.agent.line("a", "ack", 1, ...args);
    },
  },
  {
    name: "TLS, by an authority that is not known",
    async run(t) {
      const { ca: _, ...tls } = await certificates();
      const { ca } = await certificates();
      const server = await t.serve({ tls });
      t.client(server, { options: { ca, reconnectionAttempts: 1 } });
      await t.agent.line("a", "connect_error");
      await t.agent.line("manager", "reconnect_failed");
      await t.agent.line("manager", "reconnect_error");
      assert.equal(server.io.engine.clientsCount, 0);
    },
  },
  {
    name: "plain text for a server that speaks TLS",
    async run(t) {
      const tls = await certificates();
      const server = await t.serve({ tls });
      t.client({ url: server.url.replace("https", "http") }, { options: { reconnectionAttempts: 1 } });
      await t.agent.line("manager", "reconnect_failed");
      await t.agent.line("manager", "reconnect_error");
    },
  },
  {
    name: "headers, parameters and path reach the server",
    async run(t) {
      const server = await t.serve({ path: "/deep/er" });
      const requests = [];
      server.http.prependListener("request", (request) => requests.push(request));
      server.http.prependListener("upgrade", (request) => requests.push(request));
      const query = { room: "a & b=c", ключ: "знач", empty: "" };
      const extraHeaders = { "X-Custom": "some value", Authorization: "Bearer abc" };
      t.client(server, { options: { path: "/deep/er", query, extraHeaders } });
      const socket = await server.socket();
      await t.connected(server);
      const { EIO, transport: _transport, t: _time, ...rest } = socket.handshake.query;
      assert.deepEqual({ EIO, rest: { ...rest } }, { EIO: "4", rest: query });
      assert.ok(requests.length > 0);
      for (const { url, headers } of requests) {
        assert.ok(url.startsWith("/deep/er/?"), url);
        assert.deepEqual([headers["x-custom"], headers.authorization], ["some value", "Bearer abc"]);
      }
    },
  },
  {
    name: "parameters in the address",
    async run(t) {
      const server = await t.serve();
      t.client({ url: `${server.url}/?room=1&name=a%20b` });
      const socket = await server.socket();
      await t.connected(server);
      assert.deepEqual([socket.handshake.query.room, socket.handshake.query.name], ["1", "a b"]);
    },
  },
  {
    name: "cookies are sent back, as a sticky balancer needs it",
    over: ["polling", "upgrade"],
    async run(t) {
      const server = await t.serve();
      const cookies = [];
      const note = ({ headers }) => cookies.push(headers.cookie);
      server.io.engine.on("initial_headers", (headers) => {
        headers["set-cookie"] = ["node=n1; Path=/; HttpOnly", "other=2; Path=/"];
      });
      server.http.prependListener("request", note);
      server.http.prependListener("upgrade", note);
      t.client(server);
      await t.connected(server);
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
      assert.equal(cookies[0], undefined);
      assert.deepEqual([...new Set(cookies.slice(1))], ["node=n1; other=2"]);
    },
  },
  {
    name: "messages close to the server's limit pass, many of them, in order",
    async run(t) {
      const maxHttpBufferSize = 100_000;
      const server = await t.serve({ maxHttpBufferSize });
      const bodies = [];
      server.http.prependListener("request", (request) => {
        if (request.method !== "POST") return;
        bodies.push(Number(request.headers["content-length"]));
      });
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      // Of exactly the limit: `42["big","xxx"]`, and a message type in front of it over polling.
      const text = "x".repeat(maxHttpBufferSize - '42["big",""]'.length);
      t.agent.tell("emit", { id: "a", event: "big", args: [text] });
      assert.deepEqual(await socket.take(), [["big", text]]);
      for (const number of numbers(40)) {
        t.agent.tell("emit", { id: "a", event: "many", args: [number, "y".repeat(30_000 + number)] });
        t.agent.tell("emit", { id: "a", event: "blob", args: [number, Buffer.alloc(20_000, number)] });
      }
      const got = await socket.take(80);
      assert.deepEqual(
        got.map(([, number]) => number),
        numbers(40).flatMap((number) => [number, number]),
      );
      assert.ok(
        bodies.every((length) => length <= maxHttpBufferSize),
        `bodies of ${bodies}`,
      );
      socket.emit("big", text);
      await t.agent.line("a", "event", "big", text);
    },
  },
  {
    name: "a message over the server's limit ends the connection, which comes back",
    async run(t) {
      const server = await t.serve({ maxHttpBufferSize: 10_000 });
      t.client(server);
      await server.socket();
      await t.connected(server);
      t.agent.tell("emit", { id: "a", event: "big", args: ["x".repeat(20_000)] });
      await t.agent.line("a", "disconnect");
      await t.connected(server);
    },
  },
  {
    name: "the connection stays over many heartbeats",
    async run(t) {
      const server = await t.serve({ pingInterval: 40, pingTimeout: 2_000 });
      t.client(server);
      const socket = await server.socket();
      let pongs = 0;
      socket.conn.on("packet", ({ type }) => (pongs += type === "pong"));
      await t.connected(server);
      await eventually(() => assert.ok(pongs > 30, `${pongs} pongs`));
      t.agent.tell("ask", { id: "a", tag: 1, event: "echo" });
      await t.agent.line("a", "ack", 1);
    },
  },
  {
    name: "compression is no matter",
    over: ["websocket", "upgrade"],
    async run(t) {
      const server = await t.serve({ perMessageDeflate: { threshold: 10 } });
      t.client(server);
      const socket = await server.socket();
      await t.connected(server);
      const args = ["z".repeat(20_000), Buffer.alloc(20_000)];
      assert.deepEqual(await socket.ask("echo", ...args), args);
    },
  },
];
