use socketio_protocol::engine::client::RequestId;
use socketio_protocol::websocket::Accept;
use socketio_protocol::{Random, Seed};

use super::super::testing::{Peer, Task, World};
use super::super::url::parse_url;
use super::*;
use crate::runtime::Stream;

const LIMIT: usize = 1000;

fn options(url: &str) -> Options {
    let url = parse_url(url).unwrap().endpoint;
    Options { url, headers: HeaderMap::new(), proxy: None, tls: Tls::default() }
}

fn connect(world: &World) -> Connector<World> {
    Connector::new(world.clone(), options("http://a"))
}

fn get() -> Request {
    Request { id: RequestId(1), target: "/socket.io/?x=1".into(), body: Bytes::new(), max_answer: LIMIT }
}

fn post(body: &'static str) -> Request {
    Request { body: Bytes::from_static(body.as_bytes()), ..get() }
}

fn key() -> Key {
    Key::generate(&mut Random::new(Seed::new([1; 32])))
}

type Requesting = Task<Result<(u16, Bytes), Cause>>;

/// A request that was sent, and the connection that it is on: a new one.
type Sent = (Requesting, Peer);

fn send(world: &World, connector: &Connector<World>, request: Request) -> Sent {
    let mut task = Task::new(connector.request(request));
    assert!(task.run().is_none());
    (task, world.accept())
}

fn answer_of(task: Requesting) -> (u16, String) {
    let (status, body) = task.finish().unwrap();
    (status, String::from_utf8(body.into()).unwrap())
}

/// What a request fails of when `answer` is sent and the connection ends.
fn cause_of(answer: &str) -> String {
    let world = World::listening(&["a"]);
    let (task, peer) = send(&world, &connect(&world), get());
    peer.send(answer);
    peer.close();
    let cause = task.finish().unwrap_err().to_string();
    assert!(peer.is_closed());
    cause
}

/// The lines of a head, the first one first, the others in order.
fn lines(head: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = head.strip_suffix("\r\n\r\n").unwrap().split("\r\n").collect();
    lines[1..].sort_unstable();
    lines
}

/// What accepts `request`, a WebSocket's.
fn acceptance(request: &str) -> String {
    let find = |name: &str| request.split("\r\n").find_map(|line| line.strip_prefix(name)).map(str::as_bytes);
    let accept = Accept::new(find("sec-websocket-key: "), find("sec-websocket-version: ")).unwrap();
    let accept = accept.as_str();
    format!("HTTP/1.1 101 -\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n")
}

fn read(stream: &mut impl Stream) -> Vec<u8> {
    let mut buffer = [0; 64];
    let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
    match stream.poll_read(&mut cx, &mut buffer) {
        core::task::Poll::Ready(count) => buffer[..count.unwrap()].to_vec(),
        core::task::Poll::Pending => Vec::new(),
    }
}

fn with_headers(headers: &[(&'static str, &'static str)]) -> Options {
    let mut options = options("http://a:3000");
    for (name, value) in headers {
        options.headers.append(*name, HeaderValue::from_static(value));
    }
    options
}

#[test]
fn requests_have_the_headers_that_they_need() {
    let world = World::listening(&["a"]);
    let (_get, peer) = send(&world, &connect(&world), get());
    assert_eq!(peer.text(), "GET /socket.io/?x=1 HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n");
    let (_post, peer) = send(&world, &connect(&world), post("4ä"));
    let text = peer.text();
    let (head, body) = text.split_at(text.find("4ä").unwrap());
    assert_eq!(body, "4ä");
    let content = "content-type: text/plain;charset=UTF-8";
    assert_eq!(lines(head), ["POST /socket.io/?x=1 HTTP/1.1", "accept: */*", "content-length: 3", content, "host: a"]);
}

