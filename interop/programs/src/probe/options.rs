//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, Parser, ValueEnum};
use serde_json::Value;
use socketio_driver::protocol::engine::Transport;
use socketio_driver::{ClientBuilder, Runtime};

const AFTER_HELP: &str = r#"Output, one line of JSON each:
  {"ack":[3]}                                what the server answered to an --emit, with --ack
  {"event":"message","args":["a",1]}         an event, with --listen; "asks":true if the server wants an answer
  {"connect":{"id":"..","transport":"websocket","recovered":false}}
  {"connect_error":{"message":"..","data":..}}, {"disconnect":"transport close"}, {"upgrade":"websocket"},
  {"reconnect_attempt":1}, {"reconnect":1}, {"reconnect_failed":true}
                                             what becomes of the connection, with --listen or without --emit
Bytes are {"$binary":"<base64>"}, among the arguments that are given, too. Errors are sentences on stderr.

Exit codes:
  0  done: connected, all emitted, all answers printed; listening has ended by --timeout-ms, --max-events or Ctrl-C
  1  not connected, refused, or disconnected for good
  2  the command line cannot be used
  3  an answer, or one of --max-events, did not come

Examples:
  probe --url http://127.0.0.1:3000                      is it there?
  probe --url http://127.0.0.1:3000 --emit add 1 2 --ack
  probe --url https://example.com/chat --auth '{"token":"abc"}' --listen
  probe --url http://127.0.0.1:3000 --emit join '"lobby"' --emit say '{"text":"Hello!"}' --listen --max-events 1"#;

/// A command-line client for any Socket.IO server of version 3 or newer.
///
/// It connects, emits what it is told to, and prints what comes as JSON lines.
#[derive(Debug, Parser)]
#[command(name = "probe", after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The server: http, https, ws or wss. A path is the namespace, a query is sent along
    #[arg(long)]
    url: String,
    /// The namespace, instead of the URL's path
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Without it, WebSocket, and polling where that cannot be opened
    #[arg(long, value_enum)]
    transport: Option<Way>,
    /// The credentials: an object
    #[arg(long, value_name = "JSON", value_parser = json)]
    auth: Option<Value>,
    /// A header of each request; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A parameter of each request's query; may be repeated
    #[arg(long = "query", value_name = "NAME=VALUE", value_parser = parameter)]
    query: Vec<(String, String)>,
    /// The path that the server answers at [default: /socket.io/]
    #[arg(long)]
    path: Option<String>,
    #[command(flatten)]
    emits: Emits,
    /// Wait for the answer to each event before the next one, and print it
    #[arg(long, requires = "emit")]
    pub(crate) ack: bool,
    /// Print events until the connection ends, --timeout-ms or Ctrl-C
    #[arg(long)]
    listen: bool,
    /// Listen until that many events were printed
    #[arg(long, value_name = "N")]
    pub(crate) max_events: Option<usize>,
    /// Answer each event that asks for an answer with these arguments. Without it, none is answered
    #[arg(long, value_name = "JSON", num_args = 0.., value_parser = json, allow_negative_numbers = true)]
    pub(crate) answer: Option<Vec<Value>>,
    /// Time for everything [default: 20000 to connect and for the answers, no limit to listening]
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Do not try again if the connection cannot be opened or is lost
    #[arg(long)]
    no_reconnection: bool,
    /// PEM file with the certificates to trust, instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// HTTP proxy for all connections: `http://user:password@host:port`
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

#[derive(Copy, Clone, Debug, ValueEnum)]
enum Way {
    Websocket,
    Polling,
    /// Polling, then WebSocket
    Upgrade,
}

/// One `--emit`.
#[derive(Clone, Debug)]
pub(crate) struct Emit {
    pub(crate) name: String,
    pub(crate) args: Vec<Value>,
}

impl Options {
    pub(crate) fn emits(&self) -> &[Emit] {
        &self.emits.0
    }

