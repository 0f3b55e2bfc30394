//! `koi plugins push`: a component goes to a registry, with its signature.

use std::fs;
use std::io;
use std::path::Path;

use koi_artifact::signature::{
    ForeignSignatureError, Signature, SignedAs, TrustedKeys, belongs, path_beside,
};
use koi_registry::Publication;
use serde_json::json;

use super::artifacts::{check_version, client, config, of_registry, progress, settings_path};
use super::inspected;
use crate::cli::{Options, Push};
use crate::error::{CommandError, exit};
use crate::output::Out;

/// Publishes a file.
pub(crate) async fn push(options: &Options, args: &Push, out: Out) -> Result<u8, CommandError> {
    let failed = |path: &Path, error: io::Error| {
        CommandError::local(format!("{} cannot be read: {error}", path.display()), "")
    };
    let component = fs::read(&args.plugin).map_err(|error| failed(&args.plugin, error))?;
    let beside = path_beside(&args.plugin);
    let signature = match fs::read_to_string(&beside) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&beside, error)),
    };
    let is_signed = signature.is_some();
    let plugin = inspected::plugin(&args.plugin, &TrustedKeys::default())?.plugin;
    check_version(&args.reference, &plugin.name, &plugin.version)?;
    if let Some(text) = &signature {
        let found = SignedAs { name: plugin.name.clone(), version: plugin.version.clone() };
        check_signature(options, &args.plugin, &component, text, &found)?;
    }
    let publication =
        Publication { component, name: plugin.name.clone(), version: plugin.version.clone(), signature };
    let settings = settings_path(options, &args.reach)?;
    let artifact = publication.artifact().map_err(|error| of_registry(&error, &settings))?;
    let client = client(&settings, &args.reach, &args.reference)?;
    let pushed = client.push(&args.reference, &artifact, args.replace, &progress(out)).await;
    pushed.map_err(|error| of_registry(&error, &settings))?;
    let pinned = args.reference.pinned(artifact.digest).to_string();
    let said = json!({ "reference": args.reference.to_string(), "handler": pinned, "digest": artifact.digest, "signed": is_signed });
    out.show(&said, |_| {
        let how = if is_signed { "with its signature" } else { "unsigned" };
        format!(
            "pushed {} {}, {how}\non each node: koi plugins pull {}\n",
            plugin.name, plugin.version, args.reference
        )
    })?;
    Ok(exit::WELL)
}

/// A signature of something else would be refused by every node, and its version would be used up in the registry.
fn check_signature(
    options: &Options,
    file: &Path,
    component: &[u8],
    text: &str,
    found: &SignedAs,
) -> Result<(), CommandError> {
    let beside = path_beside(file);
    let refused = |why: String| {
        let hint = format!(
            "sign it again: koi plugins sign {} --key KEYFILE; nothing has been pushed",
            file.display()
        );
        CommandError::local(format!("{} {why}", beside.display()), hint)
    };
    belongs(component, text, found).map_err(|error| match error {
        ForeignSignatureError::OtherPlugin { signed, found } => {
            refused(format!("is of {signed}, and {} is {found}", file.display()))
        }
        ForeignSignatureError::OtherFile(signed) => {
            refused(format!("is of another file that calls itself {signed} too"))
        }
        ForeignSignatureError::Unclear(error) => refused(format!("is no signature of it: {error}")),
    })?;
    // An author's machine need not have a configuration.
    let trusted = config(options).map(|config| config.plugins.trusted_keys).unwrap_or_default();
    match Signature::of_file(component, text, &trusted) {
        Signature::Wrong(error) => Err(refused(format!("is no signature of it: {error}"))),
        Signature::None | Signature::Untrusted(_) | Signature::Good { .. } => Ok(()),
    }
}
