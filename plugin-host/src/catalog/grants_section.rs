//! The `[grants]` that a plugin wants, as `service.toml` has them: for an operator to read, and to take out what it is not to have.

use std::fmt;

use koi_plugin_api::{Capability, Metadata, Want};

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
        for key in keys_of(&self.wants) {
            write_key(f, key, &self.wants, &self.unset)?;
        }
        if self.is_dangerous {
            writeln!(f, "# with such a program it may do all that koid may")?;
            writeln!(f, "dangerous = true")?;
        }
        let with_value = keys_of(&self.wants);
        for key in keys_of(&self.unset).into_iter().filter(|key| !with_value.contains(key)) {
            // As a whole it can be put in force by taking away each first `# `.
            let mut commented = String::new();
            write_key(&mut commented, key, &[], &self.unset)?;
            commented.lines().try_for_each(|line| writeln!(f, "# {line}"))?;
        }
        Ok(())
    }
}

/// The keys of `[grants]` for all this, each once.
fn keys_of(wants: &[Want]) -> Vec<&'static str> {
    let mut keys = Vec::new();
    for key in wants.iter().map(|want| want.capability.grant_key()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

/// One key with all that is wanted under it, each entry below what it is for. What hangs on a key that is not set is a comment among the
/// entries, so that the key stays one.
fn write_key(f: &mut impl fmt::Write, key: &str, wants: &[Want], unset: &[Want]) -> fmt::Result {
    let of_key = |wants: &[Want]| -> Vec<Want> {
        wants.iter().filter(|want| want.capability.grant_key() == key).cloned().collect()
    };
    let (wants, unset) = (of_key(wants), of_key(unset));
    if key == "lookup" {
        wants.iter().try_for_each(|want| write_reason(f, "", reason(want)))?;
        return writeln!(f, "lookup = true");
    }
    if let ([one], []) = (&wants[..], &unset[..]) {
        write_reason(f, "", reason(one))?;
        return writeln!(f, "{key} = [{}]", entry(&one.capability));
    }
    writeln!(f, "{key} = [")?;
    let mut said = "";
    for want in &wants {
        // Several values of one key have one reason, which stands above the first.
        let reason = reason(want);
        if reason != said {
            write_reason(f, "    ", reason)?;
            said = reason;
        }
        writeln!(f, "    {},", entry(&want.capability))?;
    }
    for want in &unset {
        let keys = want.capability.texts().flat_map(keys_in).map(|key| format!("`{key}`"));
        let keys = keys.collect::<Vec<_>>().join(" and ");
        let reason = if want.reason.is_empty() { String::new() } else { format!("{}; ", want.reason) };
        writeln!(f, "    # {reason}once {keys} is set under [config], with its value:")?;
        writeln!(f, "    # {},", entry(&want.capability))?;
    }
    writeln!(f, "]")
}

fn write_reason(f: &mut impl fmt::Write, indent: &str, reason: &str) -> fmt::Result {
    if reason.is_empty() { Ok(()) } else { writeln!(f, "{indent}# {reason}") }
}

fn reason(want: &Want) -> &str {
    match &want.capability {
        Capability::ExecPath(_) => "with which arguments it runs this program it does not say",
        _ => &want.reason,
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
             tcp = [\n    # to ask the others\n    \"a:1\",\n    \"b:2\",\n]\n\
             exec = [\n    # to set the address\n    \"/usr/sbin/ip address add 10.0.0.9/24\",\n    \
             # to take it away\n    \"/usr/sbin/ip address del 10.0.0.9/24\",\n]\n\
             # to find the others\n\
             lookup = true\n\
             # read = [\n\
             #     # to read what is there; once `folder` is set under [config], with its value:\n\
             #     # \"{folder}\",\n\
             # ]\n"
        );
        let table: toml::Table = section.parse().unwrap();
        assert_eq!(table["grants"]["tcp"].as_array().unwrap().len(), 2);
        // With the key that was commented out, and with its entry too.
        let taken = section.replace("\n# ", "\n").replace("to find the others\n", "");
        let taken = taken.replace("    # \"{folder}\",", "    \"/srv\",");
        let table: toml::Table = taken.parse().unwrap();
        assert_eq!(table["grants"]["read"][0].as_str(), Some("/srv"), "{taken}");
    }

    #[test]
    fn what_hangs_on_a_key_that_is_not_set_stands_among_the_entries() {
        let mut metadata = handler();
        metadata.wants.push(want(program(&["/bin/cat", "{folder}"]), "to look into it"));
        let section = GrantsSection::new(&metadata, None).unwrap().to_string();
        assert!(
            section.contains(
                "    # to look into it; once `folder` is set under [config], with its value:\n    # \"/bin/cat {folder}\",\n]\n"
            ),
            "{section}"
        );
        let taken = section.replace("    # \"/bin/cat", "    \"/bin/cat");
        let table: toml::Table = taken.parse().unwrap();
        assert_eq!(table["grants"]["exec"].as_array().unwrap().len(), 3, "{taken}");
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
