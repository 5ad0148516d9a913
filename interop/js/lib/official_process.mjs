// The official server in a process of its own, to be stopped or killed: it greets whoever comes, and answers.
import { startOfficial } from "./official.mjs";

const server = await startOfficial(JSON.parse(process.argv[2]));
server.io.on("connection", (socket) => socket.emit("welcome"));
process.on("message", async () => {
  await server.settled();
  process.send("settled");
});
process.send(server.port);
process.on("disconnect", () => process.exit(0));
