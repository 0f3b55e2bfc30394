//! Which daemon is asked, and how it is asked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use koi_config::{Config, candidates};
use koi_proto::api::ErrorCode;
use koi_proto::client::{Client, ClientError, Endpoint, Method, TOKEN as TOKEN_HEADER, read};
use koi_proto::key::{Key, Keyring};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::{ANSWER_TIMEOUT, Options, Secret};
use crate::error::{CommandError, exit};
use crate::output::Out;

/// `node.socket`, `node.port` and `cluster.id` where no configuration says otherwise (docs/configuration.md).
const SOCKET: &str = "/run/koi/koid.sock";
const PORT: u16 = 42012;
const CLUSTER_ID: u32 = 13;
/// What a command without an answer leaves open.
const UNKNOWN: &str = "it may have been begun, and take effect yet: look at `koi status`. What was not begun by now is not begun any more";
/// The environment variable for what `--secret` says.
const SECRET: &str = "KOI_SECRET";
/// What koid gives to the scripts of hooks: the secret of the call, and its socket.
const TOKEN: &str = "KOI_TOKEN";
const HOOK_SOCKET: &str = "KOI_SOCKET";

/// What a daemon answered: as it came, fields of newer versions included, and as we understand it.
pub(crate) struct Answer<T> {
    pub(crate) raw: Value,
    pub(crate) value: T,
}

/// A daemon to ask.
pub(crate) struct Daemon {
    client: Client,
    timeout: Duration,
    /// What `-t` says.
    asked_timeout: Option<Duration>,
    /// What may help when it cannot be reached.
    guess: &'static str,
    /// The secret of the hook call that runs this; none: no hook does, or another machine is asked, which it is not for.
    token: Option<Secret>,
    debug: Option<Out>,
}

impl Daemon {
    /// How long an answer is waited for.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What `-t` says; none: nobody said it.
    pub(crate) fn asked_timeout(&self) -> Option<Duration> {
        self.asked_timeout
    }

    /// The same one, with an answer waited for so long.
    pub(crate) fn within(&self, timeout: Duration) -> Daemon {
        let client = Client::new(self.client.endpoint().clone(), timeout);
        Daemon { client, timeout, token: self.token.clone(), ..*self }
    }

    /// `GET path`.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, CommandError> {
        let began = Instant::now();
        let answer = self.client.get::<Value>(path).await;
        self.trace("GET", path, began);
        understood(answer.map_err(|e| self.fail(e))?)
    }

    /// `POST path`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CommandError> {
        let began = Instant::now();
        let answer = self.client.post::<_, Value>(path, body).await;
        self.trace("POST", path, began);
        understood(answer.map_err(|e| self.not_answered(e))?)
    }

    /// Whether a hook's call asks.
    pub(crate) fn is_in_hook(&self) -> bool {
        self.token.is_some()
    }

    /// As an operator, whatever the environment says.
    pub(crate) fn without_token(&self) -> Daemon {
        Daemon { token: None, ..self.within(self.timeout) }
    }

    /// `GET path`, with the token of the hook's call where there is one.
    pub(crate) async fn get_in_hook<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Answer<T>, CommandError> {
        let answer = self.ask_in_hook(Method::GET, path, Vec::new()).await;
        understood(answer.map_err(|e| self.fail(e))?)
    }

    /// `POST path`, the same.
    pub(crate) async fn post_in_hook<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, CommandError> {
        let body = serde_json::to_vec(body).map_err(|e| CommandError::local(e.to_string(), ""))?;
        let answer = self.ask_in_hook(Method::POST, path, body).await;
        understood(answer.map_err(|e| self.not_answered(e))?)
    }

    async fn ask_in_hook(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, ClientError> {
        let began = Instant::now();
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(self.token.as_ref().map(|token| (TOKEN_HEADER, token.0.as_str())));
        let answer = self.client.raw(method.clone(), path, body.into(), &headers).await;
        self.trace(method.as_str(), path, began);
        answer.and_then(|(status, answer)| read(status, &answer))
    }

    /// `GET path`, line by line.
    pub(crate) async fn lines(&self, path: &str) -> Result<Lines<'_>, CommandError> {
        let began = Instant::now();
        let lines = self.client.lines(path).await;
        self.trace("GET", path, began);
        Ok(Lines { daemon: self, lines: lines.map_err(|e| self.fail(e))? })
    }

    fn trace(&self, method: &str, path: &str, began: Instant) {
        if let Some(out) = self.debug {
            let took_ms = began.elapsed().as_millis();
            out.note(&format!("{method} {path} at {} took {took_ms} ms", self.client.endpoint()));
        }
    }

    /// As [`Daemon::fail`], of a command: without an answer nobody knows whether it was begun.
    fn not_answered(&self, error: ClientError) -> CommandError {
        let is_open = matches!(error, ClientError::TimedOut { .. } | ClientError::Broken { .. });
        match self.fail(error) {
            CommandError::Reported { code, mut error } if is_open => {
                error.hint = format!("{UNKNOWN}\n{}", error.hint);
                CommandError::Reported { code, error }
            }
            other => other,
        }
    }

    fn fail(&self, error: ClientError) -> CommandError {
        let exit_code = error.exit_code();
        if let ClientError::Refused { error, .. } = error {
            return CommandError::Reported { code: exit_code, error };
        }
        let hint = match (&error, self.guess) {
            (ClientError::NoDaemon { hint, .. }, guess) if !guess.is_empty() => format!("{hint}\n{guess}"),
            _ => error.hint().to_owned(),
        };
        CommandError::new(exit_code, error.code(), error.message(), hint)
    }
}

