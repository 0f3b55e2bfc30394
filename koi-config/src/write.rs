//! Writes a configuration: for conversion, for show, and a first one.

use std::path::PathBuf;

use crate::config::{ClusterKey, Config, Electors, Group, Quorum};
use crate::fence;
use crate::keys::{CLASSIC_SECTIONS, Draft, GROUP_KEYS, GROUPS, KEYS, Key, PASSWORD, SECTIONS, split};
use crate::source::Format;
use crate::value::{Escapes, quote};

/// The column in which comments begin, if the line leaves room.
const COMMENT_COLUMN: usize = 42;

/// `config` as `koi.toml`: every key, those that have their default as comments.
///
/// Read on this machine, or any other if `node.name` is set, it is the same configuration again.
pub fn to_toml(config: &Config) -> String {
    let (mut draft, mut default) = (Draft::for_config(config, Format::Toml), Draft::new(Format::Toml));
    let mut out =
        String::from("# koi's configuration. What is commented out has its default, or is unset.\n");
    write_sections(&mut out, |key| {
        let (value, usual) = (key.field.toml(&mut draft), key.field.toml(&mut default));
        match value {
            Some(value) if Some(&value) != usual.as_ref() => format!("{} = {value}", key.name()),
            Some(_) | None => format!("# {} = {}", key.name(), usual.as_deref().unwrap_or(key.unset)),
        }
    });
    write_groups(&mut out, config, |key, group, default| {
        let (value, usual) = (key.field.toml(group), key.field.toml(default));
        match value {
            Some(value) if Some(&value) != usual.as_ref() => format!("{} = {value}", key.name()),
            Some(_) | None => format!("# {} = {}", key.name(), usual.as_deref().unwrap_or(key.unset)),
        }
    });
    out.push_str(&fence::write(config.fence.as_ref()));
    out
}

/// `config` as `koi.toml` with every value, defaults too, and the password hidden: for people.
pub fn show(config: &Config) -> String {
    let mut draft = Draft::full(config);
    let mut out = String::new();
    write_sections(&mut out, |key| match key.field.toml(&mut draft) {
        Some(_) if key.path == PASSWORD => "password = \"…\"".to_owned(),
        Some(value) => format!("{} = {value}", key.name()),
        None => format!("# {} is not set", key.name()),
    });
    write_groups(&mut out, config, |key, group, _| match key.field.toml(group) {
        Some(value) => format!("{} = {value}", key.name()),
        None => format!("# {} is not set", key.name()),
    });
    out.push_str(&fence::write(config.fence.as_ref()));
    out
}

/// A section for each group. `line` gets the group, and one of its name of which nothing else is said.
fn write_groups(
    out: &mut String,
    config: &Config,
    mut line: impl FnMut(&Key<Group>, &mut Group, &mut Group) -> String,
) {
    for (name, group) in &config.groups {
        let (mut group, mut default) = (group.clone(), Group::new(name));
        out.push_str(&format!("\n[{GROUPS}.{name}]\n"));
        let is_said = |key: &&Key<Group>| !name.is_main() || key.name() != "folder";
        for key in GROUP_KEYS.iter().filter(is_said) {
            out.push_str(&commented(&line(key, &mut group, &mut default), key.meaning));
        }
    }
}

fn write_sections(out: &mut String, mut line: impl FnMut(&Key) -> String) {
    for section in SECTIONS {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!("[{section}]\n"));
        for key in KEYS.iter().filter(|key| key.section() == section) {
            out.push_str(&commented(&line(key), key.meaning));
        }
    }
}

fn commented(line: &str, comment: &str) -> String {
    format!("{line:<COMMENT_COLUMN$} # {comment}\n")
}

/// `config` as the classic `koi.conf`, and what it could not say: a sentence each.
pub fn to_classic(config: &Config) -> (String, Vec<String>) {
    let lost = lost_in_classic(config);
    let mut config = config.clone();
    config.cluster.quorum = match config.quorum_size() {
        0 => Quorum::Off,
        needed => Quorum::Count(needed),
    };
    let (mut draft, mut default) = (Draft::for_config(&config, Format::Classic), Draft::new(Format::Classic));
    let mut out =
        String::from("; koi's configuration in the classic format. What is not here has its default.\n");
    for section in CLASSIC_SECTIONS {
        let mut lines = String::new();
        for key in KEYS {
            let Some((_, name)) = key.classic.map(split).filter(|(here, _)| *here == section) else {
                continue;
            };
            let value = key.field.classic(&mut draft);
            if let Some(text) = &value
                && value != key.field.classic(&mut default)
            {
                lines.push_str(&format!("    {name} {text}\n"));
            }
        }
        if !lines.is_empty() {
            out.push_str(&format!("\n{section} {{\n{lines}}}\n"));
        }
    }
    (out, lost)
}

