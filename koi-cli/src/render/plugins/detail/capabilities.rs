//! What a plugin wants of the node, and what each service grants it.

use koi_proto::api::{Grant, PluginDetail, PluginUse};

use super::granted::{Granted, granted};
use crate::render::layout::Tone;
use crate::render::layout::table::hanging;
use crate::render::layout::{View, text};
use crate::render::plugins::statistics;

/// Before each line of what something is wanted for.
const COMMENT: &str = "  # ";

/// What it wants of the node, and service by service what it is granted.
pub(super) fn capabilities(detail: &PluginDetail, view: &View) -> String {
    if detail.used_by.is_empty() {
        return wanted(detail, view);
    }
    detail.used_by.iter().map(|used| service(detail, used, view)).collect()
}

fn wanted(detail: &PluginDetail, view: &View) -> String {
    if detail.wanted.is_empty() {
        return String::new();
    }
    let head = view.paint.head("wants of the node; in service.toml of a service that uses it");
    format!("\n{head}\n{}", section(detail, view))
}

/// All that is wanted as it stands in `service.toml`. An older koid has lines only.
fn section(detail: &PluginDetail, view: &View) -> String {
    if detail.wants.is_empty() {
        return detail.wanted.iter().map(|line| format!("  {}\n", text::clean(line))).collect();
    }
    grants(detail.wants.iter(), view)
}

/// As they stand in `service.toml`: a key can be there only once. What it is for stands above it.
fn grants<'w>(wanted: impl Iterator<Item = &'w Grant>, view: &View) -> String {
    let mut keys: Vec<(&str, Vec<&Grant>)> = Vec::new();
    for grant in wanted {
        match keys.iter_mut().find(|(known, _)| *known == grant.key) {
            Some((_, grants)) => grants.push(grant),
            None => keys.push((&grant.key, vec![grant])),
        }
    }
    let mut page = "  [grants]\n".to_owned();
    for (key, grants) in keys {
        let mut reasons: Vec<&str> = Vec::new();
        for grant in &grants {
            if !grant.reason.is_empty() && !reasons.contains(&grant.reason.as_str()) {
                reasons.push(&grant.reason);
            }
        }
        for reason in reasons {
            let columns = view.width.saturating_sub(COMMENT.len());
            let lines = text::wrap(reason, columns, columns);
            lines.iter().for_each(|line| page.push_str(&format!("{COMMENT}{}\n", view.paint.dim(line))));
        }
        let entries: Option<Vec<_>> = grants.iter().map(|grant| entry(grant)).collect();
        let line = match &entries {
            Some(entries) => format!("{key} = [{}]", entries.join(", ")),
            None => grants[0].line.clone(),
        };
        let (line, entries) = (text::clean(&line), entries.unwrap_or_default());
        if entries.len() < 2 || text::width(&line) + 2 <= view.width {
            page.push_str(&format!("  {line}\n"));
        } else {
            page.push_str(&format!("  {key} = [\n", key = text::clean(key)));
            entries.iter().for_each(|entry| page.push_str(&format!("    {},\n", text::clean(entry))));
            page.push_str("  ]\n");
        }
    }
    page
}

/// The entry of a list that grants it; none: its line is no list.
fn entry(grant: &Grant) -> Option<String> {
    let list = grant.line.strip_prefix(&format!("{} = ", grant.key));
    match list {
        Some(list) => Some(list.strip_prefix('[')?.strip_suffix(']')?.to_owned()),
        None => Some(format!("{:?}", grant.value)),
    }
}

/// What is wanted, and below each what grants it.
fn service(detail: &PluginDetail, used: &PluginUse, view: &View) -> String {
    let mut page = format!("\n{}\n", view.paint.head(&format!("service {}", text::clean(&used.service))));
    page.push_str(&hanging("  ", used.problem.as_deref().unwrap_or_default(), Tone::Bad, view));
    let missing = compare(detail, used, view, &mut page);
    if !missing.is_empty() {
        page.push_str(&format!("  what is missing, in service.toml of {}:\n", text::clean(&used.service)));
        page.push_str(&match used.missing.is_empty() {
            // koid has filled in what is configured.
            false => grants(used.missing.iter(), view),
            true => grants(missing.into_iter(), view),
        });
    }
    for limit in &used.limits {
        page.push_str(&hanging("  limit: ", limit, Tone::Dim, view));
    }
    page.push_str(&statistics::service(used.statistics.as_ref(), used.statistics_before.as_ref(), view));
    page
}

/// Draws of each thing that is wanted what grants it, and returns what is missing. The lines of an older koid say nothing of what belongs
/// together.
fn compare<'d>(detail: &'d PluginDetail, used: &PluginUse, view: &View, page: &mut String) -> Vec<&'d Grant> {
    if detail.wants.is_empty() {
        for line in &detail.wanted {
            page.push_str(&hanging("  wants ", line, Tone::Plain, view));
        }
    }
    let mut missing = Vec::new();
    let mut named: Vec<&Grant> = Vec::new();
    for wish in &detail.wants {
        page.push_str(&hanging("  wants ", &wish.line, Tone::Plain, view));
        page.push_str(&hanging("        # ", &wish.reason, Tone::Dim, view));
        let (said, tone) = match granted(wish, used) {
            Granted::By(grant) => {
                named.push(grant);
                (format!("granted: {}", grant.line), Tone::Good)
            }
            Granted::BySome(grants) => {
                let said = grants.iter().map(|grant| grant.line.as_str()).collect::<Vec<_>>().join(", ");
                named.extend(grants);
                (format!("granted, by one of: {said}"), Tone::Good)
            }
            Granted::Missing => {
                missing.push(wish);
                ("not granted".to_owned(), Tone::Bad)
            }
            Granted::Unknown => ("not known whether it is granted".to_owned(), Tone::Dim),
        };
        page.push_str(&hanging("        ", &said, tone, view));
    }
    for line in used.granted.iter().filter(|line| !named.iter().any(|grant| grant.line == **line)) {
        page.push_str(&hanging("  granted besides: ", line, Tone::Plain, view));
    }
    missing
}
