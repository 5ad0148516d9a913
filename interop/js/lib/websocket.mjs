import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import WebSocket from "ws";
import { deferred, within } from "./time.mjs";

/** A WebSocket whose messages are taken one by one. */
export class RawSocket {
  #inbox = [];
  #waiting = [];

  constructor(ws) {
    this.ws = ws;
    const { promise, resolve } = deferred();
    this.closed = promise;
    ws.on("message", (data, binary) => this.#push(binary ? data : data.toString()));
    ws.on("close", (code, reason) => {
      this.ended = true;
      this.#waiting.splice(0).forEach(({ reject }) => reject(new Error(`closed with ${code}`)));
      resolve({ code, reason: reason.toString() });
    });
    ws.on("error", () => {});
  }

  /** Opens the socket; the failure of a refused one has `status` and `text`. */
  static async open(server, { query = {}, headers = {}, search = defaults(query), ...options } = {}) {
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}${server.path}?${search}`, { headers, ...options });
    const socket = new RawSocket(ws);
    const { promise, resolve, reject } = deferred();
    ws.on("open", resolve);
    ws.on("error", reject);
    ws.on("unexpected-response", (_, incoming) => {
      const chunks = [];
      incoming.on("data", (chunk) => chunks.push(chunk));
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        reject(Object.assign(new Error(`refused with ${incoming.statusCode}`), { status: incoming.statusCode, text }));
        ws.terminate();
      });
    });
    await within(5_000, promise, "the WebSocket to open");
    return socket;
  }

  /** A new Engine.IO session. */
  static async session(server, options) {
    const socket = await RawSocket.open(server, options);
    socket.handshake = JSON.parse((await socket.next()).slice(1));
    return socket;
  }

  /** A new session that has joined the main namespace. */
  static async connected(server, options) {
    const socket = await RawSocket.session(server, options);
    socket.send("40");
    socket.socketId = JSON.parse((await socket.next()).slice(2)).sid;
    await socket.next();
    return socket;
  }

  #push(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(message);
    else this.#inbox.push(message);
  }

  send(...messages) {
    for (const message of messages) this.ws.send(message);
  }

  /** The next message: text as a string, binary as a buffer. */
  async next(ms = 3_000) {
    if (this.#inbox.length) return this.#inbox.shift();
    if (this.ended) throw new Error("closed");
    const waiting = deferred();
    this.#waiting.push(waiting);
    return within(ms, waiting.promise, "a message");
  }

  /** The close code that the server ended the connection with. */
  async close(ms = 3_000) {
    return (await within(ms, this.closed, "the server to close")).code;
  }

  /** What came but was not taken. */
  rest() {
    return this.#inbox.splice(0);
  }

  terminate() {
    this.ws.terminate();
  }
}

/** A TCP connection with a WebSocket handshake, for frames that no library would send. */
export class FrameSocket {
  #bytes = Buffer.alloc(0);
  #wake = () => {};

  constructor(stream) {
    this.stream = stream;
    stream.on("data", (chunk) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      this.ended = true;
      this.#wake();
    });
  }

  /** Sends the opening handshake; `status` is that of the answer. */
  static async open(server, { query = {}, headers = {}, method = "GET", behind = Buffer.alloc(0) } = {}) {
    const stream = connect(server.port, "127.0.0.1");
    stream.setNoDelay(true);
    const socket = new FrameSocket(stream);
    const search = defaults(query);
    const fields = {
      host: `127.0.0.1:${server.port}`,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64"),
      ...headers,
    };
    const lines = Object.entries(fields).filter(([, value]) => value !== undefined);
    const head = [`${method} ${server.path}?${search} HTTP/1.1`, ...lines.map(([key, value]) => `${key}: ${value}`)];
    stream.write(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), behind]));
    const answer = await socket.#take(headLength, "the handshake's answer");
    socket.answer = answer.toString();
    socket.status = Number(socket.answer.split(" ")[1]);
    return socket;
  }

  /** Takes as many bytes as `measure` says, once it knows and they are there. */
  async #take(measure, what) {
    for (;;) {
      const count = measure(this.#bytes);
      if (count !== undefined && this.#bytes.length >= count) {
        const taken = this.#bytes.subarray(0, count);
        this.#bytes = this.#bytes.subarray(count);
        return taken;
      }
      if (this.ended) throw new Error(`the stream ended before ${what}`);
      await this.#change(what);
    }
  }

  #change(what) {
    return within(3_000, new Promise((resolve) => (this.#wake = resolve)), what);
  }

  send(bytes) {
    this.stream.write(bytes);
  }

  /** The next frame: `{ opcode, payload }`. The server's frames here are shorter than 64 KiB. */
  async next() {
    const bytes = await this.#take(frameLength, "a frame");
    return { opcode: bytes[0] & 15, payload: bytes.subarray(bytes[1] < 126 ? 2 : 4) };
  }

  /** The code of the close frame that ends the connection, 1005 for an empty one, 1006 for none. */
  async close() {
    for (;;) {
      const frame = await this.next().catch((error) => {
        if (this.ended) return { opcode: 8, payload: Buffer.from([1006 >> 8, 1006 & 255]) };
        throw error;
      });
      if (frame.opcode === 8) return frame.payload.length ? frame.payload.readUInt16BE(0) : 1005;
    }
  }

  /** Resolves when the TCP connection has ended. */
  async closed() {
    while (!this.ended) await this.#change("the end of the stream");
  }

  destroy() {
    this.stream.destroy();
  }
}

function defaults(query) {
  return new URLSearchParams({ EIO: 4, transport: "websocket", ...query });
}

function headLength(bytes) {
  const end = bytes.indexOf("\r\n\r\n");
  return end < 0 ? undefined : end + 4;
}

function frameLength(bytes) {
  if (bytes.length < 2) return undefined;
  if (bytes[1] < 126) return 2 + bytes[1];
  return bytes.length < 4 ? undefined : 4 + bytes.readUInt16BE(2);
}

/** A client's frame. */
export function frame(payload, { opcode = 1, fin = true, rsv = 0, masked = true } = {}) {
  const body = Buffer.from(payload);
  const first = (fin ? 128 : 0) | (rsv << 4) | opcode;
  const length =
    body.length < 126
      ? [body.length]
      : body.length < 65536
        ? [126, body.length >> 8, body.length & 255]
        : [127, 0, 0, 0, 0, ...[24, 16, 8, 0].map((shift) => (body.length >>> shift) & 255)];
  if (!masked) return Buffer.concat([Buffer.from([first, ...length]), body]);
  length[0] |= 128;
  const mask = randomBytes(4);
  return Buffer.concat([Buffer.from([first, ...length]), mask, body.map((byte, index) => byte ^ mask[index % 4])]);
}
