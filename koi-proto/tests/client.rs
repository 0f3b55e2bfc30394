//! The client against a small daemon: over a Unix socket and sealed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use koi_proto::api::{ApiError, Done, ErrorBody, ErrorCode, Promote};
use koi_proto::client::{ANSWER_BYTES, Client, ClientError, Endpoint, LINE_BYTES, Method, WITHIN};
use koi_proto::stream::{self, HandshakeError, StreamError};
use support::{CLUSTER, PLENTY, keyring};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn json(status: u16, value: &impl serde::Serialize) -> Answer {
    text(status, serde_json::to_string(value).unwrap())
}

fn text(status: u16, body: impl Into<Bytes>) -> Answer {
    Response::builder().status(status).body(Full::new(body.into()).boxed()).unwrap()
}

/// A body that comes in these pieces and then, if told so, never ends.
struct Pieces {
    left: VecDeque<Bytes>,
    endless: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.left.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }
}

fn pieces(endless: bool, pieces: &[&[u8]]) -> Answer {
    let left = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
    Response::new(Pieces { left, endless }.boxed())
}

fn error(code: ErrorCode, message: &str, hint: &str) -> Answer {
    let status = code.http_status();
    let error = ApiError { code, message: message.into(), hint: hint.into() };
    json(status, &ErrorBody { error })
}

/// The daemon.
async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(match head.uri.path() {
        "/v1/promote" => {
            assert_eq!(head.headers["content-type"], "application/json");
            let left_ms: u64 = head.headers[WITHIN].to_str().unwrap().parse().unwrap();
            assert!(left_ms > 0 && Duration::from_millis(left_ms) <= PLENTY, "{left_ms} ms are left");
            let asked: Promote = serde_json::from_slice(&body).unwrap();
            json(200, &Done { message: format!("{} is master", asked.node), ..Done::default() })
        }
        "/v1/elect" => error(ErrorCode::Unsafe, "b may still be master", "koi confirm-down b"),
        "/v1/echo" => {
            let hop = head.headers["x-koi-hop"].to_str().unwrap();
            let query = head.uri.query().unwrap_or_default();
            text(418, format!("{} {query} {hop} {}", head.method, String::from_utf8_lossy(&body)))
        }
        "/v1/garbage" => text(200, "<html>"),
        "/v1/gateway" => text(502, "<html>bad gateway</html>"),
        "/v1/largest" => text(200, format!("\"{}\"", "x".repeat(ANSWER_BYTES - 2))),
        "/v1/huge" => text(200, vec![b' '; ANSWER_BYTES + 1]),
        "/v1/never" => std::future::pending().await,
        "/v1/events" => {
            pieces(true, &[b"{\"number\":1}\n{\"num", b"ber\":2}\r\n", b"\n\n", b"{\"number\":3}\n"])
        }
        "/v1/kept" => pieces(false, &[b"first\n", b"second\n", b"without its end"]),
        "/v1/long" => pieces(true, &[&[b'x'; LINE_BYTES], b"x"]),
        "/v1/binary" => pieces(true, &[b"\xff\xfe\n"]),
        path => error(ErrorCode::NotFound, &format!("no such path: {path}"), ""),
    })
}

fn serve(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    tokio::spawn(async move {
        let http = hyper::server::conn::http1::Builder::new();
        let _ = http.serve_connection(TokioIo::new(connection), service_fn(answer)).await;
    });
}

/// A client of a daemon at a Unix socket in `folder`.
fn over_socket(folder: &Path) -> Client {
    let path = folder.join("koid.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            serve(connection);
        }
    });
    Client::new(Endpoint::Socket(path), PLENTY)
}

/// A client with key `theirs` of a daemon with key 1, both over loopback.
async fn over_tcp(theirs: u8) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            if let Ok(sealed) = stream::accept(connection, CLUSTER, &keyring(1, &[]), PLENTY).await {
                serve(sealed);
            }
        }
    });
    let keyring = Arc::new(keyring(theirs, &[]));
    Client::new(Endpoint::Sealed { host, cluster_id: CLUSTER, keyring }, PLENTY)
}

/// What must be the same over either endpoint.
async fn everyday_work(client: &Client) {
    let promote = Promote { node: "a".into(), ..Promote::default() };
    let done: Done = client.post("/v1/promote", &promote).await.unwrap();
    assert_eq!(done.message, "a is master");

    let refused = client.post::<_, Done>("/v1/elect", &()).await.unwrap_err();
    assert_eq!(refused.to_string(), "b may still be master; koi confirm-down b");
    assert!(
        matches!(&refused, ClientError::Refused { status: 409, error } if error.code == ErrorCode::Unsafe)
    );
    assert_eq!(refused.exit_code(), 5);

    let unknown = client.get::<Done>("/v1/nothing").await.unwrap_err();
    assert!(matches!(unknown, ClientError::Refused { status: 404, .. }), "{unknown}");

    let passed_on = client.raw(Method::PUT, "/v1/echo?node=b", "hello".into(), &[("x-koi-hop", "1")]).await;
    assert_eq!(passed_on.unwrap(), (418, Bytes::from("PUT node=b 1 hello")));

    let largest: String = client.get("/v1/largest").await.unwrap();
    assert_eq!(largest.len(), ANSWER_BYTES - 2);

    let mut events = client.lines("/v1/events").await.unwrap();
    for n in 1..=3 {
        assert_eq!(events.next().await.unwrap(), Some(format!("{{\"number\":{n}}}")));
    }
    let nothing_yet = tokio::time::timeout(Duration::from_millis(20), events.next()).await;
    assert!(nothing_yet.is_err(), "the stream goes on");
}

