//! What a test gives: configuration, grants, store, names, variables, the clock and the node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use toml::de::DeValue;
use toml::value::{Datetime, Offset};

use crate::config::setting::SettingValue;
use crate::conformance::trial_group::{Attributes, WriteFault, put};
use crate::scripted::file::bytes::bytes;
use crate::scripted::file::error::{SpannedEntryError, TestEntryError};
use crate::scripted::file::fields::{Fields, Result, Value, kind, laid_over, text, word};

/// How long a hook may take where nobody says. It is short: what a test waits for is there at once.
const TIMEOUT: Duration = Duration::from_secs(10);

const KEYS: [&str; 15] = [
    "config",
    "grants",
    "limits",
    "store",
    "names",
    "env",
    "clock",
    "epoch",
    "timeout",
    "node",
    "service",
    "master",
    "group",
    "attributes",
    "attribute_writes",
];

/// What is there before the first hook.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) config: BTreeMap<String, SettingValue>,
    /// `[grants]` and `[limits]` as in a `service.toml`.
    pub(crate) grants: toml::Table,
    pub(crate) limits: toml::Table,
    pub(crate) store: BTreeMap<String, Vec<u8>>,
    /// The addresses of names. Others are not known.
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    /// koid's environment, as far as `env` under `grants` lets the handler see it.
    pub(crate) env: BTreeMap<String, String>,
    /// What the wall clock says, since 1970.
    pub(crate) clock: Option<Duration>,
    pub(crate) epoch: Option<u64>,
    pub(crate) timeout: Duration,
    pub(crate) node: String,
    pub(crate) service: Option<String>,
    /// Name and address of the node that is master; none: by the hook.
    pub(crate) master: Option<(String, String)>,
    /// The group that the service is promoted with; none: `main`.
    pub(crate) group: Option<String>,
    /// What its attributes are before the first call.
    pub(crate) attributes: Attributes,
    /// How writes of them go wrong.
    pub(crate) attribute_writes: Option<WriteFault>,
}

impl Default for Given {
    fn default() -> Given {
        Given {
            config: BTreeMap::new(),
            grants: toml::Table::new(),
            limits: toml::Table::new(),
            store: BTreeMap::new(),
            names: BTreeMap::new(),
            env: BTreeMap::new(),
            clock: None,
            epoch: None,
            timeout: TIMEOUT,
            node: "test".into(),
            service: None,
            master: None,
            group: None,
            attributes: Attributes::new(),
            attribute_writes: None,
        }
    }
}

impl Given {
    /// What `value` says, and `before` where it says nothing.
    pub(super) fn read(before: &Given, value: Option<&Value<'_>>) -> Result<Given> {
        let Some(value) = value else { return Ok(before.clone()) };
        let fields = Fields::within("given", value, "given", &KEYS)?;
        let mut given = before.clone();
        given.config = laid_over(&before.config, fields.settings("config")?);
        given.env = laid_over(&before.env, fields.texts("env")?);
        given.grants.extend(fields.raw("grants")?);
        given.limits.extend(fields.raw("limits")?);
        for (key, value) in fields.pairs("store")? {
            given.store.insert(key.clone(), bytes(&key, value)?);
        }
        for (name, value) in fields.pairs("names")? {
            given.names.insert(name.to_ascii_lowercase(), addresses(&name, value)?);
        }
        given.clock = moment(&fields, "clock")?.or(before.clock);
        given.epoch = fields.number("epoch", "a whole number, from 0 on")?.or(before.epoch);
        given.timeout = fields.time("timeout")?.unwrap_or(before.timeout);
        given.node = fields.text("node")?.unwrap_or(given.node);
        given.service = fields.text("service")?.or(given.service);
        given.master = master(&fields)?.or(given.master);
        given.group = fields.text("group")?.or(given.group);
        for (key, value) in fields.pairs("attributes")? {
            put(&mut given.attributes, &key, &text(&key, value)?)
                .map_err(|error| SpannedEntryError::of(value, error.into()))?;
        }
        if let Some(value) = fields.get("attribute_writes") {
            let words = [
                ("refused", WriteFault::Refused),
                ("unavailable", WriteFault::Unavailable),
                ("unknown", WriteFault::Unknown),
            ];
            given.attribute_writes =
                Some(word(value, "attribute_writes", "how writes of attributes go wrong", &words)?);
        }
        Ok(given)
    }
}

