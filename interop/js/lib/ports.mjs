import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that a system gives to whoever asks for any: Linux from 32768, others from 49152. */
const [FIRST, END] = [10_000, 32_768];
let next = randomInt(FIRST, END);

/** A port on which nobody listens, nor will: to be refused at, or to be listened on again. */
export async function ownPort() {
  for (;;) {
    const port = next;
    next = next + 1 < END ? next + 1 : FIRST;
    if (await isFree(port)) return port;
  }
}

async function isFree(port) {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch (error) {
    if (["EADDRINUSE", "EACCES"].includes(error.code)) return false;
    throw error;
  }
  await once(server.close(), "close");
  return true;
}
