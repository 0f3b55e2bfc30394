//! `[config]` of a service, held against what its handler understands.

use koi_plugin_api::ConfigKey;

/// The configuration that the handler gets: what the service says, and the handler's defaults for the rest. A handler that
/// declares no key takes any.
///
/// # Errors
/// All that is wrong, in one line for people: keys that are missing, keys that the handler does not know.
pub(crate) fn settle(
    handler: &str,
    declared: &[ConfigKey],
    given: &[(String, String)],
) -> Result<Vec<(String, String)>, String> {
    if declared.is_empty() {
        return Ok(given.to_vec());
    }
    let is_given = |key: &ConfigKey| given.iter().any(|(name, _)| *name == key.name);
    let unknown = given.iter().filter(|(name, _)| declared.iter().all(|key| key.name != *name));
    let mut wrong: Vec<String> = unknown.map(|(name, _)| unknown_key(handler, declared, name)).collect();
    let missing = declared.iter().filter(|key| key.required && key.default.is_none() && !is_given(key));
    wrong.extend(missing.map(missing_key));
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    let defaults = declared.iter().filter(|key| !is_given(key));
    let defaults = defaults.filter_map(|key| Some((key.name.clone(), key.default.clone()?)));
    Ok(given.iter().cloned().chain(defaults).collect())
}

fn unknown_key(handler: &str, declared: &[ConfigKey], name: &str) -> String {
    let likeness = |key: &&ConfigKey| (strsim::jaro_winkler(name, &key.name) * 1000.0) as u32;
    let nearest = declared.iter().max_by_key(likeness).map(|key| key.name.as_str()).unwrap_or_default();
    format!("`{name}` under [config] is not a key of the handler {handler}; the nearest is `{nearest}`")
}

fn missing_key(key: &ConfigKey) -> String {
    let what = if key.description.is_empty() { String::new() } else { format!(" ({})", key.description) };
    format!("`{0}`{what} is missing; write {0} = \"…\" under [config] of service.toml", key.name)
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
        let wrong = settle("redis", &declared, &given(&[("adress", "x")])).unwrap_err();
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
