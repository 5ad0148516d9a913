// Runs a scenario with our client and with the official one, and compares what they say, line by line.
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Agent, OFFICIAL, OURS, sorted } from "./agents.mjs";
import { exceptions } from "./exceptions.mjs";
import { forkOfficial, startOfficial } from "./official.mjs";
import { Proxy } from "./proxy.mjs";

/** Who is tested. One alone is compared with nobody. */
const CLIENTS = (process.env.CLIENTS ?? `${OURS},${OFFICIAL}`).split(",");

/** Where what the official client said is kept, for the other adapters that are compared with it. */
const KEPT = process.env.OFFICIAL_LOGS;

const TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  upgrade: ["polling", "websocket"],
};

/** What makes delays short, and leaves nothing to chance. */
const DEFAULTS = { reconnectionDelay: 100, reconnectionDelayMax: 1_000, randomizationFactor: 0, withCredentials: true };

/** What a scenario works with: one client, servers, proxies. All of it is ended with the scenario. */
export class Stage {
  #ends = [];

  constructor(kind, transport) {
    this.kind = kind;
    this.transport = transport;
    this.agent = new Agent(kind);
  }

  #owned(resource, end) {
    this.#ends.push(end);
    return resource;
  }

  /** The official server. Over `upgrade`, sessions stay with polling until `connected`. */
  async serve(options = {}) {
    const server = await startOfficial({ gate: this.transport === "upgrade", ...options });
    return this.#owned(server, () => server.kill());
  }

  /** The official server in a process of its own. */
  async fork(options) {
    const server = await forkOfficial(options);
    return this.#owned(server, () => server.kill());
  }

  async proxy(server, port) {
    const proxy = await Proxy.start(server.port, port);
    return this.#owned(proxy, () => proxy.close());
  }

  /** Creates the client `a`. */
  client({ url }, { options, ...fields } = {}) {
    const transports = TRANSPORTS[this.transport];
    this.agent.tell("client", { id: "a", url, options: { transports, ...DEFAULTS, ...options }, ...fields });
  }

  /** Waits until a client has said that it is connected, has moved to WebSocket over `upgrade`, and is reachable. */
  async connected(server, id = "a") {
    await this.agent.line(id, "connect");
    if (this.transport === "upgrade") await this.upgrade(server);
    await server.settled();
  }

  /** The same for a server in a process of its own. */
  async welcomed(server) {
    const upgrade = this.transport === "upgrade" ? [["manager", "upgrade"]] : [];
    await this.agent.lines(["a", "event", "welcome"], ...upgrade);
    await server.settled();
  }

  /** Lets the client move to WebSocket. */
  async upgrade(server) {
    server.openGate();
    await this.agent.line("manager", "upgrade");
    await server.upgraded();
  }

  async end() {
    this.agent.kill();
    for (const end of this.#ends.reverse()) await end();
  }
}

/** Plays a scenario with one client, and gives what it said. */
async function play(scenario, transport, kind) {
  const stage = new Stage(kind, transport);
  try {
    await scenario.run(stage);
    await stage.agent.end();
    return stage.agent.log;
  } catch (error) {
    error.message = `${kind} client: ${error.message}`;
    throw error;
  } finally {
    await stage.end();
  }
}

/** What a client says; the official one says the same whoever is compared with it. */
async function said(scenario, transport, kind) {
  if (!KEPT || kind !== OFFICIAL) return play(scenario, transport, kind);
  const file = join(KEPT, `${scenario.name} over ${transport}`.replace(/\W+/g, "-"));
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8"));
  const log = await play(scenario, transport, kind);
  writeFileSync(`${file}.${process.pid}`, JSON.stringify(log));
  renameSync(`${file}.${process.pid}`, file);
  return log;
}

async function check(scenario, transport) {
  const played = await Promise.allSettled(CLIENTS.map((kind) => said(scenario, transport, kind)));
  const failed = played.filter(({ status }) => status === "rejected").map(({ reason }) => reason);
  if (failed.length > 1) throw new AggregateError(failed, failed.map(({ message }) => message).join("\n"));
  if (failed.length) throw failed[0];
  if (played.length < 2) return;
  const applies = ({ scenario: names, over }) =>
    [names].flat().includes(scenario.name) && (over ?? Object.keys(TRANSPORTS)).includes(transport);
  // When a client has obeyed is nobody's promise.
  const logs = played.map(({ value }) => value.filter((line) => !line.startsWith('["mark",')));
  const [ours, official] = logs.map(scenario.compared ?? ((log) => log));
  compare(ours, official, exceptions.filter(applies));
}

/** Fails if there is a difference that is not listed, or one is listed that there is not. */
export function compare(ours, official, listed) {
  const known = listed.map((entry) => ({ ...entry, ours: texts(entry.ours), official: texts(entry.official) }));
  const used = new Set();
  for (const hunk of differences(ours, official)) {
    const entries = explain(hunk, known);
    if (!entries) {
      assert.fail(`not as the official client\nours:     ${hunk.ours.join("\n          ")}
official: ${hunk.official.join("\n          ")}\nall of ours:\n${ours.join("\n")}`);
    }
    entries.forEach((entry) => used.add(entry));
  }
  const unused = known.filter((entry) => !used.has(entry)).map(({ reason }) => reason);
  assert.deepEqual(unused, [], "listed as an exception, but there is no difference");
}

const texts = (lines) => lines.map((line) => JSON.stringify(sorted(line)));

/** The listed differences that a hunk consists of, one after the other; nothing, if there is more to it. */
function explain({ ours, official }, known) {
  if (!ours.length && !official.length) return [];
  for (const entry of known) {
    const begins = (lines, start) => start.every((line, index) => lines[index] === line);
    if (!begins(ours, entry.ours) || !begins(official, entry.official)) continue;
    const rest = { ours: ours.slice(entry.ours.length), official: official.slice(entry.official.length) };
    const others = explain(rest, known);
    if (others) return [entry, ...others];
  }
}

/** Where two lists differ: the parts between the lines of their longest common subsequence. */
function differences(ours, official) {
  const [m, n] = [ours.length, official.length];
  const common = Array.from({ length: m + 1 }, () => new Uint32Array(n + 1));
  for (let i = m - 1; i >= 0; i--) {
    for (let j = n - 1; j >= 0; j--) {
      const same = ours[i] === official[j];
      common[i][j] = same ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
    }
  }
  const hunks = [];
  let hunk = { ours: [], official: [] };
  const flush = () => {
    if (hunk.ours.length || hunk.official.length) hunks.push(hunk);
    hunk = { ours: [], official: [] };
  };
  let [i, j] = [0, 0];
  while (i < m || j < n) {
    if (i < m && j < n && ours[i] === official[j]) {
      flush();
      i++;
      j++;
    } else if (j >= n || (i < m && common[i + 1][j] >= common[i][j + 1])) hunk.ours.push(ours[i++]);
    else hunk.official.push(official[j++]);
  }
  flush();
  return hunks;
}

/** One test for each scenario and transport. */
export function describeScenarios(topic, scenarios) {
  describe(topic, { concurrency: 4 }, () => {
    for (const scenario of scenarios) {
      for (const transport of scenario.over ?? Object.keys(TRANSPORTS)) {
        it(`${scenario.name}, over ${transport}`, { timeout: 60_000 }, () => check(scenario, transport));
      }
    }
  });
}

/** Every exception must belong to a scenario. */
export function checkExceptions(scenarios) {
  const names = new Set(scenarios.map(({ name }) => name));
  for (const { scenario } of exceptions) for (const name of [scenario].flat()) assert.ok(names.has(name), name);
}
