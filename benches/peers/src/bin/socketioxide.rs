//! socketioxide on axum, on one thread: the handlers of our `measured` server.

use std::io;

use axum::Router;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socketioxide::SocketIo;
use socketioxide::extract::{AckSender, Data, SocketRef};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[arg(long, value_enum, default_value_t)]
    args: Args,
}

#[derive(Copy, Clone, Default, ValueEnum)]
enum Args {
    #[default]
    Text,
    Binary,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let options = Options::parse();
    let (layer, io) = SocketIo::builder().max_payload(1_000_000).build_layer();
    match options.args {
        Args::Text => io.ns("/", connect::<String>),
        Args::Binary => io.ns("/", connect::<Bytes>),
    };
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().layer(layer)).await
}

async fn connect<T: Serialize + DeserializeOwned + Send + Sync + 'static>(socket: SocketRef) {
    socket.on("echo", async |socket: SocketRef, Data(value): Data<T>| {
        let _ = socket.emit("echo", &value);
    });
    socket.on("ack", async |Data(value): Data<T>, ack: AckSender| {
        let _ = ack.send(&value);
    });
    socket.on("join", async |socket: SocketRef, Data(room): Data<String>, ack: AckSender| {
        socket.join(room);
        let _ = ack.send("ok");
    });
    socket.on("broadcast", async |socket: SocketRef, Data(value): Data<T>| {
        let _ = socket.within("room1").emit("broadcast", &value).await;
    });
}
