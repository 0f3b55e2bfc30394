//! Asks a daemon: HTTP/1.1 and JSON (see [`crate::api`]) over its Unix socket, or sealed over TCP. Every request has a
//! connection of its own: they are few.

mod error;
mod lines;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use error::ClientError;
pub use hyper::Method;
pub use lines::{LINE_BYTES, Lines};

use crate::api::{ApiError, ErrorBody, ErrorCode};
use crate::key::Keyring;
use crate::stream::{self, StreamError};

/// Bytes of the largest answer that is taken.
pub const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The header that says for how many milliseconds more an answer is waited for. A command is not begun after that.
pub const WITHIN: &str = "x-koi-within-ms";

/// The header in which a hook says the token of its call. It is sent to the daemon on this machine alone.
pub const TOKEN: &str = "x-koi-token";

/// Characters of an answer that is no JSON, shown in an error.
const SHOWN_CHARS: usize = 200;

/// Where a daemon answers.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// This machine's: a Unix socket (`node.socket`).
    Socket(PathBuf),
    /// Another machine's: sealed TCP.
    Sealed {
        /// `host:port`; an IPv6 address in brackets.
        host: String,
        /// `cluster.id`.
        cluster_id: u32,
        /// The cluster's keys; the sealing one is used.
        keyring: Arc<Keyring>,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Socket(path) => path.display().fmt(f),
            Endpoint::Sealed { host, .. } => host.fmt(f),
        }
    }
}

/// Asks one daemon. Needs a tokio runtime with I/O and time.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    timeout: Duration,
}

/// Drives a connection while it lives: dropping it closes the connection.
type Driver = JoinSet<()>;

impl Client {
    /// Asks the daemon at `endpoint`. `timeout` bounds each request as a whole, from connecting to the last byte of the
    /// answer; of [`Client::lines`] only the beginning.
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Client {
        Client { endpoint, timeout }
    }

