//! A chat for browser tabs, with rooms, who is there, and who is typing: mounted into axum.
//!
//! `cargo run --release -p socketio-tokio --example chat`, then open <http://127.0.0.1:3000> twice. What it does with events is in
//! `interop/programs/src/chat.rs`, which the examples of the other runtimes share.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use clap::Parser;
use socketio_programs::chat::{GOODBYES, Options, PAGE, client_script, server};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let options = Options::parse();
    let server = server();
    let app = Router::new()
        .route("/", get(Html(PAGE)))
        .route("/client.js", get(client))
        .route_service("/socket.io/", socketio_tokio::service(&server));
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("listening on {}", listener.local_addr()?);
    let end = async move {
        let _ = tokio::signal::ctrl_c().await;
        server.shutdown(GOODBYES).await;
    };
    axum::serve(listener, app).with_graceful_shutdown(end).await
}

async fn client() -> Response {
    match client_script() {
        Ok(script) => ([(CONTENT_TYPE, "text/javascript")], script).into_response(),
        Err(elsewhere) => Redirect::temporary(elsewhere).into_response(),
    }
}
