//! What a handler says that it wants, against what is granted.

use std::path::Path;

use koi_plugin_api::Capability;

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::address::AddressText;
use crate::backend::wasm::grants::error::GrantError;
use crate::resolver::Resolver;

impl Grants {
    /// Whether everything in `wanted` is granted. Blocks: names in it may have to be resolved.
    ///
    /// # Errors
    /// A sentence with the lines that `[grants]` must have, or with what is not an address, a path or a name at all.
    pub(crate) fn check_wanted(&self, wanted: &[Capability], resolver: &Resolver) -> Result<(), GrantError> {
        let mut missing: Vec<Capability> = Vec::new();
        let mut by_key: Vec<(&'static str, Vec<toml::Value>)> = Vec::new();
        for capability in wanted {
            if self.covers(capability, resolver)? {
                continue;
            }
            let value = match capability {
                // A program alone would be one without arguments, and few are of use so. Which it has only its author knows.
                Capability::Exec(path) => format!("{path} *").into(),
                other => toml::Value::from(other.value()),
            };
            match by_key.iter_mut().find(|(key, _)| *key == capability.grant_key()) {
                Some((_, values)) => values.push(value),
                None => by_key.push((capability.grant_key(), vec![value])),
            }
            missing.push(capability.clone());
        }
        if missing.is_empty() {
            return Ok(());
        }
        let lines = by_key.into_iter().map(|(key, values)| self.line_with_all(key, values)).collect();
        Err(GrantError::NotGranted { missing, lines })
    }

    fn covers(&self, capability: &Capability, resolver: &Resolver) -> Result<bool, GrantError> {
        let sensible = |sensible: bool, expected: &'static str| match sensible {
            true => Ok(()),
            false => Err(GrantError::Senseless { capability: capability.clone(), expected }),
        };
        Ok(match capability {
            Capability::Exec(path) => {
                sensible(Path::new(path).is_absolute(), "the absolute path of a program")?;
                self.programs.iter().any(|program| program.is_at(path))
            }
            Capability::TcpConnect(text) => {
                let address = AddressText::parse(text).map_err(|source| GrantError::SenselessAddress {
                    capability: capability.clone(),
                    source,
                })?;
                self.tcp.iter().any(|granted| granted.covers(&address, resolver))
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
