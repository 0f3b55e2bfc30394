//! `koi plugins inspect`: all that is known of one plugin.

use koi_proto::api::{Grant, Hook, OnDisk, PluginCompiled, PluginConfigKey, PluginDetail, PluginUse};

use super::list::{loading, tone};
use super::{signature, statistics};
use crate::render::layout::Tone;
use crate::render::layout::clock::span;
use crate::render::layout::table::{fact, hanging};
use crate::render::layout::{View, text};

/// Columns of a key of the configuration.
const KEY: usize = 24;
/// Before each line of what something is wanted for.
const COMMENT: &str = "  # ";

/// The whole of it.
pub(crate) fn plugin(detail: &PluginDetail, view: &View) -> String {
    let plugin = &detail.plugin;
    let title = format!("{} {}", text::clean(&plugin.name), text::clean(&plugin.version));
    let state = view.paint.tone(tone(plugin), &text::clean(plugin.state.as_str()));
    let mut page = format!("{}: {state}\n", view.paint.head(title.trim()));
    page.push_str(&hanging("  ", plugin.error.as_deref().unwrap_or_default(), tone(plugin), view));
    let loading = plugin.loading_ms.map(|ms| loading(plugin, ms));
    page.push_str(&hanging("  ", loading.as_deref().unwrap_or_default(), Tone::Warn, view));
    page.push_str(&facts(detail, view));
    page.push_str(&configuration(&detail.config, view));
    page.push_str(&imports(&detail.imports, view));
    page.push_str(&capabilities(detail, view));
    page
}

fn facts(detail: &PluginDetail, view: &View) -> String {
    let plugin = &detail.plugin;
    let mut lines = String::new();
    let mut say = |name: &str, value: &str, tone: Tone| lines.push_str(&fact(name, value, tone, view));
    say("description", &plugin.description, Tone::Plain);
    let built = if plugin.api.is_empty() { String::new() } else { format!(", built for {}", plugin.api) };
    say("kind", &(format!("{}{built}", plugin.kind)), Tone::Plain);
    say("hooks", &hooks(&plugin.hooks), Tone::Plain);
    let services =
        if plugin.services.is_empty() { "none uses it".to_owned() } else { plugin.services.join(", ") };
    say("services", &services, Tone::Plain);
    say("file", plugin.path.as_deref().unwrap_or_default(), Tone::Plain);
    if detail.size_bytes > 0 {
        say("size", &text::size(detail.size_bytes), Tone::Plain);
    }
    if let Some(compiled) = &detail.compiled {
        say("compiled", &compile_state(compiled), Tone::Plain);
    }
    let (now, tone) = on_disk(&detail.plugin.on_disk);
    say("on disk", now, tone);
    if let Some(signature) = &plugin.signature {
        let (line, tone) = signature::line(signature);
        say("signature", &line, tone);
    }
    // It is wider than a fact: on a line of its own it can be copied.
    if let Some(hash) = &plugin.hash {
        lines.push_str(&hanging("  ", &format!("SHA-256 {hash}"), Tone::Dim, view));
    }
    lines
}

