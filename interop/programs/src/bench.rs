//! What is measured: a server, and a client; `benches/load` runs both. The server's handlers have one argument of one type,
//! as an application would write them.

use std::io;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_driver::{Ack, Binary, Server, Socket};

use crate::bench_client::{self, bench_client};
use crate::options;
use crate::platform::Platform;

#[derive(Parser)]
enum Program {
    /// A server for measurements.
    Server(ServerOptions),
    /// A client for measurements.
    Client(bench_client::Options),
}

#[derive(Parser)]
struct ServerOptions {
    #[command(flatten)]
    common: options::Options,
    /// Type of the arguments.
    #[arg(long, value_enum, default_value_t)]
    args: Args,
    /// Namespaces `/1`, `/2` ... beside `/`, with the same handlers.
    #[arg(long, default_value_t = 0)]
    namespaces: usize,
}

#[derive(Copy, Clone, Default, ValueEnum)]
enum Args {
    #[default]
    Text,
    Binary,
}

/// The program that the first argument names.
///
/// # Errors
///
/// The runtime does not start, or the server cannot listen, or not any more.
pub fn bench<P: Platform>() -> io::Result<()> {
    match Program::parse() {
        Program::Server(options) => server::<P>(&options),
        Program::Client(options) => bench_client::<P>(options),
    }
}

fn server<P: Platform>(options: &ServerOptions) -> io::Result<()> {
    let server = options.common.server().build();
    let names = (1..=options.namespaces).map(|number| format!("/{number}"));
    for name in names.chain(["/".to_owned()]) {
        match options.args {
            Args::Text => declare::<String>(&server, &name),
            Args::Binary => declare::<Binary>(&server, &name),
        }
    }
    options.common.run::<P, _>(|_, _| server)
}

fn declare<T: Serialize + DeserializeOwned + Send + 'static>(server: &Server, name: &str) {
    let namespace = server.of(name);
    namespace.on("echo", async |socket: Socket, (value,): (T,)| socket.emit("echo", (value,)));
    namespace.on("ack", async |(value,): (T,), ack: Ack| ack.send((value,)));
    namespace.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.join(&room);
        ack.send("ok")
    });
    namespace.on("broadcast", async |socket: Socket, (value,): (T,)| {
        socket.namespace().to("room1").emit("broadcast", (value,))
    });
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Program;

    #[test]
    fn its_options_get_along() {
        Program::command().debug_assert();
    }
}
