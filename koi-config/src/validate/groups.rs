//! What must hold between groups.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::limits;
use koi_core::placing::check_placements;
use koi_duration::format as show;

use super::{ConfigDiagnostic, Severity};
use crate::config::{Config, Failback};
use crate::keys::GROUPS;

/// How long a node may have to be ready before a master moves to it.
const FAILBACK: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(7 * 24);

/// Everything that is wrong with the groups as a whole.
pub(super) fn check(config: &Config) -> Vec<ConfigDiagnostic> {
    let mut problems = Vec::new();
    let others: Vec<&GroupName> = config.groups.keys().filter(|name| !name.is_main()).collect();
    let most = limits::GROUPS - 1;
    if let Some(first_too_many) = others.get(most) {
        let message =
            format!("there are {} groups beside `main`, and a node may have at most {most}", others.len());
        problems.push(problem(
            format!("{GROUPS}.{first_too_many}"),
            message,
            "join groups that move together",
        ));
    }
    let folders: Vec<(GroupName, &Path)> = config.service_folders().collect();
    for (at, (name, folder)) in folders.iter().enumerate() {
        let clash =
            folders.iter().take(at).find(|(_, other)| folder.starts_with(other) || other.starts_with(folder));
        let Some((other, place)) = clash else { continue };
        let message = match place == folder {
            true => format!(
                "the groups {other} and {name} have the same folder, {}: each service belongs to one group",
                folder.display()
            ),
            false => format!(
                "of the folders of {other} and {name} one lies within the other: {} and {}",
                place.display(),
                folder.display()
            ),
        };
        problems.push(ConfigDiagnostic {
            keys: vec![format!("{GROUPS}.{name}.folder").into(), format!("{GROUPS}.{name}").into()],
            ..problem(String::new(), message, "give each group a folder of its own, beside the others")
        });
    }
    for (name, group) in &config.groups {
        if let Failback::After(time) = group.failback
            && !FAILBACK.contains(&time)
        {
            let message = format!(
                "{GROUPS}.{name}.failback is {}, and must be \"off\", or from {} to {}",
                show(time),
                show(*FAILBACK.start()),
                show(*FAILBACK.end())
            );
            problems.push(problem(format!("{GROUPS}.{name}.failback"), message, ""));
        }
        let named = group.together_with.iter().map(|other| ("together_with", other));
        for (key, other) in named.chain(group.apart_from.iter().map(|other| ("apart_from", other))) {
            if !other.is_main() && !config.groups.contains_key(other) {
                let message =
                    format!("{GROUPS}.{name}.{key} names the group {other}, which this node does not have");
                let hint = match key {
                    "together_with" => {
                        "this node is never master of the one, for it is never master of the other; add the group, or mend the name"
                    }
                    _ => "it holds where other nodes have that group; if none has, mend the name",
                };
                problems.push(ConfigDiagnostic {
                    severity: Severity::Warning,
                    ..problem(format!("{GROUPS}.{name}.{key}"), message, hint)
                });
            }
        }
    }
    let placements = config.groups.iter().map(|(name, group)| (name.clone(), group.placement()));
    if let Err(error) = check_placements(&placements.collect()) {
        let (group, key) = error.at();
        let text = error.to_string();
        let (message, hint) = text.rsplit_once([':', ';']).unwrap_or((&text, ""));
        problems.push(problem(format!("{GROUPS}.{group}.{key}"), message.to_owned(), hint.trim()));
    }
    problems
}

fn problem(key: String, message: String, hint: &str) -> ConfigDiagnostic {
    ConfigDiagnostic { severity: Severity::Error, keys: vec![key.into()], message, hint: hint.to_owned() }
}
