//! Records a test file: hooks of a service really run once, and what they were told by the world is noted.
//!
//! The handler is in the network of a test all the same. What it is granted is listened at there (`proxies`, `http`), and each connection goes on
//! from a second runtime, whose threads have stayed in the machine's network; so do programs (`machine`). What was heard is on the `tape`, and
//! `write` makes a file of it, without what `redact` knows to be secret.

mod http;
mod machine;
mod proxies;
mod redact;
mod tape;
mod write;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use koi_plugin_api::{Hook, LogLevel, Outcome};
use tokio::net::lookup_host;
use tokio::runtime::{Handle, Runtime};
use toml::Value;

use crate::backend::wasm::script::StateStore;
use crate::config::setting::SecretFile;
use crate::conformance::error::{LoadedHandlerError, ScratchError, TargetError, TrialError};
use crate::conformance::harness::{CallEnd, Harness, TrialCall};
use crate::conformance::interrupt::Interrupt;
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::conformance::trial_group::Attributes;
use crate::plugin::Kind;
use crate::resolver::Resolver;
use crate::scripted::args::TestArgs;
use crate::scripted::compare::{self, log_line};
use crate::scripted::file::Test;
use crate::scripted::file::call::{CallScript, Expected};
use crate::scripted::file::given::Given;
use crate::scripted::network::NetworkError;
use crate::scripted::peers::PeerError;
use crate::scripted::record::machine::RecordingMachine;
use crate::scripted::record::proxies::Proxies;
use crate::scripted::record::redact::Secrets;
use crate::scripted::record::tape::Tape;
use crate::scripted::record::write::{RecordedCall, Recording, WriteError};
use crate::scripted::run::set_circumstances;
use crate::scripted::store;
use crate::scripted::store::TestStoreError;
use crate::stand_in::StandIn;