    /// Whether to go on when everything is emitted.
    pub(crate) fn listens(&self) -> bool {
        self.listen || self.max_events.is_some()
    }

    /// Whether to print what becomes of the connection.
    pub(crate) fn tells_of_connection(&self) -> bool {
        self.listens() || self.emits().is_empty()
    }

    /// Time to connect and for all answers.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(20_000))
    }

    /// Whether that is the time for listening, too.
    pub(crate) fn is_limited(&self) -> bool {
        self.timeout_ms.is_some()
    }

    /// What connects. What the library itself refuses, it tells later.
    ///
    /// # Errors
    ///
    /// The file of `--ca` cannot be used.
    pub(crate) fn builder<R: Runtime>(&self, runtime: R) -> Result<ClientBuilder<R>, String> {
        let url = match &self.namespace {
            Some(namespace) => with_namespace(&self.url, namespace),
            None => self.url.clone(),
        };
        let mut builder = ClientBuilder::new(runtime, &url).reconnection(!self.no_reconnection);
        builder = match self.transport {
            None => builder,
            Some(Way::Websocket) => builder.transports(&[Transport::WebSocket]),
            Some(Way::Polling) => builder.transports(&[Transport::Polling]),
            Some(Way::Upgrade) => builder.transports(&[Transport::Polling, Transport::WebSocket]),
        };
        if let Some(auth) = &self.auth {
            builder = builder.auth(auth);
        }
        builder = self.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        builder = self.query.iter().fold(builder, |builder, (name, value)| builder.query(name, value));
        if let Some(path) = &self.path {
            builder = builder.path(path);
        }
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy);
        }
        self.trust(builder)
    }

    fn trust<R: Runtime>(&self, builder: ClientBuilder<R>) -> Result<ClientBuilder<R>, String> {
        let Some(file) = &self.ca else { return Ok(builder) };
        let wrong = |error: &dyn std::error::Error| format!("--ca {}: {error}", file.display());
        let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
        let tls = socketio_driver::Tls::default().with_root_pem(&pem).map_err(|error| wrong(&error))?;
        Ok(builder.tls(tls))
    }
}

/// The URL, with another path.
fn with_namespace(url: &str, namespace: &str) -> String {
    let start = url.find("://").map_or(0, |scheme| scheme + 3);
    let (place, rest) = url.split_at(start + url[start..].find(['/', '?', '#']).unwrap_or(url.len() - start));
    let query = rest.find(['?', '#']).map_or("", |at| &rest[at..]);
    format!("{place}/{}{query}", namespace.strip_prefix('/').unwrap_or(namespace))
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON ({error}); a text has quotes: '\"text\"'"))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is written 'Name: value'")?;
    Ok((name.trim().into(), value.trim().into()))
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok((name.into(), value.into()))
}

/// Each `--emit` on its own, which derived options do not tell apart.
#[derive(Debug)]
struct Emits(Vec<Emit>);

impl Args for Emits {
    fn augment_args(command: Command) -> Command {
        let emit = Arg::new("emit")
            .long("emit")
            .value_names(["NAME", "JSON"])
            .help("Emit an event with these arguments; may be repeated")
            .action(ArgAction::Append)
            .num_args(1..)
            .allow_negative_numbers(true)
            .value_parser(NonEmptyStringValueParser::new());
        command.arg(emit)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Emits {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let emits = matches.get_occurrences::<String>("emit").into_iter().flatten().map(|mut parts| {
            let name = parts.next().cloned().unwrap_or_default();
            let args = parts.map(|part| {
                let wrong = |error| format!("invalid value '{part}' for '--emit {name}': {error}");
                json(part).map_err(|error| Error::raw(ErrorKind::ValueValidation, wrong(error)))
            });
            let args = args.collect::<Result<_, _>>()?;
            Ok(Emit { name, args })
        });
        Ok(Self(emits.collect::<Result<_, Error>>()?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
