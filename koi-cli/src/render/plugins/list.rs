//! `koi plugins list`: a line for each plugin, below them why one cannot be used, and what each has cost.

use koi_proto::api::{Hook, OnDisk, Plugin, PluginKind, PluginState, SignatureState};

use super::{signature, statistics};
use crate::render::layout::Tone;
use crate::render::layout::clock::span;
use crate::render::layout::table::{Cell, Table, hanging};
use crate::render::layout::{View, text};

/// Columns of any column but the last: of as many hooks as are named one by one.
const WIDEST: usize = 22;

/// What most plugins have, in the order in which they name them.
const HOOKS: [Hook; 6] = [Hook::Start, Hook::Stop, Hook::Promote, Hook::Demote, Hook::Status, Hook::Failed];

/// The whole of it.
pub(crate) fn list(plugins: &[Plugin], view: &View) -> String {
    let mut table = Table::new(0, WIDEST);
    let signed = signature::are_shown(plugins);
    let heads = ["NAME", "KIND", "VERSION", "API", "HOOKS", "STATE", "SIGNATURE", "SERVICES"];
    table.heads(&heads.into_iter().filter(|head| signed || *head != "SIGNATURE").collect::<Vec<_>>());
    for plugin in plugins {
        let word = plugin.signature.as_ref().map_or("", |signature| signature.state.as_str());
        let mut cells = vec![
            Cell::new(&plugin.name).tone(Tone::Head),
            Cell::new(&plugin.kind),
            Cell::new(&plugin.version),
            // Its kind says of which interface; `inspect` has the whole.
            Cell::new(plugin.api_version.as_ref().unwrap_or(&plugin.api)).tone(Tone::Dim),
            hooks(&plugin.hooks).into(),
            Cell::new(&plugin.state).tone(tone(plugin)),
        ];
        cells.extend(signed.then(|| Cell::new(word)));
        cells.push(plugin.services.join(", ").into());
        table.row(cells);
    }
    let troubles: String = plugins.iter().map(|plugin| trouble(plugin, view)).collect();
    let gap = if troubles.is_empty() { "" } else { "\n" };
    table.draw(view) + gap + &troubles + &statistics::list(plugins, view)
}

/// The tone of its state: one that runs, but not as its file says, is to be looked at.
pub(crate) fn tone(plugin: &Plugin) -> Tone {
    match (&plugin.state, &plugin.error) {
        (PluginState::Ready, None) if plugin.problems.is_empty() => Tone::Good,
        (PluginState::Ready | PluginState::Compiling | PluginState::Loading, _) => Tone::Warn,
        (PluginState::Error | PluginState::Unknown(_), _) => Tone::Bad,
    }
}

/// Its hooks in a few words: few plugins have neither few nor nearly all.
fn hooks(hooks: &[Hook]) -> String {
    let six = lifecycle(hooks);
    match (hooks.contains(&Hook::Changed), six.is_empty()) {
        (true, true) => "changed".to_owned(),
        (true, false) => six + " + changed",
        (false, _) => six,
    }
}

fn lifecycle(hooks: &[Hook]) -> String {
    let missing: Vec<&Hook> = HOOKS.iter().filter(|hook| !hooks.contains(hook)).collect();
    match missing[..] {
        [] => "all".to_owned(),
        [one] => format!("all but {one}"),
        [one, other] => format!("all but {one} {other}"),
        _ => {
            let named = hooks.iter().filter(|hook| HOOKS.contains(hook));
            named.map(Hook::as_str).collect::<Vec<_>>().join(" ")
        }
    }
}

/// What is being done with its file.
pub(crate) fn loading(plugin: &Plugin, ms: u64) -> String {
    let file = plugin.path.as_deref().unwrap_or("its file");
    let doing = if plugin.kind == PluginKind::Wasm { "compiled" } else { "loaded" };
    let meanwhile = match plugin.state {
        PluginState::Ready => "; what is in force stays meanwhile",
        _ => "",
    };
    format!("{file} is being {doing}, for {} so far{meanwhile}", span(ms))
}

/// A text behind a plugin's name. One that is long, as a reference is, has its own line: it would leave no room beside it.
fn of_plugin(name: &str, said: &str, tone: Tone, view: &View) -> String {
    if text::width(name) <= WIDEST {
        return hanging(&format!("{name}: "), said, tone, view);
    }
    hanging("", &format!("{name}:"), tone, view) + &hanging("  ", said, tone, view)
}

/// Why it cannot be used, or not by every service, and what to do.
fn trouble(plugin: &Plugin, view: &View) -> String {
    let name = text::clean(&plugin.name);
    let mut lines = String::new();
    if let Some(ms) = plugin.loading_ms {
        lines.push_str(&of_plugin(&name, &loading(plugin, ms), Tone::Warn, view));
    }
    if plugin.on_disk == OnDisk::Changed && plugin.loading_ms.is_none() {
        let todo = "its file has changed since it was loaded: `koi reconfigure` takes it";
        lines.push_str(&of_plugin(&name, todo, Tone::Dim, view));
    }
    if let Some(signature) = plugin.signature.as_ref().filter(|found| found.state == SignatureState::Wrong) {
        lines.push_str(&of_plugin(&name, &signature::line(signature).0, Tone::Bad, view));
    }
    for used in &plugin.problems {
        let service = text::clean(&used.service);
        // Of one that cannot be used at all the reason follows.
        if !used.of_plugin || plugin.error.is_none() {
            let problem = format!("the service {service} cannot run with it: {}", used.problem);
            lines.push_str(&of_plugin(&name, &problem, Tone::Bad, view));
        }
    }
    let Some(error) = &plugin.error else { return lines };
    lines.push_str(&of_plugin(&name, error, tone(plugin), view));
    if let Some(path) = plugin.path.as_ref().filter(|_| plugin.on_disk != OnDisk::Gone) {
        // A reference is no file to check.
        let todo = match path.contains("://") {
            true => "once it is mended, koi reconfigure takes it".to_owned(),
            false => {
                format!("koi plugins check {path} tells more; once it is mended, koi reconfigure takes it")
            }
        };
        lines.push_str(&hanging("  ", &todo, Tone::Dim, view));
    }
    lines
}
