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

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(state: &str) -> Plugin {
        let signature = PluginSignature {
            state: state.into(),
            key: Some("RWQ".into()),
            signed: Some("redis 0.2.0".into()),
            error: Some("it was signed as redis 0.1.0".into()),
        };
        Plugin { signature: Some(signature), ..Plugin::default() }
    }

    #[test]
    fn who_vouches_for_a_plugin_is_said_in_a_line() {
        let said = |state: &str| line(&plugin(state).signature.unwrap_or_default()).0;
        assert_eq!(said("signed"), "signed by RWQ as redis 0.2.0");
        assert_eq!(said("unsigned"), "unsigned");
        assert_eq!(said("untrusted"), "signed by the key RWQ, which is not one of plugins.trusted_keys");
        assert_eq!(said("wrong"), "signature is wrong: it was signed as redis 0.1.0");
        assert_eq!(said("of a later koi"), "of a later koi");
    }

    #[test]
    fn where_nobody_signs_the_list_has_no_column_for_it() {
        assert!(!are_shown(&[Plugin::default(), plugin("unsigned")]));
        assert!(are_shown(&[Plugin::default(), plugin("untrusted")]));
    }
}
