//! `koi plugins inspect`: all that is known of one plugin.

mod capabilities;
mod granted;

use koi_proto::api::{Hook, OnDisk, PluginCompiled, PluginConfigKey, PluginDetail};

use self::capabilities::capabilities;
use super::list::{loading, tone};
use super::signature;
use crate::render::layout::Tone;
use crate::render::layout::clock::span;
use crate::render::layout::table::{fact, hanging};
use crate::render::layout::{View, text};

/// Columns of a key of the configuration.
const KEY: usize = 24;

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
