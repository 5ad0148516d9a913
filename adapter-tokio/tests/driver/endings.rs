use std::time::Duration;

use socketio_tokio::protocol::websocket::Frame;
use socketio_tokio::{EmitError, Server, ServerBuilder, Socket, State, Stats};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::support::{Gate, Host, Http, Noted, Notes, OnDrop, Packet, Polling, UPGRADE, WebSocket, notes, soon, until};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// Nothing that a test waits for takes so long.
const LONG: Duration = Duration::from_secs(15);

/// Disconnects are noted with their reason, behind the name of the namespace if it is not `/`.
fn server(builder: ServerBuilder) -> (Server, Noted, Gate) {
    let ((say, noted), gate) = (notes(), Gate::default());
    let server = builder.state(say.clone()).state(gate.clone()).build();
    for name in ["/", "/other"] {
        let say = say.clone();
        server.of(name).on_disconnect(move |socket: Socket, reason: socketio_tokio::DisconnectReason| {
            let name = socket.namespace().name().trim_start_matches('/').to_owned();
            say.say(format!("{name} {reason}").trim_start());
            async {}
        });
    }
    let root = server.of("/");
    root.on("join", async |socket: Socket, (room,): (String,)| socket.join(&room));
    root.on("note", async |State(notes): State<Notes>| notes.say("handled"));
    root.on("leave", async |socket: Socket| socket.disconnect());
    root.on("close", async |socket: Socket| socket.disconnect_and_close());
    root.on("flood", async |socket: Socket| {
        let text = "x".repeat(10_000);
        while socket.emit("flood", &text).is_ok() {
            tokio::task::yield_now().await;
        }
    });
    root.on("tiny", async |socket: Socket, State(notes): State<Notes>| {
        let sent = (0..1_000).take_while(|_| socket.emit("x", ()).is_ok()).count();
        notes.say(if sent <= 100 { "bounded" } else { "unbounded" });
    });
    root.on("stay", async |State(notes): State<Notes>, State(gate): State<Gate>, socket: Socket| {
        let _dropped = OnDrop(notes.clone(), "dropped");
        gate.pass().await;
        notes.say(if socket.emit("late", ()) == Err(EmitError::NotConnected) { "refused" } else { "sent" });
    });
    (server, noted, gate)
}

async fn started(builder: ServerBuilder) -> (Host, Noted, Gate) {
    let (server, noted, gate) = server(builder);
    (Host::start(server).await, noted, gate)
}

/// A client in both namespaces and a room.
async fn settled(host: &Host) -> WebSocket {
    let mut client = host.client().await;
    client.join("/other").await;
    client.send("42[\"join\",\"room\"]").await;
    until(|| host.server.stats().rooms == 1).await;
    client
}

#[tokio::test]
async fn a_client_leaves_a_namespace() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = settled(&host).await;
    client.send("41").await;
    noted.expect(&["client namespace disconnect"]).await;
    assert_eq!((host.server.stats().sockets, host.server.stats().rooms), (1, 0));
    drop(client);
    noted.expect(&["other transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn a_client_ends_its_stream_with_or_without_a_close_frame() {
    for frame in [Some(Frame::close(None)), Some(Frame::text("1")), None] {
        let (host, mut noted, _) = started(Server::builder()).await;
        let mut client = settled(&host).await;
        if let Some(frame) = &frame {
            client.write(std::slice::from_ref(frame)).await;
            client.expect_end().await;
        }
        drop(client);
        noted.expect(&["transport close", "other transport close"]).await;
        host.empty().await;
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let builder = Server::builder().ping_interval(100 * MS).ping_timeout(100 * MS);
    let (host, mut noted, _) = started(builder).await;
    let mut client = settled(&host).await;
    assert_eq!(client.next_of_all().await, Packet::Text("2".into()));
    noted.expect(&["ping timeout", "other ping timeout"]).await;
    client.expect_end().await;
    host.empty().await;
}

#[tokio::test]
async fn a_packet_that_cannot_be_read_ends_the_connection() {
    for packet in ["4", "49", "42[\"a\"", "x", "451-"] {
        let (host, mut noted, _) = started(Server::builder()).await;
        let mut client = settled(&host).await;
        client.send_all(&[packet, "42[\"join\",\"late\"]"]).await;
        noted.expect(&["parse error", "other parse error"]).await;
        client.expect_end().await;
        host.empty().await;
    }
}

#[tokio::test]
async fn a_frame_that_breaks_the_rules_ends_the_connection() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = settled(&host).await;
    // Not masked.
    tokio::io::AsyncWriteExt::write_all(&mut client.stream, Frame::text("41").as_bytes()).await.unwrap();
    noted.expect(&["transport error", "other transport error"]).await;
    assert_eq!(client.next().await, Packet::Close(Some(1002)));
    client.expect_end().await;
    host.empty().await;
}

#[tokio::test]
async fn the_server_disconnects_a_socket_and_the_connection_lives() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = settled(&host).await;
    // What follows for the namespace is not handled, in the same segment as well.
    client.send_all(&["42[\"leave\"]", "42[\"note\"]"]).await;
    client.expect(&["41"]).await;
    noted.expect(&["server namespace disconnect"]).await;
    client.join("/").await;
    assert_eq!((host.server.stats().sockets, host.server.stats().rooms), (2, 0));
    drop(client);
    noted.expect(&["other transport close", "transport close"]).await;
    host.empty().await;
}

