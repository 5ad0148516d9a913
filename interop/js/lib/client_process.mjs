// A client in a process of its own, to be killed: says so when it is connected, upgraded and in a room.
import { ask, connect, upgraded } from "./client.mjs";

const [, , url, transports] = process.argv;
const client = await connect({ url }, { transports: transports.split(",") });
if (transports.includes("websocket")) await upgraded(client);
await ask(client, "note-disconnect");
await ask(client, "join", "room1");
process.send("ready");
