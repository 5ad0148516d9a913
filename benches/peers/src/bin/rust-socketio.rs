//! rust_socketio on tokio, on one thread: the handlers of our `measured` client, whose lines it reads and writes.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{io, process};

use clap::{Parser, ValueEnum};
use futures_util::FutureExt as _;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// How many broadcasts come between two lines that tell whoever sends them.
const STEP: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Options {
    #[arg(long)]
    url: String,
    #[arg(long, value_enum)]
    scenario: Scenario,
    #[arg(long, default_value_t = 16)]
    in_flight: u64,
    #[arg(long, default_value_t = 32)]
    size: usize,
}

#[derive(Copy, Clone, PartialEq, Eq, ValueEnum)]
enum Scenario {
    Echo,
    Broadcast,
}

struct Load {
    text: String,
    unsent: AtomicU64,
    wanted: AtomicU64,
    received: AtomicU64,
    /// Connected, or in the room, or all messages have come.
    done: Notify,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let load = Load {
        text: "x".repeat(options.size),
        unsent: AtomicU64::new(0),
        wanted: AtomicU64::new(0),
        received: AtomicU64::new(0),
        done: Notify::new(),
    };
    let load = Arc::new(load);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(connect(&options, &load))?;
    println!("ready");
    for line in io::stdin().lines() {
        let count = line?.trim().parse()?;
        runtime.block_on(run(&options, &client, &load, count))?;
        println!("done");
    }
    Ok(runtime.block_on(client.disconnect())?)
}

async fn connect(options: &Options, load: &Arc<Load>) -> Result<Client, Box<dyn Error>> {
    let (for_connect, for_echo, for_broadcast) = (Arc::clone(load), Arc::clone(load), Arc::clone(load));
    let client = ClientBuilder::new(&options.url)
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .on(Event::Connect, move |_, _| {
            for_connect.done.notify_one();
            async {}.boxed()
        })
        .on("echo", move |payload: Payload, client: Client| {
            let load = Arc::clone(&for_echo);
            async move {
                load.check(&payload);
                if load.takes_another() {
                    client.emit("echo", json!(load.text)).await.unwrap_or_else(|error| fail(&error.to_string()));
                }
                load.count();
            }
            .boxed()
        })
        .on("broadcast", move |payload: Payload, _| {
            let load = Arc::clone(&for_broadcast);
            async move {
                load.check(&payload);
                if load.count().is_multiple_of(STEP) {
                    println!("received");
                }
            }
            .boxed()
        })
        .on(Event::Error, |payload, _| fail(&format!("{payload:?}")))
        .connect()
        .await?;
    load.done.notified().await;
    if options.scenario == Scenario::Broadcast {
        let joined = Arc::clone(load);
        let answered = move |_: Payload, _: Client| {
            joined.done.notify_one();
            async {}.boxed()
        };
        client.emit_with_ack("join", json!("room1"), PATIENCE, answered).await?;
        load.done.notified().await;
    }
    Ok(client)
}

async fn run(options: &Options, client: &Client, load: &Load, count: u64) -> Result<(), rust_socketio::Error> {
    load.received.store(0, Ordering::Relaxed);
    load.wanted.store(count, Ordering::Relaxed);
    println!("started");
    if options.scenario == Scenario::Echo {
        load.unsent.store(count, Ordering::Relaxed);
        for _ in 0..options.in_flight {
            if load.takes_another() {
                client.emit("echo", json!(load.text)).await?;
            }
        }
    }
    load.done.notified().await;
    Ok(())
}

impl Load {
    fn check(&self, payload: &Payload) {
        match payload {
            Payload::Text(values) if matches!(&**values, [Value::String(text)] if text.len() == self.text.len()) => {}
            _ => fail("a message has changed"),
        }
    }

    fn takes_another(&self) -> bool {
        let unsent = self.unsent.load(Ordering::Relaxed);
        self.unsent.store(unsent.saturating_sub(1), Ordering::Relaxed);
        unsent > 0
    }

    fn count(&self) -> u64 {
        let received = self.received.fetch_add(1, Ordering::Relaxed) + 1;
        if received == self.wanted.load(Ordering::Relaxed) {
            self.done.notify_one();
        }
        received
    }
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    process::exit(1)
}
