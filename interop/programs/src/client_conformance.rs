//! A Socket.IO client that does what it is told, one JSON command on each line of its input, and says what happens to it,
//! one JSON list on each line of its output: what the interop tests compare with the official client.
//! `interop/js/lib/client_agent.mjs` has the commands.

use std::collections::HashMap;
use std::future::IntoFuture;
use std::io::{self, Write, stdout};
use std::process::exit;
use std::task::{Context, Waker};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde::ser::{Error, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use socketio_driver::protocol::engine::Transport;
use socketio_driver::{
    Ack, Binary, Client, ClientBuilder, ConnectFailure, DisconnectReason, EmitError, EventName, ManagerEvent, RawArgs,
    Runtime, Tls,
};

use crate::platform::{Platform, lines};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Command {
    Client {
        id: String,
        url: String,
        #[serde(flatten)]
        setup: Setup,
    },
    Socket {
        id: String,
        #[serde(flatten)]
        setup: Setup,
    },
    Connect {
        id: String,
    },
    Disconnect {
        id: String,
    },
    Auth {
        id: String,
        auth: Value,
    },
    Emit {
        id: String,
        #[serde(flatten)]
        event: Event,
        #[serde(default)]
        volatile: bool,
    },
    Ask {
        id: String,
        tag: Value,
        timeout: Option<u64>,
        #[serde(flatten)]
        event: Event,
    },
    Mark {
        tag: Value,
    },
    Close,
    End,
}

#[derive(Deserialize)]
struct Event {
    event: String,
    #[serde(default)]
    args: Vec<Value>,
}

#[derive(Deserialize)]
struct Setup {
    #[serde(default = "root")]
    namespace: String,
    #[serde(default)]
    options: Options,
    /// An event to emit whenever the socket is connected: its name, and arguments.
    greet: Option<Vec<Value>>,
}

fn root() -> String {
    "/".into()
}

/// Those of the official client, and at the end those that it has not.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    transports: Option<Vec<String>>,
    upgrade: Option<bool>,
    try_all_transports: bool,
    reconnection: Option<bool>,
    reconnection_attempts: Option<u32>,
    reconnection_delay: Option<u64>,
    reconnection_delay_max: Option<u64>,
    randomization_factor: Option<f64>,
    timeout: Option<u64>,
    auth: Option<Value>,
    query: HashMap<String, String>,
    extra_headers: HashMap<String, String>,
    path: Option<String>,
    retries: Option<u32>,
    ack_timeout: Option<u64>,
    ca: Option<String>,
    connect_timeout: Option<u64>,
    max_payload: Option<usize>,
    max_buffered: Option<usize>,
}

/// Sets what both kinds of builders have, and begins to connect.
macro_rules! start {
    ($builder:expr, $setup:expr, $id:expr) => {{
        let Setup { options, greet, .. } = $setup;
        let names: [String; 5] = std::array::from_fn(|_| $id.clone());
        let [connected, failed, lost, heard, faulty] = names;
        let mut builder = $builder
            .on_connect(move |client: Client| {
                let state = json!({ "recovered": client.is_recovered(), "hasId": client.id().is_some() });
                say(&json!([connected, "connect", state]));
                if let Some((Value::String(event), args)) = greet.as_deref().and_then(<[Value]>::split_first) {
                    tell_emit_error(&connected, client.emit(event, Arguments(args)));
                }
                async {}
            })
            .on_connect_error(move |failure: ConnectFailure| {
                tell_failure(&failed, &failure);
                async {}
            })
            .on_disconnect(move |reason: DisconnectReason| {
                say(&json!([lost, "disconnect", reason.to_string()]));
                async {}
            })
            .on_any(move |EventName(event): EventName, args: RawArgs, ack: Ack| {
                tell(&[json!(heard), json!("event"), json!(event)], &args);
                let answered = if event == "mute" { Ok(()) } else { ack.send(args) };
                tell_emit_error(&heard, answered);
                async {}
            })
            .on_error(move |_, event, error| say(&json!([faulty, "event_error", event, error.to_string()])));
        if let Some(auth) = options.auth {
            builder = builder.auth(auth);
        }
        if let Some(retries) = options.retries {
            builder = builder.retries(retries);
        }
        if let Some(timeout) = options.ack_timeout {
            builder = builder.ack_timeout(Duration::from_millis(timeout));
        }
        builder.start()
    }};
}

