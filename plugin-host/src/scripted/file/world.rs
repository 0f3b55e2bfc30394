//! The scripted worlds of a test: peers, servers and programs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use crate::scripted::file::bytes::{bytes, count};
use crate::scripted::file::error::{SpannedEntryError, TestEntryError};
use crate::scripted::file::fields::{Fields, Result, Value, kind, setting, text, word};

const PEER_KEYS: [&str; 4] = ["at", "talk", "times", "refuse"];
const DATAGRAM_KEYS: [&str; 2] = ["at", "talk"];
const STEP_KEYS: [&str; 2] = ["expect", "say"];
const SERVER_KEYS: [&str; 5] = ["request", "headers", "body", "answer", "times"];
const ANSWER_KEYS: [&str; 4] = ["status", "headers", "body", "fault"];
const PROGRAM_KEYS: [&str; 8] = ["run", "stdin", "env", "stdout", "stderr", "code", "error", "times"];

/// How often something is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    /// So often, and not less.
    Exactly(u32),
    /// As often as it comes, also never.
    Any,
}

/// What one connection to a TCP peer is like, or what a UDP peer receives and sends.
#[derive(Clone, Debug)]
pub(crate) struct PeerScript {
    pub(crate) line: usize,
    pub(crate) at: SocketAddr,
    pub(crate) times: Times,
    /// Nobody listens there.
    pub(crate) refuses: bool,
    pub(crate) talk: Vec<PeerStep>,
}

/// One step of a peer, and its line.
#[derive(Clone, Debug)]
pub(crate) struct PeerStep {
    pub(crate) line: usize,
    pub(crate) does: PeerAct,
}

/// What a peer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerAct {
    /// Takes these bytes, and no others.
    Expect(Vec<u8>),
    /// Takes so many, whatever they are.
    ExpectAny(usize),
    /// Sends these.
    Say(Vec<u8>),
    /// Ends the connection.
    Close,
    /// Breaks the connection off (RST).
    Reset,
    /// Answers nothing any more, whatever comes.
    Silence,
}

/// A request that an HTTP server gets, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct ServerScript {
    pub(crate) line: usize,
    pub(crate) times: Times,
    pub(crate) method: String,
    /// As it stands in the URL: host, and the port if it stands there.
    pub(crate) authority: String,
    pub(crate) is_encrypted: bool,
    /// Where it listens.
    pub(crate) at: SocketAddr,
    /// Path and query.
    pub(crate) path: String,
    /// What the request must have.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) answer: ServerAnswer,
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub(crate) enum ServerAnswer {
    Response {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// It ends the connection without an answer.
    Close,
    /// It never answers.
    Silence,
    /// Nobody listens there.
    Refuse,
}

/// A program that may be run, and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct ProgramScript {
    pub(crate) line: usize,
    pub(crate) times: Times,
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) end: ProgramEnd,
}

/// How a program ends.
#[derive(Clone, Debug)]
pub(crate) enum ProgramEnd {
    Exits {
        code: i32,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
    },
    /// There is no such program.
    NotFound,
    /// It was ended because it took too long.
    TimedOut,
}

/// What reading a script takes besides the script.
pub(super) struct Around<'a> {
    /// The line of a byte.
    pub(super) line_of: &'a dyn Fn(usize) -> usize,
    pub(super) names: &'a BTreeMap<String, Vec<IpAddr>>,
}

/// `[[test.tcp]]`: one connection.
pub(super) fn peer(value: &Value<'_>, around: &Around<'_>) -> Result<PeerScript> {
    of_peer(&Fields::within("test", value, "[[test.tcp]]", &PEER_KEYS)?, around)
}

/// `[[test.udp]]`: the datagrams of a test.
pub(super) fn datagram_peer(value: &Value<'_>, around: &Around<'_>) -> Result<PeerScript> {
    of_peer(&Fields::within("test", value, "[[test.udp]]", &DATAGRAM_KEYS)?, around)
}

fn of_peer(fields: &Fields<'_, '_>, around: &Around<'_>) -> Result<PeerScript> {
    let at = fields.get("at").ok_or_else(|| fields.missing("at", "at = \"10.0.0.5:6379\""))?;
    let written = text("at", at)?;
    let parsed = written.parse().ok().filter(may_listen);
    let address = parsed.ok_or_else(|| {
        let expected = "an IP address with a port, like 10.0.0.5:6379 or [fd00::5]:6379";
        SpannedEntryError::of(at, TestEntryError::Address { key: "at".into(), text: written, expected })
    })?;
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let talk =
        fields.list("talk")?.iter().map(|step| self::step(step, around)).collect::<Result<Vec<_>>>()?;
    let refuses = fields.flag("refuse")?;
    if refuses && !talk.is_empty() {
        return Err(SpannedEntryError::new(fields.at, TestEntryError::RefusesAndTalks));
    }
    Ok(PeerScript { line: (around.line_of)(fields.at), at: address, times: times(fields)?, refuses, talk })
}

