//! A Socket.IO server that answers in every way a test can ask for: what the official Socket.IO suite, the interop tests
//! and the measurements run against.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use socketio_driver::{
    Ack, AckError, Auth, Binary, ConnectError, DisconnectReason, EmitError, HandlerError, RawArgs, Runtime, Server,
    Socket, State, yield_now,
};
use stats_alloc::INSTRUMENTED_SYSTEM;

use crate::options::{GOODBYES, Options};
use crate::platform::Platform;

/// What the tests ask about afterwards.
#[derive(Clone, Default)]
struct Notes {
    /// Numbers of the events whose handlers have started, by socket.
    starts: Arc<Mutex<HashMap<String, Vec<u64>>>>,
    /// Ids and reasons of the sockets that are gone and had asked to be noted.
    disconnects: Arc<Mutex<Vec<(String, String)>>>,
}

#[derive(Serialize)]
struct Stats {
    sessions: usize,
    connections: usize,
    sockets: usize,
    rooms: usize,
    handlers: usize,
    /// Of the runtime, if it tells.
    tasks: Option<usize>,
    /// Live bytes.
    heap: usize,
    /// Allocations and reallocations so far.
    allocs: usize,
    /// Open descriptors.
    fds: usize,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

/// The server.
///
/// # Errors
///
/// It cannot listen, or not any more.
pub(crate) fn conformance<P: Platform>(options: &Options) -> io::Result<()> {
    options.run::<P, _>(|runtime, certificate| {
        let server = options.server().state(Notes::default()).state(runtime.clone()).build();
        declare::<P>(&server);
        if let Some(certificate) = certificate.cloned() {
            server.of("/").on("reload-tls", move |ack: Ack| {
                let reloaded = certificate.reload().map_err(|error| error.to_string());
                async move { ack.send(reloaded.err()) }
            });
        }
        server
    })
}

fn declare<P: Platform>(server: &Server) {
    let root = server.of("/");
    for namespace in [&root, &server.of("/custom")] {
        namespace.on_connect(async |socket: Socket, Auth(auth): Auth<Value>| socket.emit("auth", auth));
    }
    server.of("/guarded").middleware(async |Auth(auth): Auth<Token>| match auth.token.as_deref() {
        Some("secret") => Ok(()),
        _ => Err(ConnectError::new("not authorized").with_data(serde_json::json!({ "code": 42 }))),
    });
    declare_echoes(server);
    declare_rooms(server);
    declare_probes::<P>(server);
}

fn declare_echoes(server: &Server) {
    let root = server.of("/");
    root.on("message", async |socket: Socket, args: RawArgs| socket.emit("message-back", args));
    root.on("message-with-ack", async |args: RawArgs, ack: Ack| ack.send(args));
    root.on("echo", async |socket: Socket, args: RawArgs| socket.emit("echo", args));
    root.on("echo-string", async |socket: Socket, (text,): (String,)| socket.emit("echo-string", (text,)));
    root.on("ack", async |args: RawArgs, ack: Ack| ack.send(args));
    root.on("count", async |(list,): (Vec<Binary>,), ack: Ack| ack.send(list.len()));
    root.on("emit-with-ack", async |socket: Socket, args: RawArgs| -> Result<(), HandlerError> {
        let answer: RawArgs = socket.emit_with_ack("emit-with-ack", args).await?;
        Ok(socket.emit("emit-with-ack", answer)?)
    });
    root.on("ask", async |socket: Socket, args: RawArgs, ack: Ack| -> Result<(), HandlerError> {
        let answer: RawArgs = socket.emit_with_ack("question", args).await?;
        Ok(ack.send(answer)?)
    });
    root.on("ask-timeout", async |socket: Socket, (ms,): (u64,), ack: Ack| {
        match socket.emit_with_ack::<Value>("question", ()).timeout(Duration::from_millis(ms)).await {
            Ok(answer) => ack.send(("answer", answer)),
            Err(AckError::Timeout) => ack.send("timeout"),
            Err(error) => ack.send(error.to_string()),
        }
    });
}

fn declare_rooms(server: &Server) {
    let root = server.of("/");
    root.on("join", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.join(&room);
        ack.send("ok")
    });
    root.on("leave", async |socket: Socket, (room,): (String,), ack: Ack| {
        socket.leave(&room);
        ack.send("ok")
    });
    root.on("secure", async |socket: Socket, ack: Ack| ack.send(socket.handshake().secure()));
    root.on("rooms", async |socket: Socket, ack: Ack| ack.send(socket.rooms()));
    root.on(
        "say",
        async |socket: Socket,
               (room, message, data): (String, Value, Option<Binary>),
               ack: Ack|
               -> Result<(), EmitError> {
            socket.namespace().to(&room).emit("said", (socket.id(), message, data))?;
            ack.send(())
        },
    );
    root.on("broadcast", async |socket: Socket, args: RawArgs| socket.namespace().to("room1").emit("broadcast", args));
    root.on("broadcast-except", async |socket: Socket, args: RawArgs| socket.to("room1").emit("broadcast", args));
}

