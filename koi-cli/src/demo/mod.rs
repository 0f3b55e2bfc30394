//! `koi demo`: three real daemons on this machine, to look at and to try things on.

mod journal;
mod live;
mod services;
mod tour;
mod waits;

use crate::cli::Demo;
use crate::error::{CommandError, exit};
use crate::local_cluster::cluster::{Cluster, STOP_TIME};
use crate::local_cluster::interrupt::Interrupt;
use crate::output::Out;

/// Lines of each node's log that are shown when the tour did not go well.
const LOG_LINES: usize = 30;

/// Runs the demo until Ctrl-C, or the tour to its end. Either way nothing is left behind.
pub(crate) async fn demo(args: &Demo, out: Out) -> Result<u8, CommandError> {
    // Before anything is started that would have to be ended.
    let mut interrupt = Interrupt::watch()?;
    let mut cluster = Cluster::prepare("demo", args.keep, services::fill)?;
    let worked = tokio::select! {
        result = work(&mut cluster, args, out) => result,
        () = interrupt.came() => Ok(if args.script { exit::FAILED } else { exit::WELL }),
    };
    let path = cluster.folder.path().to_owned();
    if args.script && !matches!(worked, Ok(exit::WELL)) {
        show_logs(&cluster, out);
    } else if !args.script {
        out.line("\nstopping the three nodes …").ok();
    }
    let removed = cluster.end(STOP_TIME).await?;
    // Who does not read any more needs no farewell.
    out.line(&match removed {
        true => format!("stopped; {} is removed", path.display()),
        false => format!("stopped; {} is kept", path.display()),
    })
    .ok();
    worked
}

async fn work(cluster: &mut Cluster, args: &Demo, out: Out) -> Result<u8, CommandError> {
    if args.script { tour::tour(cluster, out).await } else { live::live(cluster, out).await }
}

fn show_logs(cluster: &Cluster, out: Out) {
    for node in &cluster.nodes {
        let lines = cluster.folder.last_lines(node.name, LOG_LINES).join("\n");
        out.line(&format!("\n--- the end of the log of {} ---\n{lines}", node.name)).ok();
    }
}
