//! Many clients that connect, chat, drop and come back at random, for a while, against the program `conformance` in another
//! process: no event is lost against the contract (`ledger.rs` says what that is), and nothing leaks (`levels.rs`).
//!
//! It goes in rounds. In each everybody does something at random; then all come to rest, connected and in their rooms, say
//! their last words and have a question answered. So everything that was said has arrived, or is lost, and both sides hold
//! what so many idle clients need: this is compared from round to round.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use futures_channel::oneshot;
use futures_util::future::{Either, select, try_join_all};
use socketio_driver::Runtime;

use self::ledger::{Ledger, lock};
use self::levels::{Levels, Observer};
use self::member::{Life, Member};
use crate::faulty::Census;
use crate::platform::Platform;

mod ledger;
mod levels;
mod member;

/// Who waits longer than this waits in vain. Nothing here takes so long, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Faults that are told; one that is repeated for ever says nothing new.
const TOLD: u64 = 20;
/// Clients that begin to connect in a second, at first.
const ARRIVALS: u32 = 500;

#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The server: the program `conformance`.
    #[arg(long)]
    url: String,
    #[arg(long, default_value_t = 2000)]
    clients: u32,
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What the clients do follows from it; when they do it does not.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a client rests between two things that it does, on average.
    #[arg(long, default_value_t = 2000)]
    pace_ms: u64,
    /// The server's process, whose memory is watched.
    #[arg(long)]
    server_pid: Option<u32>,
    /// Threads; 1 runs everything on one.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// A file for the figures of each round.
    #[arg(long)]
    log: Option<PathBuf>,
}

/// What all clients share.
struct Soak {
    options: Options,
    ledger: Ledger,
    census: Arc<Census>,
    deeds: Deeds,
    faults: Faults,
}

/// How often things were done.
#[derive(Default)]
struct Deeds {
    connections: AtomicU64,
    said: AtomicU64,
    heard: AtomicU64,
    echoes: AtomicU64,
    answers: AtomicU64,
    /// Questions that failed, since the connection ended.
    unanswered: AtomicU64,
    cuts: AtomicU64,
    disconnects: AtomicU64,
    renewals: AtomicU64,
    /// Disconnected by the server.
    expulsions: AtomicU64,
}

impl Deeds {
    fn count(deed: &AtomicU64) {
        deed.fetch_add(1, Ordering::Relaxed);
    }

    fn describe(&self) -> String {
        let deeds = [
            ("connections", &self.connections),
            ("cuts", &self.cuts),
            ("disconnects", &self.disconnects),
            ("expulsions", &self.expulsions),
            ("new clients", &self.renewals),
            ("messages said", &self.said),
            ("heard", &self.heard),
            ("echoes", &self.echoes),
            ("answers", &self.answers),
            ("questions that a disconnect ended", &self.unanswered),
        ];
        let deeds = deeds.map(|(what, deed)| format!("{} {what}", deed.load(Ordering::Relaxed)));
        deeds.join(", ")
    }
}

/// What went wrong.
#[derive(Default)]
struct Faults(AtomicU64);

impl Faults {
    fn add(&self, what: impl std::fmt::Display) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if before < TOLD {
            eprintln!("soak: {what}");
        }
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The soak.
pub(crate) fn soak<P: Platform>(options: Options) -> ExitCode {
    if let Err(error) = levels::check_limit(options.clients) {
        eprintln!("soak: {error}");
        return ExitCode::FAILURE;
    }
    let run = P::run(options.workers.max(1), |runtime| {
        // On a worker, like everything else.
        let (sender, receiver) = oneshot::channel();
        runtime.clone().spawn(async move { _ = sender.send(run(runtime, options).await) });
        async { receiver.await.unwrap_or_else(|_| Err(io::Error::other("the soak has panicked"))) }
    });
    match run.and_then(|ended| ended) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("soak: {faults} faults");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Everything. Gives the number of faults.
async fn run<R: Runtime>(runtime: R, options: Options) -> io::Result<u64> {
    let soak = Arc::new(Soak {
        ledger: Ledger::new(options.clients),
        census: Arc::default(),
        deeds: Deeds::default(),
        faults: Faults::default(),
        options,
    });
    let mut levels = Levels::new(&soak);
    let observer = Observer::connect(&runtime, &soak).await?;
    let mut members = arrive(&soak, &runtime).await;
    let begun = Instant::now();
    let whole = Duration::from_secs(soak.options.seconds);
    // At least so many that the first ones can be left out and the others compared.
    let round = (whole / 14).clamp(Duration::from_millis(500), Duration::from_secs(15));
    while begun.elapsed() < whole || !levels.are_enough() {
        let until = Instant::now() + round;
        members = all(&soak, &runtime, members, "come to rest", move |member| member.live(until)).await;
        members = all(&soak, &runtime, members, "say its last words", Member::say_last_words).await;
        // What was under way is here with the second answer: a packet from elsewhere may be overtaken by one answer.
        members = all(&soak, &runtime, members, "have a question answered", Member::inquire).await;
        members = all(&soak, &runtime, members, "have a question answered", Member::inquire).await;
        members.iter().for_each(Member::check);
        levels.add(begun.elapsed(), observer.idle().await?)?;
    }
    let close = |member: Member<R>| async move { member.close().await };
    all(&soak, &runtime, members, "close", close).await;
    levels.end();
    observer.gone().await?;
    println!("{}; {}", soak.deeds.describe(), levels.describe());
    Ok(soak.faults.count())
}

/// All clients begin to connect, not all at once: the system's queue of new connections is short.
async fn arrive<R: Runtime>(soak: &Arc<Soak>, runtime: &R) -> Vec<Member<R>> {
    let mut members = Vec::new();
    for number in 0..soak.options.clients {
        members.push(Member::new(soak, runtime.clone(), number));
        if number % (ARRIVALS / 10) == 0 {
            runtime.sleep(Duration::from_millis(100)).await;
        }
    }
    members
}

/// Has every member do something, each in a task, and waits for all.
async fn all<R: Runtime, F, T>(
    soak: &Arc<Soak>,
    runtime: &R,
    members: Vec<Member<R>>,
    what: &str,
    does: impl Fn(Member<R>) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let unfinished: Arc<Mutex<Vec<Option<Arc<Life>>>>> = Arc::default();
    let tasks = members.into_iter().enumerate().map(|(number, member)| {
        lock(&unfinished).push(Some(member.life()));
        let (sender, receiver) = oneshot::channel();
        let (unfinished, work) = (Arc::clone(&unfinished), does(member));
        runtime.spawn(async move {
            let done = work.await;
            lock(&unfinished)[number] = None;
            _ = sender.send(done);
        });
        receiver
    });
    let tasks: Vec<_> = tasks.collect();
    let longest = Duration::from_secs(soak.options.seconds) + PATIENCE;
    match select(pin!(runtime.sleep(longest)), try_join_all(tasks)).await {
        Either::Right((Ok(done), _)) => done,
        Either::Right((Err(_), _)) => give_up("a task has panicked"),
        Either::Left(_) => {
            for (number, life) in (0..).zip(lock(&unfinished).iter()) {
                if let Some(life) = life {
                    soak.faults.add(format!("waits in vain to {what}: {}", Member::<R>::describe(number, life)));
                }
            }
            give_up("somebody waits in vain")
        }
    }
}

fn give_up(why: &str) -> ! {
    eprintln!("soak: {why}");
    process::exit(1)
}
