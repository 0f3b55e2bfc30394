//! HTTP requests whose every wait ends at a deadline. `http` of `[grants]` says whereto.

use std::fmt;
use std::time::Duration;

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme,
};

use crate::HookError;
use crate::deadline::{Deadline, StreamEnd};

/// How much of a body is taken, in bytes.
const BODY_BYTES: usize = 1024 * 1024;

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, …; redirects are not followed.
    pub status: u16,
    /// The first MiB of it.
    pub body: Vec<u8>,
}

/// Asks for "http://host:port/path" or "https://…". Any status is an answer.
///
/// # Errors
/// Why there is no answer.
pub fn get(url: &str, within: Duration) -> Result<Answer, HttpError> {
    ask(url, &Method::Get, &[], within)
}

/// Sends a body there.
///
/// # Errors
/// Why there is no answer.
pub fn post(url: &str, body: &[u8], within: Duration) -> Result<Answer, HttpError> {
    ask(url, &Method::Post, body, within)
}

fn ask(url: &str, method: &Method, body: &[u8], within: Duration) -> Result<Answer, HttpError> {
    let deadline = Deadline::after(within);
    exchange(url, method, body, deadline).map_err(|why| HttpError { url: url.into(), why })
}

fn exchange(url: &str, method: &Method, body: &[u8], deadline: Deadline) -> Result<Answer, NoAnswer> {
    let request = request(url, method).ok_or(NoAnswer::NotAUrl)?;
    let outgoing = request.body().map_err(|()| NoAnswer::NotAUrl)?;
    let future = outgoing_handler::handle(request, None)?;
    {
        let output = outgoing.write().map_err(|()| NoAnswer::Nothing)?;
        match deadline.write(&output, body) {
            Err(StreamEnd::Late) => return Err(NoAnswer::Late),
            // If the other side takes no more, its answer says why.
            Ok(()) | Err(StreamEnd::Closed | StreamEnd::Broken(_)) => {}
        }
    }
    // As above.
    let _ = OutgoingBody::finish(outgoing, None);
    let response = loop {
        match future.get() {
            Some(answered) => break answered.map_err(|()| NoAnswer::Nothing)??,
            None if deadline.wait_for(&future.subscribe()) => {}
            None => return Err(NoAnswer::Late),
        }
    };
    Ok(Answer { status: response.status(), body: body_of(&response, deadline)? })
}

fn request(url: &str, method: &Method) -> Option<OutgoingRequest> {
    let (scheme, rest) = match url.split_once("://")? {
        ("http", rest) => (Scheme::Http, rest),
        ("https", rest) => (Scheme::Https, rest),
        _ => return None,
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(method).ok()?;
    request.set_scheme(Some(&scheme)).ok()?;
    request.set_authority(Some(host)).ok()?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).ok()?;
    Some(request)
}

fn body_of(response: &IncomingResponse, deadline: Deadline) -> Result<Vec<u8>, NoAnswer> {
    let incoming = response.consume().map_err(|()| NoAnswer::Nothing)?;
    let input = incoming.stream().map_err(|()| NoAnswer::Nothing)?;
    let mut body = Vec::new();
    while body.len() < BODY_BYTES {
        match deadline.read(&input, (BODY_BYTES - body.len()) as u64) {
            Ok(more) => body.extend(more),
            Err(StreamEnd::Closed) => break,
            Err(StreamEnd::Late) => return Err(NoAnswer::Late),
            Err(StreamEnd::Broken(words)) => return Err(NoAnswer::Other(words)),
        }
    }
    Ok(body)
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpError {
    /// What was asked for.
    pub url: String,
    /// What happened.
    pub why: NoAnswer,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// It is not like "http://host:port/path".
    NotAUrl,
    /// `[grants]` does not lead there.
    NotGranted,
    /// The name leads to a private address that `[grants]` does not have.
    Private,
    /// Nothing listens there.
    Refused,
    /// It took too long.
    Late,
    /// There was none, and no reason.
    Nothing,
    /// Anything else, in words.
    Other(String),
}

impl From<ErrorCode> for NoAnswer {
    fn from(code: ErrorCode) -> NoAnswer {
        match code {
            ErrorCode::HttpRequestDenied => NoAnswer::NotGranted,
            ErrorCode::DestinationIpProhibited => NoAnswer::Private,
            ErrorCode::ConnectionRefused => NoAnswer::Refused,
            ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionReadTimeout
            | ErrorCode::HttpResponseTimeout => NoAnswer::Late,
            ErrorCode::HttpRequestUriInvalid => NoAnswer::NotAUrl,
            other => NoAnswer::Other(format!("{other:?}").replace("ErrorCode::", "")),
        }
    }
}

impl std::error::Error for HttpError {}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.url)?;
        match &self.why {
            NoAnswer::NotAUrl => f.write_str("not a URL such as http://host:port/path"),
            NoAnswer::NotGranted => f.write_str("not granted; koid's log has the line for [grants]"),
            NoAnswer::Private => {
                f.write_str("its address is a private one; koid's log has the line for [grants]")
            }
            NoAnswer::Refused => f.write_str("connection refused; does it run?"),
            NoAnswer::Late => f.write_str("no answer in time"),
            NoAnswer::Nothing => f.write_str("no answer"),
            NoAnswer::Other(words) => f.write_str(words),
        }
    }
}

impl From<HttpError> for HookError {
    fn from(error: HttpError) -> HookError {
        match error.why {
            NoAnswer::NotAUrl => HookError::Misconfigured(error.to_string()),
            _ => HookError::Retry(error.to_string()),
        }
    }
}
