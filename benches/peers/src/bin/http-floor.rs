//! What hyper alone costs: a service that gives the handshakes of Engine.IO and Socket.IO fixed answers and knows no
//! session, and after an upgrade answers frames by hand.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Fits the one key that the generator sends.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OPEN: &[u8] = br#"0{"sid":"00000000000000000000","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const CONNECTED: &[u8] = br#"40{"sid":"00000000000000000000"}"#;

#[derive(Parser)]
struct Options {
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Taken like the other servers do, and ignored.
    #[arg(long, default_value = "text")]
    args: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", Options::parse().port)).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            // A client that leaves is no fault.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let probes = request.uri().query().is_some_and(|query| query.contains("sid="));
    if request.headers().contains_key(SEC_WEBSOCKET_KEY) {
        return Ok(upgrade(request, probes));
    }
    let (content_type, body) = match *request.method() {
        Method::POST => {
            let _ = request.into_body().collect().await;
            ("text/html", &b"ok"[..])
        }
        _ if probes => ("text/plain; charset=UTF-8", CONNECTED),
        _ => ("text/plain; charset=UTF-8", OPEN),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn upgrade(request: Request<Incoming>, probes: bool) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(request).await {
            let _ = frames(upgraded, probes).await;
        }
    });
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static(ACCEPT));
    response
}

/// Answers text frames of less than 126 bytes.
async fn frames(upgraded: Upgraded, probes: bool) -> io::Result<()> {
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().map_err(|_| io::Error::other("not a TCP stream"))?;
    let (mut stream, mut input, mut output) = (parts.io.into_inner(), parts.read_buf.to_vec(), Vec::new());
    if !probes {
        write_text(OPEN, &mut output);
    }
    loop {
        while let [_, length, a, b, c, d, rest @ ..] = &*input
            && let Some(payload) = rest.get(..usize::from(length & 0x7f))
        {
            let unmasked: Vec<u8> = payload.iter().zip([a, b, c, d].into_iter().cycle()).map(|(x, y)| x ^ y).collect();
            match &*unmasked {
                b"2probe" => write_text(b"3probe", &mut output),
                b"40" => write_text(CONNECTED, &mut output),
                [b'4', b'2', ..] => write_text(&unmasked, &mut output),
                _ => {}
            }
            input.drain(..6 + unmasked.len());
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

fn write_text(payload: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&[0x81, payload.len() as u8]);
    output.extend_from_slice(payload);
}
