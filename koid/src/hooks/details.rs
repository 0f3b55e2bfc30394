//! What handlers said of their services besides their state: keys and values for people.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Pairs of one service; more are dropped.
const PAIRS: usize = 16;
/// Characters of a key and of a value.
const KEY_CHARS: usize = 64;
const VALUE_CHARS: usize = 256;

/// What one service has said, in its order.
type Pairs = Vec<(String, String)>;

/// The details of each service, by its name. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details(Arc<RwLock<HashMap<String, Pairs>>>);

impl Details {
    /// `service` has said this.
    pub(crate) fn set(&self, service: &str, details: &[(String, String)]) {
        if details.is_empty() {
            return self.clear(service);
        }
        let kept: Pairs =
            details.iter().take(PAIRS).map(|(k, v)| (cut(k, KEY_CHARS), cut(v, VALUE_CHARS))).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(service.to_owned(), kept);
    }

    /// What `service` has said does not hold any more.
    pub(crate) fn clear(&self, service: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(service);
    }

    /// What holds of `service`.
    pub(crate) fn for_service(&self, service: &str) -> Pairs {
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
        details.set("db", &said);
        let kept = details.for_service("db");
        assert_eq!(kept.len(), PAIRS);
        assert_eq!(kept[0], ("lag".into(), "3  [1m".into()));
        assert_eq!((kept[1].0.chars().count(), kept[1].1.chars().count()), (KEY_CHARS, VALUE_CHARS));
        details.set("db", &[]);
        assert!(details.for_service("db").is_empty() && details.for_service("web").is_empty());
    }
}
