// Two pages of the example `chat` in a headless Chromium, driven by playwright-core.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { chromium } from "playwright-core";
import { ownPort } from "./lib/ports.mjs";
import { startServer, useServer } from "./lib/server.mjs";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const executablePath = findChromium();
const skip = executablePath ? false : "SKIPPED: the browser tests. No Chromium was found; install it, or name it in CHROMIUM.";

describe("a browser", { skip }, () => {
  let browser;
  before(async () => (browser = await chromium.launch({ executablePath, args: ARGS, headless: true })));
  after(() => browser?.close());

  for (const [title, transport, prepare] of [
    ["over WebSocket", "websocket", () => {}],
    ["with WebSocket blocked", "polling", block],
  ]) {
    describe(title, () => {
      const server = useServer("chat");

      it("lets two pages chat, in rooms, and see each other come, type and go", async () => {
        const [ann, bob] = [await open("Ann", "lobby"), await open("Bob", "lobby")];
        for (const page of [ann, bob]) {
          await page.getByText(`connected over ${transport}`).waitFor();
          await shows(page, "users", ["Ann", "Bob"]);
        }
        await shows(ann, "messages", ["Bob came in"]);

        await ann.getByPlaceholder("Say something").pressSequentially("Hel");
        await bob.getByText("Ann is typing").waitFor();
        await ann.getByPlaceholder("Say something").pressSequentially("lo €😀");
        await ann.getByRole("button", { name: "Send" }).click();
        await shows(bob, "messages", ["AnnHello €😀"]);
        await bob.locator("#typing:empty").waitFor({ state: "attached" });
        await say(bob, "Hi");
        await shows(ann, "messages", ["Bob came in", "AnnHello €😀", "BobHi"]);

        await say(bob, "<img src=x onerror='document.title=1'><b>bold</b>");
        await ann.getByText("<b>bold</b>").waitFor();
        assert.equal(await ann.title(), "Chat");
        assert.equal(await ann.locator("#messages img").count(), 0);

        await enterRoom(bob, "elsewhere");
        await shows(ann, "users", ["Ann"]);
        await ann.getByText("Bob left").waitFor();
        await say(ann, "only for the lobby");
        await enterRoom(bob, "lobby");
        await say(bob, "back");
        await ann.locator("#messages li", { hasText: "Bobback" }).waitFor();
        assert.equal(await bob.getByText("only for the lobby").count(), 0);

        await bob.close();
        await shows(ann, "users", ["Ann"]);
        await ann.close();
      });

      it("shows when the connection is lost and found again", async () => {
        const first = await startServer("chat", { port: await ownPort() });
        const page = await open("Ann", "lobby", first);
        await page.getByText(`connected over ${transport}`).waitFor();
        await first.stop();
        await page.getByText("disconnected").waitFor();
        const second = await startServer("chat", { port: first.port });
        await page.getByText("connected again").waitFor();
        await shows(page, "users", ["Ann"]);
        await say(page, "still here");
        await page.getByText("still here").waitFor();
        await page.close();
        await second.stop();
      });

      async function open(name, room, { url } = server) {
        const page = await browser.newPage();
        page.setDefaultTimeout(15_000);
        page.on("pageerror", (error) => assert.fail(`the page failed: ${error}`));
        await page.addInitScript(prepare);
        await page.goto(url);
        await page.getByLabel("Your name").fill(name);
        await page.getByLabel("Room").fill(room);
        await page.getByRole("button", { name: "Enter" }).click();
        return page;
      }
    });
  }
});

/** Runs in the page: WebSocket fails the way that a proxy makes it fail. */
function block() {
  window.WebSocket = class {
    constructor() {
      throw new Error("WebSocket is blocked");
    }
  };
}

async function say(page, text) {
  await page.getByPlaceholder("Say something").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

async function enterRoom(page, room) {
  await page.getByPlaceholder("another room").fill(room);
  await page.getByRole("button", { name: "Switch" }).click();
  await page.locator("#room", { hasText: room }).waitFor();
}

/** Waits until the list `id` has exactly these lines. */
async function shows(page, id, lines) {
  await page.waitForFunction(
    ([id, lines]) => [...document.querySelectorAll(`#${id} li`)].map((item) => item.textContent).join("\n") === lines,
    [id, lines.join("\n")],
  );
}

function findChromium() {
  for (const path of [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser"]) {
    if (path && existsSync(path)) return path;
  }
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      continue;
    }
  }
  return undefined;
}
