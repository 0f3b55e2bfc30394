//! What koid finds in the service's folder without running anything, as `koi check` says it.

use koi_plugin_api::HookSet;
use koi_plugin_shell::{Shape, ShellHandler};

use crate::conformance::report::Verdict;
use crate::conformance::target::{Target, TargetSource};
use crate::service::check::check_service;
use crate::service::definition::Found;
use crate::service::discover::idle_sections;
use crate::warning::Severity;

/// All that is to be said of it, a sentence each.
pub(crate) fn findings(target: &Target, hooks: HookSet) -> Vec<(Verdict, String)> {
    let (shape, handler) = match (&target.source, &target.home) {
        (TargetSource::Scripts(shape), _) => (shape.clone(), ShellHandler::NAME.to_owned()),
        (TargetSource::Plugin(file, _), Some(home)) => {
            (Shape::Folder(home.clone()), file.display().to_string())
        }
        (TargetSource::Plugin(..), None) => return Vec::new(),
    };
    let found = Found {
        name: target.name.clone(),
        priority: None,
        shape,
        handler,
        disabled: false,
        manifest: target.manifest.clone(),
        hooks,
        problem: None,
        fingerprint: 0,
    };
    let idle = idle_sections(&found, target.kind());
    let all = check_service(&found).into_iter().chain(idle);
    all.map(|warning| match warning.severity {
        Severity::Error => (Verdict::Fail, warning.to_string()),
        Severity::Warning | Severity::Info => (Verdict::Note, warning.to_string()),
    })
    .collect()
}
