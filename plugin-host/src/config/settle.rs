//! What a service says, and what its handler declares: the configuration that the handler gets.

use koi_plugin_api::{ConfigKey, ConfigKind};

use crate::config::error::{ConfigError, ConfigKeyError};
use crate::config::nearest::nearest;
use crate::config::setting::{SecretFile, ServiceConfig, Setting, SettingValue};
use crate::config::value;

/// The configuration that the handler gets: what the service says, and the handler's defaults for the rest. A handler that
/// declares no key takes any text.
pub(crate) fn settle(
    handler: &str,
    declared: &[ConfigKey],
    given: &[Setting],
) -> Result<ServiceConfig, ConfigError> {
    let mut config = ServiceConfig::default();
    let mut wrong = Vec::new();
    let any = ConfigKey::default();
    for setting in given {
        let key = match declared.iter().find(|key| key.name == setting.key) {
            Some(key) => key,
            None if declared.is_empty() => &any,
            None => {
                wrong.push(unknown_key(handler, declared, setting));
                continue;
            }
        };
        if let Err(error) = take(&mut config, key, setting) {
            wrong.push(error);
        }
    }
    let unsaid = || declared.iter().filter(|key| given.iter().all(|setting| setting.key != key.name));
    wrong.extend(unsaid().filter(|key| key.required && key.default.is_empty()).map(missing_key));
    config.values.extend(defaults(unsaid()));
    if wrong.is_empty() { Ok(config) } else { Err(ConfigError(wrong)) }
}

/// What keys are that nobody sets.
pub(crate) fn defaults<'k>(keys: impl IntoIterator<Item = &'k ConfigKey>) -> Vec<(String, String)> {
    // Loading the handler has seen to it that they are values of their keys.
    let of = |key: &'k ConfigKey| {
        let values = key.default.iter().filter_map(|text| value::read(&key.kind, text).ok());
        values.map(|value| (key.name.clone(), value)).collect::<Vec<_>>()
    };
    keys.into_iter().flat_map(of).collect()
}

fn take(config: &mut ServiceConfig, key: &ConfigKey, setting: &Setting) -> Result<(), ConfigKeyError> {
    let Setting { key: name, line, .. } = setting;
    let (key_name, line) = (|| name.clone(), *line);
    match (&setting.value, &key.kind, key.many) {
        (SettingValue::File(path), ConfigKind::Secret, _) if path.is_absolute() => {
            config.secrets.push(SecretFile { key: key_name(), path: path.clone() });
            return Ok(());
        }
        (SettingValue::File(path), ConfigKind::Secret, _) => {
            return Err(ConfigKeyError::RelativeFile { key: key_name(), line, path: path.clone() });
        }
        (SettingValue::File(_), _, _) => return Err(ConfigKeyError::File { key: key_name(), line }),
        (_, ConfigKind::Secret, _) => return Err(ConfigKeyError::Inline { key: key_name(), line }),
        (SettingValue::Many(_), _, false) => return Err(ConfigKeyError::List { key: key_name(), line }),
        (SettingValue::One(_) | SettingValue::Many(_), _, _) => {}
    }
    let texts = match &setting.value {
        SettingValue::One(text) => std::slice::from_ref(text),
        SettingValue::Many(texts) => texts,
        SettingValue::File(_) => &[],
    };
    for text in texts {
        let read = value::read(&key.kind, text);
        let value = read.map_err(|source| ConfigKeyError::Value { key: key_name(), line, source })?;
        config.values.push((key_name(), value));
    }
    Ok(())
}

fn unknown_key(handler: &str, declared: &[ConfigKey], setting: &Setting) -> ConfigKeyError {
    let nearest = nearest(&setting.key, declared.iter().map(|key| key.name.as_str())).to_owned();
    let (key, line) = (setting.key.clone(), setting.line);
    ConfigKeyError::Unknown { key, line, handler: handler.to_owned(), nearest }
}

