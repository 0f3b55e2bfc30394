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
use koi_proto::api::{ApiError, ErrorCode};
use koi_proto::client::WITHIN;
use koi_proto::key::Keyring;
use koi_proto::stream::{self, OPENING_BYTES};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::body::{Answer, refusal};
use super::commands::{RECONFIGURE, wait};
use super::error::{bad_request, error};
use super::line::{Line, Socket};
use super::places::{Dismissed, Entrance, Kind, Known, Place, Source, Ticket};
use super::request::{Asked, MOST_PASSED, PASSED};
use super::{Api, Caller};
use crate::giver::Giver;
use crate::sys;

/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of a request's body: the largest has a name in it.
const BODY_BYTES: usize = 64 * 1024;
/// How long a client may take to say what it wants, from connecting on.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take to read an answer that is whole.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Who waits longer for plugins takes the place of a follower.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// A connection from its first byte to its last.
pub(super) struct Visit {
    api: Api,
    entrance: Arc<Entrance>,
    caller: Caller,
    source: Source,
    /// When it began.
    began: Time,
    /// When it is cut off, whatever it is doing; none: it may last.
    limit: watch::Sender<Option<Instant>>,
    held: Mutex<Held>,
}

/// What a visitor holds: the ticket first, and then a place.
#[derive(Default)]
struct Held {
    ticket: Option<Ticket>,
    _place: Option<Place>,
}

impl Visit {
    /// Somebody has come.
    pub(super) fn begin(api: Api, entrance: Arc<Entrance>, caller: Caller) -> (Arc<Visit>, Dismissed) {
        let source = match caller {
            Caller::Local { uid } => Source::User(uid),
            Caller::Remote(address) => address.into(),
        };
        let (ticket, dismissed) = entrance.enter(source);
        let limit = watch::Sender::new(Some(Instant::now() + READ_TIMEOUT));
        let held = Mutex::new(Held { ticket: Some(ticket), _place: None });
        (Arc::new(Visit { api, entrance, caller, source, began: sys::now(), limit, held }), dismissed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, known: Known) {
        if let Some(ticket) = &self.held().ticket {
            ticket.knows(known);
        }
    }

    /// Runs what is done for the visitor, until it has to go.
    pub(super) async fn last(&self, dismissed: Dismissed, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = dismissed.when(|| self.held().ticket.is_some()) => {
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
    pub(super) async fn serve_sealed<S: Socket>(
        self: Arc<Self>,
        line: Line<S>,
        (cluster_id, keyring): (u32, &Keyring),
    ) -> Result<(), stream::StreamError> {
        let (is_there, heard) = (line.is_there(), line.heard());
        let handshake = stream::accept(line, cluster_id, keyring, READ_TIMEOUT);
        tokio::pin!(handshake);
        let sealed = std::future::poll_fn(|context| {
            let polled = handshake.as_mut().poll(context);
            if heard.load(Ordering::Relaxed) >= OPENING_BYTES {
                self.knows(Known::Words);
            }
            polled
        });
        let sealed = sealed.await?;
        self.knows(Known::Key);
        self.serve(sealed, is_there).await;
        Ok(())
    }

    /// Serves a connection to its end.
    pub(super) async fn serve<S>(self: Arc<Self>, stream: S, is_there: Arc<dyn Fn() -> bool + Send + Sync>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request| {
            let (visit, is_there) = (self.clone(), is_there.clone());
            async move { Ok::<_, Infallible>(visit.handle(request, is_there).await) }
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
        is_there: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Response<Answer> {
        let answer = match self.read(request, is_there).await {
            Ok(asked) => match self.take_place(&asked) {
                Ok(()) => self.api.answer(asked).await,
                Err(error) => refusal(error),
            },
            Err(error) => refusal(error),
        };
        let is_whole = matches!(answer.body(), Answer::Whole(_));
        self.limit.send_replace(is_whole.then(|| Instant::now() + ANSWER_TIMEOUT));
        answer
    }

    /// The request has come: it leaves the hall, and takes a place.
    fn take_place(&self, asked: &Asked) -> Result<(), ApiError> {
        let kind = kind_of(asked);
        let place = self.entrance.take(kind, self.source).ok_or_else(|| busy(kind))?;
        *self.held() = Held { ticket: None, _place: Some(place) };
        self.limit.send_replace(None);
        Ok(())
    }

    async fn read(
        &self,
        request: Request<Incoming>,
        is_there: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Asked, ApiError> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|e| {
            bad_request(format!("the body cannot be read, or is longer than {BODY_BYTES} bytes: {e}"))
        })?;
        // Counted from the beginning of the connection: its last bytes may have been on the way for long.
        let until = within(head.headers.get(WITHIN))?.map(|left| self.began + left);
        Ok(Asked {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: body.to_bytes(),
            passed: head.headers.get(PASSED).map_or(0, passed),
            caller: self.caller,
            giver: Giver::new(until, is_there),
        })
    }
}

fn kind_of(asked: &Asked) -> Kind {
    let ends = || matches!(asked.parameter("follow"), Ok(Some(follow)) if follow == "false");
    match (&asked.method, asked.path.as_str()) {
        (&Method::GET, "/v1/events") if !ends() => Kind::Follow,
        (&Method::POST, RECONFIGURE) if wait(asked) > LONG_WAIT => Kind::Follow,
        (&Method::POST, _) => Kind::Command,
        _ => Kind::Look,
    }
}

fn busy(kind: Kind) -> ApiError {
    let (what, hint) = match kind {
        Kind::Follow => ("follow already", "end some of them (`koi events`, `koi watch`, dashboards)"),
        Kind::Look => ("ask already", "try again in a moment"),
        Kind::Command => ("give commands already", "try again in a moment"),
    };
    error(ErrorCode::Busy, format!("nothing was done: as many as are served at once {what}"), hint)
}

/// A count that is none is the highest.
fn passed(value: &HeaderValue) -> u8 {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(MOST_PASSED)
}

/// How much longer an answer is waited for.
fn within(value: Option<&HeaderValue>) -> Result<Option<Duration>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    let ms = value.to_str().ok().and_then(|text| text.parse().ok());
    let wrong = || bad_request(format!("{WITHIN} is a number of milliseconds"));
    ms.map(|ms| Some(Duration::from_millis(ms))).ok_or_else(wrong)
}
