//! A promotion that is done.

use std::time::Duration;

use crate::commands::cluster::chronicle::Measured;
use crate::commands::cluster::promotion::{Promoted, Times};
use crate::render::layout::Tone;
use crate::render::layout::View;
use crate::render::layout::clock::span_of;
use crate::render::layout::table::hanging;

/// Who is master, and how long after the order each step was done.
pub(crate) fn promoted(promoted: &Promoted, view: &View) -> String {
    let Promoted { node, group, epoch, from, already, times } = promoted;
    let of = if group.is_main() { String::new() } else { format!(" of {group}") };
    let place = match (already, from) {
        (true, _) => " already, with all its critical services".to_owned(),
        (false, Some(from)) if from != node => format!(", in place of {from}"),
        (false, _) => String::new(),
    };
    let mut page = hanging("", &format!("{node} is master{of} (epoch {epoch}){place}"), Tone::Plain, view);
    if *already {
        return page;
    }
    let after = |what: &str, time: Option<Measured>| match time {
        Some(time) => format!("{what} after {}", span_of(time.took)),
        None => format!("{what}: not measured"),
    };
    let demoted = from.as_ref().map(|from| after(&format!("{from} demoted"), times.demoted));
    let steps = [after("granted", times.granted), after(&format!("{node} promoted"), times.promoted)];
    let steps: Vec<String> = demoted.into_iter().chain(steps).collect();
    let within = uncertainty(times).map(|within| format!(" (± {} ms)", ceil_ms(within))).unwrap_or_default();
    page.push_str(&hanging("  ", &format!("{}{within}", steps.join(", ")), Tone::Plain, view));
    page
}

/// By how much these times may be wrong.
pub(crate) fn uncertainty(times: &Times) -> Option<Duration> {
    let Times { demoted, granted, promoted } = times;
    [demoted, granted, promoted].into_iter().flatten().map(|time| time.within).max()
}

/// A measured time in whole milliseconds.
pub(crate) fn ms(time: Measured) -> u64 {
    u64::try_from(time.took.as_millis()).unwrap_or(u64::MAX)
}

/// So many milliseconds at most.
pub(crate) fn ceil_ms(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}
