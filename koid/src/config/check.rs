//! `koid --check`: says everything that can be seen to be wrong without starting.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use koi_config::{Config, Loaded};
use koi_plugin_host::{Host, Registry, Severity, check_service};

use crate::args::Args;
use crate::config::current::ActiveConfig;
use crate::config::exposure;
use crate::config::load;
use crate::fence::trial;
use crate::reporting::say;
use crate::services::discovery::{KnownGroups, discover_all};
use crate::services::plugins::sources;
use crate::services::protected;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<String>,
    problems: usize,
}

impl Report {
    fn problem(&mut self, what: impl Display) {
        self.problems += 1;
        self.lines.push(format!("error: {what}"));
    }

    fn warning(&mut self, what: impl Display) {
        self.lines.push(format!("warning: {what}"));
    }
}

/// Checks everything, prints what it finds, and says whether it may be started.
pub(crate) fn run(args: &Args) -> bool {
    let (report, last) = check(args);
    for line in &report.lines {
        say::line(line);
    }
    say::line(&last);
    report.problems == 0
}

fn check(args: &Args) -> (Report, String) {
    let mut report = Report::default();
    let loaded = match load::load(args.file.as_deref(), args.name.as_deref()) {
        Ok(loaded) => loaded,
        Err(error) => {
            error.warnings.iter().for_each(|w| report.warning(w));
            error.problems.iter().for_each(|p| report.problem(p));
            let last = last_line(&report, None, 0);
            return (report, last);
        }
    };
    loaded.warnings.iter().for_each(|w| report.warning(w));
    if let Err(error) = ActiveConfig::new(loaded.config.clone()) {
        report.problem(format_args!("{}: {error}", loaded.path.display()));
    }
    if let Err(exposed) = exposure::refuse_state(&loaded.config.node.state_dir) {
        report.problem(exposed);
    }
    check_fences(&loaded, &mut report);
    let services = check_services(&loaded.config, &loaded.path, &mut report);
    let last = last_line(&report, Some(&loaded), services);
    (report, last)
}

/// Whether the device of each fence can be reached from here. It may be back before it is needed.
fn check_fences(loaded: &Loaded, report: &mut Report) {
    let Some(fences) = &loaded.config.fence else { return };
    match trial::try_all(fences) {
        Ok(wrong) => wrong.into_iter().for_each(|(node, error)| {
            report.warning(format_args!(
                "{}: the fence of {node} does not work now: {error}",
                loaded.path.display()
            ));
        }),
        Err(error) => report.warning(format_args!("{}: no fence was tried: {error}", loaded.path.display())),
    }
}

/// The number of services.
fn check_services(config: &Config, path: &Path, report: &mut Report) -> usize {
    if !config.node.runner {
        exposure::exposures(path, config, None).into_iter().for_each(|told| report.warning(told));
        return 0;
    }
    // Kept until the end: plugins are loaded from it.
    let scratch = tempfile::tempdir();
    let scratch = scratch.as_ref().map_or(Path::new("/nonexistent"), |folder| folder.path());
    let registry = Registry::new(host(config, path, scratch), config.services.workingdir.clone())
        .with_progress(Arc::new(|sentence| say::error(&format!("koid: {sentence}"))))
        .load(sources(config), config.services.workingdir.clone());
    exposure::exposures(path, config, Some(&registry)).into_iter().for_each(|told| report.warning(told));
    let discovery = discover_all(config, &registry, &KnownGroups::new());
    for why in discovery.unreadable.values() {
        report.problem(format_args!("{}: {why}", path.display()));
    }
    let services = || discovery.services.iter().map(|(_, found)| found);
    let opened = services().filter(|found| found.problem.is_none());
    let opened: Vec<_> = opened.map(|found| (found, registry.open(found))).collect();
    let own = services().flat_map(check_service);
    for finding in registry.warnings().into_iter().chain(discovery.warnings.iter().cloned()).chain(own) {
        match finding.severity {
            Severity::Error => report.problem(finding),
            Severity::Warning => report.warning(finding),
            Severity::Info => report.lines.push(format!("note: {finding}")),
        }
    }
    // What is wrong with a service and its handler together; what is wrong with either by itself is said elsewhere.
    for (found, opened) in opened {
        match opened {
            Ok(ready) => {
                let granted = ready.opened.granted.iter().filter(|granted| granted.key == "dangerous");
                let named =
                    granted.map(|granted| format!("note: {}: {}", found.path().display(), granted.line));
                report.lines.extend(named);
            }
            Err(error) => report.problem(error.with_path(found.path(), &found.manifest)),
        }
    }
    discovery.services.len()
}

