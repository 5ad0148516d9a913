//! A command-line client for any Socket.IO server.

mod options;
mod values;

use std::future::Future;
use std::io::{self, Write};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures_util::future::{Either, select};
use serde_json::{Value, json};
use socketio_driver::{
    AckError, Client, ClientEvent, ConnectFailure, EmitError, ManagerEvent, RawArgs, ReceivedEvent, Runtime, Sleep,
};

use self::options::{Emit, Options};
use self::values::{List, show};
use crate::platform::{Platform, interrupted};

/// Time for the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Does what the command line says; `--help` has its options, and the exit codes.
pub fn probe<P: Platform>() -> ExitCode {
    let options = Options::parse();
    P::run(1, |runtime| run(runtime, options)).unwrap_or_else(|error| {
        eprintln!("probe: {error}");
        ExitCode::FAILURE
    })
}

async fn run<R: Runtime>(runtime: R, options: Options) -> ExitCode {
    let end = match options.builder(runtime.clone()) {
        Ok(builder) => match builder.start() {
            Ok(client) => talk(&runtime, &options, &client, interrupted()).await,
            Err(error) => Err(End::Usage(error.to_string())),
        },
        Err(error) => Err(End::Usage(error)),
    };
    let Err(end) = end else { return ExitCode::SUCCESS };
    let (code, why) = match end {
        End::Over(why) => (1, why),
        End::Usage(why) => (2, why),
        End::Missing(why) => (3, why),
        // Nobody reads any more, such as `head`.
        End::Output => return ExitCode::SUCCESS,
    };
    eprintln!("probe: {why}");
    ExitCode::from(code)
}

/// Why not everything was done.
enum End {
    /// It is not connected, or no longer.
    Over(String),
    /// It cannot be done at all.
    Usage(String),
    /// Something did not come.
    Missing(String),
    /// The output is closed.
    Output,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Output
    }
}

/// What ends a wait.
enum Stop {
    Time,
    Interrupt,
}

async fn talk<R: Runtime>(
    runtime: &R,
    options: &Options,
    client: &Client,
    interrupted: impl Future<Output = ()>,
) -> Result<(), End> {
    let mut stop = (Box::pin(runtime.sleep(options.timeout())), pin!(interrupted));
    let mut probe = Probe { options, client, waits_for: "a connection".into(), events: 0, last_error: None };
    let mut end = match limit(&mut stop, probe.begin()).await {
        Ok(end) => end,
        Err(Stop::Interrupt) => Ok(()),
        Err(Stop::Time) => Err(probe.late()),
    };
    if end.is_ok() && options.listens() {
        if !options.is_limited() {
            stop.0.as_mut().reset(Duration::MAX);
        }
        end = match limit(&mut stop, probe.listen()).await {
            Ok(end) => end,
            Err(Stop::Time) if options.max_events.is_some() => {
                Err(End::Missing(format!("{} events came in time", probe.events)))
            }
            Err(_) => Ok(()),
        };
    }
    stop.0.as_mut().reset(GOODBYE);
    let _ = select(stop.0, pin!(client.close())).await;
    end
}

/// Does `work`, unless it has to stop before it is done.
async fn limit<T>(
    (time, interrupt): &mut (Pin<Box<impl Future<Output = ()>>>, Pin<&mut impl Future<Output = ()>>),
    work: impl Future<Output = T>,
) -> Result<T, Stop> {
    match select(pin!(work), select(time, interrupt)).await {
        Either::Left((done, _)) => Ok(done),
        Either::Right((Either::Left(_), _)) => Err(Stop::Time),
        Either::Right((Either::Right(_), _)) => Err(Stop::Interrupt),
    }
}

struct Probe<'o> {
    options: &'o Options,
    client: &'o Client,
    /// What it waits for, in words.
    waits_for: String,
    /// Events that were printed.
    events: usize,
    /// Why it is not connected.
    last_error: Option<String>,
}

