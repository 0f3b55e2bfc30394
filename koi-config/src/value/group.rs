//! What is said of a group's place.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use koi_core::group::GroupName;
use koi_core::placing::Preference;
use toml::de::DeValue;

use super::error::Parsed;
use super::excerpt::excerpt;
use super::quote::{Escapes, quote};
use super::setting::{Setting, bracketed, list, mistyped, refuse, text};
use crate::config::Failback;

impl Setting for GroupName {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let name = text("the name of a group", value)?;
        name.parse().or_else(|error| refuse(format!("is {}, {error}", excerpt(name)), ""))
    }

    fn toml(&self) -> Option<String> {
        Some(quote(self.as_str(), Escapes::Toml))
    }
}

impl Setting for BTreeSet<GroupName> {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        let names = list("a list of groups", value, |item| GroupName::from_toml(item.get_ref(), folder))?;
        Ok(names.into_iter().collect())
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().filter_map(Setting::toml)))
    }
}

impl Setting for Preference {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        let expected = format!("a whole number from 0 (never master here) to {}", Preference::MOST);
        let number = u64::from_toml(value, folder).ok().map(Preference::new);
        match number {
            Some(Ok(preference)) => Ok(preference),
            Some(Err(_)) | None => mistyped(&expected, value, ""),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(self.get().to_string())
    }
}

impl Setting for Failback {
    fn from_toml(value: &DeValue<'_>, folder: &Path) -> Parsed<Self> {
        match value.as_str() {
            Some("off") => Ok(Failback::Off),
            Some(_) => Duration::from_toml(value, folder).map(Failback::After),
            None => mistyped("\"off\", or a time such as \"10m\"", value, ""),
        }
    }

    fn toml(&self) -> Option<String> {
        match self {
            Failback::Off => Some(quote("off", Escapes::Toml)),
            Failback::After(time) => time.toml(),
        }
    }
}
