//! HTTP servers: each request is one that a test has, and gets the answer that stands there.
//!
//! Requests by https arrive here without encryption: in a test the handler's process leaves it out, and no certificate is asked for.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{HOST, HeaderName};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use wasmtime_wasi_http::io::TokioIo;

use crate::config::nearest::likeness;
use crate::scripted::file::world::{ServerAnswer, ServerScript};
use crate::scripted::finding::{Finding, Findings, shown};
use crate::scripted::machine::{is_left, unused};

/// Bytes of a request's body.
const BODY_BYTES: usize = 16 << 20;

/// The servers at one address.
struct Server {
    scripts: Vec<ServerScript>,
    used: Mutex<Vec<u32>>,
    findings: Findings,
}

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct NoAnswer;

/// Serves the requests to one address until the handler is gone; then what was never asked for is a finding.
pub(super) async fn serve(
    listener: TcpListener,
    scripts: Vec<ServerScript>,
    findings: Findings,
    mut over: watch::Receiver<bool>,
) {
    let used = Mutex::new(vec![0; scripts.len()]);
    let server = Arc::new(Server { scripts, used, findings });
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            _ = over.wait_for(|over| *over) => break,
        };
        let Ok((stream, _)) = accepted else { continue };
        let server = server.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| server.clone().answer(request));
            // How a connection ends says nothing that the requests do not.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
    while connections.join_next().await.is_some() {}
    server.finish();
}

impl Server {
    async fn answer(
        self: Arc<Server>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, NoAnswer> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|_| NoAnswer)?.to_bytes();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let Some(script) = self.take(head.method.as_str(), &host.to_ascii_lowercase(), path) else {
            self.findings.add(self.unknown(head.method.as_str(), host, path));
            return Err(NoAnswer);
        };
        self.findings.extend(differences(script, &head.headers, &body));
        match &script.answer {
            ServerAnswer::Response { status, headers, body } => {
                let response =
                    headers.iter().fold(Response::builder().status(*status), |response, (name, value)| {
                        response.header(name, value)
                    });
                response.body(Full::from(body.clone())).map_err(|error| {
                    self.findings
                        .add(Finding::of(script.line, format!("the answer cannot be sent: {error}")));
                    NoAnswer
                })
            }
            ServerAnswer::Silence => {
                let never: Infallible = std::future::pending().await;
                match never {}
            }
            ServerAnswer::Close | ServerAnswer::Refuse => Err(NoAnswer),
        }
    }

    fn take(&self, method: &str, host: &str, path: &str) -> Option<&ServerScript> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.scripts.iter().zip(&*used).position(|(script, used)| {
            is_left(script.times, *used)
                && script.method == method
                && script.path == path
                && is_same_host(script, host)
        })?;
        used[at] += 1;
        Some(&self.scripts[at])
    }

    fn unknown(&self, method: &str, host: &str, path: &str) -> Finding {
        let seen = format!("{method} {host}{path}");
        let shown = |script: &ServerScript| format!("{} {}{}", script.method, script.authority, script.path);
        if let Some(script) = self.scripts.iter().find(|script| shown(script) == seen) {
            return Finding::of(script.line, format!("{seen} was requested once more than `times` says"));
        }
        let nearest = self.scripts.iter().max_by_key(|script| likeness(&shown(script), &seen));
        let (line, nearest) = nearest.map_or((0, String::new()), |script| (script.line, shown(script)));
        Finding::other(line, "a request came that the test does not have; the nearest", nearest, seen)
    }

    fn finish(&self) {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for (script, used) in self.scripts.iter().zip(&*used) {
            let what = format!("{} {}{} was requested", script.method, script.authority, script.path);
            self.findings.extend(unused(script.line, script.times, *used, &what));
        }
    }
}

/// Whether `host` of a request is that of the script. The port that goes with the scheme need not stand there.
fn is_same_host(script: &ServerScript, host: &str) -> bool {
    let default = if script.is_encrypted { ":443" } else { ":80" };
    let plain = |host: &str| host.strip_suffix(default).unwrap_or(host).to_owned();
    plain(host) == plain(&script.authority)
}

/// What of a request is not as its script says.
fn differences(script: &ServerScript, headers: &HeaderMap, body: &[u8]) -> Vec<Finding> {
    let request = format!("{} {}{}", script.method, script.authority, script.path);
    let mut found = Vec::new();
    for (name, expected) in &script.headers {
        let values: Vec<String> = match name.parse::<HeaderName>() {
            Ok(name) => headers.get_all(name).iter().map(|value| shown(value.as_bytes())).collect(),
            Err(_) => Vec::new(),
        };
        if !values.contains(&shown(expected.as_bytes())) {
            let seen = if values.is_empty() { "not there".to_owned() } else { values.join(", ") };
            let what = format!("header {name} of {request}");
            found.push(Finding::other(script.line, what, shown(expected.as_bytes()), seen));
        }
    }
    if let Some(expected) = script.body.as_ref().filter(|expected| **expected != body) {
        found.push(Finding::other_bytes(script.line, &format!("body of {request}"), expected, body));
    }
    found
}