/// The client.
///
/// # Errors
///
/// The runtime does not start.
pub(crate) fn client_conformance<P: Platform>() -> io::Result<()> {
    let mut lines = lines();
    P::run(1, |runtime| async move {
        let mut clients = HashMap::new();
        while let Some(line) = lines.next().await {
            let line = line.expect("the input is text");
            let command = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            obey(&runtime, command, &mut clients);
        }
    })
}

fn obey<R: Runtime>(runtime: &R, command: Command, clients: &mut HashMap<String, Client>) {
    let known = |id: &str| clients.get(id).expect("the client is known");
    match command {
        Command::Client { id, url, setup } => {
            let builder = dial(runtime, &url, &setup).on_manager(tell_manager);
            let started = start!(builder, setup, id);
            clients.insert(id, started.expect("the options can be used"));
        }
        Command::Socket { id, setup } => {
            let first = clients.values().next().expect("there is a client").clone();
            let started = start!(first.of(&setup.namespace), setup, id);
            clients.insert(id, started.expect("the options can be used"));
        }
        Command::Connect { id } => {
            let connecting = known(&id).connect().into_future();
            runtime.spawn(async { _ = connecting.await });
        }
        Command::Disconnect { id } => known(&id).disconnect(),
        Command::Auth { id, auth } => known(&id).set_auth(&auth).expect("credentials are an object"),
        Command::Emit { id, event: Event { event, args }, volatile } => {
            let client = known(&id);
            let emitted = match volatile {
                true => client.emit_volatile(&event, Arguments(&args)),
                false => client.emit(&event, Arguments(&args)),
            };
            tell_emit_error(&id, emitted);
        }
        Command::Ask { id, tag, timeout, event } => ask(runtime, known(&id), id, tag, timeout, &event),
        Command::Close => {
            let client = clients.values().next().expect("there is a client").clone();
            runtime.spawn(async move {
                client.close().await;
                say(&json!(["closed"]));
            });
        }
        Command::Mark { tag } => say(&json!(["mark", tag])),
        Command::End => exit(0),
    }
}

fn say(line: &Value) {
    // Nobody listens any more when the test is over.
    let _ = writeln!(stdout().lock(), "{line}");
}

/// The connection, as the official client's manager has it.
fn dial<R: Runtime>(runtime: &R, url: &str, Setup { namespace, options, .. }: &Setup) -> ClientBuilder<R> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let mut builder =
        ClientBuilder::new(runtime.clone(), &format!("{}{namespace}?{query}", address.trim_end_matches('/')));
    // `client.path("/deep")` and its like, for every option that is given.
    macro_rules! set {
        ($($option:ident = $value:expr;)*) => {
            $(if let Some(value) = $value {
                builder = builder.$option(value);
            })*
        };
    }
    let transports: Option<Vec<_>> = options.transports.as_ref().map(|names| {
        names.iter().map(|name| if name == "polling" { Transport::Polling } else { Transport::WebSocket }).collect()
    });
    set! {
        transports = transports.as_deref();
        upgrade = options.upgrade;
        try_all_transports = Some(options.try_all_transports);
        reconnection = options.reconnection;
        reconnection_attempts = options.reconnection_attempts;
        reconnection_delay = options.reconnection_delay.map(Duration::from_millis);
        reconnection_delay_max = options.reconnection_delay_max.map(Duration::from_millis);
        randomization_factor = options.randomization_factor;
        timeout = options.timeout.map(Duration::from_millis);
        connect_timeout = options.connect_timeout.map(Duration::from_millis);
        path = options.path.as_deref();
        max_payload = options.max_payload;
        max_buffered = options.max_buffered;
        tls = options.ca.as_ref().map(|ca| Tls::default().with_root_pem(ca.as_bytes()).expect("a certificate"));
    }
    for (name, value) in &options.query {
        builder = builder.query(name, value);
    }
    for (name, value) in &options.extra_headers {
        builder = builder.header(name, value);
    }
    builder
}

