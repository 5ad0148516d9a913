use std::io::Read as _;
use std::task::{Context, Poll, Waker};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection};

use super::*;
use crate::tls::TlsError;

/// Who issues certificates.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Those of others have other names.
        params.distinguished_name.push(DnType::CommonName, key.public_key_pem());
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into()
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn store(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }

    fn tls(&self) -> Tls {
        Tls::default().with_root_pem(&self.pem()).unwrap()
    }
}

type Identity = (Certificate, KeyPair);

fn config(identity: &Identity, client_authority: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match client_authority {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.store()), provider);
            builder.unwrap().with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.1.serialize_der()));
    let mut config = builder.with_single_cert(vec![identity.0.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The server's end of a connection by TLS.
struct Server {
    peer: Peer,
    session: ServerConnection,
    received: Vec<u8>,
}

impl Server {
    fn new(peer: Peer, config: Arc<ServerConfig>) -> Self {
        Self { peer, session: ServerConnection::new(config).unwrap(), received: Vec::new() }
    }

    fn pump(&mut self) {
        let bytes = self.peer.received();
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            self.session.read_tls(&mut bytes).unwrap();
            if self.session.process_new_packets().is_err() {
                break;
            }
            // It ends with the bytes that are there.
            let _ = self.session.reader().read_to_end(&mut self.received);
        }
        let mut out = Vec::new();
        while self.session.wants_write() {
            self.session.write_tls(&mut out).unwrap();
        }
        self.peer.send(out);
    }

    fn send(&mut self, bytes: &[u8]) {
        std::io::Write::write_all(&mut self.session.writer(), bytes).unwrap();
        self.pump();
    }

    fn text(&mut self) -> String {
        self.pump();
        String::from_utf8(core::mem::take(&mut self.received)).unwrap()
    }

    /// Runs `task` until nothing happens any more.
    fn run<T>(&mut self, task: &mut Task<T>) -> Option<T> {
        for _ in 0..10 {
            let output = task.run();
            self.pump();
            if output.is_some() {
                return output;
            }
        }
        None
    }
}

fn connector(world: &World, url: &str, tls: Tls) -> Connector<World> {
    Connector::new(world.clone(), Options { tls, ..options(url) })
}

/// What a request to `https://a` fails of.
fn cause(tls: Tls, config: Arc<ServerConfig>) -> String {
    let world = World::listening(&["a"]);
    let (mut task, peer) = send(&world, &connector(&world, "https://a", tls), get());
    let cause = Server::new(peer.clone(), config).run(&mut task).expect("the end").unwrap_err().to_string();
    assert!(peer.is_closed());
    cause
}

/// A request that is answered.
fn succeed(url: &str, tls: Tls, config: Arc<ServerConfig>) {
    let world = World::listening(&["a"]);
    let connector = connector(&world, url, tls);
    let (mut task, peer) = send(&world, &connector, get());
    let mut server = Server::new(peer, config);
    for _ in 0..2 {
        assert!(server.run(&mut task).is_none());
        assert!(server.text().starts_with("GET /socket.io/?x=1 HTTP/1.1\r\n"));
        server.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        assert_eq!(answer_of(task), (200, "ok".into()));
        // The next one is on the same connection.
        task = Task::new(connector.request(get()));
    }
    assert_eq!(server.session.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn requests_go_by_tls() {
    let authority = Authority::new();
    succeed("https://a", authority.tls(), config(&authority.issue("a", |_| ()), None));
    succeed("wss://10.0.0.9:8443", authority.tls(), config(&authority.issue("10.0.0.9", |_| ()), None));
    succeed("https://[a::1]", authority.tls(), config(&authority.issue("a::1", |_| ()), None));
}

#[test]
fn further_roots_add_up() {
    let [one, two] = [Authority::new(), Authority::new()];
    let tls = one.tls().with_root_pem(&two.pem()).unwrap();
    succeed("https://a", tls.clone(), config(&one.issue("a", |_| ()), None));
    succeed("https://a", tls, config(&two.issue("a", |_| ()), None));
}

#[test]
fn a_configuration_of_rustls_is_used() {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS12]);
    let own = builder.unwrap().with_root_certificates(authority.store()).with_no_client_auth();
    let tls = Tls::from_config(Arc::new(own));
    succeed("https://a", tls.clone(), config(&authority.issue("a", |_| ()), None));
    assert_eq!(tls.clone().with_root_pem(&authority.pem()).err(), Some(TlsError::Complete));
    assert_eq!(tls.with_client_certificate_pem(b"", b"").err(), Some(TlsError::Complete));
}

#[test]
fn a_certificate_is_refused_in_words() {
    let [authority, other] = [Authority::new(), Authority::new()];
    let expired = authority.issue("a", |params| params.not_after = date_time_ymd(2020, 1, 1));
    let to_come = authority.issue("a", |params| params.not_before = date_time_ymd(2200, 1, 1));
    let of_client =
        authority.issue("a", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    for (tls, identity, words) in [
        (other.tls(), authority.issue("a", |_| ()), "issued by an unknown authority"),
        (authority.tls(), expired, "expired"),
        (authority.tls(), to_come, "not valid yet"),
        (authority.tls(), authority.issue("b", |_| ()), "for another name"),
        (authority.tls(), of_client, "not for a server"),
    ] {
        assert_eq!(cause(tls, config(&identity, None)), format!("certificate of a: {words}"));
    }
}

#[test]
fn a_server_without_tls_is_told_from_others() {
    for (answer, words) in
        [("HTTP/1.1 400 Bad Request\r\n\r\n", "a does not speak TLS"), ("", "TLS with a: tls handshake eof")]
    {
        let world = World::listening(&["a"]);
        let (task, peer) = send(&world, &connector(&world, "https://a", Authority::new().tls()), get());
        peer.send(answer);
        peer.close();
        assert_eq!(task.finish().unwrap_err().to_string(), words);
    }
}

#[test]
fn a_client_may_have_a_certificate() {
    let authority = Authority::new();
    let config = config(&authority.issue("a", |_| ()), Some(&authority));
    let (certificate, key) = authority.issue("me", |_| ());
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let tls = authority.tls().with_client_certificate_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    // The order is of no importance.
    let other = Tls::default().with_client_certificate_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    succeed("https://a", other.with_root_pem(&authority.pem()).unwrap(), Arc::clone(&config));
    succeed("https://a", tls, Arc::clone(&config));
    assert_eq!(cause(authority.tls(), config), "a has refused TLS: CertificateRequired");
}

#[test]
fn what_is_no_certificate_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("me", |_| ());
    let (chain, key) = (certificate.pem(), key.serialize_pem());
    let other = KeyPair::generate().unwrap().serialize_pem();
    for text in ["", "x", &key, "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"] {
        assert_eq!(Tls::default().with_root_pem(text.as_bytes()).err(), Some(TlsError::NoCertificate), "{text}");
    }
    let with = |chain: &str, key: &str| Tls::default().with_client_certificate_pem(chain.as_bytes(), key.as_bytes());
    assert_eq!(with(&chain, &chain).err(), Some(TlsError::NoKey));
    assert_eq!(with(&key, &key).err(), Some(TlsError::NoCertificate));
    let mismatch = with(&chain, &other).err();
    assert!(matches!(&mismatch, Some(TlsError::Invalid(reason)) if !reason.contains('[')), "{mismatch:?}");
    let malformed = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let malformed = Tls::default().with_root_pem(malformed.as_bytes()).err();
    assert!(matches!(&malformed, Some(TlsError::Invalid(reason)) if !reason.contains('[')), "{malformed:?}");
    assert_eq!(format!("{:?}", with(&chain, &key)), "Ok(Tls { .. })");
}

#[test]
fn a_proxy_sees_nothing_of_it() {
    let world = World::listening(&["proxy"]);
    let authority = Authority::new();
    let proxy = Some(Proxy::parse("http://proxy").unwrap());
    let connector = Connector::new(world.clone(), Options { proxy, tls: authority.tls(), ..options("https://a") });
    let (mut task, peer) = send(&world, &connector, get());
    assert!(peer.text().starts_with("CONNECT a:443 HTTP/1.1\r\n"));
    peer.send("HTTP/1.1 200 -\r\n\r\n");
    let mut server = Server::new(peer, config(&authority.issue("a", |_| ()), None));
    assert!(server.run(&mut task).is_none());
    assert!(server.text().contains("\r\nhost: a\r\n"));
}

#[test]
fn a_websocket_by_tls_keeps_nothing_back() {
    let world = World::listening(&["a"]);
    let authority = Authority::new();
    let mut task = Task::new(connector(&world, "wss://a", authority.tls()).open_stream("/".into(), key()));
    assert!(task.run().is_none());
    let peer = world.accept();
    let mut server = Server::new(peer.clone(), config(&authority.issue("a", |_| ()), None));
    assert!(server.run(&mut task).is_none());
    let answer = acceptance(&server.text()) + "\r\nahead";
    server.send(answer.as_bytes());
    let (mut stream, ahead) = task.finish().unwrap();
    assert_eq!(ahead, "ahead");
    server.send(b"later");
    assert_eq!(read(&mut stream), b"later");

    // The record does not fit: what flushes it is flushing, or writing on.
    let mut cx = Context::from_waker(Waker::noop());
    let flushes: [fn(&mut MaybeTls<_>, &mut Context<'_>) -> bool; 2] = [
        |stream, cx| matches!(stream.poll_flush(cx), Poll::Ready(Ok(()))),
        |stream, cx| matches!(stream.poll_write(cx, &[std::io::IoSlice::new(b"!")]), Poll::Ready(Ok(1))),
    ];
    for (flush, expected) in flushes.into_iter().zip(["message", "message!"]) {
        peer.set_room(Some(5));
        let written = stream.poll_write(&mut cx, &[std::io::IoSlice::new(b"mess"), std::io::IoSlice::new(b"age")]);
        assert!(matches!(written, Poll::Ready(Ok(7))));
        assert!(stream.poll_flush(&mut cx).is_pending());
        assert!(stream.poll_write(&mut cx, &[std::io::IoSlice::new(b"more")]).is_pending());
        assert_eq!(server.text(), "");
        peer.set_room(None);
        assert!(flush(&mut stream, &mut cx));
        assert_eq!(server.text(), expected);
    }
    assert!(stream.poll_shutdown(&mut cx).is_ready());
    assert!(peer.is_shut_down());
    server.pump();
    // It was told by TLS, too.
    assert!(matches!(server.session.reader().read(&mut [0; 9]), Ok(0)));
}
