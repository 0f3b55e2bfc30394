//! Who vouches for a plugin, in a few words.

use koi_proto::api::{Plugin, PluginSignature, SignatureState};

use crate::render::layout::Tone;

/// A line for people, and its tone.
pub(crate) fn line(signature: &PluginSignature) -> (String, Tone) {
    let key = signature.key.as_deref().unwrap_or("a key");
    let signed = signature.signed.as_deref().unwrap_or_default();
    match &signature.state {
        SignatureState::Signed => (format!("signed by {key} as {signed}"), Tone::Good),
        SignatureState::Unsigned => ("unsigned".to_owned(), Tone::Plain),
        SignatureState::Untrusted => {
            (format!("signed by the key {key}, which is not one of plugins.trusted_keys"), Tone::Warn)
        }
        SignatureState::Wrong => {
            (format!("signature is wrong: {}", signature.error.as_deref().unwrap_or_default()), Tone::Bad)
        }
        SignatureState::Unknown(word) => (word.clone(), Tone::Plain),
    }
}

/// Whether the list has a column for signatures: where nobody signs there is nothing to see.
pub(crate) fn are_shown(plugins: &[Plugin]) -> bool {
    let has_one = |signature: &PluginSignature| signature.state != SignatureState::Unsigned;
    plugins.iter().filter_map(|plugin| plugin.signature.as_ref()).any(has_one)
}
