//! TLS for guests' requests: the server shows a certificate for the name in the URL, by one of the authorities that browsers trust.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error as HttpError;

use crate::backend::wasm::grants::HttpHost;
use crate::backend::wasm::guest::imports::http::unresolved;

/// Mozilla's, as they were when koi was built: nothing of the machine is read for it.
pub(super) fn public_authorities() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() }
}

/// Encrypts a connection to `host`.
///
/// # Errors
/// Also when the server's certificate is for another name, or by nobody in `authorities`.
pub(super) async fn encrypted(
    stream: TcpStream,
    host: &HttpHost,
    authorities: RootCertStore,
) -> Result<TlsStream<TcpStream>, HttpError> {
    let name = match host {
        HttpHost::Ip(ip) => ServerName::from(*ip),
        HttpHost::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| unresolved("invalid dns name"))?
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::InternalError(Some(error.to_string())))?
        .with_root_certificates(authorities)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(HttpError::Tls)
}

/// Encrypts a connection to the server `name`, as a guest's would be. For recordings.
///
/// # Errors
/// As [`encrypted`].
pub(crate) async fn trusted(stream: TcpStream, name: &str) -> Result<TlsStream<TcpStream>, HttpError> {
    let host = HttpHost::parse(name).ok_or_else(|| unresolved("invalid dns name"))?;
    encrypted(stream, &host, public_authorities()).await
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Of an authority that nobody but this test trusts, and what it says of `api.example` and 127.0.0.1. They are made by
    /// `tests/certificates/make`.
    const AUTHORITY: &[u8] = include_bytes!("../../../../../tests/certificates/authority.der");
    const SERVER: &[u8] = include_bytes!("../../../../../tests/certificates/server.der");
    const SERVER_KEY: &[u8] = include_bytes!("../../../../../tests/certificates/server-key.der");

    /// A server with that certificate.
    async fn server() -> SocketAddr {
        let key = PrivateKeyDer::try_from(SERVER_KEY).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![SERVER.into()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.write_all(b"hello").await;
                }
            }
        });
        address
    }

    async fn tried(host: &str, authorities: RootCertStore) -> Result<(), String> {
        let stream = TcpStream::connect(server().await).await.unwrap();
        let host = HttpHost::parse(host).unwrap();
        encrypted(stream, &host, authorities).await.map(drop).map_err(|error| error.to_string())
    }

    fn own() -> RootCertStore {
        let mut authorities = RootCertStore::empty();
        authorities.add(AUTHORITY.into()).unwrap();
        authorities
    }

    #[tokio::test]
    async fn a_server_must_have_a_certificate_for_the_name_that_was_asked_for() {
        for host in ["api.example", "API.example", "127.0.0.1"] {
            assert_eq!(tried(host, own()).await, Ok(()), "{host}");
        }
        for host in ["other.example", "x.api.example", "localhost", "127.0.0.2", "[::1]"] {
            let why = tried(host, own()).await.unwrap_err();
            assert!(why.contains("certificate") && why.contains("not valid for name"), "{host}: {why}");
        }
    }

    #[tokio::test]
    async fn a_server_must_be_known_to_an_authority_that_is_trusted() {
        let why = tried("api.example", public_authorities()).await.unwrap_err();
        assert!(why.contains("UnknownIssuer"), "{why}");
    }
}
