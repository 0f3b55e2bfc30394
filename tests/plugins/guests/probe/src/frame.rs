//! What both probes have in common: a handler whose `start` does what `op` of `[config]` says (`word:rest`) and writes to the log
//! what came of it.

wit_bindgen::generate!({ path: "../../../../wit", world: "koi:service/handler-exec" });

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
            hooks: HookSet::START | HookSet::STATUS,
            capabilities: Vec::new(),
            config: vec![ConfigKey {
                name: "op".into(),
                description: "what to try, as word:rest".into(),
                required: true,
                default: None,
            }],
        }
    }
}

impl lifecycle::Guest for Probe {
    fn start(ctx: Context) -> Result<(), HookError> {
        let op = ctx.config.iter().find(|(key, _)| key == "op").map(|(_, op)| op.as_str());
        let op = op.ok_or_else(|| HookError::Misconfigured("op is not set".into()))?;
        let (word, rest) = op.split_once(':').unwrap_or((op, ""));
        let found = crate::run(word, rest).map_err(HookError::Retry)?;
        log(LogLevel::Info, &format!("found: {found}"));
        Ok(())
    }

    fn stop(_: Context) -> Result<(), HookError> {
        Ok(())
    }

    fn promote(_: Context) -> Result<(), HookError> {
        Ok(())
    }

    fn demote(_: Context) -> Result<(), HookError> {
        Ok(())
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
