//! The hooks.

use std::net::SocketAddr;

use koi_sdk::raw_state as state;
use koi_sdk::{
    self as koi, ConfigType, Context, Failure, HookError, HookSet, LogLevel, Metadata, Process, ServiceState,
    StatusReport,
    config::{self, key},
    host, lifecycle, metadata, want,
};

use crate::config::{Config, NOWHERE, Peer};
use crate::connection::{Connection, Deadline, RequestError};
use crate::info::Info;
use crate::server::Server;
use crate::standing::{Role, Standing, Verdict, Want, holds, judge};

/// In the node's store: the epoch of the last promotion and the run id that the server had then.
const PROMOTED: &str = "promoted";

/// How long `start` waits for a server that does not listen yet.
const STARTING_MS: u64 = 15_000;
/// How long a demotion waits for the replicas, at most; never more than half of what is left of the call.
const CATCH_UP_MS: u64 = 2_000;
/// How long a peer has to answer before a promotion.
const PEER_MS: u64 = 500;

struct Redis;

koi_sdk::handler!(Redis);

impl metadata::Guest for Redis {
    fn describe() -> Metadata {
        Metadata {
            name: "redis".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Makes a redis-server the master, or a replica of the master's".into(),
            hooks: HookSet::START | HookSet::STOP | HookSet::PROMOTE | HookSet::DEMOTE | HookSet::STATUS,
            wants: vec![
                want::tcp("{address}", "To tell this node's redis-server whom to copy from"),
                want::tcp("{servers}", "To see before a promotion that no other redis-server has more"),
            ],
            config: vec![
                key("address", ConfigType::Address, "IP and port of this node's redis-server")
                    .or("127.0.0.1:6379"),
                key("username", ConfigType::Text, "User to log in as; the default user without it"),
                key("password", ConfigType::Secret, "Its password"),
                key(
                    "password-file",
                    ConfigType::Text,
                    "As before 0.2: file whose first line is the password; its folder must be granted",
                ),
                key(
                    "master-port",
                    config::integer(1, 65535),
                    "Port of the other nodes' servers; that of address without it",
                ),
                key(
                    "servers",
                    ConfigType::Address,
                    "IP and port of every node's server, to compare before a promotion",
                )
                .many(),
                key(
                    "peers",
                    ConfigType::Text,
                    "The same as NODE=IP:PORT in one text, where nodes share an IP",
                ),
            ],
        }
    }
}

impl lifecycle::Guest for Redis {
    fn start(ctx: Context) -> Result<(), HookError> {
        Call::new(&ctx)?.start()
    }

    fn stop(ctx: Context) -> Result<(), HookError> {
        Call::new(&ctx)?.stop()
    }

    fn promote(ctx: Context) -> Result<(), HookError> {
        Call::new(&ctx)?.promote()
    }

    fn demote(ctx: Context) -> Result<(), HookError> {
        Call::new(&ctx)?.demote()
    }

    fn status(ctx: Context) -> Result<StatusReport, HookError> {
        Call::new(&ctx)?.status()
    }

    fn failed(_: Context, _: Failure) -> Result<(), HookError> {
        Err(HookError::Unsupported)
    }
}

/// One call of a hook.
struct Call<'c> {
    ctx: &'c Context,
    config: Config,
}

