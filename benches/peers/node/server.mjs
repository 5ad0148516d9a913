// socket.io on Node.js with its default engine, ws.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { handle, options } from "../handlers.mjs";

const http = createServer();
handle(new Server(http, { httpCompression: false, perMessageDeflate: false, serveClient: false }));
http.listen(Number(options.port), "127.0.0.1", () => console.log(`listening on 127.0.0.1:${http.address().port}`));
