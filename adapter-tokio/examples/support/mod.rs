//! What the servers for test suites share: their options, and how they begin.

use std::io;
use std::time::Duration;

use clap::Parser;
use socketio_tokio::{Cors, OriginPolicy, Server, ServerBuilder, Service, serve_listener};
use tokio::net::TcpListener;

/// Time that clients get to take their goodbye.
pub(crate) const GOODBYES: Duration = Duration::from_secs(2);

/// Options of a server that a test suite runs against.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    #[arg(long, default_value_t = 25_000)]
    ping_interval_ms: u64,
    #[arg(long, default_value_t = 20_000)]
    ping_timeout_ms: u64,
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) max_payload: usize,
    #[arg(long, default_value_t = 45_000)]
    connect_timeout_ms: u64,
    #[arg(long, default_value_t = 10_000)]
    upgrade_timeout_ms: u64,
    /// Origin whose pages may read the answers; `*` is all.
    #[arg(long)]
    cors_origin: Option<String>,
    /// Threads; 1 runs everything on one.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// Waits until the process is asked to end.
#[allow(dead_code, reason = "not every server ends gracefully")]
pub(crate) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("no other handler is there");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

impl Options {
    pub(crate) fn ping_interval(&self) -> Duration {
        Duration::from_millis(self.ping_interval_ms)
    }

    pub(crate) fn ping_timeout(&self) -> Duration {
        Duration::from_millis(self.ping_timeout_ms)
    }

    /// A Socket.IO server with these options.
    #[allow(dead_code, reason = "one of the servers speaks Engine.IO alone")]
    pub(crate) fn server(&self) -> ServerBuilder {
        let builder = Server::builder()
            .ping_interval(self.ping_interval())
            .ping_timeout(self.ping_timeout())
            .upgrade_timeout(self.upgrade_timeout())
            .connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .max_payload(self.max_payload);
        match self.cors() {
            Some(cors) => builder.cors(cors),
            None => builder,
        }
    }

    pub(crate) fn upgrade_timeout(&self) -> Duration {
        Duration::from_millis(self.upgrade_timeout_ms)
    }

    pub(crate) fn cors(&self) -> Option<Cors> {
        let origins = match self.cors_origin.as_deref()? {
            "*" => OriginPolicy::Any,
            origin => OriginPolicy::List(vec![origin.into()]),
        };
        let mut cors = Cors::default();
        cors.origins = origins;
        Some(cors)
    }

    /// Serves on the wanted number of threads, until the service is shut down or the process is told to end.
    pub(crate) fn run(&self, service: &impl Service) -> io::Result<()> {
        let mut builder = match self.workers {
            1 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        let (address, service) = (("127.0.0.1", self.port), service.clone());
        builder.worker_threads(self.workers.max(1)).enable_all().build()?.block_on(async {
            let listener = TcpListener::bind(address).await?;
            println!("listening on {}", listener.local_addr()?);
            // On a worker, like everything else.
            tokio::spawn(serve(service, listener)).await?
        })
    }
}

async fn serve(service: impl Service, listener: TcpListener) -> io::Result<()> {
    let ended = async {
        end_of_process().await?;
        service.engine().shutdown(GOODBYES).await;
        Ok(())
    };
    let result = tokio::select! {
        result = serve_listener(&service, listener) => result,
        result = ended => result,
    };
    service.engine().shutdown(GOODBYES).await;
    result
}

/// Waits until somebody wants the process to end.
async fn end_of_process() -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