impl Probe<'_> {
    /// Connects and emits.
    async fn begin(&mut self) -> Result<(), End> {
        while !self.next().await? {}
        for Emit { name, args } in self.options.emits() {
            if !self.options.ack {
                self.client.emit(name, List(args)).map_err(not_emitted)?;
                continue;
            }
            self.waits_for = format!("an answer to {name:?}");
            let answer = self.ask(name, args).await?;
            print(&format!(r#"{{"ack":{}}}"#, show(&answer)))?;
        }
        Ok(())
    }

    /// Waits for an answer, and sees to what comes before it.
    async fn ask(&mut self, name: &str, args: &[Value]) -> Result<RawArgs, End> {
        let mut answer = self.client.emit_with_ack(name, List(args)).into_future();
        loop {
            match select(Box::pin(self.next()), answer).await {
                Either::Left((next, rest)) => {
                    next?;
                    answer = rest;
                }
                Either::Right((Err(AckError::Emit(error)), _)) => return Err(not_emitted(error)),
                Either::Right((answer, _)) => {
                    return answer.map_err(|error| End::Missing(format!("no answer to {name:?}: {error}")));
                }
            }
        }
    }

    async fn listen(&mut self) -> Result<(), End> {
        while self.options.max_events.is_none_or(|max| self.events < max) {
            self.next().await?;
        }
        Ok(())
    }

    /// Sees to what comes next. Says whether that is a connection.
    async fn next(&mut self) -> Result<bool, End> {
        let Some(event) = self.client.next().await else {
            return Err(End::Over(self.last_error.take().unwrap_or_else(|| "the connection has ended".into())));
        };
        match event {
            ClientEvent::Connect { recovered } => {
                self.last_error = None;
                let transport = self.client.transport().map(|transport| transport.name());
                self.tell(json!({
                    "connect": { "id": self.client.id(), "transport": transport, "recovered": recovered }
                }))?;
                return Ok(true);
            }
            ClientEvent::ConnectError(error) => self.not_connected(&error)?,
            ClientEvent::Disconnect(reason) => {
                self.complain(format!("disconnected: {reason}"));
                self.tell(json!({ "disconnect": reason.to_string() }))?;
            }
            ClientEvent::Manager(event) => self.manager(&event)?,
            ClientEvent::Event(event) => self.event(event)?,
            // The library may learn to say more.
            _ => {}
        }
        Ok(false)
    }

    fn not_connected(&mut self, error: &ConnectFailure) -> Result<(), End> {
        let mut told = json!({ "message": error.to_string() });
        let mut why = format!("not connected: {error}");
        if let ConnectFailure::Refused(refusal) = error {
            why = format!("{} refuses: {error}", self.client.namespace());
            if let Some(data) = refusal.data() {
                why = format!("{why} ({data})");
                told["data"] = serde_json::from_str(data).unwrap_or_default();
            }
        }
        self.complain(why);
        self.tell(json!({ "connect_error": told }))
    }

    fn manager(&self, event: &ManagerEvent) -> Result<(), End> {
        match event {
            ManagerEvent::Upgrade => self.tell(json!({ "upgrade": "websocket" })),
            ManagerEvent::ReconnectAttempt(attempt) => self.tell(json!({ "reconnect_attempt": attempt })),
            ManagerEvent::Reconnect(attempt) => self.tell(json!({ "reconnect": attempt })),
            ManagerEvent::ReconnectFailed => self.tell(json!({ "reconnect_failed": true })),
            // The others are told of the socket, too.
            _ => Ok(()),
        }
    }

    fn event(&mut self, event: ReceivedEvent) -> Result<(), End> {
        let (name, args) = (Value::from(event.name()), show(event.raw()));
        let ack = event.into_ack();
        if self.options.listens() {
            let asks = if ack.is_wanted() { r#","asks":true"# } else { "" };
            print(&format!(r#"{{"event":{name},"args":{args}{asks}}}"#))?;
            self.events += 1;
        }
        match &self.options.answer {
            Some(answer) => ack.send(List(answer)).map_err(not_emitted),
            None => Ok(()),
        }
    }

    /// Prints what becomes of the connection.
    fn tell(&self, line: Value) -> Result<(), End> {
        if self.options.tells_of_connection() { Ok(print(&line.to_string())?) } else { Ok(()) }
    }

    /// The last complaint is left for the end, if it is the end.
    fn complain(&mut self, why: String) {
        if let Some(before) = self.last_error.replace(why) {
            eprintln!("probe: {before}");
        }
    }

    /// It has taken too long.
    fn late(&self) -> End {
        let words = format!("{} has not come within {:?}", self.waits_for, self.options.timeout());
        let words = [self.last_error.clone(), Some(words)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        if self.client.is_connected() { End::Missing(words) } else { End::Over(words) }
    }
}

fn not_emitted(error: EmitError) -> End {
    match error {
        EmitError::Encode(error) => End::Usage(error.to_string()),
        error => End::Over(error.to_string()),
    }
}

fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
