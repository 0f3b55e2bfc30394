//! The beginning of a check: it loads, describes itself, and a handler can be made of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use koi_plugin_api::{Handler, Hook};

use crate::config::setting::ServiceConfig;
use crate::conformance::check::{describe, service};
use crate::conformance::error::LoadedHandlerError;
use crate::conformance::loaded_handler::LoadedHandler;
use crate::conformance::report::{Report, Verdict, progress, shown};
use crate::conformance::scratch::Scratch;
use crate::conformance::target::Target;
use crate::plugin::Kind;

/// Loads it, twice: what it says of itself must not change.
pub(crate) fn load<'t>(
    target: &'t Target,
    scratch: &'t Scratch,
    report: &mut Report,
) -> Option<LoadedHandler<'t>> {
    let loads_first = target.kind() == Kind::Wasm;
    if loads_first {
        progress("  (compiling a component takes a while the first time)");
    }
    let began = Instant::now();
    let loaded = match LoadedHandler::load(target, scratch) {
        Ok(loaded) => loaded,
        Err(error) => {
            report.add(Verdict::Fail, "load", &error.to_string(), began.elapsed());
            report.give_up("it cannot be loaded; nothing of it was tried");
            return None;
        }
    };
    report.add(Verdict::Ok, "load", &about_file(target, &loaded), began.elapsed());
    let metadata = &loaded.facts().metadata;
    let hooks: Vec<_> = metadata.hooks.iter().map(Hook::as_str).collect();
    let has_all = Hook::LIFECYCLE.iter().all(|hook| metadata.hooks.has(*hook));
    let others = if has_all { "" } else { "; the others count as done" };
    let (name, version, about) = (&metadata.name, &metadata.version, &metadata.description);
    let said = format!("{name} {version}, {about}; hooks: {}{others}", hooks.join(", "));
    report.add(Verdict::Ok, "describe", &said, Duration::ZERO);
    let gives_reasons = target.kind() == Kind::Wasm && !loaded.facts().api_version.starts_with("0.1.");
    for (verdict, finding) in describe::findings(metadata, gives_reasons) {
        report.add(verdict, "describe", &finding, Duration::ZERO);
    }
    for (verdict, finding) in service::findings(target, metadata.hooks) {
        report.add(verdict, "service", &finding, Duration::ZERO);
    }
    if target.kind() != Kind::Builtin {
        let began = Instant::now();
        let (verdict, said) = match LoadedHandler::load(target, scratch) {
            Ok(again) if again.facts().metadata == *metadata => {
                (Verdict::Ok, "says the same a second time".into())
            }
            Ok(_) => (Verdict::Fail, "says something else a second time: it must depend on nothing".into()),
            Err(error) => (Verdict::Fail, format!("cannot be loaded a second time: {error}")),
        };
        report.add(verdict, "describe", &said, began.elapsed());
    }
    Some(loaded)
}

fn about_file(target: &Target, loaded: &LoadedHandler<'_>) -> String {
    let kib = loaded.size_bytes.div_ceil(1024);
    let api = &loaded.facts().api;
    match (target.kind(), &loaded.facts().compiled) {
        (Kind::Builtin, _) => "scripts, run by the built-in shell handler".into(),
        (Kind::Native, _) => format!("native library, {kib} KiB, {api}"),
        (Kind::Wasm, None) => format!("component, {kib} KiB, {api}"),
        (Kind::Wasm, Some(compiled)) => {
            let how = if compiled.cached { "compiled code found in the cache" } else { "compiled" };
            let lacking = compiled
                .lacking
                .as_ref()
                .map(|lacking| format!(", by a process {lacking}"))
                .unwrap_or_default();
            format!("component, {kib} KiB, {api}; {how} in {}{lacking}", shown(compiled.took))
        }
    }
}

/// A handler and its configuration.
type Configured = (Arc<dyn Handler>, ServiceConfig);

/// Makes a handler, with what the service says, or without anything.
pub(crate) fn open(
    target: &Target,
    loaded: &LoadedHandler<'_>,
    report: &mut Report,
    unchecked: &mut Vec<String>,
) -> Option<Configured> {
    let began = Instant::now();
    let opened = loaded
        .settle(&target.manifest.config)
        .and_then(|config| loaded.open(&config).map(|opened| (opened, config)));
    match opened {
        Ok((opened, config)) => {
            let said = match (&opened.granted[..], target.is_service()) {
                ([], true) => "for its service".to_owned(),
                ([], false) => "without any grant, with the defaults of its configuration".to_owned(),
                (granted, _) => {
                    let lines: Vec<&str> = granted.iter().map(|granted| granted.line.as_str()).collect();
                    format!("for its service, which grants {}", lines.join(", "))
                }
            };
            report.add(Verdict::Ok, "open", &said, began.elapsed());
            Some((opened.handler, config))
        }
        Err(error) if target.is_service() => {
            report.add(Verdict::Fail, "open", &with_line(target, &error), began.elapsed());
            report.give_up("the service cannot run as it is; its handler was not tried");
            None
        }
        // It wants something; that is its good right.
        Err(error) => {
            report.add(Verdict::Note, "open", &error.to_string(), began.elapsed());
            unchecked.push("its hooks: alone it cannot be opened; --service DIR takes a service.toml that has what it wants".into());
            None
        }
    }
}

/// What is wrong, behind the line of service.toml that is to be mended.
fn with_line(target: &Target, error: &LoadedHandlerError) -> String {
    let line = match error {
        LoadedHandlerError::Handler(error) => error.grant_line(&target.manifest),
        LoadedHandlerError::File(_)
        | LoadedHandlerError::Load(_)
        | LoadedHandlerError::Copy(_)
        | LoadedHandlerError::Config(_) => None,
    };
    match (line, &target.home) {
        (Some(line), Some(home)) => format!("{}/service.toml:{line}: {error}", home.display()),
        _ => error.to_string(),
    }
}
