use core::error::Error;
use core::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use futures_rustls::TlsConnector;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use socketio_protocol::engine::client::Cause;

use super::error::{TlsError, certificates, certified_key};
use super::stream::{ALPN, Bridge, TlsStream};
use crate::runtime::Stream;

/// How a client checks its server's certificate, and shows one of its own.
///
/// By default whoever the operating system trusts may issue the server's certificate. What the system has is loaded
/// once in the life of a process, from files, when the first connection by TLS is made.
///
/// ```no_run
/// use socketio_driver::{Tls, TlsError};
///
/// fn of_our_own(roots: &[u8], chain: &[u8], key: &[u8]) -> Result<Tls, TlsError> {
///     Tls::default().with_root_pem(roots)?.with_client_certificate_pem(chain, key)
/// }
/// ```
#[derive(Clone)]
pub struct Tls(Kind);

#[derive(Clone)]
enum Kind {
    Parts {
        /// The system's, if none.
        roots: Option<Arc<RootCertStore>>,
        certificate: Option<Arc<CertifiedKey>>,
        /// Made of the others when it is needed. Clones share it, and with it what resumes sessions.
        config: Arc<OnceLock<Arc<ClientConfig>>>,
    },
    Config(Arc<ClientConfig>),
}

impl Default for Tls {
    fn default() -> Self {
        Self::of_parts(None, None)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Everything as `config` has it, but for ALPN, which is `http/1.1`. The types of rustls are in
    /// [`rustls`](crate::rustls).
    pub fn from_config(config: Arc<ClientConfig>) -> Self {
        Self(Kind::Config(with_alpn(ClientConfig::clone(&config))))
    }

    /// Trusts these certificates and, as with `ca` in Node, no longer those of the operating system. Further calls add
    /// to them.
    ///
    /// # Errors
    ///
    /// There is no certificate in `pem`, or something that is none, or all was given by [`Tls::from_config`].
    pub fn with_root_pem(self, pem: &[u8]) -> Result<Self, TlsError> {
        let (roots, certificate) = self.into_parts()?;
        let mut roots = roots.map_or_else(RootCertStore::empty, Arc::unwrap_or_clone);
        for root in certificates(pem)? {
            roots.add(root).map_err(|error| TlsError::Invalid(error.to_string()))?;
        }
        Ok(Self::of_parts(Some(Arc::new(roots)), certificate))
    }

    /// Shows a certificate to servers that ask for one: `chain` begins with it, and those that issued it follow.
    ///
    /// # Errors
    ///
    /// There is no certificate or no key, or they do not fit each other, or all was given by [`Tls::from_config`].
    pub fn with_client_certificate_pem(self, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let (roots, _) = self.into_parts()?;
        let certificate = certified_key(chain, key, &default_provider())?;
        Ok(Self::of_parts(roots, Some(Arc::new(certificate))))
    }

    fn of_parts(roots: Option<Arc<RootCertStore>>, certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self(Kind::Parts { roots, certificate, config: Arc::default() })
    }

    #[expect(clippy::type_complexity, reason = "the fields")]
    fn into_parts(self) -> Result<(Option<Arc<RootCertStore>>, Option<Arc<CertifiedKey>>), TlsError> {
        match self.0 {
            Kind::Parts { roots, certificate, .. } => Ok((roots, certificate)),
            Kind::Config(_) => Err(TlsError::Complete),
        }
    }

    /// What connects, loaded now at the latest.
    pub(crate) fn connector(&self) -> Result<Connector, Cause> {
        let config = match &self.0 {
            Kind::Config(config) => config,
            Kind::Parts { roots, certificate, config } => match config.get() {
                Some(config) => config,
                None => {
                    let made = make_config(roots.clone(), certificate.clone())?;
                    config.get_or_init(|| made)
                }
            },
        };
        Ok(Connector(Arc::clone(config)))
    }
}

fn make_config(
    roots: Option<Arc<RootCertStore>>,
    certificate: Option<Arc<CertifiedKey>>,
) -> Result<Arc<ClientConfig>, Cause> {
    let roots = roots.map_or_else(system_roots, Ok)?;
    // No process-wide provider: applications may have another one, or several.
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Cause::from(format!("TLS: {error}")))?
        .with_root_certificates(roots);
    let config = match certificate {
        Some(certificate) => {
            let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certificate));
            builder.with_client_cert_resolver(resolver)
        }
        None => builder.with_no_client_auth(),
    };
    Ok(with_alpn(config))
}

fn with_alpn(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}

/// The certificates that the operating system trusts. A failure is not remembered: it may be mended.
fn system_roots() -> Result<Arc<RootCertStore>, Cause> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = ROOTS.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("the system has no root certificates{reason}").into());
    }
    Ok(Arc::clone(ROOTS.get_or_init(|| Arc::new(roots))))
}

pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    /// Makes a TLS stream of a stream to `host`.
    pub(crate) async fn connect<S: Stream>(self, host: &str, stream: S) -> Result<TlsStream<S>, Cause> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Cause::from(format!("{host} cannot be the name in a certificate")))?;
        match TlsConnector::from(self.0).connect(name, Bridge(stream)).await {
            Ok(stream) => Ok(TlsStream::new(stream.into())),
            Err(error) => {
                let words = describe(&error, host);
                Err(words.unwrap_or_else(|| format!("TLS with {host}: {error}")).into())
            }
        }
    }
}

/// An error of TLS in words, if it is one.
pub(crate) fn describe(error: &(dyn Error + 'static), host: &str) -> Option<String> {
    use rustls::Error;

    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let error = inner.and_then(|inner| inner.downcast_ref::<Error>()).or_else(|| error.downcast_ref())?;
    Some(match error {
        Error::InvalidCertificate(error) => format!("certificate of {host}: {}", certificate_words(error)),
        Error::NoCertificatesPresented => format!("{host} has no certificate"),
        Error::AlertReceived(alert) => format!("{host} has refused TLS: {alert:?}"),
        Error::InvalidMessage(_) => format!("{host} does not speak TLS"),
        other => format!("TLS with {host}: {other}"),
    })
}

fn certificate_words(error: &CertificateError) -> String {
    use CertificateError as E;

    let words = match error {
        E::UnknownIssuer => "issued by an unknown authority",
        E::Expired | E::ExpiredContext { .. } => "expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => "for another name",
        E::Revoked => "revoked",
        E::BadSignature => "wrongly signed",
        E::BadEncoding => "malformed",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "not for a server",
        E::Other(error) => return error.to_string(),
        _ => "not acceptable",
    };
    words.to_owned()
}
