//! Public keys of those whose signatures count.

use std::path::Path;

use koi_artifact::signature::{TrustedKey, TrustedKeys};
use toml::de::DeValue;

use super::error::Parsed;
use super::quote::{Escapes, quote};
use super::setting::{Setting, bracketed, list, refuse, text};

/// Keys that a node may trust; each signature is compared with all of them.
const KEYS: usize = 256;

impl Setting for TrustedKeys {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let keys = list("a list of public keys", value, |item| {
            let key = text("a public key", item.get_ref())?.parse::<TrustedKey>();
            // It is not repeated: somebody may have taken the secret one.
            let hint = "take the second line of the .pub file that minisign or `koi plugins keygen` has made; it begins with RW";
            key.or_else(|_| refuse("holds a text that is no public key of minisign", hint))
        })?;
        match keys.len() {
            0..=KEYS => Ok(TrustedKeys::new(keys)),
            more => refuse(format!("must have at most {KEYS} keys, not {more}"), ""),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().map(|key| quote(&key.to_string(), Escapes::Toml))))
    }
}
