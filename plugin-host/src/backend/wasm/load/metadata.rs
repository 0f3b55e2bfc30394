//! What a component says of itself, checked.

use koi_plugin_api::{ConfigKey, ConfigKind, Hook, Metadata, Want, for_people};

use crate::backend::wasm::protocol::DescribedHandler;
use crate::config::value::{self, ValueError};

/// Characters of a text that people read in a line of a table.
const MESSAGE_CHARS: usize = 300;

/// Wants, keys of the configuration, words of a program, values of a key: no more of each.
const NAMED: usize = 128;

/// Bytes of a want's text, of a key and of its default.
const NAMED_BYTES: usize = 1024;

/// Which part of what a component says of itself cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Its name has other characters, or too many of them.
    #[error("its name is {name:?}: it must be 1 to 64 of the characters a-z, 0-9 and `-`")]
    Name { name: String },
    /// It does nothing.
    #[error("it has no hooks: `describe` must name at least one")]
    NoHooks,
    /// It lists too much.
    #[error("`describe` names more than {NAMED} {what}")]
    TooMany { what: &'static str },
    /// A text that is compared or shown is too long or not plain.
    #[error("`describe` names {text:?}, which has control characters or more than {NAMED_BYTES} bytes")]
    Text { text: String },
    /// A key has no name.
    #[error("`describe` names a configuration key without a name")]
    NamelessKey,
    /// Nothing is a value of such a key.
    #[error("`describe` says that the configuration key `{key}` is {kind}: nothing is")]
    EmptyKind { key: String, kind: ConfigKind },
    /// A key's default is no value of it.
    #[error("`describe` gives the configuration key `{key}` a default that it does not take: {source}")]
    Default { key: String, source: Box<ValueError> },
    /// There are several defaults for one value.
    #[error("`describe` gives the configuration key `{key}` {count} defaults, and it takes one value")]
    Defaults { key: String, count: usize },
    /// A secret that everybody can read in the component.
    #[error("`describe` gives the configuration key `{key}` a default, and it is a secret")]
    SecretDefault { key: String },
    /// A secret has many values.
    #[error("`describe` says that the configuration key `{key}` takes many values, and it is a secret")]
    ManySecrets { key: String },
}

/// What a component says of itself.
pub(crate) fn metadata(said: DescribedHandler) -> Result<Metadata, MetadataError> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if said.name.is_empty() || said.name.len() > 64 || !said.name.chars().all(is_name) {
        let name = for_people(&said.name, 80);
        return Err(MetadataError::Name { name });
    }
    let hooks = Hook::ALL.into_iter().filter(|hook| said.hooks & 1 << *hook as u8 != 0);
    if hooks.clone().next().is_none() {
        return Err(MetadataError::NoHooks);
    }
    for (what, count) in [("wants", said.wants.len()), ("configuration keys", said.config.len())] {
        if count > NAMED {
            return Err(MetadataError::TooMany { what });
        }
    }
    let metadata = Metadata {
        name: said.name,
        version: for_people(&said.version, 64),
        description: for_people(&said.description, MESSAGE_CHARS),
        hooks: hooks.collect(),
        wants: said
            .wants
            .into_iter()
            .map(|want| Want { reason: for_people(&want.reason, MESSAGE_CHARS), ..want })
            .collect(),
        config: said
            .config
            .into_iter()
            .map(|key| ConfigKey { description: for_people(&key.description, MESSAGE_CHARS), ..key })
            .collect(),
    };
    check_wants(&metadata.wants)?;
    metadata.config.iter().try_for_each(check_key)?;
    Ok(metadata)
}

/// Wants are compared and shown: their texts are short and plain, or refused.
fn check_wants(wants: &[Want]) -> Result<(), MetadataError> {
    for want in wants {
        let mut count = 0;
        for text in want.capability.texts() {
            count += 1;
            check_text(text)?;
        }
        if count > NAMED {
            return Err(MetadataError::TooMany { what: "words of one program" });
        }
    }
    Ok(())
}

fn check_key(key: &ConfigKey) -> Result<(), MetadataError> {
    let name = || key.name.clone();
    check_text(&key.name)?;
    if key.name.is_empty() {
        return Err(MetadataError::NamelessKey);
    }
    match &key.kind {
        ConfigKind::OneOf(texts) => {
            if texts.len() > NAMED {
                return Err(MetadataError::TooMany { what: "values of one key" });
            }
            texts.iter().try_for_each(|text| check_text(text))?;
            if texts.is_empty() {
                return Err(MetadataError::EmptyKind { key: name(), kind: key.kind.clone() });
            }
        }
        ConfigKind::Integer { least, most } if least > most => {
            return Err(MetadataError::EmptyKind { key: name(), kind: key.kind.clone() });
        }
        ConfigKind::Secret if !key.default.is_empty() => {
            return Err(MetadataError::SecretDefault { key: name() });
        }
        ConfigKind::Secret if key.many => return Err(MetadataError::ManySecrets { key: name() }),
        ConfigKind::Any
        | ConfigKind::Text
        | ConfigKind::Integer { .. }
        | ConfigKind::Boolean
        | ConfigKind::Duration
        | ConfigKind::Address
        | ConfigKind::Ip
        | ConfigKind::Secret => {}
    }
    match key.default.len() {
        0 | 1 => {}
        count if !key.many => return Err(MetadataError::Defaults { key: name(), count }),
        count if count > NAMED => return Err(MetadataError::TooMany { what: "values of one key" }),
        _ => {}
    }
    for text in &key.default {
        check_text(text)?;
        value::read(&key.kind, text)
            .map_err(|error| MetadataError::Default { key: name(), source: Box::new(error) })?;
    }
    Ok(())
}

fn check_text(text: &str) -> Result<(), MetadataError> {
    match text.len() > NAMED_BYTES || text.contains(char::is_control) {
        true => Err(MetadataError::Text { text: for_people(text, 80) }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(key: ConfigKey) -> String {
        let said = DescribedHandler {
            name: "redis".into(),
            hooks: 1,
            config: vec![ConfigKey { name: "port".into(), ..key }],
            ..DescribedHandler::default()
        };
        metadata(said).unwrap_err().to_string()
    }

    #[test]
    fn a_key_that_nothing_fits_is_refused() {
        let of = |kind| ConfigKey { kind, ..ConfigKey::default() };
        let upside_down = refused(of(ConfigKind::Integer { least: 2, most: 1 }));
        assert!(upside_down.ends_with("`port` is integer 2 to 1: nothing is"), "{upside_down}");
        assert!(refused(of(ConfigKind::OneOf(Vec::new()))).ends_with("nothing is"));
        assert!(refused(ConfigKey { many: true, ..of(ConfigKind::Secret) }).contains("it is a secret"));
    }

    #[test]
    fn a_default_is_a_value() {
        let with = |kind, default: &[&str]| ConfigKey {
            kind,
            default: default.iter().map(|text| (*text).to_owned()).collect(),
            ..ConfigKey::default()
        };
        assert!(refused(with(ConfigKind::Duration, &["10"])).contains("a default that it does not take"));
        assert!(refused(with(ConfigKind::Text, &["a", "b"])).contains("2 defaults"));
        assert!(refused(with(ConfigKind::Secret, &["hunter2"])).ends_with("a default, and it is a secret"));
        assert!(refused(with(ConfigKind::Text, &["a\nb"])).contains("control characters"));
    }
}
