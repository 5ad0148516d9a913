//! A server by TLS, and a client of it that blocks.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use socketio_tokio::rustls::crypto::ring::default_provider;
use socketio_tokio::rustls::pki_types::pem::PemObject;
use socketio_tokio::rustls::pki_types::{CertificateDer, ServerName};
use socketio_tokio::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socketio_tokio::{Server, ServerTls, Tls, serve_tls};
use tokio::net::TcpListener;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::support::Host;

pub const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// A certificate for the servers of tests.
pub struct Identity {
    pub chain: Vec<u8>,
    pub key: Vec<u8>,
}

impl Identity {
    pub fn new() -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        Self { chain: cert.pem().into(), key: KeyPair::serialize_pem(&signing_key).into() }
    }

    pub fn server(&self) -> ServerTls {
        ServerTls::from_pem(&self.chain, &self.key).unwrap()
    }

    /// Of clients that trust it.
    pub fn client(&self) -> Tls {
        Tls::default().with_root_pem(&self.chain).unwrap()
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(&self.chain).unwrap()
    }
}

pub async fn start(server: Server, tls: &ServerTls) -> Host {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn({
        let (server, tls) = (server.clone(), tls.clone());
        async move { serve_tls(&server, listener, &tls).await }
    });
    Host { server, address, serving }
}

/// What a client trusts.
pub fn config(identities: &[&Identity]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(identities.iter().map(|identity| identity.certificate()));
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth()
}

pub type Stream<S = TcpStream> = StreamOwned<ClientConnection, S>;

/// Connects, and makes the handshake.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Stream> {
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(20)))?;
    handshake(socket, config)
}

/// Makes the handshake.
pub fn handshake<S: Read + Write>(socket: S, config: &Arc<ClientConfig>) -> io::Result<Stream<S>> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Status and body of one request.
pub fn exchange(stream: &mut Stream, method: &str, path: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).unwrap();
    let head = read_head(stream);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

/// A WebSocket that has joined `/`.
pub fn websocket<S: Read + Write>(mut stream: Stream<S>) -> WebSocket<Stream<S>> {
    stream
        .write_all(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\n\
              Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let mut client = WebSocket::from_raw_socket(stream, Role::Client, None);
    assert!(text(&mut client).starts_with("0{"));
    client.send("40".into()).unwrap();
    assert!(text(&mut client).starts_with("40{"));
    client
}

pub fn text(client: &mut WebSocket<impl Read + Write>) -> String {
    match client.read().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("not a text: {other}"),
    }
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}
