//! What a handler says that it wants, against what is granted.

use std::path::Path;

use koi_plugin_api::{Capability, Program as WantedProgram, Want};
use toml::{Table, Value};

use crate::backend::wasm::grants::Grants;
use crate::backend::wasm::grants::addresses::address::AddressText;
use crate::backend::wasm::grants::error::GrantError;
use crate::backend::wasm::grants::programs::launchers::leads_anywhere;
use crate::resolver::Resolver;

impl Grants {
    /// Whether everything in `wanted` is granted. Blocks: names in it may have to be resolved.
    ///
    /// # Errors
    /// A sentence with the lines that `[grants]` must have, or with what is not an address, a path or a name at all.
    pub(crate) fn check_wanted(&self, wanted: &[Want], resolver: &Resolver) -> Result<(), GrantError> {
        let mut missing: Vec<Want> = Vec::new();
        for want in wanted {
            if !self.covers(&want.capability, resolver)? && !missing.contains(want) {
                missing.push(want.clone());
            }
        }
        match missing.is_empty() {
            true => Ok(()),
            false => Err(GrantError::NotGranted { lines: self.lines_for(&missing), missing }),
        }
    }

    /// The lines of `[grants]` that grant `missing` besides what stands there now, each with what it is for.
    fn lines_for(&self, missing: &[Want]) -> Vec<String> {
        let mut keys: Vec<&'static str> = Vec::new();
        for key in missing.iter().map(|want| want.capability.grant_key()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let line = |key: &str| {
            let of_key: Vec<_> = missing.iter().filter(|want| want.capability.grant_key() == key).collect();
            let line = match key {
                "lookup" => "lookup = true".to_owned(),
                _ => self.line_with_all(key, of_key.iter().map(|want| entry(&want.capability))),
            };
            let mut reasons: Vec<&str> = Vec::new();
            for want in of_key {
                if !want.reason.is_empty() && !reasons.contains(&want.reason.as_str()) {
                    reasons.push(&want.reason);
                }
            }
            if reasons.is_empty() { line } else { format!("{line} ({})", reasons.join("; ")) }
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