/// A moment, since 1970.
pub(super) fn moment(fields: &Fields<'_, '_>, key: &str) -> Result<Option<Duration>> {
    let Some(value) = fields.get(key) else { return Ok(None) };
    let moment: Option<Datetime> = match value.get_ref() {
        DeValue::Datetime(moment) => Some(*moment),
        DeValue::String(text) => text.parse().ok(),
        _ => None,
    };
    let wrong = || SpannedEntryError::of(value, TestEntryError::Moment { key: key.to_owned() });
    moment.and_then(since_1970).map(Some).ok_or_else(wrong)
}

/// None: it is none in UTC, or before that.
fn since_1970(moment: Datetime) -> Option<Duration> {
    let (date, time) = (moment.date?, moment.time?);
    if moment.offset? != Offset::Z {
        return None;
    }
    // Days since the first of March of the year 0, by which a leap day is the last of its year.
    let (year, month) = match date.month {
        1 | 2 => (i64::from(date.year) - 1, i64::from(date.month) + 9),
        _ => (i64::from(date.year), i64::from(date.month) - 3),
    };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = 365 * year + leap_days + (153 * month + 2) / 5 + i64::from(date.day) - 1;
    const UNTIL_1970: i64 = 719_468;
    let of_day = i64::from(time.hour) * 3600
        + i64::from(time.minute) * 60
        + i64::from(time.second.unwrap_or_default());
    let seconds = u64::try_from((days - UNTIL_1970) * 86_400 + of_day).ok()?;
    Some(Duration::new(seconds, time.nanosecond.unwrap_or_default()))
}

/// One address, or a list of them.
fn addresses(name: &str, value: &Value<'_>) -> Result<Vec<IpAddr>> {
    let address = |value: &Value<'_>| match value.get_ref() {
        DeValue::String(text) => text.parse::<IpAddr>().map_err(|_| {
            let (key, text) = (name.to_owned(), text.to_string());
            SpannedEntryError::of(value, TestEntryError::Address { key, text, expected: "an IP address" })
        }),
        _ => Err(kind(value, name, "an IP address in double quotes, or a list of them")),
    };
    match value.get_ref() {
        DeValue::Array(list) => list.iter().map(address).collect(),
        _ => Ok(vec![address(value)?]),
    }
}

fn master(fields: &Fields<'_, '_>) -> Result<Option<(String, String)>> {
    let Some(value) = fields.get("master") else { return Ok(None) };
    let fields = Fields::within("master", value, "master", &["name", "address"])?;
    let name = fields.text("name")?.ok_or_else(|| fields.missing("name", "name = \"b\""))?;
    let address = fields.text("address")?;
    let address = address.ok_or_else(|| fields.missing("address", "address = \"10.0.0.2\""))?;
    Ok(Some((name, address)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_counted_from_1970() {
        let seconds = |text: &str| since_1970(text.parse().unwrap()).map(|time| time.as_secs());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:01Z"), Some(951_825_601));
        assert_eq!(seconds("2026-01-01T00:00:00Z"), Some(1_767_225_600));
        assert_eq!(seconds("2100-03-01T00:00:00Z"), Some(4_107_542_400), "2100 has no leap day");
        assert_eq!(seconds("1969-12-31T23:59:59Z"), None);
        assert_eq!(seconds("2026-01-01T00:00:00+02:00"), None);
        assert_eq!(seconds("2026-01-01"), None);
    }
}
