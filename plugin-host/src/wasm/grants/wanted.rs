//! What a handler says that it wants, against what is granted.

use std::path::Path;

use koi_plugin_api::Capability;

use super::Grants;
use super::address::AddressText;

impl Grants {
    /// Whether everything in `wanted` is granted.
    ///
    /// # Errors
    /// A sentence with the lines that `[grants]` must have, or with what is not an address, a path or a name at all.
    pub(crate) fn check_wanted(&self, wanted: &[Capability]) -> Result<(), String> {
        let mut missing: Vec<(&'static str, Vec<toml::Value>)> = Vec::new();
        for capability in wanted {
            if self.covers(capability)? {
                continue;
            }
            let value = match capability {
                // A program alone would be one without arguments, and few are of use so.
                Capability::Exec(path) => format!("{path} **").into(),
                other => toml::Value::from(other.value()),
            };
            match missing.iter_mut().find(|(key, _)| *key == capability.grant_key()) {
                Some((_, values)) => values.push(value),
                None => missing.push((capability.grant_key(), vec![value])),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let about_exec = match missing.iter().any(|(key, _)| *key == "exec") {
            true => "; `**` stands for any arguments: patterns that say more are safer",
            false => "",
        };
        let lines: Vec<_> =
            missing.into_iter().map(|(key, values)| self.line_with_all(key, values)).collect();
        Err(format!(
            "the handler wants what is not granted; write under [grants] of service.toml: {}{about_exec}",
            lines.join(" and ")
        ))
    }

    fn covers(&self, capability: &Capability) -> Result<bool, String> {
        let sensible = |sensible: bool, what: &str| match sensible {
            true => Ok(()),
            false => {
                Err(format!("the handler wants `{capability}`, and that is not {what}; look at [config]"))
            }
        };
        Ok(match capability {
            Capability::Exec(path) => {
                sensible(Path::new(path).is_absolute(), "the absolute path of a program")?;
                self.programs.iter().any(|program| program.is_at(path))
            }
            Capability::TcpConnect(text) => {
                let address = AddressText::parse(text)
                    .map_err(|why| format!("the handler wants `{capability}`: {why}; look at [config]"))?;
                self.tcp.iter().any(|granted| granted.covers(&address))
            }
            Capability::FsRead(path) => {
                sensible(Path::new(path).is_absolute(), "an absolute path")?;
                self.reads(Path::new(path))
            }
            Capability::FsWrite(path) => {
                sensible(Path::new(path).is_absolute(), "an absolute path")?;
                self.write.iter().any(|granted| granted.holds(Path::new(path)))
            }
            Capability::Env(name) => {
                sensible(!name.is_empty(), "the name of a variable")?;
                self.env.contains(name)
            }
        })
    }
}
