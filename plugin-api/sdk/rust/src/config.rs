//! Keys of `[config]`: what a handler says of them, and their values.
//!
//! koid has looked at what `service.toml` says: a value has the form of its key's type.

use std::fmt;
use std::time::Duration;

use crate::{ConfigKey, ConfigType, Context, HookError, IntegerRange};

/// A key that need not be there, and has no default.
pub fn key(name: &str, kind: ConfigType, description: &str) -> ConfigKey {
    ConfigKey {
        name: name.into(),
        description: description.into(),
        kind,
        many: false,
        required: false,
        default: Vec::new(),
    }
}

impl ConfigKey {
    /// The same with a default, as `service.toml` would have it.
    pub fn or(mut self, default: &str) -> ConfigKey {
        self.default.push(default.into());
        self
    }

    /// The same; the service cannot run without it.
    pub fn required(mut self) -> ConfigKey {
        self.required = true;
        self
    }

    /// The same; it may have a list of values.
    pub fn many(mut self) -> ConfigKey {
        self.many = true;
        self
    }
}

/// Any whole number that fits into 32 bits.
pub const INT32: ConfigType = integer(i32::MIN as i64, i32::MAX as i64);

/// Whole numbers in a range.
pub const fn integer(least: i64, most: i64) -> ConfigType {
    ConfigType::Integer(IntegerRange { least, most })
}

impl Context {
    /// The value of a key, as a text; none: it has no value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.config.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All values of a key that may have many.
    pub fn texts<'c>(&'c self, key: &'c str) -> impl Iterator<Item = &'c str> {
        self.config.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The value of a key whose type is `integer`.
    ///
    /// # Errors
    /// It is no whole number that fits into `N`.
    pub fn integer<N: TryFrom<i64>>(&self, key: &str) -> Result<Option<N>, ConfigError> {
        self.parsed(key, "a whole number that fits", |text| N::try_from(text.parse().ok()?).ok())
    }

    /// The value of a key whose type is `boolean`.
    ///
    /// # Errors
    /// It is neither `true` nor `false`.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.parsed(key, "true or false", |text| text.parse().ok())
    }

    /// The value of a key whose type is `duration`.
    ///
    /// # Errors
    /// It is no number of milliseconds.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        self.parsed(key, "a number of milliseconds", |text| text.parse().ok().map(Duration::from_millis))
    }

    fn parsed<T>(
        &self,
        key: &str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let wrong = || ConfigError { key: key.to_owned(), expected };
        self.text(key).map(|text| parse(text).ok_or_else(wrong)).transpose()
    }
}

/// A value is not what it is taken for: `describe` gives the key another type. It does not say the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Of which key.
    pub key: String,
    /// What it should be.
    pub expected: &'static str,
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in [config] is not {}", self.key, self.expected)
    }
}

impl From<ConfigError> for HookError {
    fn from(error: ConfigError) -> HookError {
        HookError::Misconfigured(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Role;

    fn context(config: &[(&str, &str)]) -> Context {
        Context {
            service: "db".into(),
            node: "a".into(),
            call_id: 1,
            attempt: 1,
            role: Role::Standby,
            epoch: 0,
            master: None,
            timeout_ms: 1000,
            workdir: None,
            config: config.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
            deadline_ms: 1000,
            promoted_epoch: 0,
            previous: None,
            reason: None,
            group: "main".into(),
            peers: None,
        }
    }

    #[test]
    fn values_come_in_the_types_of_the_language() {
        let ctx = context(&[
            ("score", "-7"),
            ("patience", "1500"),
            ("quiet", "true"),
            ("peer", "a"),
            ("peer", "b"),
        ]);
        assert_eq!(ctx.integer::<i32>("score"), Ok(Some(-7)));
        assert_eq!(ctx.duration("patience"), Ok(Some(Duration::from_millis(1500))));
        assert_eq!(ctx.boolean("quiet"), Ok(Some(true)));
        assert_eq!(ctx.texts("peer").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(ctx.text("peer"), Some("a"));
    }

    #[test]
    fn a_key_without_a_value_has_none() {
        let ctx = context(&[]);
        assert_eq!((ctx.integer::<u16>("port"), ctx.duration("patience")), (Ok(None), Ok(None)));
        assert_eq!((ctx.boolean("quiet"), ctx.text("address")), (Ok(None), None));
    }

    #[test]
    fn a_value_of_another_type_is_told_without_showing_it() {
        let ctx = context(&[("score", "hunter2"), ("port", "70000")]);
        for (key, words) in
            [("score", "score in [config] is not a whole number"), ("port", "port in [config] is not")]
        {
            let error = ctx.integer::<u16>(key).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_key_says_all_of_itself() {
        let peers = key("peers", ConfigType::Address, "The others").required().many();
        assert_eq!((peers.required, peers.many, peers.default.len()), (true, true, 0));
        assert_eq!(key("patience", ConfigType::Duration, "").or("2s").default, ["2s"]);
    }
}
