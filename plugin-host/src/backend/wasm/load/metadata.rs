//! What a component says of itself, checked.

use koi_plugin_api::{Capability, ConfigKey, Hook, Metadata, for_people};

use crate::backend::wasm::protocol::DescribedHandler;

/// Characters of a text that people read in a line of a table.
const MESSAGE_CHARS: usize = 300;

/// Capabilities, and keys of the configuration, that a handler may name.
const NAMED: usize = 128;

/// Bytes of a capability, of a key and of its default.
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
    #[error("`describe` names more than {NAMED} capabilities or configuration keys")]
    TooMany,
    /// A text that is compared or shown is too long or not plain.
    #[error("`describe` names {text:?}, which has control characters or more than {NAMED_BYTES} bytes")]
    Text { text: String },
    /// A key has no name.
    #[error("`describe` names a configuration key without a name")]
    NamelessKey,
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
    if said.capabilities.len() > NAMED || said.config.len() > NAMED {
        return Err(MetadataError::TooMany);
    }
    let metadata = Metadata {
        name: said.name,
        version: for_people(&said.version, 64),
        description: for_people(&said.description, MESSAGE_CHARS),
        hooks: hooks.collect(),
        capabilities: said
            .capabilities
            .into_iter()
            .filter_map(|(key, value)| Capability::from_grant_key(&key, value))
            .collect(),
        config: said.config.into_iter().map(config_key).collect(),
    };
    check_texts(&metadata)?;
    Ok(metadata)
}

/// Capabilities and keys are compared and shown: they are short and plain, or refused.
fn check_texts(metadata: &Metadata) -> Result<(), MetadataError> {
    let values = metadata.capabilities.iter().map(Capability::value);
    let keys = metadata.config.iter().flat_map(|key| [Some(key.name.as_str()), key.default.as_deref()]);
    let mut texts = values.chain(keys.flatten());
    let bad = texts.find(|text| text.len() > NAMED_BYTES || text.contains(char::is_control));
    if let Some(text) = bad {
        return Err(MetadataError::Text { text: for_people(text, 80) });
    }
    match metadata.config.iter().any(|key| key.name.is_empty()) {
        true => Err(MetadataError::NamelessKey),
        false => Ok(()),
    }
}

fn config_key((name, description, required, default): (String, String, bool, Option<String>)) -> ConfigKey {
    ConfigKey { name, description: for_people(&description, MESSAGE_CHARS), required, default }
}
