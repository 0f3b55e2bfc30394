//! `koi plugins check`, `run` and `test`: a koid process of our own does it, and writes what people or programs read.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use koi_artifact::Store;
use koi_config::load;
use koi_proto::api::ErrorCode;
use tokio::process::Command;
use tokio::signal::ctrl_c;

use crate::cli::{CheckPlugin, Color, HookName, Options, RunHook, TestPlugin, value_name};
use crate::error::{CommandError, exit};
use crate::koid;
use crate::output::Out;

/// `services.folder` where no configuration says otherwise (docs/configuration.md).
const SERVICES: &str = "/etc/koi/services";

/// Runs `koid plugin-check`.
pub(crate) async fn check(options: &Options, args: &CheckPlugin, out: Out) -> Result<u8, CommandError> {
    must_be_harmless(options, &args.plugin, args.service.as_deref(), args.really)?;
    let mut words = vec!["plugin-check".into(), args.plugin.clone().into_os_string()];
    if let Some(service) = &args.service {
        words.extend(["--service".into(), service.into()]);
    }
    for setting in &args.settings {
        words.extend(["--config".into(), setting.into()]);
    }
    words.extend(installed(options, &args.plugin));
    words.extend(args.really.then(|| "--really".into()));
    words.extend(args.quiet.then(|| "--quiet".into()));
    if let Some(timeout) = args.timeout {
        words.extend(["--timeout-ms".into(), timeout.as_millis().to_string().into()]);
    }
    koid(&words, options, out).await
}

/// Runs `koid plugin-run`.
pub(crate) async fn run(options: &Options, args: &RunHook, out: Out) -> Result<u8, CommandError> {
    // Looking changes nothing.
    let really = args.really || args.hook == HookName::Status;
    must_be_harmless(options, &args.plugin, args.service.as_deref(), really)?;
    let mut words =
        vec!["plugin-run".into(), args.plugin.clone().into_os_string(), value_name(args.hook).into()];
    let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
    if let Some(service) = &args.service {
        option("--service", service.into());
    }
    if let Some(state) = &args.state {
        option("--state", state.into());
    }
    for setting in &args.settings {
        option("--config", setting.into());
    }
    words.extend(installed(options, &args.plugin));
    let mut option = |name: &str, value: OsString| words.extend([name.into(), value]);
    if let Some(role) = args.role {
        option("--role", value_name(role).into());
    }
    if let Some(epoch) = args.epoch {
        option("--epoch", epoch.to_string().into());
    }
    if let Some(group) = &args.group {
        option("--group", group.into());
    }
    for attribute in &args.attributes {
        option("--attribute", attribute.into());
    }
    if let Some(timeout) = args.timeout {
        option("--timeout-ms", timeout.as_millis().to_string().into());
    }
    koid(&words, options, out).await
}

/// Runs `koid plugin-test`.
pub(crate) async fn test(options: &Options, args: &TestPlugin, out: Out) -> Result<u8, CommandError> {
    let service = args.service.as_deref();
    if let Some(service) = service {
        must_be_harmless(options, service, Some(service), args.really)?;
    }
    for file in args.files.iter().filter(|file| file.extension().is_none_or(|ending| ending != "toml")) {
        must_be_harmless(options, file, None, args.really)?;
    }
    let mut words: Vec<OsString> = vec!["plugin-test".into()];
    words.extend(args.files.iter().map(|file| file.clone().into_os_string()));
    if let Some(filter) = &args.filter {
        words.extend(["--filter".into(), filter.into()]);
    }
    if let Some(record) = &args.record {
        words.extend(["--record".into(), record.into()]);
        words.extend(args.with_bodies.then(|| "--with-bodies".into()));
    }
    if let Some(service) = service {
        words.extend(["--service".into(), service.into()]);
        words.extend(installed(options, service));
    }
    if let Some(junit) = &args.junit {
        words.extend(["--junit".into(), junit.into()]);
    }
    words.extend(args.quiet.then(|| "--quiet".into()));
    koid(&words, options, out).await
}

