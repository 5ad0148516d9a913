use std::time::Duration;

use socketio_tokio::{Cookie, Cors, Server, ServerBuilder, Socket};
use tokio::io::AsyncReadExt;

use crate::support::{Host, Http, Noted, Polling, WebSocket, notes, soon, until};

const NEW: &str = "/socket.io/?EIO=4&transport=polling";
const UNKNOWN: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;

async fn started(builder: ServerBuilder) -> (Host, Noted) {
    let (say, noted) = notes();
    let server = builder.state(say.clone()).build();
    server.of("/").on_disconnect(move |reason: socketio_tokio::DisconnectReason| {
        say.say(reason);
        async {}
    });
    server.of("/").on("echo", async |socket: Socket, (text,): (String,)| socket.emit("echo", text));
    server.of("/").on("large", async |socket: Socket, (bytes,): (usize,)| socket.emit("large", "x".repeat(bytes)));
    (Host::start(server).await, noted)
}

async fn lives(client: &mut Polling) {
    assert_eq!(client.post("42[\"echo\",\"alive\"]").await.body, "ok");
    assert_eq!(client.poll().await, "42[\"echo\",\"alive\"]");
}

/// Sends the head of a POST and the beginning of its body.
async fn begin_post(client: &Polling, host: &Host) -> Http {
    let mut http = Http::open(host.address).await;
    let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n", client.target);
    // The interim answer shows that the body is being received.
    http.send(&format!("{head}Expect: 100-continue\r\n\r\n")).await;
    assert_eq!(http.reply("HEAD").await.status, 100);
    http.send("42[\"").await;
    http
}

#[tokio::test]
async fn an_aborted_poll_ends_the_session() {
    let (host, mut noted) = started(Server::builder()).await;
    let mut client = Polling::joined(host.address).await;
    client.send_poll().await;
    // Behind the poll: it is held by now.
    assert_eq!(client.post("3").await.body, "ok");
    drop(client.polls);
    noted.expect(&["transport error"]).await;
    drop(client.posts);
    host.empty().await;
}

