//! HTTP requests of guests: to granted servers, at addresses that were looked at.
//!
//! wasmtime-wasi-http's own way looks a name up in this process, and connects to whatever comes back. Here koid looks it up, and whoever
//! answers for the name cannot send the guest into this machine or its network. The rest is as there: times, errors, and that nothing
//! outlives the guest's resources, for nothing is spawned.

use std::future::{pending, ready};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use koi_plugin_api::{CallLog, LogLevel};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Interval, interval, timeout};
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody, WasiHttpHooks};

use crate::backend::wasm::grants::{Grants, HttpHost};
use crate::backend::wasm::guest::imports::tls;
use crate::backend::wasm::guest::link::Link;
use crate::backend::wasm::protocol::LookupAnswer;

/// For connecting, for the first byte and between two pieces of the answer, where the guest does not say. Its call ends it earlier as a rule.
const TIME: Duration = Duration::from_secs(600);

/// A connection's two ways.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Sent = Result<(http::Response<WasiBody>, Driver), HttpError>;
/// What moves the bytes of a connection while the guest reads the answer.
type Driver = Box<dyn Future<Output = Result<(), HttpError>> + Send>;

/// Sends the requests of one call as far as they are granted, and tells the call's log of the rest.
#[derive(Clone)]
pub(crate) struct HttpGate {
    grants: Arc<Grants>,
    link: Arc<Link>,
    /// In a test the server at the other end is a made-up one, that shows no certificate.
    is_test: bool,
}

/// Where a request goes.
struct Target {
    host: HttpHost,
    port: u16,
    is_encrypted: bool,
}

impl WasiHttpHooks for HttpGate {
    /// Redirects are the guest's business: each is a request of its own, and looked at like this one.
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Driver,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        match self.target(request.uri()) {
            Ok(target) => Box::new(self.clone().send(request, target, options.unwrap_or_default())),
            Err(error) => Box::new(ready(Err(error))),
        }
    }
}

impl HttpGate {
    /// For one call.
    pub(crate) fn new(grants: Arc<Grants>, link: Arc<Link>, is_test: bool) -> HttpGate {
        HttpGate { grants, link, is_test }
    }

    /// Where a request goes, if that is granted.
    fn target(&self, uri: &http::Uri) -> Result<Target, HttpError> {
        let authority = uri.authority().ok_or(HttpError::HttpRequestUriInvalid)?;
        // With a user's name in it, it is not what is connected to.
        if authority.as_str().contains('@') {
            return Err(HttpError::HttpRequestUriInvalid);
        }
        let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        let port = match (authority.port_u16(), authority.port()) {
            (Some(port), _) => port,
            (None, None) => {
                if is_encrypted {
                    443
                } else {
                    80
                }
            }
            (None, Some(_)) => return Err(HttpError::HttpRequestUriInvalid),
        };
        match HttpHost::parse(authority.host()).filter(|host| self.grants.allows_http(host, port)) {
            Some(host) => Ok(Target { host, port, is_encrypted }),
            None => {
                let host = authority.host();
                let line = self.grants.line_with("http", format!("{}:{port}", host.to_ascii_lowercase()));
                self.denied(&format!("{host}:{port}"), &line);
                Err(HttpError::HttpRequestDenied)
            }
        }
    }

    fn denied(&self, what: &str, line: &str) {
        let text =
            format!("denied: HTTP to {what}; to grant it write under [grants] of service.toml: {line}");
        self.link.line(LogLevel::Warn, &text);
    }

    async fn send(self, request: http::Request<WasiBody>, target: Target, options: RequestOptions) -> Sent {
        let connect_time = options.connect_timeout.unwrap_or(TIME);
        let connected = timeout(connect_time, self.connect(&target)).await;
        let connected = connected.map_err(|_| HttpError::ConnectionTimeout)??;
        let stream: Box<dyn Stream> = match target.is_encrypted && !self.is_test {
            true => Box::new(tls::encrypted(connected, &target.host, tls::public_authorities()).await?),
            false => Box::new(connected),
        };
        exchange(stream, request, options).await
    }