/// How long a hook may take whose service does not say.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Details that koid adds, which no handler says.
const OWN_DETAILS: [&str; 3] = ["containment", "grants", "kept"];

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("name the hooks to record: koi plugins test --record FILE --service DIR HANDLER start promote")]
    NoHook,
    #[error("which handler, or which service? Name one, or --service DIR")]
    NoHandler,
    #[error("{} is there already; a recording goes into a new file", .0.display())]
    Exists(PathBuf),
    #[error("only components are recorded: what a script or a library does nobody sees")]
    NotAComponent,
    #[error("recording takes root: {0}")]
    Network(String),
    #[error("`{key}` under [grants]: {entry}: a recording needs each server by itself, with its port")]
    Range { key: &'static str, entry: String },
    #[error("`{key}` under [grants]: {entry} cannot be recorded")]
    Unsupported { key: &'static str, entry: String },
    #[error("the name {name} under [grants] has no address: {source}")]
    Name { name: String, source: io::Error },
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    #[error(transparent)]
    Handler(Box<LoadedHandlerError>),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Store(#[from] TestStoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<LoadedHandlerError> for RecordError {
    fn from(error: LoadedHandlerError) -> RecordError {
        RecordError::Handler(Box::new(error))
    }
}

/// What was recorded.
pub(crate) struct Recorded {
    /// The handler that it tests.
    pub(crate) handler: PathBuf,
    /// Nothing was left out: it passes.
    pub(crate) is_whole: bool,
}

/// Records what `args` ask for, into a file. `outside` has its threads in the machine's network, `inside` in that of the
/// recording.
pub(crate) fn record(
    args: &TestArgs,
    path: &Path,
    (inside, outside): (&Runtime, &Handle),
    network: Option<&NetworkError>,
    interrupt: Interrupt,
) -> Result<Recorded, RecordError> {
    if let Some(error) = network {
        return Err(RecordError::Network(error.to_string()));
    }
    if args.hooks.is_empty() {
        return Err(RecordError::NoHook);
    }
    if path.exists() {
        return Err(RecordError::Exists(path.to_owned()));
    }
    let target = match (&args.handler, &args.service) {
        (Some(handler), service) => Target::find(handler, service.as_deref(), &[], &args.sources)?,
        (None, Some(service)) => Target::find(service, None, &[], &args.sources)?,
        (None, None) => return Err(RecordError::NoHandler),
    };
    if target.kind() != Kind::Wasm {
        return Err(RecordError::NotAComponent);
    }
    let variables: Vec<String> = texts(&target, "env")?.into_iter().map(|(_, name)| name).collect();
    let values: BTreeMap<String, String> =
        variables.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))).collect();
    let tape = Tape::default();
    let proxies = Proxies::new(inside.handle().clone(), outside.clone(), tape.clone());
    let names = listen(&target, &proxies)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began = Duration::from_secs(now.as_secs());
    let machine =
        RecordingMachine { outside: outside.clone(), tape: tape.clone(), variables: values.clone(), began };
    let mut scratch = Scratch::new(target.kind(), None, &target.name)?;
    scratch.stand_in(StandIn::new(Arc::new(machine)), resolver(proxies.clone(), names));
    let loaded = LoadedHandler::load(&target, &scratch)?;
    let config = loaded.settle(&target.manifest.config)?;
    let opened = loaded.open(&config)?;
    let text_of = |file: &SecretFile| {
        let text = fs::read_to_string(&file.path).ok()?;
        let bare = text.strip_suffix('\n').unwrap_or(&text);
        Some((file.key.clone(), bare.strip_suffix('\r').unwrap_or(bare).to_owned()))
    };
    let files: BTreeMap<String, String> = config.secrets.iter().filter_map(text_of).collect();
    let harness = Harness::new(&target, None, interrupt)?;
    let own_store = StateStore::open(scratch.host().store_file(scratch.store_name()));
    let mut calls = Vec::new();
    for hook in &args.hooks {
        let before = harness.group.attributes();
        let mut context = harness.context(*hook, loaded.home(), &config.values);
        let timeout = target.manifest.timeouts.for_hook(*hook).unwrap_or(TIMEOUT);
        set_circumstances(&mut context, &bare_call(*hook, timeout), &bare_test());
        let order = TrialCall { hook: *hook, newest_epoch: context.epoch, context, cancel_after: None };
        let ran = harness.run(&opened.handler, order);
        let (outcome, message) = compare::outcome(&ran);
        let report = match &ran.end {
            CallEnd::Result(Ok(Outcome::Status(report))) => Some(report.clone()),
            CallEnd::Result(Ok(Outcome::Done | Outcome::Started(_)) | Err(_))
            | CallEnd::Hung
            | CallEnd::Panicked => None,
        };
        let details = report.iter().flat_map(|report| report.details.clone());
        let log = ran.lines.iter().filter(|(level, _)| *level >= LogLevel::Warn);
        calls.push(RecordedCall {
            hook: hook.as_str(),
            outcome,
            message,
            score: report.as_ref().and_then(|report| report.score),
            details: details.filter(|(name, _)| !OWN_DETAILS.contains(&name.as_str())).collect(),
            log: log.map(|(level, text)| log_line(*level, text)).collect(),
            stored: store::read(inside, &own_store)?,
            processes: ran.processes().iter().map(ToString::to_string).collect(),
            attributes: changed(before, harness.group.attributes()),
        });
        if harness.interrupted() {
            break;
        }
    }
    harness.close(opened.handler);
    let name = calls.iter().map(|call| call.hook).collect::<Vec<_>>().join(", ");
    let secrets = Secrets::of(&config.values, values.values().chain(files.values()));
    let recording = Recording {
        name: format!("recorded: {name}"),
        service: &target.name,
        manifest: &target.manifest,
        variables,
        began,
        secrets,
        files,
        with_bodies: args.with_bodies,
        calls,
    };
    let heard = tape.heard();
    write::write(path, &recording, &heard)?;
    let is_whole = args.with_bodies || heard.connections.is_empty() && heard.requests.is_empty();
    Ok(Recorded { handler: target.path().to_owned(), is_whole })
}

