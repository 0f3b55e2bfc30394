//! `koi plugins inspect`: of a file, and of what a node knows by name; where several versions are there, by NAME@VERSION.

use std::path::Path;

use koi_config::load;
use koi_proto::api::{ErrorCode, Plugin, PluginDetail};

use super::inspected;
use super::paths::{PLUGINS, at_node, one};
use crate::cli::{Inspect, Options, PluginVersion};
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;

/// Whether a plugin is named by its file. Names of plugins have neither slashes nor dots, and their versions no slashes.
pub(super) fn is_file(plugin: &str) -> bool {
    let name = plugin.split_once('@').map_or(plugin, |(name, _)| name);
    plugin.contains('/') || name.contains('.') || Path::new(plugin).is_file()
}

/// A file is not a plugin of any daemon: a koid of our own looks into it.
pub(super) fn file(options: &Options, args: &Inspect, out: Out) -> Result<u8, CommandError> {
    if args.node.is_some() {
        let hint = "a file lies on this machine, whatever node is asked: leave --node out, or give the plugin's name";
        return Err(CommandError::usage("--node goes with a name", hint));
    }
    // Without a configuration nobody's signature counts.
    let trusted = load(options.file.as_deref()).map(|loaded| loaded.config.plugins.trusted_keys);
    let looked =
        inspected::inspect(args.plugin.as_ref(), args.service.as_deref(), &trusted.unwrap_or_default())?;
    out.show(&looked.raw, |view| render::plugins::detail::plugin(&looked.detail, view))?;
    Ok(if looked.well { exit::WELL } else { exit::FAILED })
}

/// A plugin that a daemon knows by this name.
pub(super) async fn named(daemon: &Daemon, args: &Inspect, out: Out) -> Result<u8, CommandError> {
    if args.service.is_some() {
        let hint = "a name asks the daemon, which knows the services that use it: leave --service out, or name the file";
        return Err(CommandError::usage("--service goes with a file", hint));
    }
    let wanted = Wanted::read(&args.plugin)?;
    let node = args.node.as_deref();
    let known = daemon.get::<Vec<Plugin>>(&at_node(PLUGINS, node)).await?.value;
    let chosen = choose(&known, &wanted)?;
    let asked = chosen.and_then(|plugin| plugin.path.as_deref()).unwrap_or(&wanted.name);
    let answer = daemon.get::<PluginDetail>(&at_node(&one(asked), node)).await?;
    out.show(&answer.raw, |view| render::plugins::detail::plugin(&answer.value, view))?;
    let all = namesakes(&known, &wanted.name);
    if wanted.version.is_none() && all.len() > 1 && !out.is_json() {
        let shown = version(&answer.value.plugin);
        let note = format!("this is {shown}; {}\n{}", listed(&all), how_to_choose(&wanted.name));
        out.note(&note);
    }
    Ok(exit::WELL)
}

/// What is asked for: `NAME` or `NAME@VERSION`.
struct Wanted {
    name: String,
    version: Option<String>,
}

impl Wanted {
    fn read(text: &str) -> Result<Wanted, CommandError> {
        if !text.contains('@') {
            return Ok(Wanted { name: text.to_owned(), version: None });
        }
        let PluginVersion { name, version } =
            text.parse().map_err(|error| CommandError::usage(format!("{text}: {error}"), ""))?;
        Ok(Wanted { name, version: Some(version) })
    }
}

/// The plugin that is meant; none: the daemon knows by its name alone which one that is, or that it has none.
fn choose<'p>(known: &'p [Plugin], wanted: &Wanted) -> Result<Option<&'p Plugin>, CommandError> {
    let all = namesakes(known, &wanted.name);
    let are_used = |plugins: &[&'p Plugin]| -> Vec<&'p Plugin> {
        plugins.iter().copied().filter(|plugin| !plugin.services.is_empty()).collect()
    };
    let Some(version) = &wanted.version else {
        return match are_used(&all)[..] {
            _ if all.len() < 2 => Ok(None),
            // Which one a service would get is the daemon's to say.
            [] => Ok(None),
            [used] => Ok(Some(used)),
            [..] => {
                let message = format!("services use several versions of {}", wanted.name);
                let hint = format!("{}\n{}", listed(&all), how_to_choose(&wanted.name));
                Err(CommandError::usage(message, hint))
            }
        };
    };
    let same: Vec<&Plugin> = all.iter().copied().filter(|plugin| plugin.version == *version).collect();
    match (same.first(), &all[..]) {
        // Of several files that call themselves so the one that is used counts.
        (Some(first), _) => Ok(Some(are_used(&same).first().copied().unwrap_or(first))),
        (None, []) => Ok(None),
        (None, all) => {
            let message = format!("no {} {version} is known", wanted.name);
            Err(CommandError::new(exit::FAILED, ErrorCode::NotFound, message, listed(all)))
        }
    }
}

