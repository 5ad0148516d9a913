//! What the servers for test suites share: their options, and how they begin.

use std::net::TcpListener;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use std::{fs, io};

use clap::Parser;
use futures_channel::oneshot;
use futures_util::future::{Either, join, select};
use socketio_driver::{Cors, OriginPolicy, Runtime, Server, ServerBuilder, ServerTls, Service, serve_tls};

use crate::platform::{Platform, interrupted};

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
    #[arg(long, default_value_t = 30_000)]
    body_timeout_ms: u64,
    /// Origin whose pages may read the answers; `*` is all.
    #[arg(long)]
    cors_origin: Option<String>,
    /// File with the certificate, for TLS, and those that issued it: PEM.
    #[arg(long, requires = "tls_key")]
    tls_chain: Option<PathBuf>,
    /// File with the certificate's key: PEM.
    #[arg(long, requires = "tls_chain")]
    tls_key: Option<PathBuf>,
    /// Threads; 1 runs everything on one.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

/// The server's certificate, and where it is from.
#[derive(Clone)]
pub(crate) struct Certificate {
    tls: ServerTls,
    chain: PathBuf,
    key: PathBuf,
}

impl Certificate {
    /// Takes what the files have now.
    pub(crate) fn reload(&self) -> io::Result<()> {
        self.tls.reload_pem(&fs::read(&self.chain)?, &fs::read(&self.key)?).map_err(io::Error::other)
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
    pub(crate) fn server(&self) -> ServerBuilder {
        let builder = Server::builder()
            .ping_interval(self.ping_interval())
            .ping_timeout(self.ping_timeout())
            .upgrade_timeout(self.upgrade_timeout())
            .connect_timeout(Duration::from_millis(self.connect_timeout_ms))
            .body_timeout(Duration::from_millis(self.body_timeout_ms))
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

    fn certificate(&self) -> io::Result<Option<Certificate>> {
        let (Some(chain), Some(key)) = (self.tls_chain.clone(), self.tls_key.clone()) else { return Ok(None) };
        let tls = ServerTls::from_pem(&fs::read(&chain)?, &fs::read(&key)?).map_err(io::Error::other)?;
        Ok(Some(Certificate { tls, chain, key }))
    }

    /// Serves on the wanted number of threads, until the service is shut down or the process is told to end.
    ///
    /// # Errors
    ///
    /// The runtime does not start, or the listener breaks.
    pub(crate) fn run<P: Platform, S: Service>(
        &self,
        service: impl FnOnce(&P::Runtime, Option<&Certificate>) -> S,
    ) -> io::Result<()> {
        let certificate = self.certificate()?;
        let listener = TcpListener::bind(("127.0.0.1", self.port))?;
        P::run(self.workers.max(1), |runtime| {
            let service = service(&runtime, certificate.as_ref());
            let tls = certificate.map(|certificate| certificate.tls);
            let (sender, receiver) = oneshot::channel();
            // On a worker, like everything else.
            runtime.clone().spawn(async move {
                _ = sender.send(serve::<P, _>(runtime, service, listener, tls).await);
            });
            async { receiver.await.unwrap_or_else(|_| Err(io::Error::other("serving has panicked"))) }
        })?
    }
}

async fn serve<P: Platform, S: Service>(
    runtime: P::Runtime,
    service: S,
    listener: TcpListener,
    tls: Option<ServerTls>,
) -> io::Result<()> {
    let (address, interrupted) = (listener.local_addr()?, interrupted());
    let listener = P::listen(&runtime, listener)?;
    let serving = match &tls {
        Some(tls) => Either::Left(serve_tls(&service, runtime, listener, tls)),
        None => Either::Right(socketio_driver::serve(&service, runtime, listener)),
    };
    // Whoever counts descriptors from now on finds what the program itself has.
    println!("listening on {address}");
    match select(pin!(serving), pin!(interrupted)).await {
        Either::Left((result, _)) => {
            service.engine().shutdown(GOODBYES).await;
            result
        }
        Either::Right(((), serving)) => {
            let (result, ()) = join(serving, service.engine().shutdown(GOODBYES)).await;
            result
        }
    }
}
