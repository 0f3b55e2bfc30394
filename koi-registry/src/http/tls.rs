//! TLS: a server shows a certificate for its name, by an authority that browsers trust, or by one that the operator has named.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::{Host, Url};

/// Why the authorities that were named cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is no PEM.
    #[error("its ca_file cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// It is no certificate.
    #[error("its ca_file holds what is no certificate: {0}")]
    Certificate(rustls::Error),
    /// There is none in it.
    #[error("its ca_file holds no certificate; it must be in PEM")]
    None,
    /// The library cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// How servers are believed: by public authorities, and by those in `authorities`, as PEM.
pub(crate) fn client_config(authorities: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    if let Some(pem) = authorities {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate?).map_err(TlsError::Certificate)?;
        }
        if roots.len() == before {
            return Err(TlsError::None);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Encrypts a connection to the host of `url`.
pub(super) async fn encrypted(
    stream: TcpStream,
    url: &Url,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let name = match url.host() {
        Some(Host::Ipv4(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => ServerName::from(std::net::IpAddr::from(ip)),
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
        None => return Err(io::ErrorKind::InvalidInput.into()),
    };
    TlsConnector::from(config).connect(name, stream).await
}

/// What to do about a server that is not believed, or does not speak TLS.
pub(super) fn hint(host: &str, error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            format!(
                "; if its authority is your own, name it as `ca_file` under [registries.\"{host}\"] in registries.toml"
            )
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            format!(
                "; if it does not speak TLS, and everybody on the way may be trusted, say `plain_http = true` under \
                 [registries.\"{host}\"] in registries.toml"
            )
        }
        _ => String::new(),
    }
}
