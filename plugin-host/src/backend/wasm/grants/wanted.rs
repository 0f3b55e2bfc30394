//! What a handler says that it wants, against what is granted.

use std::path::Path;

use koi_plugin_api::{Capability, Program as WantedProgram, Want};
use toml::{Table, Value};

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::addresses::address::AddressText;
use crate::backend::wasm::grants::error::GrantError;
use crate::backend::wasm::grants::programs::launchers::leads_anywhere;
use crate::backend::wasm::grants::programs::program::Program;
use crate::resolver::Resolver;

impl Grants {
    /// Whether everything in `wanted` is granted. Blocks: names in it may have to be resolved.
    ///
    /// # Errors
    /// What lacks and the keys that `[grants]` must have, or what is not an address, a path or a name at all.
    pub(crate) fn check_wanted(&self, wanted: &[Want], resolver: &Resolver) -> Result<(), GrantError> {
        let mut missing: Vec<Want> = Vec::new();
        for want in wanted {
            if !self.covers(&want.capability, resolver)? && !missing.contains(want) {
                missing.push(want.clone());
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(GrantError::NotGranted {
                lacks: missing.iter().map(|want| self.lack(want)).collect(),
                keys: self.keys_for(&missing),
                missing,
            }),
        }
    }

    /// `exec "/usr/bin/lamp dark *" (To turn the beam off)`, and the entry that comes nearest. Blocks.
    fn lack(&self, Want { capability, reason }: &Want) -> String {
        let key = capability.grant_key();
        let what = match capability {
            Capability::Lookup => key.to_owned(),
            _ => format!("{key} {}", entry(capability)),
        };
        let nearest = nearest_entry(&self.written, &self.programs, capability);
        let nearest = nearest.map(|nearest| format!("{key} {nearest} does not cover it"));
        let beside: Vec<_> =
            Some(reason.clone()).filter(|reason| !reason.is_empty()).into_iter().chain(nearest).collect();
        if beside.is_empty() { what } else { format!("{what} ({})", beside.join("; ")) }
    }

    /// The keys of `[grants]` that grant `missing`, each whole, with what stands there now.
    fn keys_for(&self, missing: &[Want]) -> Vec<String> {
        let mut keys: Vec<&'static str> = Vec::new();
        for key in missing.iter().map(|want| want.capability.grant_key()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let line = |key: &str| match key {
            "lookup" => "lookup = true".to_owned(),
            _ => {
                let of_key = missing.iter().filter(|want| want.capability.grant_key() == key);
                self.line_with_all(key, of_key.map(|want| entry(&want.capability)))
            }
        };
        let mut lines: Vec<_> = keys.into_iter().map(line).collect();
        if !self.dangerous && missing.iter().any(|want| is_dangerous(&want.capability)) {
            lines.push("dangerous = true (with such a program it may do all that koid may)".to_owned());
        }
        lines
    }

    fn covers(&self, capability: &Capability, resolver: &Resolver) -> Result<bool, GrantError> {
        let sensible = |sensible: bool, expected: &'static str| match sensible {
            true => Ok(()),
            false => Err(GrantError::Senseless { capability: capability.clone(), expected }),
        };
        let address = |text: &str| {
            AddressText::parse(text)
                .map_err(|source| GrantError::SenselessAddress { capability: capability.clone(), source })
        };
        Ok(match capability {
            Capability::Exec(wanted) => {
                sensible(Path::new(capability.subject()).is_absolute(), "the absolute path of a program")?;
                let open_ends = wanted.words.iter().rev().skip(1).filter(|word| *word == "**");
                sensible(open_ends.count() == 0, "a program with `**` in the end alone")?;
                self.programs.iter().any(|program| program.covers(wanted, self.dangerous))
            }
            Capability::ExecPath(path) => {
                sensible(Path::new(path).is_absolute(), "the absolute path of a program")?;
                self.programs.iter().any(|program| program.is_at(path))
            }
            Capability::ExecEnv(name) => {
                sensible(!name.is_empty(), "the name of a variable")?;
                self.exec_env.contains(name)
            }
            Capability::Tcp(text) => {
                let address = address(text)?;
                self.tcp.iter().any(|granted| granted.covers(&address, resolver))
            }
            Capability::Udp(text) => {
                let address = address(text)?;
                self.udp.iter().any(|granted| granted.covers(&address, resolver))
            }
            Capability::Http(text) => {
                let address = address(text)?;
                self.http.iter().any(|granted| granted.covers(&address))
            }
            Capability::Lookup => self.lookup,
            Capability::Read(path) => {
                sensible(Path::new(path).is_absolute(), "an absolute path")?;
                self.reads(Path::new(path))
            }
            Capability::Write(path) => {
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

/// The entry under the key of `capability` that comes nearest to it; none: nothing there has to do with it. Blocks.
fn nearest_entry<'w>(written: &'w Table, programs: &[Program], capability: &Capability) -> Option<&'w Value> {
    let entries = written.get(capability.grant_key())?.as_array()?;
    match capability {
        Capability::Exec(wanted) => {
            let of_program =
                entries.iter().zip(programs).filter(|(_, program)| program.is_at(capability.subject()));
            // Of several the first.
            of_program.rev().max_by_key(|(_, program)| program.likeness(wanted)).map(|(entry, _)| entry)
        }
        Capability::Tcp(address) | Capability::Udp(address) | Capability::Http(address) => {
            let host = |text: &str| text.rsplit_once(':').map(|(host, _)| host.to_ascii_lowercase());
            let host_wanted = host(address)?;
            entries.iter().find(|entry| entry.as_str().and_then(host).as_ref() == Some(&host_wanted))
        }
        Capability::ExecPath(_)
        | Capability::ExecEnv(_)
        | Capability::Lookup
        | Capability::Read(_)
        | Capability::Write(_)
        | Capability::Env(_) => None,
    }
}

/// Whether nobody grants it but with `dangerous = true`. Blocks.
pub(crate) fn is_dangerous(capability: &Capability) -> bool {
    match capability {
        Capability::Exec(program) => {
            program.words.last().is_some_and(|word| word == "**")
                || leads_anywhere(Path::new(capability.subject()))
        }
        Capability::ExecPath(path) => leads_anywhere(Path::new(path)),
        _ => false,
    }
}

/// The entry of its key's list that grants it.
pub(crate) fn entry(capability: &Capability) -> Value {
    match capability {
        Capability::Exec(WantedProgram { words, user, keep }) => {
            let is_plain = |word: &String| !word.is_empty() && !word.contains(char::is_whitespace);
            let run = match words.iter().all(is_plain) {
                true => Value::from(words.join(" ")),
                false => Value::from(words.clone()),
            };
            if user.is_none() && !keep {
                return run;
            }
            let mut table = Table::from_iter([("run".to_owned(), run)]);
            table.extend(user.clone().map(|user| ("user".to_owned(), user.into())));
            table.extend(keep.then(|| ("keep".to_owned(), true.into())));
            Value::Table(table)
        }
        // A program alone would be one without arguments, and few are of use so. Which it has only its author knows.
        Capability::ExecPath(path) => format!("{path} *").into(),
        other => other.subject().into(),
    }
}
