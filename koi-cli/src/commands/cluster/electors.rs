//! `koi electors`, `koi bootstrap`: who votes.

use koi_proto::api::{Bootstrap, Done, Electors as List, ElectorsChange};

use super::operate;
use crate::cli::Electors;
use crate::commands::ask;
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::Out;
use crate::render;

/// Shows who votes, or changes it.
pub(crate) async fn electors(daemon: &Daemon, command: &Electors, out: Out) -> Result<u8, CommandError> {
    let change = match command {
        Electors::List => return list(daemon, out).await,
        Electors::Add { node } => ElectorsChange { add: Some(node.clone()), ..ElectorsChange::default() },
        Electors::Remove { node } => {
            ElectorsChange { remove: Some(node.clone()), ..ElectorsChange::default() }
        }
        Electors::Replace { old, new } => {
            ElectorsChange { replace: Some(old.clone()), by: Some(new.clone()), ..ElectorsChange::default() }
        }
    };
    operate::with(daemon, "electors", &change, out).await
}

async fn list(daemon: &Daemon, out: Out) -> Result<u8, CommandError> {
    let answer = daemon.get::<List>("/v1/electors").await?;
    out.show(&answer.raw, |view| render::cluster::electors::electors(&answer.value, view))?;
    Ok(exit::WELL)
}

/// Begins a cluster: shows with which electors, and asks.
pub(crate) async fn bootstrap(
    daemon: &Daemon,
    dry_run: bool,
    yes: bool,
    out: Out,
) -> Result<u8, CommandError> {
    if dry_run || yes {
        let bootstrap = Bootstrap { dry_run, electors: Vec::new() };
        return operate::with(daemon, "bootstrap", &bootstrap, out).await;
    }
    let rehearsal = Bootstrap { dry_run: true, electors: Vec::new() };
    let plan = daemon.post::<Done>("/v1/bootstrap", &rehearsal).await?;
    ask::agreed(
        out,
        &plan.value.message,
        "What other electors know of an older cluster is given up. Say it on each of these.",
        ("say `koi bootstrap --yes` if that is what you want", "nothing was begun"),
    )?;
    // An elector can come or go while the question stands: what begins is what was shown.
    let agreed = Bootstrap { dry_run: false, electors: plan.value.steps };
    operate::with(daemon, "bootstrap", &agreed, out).await
}
