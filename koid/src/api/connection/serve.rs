//! One connection: one request and its answer.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use koi_core::types::Time;
use koi_plugin_api::CallToken;
use koi_proto::api::{ApiError, ErrorCode};
use koi_proto::client::{TOKEN, WITHIN};
use koi_proto::key::Keyring;
use koi_proto::stream::{self, OPENING_BYTES};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::admission::{Admission, ClientSource, Credibility, Eviction, RequestKind, Slot, WaitingTicket};
use super::stream::{Connection, RawSocket};
use crate::api::body::{ResponseBody, refusal};
use crate::api::endpoints::attributes::{ATTRIBUTES, waits};
use crate::api::endpoints::commands::{RECONFIGURE, wait};
use crate::api::error::{bad_request, error};
use crate::api::request::{ApiRequest, MOST_PASSED, PASSED};
use crate::api::{Api, Caller};
use crate::cluster::requester::Requester;
use crate::os::sys;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a request's body: the largest has a name in it.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to say what it wants, from connecting on.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to read an answer that is whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A request that waits longer for plugins takes the slot of a follower.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// A connection from its first byte to its last.
pub(in crate::api) struct ApiConnection {
    api: Api,
    admission: Arc<Admission>,
    caller: Caller,
    source: ClientSource,
    /// When it began.
    began: Time,
    /// When it is cut off, whatever it is doing; none: it may last.
    limit: watch::Sender<Option<Instant>>,
    admitted: Mutex<Admitted>,
}

/// What admits a connection: the ticket of the waiting room first, and then a slot.
#[derive(Default)]
struct Admitted {
    ticket: Option<WaitingTicket>,
    _slot: Option<Slot>,
}

impl ApiConnection {
    /// A client has connected.
    pub(in crate::api) fn begin(
        api: Api,
        admission: Arc<Admission>,
        caller: Caller,
    ) -> (Arc<ApiConnection>, Eviction) {
        let source = match caller {
            Caller::Local { uid } => ClientSource::User(uid),
            Caller::Remote(address) => address.into(),
        };
        let (ticket, evicted) = admission.enter(source);
        let limit = watch::Sender::new(Some(Instant::now() + READ_TIMEOUT));
        let admitted = Mutex::new(Admitted { ticket: Some(ticket), _slot: None });
        (
            Arc::new(ApiConnection { api, admission, caller, source, began: sys::now(), limit, admitted }),
            evicted,
        )
    }

    fn admitted(&self) -> MutexGuard<'_, Admitted> {
        self.admitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn credit(&self, shown: Credibility) {
        if let Some(ticket) = &self.admitted().ticket {
            ticket.credit(shown);
        }
    }

