// The clients under test, as processes that are told what to do; `client_agent.mjs` says how.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { command } from "./server.mjs";
import { deferred, within } from "./time.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** Which clients are tested: `ours`, and the official one that it is compared with. */
export const OURS = "ours";
export const OFFICIAL = "official";

function agent(kind) {
  if (kind === OFFICIAL) return [process.execPath, fileURLToPath(new URL("client_agent.mjs", import.meta.url))];
  return command("client-conformance");
}

/** A client in a process of its own. */
export class Agent {
  /** Every line so far, as text; what it says is compared, not how it is written. */
  log = [];
  #read = 0;
  #marks = 0;
  #wake = () => {};
  #stderr = "";

  constructor(kind) {
    this.kind = kind;
    const [program, ...args] = agent(kind);
    this.child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    running.add(this.child);
    this.child.stdin.on("error", () => {});
    this.child.stderr.on("data", (chunk) => (this.#stderr = (this.#stderr + chunk).slice(-5_000)));
    createInterface(this.child.stdout).on("line", (line) => {
      this.log.push(JSON.stringify(sorted(JSON.parse(line))));
      this.#wake();
    });
    this.exited = new Promise((resolve) =>
      this.child.on("exit", (code, signal) => {
        running.delete(this.child);
        this.ended = true;
        resolve({ code, signal });
        this.#wake();
      }),
    );
  }

  get pid() {
    return this.child.pid;
  }

  /** Gives a command: `agent.tell("emit", { id: "a", event: "x" })`. Bytes in it are marked. */
  tell(what, fields = {}) {
    this.child.stdin.write(`${JSON.stringify(mark({ do: what, ...fields }))}\n`);
  }

  /** Resolves once the client has done what it was told. */
  async obeyed() {
    const tag = ++this.#marks;
    this.tell("mark", { tag });
    await this.line("mark", tag);
  }

  /** The next line that begins with `start`, behind the one that was taken last. */
  async line(...start) {
    return this.lineWithin(10_000, ...start);
  }

  /** The lines that begin with each of `starts`, in whatever order they come. */
  async lines(...starts) {
    const wanted = new Set(starts.map(beginning));
    return this.#find(10_000, `all of ${[...wanted]}`, (line) => {
      for (const start of wanted) if (isBegun(line, start)) return wanted.delete(start) && wanted.size === 0;
    });
  }

  /** Whether such a line was there at any time; else it is waited for. */
  async lineSeen(...start) {
    this.#read = 0;
    return this.line(...start);
  }

  async lineWithin(ms, ...start) {
    const begin = beginning(start);
    return this.#find(ms, `${begin}..]`, (line) => isBegun(line, begin));
  }

  /** The first line that `matches` accepts. */
  async #find(ms, what, matches) {
    const find = async () => {
      for (;;) {
        while (this.#read < this.log.length) {
          const line = this.log[this.#read++];
          if (matches(line)) return JSON.parse(line);
        }
        if (this.ended) throw new Error(`the client has ended instead of saying ${what}`);
        const { promise, resolve } = deferred();
        this.#wake = resolve;
        await promise;
      }
    };
    try {
      return await within(ms, find(), what);
    } catch (error) {
      const lines = this.log.slice(-30).map((line) => (line.length > 300 ? `${line.slice(0, 300)}..` : line));
      throw new Error(`${error.message}\n${lines.join("\n")}\n${this.#stderr}`);
    }
  }

  /** How many bytes the process has in memory. */
  memory() {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))[1]) * 1024;
  }

  /** Ends the process, which must still be alive, and must not have failed. */
  async end() {
    this.tell("end");
    const { code, signal } = await within(5_000, this.exited, "the client to end");
    if (code !== 0) throw new Error(`the ${this.kind} client ended with ${code ?? signal}: ${this.#stderr}`);
  }

  kill() {
    this.child.kill("SIGKILL");
  }
}

const beginning = (start) => JSON.stringify(sorted(mark(start))).slice(0, -1);
const isBegun = (line, start) => line.startsWith(start) && ",]".includes(line[start.length]);

/** The same with the keys of objects in order: theirs is nobody's promise. */
export function sorted(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

/** `$bin` for bytes, at any depth. */
export function mark(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Buffer.isBuffer(value)) return { $bin: value.toString("base64") };
  if (Array.isArray(value)) return value.map(mark);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mark(inner)]));
}
