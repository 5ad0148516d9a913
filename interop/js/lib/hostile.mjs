// Servers by hand, to do what no server should.
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { WebSocketServer } from "ws";

/** The first packet of a session. */
export function handshake(fields) {
  const usual = { sid: "s", upgrades: [], pingInterval: 25_000, pingTimeout: 20_000, maxPayload: 1_000_000 };
  return `0${JSON.stringify({ ...usual, ...fields })}`;
}

async function listen(server, end) {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { port: server.address().port, close: () => (end?.(), server.close()) };
}

/** Whatever `onStream(stream, head)` does with a connection, once the head of a request is there. */
export function startRaw(onStream) {
  const open = new Set();
  const server = createServer((stream) => {
    open.add(stream);
    stream.on("error", () => {});
    stream.once("data", (chunk) => onStream(stream, chunk.toString("latin1")));
  });
  return listen(server, () => open.forEach((stream) => stream.destroy()));
}

/** Writes `chunk` for ever, as fast as it is read. */
export function endless(stream, chunk) {
  const more = () => {
    while (!stream.destroyed && stream.write(chunk));
  };
  stream.on("drain", more);
  more();
}

/**
 * A session over WebSocket. `first` is its first packet. It lets the client in, unless `answer` says something else
 * (nothing, if null), and then calls `then(peer)`.
 */
export function startWebSocket({ first = handshake(), answer = '40{"sid":"x"}', then = () => {} }) {
  const http = createHttpServer();
  const server = new WebSocketServer({ server: http, perMessageDeflate: false });
  server.on("connection", (ws, { socket: stream }) => {
    ws.on("error", () => {});
    const peer = {
      ws,
      stream,
      send: (...messages) => messages.forEach((message) => ws.send(message)),
      write: (bytes) => stream.write(bytes),
    };
    ws.send(first);
    ws.on("message", (data) => {
      if (!data.toString().startsWith("40") || peer.asked) return;
      peer.asked = true;
      if (answer !== null) ws.send(answer);
      then(peer);
    });
  });
  return listen(http, () => server.clients.forEach((client) => client.terminate()));
}

/**
 * A session over polling: `get(response, number, request)` answers the polls from number 0 on, `post(response)` the
 * others. Without them the client is let in, and hears nothing more.
 */
export function startPolling({ get = () => {}, post = (response) => response.end("ok"), upgrade } = {}) {
  let number = 0;
  const usual = [handshake({ upgrades: upgrade ? ["websocket"] : [] }), '40{"sid":"x"}'];
  const http = createHttpServer((request, response) => {
    if (request.method === "POST") {
      request.resume();
      request.on("end", () => post(response, request));
    } else {
      const given = get(response, number, request);
      if (given === undefined && usual[number]) response.end(usual[number]);
      number++;
    }
  });
  if (upgrade) http.on("upgrade", upgrade);
  return listen(http, () => http.closeAllConnections());
}
