use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socketio_tokio::rustls::client::Resumption;
use socketio_tokio::rustls::crypto::ring::default_provider;
use socketio_tokio::rustls::pki_types::PrivateKeyDer;
use socketio_tokio::rustls::pki_types::pem::PemObject;
use socketio_tokio::rustls::server::WebPkiClientVerifier;
use socketio_tokio::rustls::version::{TLS12, TLS13};
use socketio_tokio::rustls::{AlertDescription, ClientConfig, Error, HandshakeKind, RootCertStore, ServerConfig};
use socketio_tokio::{Server, ServerTls, Socket, TlsError};

use crate::by_hand::{Identity, POLLING, Stream, config, connect, exchange, start, text, websocket};
use crate::client::blocking;
use crate::support::soon;

/// A server that echoes.
fn server() -> Server {
    let server = Server::new();
    server.of("/").on("echo", async |socket: Socket, text: String| socket.emit("echo", text));
    server
}

fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(&identity.key).unwrap();
    let mut config = builder.with_single_cert(vec![identity.certificate()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Whether it sees the certificate of `identity`.
fn sees(stream: &Stream, identity: &Identity) -> bool {
    stream.conn.peer_certificates() == Some(&[identity.certificate()])
}

/// Makes a handshake and one request, with whose answer tickets are received.
fn handshake(address: SocketAddr, config: &Arc<ClientConfig>) -> HandshakeKind {
    let mut stream = connect(address, config).unwrap();
    assert_eq!(exchange(&mut stream, "GET", POLLING, "").0, 200);
    stream.conn.handshake_kind().unwrap()
}

#[tokio::test]
async fn http_is_the_only_protocol_inside() {
    let identity = Identity::new();
    for tls in [identity.server(), ServerTls::from_config(server_config(&identity))] {
        let host = start(server(), &tls).await;
        let (address, config) = (host.address, config(&[&identity]));
        blocking(move || {
            let offer = |protocols: &[&[u8]]| {
                let mut config = config.clone();
                config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
                let stream = connect(address, &Arc::new(config))?;
                Ok::<_, io::Error>(stream.conn.alpn_protocol().map(<[u8]>::to_vec))
            };
            assert_eq!(offer(&[b"h2", b"http/1.1"]).unwrap().as_deref(), Some(&b"http/1.1"[..]));
            assert_eq!(offer(&[]).unwrap(), None);
            let refused = offer(&[b"h2"]).unwrap_err().into_inner().unwrap();
            let refused = refused.downcast::<Error>().unwrap();
            assert_eq!(*refused, Error::AlertReceived(AlertDescription::NoApplicationProtocol));
        })
        .await;
    }
}

#[tokio::test]
async fn another_certificate_is_shown_from_then_on_and_those_who_are_there_go_on() {
    let [first, second, third] = [Identity::new(), Identity::new(), Identity::new()];
    let tls = first.server();
    let host = start(server(), &tls).await;
    let address = host.address;
    blocking(move || {
        // Nobody resumes what was before.
        let mut config = config(&[&first, &second, &third]);
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        let mut clients = Vec::new();
        let mut enter = |identity: &Identity| {
            let stream = connect(address, &config).unwrap();
            assert!(sees(&stream, identity));
            clients.push(websocket(stream));
            for client in &mut clients {
                client.send("42[\"echo\",\"x\"]".into()).unwrap();
                assert_eq!(text(client), "42[\"echo\",\"x\"]");
            }
        };
        enter(&first);
        tls.reload_pem(&second.chain, &second.key).unwrap();
        enter(&second);
        tls.reload_config(server_config(&third));
        enter(&third);
        // What is of no use changes nothing.
        assert!(matches!(tls.reload_pem(&first.chain, &second.key), Err(TlsError::Invalid(_))));
        assert_eq!(tls.reload_pem(&first.chain, b""), Err(TlsError::NoKey));
        enter(&third);
    })
    .await;
}

#[tokio::test]
async fn clients_that_come_again_resume_their_session() {
    let [first, second] = [Identity::new(), Identity::new()];
    for version in [&TLS12, &TLS13] {
        let tls = first.server();
        let host = start(server(), &tls).await;
        let address = host.address;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates([first.certificate(), second.certificate()]);
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_protocol_versions(&[version]).unwrap().with_root_certificates(roots);
        let config = Arc::new(config.with_no_client_auth());
        let of_second = (second.chain.clone(), second.key.clone());
        let third = server_config(&second);
        blocking(move || {
            assert_eq!(handshake(address, &config), HandshakeKind::Full);
            assert_eq!(handshake(address, &config), HandshakeKind::Resumed);
            // The server has nothing to remember, whoever comes meanwhile.
            for _ in 0..300 {
                let mut other = ClientConfig::clone(&config);
                other.resumption = Resumption::in_memory_sessions(1);
                handshake(address, &Arc::new(other));
            }
            assert_eq!(handshake(address, &config), HandshakeKind::Resumed);
            tls.reload_pem(&of_second.0, &of_second.1).unwrap();
            assert_eq!(handshake(address, &config), HandshakeKind::Resumed);
            // Of another server, as it were: what it cannot resume is made anew.
            tls.reload_config(third);
            assert_eq!(handshake(address, &config), HandshakeKind::Full);
        })
        .await;
    }
}

#[tokio::test]
async fn a_configuration_of_rustls_keeps_what_it_asks_for() {
    let [own, other, trusted] = [Identity::new(), Identity::new(), Identity::new()];
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&own.key).unwrap();
    let asking = builder.with_client_cert_verifier(verifier).with_single_cert(vec![own.certificate()], key).unwrap();
    let tls = ServerTls::from_config(Arc::new(asking));
    let host = start(server(), &tls).await;
    let url = format!("https://{}", host.address);
    for identity in [&own, &other] {
        tls.reload_pem(&identity.chain, &identity.key).unwrap();
        let stranger = socketio_tokio::client(&url).reconnection(false).tls(identity.client());
        let failure = soon(stranger.connect()).await.unwrap_err().to_string();
        assert!(failure.contains("has refused TLS: CertificateRequired"), "{failure}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let [one, other] = [Identity::new(), Identity::new()];
    let error = |chain: &[u8], key: &[u8]| ServerTls::from_pem(chain, key).unwrap_err();
    assert_eq!(error(b"", &one.key), TlsError::NoCertificate);
    assert_eq!(error(&one.key, &one.key), TlsError::NoCertificate);
    assert_eq!(error(&one.chain, &one.chain), TlsError::NoKey);
    assert!(matches!(error(&one.chain, &other.key), TlsError::Invalid(_)));
    assert_eq!(format!("{:?}", one.server()), "ServerTls { .. }");
}
