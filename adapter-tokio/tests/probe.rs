//! The example `probe`, as its users have it: lines, and the code that it ends with.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, io};

use serde_json::{Value, json};
use socketio_tokio::{Ack, Auth, Binary, ConnectError, HandlerError, RawArgs, Server, Socket};

use tokio::net::TcpSocket;

use crate::support::Host;

/// What a probe left behind.
struct Outcome {
    code: i32,
    lines: Vec<Value>,
    errors: String,
}

/// Runs the probe, while the test's server goes on.
async fn probe(args: &[&str]) -> Outcome {
    let args: Vec<String> = args.iter().map(|&arg| arg.into()).collect();
    tokio::task::spawn_blocking(move || {
        let output = Command::new(binary()).args(args).stdin(Stdio::null()).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            lines: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    })
    .await
    .unwrap()
}

/// Built where `cargo test` has built this test, with the same profile: most often there is nothing to do.
fn binary() -> &'static PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let output = test.ancestors().nth(2).unwrap();
        let profile = output.file_name().unwrap().to_str().unwrap();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // There are build scripts that would run again with what this cargo says of its package.
        for (name, _) in
            env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            cargo.env_remove(name);
        }
        let status = cargo
            .args(["build", "--quiet", "--workspace", "--example", "probe"])
            .args(["--profile", if profile == "debug" { "dev" } else { profile }])
            .arg("--target-dir")
            .arg(output.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.unwrap().success(), "the probe could not be built");
        output.join("examples").join(format!("probe{}", env::consts::EXE_SUFFIX))
    })
}

fn server() -> Server {
    let server = Server::new();
    let root = server.of("/");
    root.on("add", async |(a, b): (i64, i64), ack: Ack| ack.send(a + b));
    root.on("echo", async |args: RawArgs, ack: Ack| ack.send(args));
    root.on("say", async |socket: Socket, args: RawArgs| socket.emit("said", args));
    root.on("bytes", async |bytes: Binary, ack: Ack| ack.send((bytes.0.len(), bytes)));
    root.on("silence", async || {});
    root.on("ask me", async |socket: Socket, ack: Ack| -> Result<(), HandlerError> {
        let answer: RawArgs = socket.emit_with_ack("question", "how?").await?;
        Ok(ack.send(answer)?)
    });
    root.on("leave me", async |socket: Socket| socket.disconnect());
    server.of("/guarded").middleware(async |Auth(auth): Auth<Value>| match auth["token"].as_str() {
        Some("secret") => Ok(()),
        _ => Err(ConnectError::new("not authorized").with_data(json!({ "code": 42 }))),
    });
    server.of("/head").on_connect(async |socket: Socket| {
        let handshake = socket.handshake();
        socket.emit("head", (handshake.header("x-of-mine"), handshake.query()))
    });
    server
}

async fn host() -> (Host, String) {
    let host = Host::start(server()).await;
    let url = format!("http://{}", host.address);
    (host, url)
}

#[tokio::test]
async fn answers_are_printed_and_nothing_else() {
    let (_host, url) = host().await;
    let Outcome { code, lines, errors } = probe(&["--url", &url, "--emit", "add", "1", "-2", "--ack"]).await;
    assert_eq!((code, lines, &*errors), (0, vec![json!({ "ack": [-1] })], ""));
    for transport in ["websocket", "polling", "upgrade"] {
        let echo =
            ["--url", &url, "--transport", transport, "--ack", "--emit", "echo", "{\"a\":[1]}", "--emit", "echo"];
        let Outcome { code, lines, errors } = probe(&echo).await;
        assert_eq!((code, lines, &*errors), (0, vec![json!({ "ack": [{ "a": [1] }] }), json!({ "ack": [] })], ""));
    }
}

