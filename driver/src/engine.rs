use core::future::Future;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};

use event_listener::Event;
use socketio_protocol::engine::Config;
use socketio_protocol::{Instant, Random, Seed, SessionId};

use crate::application::{Application, Connection};
use crate::handshake::Handshake;
use crate::mailbox::{Mail, Mailbox, lock};

pub(crate) type MailOf<A> = <<A as Application>::Connection as Connection>::Mail;

/// Decides whether a new session may start; `Err` is the message of the refusal.
pub(crate) type AllowRequest =
    Box<dyn Fn(Arc<Handshake>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// An Engine.IO server: the sessions of one [`Application`]. Cloning it counts a reference.
pub struct Engine<A: Application>(pub(crate) Arc<Inner<A>>);

pub(crate) struct Inner<A: Application> {
    pub(crate) config: Arc<Config>,
    pub(crate) path: Box<str>,
    pub(crate) application: A,
    pub(crate) allow_request: Option<AllowRequest>,
    sessions: Mutex<HashMap<SessionId, Mailbox<MailOf<A>>>>,
    random: Mutex<Random>,
    clock: Clock,
    pub(crate) tasks: AtomicUsize,
    shutdown: Shutdown,
}

/// The protocol's time, from a clock that never runs backwards.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Clock(std::time::Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_epoch(self.0.elapsed())
    }
}

/// The state of the server's end.
#[derive(Default)]
struct Shutdown {
    begun: AtomicBool,
    begin: Event,
    idle: Event,
    deadline: OnceLock<Instant>,
}

/// What a server holds at this moment.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Engine.IO sessions, the closing ones included.
    pub sessions: usize,
    /// HTTP connections.
    pub connections: usize,
    /// Connected Socket.IO sockets, over all namespaces.
    pub sockets: usize,
    /// Rooms with somebody in them, the sockets' own ones not counted.
    pub rooms: usize,
    /// Handlers that have begun and not ended.
    pub handlers: usize,
}

/// A seed from the operating system.
pub(crate) fn seed() -> Seed {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes).expect("the operating system gives no randomness: no session id would be safe");
    Seed::new(bytes)
}

impl<A: Application> Engine<A> {
    /// A server at `path` (for example `/engine.io/`), compared whole.
    pub fn new(config: Config, path: &str, application: A) -> Self {
        Self::with_hook(config, path, application, None)
    }

    pub(crate) fn with_hook(config: Config, path: &str, application: A, allow_request: Option<AllowRequest>) -> Self {
        Self(Arc::new(Inner {
            config: Arc::new(config),
            path: path.into(),
            application,
            allow_request,
            sessions: Mutex::default(),
            random: Mutex::new(Random::new(seed())),
            clock: Clock::start(),
            tasks: AtomicUsize::new(0),
            shutdown: Shutdown::default(),
        }))
    }

    /// Ends every session, reason `server shutting down`, and waits until they are gone, at most `timeout`: what is left
    /// then is dropped. New sessions are refused from now on.
    pub async fn shutdown(&self, timeout: Duration) {
        self.begin_shutdown(timeout);
        self.ended().await;
    }

    /// Resolves when the server is ending and no session is left.
    pub(crate) async fn sessions_ended(&self) {
        while !self.is_ending() {
            let begin = self.0.shutdown.begin.listen();
            if !self.is_ending() {
                begin.await;
            }
        }
        loop {
            let idle = self.0.shutdown.idle.listen();
            if lock(&self.0.sessions).is_empty() {
                return;
            }
            idle.await;
        }
    }

    /// Resolves when the server is ending and neither a session nor an HTTP connection is left.
    pub(crate) async fn ended(&self) {
        self.sessions_ended().await;
        loop {
            let idle = self.0.shutdown.idle.listen();
            if self.0.tasks.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Begins what [`Engine::shutdown`] does, without waiting.
    pub(crate) fn begin_shutdown(&self, timeout: Duration) {
        let shutdown = &self.0.shutdown;
        shutdown.deadline.get_or_init(|| self.0.clock.now() + timeout);
        let sessions = lock(&self.0.sessions);
        shutdown.begun.store(true, Ordering::Release);
        let mailboxes: Vec<_> = sessions.values().cloned().collect();
        drop(sessions);
        shutdown.begin.notify(usize::MAX);
        for mailbox in mailboxes {
            mailbox.push(Mail::Shutdown);
        }
    }

    /// What the server holds.
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: lock(&self.0.sessions).len(),
            connections: self.0.tasks.load(Ordering::Relaxed),
            ..Stats::default()
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.clock.now()
    }

    pub(crate) fn find(&self, id: &SessionId) -> Option<Mailbox<MailOf<A>>> {
        lock(&self.0.sessions).get(id).cloned()
    }

    /// Makes room for a session; `None` when the server is ending.
    pub(crate) fn register(&self) -> Option<(SessionId, Mailbox<MailOf<A>>)> {
        let id = SessionId::generate(&mut lock(&self.0.random));
        let mailbox = Mailbox::new(self.0.config.max_queued);
        let mut sessions = lock(&self.0.sessions);
        if self.is_ending() {
            return None;
        }
        sessions.insert(id, mailbox.clone());
        Some((id, mailbox))
    }

    pub(crate) fn unregister(&self, id: &SessionId) {
        let mut sessions = lock(&self.0.sessions);
        sessions.remove(id);
        let empty = sessions.is_empty();
        // A burst of sessions should not pin its table.
        if sessions.capacity() > 64 && sessions.len() < sessions.capacity() / 8 {
            sessions.shrink_to(64);
        }
        drop(sessions);
        if empty {
            self.0.shutdown.idle.notify(usize::MAX);
        }
    }

    /// Counts an HTTP connection until the guard is dropped.
    pub(crate) fn connection(&self) -> ConnectionGuard<A> {
        self.0.tasks.fetch_add(1, Ordering::AcqRel);
        ConnectionGuard(self.clone())
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.0.shutdown.begun.load(Ordering::Acquire)
    }

    /// When what is left is dropped.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.0.shutdown.deadline.get().copied()
    }
}

pub(crate) struct ConnectionGuard<A: Application>(Engine<A>);

impl<A: Application> ConnectionGuard<A> {
    pub(crate) fn engine(&self) -> &Engine<A> {
        &self.0
    }
}

impl<A: Application> Drop for ConnectionGuard<A> {
    fn drop(&mut self) {
        if self.0.0.tasks.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.shutdown.idle.notify(usize::MAX);
        }
    }
}

impl<A: Application> Clone for Engine<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Application> core::fmt::Debug for Engine<A> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").field("path", &self.0.path).finish_non_exhaustive()
    }
}
