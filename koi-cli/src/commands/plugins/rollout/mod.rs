//! `koi plugins rollout`: a new version of a plugin, node by node, the master last.

mod asking;
mod plan;
mod progress;
mod steps;

use std::time::Duration;

use koi_proto::api::Plugin;
use serde_json::json;

use self::plan::{Plan, Step};
use self::progress::Progress;
use self::steps::{Steps, Trouble};
use crate::cli::Rollout;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render::layout::text;

/// How long each step may take when nobody says otherwise: a component may have to be compiled, and a status to come.
const WITHIN: Duration = Duration::from_secs(120);

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 8;

/// Plans a rollout, and carries it out.
pub(crate) async fn rollout(daemon: &Daemon, args: &Rollout, out: Out) -> Result<u8, CommandError> {
    let within = args.within.unwrap_or(WITHIN);
    let daemon = daemon.within(within);
    let progress = Progress::new(out);
    let plan = Plan::make(&daemon, &args.plugin, &progress).await?;
    let sentences: Vec<String> = plan.steps().iter().map(Step::to_string).collect();
    if args.dry_run || sentences.is_empty() {
        let said = json!({ "plugin": args.plugin.name, "version": args.plugin.version, "hash": plan.hash, "steps": sentences, "done": false });
        out.show(&said, |_| page(&plan, &sentences))?;
        return Ok(exit::WELL);
    }
    if !out.is_json() {
        out.write(&page(&plan, &[]))?;
    }
    let mut done = Vec::new();
    let steps = Steps { daemon: &daemon, plan: &plan, within, progress: &progress };
    for step in plan.steps() {
        progress.begins(&step.to_string());
        match progress.until_done(steps.take(&step)).await {
            Ok(()) => {
                if !out.is_json() {
                    out.line(&format!("  {}", text::clean(&step.done())))?;
                }
                done.push(step.to_string());
            }
            Err(trouble) => return Err(stopped(&daemon, &plan, &step, &trouble).await),
        }
    }
    let said = json!({ "plugin": args.plugin.name, "version": args.plugin.version, "hash": plan.hash, "steps": done, "done": true });
    out.show(&said, |_| format!("{} is on every node that uses it\n", args.plugin))?;
    Ok(exit::WELL)
}

fn page(plan: &Plan, steps: &[String]) -> String {
    let hash: String = plan.hash.chars().take(HASH_SHOWN).collect();
    let mut page = format!("{} (SHA-256 {hash}…), {}\n", plan.wanted, plan.signature);
    if plan.steps().is_empty() {
        page.push_str("every node that uses it has it already\n");
    }
    for (number, step) in steps.iter().enumerate() {
        page.push_str(&format!("  {}. {step}\n", number + 1));
    }
    text_of(&page)
}

/// What nodes have said of themselves is in it.
fn text_of(page: &str) -> String {
    page.lines().map(|line| text::clean(line) + "\n").collect()
}

/// What stopped it, which node has what, and how to go back.
async fn stopped(daemon: &Daemon, plan: &Plan, step: &Step, trouble: &Trouble) -> CommandError {
    let mut has = Vec::new();
    let mut taken = Vec::new();
    for node in &plan.nodes {
        let found = asking::in_force(daemon, &node.name, &plan.wanted.name).await;
        let version = match &found {
            Ok(Some(plugin)) => version(plugin),
            Ok(None) => "none".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        if matches!(&found, Ok(Some(plugin)) if plugin.hash.as_ref() == Some(&plan.hash)) {
            taken.push(node.name.clone());
        }
        has.push(format!("{} has {version}", node.name));
    }
    let before = plan.nodes.iter().filter_map(|node| node.before.as_deref());
    // A node may have had it from a rollout before.
    let before: Vec<&str> = before.filter(|before| *before != plan.wanted.version).collect();
    let back = match (taken.is_empty(), before.first()) {
        (true, _) => "nothing has been taken anywhere".to_owned(),
        (false, None) => "nodes that have it go on with it".to_owned(),
        (false, Some(version)) => format!(
            "to go back: on {} put the file of {version}, or the line of service.toml that names it, in its place again, then \
             `koi plugins rollout {}@{version}`",
            taken.join(" and "),
            plan.wanted.name
        ),
    };
    let hint = format!("{}\n{back}\nto go on when it is mended: the same command again", has.join(", "));
    CommandError::local(format!("stopped where {step}: {trouble}"), hint)
}

/// `0.2.0`.
fn version(plugin: &Plugin) -> String {
    if plugin.version.is_empty() { "one without a version".to_owned() } else { plugin.version.clone() }
}