#[tokio::test]
async fn bytes_stand_at_their_place() {
    let (_host, url) = host().await;
    let Outcome { code, lines, .. } =
        probe(&["--url", &url, "--emit", "bytes", r#"{"$binary":"AQID"}"#, "--ack", "--max-events", "0"]).await;
    assert_eq!((code, &lines[1]), (0, &json!({ "ack": [3, { "$binary": "AQID" }] })));
    let Outcome { code, errors, .. } = probe(&["--url", &url, "--emit", "echo", r#"{"$binary":"?"}"#]).await;
    assert!(code == 2 && errors.contains("base64"), "{errors}");
}

#[tokio::test]
async fn events_are_printed_until_there_are_enough() {
    let (_host, url) = host().await;
    let say = ["--url", &url, "--emit", "say", "1", "\"a\\n\"", "--emit", "say", "--max-events", "2"];
    let Outcome { code, lines, .. } = probe(&say).await;
    assert_eq!(code, 0);
    assert_eq!(lines[0]["connect"]["transport"], "websocket");
    assert!(lines[0]["connect"]["id"].is_string());
    assert_eq!(lines[1..], [json!({ "event": "said", "args": [1, "a\n"] }), json!({ "event": "said", "args": [] })]);
    let Outcome { code, errors, .. } =
        probe(&["--url", &url, "--emit", "say", "--max-events", "2", "--timeout-ms", "4000"]).await;
    assert!(code == 3 && errors.contains("1 events came in time"), "{errors}");
    let Outcome { code, errors, .. } = probe(&["--url", &url, "--listen", "--timeout-ms", "4000"]).await;
    assert_eq!((code, &*errors), (0, ""));
}

#[tokio::test]
async fn questions_are_answered_as_told() {
    let (_host, url) = host().await;
    let ask = ["--url", &url, "--emit", "ask me", "--ack", "--answer", "1", "[2]", "--max-events", "1"];
    let Outcome { code, lines, .. } = probe(&ask).await;
    assert_eq!(code, 0);
    assert_eq!(lines[1], json!({ "event": "question", "args": ["how?"], "asks": true }));
    assert_eq!(lines[2], json!({ "ack": [1, [2]] }));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_told_by_the_code() {
    let (_host, url) = host().await;
    let Outcome { code, lines, errors } =
        probe(&["--url", &url, "--emit", "silence", "--ack", "--timeout-ms", "4000"]).await;
    assert_eq!((code, lines.len()), (3, 0));
    assert_eq!(errors, "probe: an answer to \"silence\" has not come within 4s\n");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_why() {
    let (_host, url) = host().await;
    let guarded = format!("{url}/guarded");
    let Outcome { code, lines, errors } = probe(&["--url", &guarded]).await;
    let refusal = json!({ "connect_error": { "message": "not authorized", "data": { "code": 42 } } });
    assert_eq!((code, lines), (1, vec![refusal]));
    assert_eq!(errors, "probe: /guarded refuses: not authorized ({\"code\":42})\n");
    let Outcome { code, lines, .. } =
        probe(&["--url", &url, "--namespace", "/guarded", "--auth", r#"{"token":"secret"}"#]).await;
    assert_eq!((code, lines.len()), (0, 1));
}

#[tokio::test]
async fn headers_and_parameters_reach_the_server() {
    let (_host, url) = host().await;
    let head = ["--namespace", "head", "--header", "X-Of-Mine:  1", "--query", "of mine=a&b", "--max-events", "1"];
    let Outcome { lines, .. } = probe(&[&["--url", &url][..], &head].concat()).await;
    assert_eq!(lines[1]["args"][0], "1");
    let query = lines[1]["args"][1].as_str().unwrap();
    assert!(query.starts_with("of%20mine=a%26b&"), "{query}");
}

#[tokio::test]
async fn a_lost_connection_ends_it() {
    let (host, url) = host().await;
    let Outcome { code, lines, errors } = probe(&["--url", &url, "--emit", "leave me", "--listen"]).await;
    assert_eq!((code, &*errors), (1, "probe: disconnected: io server disconnect\n"));
    assert_eq!(lines[1..], [json!({ "disconnect": "io server disconnect" })]);
    host.empty().await;
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once_or_when_the_time_is_over() -> io::Result<()> {
    let port = TcpSocket::new_v4()?;
    port.bind(([127, 0, 0, 1], 0).into())?;
    let url = format!("http://{}", port.local_addr()?);
    let Outcome { code, errors, .. } = probe(&["--url", &url, "--no-reconnection"]).await;
    assert!(code == 1 && errors.contains("cannot connect to 127.0.0.1:"), "{errors}");
    let Outcome { code, errors, .. } = probe(&["--url", &url, "--timeout-ms", "300"]).await;
    assert!(code == 1 && errors.ends_with("a connection has not come within 300ms\n"), "{errors}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_command_line_is_told_apart() {
    for (args, words) in [
        (&["--url", "localhost:3000"][..], "scheme"),
        (&["--url", "http://a", "--emit", "say", "hello"], "'\"text\"'"),
        (&["--url", "http://a", "--ack"], "--emit"),
        (&["--url", "http://a", "--auth", "1"], "object"),
        (&["--url", "http://a", "--header", "a"], "Name: value"),
        (&["--url", "http://a", "--ca", "/no/such/file"], "--ca"),
        (&["--url", "http://a", "--proxy", "a"], "proxy"),
        (&[], "--url"),
    ] {
        let Outcome { code, lines, errors } = probe(args).await;
        assert!(code == 2 && lines.is_empty() && errors.contains(words), "{args:?}: {errors}");
    }
}