/// The lines of an answer.
pub(crate) struct Lines<'a> {
    daemon: &'a Daemon,
    lines: koi_proto::client::Lines,
}

impl Lines<'_> {
    /// The next one; none: the answer is over.
    pub(crate) async fn next(&mut self) -> Result<Option<String>, CommandError> {
        self.lines.next().await.map_err(|e| self.daemon.fail(e))
    }
}

fn understood<T: DeserializeOwned>(raw: Value) -> Result<Answer<T>, CommandError> {
    match T::deserialize(&raw) {
        Ok(value) => Ok(Answer { raw, value }),
        Err(e) => Err(CommandError::new(
            exit::FAILED,
            ErrorCode::BadAnswer,
            format!("the answer is not understood: {e}"),
            "are the versions of koi and koid too far apart?",
        )),
    }
}

/// The daemon that the options and the configuration name.
pub(crate) fn daemon(options: &Options, out: Out) -> Result<Daemon, CommandError> {
    if options.secret.is_some() {
        out.warn("everyone on this machine can read --secret in `ps`; use KOI_SECRET or the configuration");
    }
    let mut guess = "";
    let endpoint = match (&options.socket, &options.host, options.port) {
        (Some(socket), ..) => Endpoint::Socket(socket.clone()),
        (None, None, None) => Endpoint::Socket(match (of_hook(options), options_config(options, out)?) {
            (Some(socket), _) => socket,
            (None, Some(config)) => config.node.socket,
            (None, None) => {
                guess = "there is no configuration that you may read, so this is a guess: -f FILE or --socket PATH says where";
                PathBuf::from(SOCKET)
            }
        }),
        (None, host, port) => sealed(options, host.as_deref().unwrap_or("127.0.0.1"), port, out)?,
    };
    let timeout = options.timeout.unwrap_or(ANSWER_TIMEOUT);
    let client = Client::new(endpoint, timeout);
    let debug = options.debug.then_some(out);
    let token = token_for(client.endpoint(), std::env::var(TOKEN).ok());
    Ok(Daemon { client, timeout, asked_timeout: options.timeout, guess, token, debug })
}

/// A token is good on its own machine alone, and never leaves it.
fn token_for(endpoint: &Endpoint, token: Option<String>) -> Option<Secret> {
    let is_here = matches!(endpoint, Endpoint::Socket(_));
    token.filter(|token| is_here && !token.is_empty()).map(Secret)
}

/// The socket of the koid whose hook runs this; none: no hook does, or a file says which daemon is meant.
fn of_hook(options: &Options) -> Option<PathBuf> {
    let socket = std::env::var_os(HOOK_SOCKET).filter(|socket| !socket.is_empty() && options.file.is_none());
    socket.map(PathBuf::from)
}

/// The configuration, where it is needed to find the daemon.
fn options_config(options: &Options, out: Out) -> Result<Option<Config>, CommandError> {
    if of_hook(options).is_some() { Ok(None) } else { configuration(options, out) }
}

