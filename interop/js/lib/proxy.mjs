import { connect, createServer } from "node:net";

/** A TCP proxy in front of a server: connections are cut, held or silenced at will. */
export class Proxy {
  /** Bytes that were swallowed. */
  swallowed = 0;
  #pairs = new Set();
  #held = [];
  #holding = false;
  #silent = false;

  constructor(port) {
    this.target = port;
    this.server = createServer({ allowHalfOpen: true }, (client) => {
      client.on("error", () => {});
      if (this.#holding) this.#held.push(client);
      else this.#join(client);
    });
  }

  static async start(port, listen = 0) {
    const proxy = new Proxy(port);
    await new Promise((resolve) => proxy.server.listen(listen, "127.0.0.1", resolve));
    proxy.port = proxy.server.address().port;
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  #join(client) {
    if (client.destroyed) return;
    const server = connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true });
    const pair = { client, server };
    this.#pairs.add(pair);
    const end = () => {
      client.destroy();
      server.destroy();
    };
    for (const [from, to, way] of [
      [client, server, "up"],
      [server, client, "down"],
    ]) {
      from.setNoDelay(true);
      from.on("data", (chunk) => {
        if (this.#silent) {
          this.swallowed += chunk.length;
          return;
        }
        const keep = this.onData?.(chunk, way, end) ?? chunk;
        if (keep.length && !to.destroyed && !to.write(keep)) from.pause();
      });
      to.on("drain", () => from.resume());
      from.on("end", () => !this.#silent && to.end());
      from.on("error", end);
      from.on("close", () => {
        to.destroySoon();
        this.#pairs.delete(pair);
      });
    }
  }

  /** Cuts every connection. */
  cut() {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    this.#pairs.clear();
  }

  /** Holds new connections: they are accepted, and nothing more. */
  hold() {
    this.#holding = true;
  }

  /** Swallows whatever comes, both ways, on connections new and old. */
  silence() {
    this.#silent = true;
  }

  /** Ends `hold` and `silence`. */
  resume() {
    this.#holding = this.#silent = false;
    for (const client of this.#held.splice(0)) this.#join(client);
  }

  close() {
    this.cut();
    this.#held.forEach((client) => client.destroy());
    this.server.close();
  }
}
