//! `[policy]` of a `service.toml`: how much a service may do wrong.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::service::manifest;
use crate::service::manifest::{ManifestEntryError, SpannedError, unknown};
use crate::service::toml_places::in_file_order;

/// What may stand there.
pub(super) const POLICY_KEYS: [&str; 6] =
    ["status_failures", "status_retry", "restarts", "restart_window", "restart_timeout", "critical"];

/// Bad statuses in a row that a service may have at most.
const BAD_STATUSES: RangeInclusive<u32> = 1..=1000;

/// Restarts in a window.
const RESTARTS: RangeInclusive<u32> = 0..=100;

/// What koi.toml allows too.
const STATUS_RETRY: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
const RESTART_WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(7 * 24);
const RESTART_TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;
const DAY: Duration = Duration::from_hours(24);

/// `[policy]`: what this service wants other than `[services.policy]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicySettings {
    /// Bad statuses in a row with which it has failed, from 1.
    pub status_failures: Option<u32>,
    /// How soon `status` runs again after a bad one that was not the last.
    pub status_retry: Option<Duration>,
    /// How often within the window it is restarted in place before its failure is the node's.
    pub restarts: Option<u32>,
    /// In which restarts are counted.
    pub restart_window: Option<Duration>,
    /// How long a restart may take, with all services above it.
    pub restart_timeout: Option<Duration>,
    /// Whether its node has failed when it has.
    pub critical: Option<bool>,
}

/// Reads the section.
pub(super) fn policy(table: &DeTable<'_>) -> Result<PolicySettings, SpannedError> {
    let mut policy = PolicySettings::default();
    for (key, value) in in_file_order(table) {
        let name = key.get_ref().as_ref();
        match name {
            "status_failures" => policy.status_failures = Some(number(name, value, BAD_STATUSES)?),
            "status_retry" => policy.status_retry = Some(time(name, value, STATUS_RETRY)?),
            "restarts" => policy.restarts = Some(number(name, value, RESTARTS)?),
            "restart_window" => policy.restart_window = Some(time(name, value, RESTART_WINDOW)?),
            "restart_timeout" => policy.restart_timeout = Some(time(name, value, RESTART_TIMEOUT)?),
            "critical" => policy.critical = Some(truth(name, value)?),
            _ => return Err(unknown(key, &POLICY_KEYS)),
        }
    }
    Ok(policy)
}

fn number(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    allowed: RangeInclusive<u32>,
) -> Result<u32, SpannedError> {
    let read = match value.get_ref() {
        DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    let (least, most) = (*allowed.start(), *allowed.end());
    read.filter(|number| allowed.contains(number)).ok_or_else(|| {
        SpannedError::new(value, ManifestEntryError::NotANumber { key: key.to_owned(), least, most })
    })
}

fn time(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, SpannedError> {
    let read = manifest::time(key, value)?;
    let (least, most) = (*allowed.start(), *allowed.end());
    let out_of_range =
        || SpannedError::new(value, ManifestEntryError::OutOfRange { key: key.to_owned(), least, most });
    allowed.contains(&read).then_some(read).ok_or_else(out_of_range)
}

pub(super) fn truth(key: &str, value: &Spanned<DeValue<'_>>) -> Result<bool, SpannedError> {
    match value.get_ref() {
        DeValue::Boolean(truth) => Ok(*truth),
        _ => Err(SpannedError::new(value, ManifestEntryError::NotATruth(key.to_owned()))),
    }
}