fn sealed(options: &Options, host: &str, port: Option<u16>, out: Out) -> Result<Endpoint, CommandError> {
    let config = configuration(options, out)?;
    let port = port.or(config.as_ref().map(|c| c.node.port)).unwrap_or(PORT);
    let cluster_id = options.id.or(config.as_ref().map(|c| c.cluster.id)).unwrap_or(CLUSTER_ID);
    let secret = options.secret.clone().map(|secret| secret.0).or_else(|| std::env::var(SECRET).ok());
    let key = match (secret, config.map(|c| c.cluster.key)) {
        (Some(password), _) | (None, Some(koi_config::ClusterKey::Password(password))) => {
            Key::from_password(&password, cluster_id)
        }
        (None, Some(koi_config::ClusterKey::File(path))) => Key::read_file(&path),
        (None, None) => {
            let hint = "-f FILE names a configuration that has it; KOI_SECRET may hold the password";
            return Err(CommandError::local(format!("the key of the cluster is needed to ask {host}"), hint));
        }
    };
    let key = key.map_err(|e| CommandError::local(e.to_string(), ""))?;
    let keyring = Arc::new(Keyring { sealing: key, accepted: Vec::new() });
    Ok(Endpoint::Sealed { host: host_and_port(host, port)?, cluster_id, keyring })
}

/// The configuration, if there is one that this user may read. Somebody in the group `koi` may use the socket without
/// being allowed to read the password.
fn configuration(options: &Options, out: Out) -> Result<Option<Config>, CommandError> {
    let readable = |path: &Path| match koi_config::open_file(path) {
        Ok(_) => Some(true),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Some(false),
        // Not there; or something that loading it will name.
        Err(e) => {
            (!matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)).then_some(true)
        }
    };
    if options.file.is_none() {
        let candidates = candidates();
        candidates.passed_over.iter().for_each(|passed_over| out.warn(&passed_over.to_string()));
        if candidates.paths.into_iter().find_map(readable) != Some(true) {
            return Ok(None);
        }
    }
    let loaded = koi_config::load(options.file.as_deref());
    loaded.map(|loaded| Some(loaded.config)).map_err(|e| {
        let hint = "`koi check` says more; --socket PATH asks a daemon without the configuration";
        CommandError::new(exit::FAILED, ErrorCode::Configuration, e.to_string(), hint)
    })
}

/// `host:port` from a name or an address, with or without a port.
fn host_and_port(host: &str, port: u16) -> Result<String, CommandError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port).to_string());
    }
    if host.parse::<SocketAddr>().is_ok() {
        return Ok(host.to_owned());
    }
    let wrong = || {
        CommandError::usage(
            format!("{host:?} is neither a name nor an address"),
            "HOST, HOST:PORT, ADDRESS or [IPv6]:PORT",
        )
    };
    match host.split_once(':') {
        None if !host.is_empty() => Ok(format!("{host}:{port}")),
        Some((name, own)) if !name.is_empty() && own.parse::<u16>().is_ok() => Ok(host.to_owned()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_leaves_its_machine() {
        let keyring = Arc::new(Keyring {
            sealing: Key::from_password("a long one", 13).unwrap(),
            accepted: Vec::new(),
        });
        let sealed = Endpoint::Sealed { host: "127.0.0.1:1".into(), cluster_id: 13, keyring };
        assert!(token_for(&sealed, Some("t".into())).is_none());
        let here = Endpoint::Socket("/run/koi/koid.sock".into());
        assert_eq!(token_for(&here, Some("t".into())).map(|token| token.0).as_deref(), Some("t"));
        assert!(token_for(&here, Some(String::new())).is_none() && token_for(&here, None).is_none());
    }

    #[test]
    fn a_host_may_be_written_in_many_ways() {
        let read = |host| host_and_port(host, 42012).ok();
        assert_eq!(read("db1").as_deref(), Some("db1:42012"));
        assert_eq!(read("db1:7").as_deref(), Some("db1:7"));
        assert_eq!(read("10.0.0.1").as_deref(), Some("10.0.0.1:42012"));
        assert_eq!(read("10.0.0.1:7").as_deref(), Some("10.0.0.1:7"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:42012"));
        assert_eq!(read("[::1]").as_deref(), Some("[::1]:42012"));
        assert_eq!(read("[::1]:7").as_deref(), Some("[::1]:7"));
        for wrong in ["", ":7", "db1:", "db1:port", "a:b:c"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
