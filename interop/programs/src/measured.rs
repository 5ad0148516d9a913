//! What is measured: a server, and a client. The server's handlers have one argument of one type, as an application would
//! write them.

use std::io;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketio_driver::{Ack, Binary, Server, Socket};

use crate::measured_client::{self, measured_client};
use crate::options;
use crate::platform::Platform;

/// A program for measurements.
#[derive(Subcommand)]
pub enum Measured {
    /// A server for measurements.
    Server(ServerOptions),
    /// A client for measurements.
    Client(measured_client::Options),
}

/// Options of [`Measured::Server`].
#[derive(Args)]
pub struct ServerOptions {
    #[command(flatten)]
    common: options::Options,
    /// Type of the arguments.
    #[arg(long, value_enum, default_value_t)]
    args: Arguments,
    /// Namespaces `/1`, `/2` ... beside `/`, with the same handlers.
    #[arg(long, default_value_t = 0)]
    namespaces: usize,
}

#[derive(Copy, Clone, Default, ValueEnum)]
enum Arguments {
    #[default]
    Text,
    Binary,
}

impl Measured {
    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// The runtime does not start, or the server cannot listen, or not any more.
    pub fn run<P: Platform>(self) -> io::Result<()> {
        match self {
            Self::Server(options) => server::<P>(&options),
            Self::Client(options) => measured_client::<P>(options),
        }
    }
}

fn server<P: Platform>(options: &ServerOptions) -> io::Result<()> {
    let server = options.common.server().build();
    let names = (1..=options.namespaces).map(|number| format!("/{number}"));
    for name in names.chain(["/".to_owned()]) {
        match options.args {
            Arguments::Text => declare::<String>(&server, &name),
            Arguments::Binary => declare::<Binary>(&server, &name),
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
    use clap::{Command, Subcommand};

    use super::Measured;

    #[test]
    fn its_options_get_along() {
        Measured::augment_subcommands(Command::new("measured")).debug_assert();
    }
}