/// Where koid finds the handler of the service in this folder, unless `service.toml` names its path. Nothing, where no configuration says it, or
/// it is no folder.
fn installed(options: &Options, service: &Path) -> Vec<OsString> {
    let Some(loaded) = service.is_dir().then(|| load(options.file.as_deref()).ok()).flatten() else {
        return Vec::new();
    };
    let pulled = Store::in_state(&loaded.config.node.state_dir);
    let dirs = loaded.config.plugins.dirs.iter().flat_map(|dir| ["--plugins".into(), dir.into()]);
    dirs.chain(["--pulled".into(), pulled.folder().into()]).collect()
}

/// Starts koid with our own output, and passes its exit code on. Ctrl-C reaches koid too; it takes down what it has started
/// before it ends.
async fn koid(words: &[OsString], options: &Options, out: Out) -> Result<u8, CommandError> {
    let koid = koid::find()?;
    let mut command = Command::new(&koid);
    command.args(words);
    if out.is_json() {
        command.arg("--json");
    } else if out.view().paint.0 && options.color != Color::Never {
        command.arg("--color");
    }
    let failed = |what: String| CommandError::local(format!("{}: {what}", koid.display()), "");
    let mut child = command.spawn().map_err(|e| failed(format!("cannot be run: {e}")))?;
    let status = loop {
        tokio::select! {
            ended = child.wait() => break ended,
            Ok(()) = ctrl_c() => {}
        }
    };
    let status = status.map_err(|e| failed(format!("was lost: {e}")))?;
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => Ok(code),
        // It has been killed, and could not say anything itself.
        Some(Err(_)) | None => Err(failed(format!("ended with {status}"))),
    }
}

/// A service that koid runs is not to be started and stopped behind its back.
pub(super) fn must_be_harmless(
    options: &Options,
    plugin: &Path,
    service: Option<&Path>,
    really: bool,
) -> Result<(), CommandError> {
    if really {
        return Ok(());
    }
    let folder = match load(options.file.as_deref()) {
        Ok(loaded) => loaded.config.services.folder,
        // No configuration, or none that we may read: koid's own may still be where it always is.
        Err(_) => SERVICES.into(),
    };
    // A component alone is granted nothing, wherever it lies.
    let plugin = Some(plugin).filter(|plugin| plugin.extension().is_none_or(|ending| ending != "wasm"));
    let Some(service) = [plugin, service].into_iter().flatten().find(|path| lies_in(path, &folder)) else {
        return Ok(());
    };
    let message = format!("{} belongs to koid: it lies in {}", service.display(), folder.display());
    let hint = "its hooks would really run, beside what the cluster decides: try a copy of it elsewhere; or, if koid is not \
                running here or the service does no harm, --really";
    Err(CommandError::new(exit::UNSAFE, ErrorCode::Unsafe, message, hint))
}

/// Whether `path` is an entry of `folder`, or lies in one.
fn lies_in(path: &Path, folder: &Path) -> bool {
    match (fs::canonicalize(path), fs::canonicalize(folder)) {
        (Ok(path), Ok(folder)) => path != folder && path.starts_with(&folder),
        // Whichever is not there has no hooks to run.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_where_it_lies_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let (services, elsewhere) = (folder.path().join("services"), folder.path().join("elsewhere"));
        fs::create_dir_all(services.join("10-vip")).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(services.join("10-vip"), elsewhere.join("link")).unwrap();
        assert!(lies_in(&services.join("10-vip"), &services));
        assert!(lies_in(&elsewhere.join("link"), &services));
        assert!(lies_in(&services.join("10-vip/../10-vip"), &services));
        assert!(!lies_in(&elsewhere, &services));
        assert!(!lies_in(&services, &services));
        assert!(!lies_in(&services.join("nothing"), &services));
    }
}
