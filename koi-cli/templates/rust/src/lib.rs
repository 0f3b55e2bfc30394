//! The koi handler `@NAME@`. To build it install a target once: `rustup target add wasm32-wasip2`.
//!
//! It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the
//! start and stop of your own software where the notes are made, and a look at it where `status` reads them.
//!
//! A fresh instance of this code serves every call: a static does not live until the next one, the store does.

@IF any@
use koi_sdk::{ConfigType, want};
@END@
use koi_sdk::{
    Context, Failure, HookError, HookSet, LogLevel, Metadata, ServiceState, StatusReport, config, host, lifecycle, metadata,
    store,
};
@IF exec@
use koi_sdk::exec;
@END@
@IF http@
use koi_sdk::http;
@END@
@IF tcp@
use koi_sdk::tcp;
@END@

struct Handler;

koi_sdk::handler!(Handler);

@IF exec@
const DF: &str = "/usr/bin/df";

@END@
impl metadata::Guest for Handler {
    /// What `koi plugins list` shows, and what koi checks a service.toml against.
    fn describe() -> Metadata {
        Metadata {
            name: "@NAME@".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: "Notes what it was asked to be, and says so".into(),
            // Hooks that are not in the set are never called and count as done.
            hooks: HookSet::all(),
            // What it wants of the node. A key in braces that has no value makes no want.
@IF none@
            wants: vec![], // koi_sdk::want::tcp("{address}", "To ask it how it is")
@ELSE@
            wants: vec![
@IF exec@
                want::exec(&[DF, "--output=pcent", "--", "{path}"], "To see how full the disk is"),
@END@
@IF tcp@
                want::tcp("{address}", "To see whether it answers"),
@END@
@IF http@
                want::http("{web}", "To see how the web server is"),
@END@
            ],
@END@
            config: vec![
                config::key("score", config::INT32, "Among the standbys the highest is promoted first"),
@IF exec@
                config::key("path", ConfigType::Text, "Whose file system is looked at"),
@END@
@IF tcp@
                config::key("address", ConfigType::Address, "Where it listens, as ip:port"),
@END@
@IF http@
                config::key("web", ConfigType::Address, "Which web server is asked, as host:port"),
@END@
@IF any@
                config::key("patience", ConfigType::Duration, "How long a look may take").or("2s"),
@ELSE@
                // config::key("address", koi_sdk::ConfigType::Address, "Where it listens").required(),
                // config::key("patience", koi_sdk::ConfigType::Duration, "How long it may take").or("30s"),
@END@
                // config::key("password", koi_sdk::ConfigType::Secret, "Of the user koi"),
            ],
        }
    }
}

impl lifecycle::Guest for Handler {
    /// A service that runs already is a success, so this may well be called twice. It leaves a standby, whatever a crash left.
    fn start(_: Context) -> Result<(), HookError> {
        // `?` makes a HookError of an error of koi_sdk: Retry, to be tried again later; Misconfigured, pointless anywhere before
        // [config] is mended. Fatal would be: not on this node.
        Ok(store::set("role", "standby")?)
    }

    /// As is one that does not run.
    fn stop(_: Context) -> Result<(), HookError> {
        Ok(store::delete("role")?)
    }

    /// Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it. What all nodes are to know,
    /// such as where the data is newest, goes into the group's attributes: `attributes::set`.
    fn promote(ctx: Context) -> Result<(), HookError> {
        if !host::epoch_current() {
            return Err(HookError::Retry(format!(
                "epoch {} is over; another node is master by now",
                ctx.epoch
            )));
        }
        store::set("epoch", &ctx.epoch.to_string())?;
        Ok(store::set("role", "promoted")?)
    }

    /// The others wait for this one: be quick, and let a second call succeed too.
    fn demote(_: Context) -> Result<(), HookError> {
        if store::get("role")?.as_deref() == Some("promoted") {
            store::set("role", "standby")?;
        }
        Ok(())
    }

    /// What it says is taken as the truth. It must not change anything. Of a service that runs in processes of this node put
    /// `Process::Pidfile(…)` or `Process::Pid(…)` into `processes`: koi asks for its status at once when one ends.
    fn status(ctx: Context) -> Result<StatusReport, HookError> {
        let (state, message) = match store::get("role")?.as_deref() {
            None => (ServiceState::Stopped, "not started"),
            Some("promoted") => (ServiceState::Promoted, "runs as promoted"),
            Some(_) => (ServiceState::Standby, "runs as standby"),
        };
@IF any@
        let mut details: Vec<_> = store::get("epoch")?.map(|epoch| ("last epoch".into(), epoch)).into_iter().collect();
        if state != ServiceState::Stopped {
            details.extend(look(&ctx)?);
        }
        let promotion_score = ctx.integer("score")?;
        Ok(StatusReport { message: message.into(), promotion_score, details, ..state.into() })
@ELSE@
        Ok(StatusReport {
            message: message.into(),
            promotion_score: ctx.integer("score")?,
            details: store::get("epoch")?.map(|epoch| ("last epoch".into(), epoch)).into_iter().collect(),
            ..state.into()
        })
@END@
    }

    /// Comes before `stop`, so that it can still look at what is left.
    fn failed(_: Context, cause: Failure) -> Result<(), HookError> {
        let late = if cause.timed_out { " (not in time)" } else { "" };
        host::log(LogLevel::Warn, &format!("{} failed: {}{late}", cause.hook, cause.message));
        Ok(())
    }
}

@IF any@
/// Looks at what is configured. What it sees is told in the details; what is wrong fails the status.
fn look(ctx: &Context) -> Result<Vec<(String, String)>, HookError> {
    let mut details = Vec::new();
@IF tcp http@
    let patience = ctx.duration("patience")?.unwrap_or_default();
@END@
@IF exec@
    if let Some(path) = ctx.text("path") {
        let said = exec::run(DF, &["--output=pcent", "--", path], ctx.duration("patience")?)?;
        // A heading, and the number below it.
        details.push((path.into(), said.lines().nth(1).unwrap_or_default().trim().into()));
    }
@END@
@IF tcp@
    if let Some(address) = ctx.text("address") {
        tcp::connect(address, patience)?; // `send` and `line` of the connection would speak with it.
        details.push((address.into(), "answers".into()));
    }
@END@
@IF http@
    if let Some(web) = ctx.text("web") {
        let answer = http::get(&format!("http://{web}/"), patience)?;
        details.push((web.into(), answer.status.to_string()));
    }
@END@
    Ok(details)
}

@END@
