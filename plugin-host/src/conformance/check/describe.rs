//! Whether what a handler says of itself makes sense. Loading it has refused what koid cannot use at all.

use std::collections::HashSet;

use koi_plugin_api::{Capability, Hook, Metadata, Want};

use crate::backend::wasm::load::placeholders::keys_in;
use crate::conformance::report::Verdict;

/// All that is to be said of it, a sentence each.
///
/// `gives_reasons`: handlers of its version can say what they want something for.
pub(crate) fn findings(metadata: &Metadata, gives_reasons: bool) -> Vec<(Verdict, String)> {
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
        } else if key.required && !key.default.is_empty() {
            say(
                Verdict::Note,
                format!(
                    "the key `{}` has a default: it is never missing, and need not be required",
                    key.name
                ),
            );
        }
    }
    for want in &metadata.wants {
        found.extend(wrong_want(want, &names, gives_reasons));
    }
    if metadata.hooks.has(Hook::Promote) != metadata.hooks.has(Hook::Demote) {
        let text = "it has one of `promote` and `demote` and not the other: what is promoted must be demoted some day";
        found.push((Verdict::Note, text.into()));
    }
    found
}

/// What is wrong with a want.
fn wrong_want(want: &Want, keys: &HashSet<&str>, gives_reasons: bool) -> Option<(Verdict, String)> {
    let capability = &want.capability;
    let fail = |text: String| Some((Verdict::Fail, text));
    let named = capability.texts().flat_map(keys_in);
    if let Some(name) = named.into_iter().find(|name| !keys.contains(name)) {
        return fail(format!(
            "`{capability}` names the key `{name}`, and describe declares none of that name"
        ));
    }
    let is_path = matches!(
        capability,
        Capability::Exec(_) | Capability::ExecPath(_) | Capability::Read(_) | Capability::Write(_)
    );
    let subject = capability.subject();
    if is_path && !subject.starts_with(['/', '{']) {
        return fail(format!("`{capability}` is not an absolute path"));
    }
    if subject.is_empty() && *capability != Capability::Lookup {
        return fail(format!("`{capability}` asks for nothing"));
    }
    (gives_reasons && want.reason.is_empty()).then(|| {
        (Verdict::Note, format!("`{capability}` comes without a reason: the operator decides by it"))
    })
}

#[cfg(test)]
mod tests {
    use koi_plugin_api::{ConfigKey, HookSet};

    use super::*;

    fn want(capability: Capability) -> Want {
        Want { capability, reason: "to ask the server".into() }
    }

    fn good() -> Metadata {
        let key = ConfigKey { name: "address".into(), required: true, ..ConfigKey::default() };
        Metadata {
            name: "redis".into(),
            version: "1.0".into(),
            description: "a server".into(),
            hooks: HookSet::LIFECYCLE,
            wants: vec![
                want(Capability::Tcp("{address}".into())),
                want(Capability::Read("/etc/redis".into())),
            ],
            config: vec![key],
        }
    }

    fn failures(metadata: &Metadata) -> usize {
        findings(metadata, true).iter().filter(|(verdict, _)| *verdict == Verdict::Fail).count()
    }

    #[test]
    fn what_makes_sense_needs_no_word() {
        assert_eq!(findings(&good(), true), []);
    }

    #[test]
    fn what_does_not_is_named() {
        let mut metadata = good();
        metadata.config.push(metadata.config[0].clone());
        metadata.wants.push(want(Capability::Tcp("{port}".into())));
        metadata.wants.push(want(Capability::ExecPath("ip".into())));
        metadata.wants.push(Want { reason: String::new(), ..want(Capability::Lookup) });
        assert_eq!(failures(&metadata), 3, "{:?}", findings(&metadata, true));
        assert_eq!(findings(&metadata, true).len(), 4, "a reason is missing");
        metadata =
            Metadata { version: String::new(), hooks: [Hook::Promote].into_iter().collect(), ..good() };
        assert_eq!((failures(&metadata), findings(&metadata, true).len()), (0, 2));
    }
}
