//! The `[grants]` that a plugin wants, as `service.toml` has them: for an operator to read, and to take out what it is not to have.

use std::fmt;

use koi_plugin_api::{Capability, Metadata, Want};
use toml::Value;

use crate::backend::wasm::grants::wanted::{entry, is_dangerous};
use crate::backend::wasm::load::placeholders::{fill_in, keys_in};
use crate::config::error::ConfigError;
use crate::config::setting::Setting;
use crate::config::settle::{defaults, settle};

/// What a plugin wants, for one configuration. Displayed it is the section.
#[derive(Clone, Debug)]
pub struct GrantsSection {
    /// What it wants, keys filled in, in the order in which it says so.
    pub wants: Vec<Want>,
    /// What it would want if keys were set that are not.
    pub unset: Vec<Want>,
    /// Some of it is granted with `dangerous = true` only.
    pub is_dangerous: bool,
}

impl GrantsSection {
    /// For a service that says `given` under `[config]`; none: with the defaults of the plugin. Blocks.
    ///
    /// # Errors
    /// The plugin does not take that configuration.
    pub fn new(metadata: &Metadata, given: Option<&[Setting]>) -> Result<GrantsSection, ConfigError> {
        let config = match given {
            Some(given) => settle(&metadata.name, &metadata.config, given)?.values,
            None => defaults(&metadata.config),
        };
        let (mut wants, mut unset): (Vec<Want>, Vec<Want>) = Default::default();
        for want in &metadata.wants {
            let filled = fill_in(std::slice::from_ref(want), &config);
            unset.extend(filled.is_empty().then(|| want.clone()));
            for want in filled {
                if !wants.contains(&want) {
                    wants.push(want);
                }
            }
        }
        let is_dangerous = wants.iter().any(|want| is_dangerous(&want.capability));
        Ok(GrantsSection { wants, unset, is_dangerous })
    }
}

impl fmt::Display for GrantsSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[grants]")?;
        let mut keys: Vec<&str> = Vec::new();
        for want in &self.wants {
            let key = want.capability.grant_key();
            if !keys.contains(&key) {
                keys.push(key);
                write_key(f, key, &self.wants)?;
            }
        }
        if self.is_dangerous {
            writeln!(f, "# with such a program it may do all that koid may")?;
            writeln!(f, "dangerous = true")?;
        }
        for want in &self.unset {
            let keys = want.capability.texts().flat_map(keys_in).map(|key| format!("`{key}`"));
            let keys = keys.collect::<Vec<_>>().join(" and ");
            let reason = if want.reason.is_empty() { String::new() } else { format!(" ({})", want.reason) };
            writeln!(f, "# with {keys} under [config] also: {}{reason}", want.capability)?;
        }
        Ok(())
    }
}

/// One key with all that is wanted under it, below what it is for.
fn write_key(f: &mut fmt::Formatter<'_>, key: &str, wants: &[Want]) -> fmt::Result {
    let of_key: Vec<_> = wants.iter().filter(|want| want.capability.grant_key() == key).collect();
    let mut said: Vec<&str> = Vec::new();
    for Want { capability, reason } in &of_key {
        let reason = match capability {
            Capability::ExecPath(_) => "with which arguments it runs this program it does not say",
            _ => reason.as_str(),
        };
        if !reason.is_empty() && !said.contains(&reason) {
            said.push(reason);
            writeln!(f, "# {reason}")?;
        }
    }
    if key == "lookup" {
        return writeln!(f, "lookup = true");
    }
    let entries: Vec<Value> = of_key.iter().map(|want| entry(&want.capability)).collect();
    match &entries[..] {
        [one] => writeln!(f, "{key} = [{one}]"),
        several => {
            writeln!(f, "{key} = [")?;
            several.iter().try_for_each(|one| writeln!(f, "    {one},"))?;
            writeln!(f, "]")
        }
    }
}

#[cfg(test)]
mod tests {
    use koi_plugin_api::{ConfigKey, Program};

    use super::*;

    fn want(capability: Capability, reason: &str) -> Want {
        Want { capability, reason: reason.into() }
    }

    fn program(words: &[&str]) -> Capability {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Capability::Exec(Program { words, ..Program::default() })
    }

    fn handler() -> Metadata {
        let key = |name: &str, default: &[&str]| ConfigKey {
            name: name.into(),
            default: default.iter().map(|text| (*text).to_owned()).collect(),
            many: true,
            ..ConfigKey::default()
        };
        Metadata {
            name: "address".into(),
            wants: vec![
                want(Capability::Tcp("{peers}".into()), "to ask the others"),
                want(program(&["/usr/sbin/ip", "address", "add", "{address}"]), "to set the address"),
                want(program(&["/usr/sbin/ip", "address", "del", "{address}"]), "to take it away"),
                want(Capability::Lookup, "to find the others"),
                want(Capability::Read("{folder}".into()), "to read what is there"),
            ],
            config: vec![key("peers", &["a:1", "b:2"]), key("address", &["10.0.0.9/24"]), key("folder", &[])],
            ..Metadata::default()
        }
    }

    #[test]
    fn the_section_can_be_written_into_service_toml() {
        let section = GrantsSection::new(&handler(), None).unwrap().to_string();
        assert_eq!(
            section,
            "[grants]\n\
             # to ask the others\n\
             tcp = [\n    \"a:1\",\n    \"b:2\",\n]\n\
             # to set the address\n\
             # to take it away\n\
             exec = [\n    \"/usr/sbin/ip address add 10.0.0.9/24\",\n    \"/usr/sbin/ip address del 10.0.0.9/24\",\n]\n\
             # to find the others\n\
             lookup = true\n\
             # with `folder` under [config] also: read = [\"{folder}\"] (to read what is there)\n"
        );
        let table: toml::Table = section.parse().unwrap();
        assert_eq!(table["grants"]["tcp"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_a_service_says_counts_and_a_mistake_is_named() {
        let peers = [Setting::said("peers", "c:3")];
        let section = GrantsSection::new(&handler(), Some(&peers)).unwrap().to_string();
        assert!(section.contains("tcp = [\"c:3\"]"), "{section}");
        let slip = [Setting::said("peer", "c:3")];
        let wrong = GrantsSection::new(&handler(), Some(&slip)).unwrap_err().to_string();
        assert!(wrong.contains("the nearest is `peers`"), "{wrong}");
    }

    #[test]
    fn what_is_dangerous_is_marked() {
        let wants = vec![want(program(&["/bin/sh", "-c", "*"]), "to run anything")];
        let section = GrantsSection::new(&Metadata { wants, ..Metadata::default() }, None).unwrap();
        assert!(section.is_dangerous && section.to_string().ends_with("dangerous = true\n"), "{section}");
    }
}
