//! A server for measurements: handlers with one argument of one type, as an application would write them.

mod support;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_tokio::{Ack, Binary, Server, Socket};

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    common: support::Options,
    /// Type of the arguments.
    #[arg(long, value_enum, default_value_t)]
    args: Args,
}

#[derive(Copy, Clone, Default, ValueEnum)]
enum Args {
    #[default]
    Text,
    Binary,
}

fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let server = options.common.server().build();
    match options.args {
        Args::Text => declare::<String>(&server),
        Args::Binary => declare::<Binary>(&server),
    }
    options.common.run(&server)
}

fn declare<T: Serialize + DeserializeOwned + Send + 'static>(server: &Server) {
    let root = server.of("/");
    root.on("echo", async |socket: Socket, (value,): (T,)| socket.emit("echo", (value,)));
    root.on("ack", async |(value,): (T,), ack: Ack| ack.send((value,)));
    root.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.join(&room);
        ack.send("ok")
    });
    root.on("broadcast", async |socket: Socket, (value,): (T,)| {
        socket.namespace().to("room1").emit("broadcast", (value,))
    });
}
