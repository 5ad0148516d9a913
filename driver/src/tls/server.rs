use core::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::sign::SingleCertAndKey;

use super::error::{TlsError, certified_key};
use super::stream::{ALPN, Bridge, TlsStream};
use crate::mailbox::lock;
use crate::runtime::Stream;

/// The certificate that a server shows, and what else it does in TLS. Clones share it: keep one to change the certificate
/// while the server runs.
///
/// ```no_run
/// use std::fs::read;
///
/// use socketio_driver::ServerTls;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = ServerTls::from_pem(&read("chain.pem")?, &read("key.pem")?)?;
/// // Serve with it, and when there is another certificate:
/// tls.reload_pem(&read("chain.pem")?, &read("key.pem")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerTls(Arc<Mutex<Arc<ServerConfig>>>);

impl ServerTls {
    /// Shows a certificate: `chain` begins with it, and those that issued it follow. Any client is let in, by TLS 1.2 or
    /// 1.3; those that come again resume their session by a ticket.
    ///
    /// # Errors
    ///
    /// There is no certificate or no key, or they do not fit each other.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let invalid = |error: rustls::Error| TlsError::Invalid(error.to_string());
        // No process-wide provider: applications may have another one, or several.
        let provider = Arc::new(default_provider());
        let resolver = resolver(chain, key, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.map_err(invalid)?.with_no_client_auth().with_cert_resolver(resolver);
        config.ticketer = Ticketer::new().map_err(invalid)?;
        Ok(Self::from_config(Arc::new(config)))
    }

    /// Everything as `config` has it, but for ALPN, which is `http/1.1`. The types of rustls are in
    /// [`rustls`](crate::rustls).
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(Mutex::new(with_alpn(config))))
    }

    /// Shows another certificate to clients that connect from now on. All else stays as it is: connections that are there
    /// go on, and sessions are resumed that began with the certificate before.
    ///
    /// # Errors
    ///
    /// As of [`ServerTls::from_pem`]; then the certificate is the one before.
    pub fn reload_pem(&self, chain: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let mut current = lock(&self.0);
        let resolver = resolver(chain, key, current.crypto_provider())?;
        Arc::make_mut(&mut current).cert_resolver = resolver;
        Ok(())
    }

    /// As [`ServerTls::from_config`], for clients that connect from now on. Sessions that began before are resumed if
    /// `config` has the same `session_storage` and `ticketer`; else their clients make a whole handshake.
    pub fn reload_config(&self, config: Arc<ServerConfig>) {
        *lock(&self.0) = with_alpn(config);
    }

    /// Makes a TLS stream of a stream to a client.
    pub(crate) async fn accept<S: Stream>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&lock(&self.0));
        let stream = TlsAcceptor::from(config).accept(Bridge(stream)).await?;
        Ok(TlsStream::new(stream.into()))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

fn resolver(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Arc<SingleCertAndKey>, TlsError> {
    Ok(Arc::new(certified_key(chain, key, provider)?.into()))
}

fn with_alpn(config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}
