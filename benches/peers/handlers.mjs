// What every JavaScript server answers: the handlers of our `measured` server.
import { parseArgs } from "node:util";

// The other servers take more options than there are of use here.
export const { values: options } = parseArgs({ options: { port: { type: "string", default: "0" } }, strict: false });

export function handle(io) {
  io.on("connection", (socket) => {
    socket.on("echo", (value) => socket.emit("echo", value));
    socket.on("ack", (value, answer) => answer(value));
    socket.on("join", async (room, answer) => {
      await socket.join(room);
      answer("ok");
    });
    socket.on("broadcast", (value) => io.to("room1").emit("broadcast", value));
  });
}
