//! What must hold between groups.

use std::path::Path;

use koi_core::group::GroupName;
use koi_core::limits;

use super::{ConfigDiagnostic, Severity};
use crate::config::Config;
use crate::keys::GROUPS;

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
    problems
}

fn problem(key: String, message: String, hint: &str) -> ConfigDiagnostic {
    ConfigDiagnostic { severity: Severity::Error, keys: vec![key.into()], message, hint: hint.to_owned() }
}