#[tokio::test]
async fn the_server_closes_a_connection_with_all_its_namespaces() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = settled(&host).await;
    client.send("42[\"close\"]").await;
    client.expect(&["41", "41/other,"]).await;
    client.expect_end().await;
    noted.expect(&["server namespace disconnect", "other server namespace disconnect"]).await;
    host.empty().await;
}

#[tokio::test]
async fn a_client_that_does_not_answer_the_close_frame_is_waited_for_only_so_long() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = host.client().await;
    client.send("42[\"close\"]").await;
    client.expect(&["41"]).await;
    noted.expect(&["server namespace disconnect"]).await;
    assert_eq!(client.next().await, Packet::Close(None));
    assert_eq!(client.next().await, Packet::End);
    host.empty().await;
}

#[tokio::test]
async fn who_joins_no_namespace_is_closed() {
    let (host, mut noted, _) = started(Server::builder().connect_timeout(50 * MS)).await;
    WebSocket::open(host.address).await.expect_end().await;
    noted.nothing();
    host.empty().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_is_closed_and_costs_nobody_else() {
    let limit = 200_000;
    let (host, mut noted, _) = started(Server::builder().max_queued(limit)).await;
    let mut other = host.client().await;
    let mut slow = host.client().await;
    slow.send("42[\"flood\"]").await;
    // The flood ends by itself when the emit says that too much waits.
    noted.expect(&["transport error"]).await;
    other.send("42[\"leave\"]").await;
    other.expect(&["41"]).await;
    noted.expect(&["server namespace disconnect"]).await;
    // Nothing is sent any more but what the kernel has.
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = soon(slow.stream.read(&mut buffer)).await {
        received += count;
    }
    assert!(received > limit, "{received}");
    drop((slow, other));
    host.empty().await;
}

#[tokio::test]
async fn many_small_packets_fill_the_queue_too() {
    let (host, mut noted, _) = started(Server::builder().max_queued(6_400)).await;
    let mut client = host.client().await;
    client.send("42[\"tiny\"]").await;
    noted.expect(&["bounded", "transport error"]).await;
    host.empty().await;
}

/// Each of two senders keeps within the limit, and the client reads.
#[tokio::test]
async fn what_one_wake_up_sends_from_inside_and_outside_does_not_add_up() {
    let gate = Gate::default();
    let server = Server::builder().max_queued(270_000).state(gate.clone()).build();
    server.of("/").on("stay", async |socket: Socket, State(gate): State<Gate>| {
        gate.pass().await;
        socket.emit("inside", "x".repeat(140_000))
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.send("42[\"stay\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    let socket = host.server.of("/").sockets().pop().unwrap();
    socket.emit("outside", "x".repeat(140_000)).unwrap();
    gate.open(1);
    for event in ["outside", "inside"] {
        assert!(client.text().await.starts_with(&format!("42[\"{event}\",")), "{event}");
    }
}

#[tokio::test]
async fn nothing_is_sent_behind_a_disconnect() {
    let gate = Gate::default();
    let server = Server::builder().state(gate.clone()).build();
    server.of("/").on("close", async |socket: Socket, State(gate): State<Gate>| {
        socket.disconnect_and_close();
        gate.open(1);
    });
    server.of("/b").on("stay", async |socket: Socket, State(gate): State<Gate>| {
        gate.pass().await;
        let _ = socket.emit("late", ());
    });
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.join("/b").await;
    client.send("42/b,[\"stay\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    client.send("42[\"close\"]").await;
    client.expect(&["41", "41/b,"]).await;
    assert_eq!(client.next().await, Packet::Close(None));
}

#[tokio::test]
async fn a_shutdown_comes_behind_what_was_sent_before() {
    let server = Server::builder().build();
    server.of("/b");
    let host = Host::start(server).await;
    let mut client = host.client().await;
    client.join("/b").await;
    until(|| host.server.stats().sockets == 2).await;
    let only = |namespace: &str| host.server.of(namespace).sockets().pop().unwrap();
    let (root, other) = (only("/"), only("/b"));
    root.disconnect();
    other.emit("bye", ()).unwrap();
    let shutdown = host.server.shutdown(Duration::from_secs(2));
    let goodbye = async {
        client.expect(&["41", "42/b,[\"bye\"]"]).await;
        assert_eq!(client.next().await, Packet::Close(None));
        drop(client);
    };
    tokio::join!(shutdown, goodbye);
}

#[tokio::test]
async fn an_upgrade_started_and_never_finished_leaks_the_session() {
    let (host, mut noted, _) = started(Server::builder().upgrade_timeout(50 * MS)).await;
    let mut client = Polling::joined(host.address).await;
    let mut probe = WebSocket::attach(host.address, &client.sid).await;
    probe.send("2probe").await;
    probe.expect(&["3probe"]).await;
    // The probing stream is closed; the session goes on by polling, and ends when its client says so.
    probe.expect_end().await;
    assert_eq!(host.server.stats().sessions, 1);
    assert_eq!(client.post("1").await.body, "ok");
    noted.expect(&["transport close"]).await;
    drop(client);
    host.empty().await;
}

#[tokio::test]
async fn a_failed_upgrade_kills_the_session() {
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = Polling::joined(host.address).await;
    for packet in ["4", "2prob", "x"] {
        let mut probe = WebSocket::attach(host.address, &client.sid).await;
        probe.send(packet).await;
        probe.expect_end().await;
    }
    let mut probe = WebSocket::attach(host.address, &client.sid).await;
    probe.send("2probe").await;
    probe.expect(&["3probe"]).await;
    drop(probe);
    assert_eq!(client.post("42[\"leave\"]").await.body, "ok");
    let mut polled = client.poll().await;
    while polled == "6" {
        polled = client.poll().await;
    }
    assert_eq!(polled, "41");
    noted.expect(&["server namespace disconnect"]).await;
}

#[tokio::test]
async fn handlers_run_to_completion_after_the_disconnect() {
    let (host, mut noted, gate) = started(Server::builder()).await;
    let mut client = host.client().await;
    client.send("42[\"stay\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    drop(client);
    noted.expect(&["transport close"]).await;
    until(|| host.server.stats().sockets == 0).await;
    assert_eq!(host.server.stats().handlers, 1);
    gate.open(1);
    noted.expect(&["refused", "dropped"]).await;
    host.empty().await;
}

#[tokio::test]
async fn the_deadline_of_the_shutdown_cancels_handlers() {
    let (host, mut noted, _gate) = started(Server::builder()).await;
    let mut client = host.client().await;
    client.send("42[\"stay\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    soon(host.server.shutdown(50 * MS)).await;
    assert_eq!(host.server.stats(), Stats::default());
    noted.expect(&["server shutting down", "dropped"]).await;
    client.expect_end().await;
    noted.nothing();
}

/// Clients of every kind, which the server's end ends.
async fn crowd(host: &Host) -> (Vec<WebSocket>, Vec<Polling>, Vec<Http>) {
    let websockets = vec![settled(host).await, host.client().await, WebSocket::open(host.address).await];
    let mut polling = Polling::joined(host.address).await;
    polling.send_poll().await;
    // An upgrade in the middle.
    let mut probing = Polling::joined(host.address).await;
    let mut probe = WebSocket::attach(host.address, &probing.sid).await;
    probe.send("2probe").await;
    probe.expect(&["3probe"]).await;
    probing.send_poll().await;
    let mut idle = Http::open(host.address).await;
    assert_eq!(idle.request("GET", "/", "", "").await.status, 404);
    let fresh = Http::open(host.address).await;
    until(|| host.server.stats().sessions == 5 && host.server.stats().connections >= 5).await;
    (websockets, vec![polling, probing], vec![idle, fresh])
}

#[tokio::test]
async fn a_shutdown_ends_everybody_and_leaves_nothing() {
    let before = Handle::current().metrics().num_alive_tasks();
    let (host, _noted, _) = started(Server::builder()).await;
    let (websockets, pollings, https) = crowd(&host).await;
    // Who is between two polls is waited for.
    soon(host.server.shutdown(SECOND)).await;
    assert_eq!(host.server.stats(), Stats::default());
    for mut client in websockets {
        client.expect_end().await;
    }
    for mut client in pollings {
        let reply = client.polls.reply("GET").await;
        assert!(reply.body == "1" || reply.body == "6", "{reply:?}");
        client.polls.end().await;
    }
    for mut http in https {
        http.end().await;
    }
    assert!(soon(host.serving).await.unwrap().is_ok());
    until(|| Handle::current().metrics().num_alive_tasks() == before).await;
    assert!(tokio::net::TcpStream::connect(host.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn dropping_the_serve_future_ends_everybody() {
    let before = Handle::current().metrics().num_alive_tasks();
    let (host, mut noted, _) = started(Server::builder()).await;
    let mut client = host.client().await;
    let mut polling = Polling::joined(host.address).await;
    polling.send_poll().await;
    host.serving.abort();
    noted.expect(&["server shutting down", "server shutting down"]).await;
    client.expect_end().await;
    polling.polls.end().await;
    host.empty().await;
    until(|| Handle::current().metrics().num_alive_tasks() == before).await;
}

#[tokio::test]
async fn an_idle_http_connection_does_not_hold_a_shutdown_up() {
    let (host, _, _) = started(Server::builder()).await;
    let mut idle = Http::open(host.address).await;
    assert_eq!(idle.request("GET", "/", "", "").await.status, 404);
    let _fresh = Http::open(host.address).await;
    until(|| host.server.stats().connections == 2).await;
    assert!(timeout(LONG, host.server.shutdown(2 * LONG)).await.is_ok());
    assert_eq!(host.server.stats(), Stats::default());
}

#[tokio::test]
async fn a_request_that_never_ends_holds_a_shutdown_up_until_its_deadline_only() {
    let (host, _, _) = started(Server::builder()).await;
    let client = Polling::joined(host.address).await;
    let mut head = Http::open(host.address).await;
    head.send("GET /socket.io/?EIO=4&tr").await;
    let mut body = Http::open(host.address).await;
    body.send(&format!("POST {} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n4", client.target)).await;
    until(|| host.server.stats().connections == 4).await;
    soon(host.server.shutdown(SECOND)).await;
    assert_eq!(host.server.stats(), Stats::default());
}

#[tokio::test]
async fn nobody_is_let_in_while_the_server_ends() {
    let (host, _, gate) = started(Server::builder()).await;
    let mut client = host.client().await;
    client.send("42[\"stay\"]").await;
    until(|| host.server.stats().handlers == 1).await;
    let mut late = Http::open(host.address).await;
    until(|| host.server.stats().connections == 1).await;
    let ending = tokio::spawn({
        let server = host.server.clone();
        async move { server.shutdown(LONG).await }
    });
    client.expect_end().await;
    for (transport, headers) in [("polling", ""), ("websocket", UPGRADE)] {
        let target = format!("/socket.io/?EIO=4&transport={transport}");
        assert_eq!(late.request("GET", &target, headers, "").await.status, 400, "{transport}");
        let target = format!("{target}&sid={}", client.sid);
        assert_eq!(late.request("GET", &target, headers, "").await.status, if headers.is_empty() { 400 } else { 101 });
    }
    late.end().await;
    gate.open(1);
    soon(ending).await.unwrap();
    assert!(tokio::net::TcpStream::connect(host.address).await.is_err());
}
