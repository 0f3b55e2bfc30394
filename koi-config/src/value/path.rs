//! Paths.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::error::Parsed;
use super::excerpt::{excerpt, is_a_key};
use super::quote::{Escapes, quote};
use super::setting::{Setting, bracketed, list, refuse, text};

impl Setting for PathBuf {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        let text = text("a path", value)?;
        if text.is_empty() || text.contains('\0') {
            return refuse(format!("must be a path, not {}", excerpt(text)), "");
        }
        if is_a_key(text) {
            return refuse(
                "must be the path of a file, and what stands here looks like a key itself",
                "put the key into a file of its own; `koi keygen` makes one",
            );
        }
        std::path::absolute(folder.join(text)).or_else(|e| {
            refuse(format!("cannot be made an absolute path: {e}"), "write a path that begins with /")
        })
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy(), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(quote(&self.to_string_lossy(), Escapes::Info))
    }
}

impl Setting for Vec<PathBuf> {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        list("a list of paths", value, |item| PathBuf::from_toml(item.get_ref(), folder))
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().filter_map(Setting::toml)))
    }
}
