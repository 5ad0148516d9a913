//! A relay between a client and a server, for connections that break.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    cuts: watch::Sender<u32>,
    closed: AtomicBool,
    accepted: AtomicUsize,
}

impl Relay {
    pub(crate) async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let relay = Self { address, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                shared.accepted.fetch_add(1, Ordering::Relaxed);
                if shared.closed.load(Ordering::Relaxed) {
                    continue;
                }
                // From now on, whenever the task runs.
                let mut cuts = shared.cuts.subscribe();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = cuts.changed() => {}
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                    }
                });
            }
        });
        relay
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks all connections, and those that come until [`Relay::open`].
    pub(crate) fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.cut();
    }

    pub(crate) fn open(&self) {
        self.shared.closed.store(false, Ordering::Relaxed);
    }

    /// Connections that were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}
