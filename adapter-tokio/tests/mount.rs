//! The server mounted beside other routes into axum and hyper, over streams that the adapter knows and does not know.

mod client;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::net::{SocketAddr, TcpStream as Client};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{any, get};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use socketio_tokio::{Ack, Runtime, Server, Socket, SocketIoService, Stream, Tokio, service};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;
use tungstenite::WebSocket;

use client::{blocking, read, request, switch, upgrade};

type Mounted = SocketIoService<Server>;

/// How the adapter drives the stream of an upgraded connection.
const DIRECT: &str = "as a TCP stream";
const THROUGH_HYPER: &str = "through hyper";

#[tokio::test]
async fn axum_serves_it_beside_other_routes() {
    let (server, listener, address) = start().await;
    let app = router(service(&server));
    tokio::spawn(async { axum::serve(listener, app).await });
    check(server, address, DIRECT, false).await;
}

#[tokio::test]
async fn axum_serves_it_over_an_unknown_stream() {
    let (server, listener, address) = start().await;
    let app = router(service(&server));
    tokio::spawn(async { axum::serve(WrappingListener(listener), app).await });
    check(server, address, THROUGH_HYPER, false).await;
}

#[tokio::test]
async fn axum_tells_it_the_address_of_the_client() {
    let (server, listener, address) = start().await;
    let service = service(&server).with_address(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0));
    let app = router(service).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    check(server, address, DIRECT, true).await;
}

#[tokio::test]
async fn hyper_serves_it_beside_other_routes() {
    let (server, listener, address) = start().await;
    let service = service(&server);
    accept(listener, move |stream| http1(stream, service.clone()));
    check(server, address, DIRECT, false).await;
}

#[tokio::test]
async fn hyper_serves_it_over_an_unknown_stream() {
    let (server, listener, address) = start().await;
    let service = service(&server);
    accept(listener, move |stream| http1(Wrapped(stream), service.clone()));
    check(server, address, THROUGH_HYPER, false).await;
}

#[tokio::test]
async fn hyper_serves_it_over_a_stream_that_holds_back_what_is_written() {
    let (server, listener, address) = start().await;
    let service = service(&server);
    accept(listener, move |stream| http1(BufStream::new(stream), service.clone()));
    check(server, address, THROUGH_HYPER, false).await;
}

#[tokio::test]
async fn its_host_tells_it_who_came_by_tls() {
    let insist = async |secure: bool| secure.then_some(()).ok_or_else(|| "by TLS only".to_owned());
    let server = Server::builder().allow_request(move |handshake| insist(handshake.secure())).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let told = service(&server).with_secure(|head| head.uri.query().is_some_and(|query| query.ends_with("&told")));
    tokio::spawn(async { axum::serve(listener, router(told)).await });
    blocking(move || {
        let path = "/socket.io/?EIO=4&transport=polling";
        assert_eq!(request(address, "GET", path, "").0, 403);
        assert_eq!(request(address, "GET", &format!("{path}&told"), "").0, 200);
    })
    .await;
}

#[tokio::test]
async fn hyper_util_serves_it_beside_other_routes() {
    let (server, listener, address) = start().await;
    let service = service(&server);
    accept(listener, move |stream| automatic(stream, service.clone()));
    check(server, address, DIRECT, false).await;
}

#[tokio::test]
async fn a_mounted_server_ends_and_its_host_lives_on() {
    let (server, listener, address) = start().await;
    let app = router(service(&server));
    tokio::spawn(async { axum::serve(listener, app).await });
    let mut client = blocking(move || upgrade(address, "transport=websocket", "40")).await;
    let reading = tokio::task::spawn_blocking(move || while client.read().is_ok() {});
    server.shutdown(Duration::from_secs(60)).await;
    reading.await.unwrap();
    blocking(move || {
        assert_eq!(request(address, "GET", "/socket.io/?EIO=4&transport=polling", "").0, 400);
        assert_eq!(request(address, "GET", "/other", "").1, "another route");
    })
    .await;
    assert_eq!(server.stats().sessions, 0);
}

