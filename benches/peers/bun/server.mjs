// socket.io on Bun with the engine made for it.
import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { handle, options } from "../handlers.mjs";

const io = new Server();
const engine = new Engine({ path: "/socket.io/" });
io.bind(engine);
handle(io);
const server = Bun.serve({ ...engine.handler(), hostname: "127.0.0.1", port: Number(options.port) });
console.log(`listening on 127.0.0.1:${server.port}`);