#[tokio::test]
async fn everyday_work_over_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    everyday_work(&over_socket(folder.path())).await;
}

#[tokio::test]
async fn everyday_work_sealed() {
    everyday_work(&over_tcp(1).await).await;
}

#[tokio::test]
async fn lines_end_with_the_answer_and_the_last_needs_no_newline() {
    let folder = tempfile::tempdir().unwrap();
    let client = over_socket(folder.path());
    let mut lines = client.lines("/v1/kept").await.unwrap();
    for line in ["first", "second", "without its end"] {
        assert_eq!(lines.next().await.unwrap().as_deref(), Some(line));
    }
    assert_eq!(lines.next().await.unwrap(), None);
    assert_eq!(lines.next().await.unwrap(), None);
}

#[tokio::test]
async fn lines_are_refused_like_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let refused = over_socket(folder.path()).lines("/v1/nothing").await.unwrap_err();
    assert_eq!(refused.to_string(), "no such path: /v1/nothing");
}

#[tokio::test]
async fn a_line_too_long_or_not_text_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let client = over_socket(folder.path());
    for path in ["/v1/long", "/v1/binary"] {
        let mut lines = client.lines(path).await.unwrap();
        assert!(matches!(lines.next().await, Err(ClientError::BadAnswer(_))), "{path}");
        assert_eq!(lines.next().await.unwrap(), None, "there is nothing after it");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_one_expected_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let client = over_socket(folder.path());
    assert!(matches!(client.get::<Done>("/v1/garbage").await, Err(ClientError::BadAnswer(_))));
    assert!(matches!(client.get::<Done>("/v1/huge").await, Err(ClientError::BadAnswer(_))));
    let gateway = client.get::<Done>("/v1/gateway").await.unwrap_err();
    assert_eq!(gateway.to_string(), "HTTP status 502: <html>bad gateway</html>");
    assert_eq!(gateway.exit_code(), 1);
}

#[tokio::test]
async fn a_request_that_is_none_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let error = over_socket(folder.path()).get::<Done>("/v1/local?node=a b").await.unwrap_err();
    assert!(matches!(error, ClientError::BadRequest(_)), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[tokio::test]
async fn no_answer_in_time_is_said_with_the_time() {
    let folder = tempfile::tempdir().unwrap();
    let patient = over_socket(folder.path());
    let client = Client::new(patient.endpoint().clone(), Duration::from_millis(50));
    for error in
        [client.get::<Done>("/v1/never").await.unwrap_err(), client.lines("/v1/never").await.unwrap_err()]
    {
        assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("50 ms"), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}

#[tokio::test]
async fn a_missing_daemon_says_how_to_start_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("koid.sock");
    let client = Client::new(Endpoint::Socket(path.clone()), PLENTY);
    let nobody_ever = client.get::<Done>("/v1/status").await.unwrap_err();

    // A daemon that was killed leaves its socket behind.
    drop(UnixListener::bind(&path).unwrap());
    let nobody_now = client.get::<Done>("/v1/status").await.unwrap_err();

    for error in [nobody_ever, nobody_now] {
        assert!(matches!(error, ClientError::NoDaemon { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("systemctl start koid") && text.contains("koid.sock"), "{text}");
        assert_eq!(error.exit_code(), 4);
    }
}

#[tokio::test]
async fn a_missing_daemon_afar_says_where() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let keyring = Arc::new(keyring(1, &[]));
    let client = Client::new(Endpoint::Sealed { host: host.clone(), cluster_id: CLUSTER, keyring }, PLENTY);
    let error = client.get::<Done>("/v1/status").await.unwrap_err();
    assert!(matches!(&error, ClientError::NoDaemon { endpoint, .. } if *endpoint == host), "{error}");
}

#[tokio::test]
async fn a_wrong_key_says_so() {
    let error = over_tcp(2).await.get::<Done>("/v1/status").await.unwrap_err();
    let refused = |e: &ClientError| {
        matches!(e, ClientError::Unsealed { source: StreamError::Refused(HandshakeError::UnknownKey), .. })
    };
    assert!(refused(&error), "{error}");
}

#[tokio::test]
async fn a_daemon_that_goes_away_is_a_broken_connection() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("koid.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(connection);
        }
    });
    let error = Client::new(Endpoint::Socket(path), PLENTY).get::<Done>("/v1/status").await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
    assert_eq!(error.exit_code(), 4);
}
