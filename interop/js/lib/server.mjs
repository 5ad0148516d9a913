import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { createInterface } from "node:readline";
import { within } from "./time.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
process.once("SIGTERM", () => process.exit(1));

/** The runtime that is tested. */
const ADAPTER = process.env.ADAPTER ?? "tokio";
/** Examples that have no runtime. */
const PLAIN = ["blocking", "blocking_client"];
/** Programs of the example `interop`. */
const INTEROP = ["conformance", "engine-conformance", "client-conformance"];

/** The command that starts a program, on the runtime that is tested. */
export function command(name) {
  const [example, ...args] = INTEROP.includes(name) ? ["interop", name] : [name];
  const file = ADAPTER === "tokio" || PLAIN.includes(name) ? example : `${example}-${ADAPTER}`;
  const binary = join(process.env.SERVER_BIN_DIR ?? "../target/debug/examples", file);
  if (!existsSync(binary)) throw new Error(`${binary} is missing; SERVER_BIN_DIR names where the examples are`);
  return [binary, ...args];
}

/**
 * Starts a program as a process on a free port. `flags`: `{ pingIntervalMs: 300 }` is `--ping-interval-ms 300`; an array
 * is given as it is.
 */
export async function startServer(name, flags = {}) {
  const [binary, ...first] = command(name);
  const args = Array.isArray(flags) ? flags.map(String) : toArguments({ port: 0, ...flags });
  const child = spawn(binary, [...first, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);

  let log = "";
  child.stderr.on("data", (chunk) => (log = (log + chunk).slice(-20_000)));
  const exited = new Promise((resolve) =>
    child.on("exit", (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    }),
  );
  const listening = new Promise((resolve, reject) => {
    createInterface(child.stdout).on("line", (line) => {
      const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
      if (port) resolve(Number(port));
    });
    exited.then(({ code, signal }) => reject(new Error(`${name} ended with ${code ?? signal}: ${log}`)));
  });

  const port = await within(10_000, listening, `${name} to listen`);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    path: name.startsWith("engine") ? "/engine.io/" : "/socket.io/",
    pid: child.pid,
    exited,
    log: () => log,
    async stop() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function toArguments(flags) {
  return Object.entries(flags).flatMap(([key, value]) => [
    `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    String(value),
  ]);
}

/** One server for all tests of the surrounding `describe`; its fields are there from the first test on. */
export function useServer(name, flags = {}) {
  const server = {};
  before(async () => Object.assign(server, await startServer(name, flags)));
  after(async () => {
    const end = await Promise.race([server.exited, null]);
    await server.stop?.();
    if (end && end.code !== 0) throw new Error(`${name} ended with ${end.code ?? end.signal}: ${server.log()}`);
  });
  return server;
}

/** Runs a `describe` once for each number of worker threads in `WORKERS`; by default 1 and 2, if the runtime can. */
export function onWorkers(title, body) {
  for (const workers of (process.env.WORKERS ?? (ADAPTER === "own" ? "1" : "1,2")).split(",")) {
    describe(`${title}, workers: ${workers}`, () => body({ workers: Number(workers) }));
  }
}