fn missing_key(key: &ConfigKey) -> ConfigKeyError {
    ConfigKeyError::Missing {
        key: key.name.clone(),
        description: key.description.clone(),
        kind: key.kind.clone(),
        many: key.many,
    }
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
            default: default.map(str::to_owned).into_iter().collect(),
            ..ConfigKey::default()
        }
    }

    fn of_kind(name: &str, kind: ConfigKind) -> ConfigKey {
        ConfigKey { name: name.into(), kind, ..ConfigKey::default() }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn given(pairs: &[(&str, &str)]) -> Vec<Setting> {
        pairs.iter().map(|(key, value)| Setting::said(key, value)).collect()
    }

    fn error(declared: &[ConfigKey], settings: &[Setting]) -> String {
        settle("redis", declared, settings).unwrap_err().to_string()
    }

    #[test]
    fn what_is_not_said_has_the_handlers_default() {
        let declared =
            [key("address", true, None), key("port", false, Some("6379")), key("user", false, None)];
        let settled = settle("redis", &declared, &given(&[("address", "10.0.0.1")])).unwrap();
        assert_eq!(settled.values, pairs(&[("address", "10.0.0.1"), ("port", "6379")]));
        let said = [("port", "1"), ("address", "a")];
        let settled = settle("redis", &declared, &given(&said)).unwrap();
        assert_eq!(settled.values, pairs(&said), "what is said stays as it is");
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let declared = [key("address", true, None), key("port", false, Some("6379"))];
        assert_eq!(
            error(&declared, &given(&[("adress", "x")])),
            "`adress` under [config] is not a key of the handler redis; the nearest is `address`; \
             `address` (where it listens) is missing; write address = \"…\" under [config] of service.toml"
        );
    }

    #[test]
    fn a_handler_that_declares_nothing_takes_any_text_and_no_list_or_file() {
        let settled = settle("free", &[], &given(&[("x", "y")])).unwrap();
        assert_eq!(settled.values, pairs(&[("x", "y")]));
        let list = Setting { value: SettingValue::Many(vec!["a".into()]), line: 4, ..Setting::said("x", "") };
        let said =
            "`x` under [config] (line 4) is a list, and one value is wanted: a text, a number, true or false";
        assert_eq!(error(&[], &[list]), said);
        let file = Setting { value: SettingValue::File("/a".into()), line: 4, ..Setting::said("x", "") };
        assert!(error(&[], &[file]).contains("only a key that the handler declares a secret"));
    }

    #[test]
    fn a_key_with_many_values_is_there_once_for_each() {
        let peers = ConfigKey {
            many: true,
            default: vec!["a:1".into(), "b:2".into()],
            ..of_kind("peers", ConfigKind::Address)
        };
        let declared = [peers, of_kind("wait", ConfigKind::Duration)];
        let settled = settle("redis", &declared, &given(&[("wait", "2s")])).unwrap();
        assert_eq!(settled.values, pairs(&[("wait", "2000"), ("peers", "a:1"), ("peers", "b:2")]));
        let said = |texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).to_owned()).collect();
            [Setting { value: SettingValue::Many(texts), line: 9, ..Setting::said("peers", "") }]
        };
        let settled = settle("redis", &declared, &said(&["c:3"])).unwrap();
        assert_eq!(settled.values, pairs(&[("peers", "c:3")]));
        assert!(settle("redis", &declared, &said(&[])).unwrap().values.is_empty(), "none is none");
        let wrong = error(&declared, &said(&["c:3", "d"]));
        assert!(wrong.starts_with("`peers` under [config] (line 9): \"d\" is not an address"), "{wrong}");
    }

    #[test]
    fn a_secret_comes_from_a_file_and_is_repeated_nowhere() {
        let declared = [ConfigKey { required: true, ..of_kind("password", ConfigKind::Secret) }];
        let inline = error(&declared, &given(&[("password", "hunter2")]));
        assert_eq!(
            inline,
            "`password` under [config] is a secret: put it into a file that only root may read, and say --config password=@FILE"
        );
        let line = error(&declared, &[Setting { line: 3, ..Setting::said("password", "hunter2") }]);
        assert!(line.ends_with("and write password = { file = \"/etc/koi/secrets/…\" }"), "{line}");
        let file = |path: &str| {
            [Setting { value: SettingValue::File(path.into()), line: 2, ..Setting::said("password", "") }]
        };
        let settled = settle("redis", &declared, &file("/etc/koi/secrets/db")).unwrap();
        let expected = SecretFile { key: "password".into(), path: "/etc/koi/secrets/db".into() };
        let settled_secrets = vec![expected];
        assert_eq!((&settled.values, &settled.secrets), (&vec![], &settled_secrets));
        assert!(error(&declared, &file("db")).contains("db is no absolute path"));
        let said = [Setting::of_command_line("password", "@/etc/koi/secrets/db")];
        assert_eq!(settle("redis", &declared, &said).unwrap().secrets, settled_secrets);
        assert_eq!(Setting::of_command_line("a", "@@b").value, SettingValue::One("@b".into()));
        assert!(error(&declared, &[]).contains("write password = { file = \"/etc/koi/secrets/…\" }"));
    }
}
