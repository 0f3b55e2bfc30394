//! What handlers said of their services besides their state, and which file of a plugin it was that said so.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Pairs of one service; more are dropped.
const PAIRS: usize = 16;
/// Characters of a key and of a value.
const KEY_CHARS: usize = 64;
const VALUE_CHARS: usize = 256;

/// What one service has said with its newest `status`, which ended well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Keys and values for people, in its order.
    pub(crate) details: Vec<(String, String)>,
    /// SHA-256 of the plugin's file, in hexadecimal digits; none: a script has said it.
    pub(crate) plugin_hash: Option<String>,
}

/// What each service has said, by its name. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details(Arc<RwLock<HashMap<String, Said>>>);

impl Details {
    /// `service` has said this.
    pub(crate) fn set(&self, service: &str, details: &[(String, String)], plugin_hash: Option<String>) {
        let details: Vec<_> =
            details.iter().take(PAIRS).map(|(k, v)| (cut(k, KEY_CHARS), cut(v, VALUE_CHARS))).collect();
        if details.is_empty() && plugin_hash.is_none() {
            return self.clear(service);
        }
        let said = Said { details, plugin_hash };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), said);
    }

    /// What `service` has said does not hold any more.
    pub(crate) fn clear(&self, service: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(service);
    }

    /// What holds of `service`.
    pub(crate) fn for_service(&self, service: &str) -> Said {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }
}

/// One line of at most so many characters, harmless to a terminal.
fn cut(text: &str, chars: usize) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().nth(chars) {
        None => text.chars().map(harmless).collect(),
        Some(_) => text.chars().take(chars - 1).map(harmless).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_says_is_bounded_and_harmless() {
        let details = Details::default();
        let mut said = vec![("lag".to_owned(), "3\n\u{1b}[1m".to_owned()), ("x".repeat(99), "y".repeat(999))];
        said.extend((0..99).map(|n| (n.to_string(), String::new())));
        details.set("db", &said, Some("ab".into()));
        let Said { details: kept, plugin_hash } = details.for_service("db");
        assert_eq!(plugin_hash.as_deref(), Some("ab"));
        assert_eq!(kept.len(), PAIRS);
        assert_eq!(kept[0], ("lag".into(), "3  [1m".into()));
        assert_eq!((kept[1].0.chars().count(), kept[1].1.chars().count()), (KEY_CHARS, VALUE_CHARS));
        details.set("db", &[], None);
        assert_eq!(
            (details.for_service("db"), details.for_service("web")),
            (Said::default(), Said::default())
        );
    }
}