/// Where plugins are loaded for a check: where the daemon does, so that nothing is compiled twice, if whoever checks is its
/// user; copies and compiled code are named by what is in them, and so disturb no daemon that runs there. Elsewhere
/// otherwise, for the daemon would not trust what another user has put there.
fn host(config: &Config, path: &Path, scratch: &Path) -> Host {
    let own = nix::unistd::geteuid().as_raw();
    let is_own = |path: &PathBuf| fs::metadata(path).is_ok_and(|meta| meta.is_dir() && meta.uid() == own);
    let host = protected::host(config, path);
    match is_own(&config.node.state_dir) && (!host.dir.exists() || is_own(&host.dir)) {
        true => host,
        false => Host { protected: host.protected, ..Host::for_daemon(scratch) },
    }
}

fn last_line(report: &Report, loaded: Option<&Loaded>, services: usize) -> String {
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    match (report.problems, loaded) {
        (0, Some(loaded)) => {
            format!("all is well: {}, {services} service{}", loaded.path.display(), plural(services))
        }
        (n, _) => format!("{n} problem{}", plural(n)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use clap::Parser;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn check_folder(folder: &Path) -> (Report, String) {
        check(&Args::parse_from(["koid".as_ref(), "-f".as_ref(), folder.join("koi.toml").as_os_str()]))
    }

    /// A good configuration with one good service.
    fn good() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write(&at.join("cluster.key"), &"5a".repeat(32), 0o600);
        std::fs::create_dir_all(at.join("services/10-web")).unwrap();
        write(&at.join("services/10-web/start"), "#!/bin/sh\n", 0o755);
        let text = "[node]\nname = \"a\"\n[cluster]\nelectors = 3\ntransport = [\"127.0.0.2\"]\nkey_file = \"cluster.key\"\n\
                    [services]\nfolder = \"services\"\n";
        write(&at.join("koi.toml"), text, 0o644);
        folder
    }

    #[test]
    fn all_is_well() {
        let folder = good();
        let (report, last) = check_folder(folder.path());
        assert_eq!(report.problems, 0, "{report:?}");
        assert!(last.starts_with("all is well") && last.ends_with("1 service"), "{last}");
    }

    #[test]
    fn every_problem_is_named_and_not_only_the_first() {
        let folder = good();
        let at = folder.path();
        write(&at.join("cluster.key"), "short", 0o600);
        write(&at.join("services/10-web/stop"), "#!/no/such/shell\n", 0o755);
        let (report, last) = check_folder(at);
        assert_eq!(report.problems, 2, "{report:?}");
        assert_eq!(last, "2 problems");
        let all = report.lines.join("\n");
        assert!(all.contains("cluster.key") && all.contains("10-web/stop"), "{all}");
    }

    #[test]
    fn a_configuration_that_cannot_be_read_is_a_problem_with_its_line() {
        let folder = good();
        write(&folder.path().join("koi.toml"), "[node]\nnme = \"a\"\n", 0o644);
        let (report, _) = check_folder(folder.path());
        assert!(report.lines.iter().any(|l| l.contains("koi.toml:2")), "{report:?}");
    }
}
