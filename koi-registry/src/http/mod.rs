//! One request over one connection, with limits for everything. Nothing is followed and nobody is logged in here.

mod body;
mod tls;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use body::Upload;
pub(crate) use tls::{TlsError, client_config};

/// How long connecting, and agreeing on keys, may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long one request may take, with all its bytes.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// Between looks at whether something goes on.
const LOOK: Duration = Duration::from_millis(200);

/// How patient one is with servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) silence: Duration,
    pub(crate) whole: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { connect: CONNECT, silence: SILENCE, whole: WHOLE }
    }
}

/// Why a server could not be asked, or gave no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address has no host.
    #[error("{0} names no server")]
    NoHost(String),
    /// It cannot be reached.
    #[error("{host} cannot be reached: {source}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// It does not prove who it is.
    #[error("{host} cannot be spoken to over TLS: {source}{}", tls::hint(host, source))]
    Tls {
        /// The server.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// It says nothing.
    #[error("{host} was silent for {} s, and was given up", silence.as_secs_f32())]
    Silent {
        /// The server.
        host: String,
        /// For how long.
        silence: Duration,
    },
    /// It goes on for ever.
    #[error("{host} was not done within {} minutes, and was given up", whole.as_secs() / 60)]
    TooSlow {
        /// The server.
        host: String,
        /// How long it was waited for.
        whole: Duration,
    },
    /// It broke off.
    #[error("{host} broke off after {received} bytes of its answer: {source}")]
    Broken {
        /// The server.
        host: String,
        /// What had come.
        received: u64,
        /// The library's words.
        source: hyper::Error,
    },
    /// Its answer is longer than it may be.
    #[error("{host} sends more than the {most} bytes that this may have")]
    TooLong {
        /// The server.
        host: String,
        /// The limit.
        most: u64,
    },
    /// No such request can be made.
    #[error("{host} cannot be asked this: {source}")]
    Request {
        /// The server.
        host: String,
        /// Why.
        source: http::Error,
    },
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is asked.
pub(crate) struct Question<'q> {
    pub(crate) method: Method,
    pub(crate) url: &'q Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Bytes that the answer may have.
    pub(crate) most_bytes: u64,
    /// Is told how many bytes have gone or come.
    pub(crate) progress: &'q (dyn Fn(u64) + Send + Sync),
}

/// Asks servers.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) patience: Patience,
}

impl Http {
    /// Asks once.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Answer, HttpError> {
        let host = authority(question.url);
        let too_slow = HttpError::TooSlow { host: host.clone(), whole: self.patience.whole };
        timeout(self.patience.whole, self.ask_in_time(question, &host)).await.unwrap_or(Err(too_slow))
    }

    async fn ask_in_time(&self, question: Question<'_>, host: &str) -> Result<Answer, HttpError> {
        let stream = self.connect(question.url, host).await?;
        if question.url.scheme() != "https" {
            return self.over(stream, question, host).await;
        }
        let tls = timeout(self.patience.connect, tls::encrypted(stream, question.url, self.tls.clone()));
        let stream = match tls.await {
            Ok(stream) => stream.map_err(|source| HttpError::Tls { host: host.to_owned(), source })?,
            Err(_) => return Err(self.silent(host, self.patience.connect)),
        };
        self.over(stream, question, host).await
    }

    async fn connect(&self, url: &Url, host: &str) -> Result<TcpStream, HttpError> {
        let no_host = || HttpError::NoHost(url.to_string());
        let port = url.port_or_known_default().ok_or_else(no_host)?;
        let connecting = async {
            match url.host() {
                Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
                Some(Host::Ipv4(ip)) => TcpStream::connect((ip, port)).await,
                Some(Host::Ipv6(ip)) => TcpStream::connect((ip, port)).await,
                None => Err(io::ErrorKind::InvalidInput.into()),
            }
        };
        match timeout(self.patience.connect, connecting).await {
            Ok(stream) => stream.map_err(|source| HttpError::Unreachable { host: host.to_owned(), source }),
            Err(_) => Err(self.silent(host, self.patience.connect)),
        }
    }

    async fn over<S>(&self, stream: S, question: Question<'_>, host: &str) -> Result<Answer, HttpError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |received| move |source| HttpError::Broken { host: host.to_owned(), received, source };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken(0))?;
        // Dropped with this call, it closes the connection.
        let mut driver = JoinSet::new();
        driver.spawn(async move { drop(connection.await) });
        let sent = Arc::new(AtomicU64::new(0));
        let (request, progress, most) =
            (self.request(&question, host, &sent)?, question.progress, question.most_bytes);
        let mut answering = std::pin::pin!(sender.send_request(request));
        let (mut seen, mut since) = (0, Instant::now());
        let response = loop {
            if let Ok(response) = timeout(LOOK, &mut answering).await {
                break response.map_err(broken(0))?;
            }
            let now = sent.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
                progress(now);
            } else if since.elapsed() > self.patience.silence {
                return Err(self.silent(host, self.patience.silence));
            }
        };
        let (parts, body) = response.into_parts();
        let body = if question.method == Method::HEAD {
            Bytes::new()
        } else {
            self.collect(Response::from_parts(parts.clone(), body), most, progress, host).await?
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    fn request(
        &self,
        question: &Question<'_>,
        host: &str,
        sent: &Arc<AtomicU64>,
    ) -> Result<Request<Upload>, HttpError> {
        let url = question.url;
        let path =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request = Request::builder().method(question.method.clone()).uri(path);
        if let Some(headers) = request.headers_mut() {
            headers.extend(question.headers.clone());
        }
        request
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("koi/", env!("CARGO_PKG_VERSION")))
            .body(Upload::new(question.body.clone(), sent.clone()))
            .map_err(|source| HttpError::Request { host: host.to_owned(), source })
    }

    async fn collect(
        &self,
        response: Response<Incoming>,
        most: u64,
        progress: &(dyn Fn(u64) + Send + Sync),
        host: &str,
    ) -> Result<Bytes, HttpError> {
        let too_long = || HttpError::TooLong { host: host.to_owned(), most };
        let mut body = response.into_body();
        if body.size_hint().lower() > most {
            return Err(too_long());
        }
        let mut bytes = BytesMut::new();
        loop {
            let Ok(frame) = timeout(self.patience.silence, body.frame()).await else {
                return Err(self.silent(host, self.patience.silence));
            };
            let Some(frame) = frame else { return Ok(bytes.freeze()) };
            let received = bytes.len() as u64;
            let frame =
                frame.map_err(|source| HttpError::Broken { host: host.to_owned(), received, source })?;
            if let Ok(data) = frame.into_data() {
                if (bytes.len() + data.len()) as u64 > most {
                    return Err(too_long());
                }
                bytes.extend_from_slice(&data);
                progress(bytes.len() as u64);
            }
        }
    }

    fn silent(&self, host: &str, silence: Duration) -> HttpError {
        HttpError::Silent { host: host.to_owned(), silence }
    }
}

/// Host and port of a URL, as a reference names them.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
