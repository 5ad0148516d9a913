//! Socket.IO on a runtime that is one file.
//!
//! `cargo run -p socketio-driver --example own-runtime` serves until it is told to end; with
//! `--connect http://127.0.0.1:3000` it is a client of that.

/// The runtime.
pub mod runtime;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Parser;
use futures_channel::mpsc::unbounded;
use futures_util::StreamExt;
use mio::net::TcpListener;
use socketio_driver::{Ack, ClientBuilder, EmitError, RawArgs, Runtime, Server, Socket as Peer, serve};

use runtime::{OwnRuntime, Socket};

#[derive(Parser)]
struct Options {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Server to say something to, instead of being one.
    #[arg(long)]
    connect: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let runtime = OwnRuntime::new()?;
    match &options.connect {
        Some(url) => runtime.block_on(say_hello(&runtime, url)),
        None => runtime.block_on(serve_echo(&runtime, options.port)),
    }
}

async fn echo(socket: Peer, args: RawArgs, ack: Ack) -> Result<(), EmitError> {
    socket.emit("echo", args.clone())?;
    ack.send(args)
}

async fn serve_echo(runtime: &OwnRuntime, port: u16) -> Result<(), Box<dyn Error>> {
    let server = Server::new();
    server.of("/").on("echo", echo);
    let listener = Socket::new(runtime, TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?)?;
    println!("listening on {}", listener.source.local_addr()?);
    // The signal comes on a thread of its own.
    let (sender, mut signals) = unbounded();
    ctrlc::set_handler(move || _ = sender.unbounded_send(()))?;
    let ending = server.clone();
    runtime.spawn(async move {
        signals.next().await;
        ending.shutdown(Duration::from_secs(2)).await;
    });
    Ok(serve(&server, runtime.clone(), listener).await?)
}

async fn say_hello(runtime: &OwnRuntime, url: &str) -> Result<(), Box<dyn Error>> {
    let client = ClientBuilder::new(runtime.clone(), url).connect().timeout(Duration::from_secs(10)).await?;
    let answer: String = client.emit_with_ack("echo", "hello").timeout(Duration::from_secs(5)).await?;
    println!("{answer} by {:?}", client.transport());
    client.close().await;
    Ok(())
}