    /// Serves the connection until it has ended, is evicted, or takes too long.
    pub(in crate::api) async fn last(&self, evicted: Eviction, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = evicted.when(|| self.admitted().ticket.is_some()) => {
                tracing::debug!("{} has said nothing, and made room for another one", self.caller);
            }
            () = self.overdue() => tracing::debug!("{} took too long", self.caller),
        }
    }

    async fn overdue(&self) {
        let mut limit = self.limit.subscribe();
        loop {
            let at = *limit.borrow_and_update();
            let over = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => return,
                Ok(()) = limit.changed() => {}
            }
        }
    }

    /// Makes a sealed stream of the line, and serves it.
    pub(in crate::api) async fn serve_sealed<S: RawSocket>(
        self: Arc<Self>,
        line: Connection<S>,
        (cluster_id, keyring): (u32, &Keyring),
    ) -> Result<(), stream::StreamError> {
        let (is_connected, heard) = (line.is_connected(), line.heard());
        let handshake = stream::accept(line, cluster_id, keyring, READ_TIMEOUT);
        tokio::pin!(handshake);
        let sealed = std::future::poll_fn(|context| {
            let polled = handshake.as_mut().poll(context);
            if heard.load(Ordering::Relaxed) >= OPENING_BYTES {
                self.credit(Credibility::Words);
            }
            polled
        });
        let sealed = sealed.await?;
        self.credit(Credibility::Key);
        self.serve(sealed, is_connected).await;
        Ok(())
    }

    /// Serves a connection to its end.
    pub(in crate::api) async fn serve<S>(
        self: Arc<Self>,
        stream: S,
        is_connected: Arc<dyn Fn() -> bool + Send + Sync>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let (connection, is_connected) = (self.clone(), is_connected.clone());
            async move { Ok::<_, Infallible>(connection.handle(request, is_connected).await) }
        });
        // One request per connection: requests are few, and no idle connection takes another one's place.
        let served = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!("the API connection of {} broke: {error}", self.caller);
        }
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        is_connected: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Response<ResponseBody> {
        let answer = match self.read(request, is_connected).await {
            Ok(asked) => match self.take_slot(&asked) {
                Ok(()) => self.api.answer(asked).await,
                Err(error) => refusal(error),
            },
            Err(error) => refusal(error),
        };
        let is_whole = matches!(answer.body(), ResponseBody::Whole(_));
        self.limit.send_replace(is_whole.then(|| Instant::now() + ANSWER_TIMEOUT));
        answer
    }

    /// The request was read: the connection leaves the waiting room, and takes a slot.
    fn take_slot(&self, asked: &ApiRequest) -> Result<(), ApiError> {
        let kind = kind_of(asked);
        let slot = self.admission.take(kind, self.source).ok_or_else(|| busy(kind))?;
        *self.admitted() = Admitted { ticket: None, _slot: Some(slot) };
        self.limit.send_replace(None);
        Ok(())
    }

    async fn read(
        &self,
        request: Request<Incoming>,
        is_connected: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<ApiRequest, ApiError> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|e| {
            bad_request(format!("the body cannot be read, or is longer than {BODY_BYTES} bytes: {e}"))
        })?;
        // Counted from the beginning of the connection: its last bytes may have been on the way for long.
        let until = within(head.headers.get(WITHIN))?.map(|left| self.began + left);
        Ok(ApiRequest {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: body.to_bytes(),
            passed: head.headers.get(PASSED).map_or(0, passed),
            caller: self.caller,
            token: head.headers.get(TOKEN).map(token).transpose()?,
            requester: Requester::new(until, is_connected),
        })
    }
}

fn kind_of(asked: &ApiRequest) -> RequestKind {
    let ends = || matches!(asked.parameter("follow"), Ok(Some(follow)) if follow == "false");
    match (&asked.method, asked.path.as_str()) {
        (&Method::GET, "/v1/events") if !ends() => RequestKind::Follow,
        (&Method::GET, ATTRIBUTES) if waits(asked) => RequestKind::Follow,
        (&Method::POST, RECONFIGURE) if wait(asked) > LONG_WAIT => RequestKind::Follow,
        (&Method::POST, _) => RequestKind::Command,
        _ => RequestKind::Look,
    }
}

fn busy(kind: RequestKind) -> ApiError {
    let (what, hint) = match kind {
        RequestKind::Follow => ("follow already", "end some of them (`koi events`, `koi watch`, dashboards)"),
        RequestKind::Look => ("ask already", "try again in a moment"),
        RequestKind::Command => ("give commands already", "try again in a moment"),
    };
    error(ErrorCode::Busy, format!("nothing was done: as many as are served at once {what}"), hint)
}

/// A count that cannot be read is the highest.
fn passed(value: &HeaderValue) -> u8 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(MOST_PASSED)
}

/// A hook's secret, which no error repeats.
fn token(value: &HeaderValue) -> Result<CallToken, ApiError> {
    let text = value.to_str().map_err(|_| bad_request(format!("{TOKEN} is no token of koid's")))?;
    Ok(CallToken::new(text.to_owned()))
}

/// How much longer an answer is waited for.
fn within(value: Option<&HeaderValue>) -> Result<Option<Duration>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let ms = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || bad_request(format!("{WITHIN} is a number of milliseconds"));
    ms.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(wrong)
}
