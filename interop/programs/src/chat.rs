//! A chat for browser tabs, with rooms, who is there, and who is typing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use clap::Parser;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use serde::{Deserialize, Serialize};
use socketio_driver::{Ack, EmitError, HyperStream, Runtime, Server, Socket, State, accept, respond};

use crate::platform::{Platform, interrupted};

/// The page of the chat. It has the script `/client.js`, and talks to the server of the page.
pub const PAGE: &str = include_str!("chat.html");
/// The official client: where `npm` puts it for the tests, or else on the public CDN.
const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../node_modules/socket.io-client/dist/socket.io.min.js");
const CLIENT_CDN: &str = "https://cdn.socket.io/4.8.1/socket.io.min.js";
/// Time for the goodbyes.
pub const GOODBYES: Duration = Duration::from_secs(2);

/// The command line.
#[derive(Parser)]
pub struct Options {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    pub port: u16,
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

/// The server: its handlers, without the page.
pub fn server() -> Server {
    let server = Server::builder().state(People::default()).build();
    let chat = server.of("/");
    chat.on("join", join);
    chat.on("message", message);
    chat.on("typing", typing);
    chat.on_disconnect(disconnected);
    server
}

/// The server and its page, mounted together into hyper.
///
/// # Errors
///
/// It cannot listen, or the runtime does not start.
pub fn run<P: Platform>() -> io::Result<()> {
    let options = Options::parse();
    let listener = TcpListener::bind(("127.0.0.1", options.port))?;
    println!("listening on {}", listener.local_addr()?);
    P::run(1, |runtime| async move {
        let server = server();
        let listener = P::listen(&runtime, listener)?;
        let connection = |stream, address| connection(runtime.clone(), server.clone(), stream, address);
        accept(&runtime, listener, interrupted(), connection).await?;
        server.shutdown(GOODBYES).await;
        Ok(())
    })?
}

/// One HTTP connection: requests for the server, and for the page.
async fn connection<R: Runtime>(runtime: R, server: Server, stream: R::Stream, address: Option<SocketAddr>) {
    let service = service_fn(|request: Request<Incoming>| {
        let (runtime, server) = (runtime.clone(), server.clone());
        async move {
            Ok::<_, Infallible>(match request.uri().path() {
                "/socket.io/" => respond(server.engine(), &runtime, address, request).await.map(Either::Left),
                path => page(path).map(Either::Right),
            })
        }
    });
    // A connection that breaks concerns nobody else.
    let _ = http1::Builder::new().serve_connection(HyperStream::new(stream), service).with_upgrades().await;
}

fn page(path: &str) -> Response<Full<Bytes>> {
    let response = Response::builder();
    let response = match (path, client_script()) {
        ("/", _) => response.header(CONTENT_TYPE, "text/html; charset=utf-8").body(PAGE.into()),
        ("/client.js", Ok(script)) => response.header(CONTENT_TYPE, "text/javascript").body(script.into()),
        ("/client.js", Err(address)) => {
            response.status(StatusCode::TEMPORARY_REDIRECT).header(LOCATION, address).body(Full::default())
        }
        _ => response.status(StatusCode::NOT_FOUND).body(Full::default()),
    };
    response.expect("the headers are ours")
}

/// The official client.
///
/// # Errors
///
/// It is not here; gives its address elsewhere.
pub fn client_script() -> Result<Vec<u8>, &'static str> {
    fs::read(CLIENT).map_err(|_| CLIENT_CDN)
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
