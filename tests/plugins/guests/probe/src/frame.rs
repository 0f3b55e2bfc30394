//! What both probes have in common: a handler whose `start` does what `op` of `[config]` says (`word:rest`) and writes to the log
//! what came of it. `stop`, `promote` and `demote` do so with the keys of these names, where
//! they are set.

wit_bindgen::generate!({ path: "../../../../wit/0.1", world: "koi:service/handler-exec" });

use exports::koi::service::{lifecycle, metadata};
use koi::service::host::{LogLevel, log};
use koi::service::types::{
    ConfigKey, Context, Failure, HookError, HookSet, Metadata, ServiceState, StatusReport,
};

pub struct Probe;

impl metadata::Guest for Probe {
    fn describe() -> Metadata {
        Metadata {
            name: env!("CARGO_PKG_NAME").into(),
            version: env!("CARGO_PKG_VERSION").into(),
            description: env!("CARGO_PKG_DESCRIPTION").into(),
            hooks: HookSet::START | HookSet::STOP | HookSet::PROMOTE | HookSet::DEMOTE | HookSet::STATUS,
            capabilities: Vec::new(),
            config: ["op", "stop", "promote", "demote"].into_iter().map(key).collect(),
        }
    }
}

fn key(name: &str) -> ConfigKey {
    let description = "what to try, as word:rest".into();
    ConfigKey { name: name.into(), description, required: name == "op", default: None }
}

/// Does what the key says, if it is set.
fn follow(ctx: &Context, key: &str) -> Result<(), HookError> {
    let Some((_, op)) = ctx.config.iter().find(|(name, _)| name == key) else { return Ok(()) };
    let (word, rest) = op.split_once(':').unwrap_or((op, ""));
    let found = crate::run(word, rest).map_err(HookError::Retry)?;
    log(LogLevel::Info, &format!("found: {found}"));
    Ok(())
}

impl lifecycle::Guest for Probe {
    fn start(ctx: Context) -> Result<(), HookError> {
        follow(&ctx, "op")
    }

    fn stop(ctx: Context) -> Result<(), HookError> {
        follow(&ctx, "stop")
    }

    fn promote(ctx: Context) -> Result<(), HookError> {
        follow(&ctx, "promote")
    }

    fn demote(ctx: Context) -> Result<(), HookError> {
        follow(&ctx, "demote")
    }

    fn status(_: Context) -> Result<StatusReport, HookError> {
        Ok(StatusReport {
            state: ServiceState::Ok,
            message: String::new(),
            promotion_score: None,
            details: Vec::new(),
        })
    }

    fn failed(_: Context, _: Failure) -> Result<(), HookError> {
        Ok(())
    }
}

export!(Probe);
