//! A drill: what it will do, and what came of it.

use std::time::Duration;

use crate::commands::cluster::drill::Report;
use crate::commands::cluster::drill::phases::{Finding, Phase};
use crate::render::cluster::promoted::ceil_ms;
use crate::render::layout::clock::span_of;
use crate::render::layout::table::{Cell, Table, hanging};
use crate::render::layout::{Tone, View, text};

/// Columns of a time and of a finding: none has more.
const WIDEST: usize = 12;

/// What will be done, and to whom.
pub(crate) fn plan(head: &str, steps: &[String], view: &View) -> String {
    let mut page = hanging("", head, Tone::Plain, view);
    for (index, step) in steps.iter().enumerate() {
        page.push_str(&hanging(&format!("{:>3}. ", index + 1), step, Tone::Plain, view));
    }
    page
}

/// What took how long, and what came of it.
pub(crate) fn report(report: &Report, view: &View) -> String {
    let mut table = Table::new(2, WIDEST);
    table.heads(&["took", "at most", "", ""]);
    report.phases.iter().for_each(|phase| table.row(row(phase)));
    let mut page = format!("{}\n", text::clean(&report.head));
    page.push_str(&table.draw_wrapped(view));
    page.push_str(&hanging("  ", &report.end, if report.amiss { Tone::Bad } else { Tone::Plain }, view));
    page.push_str(&hanging("  ", &note(&report.phases), Tone::Dim, view));
    page
}

fn row(phase: &Phase) -> Vec<Cell> {
    let finding = phase.finding();
    let tone = match finding {
        Finding::Within => Tone::Good,
        Finding::OverHalf | Finding::NotMeasured => Tone::Warn,
        Finding::Exceeded => Tone::Bad,
        Finding::Unbounded => Tone::Plain,
    };
    let time = |time: Option<Duration>| time.map(span_of).unwrap_or_default();
    let what = match &phase.bound {
        Some(bound) => format!("{} ({})", phase.what, bound.name),
        None => phase.what.clone(),
    };
    vec![
        Cell::new(time(phase.took.map(|time| time.took))),
        Cell::new(time(phase.bound.as_ref().map(|bound| bound.at_most))),
        Cell::new(finding.as_str()).tone(tone),
        Cell::new(what),
    ]
}

/// Whose clock it was.
fn note(phases: &[Phase]) -> String {
    let within: Option<Duration> = phases.iter().filter_map(|phase| Some(phase.took?.within)).max();
    let within = within.map(|within| format!(", ± {} ms", ceil_ms(within))).unwrap_or_default();
    format!(
        "Times are by this machine's clock{within}: the nodes' events, placed by how soon each node answers when it is asked for its time."
    )
}
