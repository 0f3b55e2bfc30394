//! Every key of the configuration in both formats, with its default: what `koi config` reads and prints of them is what it was.
#![allow(clippy::unwrap_used, reason = "tests")]

use koi_cluster_tests::Cluster;
use koi_compat_tests::{as_recorded, differences};
use serde_json::{Map, Value, json};

/// Files that an earlier koi has read.
const INPUTS: [&str; 5] = ["least.toml", "least.conf", "every.toml", "otherwise.toml", "every.conf"];

/// `koi ARGS` about an input, as JSON.
fn asked(cluster: &Cluster, input: &str, args: &[&str]) -> Value {
    let path = format!("{}/inputs/{input}", env!("CARGO_MANIFEST_DIR"));
    let ran = cluster.koi(&[&["-f", &path, "-o", "json"], args].concat());
    serde_json::from_str(ran.exits(0)).unwrap()
}

/// The settings of a text in either format, by section and key, and none of its comments: those are for people. A key that is commented out
/// is there with its `#`.
fn settings(text: &str) -> Value {
    let mut all = Map::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
        } else if let Some(name) = line.strip_suffix(" {") {
            section = name;
        } else if let Some((key, value)) = setting(line) {
            all.insert(format!("{section}.{key}"), value.into());
        }
    }
    Value::Object(all)
}

fn setting(line: &str) -> Option<(String, String)> {
    if let Some(key) = line.strip_prefix("# ").and_then(|l| l.split_once(" is not set")) {
        return Some((format!("# {}", key.0), String::new()));
    }
    if line.is_empty() || line == "}" || line.starts_with(';') {
        return None;
    }
    let separator = if line.contains(" = ") { " = " } else { " " };
    let (key, value) = line.split_once(separator)?;
    // No value of the inputs has two spaces and a `#` in it.
    let value = value.split_once(" # ").map_or(value, |(value, _)| value.trim_end());
    let is_key = key.trim_start_matches("# ").chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_key.then(|| (key.to_owned(), value.to_owned()))
}

#[test]
fn every_key_is_read_and_shown_as_it_was() {
    let cluster = Cluster::builder().build();
    let mut wrong = Vec::new();
    for input in INPUTS {
        let shown = asked(&cluster, input, &["config", "show"]);
        let to = if input.ends_with(".toml") { "classic" } else { "toml" };
        let converted = asked(&cluster, input, &["config", "convert", "--to", to]);
        let same = if to == "toml" { "classic" } else { "toml" };
        let rewritten = asked(&cluster, input, &["config", "convert", "--to", same]);
        let text = |answer: &Value| settings(answer["text"].as_str().unwrap());
        let now = json!({
            "keys of the answer": shown.as_object().unwrap().keys().map(|key| (key.clone(), true.into())).collect::<Map<_, _>>(),
            "format": shown["format"],
            "show": text(&shown),
            (format!("as {to}")): text(&converted),
            (format!("as {same}")): text(&rewritten),
        });
        let then = as_recorded("configuration.json", input, &now);
        wrong.extend(differences(&then, &now).into_iter().map(|line| format!("{input}: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
