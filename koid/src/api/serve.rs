//! One connection: one request and its answer.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use koi_proto::api::ApiError;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{Answer, refusal};
use super::error::bad_request;
use super::request::{Asked, MOST_PASSED, PASSED};
use super::{Api, Caller};

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a request's body: the largest has a name in it.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to say what it wants.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves a connection to its end.
pub(super) async fn serve<S>(api: Api, stream: S, caller: Caller)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(handle(api, request, caller).await) }
    });
    // One request per connection: requests are few, and no idle connection takes another one's place.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!("the API connection of {caller} broke: {error}");
    }
}

async fn handle(api: Api, request: Request<Incoming>, caller: Caller) -> Response<Answer> {
    match read(request, caller).await {
        Ok(asked) => api.answer(asked).await,
        Err(error) => refusal(error),
    }
}

/// A count that is none is the highest.
fn passed(value: &HeaderValue) -> u8 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(MOST_PASSED)
}

async fn read(request: Request<Incoming>, caller: Caller) -> Result<Asked, ApiError> {
    let (head, body) = request.into_parts();
    let body = tokio::time::timeout(READ_TIMEOUT, Limited::new(body, BODY_BYTES).collect())
        .await
        .map_err(|_| bad_request("the body did not come in time"))?
        .map_err(|e| {
            bad_request(format!("the body cannot be read, or is longer than {BODY_BYTES} bytes: {e}"))
        })?;
    Ok(Asked {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: body.to_bytes(),
        passed: head.headers.get(PASSED).map_or(0, passed),
        caller,
    })
}