/// Listens at all servers that are granted. The answer: names under `http` with their ports, which are listened at once they are looked up.
fn listen(target: &Target, proxies: &Proxies) -> Result<Vec<(String, u16)>, RecordError> {
    if let Some(entry) = texts(target, "udp")?.first() {
        return Err(RecordError::Unsupported { key: "udp", entry: entry.1.clone() });
    }
    // With a user of its own, or something to keep, it would run otherwise than it does under koid.
    texts(target, "exec")?;
    for (_, entry) in texts(target, "tcp")? {
        match server("tcp", &entry)? {
            (ServerHost::Ip(ip), port) => proxies.tcp(SocketAddr::new(ip, port))?,
            (ServerHost::Name(name), port) => {
                let ips = look_up(&proxies.outside, &name);
                let ips = ips.map_err(|source| RecordError::Name { name: name.clone(), source })?;
                for ip in &ips {
                    proxies.tcp(SocketAddr::new(*ip, port))?;
                }
                proxies.tape.heard().names.insert(name, ips);
            }
        }
    }
    let mut names = Vec::new();
    for (_, entry) in texts(target, "http")? {
        match server("http", &entry)? {
            (ServerHost::Ip(ip), port) => proxies.http(SocketAddr::new(ip, port))?,
            (ServerHost::Name(name), port) => names.push((name, port)),
        }
    }
    Ok(names)
}

/// The entries under a key of `[grants]`, which are texts.
fn texts(target: &Target, key: &'static str) -> Result<Vec<(usize, String)>, RecordError> {
    let entries = target.manifest.grants.get(key).and_then(Value::as_array).into_iter().flatten().enumerate();
    entries
        .map(|(at, entry)| match entry {
            Value::String(text) => Ok((at, text.clone())),
            // The form of `exec` for words with blanks in them.
            Value::Array(words) if key == "exec" => Ok((at, Value::from(words.clone()).to_string())),
            other => Err(RecordError::Unsupported { key, entry: other.to_string() }),
        })
        .collect()
}

/// Where a server is.
enum ServerHost {
    Ip(IpAddr),
    /// In lower case.
    Name(String),
}

/// The server of an entry, and its port.
fn server(key: &'static str, entry: &str) -> Result<(ServerHost, u16), RecordError> {
    let range = || RecordError::Range { key, entry: entry.to_owned() };
    let (host, port) = entry.rsplit_once(':').ok_or_else(range)?;
    let port = port.parse().map_err(|_| range())?;
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(ip) => Ok((ServerHost::Ip(ip.to_canonical()), port)),
        Err(_) if host.contains('/') => Err(range()),
        Err(_) => Ok((ServerHost::Name(host.to_ascii_lowercase()), port)),
    }
}

/// The addresses of a name, in the machine's network. Blocks.
fn look_up(outside: &Handle, name: &str) -> io::Result<Vec<IpAddr>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let name = name.to_owned();
    outside.spawn(async move {
        let found =
            lookup_host((name.as_str(), 0)).await.map(|all| all.map(|at| at.ip().to_canonical()).collect());
        // Whoever waits is there until it hears.
        let _ = sender.send(found);
    });
    let mut ips: Vec<IpAddr> = receiver.recv().map_err(io::Error::other)??;
    ips.dedup();
    Ok(ips)
}

/// Looks names up in the machine's network, and listens at the web servers among them before the handler goes there.
fn resolver(proxies: Proxies, names: Vec<(String, u16)>) -> Resolver {
    Resolver::new(move |name| {
        let known = proxies.tape.heard().names.get(name).cloned();
        let ips = match known {
            Some(ips) => ips,
            None => look_up(&proxies.outside, name)?,
        };
        for (_, port) in names.iter().filter(|(granted, _)| granted == name) {
            for ip in &ips {
                proxies.http(SocketAddr::new(*ip, *port)).map_err(io::Error::other)?;
            }
        }
        proxies.tape.heard().names.insert(name.to_owned(), ips.clone());
        Ok(ips)
    })
}

/// What a call made of attributes; none: removed.
fn changed(before: Attributes, after: Attributes) -> Vec<(String, Option<String>)> {
    let removed = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), None));
    let removed: Vec<_> = removed.collect();
    let written = after.into_iter().filter(|(key, value)| before.get(key) != Some(value));
    written.map(|(key, value)| (key, Some(value))).chain(removed).collect()
}

/// A call with nothing particular about it.
fn bare_call(hook: Hook, timeout: Duration) -> CallScript {
    CallScript {
        line: 0,
        hook,
        role: None,
        epoch: None,
        newest_epoch: None,
        timeout: Some(timeout),
        clock: None,
        cause: None,
        expected: Expected::default(),
    }
}

fn bare_test() -> Test {
    let (tcp, udp, http, programs, calls) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Test {
        line: 0,
        name: String::new(),
        given: Given::default(),
        refused: None,
        tcp,
        udp,
        http,
        programs,
        calls,
    }
}