fn declare_probes<P: Platform>(server: &Server) {
    let root = server.of("/");
    root.on("disconnect-me", async |socket: Socket, (close,): (bool,)| match close {
        true => socket.disconnect_and_close(),
        false => socket.disconnect(),
    });
    root.on(
        "burst",
        async |socket: Socket,
               State(notes): State<Notes>,
               State(runtime): State<P::Runtime>,
               (number, ms): (u64, u64)| {
            notes.starts.lock().unwrap().entry(socket.id().into()).or_default().push(number);
            match ms {
                0 => yield_now(&runtime).await,
                ms => runtime.sleep(Duration::from_millis(ms)).await,
            }
        },
    );
    root.on("burst-starts", async |socket: Socket, State(notes): State<Notes>, ack: Ack| {
        let starts = notes.starts.lock().unwrap().remove(socket.id());
        ack.send(starts.unwrap_or_default())
    });
    root.on(
        "flood",
        async |socket: Socket,
               State(runtime): State<P::Runtime>,
               (count, bytes): (u64, usize)|
               -> Result<(), HandlerError> {
            let text = "x".repeat(bytes);
            for number in 0..count {
                socket.emit("flood", (number, &text))?;
                yield_now(&runtime).await;
            }
            Ok(())
        },
    );
    root.on("fail", async || -> Result<(), HandlerError> { Err("asked to fail".into()) });
    root.on("panic", async |socket: Socket| {
        assert!(!socket.is_connected(), "asked to panic");
    });
    root.on("note-disconnect", async |socket: Socket, State(notes): State<Notes>, ack: Ack| {
        socket.on_disconnect(move |socket: Socket, reason: DisconnectReason| {
            notes.disconnects.lock().unwrap().push((socket.id().into(), reason.to_string()));
            async {}
        });
        ack.send("ok")
    });
    root.on("disconnect-notes", async |State(notes): State<Notes>, ack: Ack| {
        let noted = std::mem::take(&mut *notes.disconnects.lock().unwrap());
        ack.send(noted)
    });
    let known = server.clone();
    root.on("stats", move |ack: Ack| {
        let stats = stats::<P>(&known);
        async move { ack.send(stats) }
    });
    let ending = server.clone();
    root.on("shutdown", move |State(runtime): State<P::Runtime>| {
        let server = ending.clone();
        async move { runtime.spawn(async move { server.shutdown(GOODBYES).await }) }
    });
}

fn stats<P: Platform>(server: &Server) -> Stats {
    let (stats, heap) = (server.stats(), INSTRUMENTED_SYSTEM.stats());
    Stats {
        sessions: stats.sessions,
        connections: stats.connections,
        sockets: stats.sockets,
        rooms: stats.rooms,
        handlers: stats.handlers,
        tasks: P::tasks(),
        heap: heap.bytes_allocated.saturating_sub(heap.bytes_deallocated),
        allocs: heap.allocations + heap.reallocations,
        fds: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    }
}
