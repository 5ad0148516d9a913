use core::error::Error;
use core::fmt;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

#[cfg(doc)]
use super::{ServerTls, Tls};

/// Why something is of no use to [`Tls`] or [`ServerTls`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the PEM text, or one that is malformed.
    NoCertificate,
    /// There is no private key in the PEM text, or one that is malformed.
    NoKey,
    /// rustls does not take it, and says why.
    Invalid(String),
    /// The configuration of [`Tls::from_config`] is complete.
    Complete,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("no certificate, or a malformed one, in the PEM text"),
            Self::NoKey => f.write_str("no private key, or a malformed one, in the PEM text"),
            Self::Invalid(reason) => f.write_str(reason),
            Self::Complete => f.write_str("nothing can be added to a configuration of rustls"),
        }
    }
}

impl Error for TlsError {}

/// All certificates of a PEM text, of which there is one at least.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty()).ok_or(TlsError::NoCertificate)
}

/// A certificate, those that issued it, and its key.
pub(super) fn certified_key(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    CertifiedKey::from_der(certificates(chain)?, key, provider).map_err(|error| TlsError::Invalid(error.to_string()))
}
