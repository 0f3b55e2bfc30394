//! `[config]` of a service, held against what its handler understands.

use std::fmt;

use koi_plugin_api::ConfigKey;

/// All that is wrong with a service's `[config]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<ConfigKeyError>);

impl std::error::Error for ConfigError {}

/// One line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

/// What is wrong with one key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigKeyError {
    /// The handler does not know it.
    #[error("`{key}` under [config] is not a key of the handler {handler}; the nearest is `{nearest}`")]
    Unknown { key: String, handler: String, nearest: String },
    /// The handler needs it.
    #[error(
        "`{key}`{} is missing; write {key} = \"…\" under [config] of service.toml",
        in_brackets(description)
    )]
    Missing { key: String, description: String },
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}

/// The configuration that the handler gets: what the service says, and the handler's defaults for the rest. A handler that
/// declares no key takes any.
pub(crate) fn settle(
    handler: &str,
    declared: &[ConfigKey],
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, ConfigError> {
    if declared.is_empty() {
        return Ok(given.to_vec());
    }
    let is_given = |key: &ConfigKey| given.iter().any(|(name, _)| *name == key.name);
    let unknown = given.iter().filter(|(name, _)| declared.iter().all(|key| key.name != *name));
    let mut wrong: Vec<ConfigKeyError> =
        unknown.map(|(name, _)| unknown_key(handler, declared, name)).collect();
    let missing = declared.iter().filter(|key| key.required && key.default.is_none() && !is_given(key));
    wrong.extend(missing.map(missing_key));
    if !wrong.is_empty() {
        return Err(ConfigError(wrong));
    }
    let defaults = declared.iter().filter(|key| !is_given(key));
    let defaults = defaults.filter_map(|key| Some((key.name.clone(), key.default.clone()?)));
    Ok(given.iter().cloned().chain(defaults).collect())
}

fn unknown_key(handler: &str, declared: &[ConfigKey], name: &str) -> ConfigKeyError {
    let likeness = |key: &&ConfigKey| (strsim::jaro_winkler(name, &key.name) * 1000.0) as u32;
    let nearest = declared.iter().max_by_key(likeness).map(|key| key.name.clone()).unwrap_or_default();
    ConfigKeyError::Unknown { key: name.to_owned(), handler: handler.to_owned(), nearest }
}

fn missing_key(key: &ConfigKey) -> ConfigKeyError {
    ConfigKeyError::Missing { key: key.name.clone(), description: key.description.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, required: bool, default: Option<&str>) -> ConfigKey {
        let description = if required { "where it listens" } else { "" };
        ConfigKey {
            name: name.into(),
            description: description.into(),
            required,
            default: default.map(str::to_owned),
        }
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_not_said_has_the_handlers_default() {
        let declared =
            [key("address", true, None), key("port", false, Some("6379")), key("user", false, None)];
        let settled = settle("redis", &declared, &given(&[("address", "10.0.0.1")]));
        assert_eq!(settled, Ok(given(&[("address", "10.0.0.1"), ("port", "6379")])));
        let said = given(&[("port", "1"), ("address", "a")]);
        assert_eq!(settle("redis", &declared, &said), Ok(said), "what is said stays as it is");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let declared = [key("address", true, None), key("port", false, Some("6379"))];
        let wrong = settle("redis", &declared, &given(&[("adress", "x")])).unwrap_err().to_string();
        assert_eq!(
            wrong,
            "`adress` under [config] is not a key of the handler redis; the nearest is `address`; \
             `address` (where it listens) is missing; write address = \"…\" under [config] of service.toml"
        );
    }

    #[test]
    fn a_handler_that_declares_nothing_takes_anything() {
        let any = given(&[("x", "y")]);
        assert_eq!(settle("free", &[], &any), Ok(any));
    }
}