fn tell_manager(event: &ManagerEvent) {
    let line = match event {
        ManagerEvent::Open => json!(["manager", "open"]),
        ManagerEvent::Error(error) => json!(["manager", "error", kind(error)]),
        ManagerEvent::Close(reason) => json!(["manager", "close", reason.to_string()]),
        ManagerEvent::Upgrade => json!(["manager", "upgrade", "websocket"]),
        ManagerEvent::ReconnectAttempt(attempt) => json!(["manager", "reconnect_attempt", attempt]),
        ManagerEvent::ReconnectError(error) => json!(["manager", "reconnect_error", kind(error)]),
        ManagerEvent::ReconnectFailed => json!(["manager", "reconnect_failed"]),
        ManagerEvent::Reconnect(attempt) => json!(["manager", "reconnect", attempt]),
        // How many of them come is a matter of time.
        ManagerEvent::Ping => return,
        other => json!(["manager", format!("{other:?}")]),
    };
    say(&line);
}

/// An error without its cause, which is in the operating system's words.
fn kind(error: &impl ToString) -> String {
    let words = error.to_string();
    words.split(": ").next().unwrap_or_default().into()
}

fn tell_failure(id: &str, failure: &ConnectFailure) {
    say(&match failure {
        ConnectFailure::Refused(error) => {
            let data = error.data().and_then(|json| serde_json::from_str::<Value>(json).ok());
            Value::from_iter([json!(id), json!("connect_error"), json!(error.message())].into_iter().chain(data))
        }
        ConnectFailure::Open(error) => json!([id, "connect_error", kind(error)]),
        other => json!([id, "connect_error", other.to_string()]),
    });
}

fn tell_emit_error(id: &str, emitted: Result<(), EmitError>) {
    if let Err(error) = emitted {
        say(&json!([id, "emit_error", error.to_string()]));
    }
}

fn ask(
    runtime: &impl Runtime,
    client: &Client,
    id: String,
    tag: Value,
    timeout: Option<u64>,
    Event { event, args }: &Event,
) {
    let mut answer = client.emit_with_ack::<RawArgs>(event, Arguments(args));
    if let Some(timeout) = timeout {
        answer = answer.timeout(Duration::from_millis(timeout));
    }
    let mut answered = Box::pin(async move {
        match answer.await {
            Ok(args) => tell(&[json!(id), json!("ack"), tag], &args),
            Err(error) => say(&json!([id, "ack_error", tag, error.to_string()])),
        }
    });
    // The first poll sends the event, here, in the order of the commands.
    if answered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
        runtime.spawn(answered);
    }
}

/// Says something with arguments.
fn tell(start: &[Value], args: &RawArgs) {
    match serde_json::from_str::<Vec<Value>>(args.json()) {
        Ok(values) => {
            let values = values.into_iter().map(|value| mark(value, args));
            say(&start.iter().cloned().chain(values).collect());
        }
        Err(error) => say(&json!([start, "args_error", error.to_string()])),
    }
}

/// `$bin` for bytes, at any depth.
fn mark(value: Value, args: &RawArgs) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(|value| mark(value, args)).collect(),
        Value::Object(fields) => {
            let number = fields.get("num").filter(|_| fields.contains_key("_placeholder")).and_then(Value::as_u64);
            match number.and_then(|number| args.attachments().get(usize::try_from(number).ok()?)) {
                Some(bytes) => json!({ "$bin": STANDARD.encode(bytes) }),
                None => Value::Object(fields.into_iter().map(|(name, value)| (name, mark(value, args))).collect()),
            }
        }
        other => other,
    }
}

/// Arguments of an event, as many as there are.
struct Arguments<'a>(&'a [Value]);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|value| tuple.serialize_element(&Marked(value)))?;
        tuple.end()
    }
}

/// Any value, with bytes where it says `$bin`.
struct Marked<'a>(&'a Value);

impl Serialize for Marked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(values) => serializer.collect_seq(values.iter().map(Marked)),
            Value::Object(fields) => match fields.get("$bin").and_then(Value::as_str) {
                Some(text) => Binary::from(STANDARD.decode(text).map_err(S::Error::custom)?).serialize(serializer),
                None => serializer.collect_map(fields.iter().map(|(name, value)| (name, Marked(value)))),
            },
            plain => plain.serialize(serializer),
        }
    }
}