/// What `koi.conf` has no words for.
fn lost_in_classic(config: &Config) -> Vec<String> {
    const SAID_BELOW: [&str; 2] = ["cluster.electors", "cluster.key_file"];
    let (mut draft, mut default) = (Draft::for_config(config, Format::Toml), Draft::new(Format::Toml));
    let mut lost = Vec::new();
    for key in KEYS.iter().filter(|key| key.classic.is_none() && !SAID_BELOW.contains(&key.path)) {
        let value = key.field.toml(&mut draft);
        if let Some(value) = &value
            && Some(value) != key.field.toml(&mut default).as_ref()
        {
            lost.push(format!("{} = {value}: koi.conf has no such key", key.path));
        }
    }
    lost.extend(config.groups.keys().map(|name| format!("[{GROUPS}.{name}]: koi.conf has no groups")));
    if config.fence.is_some() {
        lost.push("[fence]: koi.conf has no such section".to_owned());
    }
    if let ClusterKey::File(path) = &config.cluster.key {
        let file = path.display();
        lost.push(format!(
            "the key in {file}: koi.conf knows passwords only, set cluster.password on every node"
        ));
    }
    if let Some(electors) = &config.cluster.electors {
        let (count, assumed) = (electors.count(), config.quorum_size() * 2);
        if let Electors::Names(names) = electors {
            lost.push(format!(
                "the electors' names ({}): koi.conf has only cluster.quorum",
                names.join(", ")
            ));
        }
        if assumed != count + 1 {
            let taken = match assumed {
                0 => "quorum is off there".to_owned(),
                twice => format!("cluster.quorum = {} is taken for {} there", twice / 2, twice - 1),
            };
            lost.push(format!("cluster.electors = {count}: {taken}"));
        }
    }
    lost
}

/// What a first configuration must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExampleSettings {
    /// How many electors the cluster has.
    pub electors: u16,
    /// Entries of `cluster.transport`.
    pub transport: Vec<String>,
    /// The file that `koi keygen` makes.
    pub key_file: PathBuf,
}

/// Three electors, with addresses that are kept free for examples.
impl Default for ExampleSettings {
    fn default() -> ExampleSettings {
        ExampleSettings {
            electors: 3,
            transport: ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(str::to_owned).to_vec(),
            key_file: "/etc/koi/cluster.key".into(),
        }
    }
}

/// A first `koi.toml`, the same for every node: only what has no default, and what most clusters change.
pub fn example(start: &ExampleSettings) -> String {
    let transport: Vec<String> = start.transport.iter().map(|t| quote(t, Escapes::Toml)).collect();
    let lines = [
        (
            "# koi's configuration, the same on every node. All keys: docs/configuration.md, or `koi config show`.",
            "",
        ),
        ("", ""),
        ("[node]", ""),
        ("# name = \"<host name>\"", "what people call this node"),
        ("# runner = false", "on a machine that only votes"),
        ("", ""),
        ("[cluster]", ""),
        (&format!("electors = {}", start.electors), "how many nodes vote: 3 or 5, an odd number"),
        (&format!("transport = [{}]", transport.join(", ")), "all nodes, or a multicast group"),
        (
            &format!("key_file = {}", quote(&start.key_file.to_string_lossy(), Escapes::Toml)),
            "made by `koi keygen`, the same on every node",
        ),
        ("", ""),
        ("[timing]", ""),
        ("# demote_grace = \"1s\"", "longer than your slowest demote"),
        ("", ""),
        ("[services]", ""),
        ("# folder = \"/etc/koi/services\"", "where the services are"),
    ];
    lines
        .iter()
        .map(
            |(line, comment)| if comment.is_empty() { format!("{line}\n") } else { commented(line, comment) },
        )
        .collect()
}