    /// Connects to the first address that answers.
    async fn connect(&self, target: &Target) -> Result<TcpStream, HttpError> {
        let addresses = match &target.host {
            HttpHost::Ip(ip) => vec![SocketAddr::new(*ip, target.port)],
            HttpHost::Name(name) => self.addresses(name, target.port).await?,
        };
        TcpStream::connect(addresses.as_slice()).await.map_err(HttpError::Connect)
    }

    /// The addresses of a name that are granted.
    async fn addresses(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, HttpError> {
        let found = match self.link.look_up(name.to_owned()).await {
            Ok(LookupAnswer::Addresses(ips)) => ips,
            Ok(LookupAnswer::Unknown) => return Err(unresolved("address not available")),
            Ok(LookupAnswer::Busy) => return Err(unresolved("too many look-ups at once")),
            // The call is over.
            Err(_) => return Err(unresolved("nobody answers")),
        };
        let found = found.into_iter().map(|ip| SocketAddr::new(ip, port));
        let (granted, private): (Vec<_>, Vec<_>) =
            found.partition(|address| self.grants.allows_http_at(name, *address));
        if granted.is_empty() {
            self.denied_private(&format!("{name}:{port}"), &private);
            return Err(HttpError::DestinationIpProhibited);
        }
        Ok(granted)
    }

    fn denied_private(&self, server: &str, private: &[SocketAddr]) {
        let ips = private.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(", ");
        let what = match private.len() {
            1 => format!("{server}: its address {ips} is a private one"),
            _ => format!("{server}: its addresses {ips} are private ones"),
        };
        let entries = private.iter().map(|address| toml::Value::from(address.to_string()));
        let line = self.grants.line_with_all("http", entries);
        self.denied(&what, &format!("{line} (a name alone grants public addresses)"));
    }
}

/// Sends a request through a connection, and returns with the head of the answer.
async fn exchange(
    stream: Box<dyn Stream>,
    mut request: http::Request<WasiBody>,
    options: RequestOptions,
) -> Sent {
    let connect_time = options.connect_timeout.unwrap_or(TIME);
    let handshake = timeout(connect_time, http1::Builder::new().handshake(TokioIo::new(stream))).await;
    let (mut sender, connection) = handshake.map_err(|_| HttpError::ConnectionTimeout)??;
    // Scheme and authority are for proxies. The guest's host is in a header.
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();

    let first_byte_time = options.first_byte_timeout.unwrap_or(TIME);
    let mut answer = pin!(timeout(first_byte_time, sender.send_request(request)));
    let mut connection = Some(connection);
    let response = loop {
        let drive = async {
            match &mut connection {
                Some(connection) => connection.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            answer = &mut answer => break answer.map_err(|_| HttpError::ConnectionReadTimeout)??,
            ended = drive => {
                connection = None;
                ended?;
            }
        }
    };
    let between_bytes = options.between_bytes_timeout.unwrap_or(TIME);
    let response = response.map(|body| TimedBody::new(body, between_bytes).boxed_unsync());
    let drive = async move {
        match connection {
            Some(connection) => connection.await.map_err(in_response),
            None => Ok(()),
        }
    };
    Ok((response, Box::new(drive)))
}

/// The body of an answer. Between two pieces of it there may not be more than so much time.
struct TimedBody {
    body: Incoming,
    silence: Interval,
}

impl TimedBody {
    fn new(body: Incoming, between_bytes: Duration) -> TimedBody {
        // There is no interval of no time.
        let mut silence = interval(between_bytes.max(Duration::from_nanos(1)));
        silence.reset();
        TimedBody { body, silence }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.silence.reset();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(in_response(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                ready!(self.silence.poll_tick(cx));
                Poll::Ready(Some(Err(HttpError::ConnectionReadTimeout)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn in_response(error: hyper::Error) -> HttpError {
    match error.is_timeout() {
        true => HttpError::HttpResponseTimeout,
        false => error.into(),
    }
}

/// A name without an address, in the words that wasmtime-wasi-http has for it.
pub(super) fn unresolved(why: &str) -> HttpError {
    HttpError::DnsError { rcode: Some(why.to_owned()), info_code: None }
}

#[cfg(test)]
mod tests;