/// The plugins of this name. One that services name both ways, by its name and by its path, is there twice.
fn namesakes<'p>(known: &'p [Plugin], name: &str) -> Vec<&'p Plugin> {
    let mut all: Vec<&Plugin> = known.iter().filter(|plugin| plugin.name == name).collect();
    all.dedup_by_key(|plugin| (&plugin.path, &plugin.hash));
    all
}

/// `known are: db 1.0 (not used), db 2.0 (used by 10-db)`.
fn listed(plugins: &[&Plugin]) -> String {
    let said = plugins.iter().map(|plugin| {
        let used = match &plugin.services[..] {
            [] => "not used".to_owned(),
            services => format!("used by {}", services.join(" and ")),
        };
        format!("{} ({used})", version(plugin))
    });
    format!("known are: {}", said.collect::<Vec<_>>().join(", "))
}

/// `db 1.0`.
fn version(plugin: &Plugin) -> String {
    let version = if plugin.version.is_empty() { "without a version" } else { &plugin.version };
    format!("{} {version}", plugin.name)
}

fn how_to_choose(name: &str) -> String {
    format!("`koi plugins inspect {name}@VERSION` shows the one that you name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_from_a_name() {
        for file in ["./redis", "redis.wasm", "/etc/koi/plugins/redis.so", "services/10-vip", "./db@1.0"] {
            assert!(is_file(file), "{file}");
        }
        for name in ["no-such-plugin-here", "no-such-plugin-here@1.0"] {
            assert!(!is_file(name), "{name}");
        }
    }

    /// The plugin `db` in this version, which lies in a file of this name.
    fn db(version: &str, file: &str, services: &[&str]) -> Plugin {
        Plugin {
            name: "db".into(),
            version: version.into(),
            path: Some(file.into()),
            hash: Some(file.into()),
            services: services.iter().map(|service| (*service).to_owned()).collect(),
            ..Plugin::default()
        }
    }

    /// The file that is chosen, or the words of the refusal.
    fn chosen(known: &[Plugin], wanted: &str) -> Result<Option<String>, String> {
        let chosen = Wanted::read(wanted).and_then(|wanted| choose(known, &wanted));
        chosen.map(|plugin| plugin.and_then(|plugin| plugin.path.clone())).map_err(|error| match error {
            CommandError::Reported { error, .. } => format!("{}\n{}", error.message, error.hint),
            CommandError::OutputClosed => String::new(),
        })
    }

    #[test]
    fn of_several_versions_the_one_in_use_is_meant_unless_one_is_named() {
        let known = [db("1.0", "one", &[]), db("2.0", "two", &["10-db"]), db("3.0", "three", &[])];
        assert_eq!(chosen(&known, "db"), Ok(Some("two".into())));
        assert_eq!(chosen(&known, "db@1.0"), Ok(Some("one".into())));
        let said =
            "no db 4.0 is known\nknown are: db 1.0 (not used), db 2.0 (used by 10-db), db 3.0 (not used)";
        assert_eq!(chosen(&known, "db@4.0"), Err(said.into()));
        assert_eq!(chosen(&known, "web@1.0"), Ok(None), "the daemon says that it has none");
        assert_eq!(chosen(&known[..1], "db"), Ok(None), "there is nothing to choose");
        assert_eq!(chosen(&[db("1.0", "one", &[]), db("2.0", "two", &[])], "db"), Ok(None));
        assert!(chosen(&known, "db@").is_err_and(|said| said.contains("NAME@VERSION")));
    }

    #[test]
    fn where_several_are_in_use_somebody_has_to_say_which() {
        let known = [db("1.0", "one", &["10-db", "30-db"]), db("2.0", "two", &["20-db"])];
        let said = "services use several versions of db\nknown are: db 1.0 (used by 10-db and 30-db), db 2.0 (used by 20-db)\n\
                    `koi plugins inspect db@VERSION` shows the one that you name";
        assert_eq!(chosen(&known, "db"), Err(said.into()));
        assert_eq!(chosen(&known, "db@2.0"), Ok(Some("two".into())));
    }

    #[test]
    fn of_two_builds_of_a_version_the_one_in_use_is_meant() {
        let known = [db("1.0", "old build", &[]), db("1.0", "new build", &["10-db"])];
        assert_eq!(chosen(&known, "db@1.0"), Ok(Some("new build".into())));
    }

    #[test]
    fn one_file_that_is_named_in_two_ways_is_one() {
        let known = [db("1.0", "file", &["10-db"]), db("1.0", "file", &["10-db"])];
        assert_eq!(chosen(&known, "db"), Ok(None));
    }
}
