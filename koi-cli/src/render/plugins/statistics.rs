//! What hooks cost: a line for each plugin, or for each hook of a service.

use koi_proto::api::{HandlerStatistics, HookStatistics, Plugin};

use crate::render::layout::Tone;
use crate::render::layout::clock::{instant, span_us};
use crate::render::layout::table::{Cell, Table, hanging};
use crate::render::layout::{View, text};

/// Columns of any column but the last.
const WIDEST: usize = 22;

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 8;

/// The plugins of which something was called; empty: none was, or an older koid does not say.
pub(crate) fn list(plugins: &[Plugin], view: &View) -> String {
    let mut table = Table::new(0, WIDEST);
    table.heads(&["NAME", "CALLS", "FAILED", "MEAN", "LONGEST", "MEMORY"]);
    let mut is_empty = true;
    for plugin in plugins {
        let Some(of) = plugin.statistics.as_ref().filter(|of| of.calls > 0) else { continue };
        is_empty = false;
        table.row(vec![
            Cell::new(&plugin.name).tone(Tone::Head),
            of.calls.to_string().into(),
            failures(of.failures),
            mean(of.time_total_us, of.calls).into(),
            span_us(of.time_longest_us).into(),
            of.memory_peak_bytes.map(text::size).unwrap_or_default().into(),
        ]);
    }
    if is_empty { String::new() } else { format!("\n{}", table.draw(view)) }
}

/// One service's hooks with its handler as it is now, and in a line what the handler before has cost.
pub(crate) fn service(
    now: Option<&HandlerStatistics>,
    before: Option<&HandlerStatistics>,
    view: &View,
) -> String {
    let mut page = now.map(|now| hooks(now, view)).unwrap_or_default();
    let before = before.map(summary).unwrap_or_default();
    page.push_str(&hanging("  before: ", &before, Tone::Dim, view));
    page
}

fn hooks(of: &HandlerStatistics, view: &View) -> String {
    if of.hooks.is_empty() {
        return String::new();
    }
    let mut table = Table::new(2, WIDEST);
    table.heads(&["HOOK", "CALLS", "FAILED", "TIMED OUT", "CRASHED", "MEAN", "LONGEST", "LAST"]);
    for (hook, of) in &of.hooks {
        let HookStatistics { calls, timed_out, crashed, time_total_us, .. } = *of;
        table.row(vec![
            hook.as_str().into(),
            calls.to_string().into(),
            failures(of.failures),
            failures(timed_out),
            failures(crashed),
            mean(time_total_us, calls).into(),
            span_us(of.time_longest_us).into(),
            span_us(of.time_last_us).into(),
        ]);
    }
    let memory = memory(of).map(|memory| format!("{memory}; ")).unwrap_or_default();
    let counted = format!("{memory}counted since {}", instant(of.since));
    table.draw(view) + &hanging("  ", &counted, Tone::Dim, view)
}

/// `0.1.0 (SHA-256 5f70bf18…): 1203 calls, 3 failed, 1.2ms each, at most 12.3 MiB of memory, of 64 MiB`.
fn summary(of: &HandlerStatistics) -> String {
    let all = of.all_hooks();
    let hash = of.hash.as_ref().map(|hash| hash.chars().take(HASH_SHOWN).collect::<String>());
    let content = hash.map_or("scripts".to_owned(), |hash| format!("SHA-256 {hash}…"));
    let calls = if all.calls == 1 { "1 call".to_owned() } else { format!("{} calls", all.calls) };
    let each = mean(all.time_total_us, all.calls);
    let memory = memory(of).map(|memory| format!(", {memory}")).unwrap_or_default();
    format!("{} ({content}): {calls}, {} failed, {each} each{memory}", of.version, all.failures)
}

/// `at most 12.3 MiB of memory, of 64 MiB`; none: nobody says.
fn memory(of: &HandlerStatistics) -> Option<String> {
    let peak = text::size(of.memory_peak_bytes?);
    let limit = of.memory_limit_bytes.map(|limit| format!(", of {}", text::size(limit))).unwrap_or_default();
    Some(format!("at most {peak} of memory{limit}"))
}

fn failures(count: u64) -> Cell {
    Cell::new(count.to_string()).tone(if count > 0 { Tone::Warn } else { Tone::Plain })
}

fn mean(total_us: u64, calls: u64) -> String {
    total_us.checked_div(calls).map(span_us).unwrap_or_default()
}