impl<'c> Call<'c> {
    fn new(ctx: &'c Context) -> Result<Call<'c>, HookError> {
        Ok(Call {
            ctx,
            config: Config::read(&ctx.config).map_err(|error| HookError::Misconfigured(error.to_string()))?,
        })
    }

    fn start(&self) -> Result<(), HookError> {
        self.check_grants()?;
        let mut server = self.wait_until_ready()?;
        let info = server.info().map_err(|e| self.trouble(&e))?;
        let target = match (self.masters_server(), &info.source) {
            (Some(master), Some(source)) if source.is(master) => return Ok(()),
            (Some(master), _) => master,
            // It takes writes, and nobody has promoted it.
            (None, None) => NOWHERE,
            // What it has of a master that is gone may be just what is needed.
            (None, Some(_)) => return Ok(()),
        };
        self.follow(&mut server, &info, target)
    }

    fn stop(&self) -> Result<(), HookError> {
        let Some((mut server, info)) = self.unless_gone()? else { return Ok(()) };
        match &info.source {
            Some(source) if source.is(NOWHERE) => Ok(()),
            _ => self.follow(&mut server, &info, NOWHERE),
        }
    }

    fn promote(&self) -> Result<(), HookError> {
        let (mut server, info) = self.connect().map_err(|e| self.trouble(&e))?;
        let standing = server.standing(&info).map_err(|e| self.trouble(&e))?;
        let epoch = self.ctx.epoch;
        if info.loading || info.source.as_ref().is_some_and(|source| source.syncing) {
            return Err(
                self.retry("its data is not whole yet: it reads it from disk, or receives its first copy")
            );
        }
        if standing.epoch > epoch {
            let holds = holds(standing);
            return Err(self.retry(&format!("it has {holds}, and this mastership, {epoch}, is an older one")));
        }
        let run = format!("{epoch} {}", info.run_id);
        state::set(PROMOTED, run.as_bytes())
            .map_err(|e| self.retry(&format!("cannot note its promotion: {e:?}")))?;
        if info.source.is_none() && standing.epoch == epoch {
            return Ok(());
        }
        self.check_that_nobody_has_more(standing)?;
        if !host::epoch_current() {
            return Err(self.retry(&format!("mastership {epoch} is over already")));
        }
        server.lead(epoch).map_err(|e| self.trouble(&e))
    }

    fn demote(&self) -> Result<(), HookError> {
        let Some((mut server, info)) = self.unless_gone()? else { return Ok(()) };
        match info.source {
            Some(_) => Ok(()),
            None => self.follow(&mut server, &info, self.masters_server().unwrap_or(NOWHERE)),
        }
    }

    fn status(&self) -> Result<StatusReport, HookError> {
        let (mut server, info) = match self.connect() {
            Err(RequestError::Refused) if self.ctx.role == koi::Role::None => {
                return Ok(report(ServiceState::Stopped, "nothing listens there".into(), None, Vec::new()));
            }
            connected => connected.map_err(|e| self.trouble(&e))?,
        };
        let standing = server.standing(&info).map_err(|e| self.trouble(&e))?;
        let want = Want {
            role: match self.ctx.role {
                koi::Role::None => Role::None,
                koi::Role::Standby => Role::Standby,
                koi::Role::Promoted => Role::Promoted,
            },
            source: self.masters_server(),
            epoch: self.ctx.epoch,
            promoted_run: promoted_run(self.ctx.epoch),
            at_beginning: self.ctx.epoch > 0 && standing.epoch == 0 && self.nobody_has_data(),
        };
        let (verdict, message) = judge(&info, standing, &want);
        let state = match verdict {
            Verdict::Promoted => ServiceState::Promoted,
            Verdict::Standby => ServiceState::Standby,
            Verdict::Live => ServiceState::Live,
            Verdict::Stopped => ServiceState::Stopped,
            Verdict::Failed => ServiceState::Failed,
        };
        let score = Some(standing.score(self.ctx.epoch));
        // A server at another address may be another machine's.
        let here = info.process.filter(|_| self.config.address.ip().is_loopback());
        let processes = here.map(Process::Pid).into_iter().collect();
        Ok(StatusReport { processes, ..report(state, message, score, details(&info, standing)) })
    }

    /// The server of this node, and what it says of itself.
    fn connect(&self) -> Result<(Server, Info), RequestError> {
        let mut server = Server::connect(&self.config, self.config.address, rest_of_call())?;
        let info = server.info()?;
        Ok((server, info))
    }

    /// The same; none: nothing listens there, so nothing takes writes.
    fn unless_gone(&self) -> Result<Option<(Server, Info)>, HookError> {
        match self.connect() {
            Ok(found) => Ok(Some(found)),
            Err(RequestError::Refused) => {
                host::log(LogLevel::Info, &format!("nothing listens at {}", self.config.address));
                Ok(None)
            }
            Err(trouble) => Err(self.trouble(&trouble)),
        }
    }

    /// A server that has just been started needs its time: until it listens, and until it has read its data.
    fn wait_until_ready(&self) -> Result<Server, HookError> {
        let patience = Deadline::after_ms(STARTING_MS);
        loop {
            let server = Server::connect(&self.config, self.config.address, rest_of_call());
            match server.and_then(|mut server| Ok((server.is_ready()?, server))) {
                Ok((true, server)) => return Ok(server),
                Ok((false, _)) => {}
                Err(RequestError::Refused) if !patience.is_over() => {}
                Err(trouble) => return Err(self.trouble(&trouble)),
            }
            if !host::sleep(250) {
                return Err(self.retry("it was not ready in time"));
            }
        }
    }

    /// Makes the server a replica of `target`. One that took writes stops that first, and lets its replicas have the last of them.
    fn follow(&self, server: &mut Server, info: &Info, target: SocketAddr) -> Result<(), HookError> {
        let was_master = info.source.is_none();
        let at_most_ms = CATCH_UP_MS.min(host::remaining_ms() / 2);
        let turned = (|| {
            // The pause is longer than the wait, and ends by itself should this call be cut off.
            let paused = was_master && server.pause_writes(at_most_ms + 1_000)?;
            if paused {
                let_replicas_catch_up(server, Deadline::after_ms(at_most_ms))?;
            }
            server.follow(target)?;
            if paused { server.unpause() } else { Ok(()) }
        })();
        turned.map_err(|trouble| self.trouble(&trouble))
    }

    /// Redis copies asynchronously: another replica may have more, acknowledged by `WAIT`. Those that do not answer are not waited
    /// for.
    fn check_that_nobody_has_more(&self, own: Standing) -> Result<(), HookError> {
        for peer in self.config.others(&self.ctx.node) {
            match self.ask(peer) {
                Ok(others) if own.lacks(others) => {
                    return Err(self.retry(&format!(
                        "the server of {peer} has more: {}, here {}; promote that node, or stop redis-server there to do without it",
                        holds(others),
                        holds(own)
                    )));
                }
                Ok(_) => {}
                Err(trouble) => {
                    let line = format!("{peer} is not compared with: {trouble}");
                    host::log(LogLevel::Warn, &line);
                }
            }
        }
        Ok(())
    }

    /// Whether all servers answer, and say that they have never been part of a mastership.
    fn nobody_has_data(&self) -> bool {
        let mut others = self.config.others(&self.ctx.node).peekable();
        others.peek().is_some() && others.all(|peer| self.ask(peer).is_ok_and(|others| others.epoch == 0))
    }

    /// What the data of another server is worth.
    fn ask(&self, peer: &Peer) -> Result<Standing, RequestError> {
        let mut server = Server::connect(&self.config, peer.address, Deadline::after_ms(PEER_MS))?;
        let info = server.info()?;
        server.standing(&info)
    }

    /// Better at the start than at a promotion.
    fn check_grants(&self) -> Result<(), HookError> {
        for peer in self.config.others(&self.ctx.node) {
            match Connection::open(peer.address, Deadline::after_ms(PEER_MS)) {
                Err(trouble @ RequestError::NotGranted(_)) => {
                    return Err(HookError::Misconfigured(format!("the server of {peer} is {trouble}")));
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Where the server of the master is, if that is another node.
    fn masters_server(&self) -> Option<SocketAddr> {
        let (name, ip) = self.ctx.master.as_ref().filter(|(name, _)| *name != self.ctx.node)?;
        self.config.server_of(name, ip)
    }

    fn trouble(&self, trouble: &RequestError) -> HookError {
        let words = format!("redis-server at {}: {trouble}", self.config.address);
        if trouble.is_lasting() { HookError::Misconfigured(words) } else { HookError::Retry(words) }
    }

    fn retry(&self, words: &str) -> HookError {
        HookError::Retry(format!("redis-server at {}: {words}", self.config.address))
    }
}

/// A little less than what is left of the call: what went wrong is to be said before it is cut off.
fn rest_of_call() -> Deadline {
    let left_ms = host::remaining_ms();
    Deadline::after_ms(left_ms - (left_ms / 10).min(200))
}

/// Writes are paused: waits until every replica has said that it has everything. They say so once a second.
fn let_replicas_catch_up(server: &mut Server, deadline: Deadline) -> Result<(), RequestError> {
    loop {
        let info = server.info()?;
        if info.is_copied() {
            return Ok(());
        }
        if deadline.is_over() || !host::sleep(20) {
            let line = format!("at {} not every replica has said that it has everything", server.address());
            host::log(LogLevel::Warn, &line);
            return Ok(());
        }
    }
}

/// The run id that the server had when it was promoted in this mastership.
fn promoted_run(epoch: u64) -> Option<String> {
    let noted = String::from_utf8(state::get(PROMOTED).ok()??).ok()?;
    let (of, run) = noted.split_once(' ')?;
    (of.parse() == Ok(epoch)).then(|| run.to_owned())
}

fn details(info: &Info, standing: Standing) -> Vec<(String, String)> {
    let mut details = vec![
        ("version".to_owned(), info.version.clone()),
        ("epoch".to_owned(), standing.epoch.to_string()),
        ("offset".to_owned(), info.offset.to_string()),
    ];
    match &info.source {
        Some(source) => {
            details.push(("link".into(), if source.link_up { "up" } else { "down" }.into()));
        }
        None => {
            let lags = info.replicas.iter().map(|replica| info.offset.saturating_sub(replica.offset));
            details.push(("replicas".into(), info.replicas.len().to_string()));
            details.extend(lags.max().map(|bytes| ("lag".to_owned(), format!("{bytes} bytes"))));
        }
    }
    details
}

fn report(
    state: ServiceState,
    message: String,
    promotion_score: Option<i64>,
    details: Vec<(String, String)>,
) -> StatusReport {
    StatusReport { message, promotion_score, details, ..state.into() }
}