#[test]
fn users_say_what_they_may() {
    let world = World::listening(&["a"]);
    let headers = [
        ("user-agent", "me"),
        ("accept", "text/plain"),
        ("x", "1"),
        ("x", "2"),
        ("content-type", "text/html"),
        ("content-length", "7"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("sec-websocket-key", "k"),
        ("sec-websocket-protocol", "p"),
    ];
    let connector = Connector::new(world.clone(), with_headers(&headers));
    let (_get, peer) = send(&world, &connector, get());
    let own = ["accept: text/plain", "host: a:3000", "user-agent: me", "x: 1", "x: 2"];
    assert_eq!(lines(&peer.text())[1..], own);

    let mut task = Task::new(connector.open_stream("/".into(), key()));
    assert!(task.run().is_none());
    let head = world.accept().text();
    let key = format!("sec-websocket-key: {}", key().as_str());
    let mut all = vec!["connection: Upgrade", &key, "sec-websocket-version: 13", "upgrade: websocket"];
    all.extend(own);
    all.sort_unstable();
    assert_eq!(lines(&head)[1..], all);

    let connector = Connector::new(world.clone(), with_headers(&[("host", "other.example")]));
    assert!(send(&world, &connector, get()).1.text().contains("\r\nhost: other.example\r\n"));
}

#[test]
fn a_connection_serves_many_requests() {
    let world = World::listening(&["a"]);
    let connector = connect(&world);
    let (task, peer) = send(&world, &connector, get());
    peer.answer("ok");
    assert_eq!(answer_of(task), (200, "ok".into()));
    for number in 0..3 {
        peer.received();
        let mut task = Task::new(connector.request(post("4")));
        assert!(task.run().is_none());
        assert!(peer.text().starts_with("POST "), "{number}");
        peer.send("HTTP/1.1 400 -\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
        assert_eq!(answer_of(task), (400, "abc".into()));
    }
    // A second one at the same time has another connection, and both are kept.
    let mut first = Task::new(connector.request(get()));
    assert!(first.run().is_none());
    let (second, other) = send(&world, &connector, get());
    peer.answer("1");
    other.answer("2");
    assert_eq!((answer_of(first).1, answer_of(second).1), ("1".into(), "2".into()));
    let again = [(); 2].map(|()| {
        let mut task = Task::new(connector.request(get()));
        assert!(task.run().is_none());
        task
    });
    assert!(world.try_accept().is_none());
    drop(connector);
    assert!(!peer.is_closed());
    drop(again);
    assert!(peer.is_closed() && other.is_closed());
}

#[test]
fn a_long_answer_leaves_its_connection_free() {
    let body = "x".repeat(100_000);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    for first in [0, 1, 50_000, 99_999] {
        let world = World::listening(&["a"]);
        let connector = connect(&world);
        let (mut task, peer) = send(&world, &connector, Request { max_answer: body.len(), ..get() });
        peer.send([&head, &body[..first]].concat());
        assert!(task.run().is_none());
        peer.send(&body[first..]);
        assert_eq!(answer_of(task), (200, body.clone()));
        assert_eq!(lock(&connector.0.idle).len(), 1, "{first}");
    }
}

#[test]
fn a_connection_that_ends_at_once_is_not_made_again() {
    let ends: [(fn(&Peer), _); 2] = [
        (Peer::close, "connection closed before message completed"),
        (Peer::reset, "connection error: connection reset"),
    ];
    for (end, words) in ends {
        let world = World::default();
        world.add_host("a", &["10.0.0.1:80"]);
        let mut task = Task::new(connect(&world).request(get()));
        assert!(task.run().is_none());
        end(&world.attempt(0).succeed());
        assert_eq!(task.finish().unwrap_err().to_string(), words);
        assert_eq!(world.tried().len(), 1);
    }
}

#[test]
fn few_connections_are_kept() {
    let world = World::listening(&["a"]);
    let connector = connect(&world);
    let requests = [(); 3].map(|()| send(&world, &connector, get()));
    let peers = requests.map(|(task, peer)| {
        peer.answer("ok");
        answer_of(task);
        peer
    });
    assert_eq!(peers.each_ref().map(Peer::is_closed), [true, false, false]);
}

#[test]
fn a_connector_that_is_dropped_closes_what_it_kept() {
    let world = World::listening(&["a"]);
    let connector = connect(&world);
    let (task, peer) = send(&world, &connector, get());
    peer.answer("ok");
    answer_of(task);
    assert!(!peer.is_closed());
    drop(connector);
    assert!(peer.is_closed());
}

#[test]
fn a_connection_that_is_no_longer_good_is_not_used() {
    type End = fn(&Peer, &Connector<World>);
    let ends: [(&str, End); 4] = [
        ("closed", |peer, _| peer.close()),
        ("reset", |peer, _| peer.reset()),
        ("unasked answer", |peer, _| peer.answer("?")),
        ("old", |_, connector| lock(&connector.0.idle)[0].until -= IDLE),
    ];
    for (name, end) in ends {
        let world = World::listening(&["a"]);
        let connector = connect(&world);
        let (task, peer) = send(&world, &connector, get());
        peer.answer("ok");
        answer_of(task);
        assert_eq!(lock(&connector.0.idle).len(), 1);
        peer.received();
        end(&peer, &connector);
        let (task, new) = send(&world, &connector, get());
        assert_eq!(peer.text(), "", "{name}");
        assert!(peer.is_closed(), "{name}");
        new.answer("new");
        assert_eq!(answer_of(task).1, "new", "{name}");
    }
}

#[test]
fn a_server_may_say_how_long_it_keeps_a_connection() {
    for (header, kept) in [
        ("keep-alive: timeout=5", Some(4.)),
        ("keep-alive: max=9, timeout=2", Some(1.)),
        ("keep-alive: timeout=1", None),
        ("keep-alive: Timeout = 0", None),
        ("keep-alive: timeout=60", Some(4.)),
        ("keep-alive: timeout=x", Some(4.)),
    ] {
        let world = World::listening(&["a"]);
        let connector = connect(&world);
        let (task, peer) = send(&world, &connector, get());
        peer.send(format!("HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: 0\r\n\r\n"));
        answer_of(task);
        let until = lock(&connector.0.idle).pop().map(|idle| idle.until);
        let seconds = until.map(|until| (until - Instant::now()).as_secs_f32().ceil());
        assert_eq!(seconds, kept, "{header}");
    }
}

#[test]
fn a_connection_that_the_server_closes_is_not_kept() {
    for head in ["HTTP/1.1 200 OK\r\nconnection: close\r\n", "HTTP/1.0 200 OK\r\n"] {
        let world = World::listening(&["a"]);
        let connector = connect(&world);
        let (task, peer) = send(&world, &connector, get());
        peer.send([head, "content-length: 2\r\n\r\nok"].concat());
        assert_eq!(answer_of(task).1, "ok");
        assert!(peer.is_closed());
        assert!(lock(&connector.0.idle).is_empty());
    }
    // The end of the connection may be that of the body.
    let world = World::listening(&["a"]);
    let (task, peer) = send(&world, &connect(&world), get());
    peer.send("HTTP/1.1 200 OK\r\n\r\nall");
    peer.close();
    assert_eq!(answer_of(task).1, "all");
}

#[test]
fn a_request_that_is_given_up_closes_its_connection() {
    let world = World::listening(&["a"]);
    let connector = connect(&world);
    for begun in ["", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"] {
        let (mut task, peer) = send(&world, &connector, get());
        peer.send(begun);
        assert!(task.run().is_none());
        assert!(!peer.is_closed());
        drop(task);
        assert!(peer.is_closed());
    }
}

#[test]
fn an_answer_has_a_limit() {
    let too_large = format!("the answer has more than {LIMIT} bytes");
    let piece = "x".repeat(LIMIT / 2 + 1);
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    let whole = "x".repeat(LIMIT);
    for (answer, is_taken) in [
        (format!("content-length: {LIMIT}\r\n\r\n{whole}"), true),
        (format!("content-length: {}\r\n\r\n", LIMIT + 1), false),
        ("content-length: 9223372036854775807\r\n\r\n".into(), false),
        (format!("transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"), true),
        (format!("transfer-encoding: chunked\r\n\r\n{chunk}{chunk}"), false),
        (format!("\r\n{piece}{piece}"), false),
    ] {
        let world = World::listening(&["a"]);
        let (task, peer) = send(&world, &connect(&world), get());
        peer.send(format!("HTTP/1.1 200 OK\r\n{answer}"));
        match task.finish() {
            Ok((200, body)) => assert!(is_taken && body.len() <= LIMIT),
            Ok(other) => panic!("{other:?}"),
            Err(cause) => {
                assert_eq!((is_taken, cause.to_string()), (false, too_large.clone()));
                assert!(peer.is_closed());
            }
        }
    }
    // Of a failure the status counts.
    let world = World::listening(&["a"]);
    let (task, peer) = send(&world, &connect(&world), get());
    peer.send(format!("HTTP/1.1 502 -\r\ncontent-length: 100000\r\n\r\n{whole}"));
    assert_eq!(answer_of(task), (502, String::new()));
    assert!(peer.is_closed());
}

#[test]
fn a_failure_is_told_in_words() {
    for (answer, words) in [
        ("", "connection closed before message completed"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "connection closed before message completed"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
            "error reading a body from connection: end of file before message length reached",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "invalid HTTP version parsed"),
        ("HTTP/1.1 abc\r\n\r\n", "invalid HTTP status-code parsed"),
    ] {
        assert_eq!(cause_of(answer), words, "{answer}");
    }
    let chunked = cause_of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n");
    assert!(chunked.starts_with("error reading a body from connection: Invalid chunk size line"), "{chunked}");
    let chunked = cause_of("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
    assert!(chunked.starts_with("error reading a body from connection: "), "{chunked}");

    let world = World::listening(&["a"]);
    let (task, peer) = send(&world, &connect(&world), get());
    peer.reset();
    assert_eq!(task.finish().unwrap_err().to_string(), "connection error: connection reset");
    let cause = Connector::new(World::default(), options("http://b")).request(get());
    assert_eq!(Task::new(cause).finish().unwrap_err().to_string(), "cannot resolve b: no such host");
    let cause = connect(&world).request(Request { target: "/a b".into(), ..get() });
    assert_eq!(Task::new(cause).finish().unwrap_err().to_string(), "request for \"/a b\": invalid uri character");
}

#[test]
fn a_post_waits_for_room() {
    let world = World::default();
    world.add_host("a", &["10.0.0.1:80"]);
    let begin = |connector: &Connector<World>, attempt| {
        let mut task = Task::new(connector.request(post("4 the body")));
        assert!(task.run().is_none());
        let peer = world.attempt(attempt).succeed();
        peer.set_room(Some(9));
        assert!(task.run().is_none());
        (task, peer)
    };
    let connector = connect(&world);
    let (mut task, peer) = begin(&connector, 0);
    peer.set_room(None);
    assert!(task.run().is_none());
    assert!(peer.text().ends_with("\r\n\r\n4 the body"));
    peer.answer("ok");
    assert_eq!(answer_of(task), (200, "ok".into()));
    // An answer that comes before all was sent is one, but nothing else can be sent then.
    let connector = connect(&world);
    let (task, peer) = begin(&connector, 1);
    peer.answer("ok");
    assert_eq!(answer_of(task), (200, "ok".into()));
    assert!(peer.is_closed());
}

#[test]
fn redirects_are_not_followed() {
    let world = World::listening(&["a"]);
    let (task, peer) = send(&world, &connect(&world), get());
    peer.send("HTTP/1.1 302 Found\r\nlocation: http://b/\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer_of(task), (302, String::new()));
    assert!(world.try_accept().is_none());
}

#[test]
fn cookies_come_back_with_every_kind_of_request() {
    let world = World::listening(&["a"]);
    let connector = Connector::new(world.clone(), with_headers(&[("cookie", "own=1")]));
    let (task, first) = send(&world, &connector, get());
    assert!(first.text().contains("\r\ncookie: own=1\r\n"));
    first.send("HTTP/1.1 500 -\r\nset-cookie: route=b; Path=/\r\nset-cookie: x=2\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(answer_of(task).0, 500);
    let mut task = Task::new(connector.open_stream("/socket.io/?y".into(), key()));
    assert!(task.run().is_none());
    let peer = world.accept();
    let request = peer.text();
    assert!(request.contains("\r\ncookie: own=1; route=b; x=2\r\n"), "{request}");
    peer.send(acceptance(&request) + "set-cookie: x=; Max-Age=0; Path=/socket.io\r\n\r\n");
    let _stream = task.finish().unwrap();
    // The next one is on the connection of the first.
    first.received();
    let mut task = Task::new(connector.request(get()));
    assert!(task.run().is_none());
    let request = first.text();
    assert!(request.contains("\r\ncookie: own=1; route=b\r\n"), "{request}");
    assert_eq!(request.matches("cookie:").count(), 1);
}

#[test]
fn the_cookies_of_an_accepted_websocket_count() {
    let world = World::listening(&["a"]);
    let connector = connect(&world);
    let mut task = Task::new(connector.open_stream("/socket.io/".into(), key()));
    assert!(task.run().is_none());
    let peer = world.accept();
    let answer = acceptance(&peer.text());
    peer.send(answer + "set-cookie: x=3\r\n\r\n");
    task.finish().unwrap();
    assert!(send(&world, &connector, get()).1.text().contains("\r\ncookie: x=3\r\n"));
}

#[test]
fn a_websocket_is_opened() {
    let world = World::listening(&["a"]);
    let mut task = Task::new(connect(&world).open_stream("/socket.io/?x=1".into(), key()));
    assert!(task.run().is_none());
    let peer = world.accept();
    let request = peer.text();
    assert!(request.starts_with("GET /socket.io/?x=1 HTTP/1.1\r\n"));
    // The first message is in the packet of the answer.
    peer.send(acceptance(&request) + "\r\nahead");
    let (mut stream, ahead) = task.finish().unwrap();
    assert_eq!(ahead, "ahead");
    peer.send("later");
    assert_eq!(read(&mut stream), b"later");
    assert!(!peer.is_closed() && !peer.is_shut_down());
    drop(stream);
    assert!(peer.is_closed());
}

#[test]
fn a_websocket_is_refused() {
    let head = |head: &str| format!("HTTP/1.1 101 -\r\n{head}\r\n");
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\n";
    for (answer, cause) in [
        ("HTTP/1.1 400 -\r\ncontent-length: 3\r\n\r\n{1}".into(), Cause::Status(400)),
        ("HTTP/1.1 200 OK\r\n\r\n".into(), Cause::Status(200)),
        (head(""), "the answer does not upgrade to WebSocket".into()),
        (head(upgrade), "wrong Sec-WebSocket-Accept".into()),
        ("220 mail\r\n".into(), "invalid HTTP version parsed".into()),
    ] {
        let world = World::listening(&["a"]);
        let mut task = Task::new(connect(&world).open_stream("/".into(), key()));
        assert!(task.run().is_none());
        let peer = world.accept();
        peer.send(answer);
        assert_eq!(task.finish().err(), Some(cause));
        assert!(peer.is_closed());
    }
    let world = World::listening(&["a"]);
    let mut task = Task::new(connect(&world).open_stream("/".into(), key()));
    assert!(task.run().is_none());
    let peer = world.accept();
    peer.close();
    assert_eq!(task.finish().err(), Some("connection closed before message completed".to_string().into()));
}

/// Through a proxy to `url`: the connector, and what has come at the proxy.
fn through_proxy(world: &World, proxy: &str, url: &str) -> (Requesting, Peer, String) {
    let connector =
        Connector::new(world.clone(), Options { proxy: Some(Proxy::parse(proxy).unwrap()), ..options(url) });
    let (task, peer) = send(world, &connector, get());
    let request = peer.text();
    (task, peer, request)
}

#[test]
fn everything_goes_through_a_proxy() {
    let world = World::listening(&["proxy"]);
    let (mut task, peer, request) = through_proxy(&world, "http://proxy:3128", "http://a");
    assert_eq!(request, "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n");
    peer.send("HTTP/1.1 200 Connection established\r\nset-cookie: proxy=1\r\n\r\n");
    assert!(task.run().is_none());
    assert_eq!(peer.text(), "GET /socket.io/?x=1 HTTP/1.1\r\nhost: a\r\naccept: */*\r\n\r\n");
    peer.answer("ok");
    assert_eq!(answer_of(task), (200, "ok".into()));

    let (_, _, request) = through_proxy(&world, "http://user:pass@proxy", "http://[::1]:3000");
    let credentials = "proxy-authorization: Basic dXNlcjpwYXNz\r\n";
    assert_eq!(request, format!("CONNECT [::1]:3000 HTTP/1.1\r\nhost: [::1]:3000\r\n{credentials}\r\n"));
}

#[test]
fn a_proxy_may_refuse() {
    for (proxy, answer, cause) in [
        ("proxy", "HTTP/1.1 407 -\r\n\r\n", "status 407, it asks for a user and a password"),
        ("u:p@proxy", "HTTP/1.1 407 -\r\n\r\n", "status 407, it refuses the user or the password"),
        ("proxy", "HTTP/1.1 403 -\r\n\r\nno", "status 403 for a:80"),
        ("proxy", "HTTP/1.1 200 -\r\n\r\nahead", "it sends something of its own"),
        ("proxy", "SOCKS\r\n\r\n", "invalid HTTP version parsed"),
    ] {
        let world = World::listening(&["proxy"]);
        let (task, peer, _) = through_proxy(&world, &["http://", proxy].concat(), "http://a");
        peer.send(answer);
        assert_eq!(task.finish().unwrap_err().to_string(), format!("proxy proxy:80: {cause}"));
        assert!(peer.is_closed());
    }
    let proxy = Some(Proxy::parse("http://gone").unwrap());
    let connector = Connector::new(World::default(), Options { proxy, ..options("http://a") });
    let cause = Task::new(connector.request(get())).finish().unwrap_err().to_string();
    assert_eq!(cause, "proxy gone:80: cannot resolve gone: no such host");
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_needs_the_feature() {
    let cause = Task::new(Connector::new(World::default(), options("https://a")).request(get())).finish().unwrap_err();
    assert_eq!(cause.to_string(), "https and wss need the feature \"tls\"");
}

#[cfg(feature = "tls")]
mod tls;
