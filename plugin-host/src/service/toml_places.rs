//! Where things stand in a TOML file.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key with its place.
pub(crate) type TomlKey<'i> = Spanned<Cow<'i, str>>;
/// A value with its place.
pub(crate) type TomlValue<'i> = Spanned<DeValue<'i>>;

/// The entries of a table as they stand in the file.
pub(crate) fn in_file_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<(&'t TomlKey<'i>, &'t TomlValue<'i>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