#[tokio::test]
async fn a_post_aborted_in_its_body_ends_the_session() {
    let (host, mut noted) = started(Server::builder()).await;
    let client = Polling::joined(host.address).await;
    drop(begin_post(&client, &host).await);
    noted.expect(&["transport error"]).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn an_answer_dropped_before_its_end_is_an_abort() {
    let (host, mut noted) = started(Server::builder().max_queued(64 << 20)).await;
    let mut client = Polling::joined(host.address).await;
    // More than the buffers on the way take.
    assert_eq!(client.post("42[\"large\",30000000]").await.body, "ok");
    client.send_poll().await;
    let mut first = [0; 1000];
    soon(client.polls.stream.read_exact(&mut first)).await.unwrap();
    drop(client.polls);
    noted.expect(&["transport error"]).await;
    drop(client.posts);
    host.empty().await;
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let (host, _) = started(Server::builder()).await;
    let mut client = Polling::joined(host.address).await;
    assert_eq!(client.post("42[\"large\",3000000]").await.body, "ok");
    assert_eq!(client.poll().await, format!("42[\"large\",\"{}\"]", "x".repeat(3_000_000)));
    lives(&mut client).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_session_lives() {
    let (host, mut noted) = started(Server::builder().max_payload(100)).await;
    let mut client = Polling::joined(host.address).await;
    assert_eq!(client.post(&"x".repeat(101)).await.status, 413);
    for pieces in [1, 2] {
        let mut http = Http::open(host.address).await;
        let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", client.target);
        let piece = format!("33\r\n{}\r\n", "x".repeat(51));
        if pieces == 1 {
            http.send(&format!("{head}\r\n{piece}{piece}0\r\n\r\n")).await;
        } else {
            http.send(&format!("{head}Expect: 100-continue\r\n\r\n")).await;
            assert_eq!(http.reply("HEAD").await.status, 100);
            http.send(&piece).await;
            http.send(&piece).await;
        }
        assert_eq!(http.reply("POST").await.status, 413);
    }
    client.posts = Http::open(host.address).await;
    assert_eq!(client.post(&format!("42[\"echo\",\"{}\"]", "x".repeat(87))).await.body, "ok");
    assert!(client.poll().await.ends_with("xxx\"]"));
    noted.nothing();
}

#[tokio::test]
async fn two_posts_at_once_end_the_session() {
    for whole in [true, false] {
        let (host, mut noted) = started(Server::builder()).await;
        let mut client = Polling::joined(host.address).await;
        let mut first = begin_post(&client, &host).await;
        let mut second = if whole {
            assert_eq!(client.post("42[\"echo\",1]").await.status, 400);
            None
        } else {
            let mut http = Http::open(host.address).await;
            let head = format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n4", client.target);
            http.send(&head).await;
            Some(http)
        };
        noted.expect(&["transport error"]).await;
        if let Some(second) = &mut second {
            assert_eq!(second.reply("POST").await.status, 400);
        }
        assert_eq!(first.reply("POST").await.status, 400);
        drop((client, first, second));
        host.empty().await;
    }
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_the_session_lives() {
    let (host, mut noted) = started(Server::builder().body_timeout(Duration::from_millis(50))).await;
    let mut client = Polling::joined(host.address).await;
    let mut slow = begin_post(&client, &host).await;
    assert_eq!(slow.reply("POST").await.status, 408);
    lives(&mut client).await;
    noted.nothing();
}

#[tokio::test]
async fn a_body_in_pieces_is_received() {
    let (host, _) = started(Server::builder()).await;
    let mut client = Polling::joined(host.address).await;
    let mut post = begin_post(&client, &host).await;
    for piece in ["echo\",", "\"alive\"", "]  "] {
        post.send(piece).await;
        lives_by_poll(&mut client).await;
    }
    assert_eq!(post.reply("POST").await.body, "ok");
    assert_eq!(client.poll().await, "42[\"echo\",\"alive\"]");
}

/// Requests of other clients are answered meanwhile.
async fn lives_by_poll(client: &mut Polling) {
    assert_eq!(client.polls.request("GET", NEW, "", "").await.status, 200);
}

#[tokio::test]
async fn a_path_matched_by_prefix_captures_its_neighbours() {
    let (host, _) = started(Server::builder()).await;
    let mut http = Http::open(host.address).await;
    for path in ["/", "/socket.iox/", "/socket.io", "/socket.io/x", "/socket.io//", "/SOCKET.IO/", "/x/socket.io/"] {
        let target = format!("{path}?EIO=4&transport=polling");
        assert_eq!(http.request("GET", &target, "", "").await.status, 404, "{path}");
    }
    assert_eq!(http.request("GET", NEW, "", "").await.status, 200);
}

#[tokio::test]
async fn a_malformed_sid_opens_a_new_session() {
    let (host, _) = started(Server::builder()).await;
    let mut http = Http::open(host.address).await;
    for sid in ["x", "%00", "aaaaaaaaaaaaaaaaaaaa", "%F0%9F%A6%80"] {
        let reply = http.request("GET", &format!("{NEW}&sid={sid}"), "", "").await;
        assert_eq!((reply.status, reply.body.as_str()), (400, UNKNOWN), "{sid}");
    }
    assert_eq!(host.server.stats().sessions, 0);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let (host, _) = started(Server::builder()).await;
    let mut http = Http::open(host.address).await;
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = http.request(method, NEW, "", "").await;
        assert_eq!(reply.status, 400, "{method}");
        assert_eq!(reply.body.is_empty(), method == "HEAD");
    }
    assert_eq!(host.server.stats().sessions, 0);
}

#[tokio::test]
async fn cve_2023_31125_a_poll_that_asks_to_upgrade_is_refused() {
    let (host, _) = started(Server::builder()).await;
    let mut http = Http::open(host.address).await;
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let reply = http.request("GET", NEW, headers, "").await;
    assert_eq!((reply.status, reply.body.as_str()), (400, BAD_REQUEST));
    assert_eq!(host.server.stats().sessions, 0);
}

#[tokio::test]
async fn a_second_stream_for_a_websocket_session_is_closed() {
    let (host, mut noted) = started(Server::builder()).await;
    let mut client = host.client().await;
    WebSocket::attach(host.address, &client.sid).await.expect_end().await;
    client.send("42[\"echo\",\"alive\"]").await;
    client.expect(&["42[\"echo\",\"alive\"]"]).await;
    noted.nothing();
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn headers_are_on_every_response_and_the_cookie_on_the_handshake() {
    let builder = Server::builder().cors(Cors::default()).cookie(Cookie::default()).header("X-Extra", "yes");
    let (host, _) = started(builder.max_payload(1000)).await;
    let mut client = Polling::open(host.address).await;
    let polling = client.target.clone();
    let large = "x".repeat(1001);
    let unknown = format!("{NEW}&sid=unknown");
    for (method, target, body, status) in [
        ("GET", NEW, "", 200),
        ("OPTIONS", NEW, "", 204),
        ("GET", unknown.as_str(), "", 400),
        ("POST", polling.as_str(), "40", 200),
        ("GET", polling.as_str(), "", 200),
        ("POST", polling.as_str(), large.as_str(), 413),
    ] {
        let mut http = Http::open(host.address).await;
        let reply = http.request(method, target, "Origin: http://a.com\r\n", body).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{reply:?}");
        assert_eq!(reply.header("x-extra"), Some("yes"), "{reply:?}");
        assert_eq!(reply.header("set-cookie").is_some(), target == NEW && method == "GET", "{reply:?}");
    }
    let mut http = Http::open(host.address).await;
    let target = NEW.replace("polling", "websocket");
    let reply = http.request("GET", &target, crate::support::UPGRADE, "").await;
    assert_eq!((reply.status, reply.header("x-extra")), (101, Some("yes")));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    client.polls.send("").await;
}

#[tokio::test]
async fn the_application_decides_who_may_open_a_session() {
    let builder = Server::builder().header("X-Extra", "yes").allow_request(async |handshake| {
        tokio::task::yield_now().await;
        match handshake.header("Authorization") {
            Some("secret") => Ok(()),
            _ => Err("who are you?".into()),
        }
    });
    let (host, _) = started(builder).await;
    let mut http = Http::open(host.address).await;
    for (target, headers) in [(NEW.to_owned(), ""), (NEW.replace("polling", "websocket"), crate::support::UPGRADE)] {
        let reply = http.request("GET", &target, headers, "").await;
        assert_eq!((reply.status, reply.body.as_str()), (403, r#"{"code":4,"message":"who are you?"}"#));
        assert_eq!(reply.header("x-extra"), Some("yes"));
    }
    assert_eq!(host.server.stats().sessions, 0);
    assert_eq!(http.request("GET", NEW, "Authorization: secret\r\n", "").await.status, 200);
    until(|| host.server.stats().sessions == 1).await;
}

#[tokio::test]
async fn a_client_that_goes_while_it_is_decided_about_leaves_nothing() {
    let builder = Server::builder().allow_request(|_| core::future::pending());
    let (host, _) = started(builder).await;
    let mut http = Http::open(host.address).await;
    http.send_request("GET", NEW, "", "").await;
    until(|| host.server.stats().connections == 1).await;
    drop(http);
    host.empty().await;
}