async fn start() -> (Server, TcpListener, SocketAddr) {
    let server = Server::new();
    let root = server.of("/");
    root.on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    root.on("address", async |socket: Socket, ack: Ack| ack.send(socket.handshake().address()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (server, listener, address)
}

fn router(service: Mounted) -> Router {
    Router::new()
        .route("/other", get("another route"))
        .route("/upgrade", any(async |request: Request<Body>| answer_upgrade(request)))
        .route_service("/socket.io/", service)
}

/// What [`router`] does, by hand.
async fn route(request: Request<hyper::body::Incoming>, mut service: Mounted) -> Result<Response<Body>, Infallible> {
    match request.uri().path() {
        "/socket.io/" => Ok(service.call(request).await?.map(Body::new)),
        "/upgrade" => Ok(answer_upgrade(request.map(Body::new))),
        "/other" => Ok(Response::new("another route".into())),
        _ => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_FOUND;
            Ok(response)
        }
    }
}

fn accept<Fut>(listener: TcpListener, serve: impl Fn(TcpStream) -> Fut + Send + 'static)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
}

async fn http1(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, service: Mounted) {
    let service = service_fn(move |request| route(request, service.clone()));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}

async fn automatic(stream: TcpStream, service: Mounted) {
    let service = service_fn(move |request| route(request, service.clone()));
    let builder = auto::Builder::new(TokioExecutor::new());
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

/// Writes into the upgraded stream how the adapter would drive it.
fn answer_upgrade(mut request: Request<Body>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async {
        match Tokio::downcast(upgrade.await.unwrap()) {
            Ok((mut stream, _)) => {
                let count = poll_fn(|cx| stream.poll_write(cx, &[IoSlice::new(DIRECT.as_bytes())])).await.unwrap();
                assert_eq!(count, DIRECT.len());
            }
            Err(upgraded) => {
                let mut stream = TokioIo::new(upgraded);
                stream.write_all(THROUGH_HYPER.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    let switch = Response::builder().status(101).header(CONNECTION, "upgrade").header(UPGRADE, "test");
    switch.body(Body::empty()).unwrap()
}

async fn check(server: Server, address: SocketAddr, stream: &str, knows_address: bool) {
    let driven = blocking(move || {
        assert_eq!(request(address, "GET", "/other", "").1, "another route");
        assert_eq!(request(address, "GET", "/socket.io/beside", "").0, 404);
        assert_eq!(request(address, "GET", "/", "").0, 404);
        let sid = polling(address);
        websocket(upgrade(address, "transport=websocket", "40"), knows_address);
        probe(upgrade(address, &format!("transport=websocket&sid={sid}"), "2probe"));
        let mut driven = String::new();
        switch(address, "/upgrade", "test", &[]).read_to_string(&mut driven).unwrap();
        driven
    })
    .await;
    assert_eq!(driven, stream);
    server.shutdown(Duration::from_secs(5)).await;
    assert_eq!(server.stats(), Server::new().stats());
}

/// Opens a session by polling, joins `/`, and has an event echoed.
fn polling(address: SocketAddr) -> String {
    let (status, open) = request(address, "GET", "/socket.io/?EIO=4&transport=polling", "");
    assert_eq!(status, 200);
    let sid = open.split('"').nth(3).unwrap().to_owned();
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    assert_eq!(request(address, "POST", &path, "40").1, "ok");
    assert!(request(address, "GET", &path, "").1.starts_with("40{"));
    assert_eq!(request(address, "POST", &path, r#"42["echo","polled"]"#).1, "ok");
    assert_eq!(request(address, "GET", &path, "").1, r#"42["echo","polled"]"#);
    sid
}

/// Has an event echoed, once `/` has been joined.
fn websocket(mut client: WebSocket<Client>, knows_address: bool) {
    assert!(read(&mut client).starts_with("0{"));
    assert!(read(&mut client).starts_with("40{"));
    client.send(r#"42["echo","pushed"]"#.into()).unwrap();
    assert_eq!(read(&mut client), r#"42["echo","pushed"]"#);
    client.send(r#"421["address"]"#.into()).unwrap();
    let address = client.get_ref().local_addr().unwrap();
    let known = if knows_address { format!("431[\"{address}\"]") } else { "431[null]".into() };
    assert_eq!(read(&mut client), known);
}

/// Upgrades a session that polls, once the probe has been sent.
fn probe(mut client: WebSocket<Client>) {
    assert_eq!(read(&mut client), "3probe");
    client.send("5".into()).unwrap();
    client.send(r#"42["echo","upgraded"]"#.into()).unwrap();
    assert_eq!(read(&mut client), r#"42["echo","upgraded"]"#);
}

/// A stream that no adapter knows.
struct Wrapped(TcpStream);

impl AsyncRead for Wrapped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct WrappingListener(TcpListener);

impl axum::serve::Listener for WrappingListener {
    type Io = Wrapped;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wrapped, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        (Wrapped(stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
