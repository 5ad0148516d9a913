import { Agent, request as httpRequest } from "node:http";
import { deferred, sleep, within } from "./time.mjs";

const SEPARATOR = "\x1e";

/** The answer to one HTTP request, sent on a connection of its own. `body` may be an iterable of chunks. */
export async function request(server, options = {}) {
  return start(server, options).response;
}

/** Starts a request: `{ response, abort(), sent }`. `sent` resolves when the head is on its way. */
export function start(server, { method = "GET", path = server.path, query = {}, headers = {}, body, length } = {}) {
  const { promise: response, resolve, reject } = deferred();
  const { promise: sent, resolve: onSent } = deferred();
  const search = typeof query === "string" ? query : new URLSearchParams(query).toString();
  const outgoing = httpRequest({
    host: "127.0.0.1",
    port: server.port,
    method,
    path: search ? `${path}?${search}` : path,
    headers: { ...headers, ...(length === undefined ? {} : { "content-length": length }) },
    agent: new Agent(),
  });
  outgoing.on("error", reject);
  outgoing.on("socket", (socket) => socket.once("connect", onSent));
  outgoing.on("response", (incoming) => {
    const chunks = [];
    incoming.on("data", (chunk) => chunks.push(chunk));
    incoming.on("error", reject);
    incoming.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      resolve({ status: incoming.statusCode, headers: incoming.headers, text });
    });
  });
  if (body === undefined || typeof body === "string" || Buffer.isBuffer(body)) {
    if (length === undefined) outgoing.end(body);
    else if (body?.length) outgoing.write(body);
    else outgoing.flushHeaders();
  } else {
    for (const chunk of body) outgoing.write(chunk);
    outgoing.end();
  }
  const answer = within(10_000, response, `the answer to ${method} ${path}?${search}`);
  answer.catch(() => {});
  return { response: answer, sent, abort: () => outgoing.destroy() };
}

/** An Engine.IO session over polling, driven by hand. */
export class Polling {
  #server;
  #buffer = [];

  constructor(server, handshake) {
    this.#server = server;
    this.handshake = handshake;
    this.sid = handshake.sid;
  }

  static async open(server, query = {}) {
    const answer = await request(server, { query: { EIO: 4, transport: "polling", ...query } });
    if (answer.status !== 200) throw new Error(`handshake: ${answer.status} ${answer.text}`);
    return new Polling(server, JSON.parse(answer.text.slice(1)));
  }

  /** A session that has joined the main namespace. */
  static async connected(server, auth = "") {
    const session = await Polling.open(server);
    await session.post(`40${auth}`);
    await session.packet();
    await session.packet();
    return session;
  }

  options(options = {}) {
    return { ...options, query: { EIO: 4, transport: "polling", sid: this.sid, ...options.query } };
  }

  start(options) {
    return start(this.#server, this.options(options));
  }

  request(options) {
    return request(this.#server, this.options(options));
  }

  get() {
    return this.request();
  }

  post(body, headers = {}) {
    return this.request({ method: "POST", body, headers: { "content-type": "text/plain;charset=UTF-8", ...headers } });
  }

  /** The next packet, whichever response it comes in. */
  async packet() {
    while (this.#buffer.length === 0) {
      const answer = await this.get();
      if (answer.status !== 200) throw new Error(`GET: ${answer.status} ${answer.text}`);
      this.#buffer.push(...answer.text.split(SEPARATOR));
    }
    return this.#buffer.shift();
  }
}

/**
 * Calls `run` with a session and a request of it that the server has taken. That cannot be seen: it has some milliseconds
 * for it, and many if `run` fails.
 */
export async function underWay(server, options, run) {
  const attempt = async (ms) => {
    const session = await Polling.open(server);
    const request = session.start(options);
    await request.sent;
    await sleep(ms);
    await run(session, request);
  };
  await attempt(30).catch(() => attempt(1_000));
}
