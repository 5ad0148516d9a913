//! A chat for browser tabs, with rooms, who is there, and who is typing.
//!
//! `cargo run --release -p socketio-tokio --example chat`, then open <http://127.0.0.1:3000> twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use clap::Parser;
use serde::{Deserialize, Serialize};
use socketio_tokio::{Ack, EmitError, Server, Socket, State};
use tokio::net::TcpListener;

const PAGE: &str = include_str!("index.html");
/// The official client: where `npm` puts it for the tests, or else on the public CDN.
const CLIENT: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/node_modules/socket.io-client/dist/socket.io.min.js");
const CLIENT_CDN: &str = "https://cdn.socket.io/4.8.1/socket.io.min.js";

#[derive(Parser)]
struct Options {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// Everybody who has joined a room, by the id of their socket.
type People = Arc<Mutex<HashMap<String, Person>>>;

/// What a page says when it joins.
#[derive(Clone, Deserialize)]
struct Person {
    name: String,
    room: String,
}

#[derive(Serialize)]
struct Joined {
    users: Vec<String>,
}

#[derive(Serialize)]
struct Message {
    from: String,
    text: String,
}

#[derive(Serialize)]
struct Typing {
    name: String,
    typing: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let server = Server::builder().state(People::default()).build();
    let chat = server.of("/");
    chat.on("join", join);
    chat.on("message", message);
    chat.on("typing", typing);
    chat.on_disconnect(disconnected);

    let app = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/client.js", get(client))
        .route_service("/socket.io/", socketio_tokio::service(&server));
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let end = async move {
        let _ = tokio::signal::ctrl_c().await;
        server.shutdown(Duration::from_secs(2)).await;
    };
    axum::serve(listener, app).with_graceful_shutdown(end).await
}

/// Enters a room, out of the one before, and answers who is there.
async fn join(socket: Socket, State(people): State<People>, person: Person, ack: Ack) -> Result<(), EmitError> {
    // Nothing that is done under this lock waits for anybody, so everybody hears of all changes in the same order.
    let mut people = people.lock().unwrap();
    leave(&socket, &mut people)?;
    let Person { name, room } = person.clone();
    people.insert(socket.id().into(), person);
    let users = users(&people, &room);
    socket.join(&room);
    socket.to(&room).emit("joined", name)?;
    socket.to(&room).emit("users", &users)?;
    ack.send(Joined { users })
}

async fn message(socket: Socket, State(people): State<People>, text: String) -> Result<(), EmitError> {
    let Some(Person { name, room }) = person(&people, &socket) else { return Ok(()) };
    socket.namespace().to(&room).emit("message", Message { from: name, text })
}

async fn typing(socket: Socket, State(people): State<People>, typing: bool) -> Result<(), EmitError> {
    let Some(Person { name, room }) = person(&people, &socket) else { return Ok(()) };
    socket.to(&room).emit("typing", Typing { name, typing })
}

async fn disconnected(socket: Socket, State(people): State<People>) -> Result<(), EmitError> {
    leave(&socket, &mut people.lock().unwrap())
}

/// Leaves the room that the socket is in, if any, and tells those who stay.
fn leave(socket: &Socket, people: &mut HashMap<String, Person>) -> Result<(), EmitError> {
    let Some(Person { name, room }) = people.remove(socket.id()) else { return Ok(()) };
    socket.leave(&room);
    socket.to(&room).emit("left", name)?;
    socket.to(&room).emit("users", users(people, &room))
}

fn person(people: &People, socket: &Socket) -> Option<Person> {
    people.lock().unwrap().get(socket.id()).cloned()
}

/// The names of those in a room.
fn users(people: &HashMap<String, Person>, room: &str) -> Vec<String> {
    let here = people.values().filter(|person| person.room == room);
    let mut names: Vec<_> = here.map(|person| person.name.clone()).collect();
    names.sort_unstable();
    names
}

async fn client() -> Response {
    match tokio::fs::read(CLIENT).await {
        Ok(script) => ([(CONTENT_TYPE, "text/javascript")], script).into_response(),
        Err(_) => Redirect::temporary(CLIENT_CDN).into_response(),
    }
}
