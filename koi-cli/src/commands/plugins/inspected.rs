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
    let (raw, well) = ask("plugin-inspect", file, service, trusted)?;
    let detail = PluginDetail::deserialize(&raw).map_err(|_| cannot_say(""))?;
    Ok(Inspected { detail, raw, well })
}

/// What the plugin in a file wants of the node, as `[grants]` of a `service.toml`, and all of the answer.
pub(crate) fn grants(file: &Path, service: Option<&Path>) -> Result<(String, Value), CommandError> {
    let (raw, _) = ask("plugin-grants", file, service, &TrustedKeys::default())?;
    let said = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    match said("section") {
        Some(section) => Ok((section, raw)),
        None => Err(cannot_say(&said("error").unwrap_or_default())),
    }
}

/// Has a koid of our own look into a file; `word` says what for. The answer, and whether all is well with it.
fn ask(
    word: &str,
    file: &Path,
    service: Option<&Path>,
    trusted: &TrustedKeys,
) -> Result<(Value, bool), CommandError> {
    let koid = koid::find()?;
    let mut command = Command::new(&koid);
    command.arg(word).arg(file);
    if let Some(service) = service {
        command.arg("--service").arg(service);
    }
    for key in trusted.iter() {
        command.arg("--trusted-key").arg(key.to_string());
    }
    let ran = command
        .output()
        .map_err(|e| CommandError::local(format!("cannot run {}: {e}", koid.display()), ""))?;
    let Ok(raw) = serde_json::from_slice::<Value>(&ran.stdout) else {
        return Err(cannot_say(String::from_utf8_lossy(&ran.stderr).trim()));
    };
    match raw.get("refused").and_then(Value::as_str) {
        Some(refused) => Err(CommandError::local(refused, "")),
        None => Ok((raw, ran.status.success())),
    }
}

/// koid's own words, if it has any.
fn cannot_say(said: &str) -> CommandError {
    CommandError::local(if said.is_empty() { "koid could not say what it is" } else { said }, "")
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
