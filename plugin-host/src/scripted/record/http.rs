//! Web servers of a recording: each request is sent on to the server that it is for, and noted with its answer.

use std::net::SocketAddr;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use wasmtime_wasi_http::io::TokioIo;

use crate::backend::wasm::guest::trusted;
use crate::scripted::record::tape::{Answer, Exchange, Tape};

/// Where a server speaks TLS. In a recording the handler's process leaves it to this one.
const HTTPS: u16 = 443;

/// Bytes of a body.
const BODY_BYTES: usize = 16 << 20;

/// Headers that belong to one connection, or to one moment.
const OWN_HEADERS: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING];

/// Stands for a cookie.
const HIDDEN: &str = "hidden";

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub(super) struct NoAnswer;

type Connection = Box<dyn Stream>;
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Serves what comes to one address.
pub(super) async fn serve(listener: TcpListener, at: SocketAddr, outside: Handle, tape: Tape) {
    while let Ok((stream, _)) = listener.accept().await {
        let (outside, tape) = (outside.clone(), tape.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, at, outside.clone(), tape.clone()));
            // How a connection ends says nothing that the requests do not.
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    at: SocketAddr,
    outside: Handle,
    tape: Tape,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|_| NoAnswer)?.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
    let scheme = if at.port() == HTTPS { "https" } else { "http" };
    let (method, url) = (head.method.to_string(), format!("{scheme}://{host}{path}"));
    let sent = Request::from_parts(head, Full::new(body.clone()));
    let (got, answer) = match outside.spawn(ask(sent, at, host)).await {
        Ok(Ok((status, headers, body))) => {
            let shown = headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(name));
            let shown = shown.map(|(name, value)| {
                let value = if name == SET_COOKIE { HIDDEN } else { value.to_str().unwrap_or_default() };
                (name.to_string(), value.to_owned())
            });
            let noted = Answer { status, headers: shown.collect(), body: body.to_vec() };
            let mut response = Response::builder().status(status);
            for (name, value) in headers.iter().filter(|(name, _)| !OWN_HEADERS.contains(name)) {
                response = response.header(name, value);
            }
            (response.body(Full::new(body)).map_err(|_| NoAnswer), Some(noted))
        }
        Ok(Err(_)) | Err(_) => (Err(NoAnswer), None),
    };
    tape.heard().requests.push(Exchange { method, url, body: body.to_vec(), answer });
    got
}

/// Asks the server itself.
async fn ask(
    request: Request<Full<Bytes>>,
    at: SocketAddr,
    host: String,
) -> Result<(u16, http::HeaderMap, Bytes), NoAnswer> {
    let stream = TcpStream::connect(at).await.map_err(|_| NoAnswer)?;
    let stream: Connection = match at.port() {
        HTTPS => {
            let name = host.split(':').next().unwrap_or_default();
            Box::new(trusted(stream, name).await.map_err(|_| NoAnswer)?)
        }
        _ => Box::new(stream),
    };
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer)?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| NoAnswer)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|_| NoAnswer)?.to_bytes();
    driver.abort();
    Ok((head.status.as_u16(), head.headers, body))
}
