//! Whether what a handler says of itself makes sense. Loading it has refused what koid cannot use at all.

use std::collections::HashSet;

use koi_plugin_api::{Capability, Hook, Metadata};

use crate::conformance::report::Verdict;

/// All that is to be said of it, a sentence each.
pub(crate) fn findings(metadata: &Metadata) -> Vec<(Verdict, String)> {
    let mut found = Vec::new();
    let mut say = |verdict, text: String| found.push((verdict, text));
    if metadata.version.is_empty() {
        say(Verdict::Note, "it has no version: `koi plugins list` cannot tell the old from the new".into());
    }
    if metadata.description.is_empty() {
        say(Verdict::Note, "it has no description".into());
    }
    if metadata.description.contains('\n') || metadata.version.contains('\n') {
        say(Verdict::Fail, "its description and its version are one line each".into());
    }
    let mut names = HashSet::new();
    for key in &metadata.config {
        if key.name.is_empty() || key.name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            say(Verdict::Fail, format!("`{}` cannot be a key of [config]", key.name.escape_debug()));
        } else if !names.insert(key.name.as_str()) {
            say(Verdict::Fail, format!("the key `{}` is there twice", key.name));
        } else if key.required && key.default.is_some() {
            say(
                Verdict::Note,
                format!(
                    "the key `{}` has a default: it is never missing, and need not be required",
                    key.name
                ),
            );
        }
    }
    for capability in &metadata.capabilities {
        found.extend(wrong_wish(capability, &names).map(|text| (Verdict::Fail, text)));
    }
    if metadata.hooks.has(Hook::Promote) != metadata.hooks.has(Hook::Demote) {
        let text = "it has one of `promote` and `demote` and not the other: what is promoted must be demoted some day";
        found.push((Verdict::Note, text.into()));
    }
    found
}

fn wrong_wish(capability: &Capability, keys: &HashSet<&str>) -> Option<String> {
    let value = capability.value();
    let unknown = placeholders(value).find(|name| !keys.contains(name));
    if let Some(name) = unknown {
        return Some(format!(
            "`{capability}` names the key `{name}`, and describe declares none of that name"
        ));
    }
    let is_path = matches!(capability, Capability::Exec(_) | Capability::FsRead(_) | Capability::FsWrite(_));
    if is_path && !value.starts_with(['/', '{']) {
        return Some(format!("`{capability}` is not an absolute path"));
    }
    value.is_empty().then(|| format!("`{capability}` asks for nothing"))
}

/// The keys in braces.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use koi_plugin_api::{ConfigKey, HookSet};

    use super::*;

    fn good() -> Metadata {
        let key =
            ConfigKey { name: "address".into(), description: String::new(), required: true, default: None };
        Metadata {
            name: "redis".into(),
            version: "1.0".into(),
            description: "a server".into(),
            hooks: HookSet::ALL,
            capabilities: vec![
                Capability::TcpConnect("{address}".into()),
                Capability::FsRead("/etc/redis".into()),
            ],
            config: vec![key],
        }
    }

    fn failures(metadata: &Metadata) -> usize {
        findings(metadata).iter().filter(|(verdict, _)| *verdict == Verdict::Fail).count()
    }

    #[test]
    fn what_makes_sense_needs_no_word() {
        assert_eq!(findings(&good()), []);
    }

    #[test]
    fn what_does_not_is_named() {
        let mut metadata = good();
        metadata.config.push(metadata.config[0].clone());
        metadata.capabilities.push(Capability::TcpConnect("{port}".into()));
        metadata.capabilities.push(Capability::Exec("ip".into()));
        assert_eq!(failures(&metadata), 3, "{:?}", findings(&metadata));
        metadata =
            Metadata { version: String::new(), hooks: [Hook::Promote].into_iter().collect(), ..good() };
        assert_eq!((failures(&metadata), findings(&metadata).len()), (0, 2));
    }
}