fn hooks(hooks: &[Hook]) -> String {
    match hooks.len() {
        0 => "none".to_owned(),
        6 => "all of them".to_owned(),
        _ => format!(
            "{}; the others count as done",
            hooks.iter().map(Hook::as_str).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn compile_state(compiled: &PluginCompiled) -> String {
    let how = if compiled.cached { "read from the cache" } else { "compiled for this load" };
    format!("{}, {how} in {}", text::size(compiled.size_bytes), span(compiled.took_ms))
}

fn on_disk(on_disk: &OnDisk) -> (&str, Tone) {
    match on_disk {
        OnDisk::Same => ("as it was loaded", Tone::Plain),
        OnDisk::Changed => ("changed since it was loaded: `koi reconfigure` takes it", Tone::Warn),
        OnDisk::Refused => {
            ("another file, which cannot be used; what was loaded stays until koid is restarted", Tone::Warn)
        }
        OnDisk::Gone => {
            ("gone since it was loaded; what was loaded stays until `koi reconfigure`", Tone::Warn)
        }
        OnDisk::NoFile | OnDisk::Unknown(_) => (on_disk.as_str(), Tone::Plain),
    }
}

fn configuration(keys: &[PluginConfigKey], view: &View) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let width = keys.iter().map(|key| text::width(&key.name)).max().unwrap_or(0).min(KEY);
    let mut page = format!("\n{}\n", view.paint.head("[config]"));
    for key in keys {
        let name = text::cut(&text::clean(&key.name), KEY);
        page.push_str(&hanging(&format!("  {}  ", text::pad(&name, width)), &about(key), Tone::Plain, view));
    }
    page
}

fn about(key: &PluginConfigKey) -> String {
    let said = text::open(&key.description);
    let kind = key.kind.as_deref().unwrap_or_default();
    let kind = match (kind, key.many) {
        ("", _) => String::new(),
        (kind, false) => format!("{kind}, "),
        (kind, true) => format!("list of {kind}, "),
    };
    let need = match (&key.default, key.required) {
        (Some(default), _) => format!("default {default:?}"),
        (None, true) => "required".to_owned(),
        (None, false) => "optional".to_owned(),
    };
    if said.is_empty() { format!("{kind}{need}") } else { format!("{said} ({kind}{need})") }
}

fn imports(imports: &[String], view: &View) -> String {
    if imports.is_empty() {
        return String::new();
    }
    format!("\n{}\n{}", view.paint.head("imports"), hanging("  ", &imports.join(", "), Tone::Plain, view))
}

/// What it wants of the node, and service by service what it is granted.
fn capabilities(detail: &PluginDetail, view: &View) -> String {
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

/// Whether something wanted is granted.
enum Granted<'u> {
    /// By this entry.
    By(&'u Grant),
    /// By one of these: ranges are koid's to judge, and it says so as the service's problem when none fits.
    BySome(Vec<&'u Grant>),
    /// Surely not.
    Missing,
    /// The service could not be opened, and so nobody has put its grants in order.
    Unknown,
}

fn granted<'u>(wish: &Grant, used: &'u PluginUse) -> Granted<'u> {
    let of_kind: Vec<&Grant> = used.grants.iter().filter(|grant| is_of_kind(grant, wish)).collect();
    let is_missing =
        used.missing.iter().any(|missing| missing.key == wish.key && could_become(&wish.line, &missing.line));
    let is_program = wish.key == "exec";
    let by_name: Vec<&Grant> = of_kind.iter().copied().filter(|grant| grant.value == wish.value).collect();
    let by_words = by_name.iter().copied().find(|grant| !is_program || grants_words(grant, wish));
    if is_missing {
        return Granted::Missing;
    }
    match (by_words, &of_kind[..]) {
        (Some(grant), _) => Granted::By(grant),
        (None, []) if used.problem.is_none() || !used.grants.is_empty() => Granted::Missing,
        (None, []) => Granted::Unknown,
        (None, [one]) => Granted::By(one),
        (None, _) if !by_name.is_empty() => Granted::BySome(by_name),
        (None, _) => Granted::BySome(of_kind),
    }
}

/// Whether a granted command line holds the wanted one, as far as that shows without the values of its keys in braces.
fn grants_words(grant: &Grant, wish: &Grant) -> bool {
    let words = |line: &str, from: &str| -> Vec<String> {
        let line = line.strip_prefix(from).unwrap_or(line);
        let line = line.split(" (as ").next().unwrap_or(line).replace(" (what it starts is kept)", "");
        let line: String = line.chars().filter(|c| !matches!(c, '"' | '[' | ']' | ',')).collect();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let (granted, wanted) = (words(&grant.line, "exec "), words(&wish.line, "exec = "));
    let (granted, is_open) = match granted.split_last() {
        Some((last, before)) if last == "**" => (before, true),
        _ => (&granted[..], false),
    };
    let fits = |(granted, wanted): (&String, &String)| {
        granted == wanted || granted.contains('*') || could_become(wanted, granted)
    };
    let is_long_enough = if is_open { wanted.len() >= granted.len() } else { wanted.len() == granted.len() };
    is_long_enough && granted.iter().zip(&wanted).all(fits)
}

/// Whether `line` is what `wish` is with values in place of its keys in braces.
fn could_become(wish: &str, line: &str) -> bool {
    let mut pieces = wish.split('{').enumerate().map(|(at, piece)| match piece.split_once('}') {
        Some((_, after)) if at > 0 => after,
        _ => piece,
    });
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = "";
    for piece in pieces {
        // The leftmost place for each leaves most room for the next.
        let Some(at) = rest.find(last) else { return false };
        rest = &rest[at + last.len()..];
        last = piece;
    }
    rest == last || wish.contains('{') && rest.ends_with(last)
}

/// Whether an entry of what is granted is of the kind that is wished. Who may write may read.
fn is_of_kind(grant: &Grant, wish: &Grant) -> bool {
    grant.key == wish.key || (wish.key == "read" && grant.key == "write")
}
