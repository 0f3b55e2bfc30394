//! Bodies of answers: whole ones, and streams of lines.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{Response, StatusCode, header};
use koi_proto::api::{ApiError, ErrorBody};
use serde::Serialize;
use tokio::sync::mpsc;

/// What an answer carries.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// A text.
    Whole(Full<Bytes>),
    /// Lines as they come.
    Lines(mpsc::Receiver<Bytes>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            ResponseBody::Whole(full) => Pin::new(full).poll_frame(context),
            ResponseBody::Lines(lines) => {
                lines.poll_recv(context).map(|line| line.map(|l| Ok(Frame::data(l))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Whole(full) => full.is_end_stream(),
            ResponseBody::Lines(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Whole(full) => full.size_hint(),
            ResponseBody::Lines(_) => SizeHint::default(),
        }
    }
}

/// An answer of this status with a JSON body that is already written.
pub(crate) fn raw(status: u16, body: Bytes) -> Response<ResponseBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, "application/json", ResponseBody::Whole(Full::new(body)))
}

/// A good answer.
pub(crate) fn json(value: &impl Serialize) -> Response<ResponseBody> {
    written(200, value)
}

/// An error with the status that goes with its code.
pub(crate) fn refusal(error: ApiError) -> Response<ResponseBody> {
    written(error.code.http_status(), &ErrorBody { error })
}

/// Metrics in the text format of Prometheus.
pub(crate) fn metrics(text: String) -> Response<ResponseBody> {
    let body = ResponseBody::Whole(Full::new(text.into()));
    respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

/// Lines as they come.
pub(crate) fn lines(lines: mpsc::Receiver<Bytes>) -> Response<ResponseBody> {
    respond(StatusCode::OK, "application/x-ndjson", ResponseBody::Lines(lines))
}

/// A JSON text with its newline: people read it with curl.
pub(crate) fn line(value: &impl Serialize) -> Bytes {
    let mut text = serde_json::to_vec(value).expect("the API's types have text keys only");
    text.push(b'\n');
    text.into()
}

fn written(status: u16, value: &impl Serialize) -> Response<ResponseBody> {
    raw(status, line(value))
}

fn respond(status: StatusCode, kind: &'static str, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
