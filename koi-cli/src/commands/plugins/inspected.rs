//! What a plugin's file says of itself: a koid of our own looks into it, for a daemon knows only what it has loaded.

use std::path::Path;
use std::process::Command;

use koi_artifact::signature::TrustedKeys;
use koi_proto::api::{PluginDetail, PluginState};
use serde::Deserialize;
use serde_json::Value;

use crate::error::CommandError;
use crate::koid;

/// What a koid of our own says of a file.
pub(crate) struct Inspected {
    pub(crate) detail: PluginDetail,
    /// The same as it came.
    pub(crate) raw: Value,
    /// It can be used, also by the service that was named.
    pub(crate) well: bool,
}

/// Has a file looked at. Blocks, for long if a component is compiled.
pub(crate) fn inspect(
    file: &Path,
    service: Option<&Path>,
    trusted: &TrustedKeys,
) -> Result<Inspected, CommandError> {
    let koid = koid::find()?;
    let mut command = Command::new(&koid);
    command.arg("plugin-inspect").arg(file);
    if let Some(service) = service {
        command.arg("--service").arg(service);
    }
    for key in trusted.iter() {
        command.arg("--trusted-key").arg(key.to_string());
    }
    let ran = command
        .output()
        .map_err(|e| CommandError::local(format!("cannot run {}: {e}", koid.display()), ""))?;
    let answer = serde_json::from_slice::<Value>(&ran.stdout);
    if let Some(refused) = answer.as_ref().ok().and_then(|raw| raw.get("refused")?.as_str()) {
        return Err(CommandError::local(refused, ""));
    }
    let answer = answer.and_then(|raw| Ok((PluginDetail::deserialize(&raw)?, raw)));
    let Ok((detail, raw)) = answer else {
        let said = String::from_utf8_lossy(&ran.stderr);
        let message = match said.trim() {
            "" => format!("{} could not say what it is", koid.display()),
            said => said.to_owned(),
        };
        return Err(CommandError::local(message, ""));
    };
    Ok(Inspected { detail, raw, well: ran.status.success() })
}

/// The same, of a file that must be a plugin.
pub(crate) fn plugin(file: &Path, trusted: &TrustedKeys) -> Result<PluginDetail, CommandError> {
    let detail = inspect(file, None, trusted)?.detail;
    if detail.plugin.state == PluginState::Ready {
        return Ok(detail);
    }
    let why = detail.plugin.error.unwrap_or_else(|| "it is no plugin".to_owned());
    Err(CommandError::local(why, "koi plugins check FILE tells more"))
}
