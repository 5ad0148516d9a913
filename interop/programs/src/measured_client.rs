//! A client for measurements, with handlers as an application would write them.
//!
//! It says `ready` when it is connected. Then each line of its input is a number of messages: to exchange, or to wait for
//! while somebody else has the server broadcast them. It says `started` when it counts, and `done` when it has them all.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, process};

use clap::{Args, ValueEnum};
use event_listener::Event;
use futures_util::StreamExt;
use socketio_driver::protocol::engine::Transport;
use socketio_driver::{Client, ClientBuilder, EmitError, Runtime, State};

use crate::platform::{Platform, lines};

/// How many broadcasts come between two lines that tell whoever sends them.
const STEP: u64 = 1024;

/// Options of the client.
#[derive(Args)]
pub struct Options {
    #[arg(long)]
    url: String,
    #[arg(long, value_enum)]
    scenario: Scenario,
    /// Echoes that are under way at any time.
    #[arg(long, default_value_t = 16)]
    in_flight: u64,
    /// Characters of the argument.
    #[arg(long, default_value_t = 32)]
    size: usize,
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Echo,
    Broadcast,
}

/// One run of messages after the other.
struct Load {
    text: String,
    unsent: AtomicU64,
    wanted: AtomicU64,
    received: AtomicU64,
    done: Event,
}

/// The client.
///
/// # Errors
///
/// The runtime does not start.
pub(crate) fn measured_client<P: Platform>(options: Options) -> io::Result<()> {
    P::run(1, |runtime| async move {
        if let Err(error) = serve(&runtime, &options).await {
            fail(&error.to_string());
        }
    })
}

async fn serve(runtime: &impl Runtime, options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let load = Arc::new(Load {
        text: "x".repeat(options.size),
        unsent: AtomicU64::new(0),
        wanted: AtomicU64::new(0),
        received: AtomicU64::new(0),
        done: Event::new(),
    });
    let client = connect(runtime, options, &load).await?;
    println!("ready");
    let mut lines = lines();
    while let Some(line) = lines.next().await {
        run(options, &client, &load, line?.trim().parse()?).await?;
        println!("done");
    }
    client.close().await;
    Ok(())
}

async fn connect(
    runtime: &impl Runtime,
    options: &Options,
    load: &Arc<Load>,
) -> Result<Client, Box<dyn Error + Send + Sync>> {
    let client = ClientBuilder::new(runtime.clone(), &options.url)
        .transports(&[Transport::WebSocket])
        .reconnection(false)
        .state(Arc::clone(load))
        .on("echo", async |client: Client, State(load): State<Arc<Load>>, (text,): (String,)| {
            load.check(&text);
            if load.takes_another() {
                client.emit("echo", (&load.text,))?;
            }
            load.count();
            Ok::<_, EmitError>(())
        })
        .on("broadcast", async |State(load): State<Arc<Load>>, (text,): (String,)| {
            load.check(&text);
            if load.count().is_multiple_of(STEP) {
                println!("received");
            }
        })
        .on_error(|_, event, error| fail(&format!("{event}: {error}")))
        .on_disconnect(async |client: Client| {
            if client.is_active() {
                fail("the connection is lost");
            }
        })
        .connect()
        .await?;
    if options.scenario == Scenario::Broadcast {
        let _: String = client.emit_with_ack("join", ("room1",)).await?;
    }
    Ok(client)
}

async fn run(options: &Options, client: &Client, load: &Load, count: u64) -> Result<(), EmitError> {
    load.received.store(0, Ordering::Relaxed);
    load.wanted.store(count, Ordering::Relaxed);
    let done = load.done.listen();
    println!("started");
    if options.scenario == Scenario::Echo {
        load.unsent.store(count, Ordering::Relaxed);
        for _ in 0..options.in_flight {
            if load.takes_another() {
                client.emit("echo", (&load.text,))?;
            }
        }
    }
    done.await;
    Ok(())
}

impl Load {
    fn check(&self, text: &str) {
        if text.len() != self.text.len() {
            fail("a message has changed");
        }
    }

    /// Whether one more message is to be sent, which is counted.
    fn takes_another(&self) -> bool {
        let unsent = self.unsent.load(Ordering::Relaxed);
        self.unsent.store(unsent.saturating_sub(1), Ordering::Relaxed);
        unsent > 0
    }

    /// Counts a message that has come; gives how many have.
    fn count(&self) -> u64 {
        let received = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        if received == self.wanted.load(Ordering::Relaxed) {
            self.done.notify(1);
        }
        received
    }
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1)
}
