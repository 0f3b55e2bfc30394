//! What `koid --check` says about a service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use koi_plugin_api::{Hook, HookSet};
use koi_plugin_shell::{ScriptDiagnostic, Shape, ShellHandler, inspect};

use crate::service::definition::{COMPONENT, DISABLED, Found, MANIFEST};
use crate::warning::{Severity, Warning};

/// Files of one folder that are looked at for names that nearly are a hook's.
const FILES: usize = 1024;

/// Everything that can be seen to be wrong with a service without running it. Blocks on the disk.
pub fn check_service(found: &Found) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Some(problem) = &found.problem {
        warnings.push(Warning::new(Severity::Error, "problem", found.path(), problem.clone()));
    }
    match (found.handler == ShellHandler::NAME, &found.problem) {
        (true, None) => check_scripts(found, &mut warnings),
        // It may be the line with the handler that cannot be read.
        (true, Some(_)) => {}
        (false, _) => check_for_scripts(found, &mut warnings),
    }
    if is_open_to_all(found.home()) {
        let path = found.home();
        let message =
            format!("everybody may put scripts into it, and koid runs them; chmod o-w {}", path.display());
        warnings.push(Warning::new(Severity::Warning, "world-writable", path, message));
    }
    warnings
}

fn check_scripts(found: &Found, warnings: &mut Vec<Warning>) {
    match &found.shape {
        Shape::File(file) => check_script(file, warnings),
        Shape::Folder(folder) => {
            let hooks = found.shape.hooks();
            hooks.iter().for_each(|hook| check_script(&found.shape.script(hook), warnings));
            check_names(folder, warnings);
            if hooks == HookSet::default() {
                let message = "it has no hook: everything counts as success, and nothing is run";
                warnings.push(Warning::new(Severity::Info, "no-hook", folder, message));
            }
        }
    }
}

/// Scripts of a service that another handler runs: whoever put them there may wait for them in vain.
fn check_for_scripts(found: &Found, warnings: &mut Vec<Warning>) {
    for hook in found.shape.hooks().iter() {
        let message = format!(
            "never run: this service's handler is {}; remove the script, or say handler = \"shell\" in {MANIFEST}",
            found.handler
        );
        warnings.push(Warning::new(Severity::Warning, "unused", &found.shape.script(hook), message));
    }
}

fn check_script(script: &Path, warnings: &mut Vec<Warning>) {
    for finding in inspect(script) {
        let topic = format!("script-{}", topic(&finding));
        let severity = if finding.stops() { Severity::Error } else { Severity::Warning };
        warnings.push(Warning::new(severity, &topic, script, finding.explain(script)));
    }
}

fn topic(finding: &ScriptDiagnostic) -> &'static str {
    match finding {
        ScriptDiagnostic::Unreadable(_) => "unreadable",
        ScriptDiagnostic::DanglingLink(_) => "dangling",
        ScriptDiagnostic::NotAFile(_) => "no-file",
        ScriptDiagnostic::NotExecutable | ScriptDiagnostic::NotExecutableHere => "not-executable",
        ScriptDiagnostic::NoInterpreterNamed
        | ScriptDiagnostic::InterpreterMissing(_)
        | ScriptDiagnostic::InterpreterNotExecutable(_)
        | ScriptDiagnostic::DosLineEnds
        | ScriptDiagnostic::EnvFindsNothing(_) => "interpreter",
        ScriptDiagnostic::NotAProgram => "no-program",
        ScriptDiagnostic::NoShebang => "no-shebang",
        ScriptDiagnostic::WorldWritable => "world-writable",
    }
}

/// `start.sh`, `Start` and `statsu` are never run, and their author may wait for it in vain.
fn check_names(folder: &Path, warnings: &mut Vec<Warning>) {
    let Ok(files) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = files.flatten().take(FILES).map(|file| file.path()).collect();
    paths.sort();
    for path in paths {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(hook) = meant_hook(name) else { continue };
        let message = if path.is_dir() {
            "a folder, and so not a hook; remove or rename it".to_owned()
        } else if name == hook.as_str() {
            continue;
        } else {
            format!("not a hook, and never run; if it is meant to be `{0}`, call it {0}", hook.as_str())
        };
        warnings.push(Warning::new(Severity::Warning, "name", &path, message));
    }
}

/// The hook whose name it is, or nearly is.
fn meant_hook(name: &str) -> Option<Hook> {
    if [MANIFEST, DISABLED, COMPONENT].contains(&name) {
        return None;
    }
    let stem = name.split('.').next().unwrap_or(name).to_lowercase();
    Hook::ALL
        .into_iter()
        .find(|hook| stem == hook.as_str())
        .or_else(|| Hook::ALL.into_iter().find(|hook| strsim::osa_distance(&stem, hook.as_str()) == 1))
}

/// Whether everybody may write into a folder and remove what others put there.
fn is_open_to_all(folder: &Path) -> bool {
    const STICKY: u32 = 0o1000;
    fs::metadata(folder).is_ok_and(|meta| {
        let mode = meta.permissions().mode();
        meta.is_dir() && mode & 0o002 != 0 && mode & STICKY == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_hooks_are_seen() {
        assert_eq!(meant_hook("start.sh"), Some(Hook::Start));
        assert_eq!(meant_hook("Stop"), Some(Hook::Stop));
        assert_eq!(meant_hook("statsu"), Some(Hook::Status));
        assert_eq!(meant_hook("monitor"), None);
        assert_eq!(meant_hook("handler.wasm"), None);
    }
}