/// Whether it is the address of one server.
fn may_listen(address: &SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    address.port() > 0 && !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

fn step(value: &Value<'_>, around: &Around<'_>) -> Result<PeerStep> {
    let line = (around.line_of)(value.span().start);
    let words = [("close", PeerAct::Close), ("reset", PeerAct::Reset), ("silence", PeerAct::Silence)];
    let does = match value.get_ref() {
        DeValue::String(_) => word(value, "talk", "what a peer does", &words)?,
        DeValue::Table(_) => {
            let fields = Fields::within("talk", value, "a step of talk", &STEP_KEYS)?;
            match (fields.get("expect"), fields.get("say")) {
                (Some(value), None) => match count("expect", value)? {
                    Some(count) => PeerAct::ExpectAny(count),
                    None => PeerAct::Expect(bytes("expect", value)?),
                },
                (None, Some(value)) => PeerAct::Say(bytes("say", value)?),
                (Some(_), Some(_)) | (None, None) => {
                    let ways = "`expect` and `say`";
                    let what = TestEntryError::OneOf { section: "a step of talk", ways };
                    return Err(SpannedEntryError::of(value, what));
                }
            }
        }
        _ => {
            let expected =
                "a list of { expect = \"…\" }, { say = \"…\" }, \"close\", \"reset\" and \"silence\"";
            return Err(kind(value, "talk", expected));
        }
    };
    Ok(PeerStep { line, does })
}

/// `[[test.http]]`.
pub(super) fn server(value: &Value<'_>, around: &Around<'_>) -> Result<ServerScript> {
    let fields = Fields::within("test", value, "[[test.http]]", &SERVER_KEYS)?;
    let example = "request = \"GET http://10.0.0.5:8080/health\"";
    let request = fields.get("request").ok_or_else(|| fields.missing("request", example))?;
    let request_text = text("request", request)?;
    let wrong = || SpannedEntryError::of(request, TestEntryError::Request(request_text.clone()));
    let (method, url) = request_text.split_once(' ').ok_or_else(wrong)?;
    let uri: http::Uri = url.trim().parse().map_err(|_| wrong())?;
    let is_encrypted = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let host = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
    let ip = match (host.parse(), around.names.get(&host)) {
        (Ok(ip), _) => ip,
        (Err(_), Some(ips)) if !ips.is_empty() => ips[0],
        (Err(_), _) if host == "localhost" => IpAddr::from([127, 0, 0, 1]),
        (Err(_), _) => return Err(SpannedEntryError::of(request, TestEntryError::NoAddress(host))),
    };
    Ok(ServerScript {
        line: (around.line_of)(fields.at),
        times: times(&fields)?,
        method: method.to_owned(),
        authority: authority.as_str().to_ascii_lowercase(),
        is_encrypted,
        at: SocketAddr::new(ip.to_canonical(), port),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: fields.texts("headers")?,
        body: fields.get("body").map(|value| bytes("body", value)).transpose()?,
        answer: answer(&fields)?,
    })
}

fn answer(fields: &Fields<'_, '_>) -> Result<ServerAnswer> {
    let Some(value) = fields.get("answer") else {
        return Err(fields.missing("answer", "answer = { status = 200, body = \"…\" }"));
    };
    let fields = Fields::within("answer", value, "answer", &ANSWER_KEYS)?;
    if let Some(fault) = fields.get("fault") {
        let words = [
            ("close", ServerAnswer::Close),
            ("silence", ServerAnswer::Silence),
            ("refuse", ServerAnswer::Refuse),
        ];
        return word(fault, "fault", "what a server does", &words);
    }
    let status: u16 = fields.number("status", "a status of HTTP, like 200")?.unwrap_or(200);
    if !(200..=599).contains(&status) {
        return Err(kind(value, "status", "a status of HTTP, from 200 to 599"));
    }
    let body = fields.get("body").map(|value| bytes("body", value)).transpose()?.unwrap_or_default();
    Ok(ServerAnswer::Response { status, headers: fields.texts("headers")?, body })
}

/// `[[test.exec]]`.
pub(super) fn program(value: &Value<'_>, around: &Around<'_>) -> Result<ProgramScript> {
    let fields = Fields::within("test", value, "[[test.exec]]", &PROGRAM_KEYS)?;
    let run = fields.get("run").ok_or_else(|| fields.missing("run", "run = \"/usr/sbin/ip addr\""))?;
    let words: Vec<String> = match run.get_ref() {
        DeValue::String(text) => text.split_whitespace().map(str::to_owned).collect(),
        DeValue::Array(words) => words.iter().map(|word| setting("run", word)).collect::<Result<_>>()?,
        _ => return Err(kind(run, "run", "a command line, or a list of its words")),
    };
    if words.first().is_none_or(|program| !program.starts_with('/')) {
        return Err(kind(run, "run", "a program by its absolute path, with its arguments"));
    }
    let output = |key: &str| match fields.get(key) {
        Some(value) => bytes(key, value),
        None => Ok(Vec::new()),
    };
    let errors = [("not-found", ProgramEnd::NotFound), ("timed-out", ProgramEnd::TimedOut)];
    let end = match fields.get("error") {
        Some(error) => word(error, "error", "how a program cannot be run", &errors)?,
        None => ProgramEnd::Exits {
            code: fields.number("code", "an exit code")?.unwrap_or(0),
            stdout: output("stdout")?,
            stderr: output("stderr")?,
        },
    };
    Ok(ProgramScript {
        line: (around.line_of)(fields.at),
        times: times(&fields)?,
        words,
        stdin: fields.get("stdin").map(|value| bytes("stdin", value)).transpose()?,
        env: fields.texts("env")?,
        end,
    })
}

fn times(fields: &Fields<'_, '_>) -> Result<Times> {
    let Some(value) = fields.get("times") else { return Ok(Times::Exactly(1)) };
    let expected = "a number from 1 on, or \"any\"";
    match value.get_ref() {
        DeValue::String(text) if text == "any" => Ok(Times::Any),
        DeValue::Integer(_) => match fields.number::<u32>("times", expected)? {
            Some(times) if times > 0 => Ok(Times::Exactly(times)),
            Some(_) | None => Err(kind(value, "times", expected)),
        },
        _ => Err(kind(value, "times", expected)),
    }
}