    /// Whom it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `GET path`; the answer's JSON.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (status, answer) = self.raw(Method::GET, path, Bytes::new(), &[]).await?;
        read(status, &answer)
    }

    /// `POST path` with a body of JSON; the answer's JSON.
    ///
    /// # Errors
    /// See [`ClientError`]. After [`ClientError::TimedOut`] and [`ClientError::Broken`] the command may have taken effect.
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| ClientError::BadRequest(e.to_string()))?;
        let json = [(header::CONTENT_TYPE.as_str(), "application/json")];
        let (status, answer) = self.raw(Method::POST, path, body.into(), &json).await?;
        read(status, &answer)
    }

    /// Any request, as it is, and the answer's status and body, as they are, an error status too: to pass a request on.
    ///
    /// # Errors
    /// See [`ClientError`]; never [`ClientError::Refused`].
    pub async fn raw(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Result<(u16, Bytes), ClientError> {
        self.in_time(async {
            let (response, mut driver) = self.send(method, path, body, headers).await?;
            let answer = self.collect(response).await?;
            // The connection says its farewell in its own time.
            driver.detach_all();
            Ok(answer)
        })
        .await
    }

    /// `GET path`, the answer being a JSON text per line, perhaps without end. The timeout bounds the time until the
    /// answer begins, not the stream.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn lines(&self, path: &str) -> Result<Lines, ClientError> {
        self.in_time(async {
            let (response, driver) = self.send(Method::GET, path, Bytes::new(), &[]).await?;
            if !response.status().is_success() {
                let (status, answer) = self.collect(response).await?;
                return Err(refused(status, &answer));
            }
            Ok(Lines::new(self.endpoint.to_string(), response.into_body(), driver))
        })
        .await
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Connects and sends a request; the head of its answer. It says how much time is left once it is connected.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Result<(Response<Incoming>, Driver), ClientError> {
        let until = Instant::now() + self.timeout;
        let request = self.request(method, path, body, headers)?;
        let timed = |mut request: Request<Full<Bytes>>| {
            let left_ms = until.saturating_duration_since(Instant::now()).as_millis();
            let left_ms = u64::try_from(left_ms).unwrap_or(u64::MAX);
            request.headers_mut().insert(WITHIN, left_ms.into());
            request
        };
        match &self.endpoint {
            Endpoint::Socket(socket) => {
                let connection = UnixStream::connect(socket).await.map_err(|e| self.unreachable(e))?;
                self.exchange(connection, timed(request)).await
            }
            Endpoint::Sealed { host, cluster_id, keyring } => {
                let connection = TcpStream::connect(host).await.map_err(|e| self.unreachable(e))?;
                connection.set_nodelay(true).map_err(|e| self.broken(e))?;
                let sealed = stream::connect(connection, *cluster_id, keyring, self.timeout).await;
                self.exchange(sealed.map_err(|e| self.unsealed(e))?, timed(request)).await
            }
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let host = match &self.endpoint {
            Endpoint::Socket(_) => "localhost",
            Endpoint::Sealed { host, .. } => host,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).map_err(|e| ClientError::BadRequest(format!("{path}: {e}")))
    }

    async fn exchange<S>(
        &self,
        connection: S,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Driver), ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(connection)).await.map_err(|e| self.broken(e))?;
        let mut driver = Driver::new();
        driver.spawn(async move {
            // What goes wrong with the connection is told to the request or to the body as well.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await.map_err(|e| self.broken(e))?;
        Ok((response, driver))
    }

    /// The whole of an answer.
    async fn collect(&self, response: Response<Incoming>) -> Result<(u16, Bytes), ClientError> {
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.map_err(|e| {
            if e.is::<LengthLimitError>() {
                ClientError::BadAnswer(format!("longer than {ANSWER_BYTES} bytes"))
            } else {
                ClientError::Broken { endpoint: self.endpoint.to_string(), source: e }
            }
        })?;
        Ok((status, body.to_bytes()))
    }

    /// Nobody could be connected to.
    fn unreachable(&self, source: io::Error) -> ClientError {
        let endpoint = self.endpoint.to_string();
        match (&self.endpoint, source.kind()) {
            (Endpoint::Socket(_), io::ErrorKind::PermissionDenied) => {
                ClientError::PermissionDenied { endpoint }
            }
            (Endpoint::Socket(_), _) => ClientError::NoDaemon {
                endpoint,
                source,
                hint: "koid does not seem to run: systemctl start koid",
            },
            (Endpoint::Sealed { .. }, _) => ClientError::NoDaemon {
                endpoint,
                source,
                hint: "does koid run there, and is its TCP port reachable?",
            },
        }
    }

    fn unsealed(&self, source: StreamError) -> ClientError {
        match source {
            StreamError::TimedOut(_) => self.timed_out(),
            source => ClientError::Unsealed { endpoint: self.endpoint.to_string(), source },
        }
    }

    fn broken(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
        ClientError::Broken { endpoint: self.endpoint.to_string(), source: source.into() }
    }

    fn timed_out(&self) -> ClientError {
        ClientError::TimedOut { endpoint: self.endpoint.to_string(), timeout: self.timeout }
    }
}

/// What an answer of [`Client::raw`] says.
///
/// # Errors
/// [`ClientError::Refused`] for an error status, [`ClientError::BadAnswer`] if it is not the JSON expected.
pub fn read<T: DeserializeOwned>(status: u16, answer: &[u8]) -> Result<T, ClientError> {
    if !StatusCode::from_u16(status).is_ok_and(|s| s.is_success()) {
        return Err(refused(status, answer));
    }
    serde_json::from_slice(answer).map_err(|e| ClientError::BadAnswer(e.to_string()))
}

/// The error in an answer; what is no error of ours is shown as it is.
fn refused(status: u16, answer: &[u8]) -> ClientError {
    let error = serde_json::from_slice::<ErrorBody>(answer).map(|body| body.error).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(answer).chars().take(SHOWN_CHARS).collect();
        let message = format!("HTTP status {status}: {}", text.trim());
        ApiError { code: ErrorCode::Internal, message, hint: String::new() }
    });
    ClientError::Refused { status, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_for_others_says_which_group_to_be_in() {
        let client = Client::new(Endpoint::Socket("/run/koi/koid.sock".into()), Duration::from_secs(6));
        let error = client.unreachable(io::ErrorKind::PermissionDenied.into());
        assert!(matches!(error, ClientError::PermissionDenied { .. }));
        assert!(error.to_string().contains("group koi"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}
