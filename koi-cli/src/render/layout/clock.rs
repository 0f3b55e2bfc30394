//! Spans and instants as people read them.

use std::time::Duration;

/// A span: `40ms`, `1.4s`, `42s`, `12m 5s`, `3h 4m`, `3d 4h`.
pub(crate) fn span(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 => format!("{ms}ms"),
        1..10 => format!("{s}.{}s", ms % 1_000 / 100),
        10..60 => format!("{s}s"),
        60..3_600 => format!("{}m {}s", s / 60, s % 60),
        3_600..86_400 => format!("{}h {}m", s / 3_600, s % 3_600 / 60),
        _ => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// As [`span`] has it.
pub(crate) fn span_of(time: Duration) -> String {
    span(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A span in microseconds: `850µs`, `1.2ms`, and from ten milliseconds on as [`span`] has it.
pub(crate) fn span_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}µs"),
        1_000..10_000 => format!("{}.{}ms", us / 1_000, us % 1_000 / 100),
        _ => span(us / 1_000),
    }
}

/// How long ago something was heard from: less than a second is `now`.
pub(crate) fn seen(ms: u64) -> String {
    if ms < 1_000 { "now".to_owned() } else { span(ms) }
}

/// The time of day of an instant in milliseconds since 1970, in UTC: `12:03:04.123Z`.
pub(crate) fn time_of_day(at_ms: u64) -> String {
    let s = at_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}Z", s / 3_600, s / 60 % 60, s % 60, at_ms % 1_000)
}

/// An instant in seconds since 1970, in UTC: `2026-11-22 12:03:04Z`.
pub(crate) fn instant(at: u64) -> String {
    let (year, month, day) = date(at / 86_400);
    let s = at % 86_400;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z", s / 3_600, s / 60 % 60, s % 60)
}

/// The Gregorian date of a day counted from 1970-01-01: `civil_from_days` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms", for days that are not negative.
fn date(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_exact_as_one_needs() {
        let texts = [40, 1_450, 42_999, 725_000, 11_040_000, 273_600_000].map(span);
        assert_eq!(texts, ["40ms", "1.4s", "42s", "12m 5s", "3h 4m", "3d 4h"]);
        let texts = [0, 999, 1_000, 9_999, 10_000, 1_450_000].map(span_us);
        assert_eq!(texts, ["0µs", "999µs", "1.0ms", "9.9ms", "10ms", "1.4s"]);
    }

    #[test]
    fn instants_are_in_utc() {
        assert_eq!(instant(0), "1970-01-01 00:00:00Z");
        assert_eq!(instant(951_827_696), "2000-02-29 12:34:56Z");
        assert_eq!(instant(1_798_761_599), "2026-12-31 23:59:59Z");
        assert_eq!(time_of_day(43_384_123), "12:03:04.123Z");
    }
}
