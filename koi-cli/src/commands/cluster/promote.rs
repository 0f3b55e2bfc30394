//! `koi promote`: orders it, says what would happen, or waits until it has happened.

use koi_proto::api::{Promote, Scope};
use serde_json::json;

use super::operate;
use super::promotion::{Promoted, Promotion};
use crate::cli::{ANSWER_TIMEOUT, PromoteNode, WAIT_TIMEOUT};
use crate::connect::Daemon;
use crate::error::{CommandError, exit};
use crate::output::{Out, PassingLine};
use crate::render::cluster::promoted;

/// Orders a promotion, and waits for it if that is wanted.
pub(crate) async fn promote(daemon: &Daemon, args: &PromoteNode, out: Out) -> Result<u8, CommandError> {
    let PromoteNode { node, dry_run, wait, of } = args;
    if !wait {
        let scope = Scope::named(of.group.as_ref());
        let order = Promote { node: node.clone(), dry_run: *dry_run, scope };
        return operate::show(operate::give(daemon, "promote", &order.scope, &order).await?, out);
    }
    let within = daemon.asked_timeout().unwrap_or(WAIT_TIMEOUT);
    let daemon = daemon.within(within.min(ANSWER_TIMEOUT));
    let progress = PassingLine::new(out);
    let promotion =
        Promotion { daemon: &daemon, node, group: of.group.as_ref(), within, progress: &progress };
    let carried_out = promotion.carry_out().await;
    progress.clear();
    let (promoted, _) = carried_out?;
    out.show(&said(&promoted), |view| promoted::promoted(&promoted, view))?;
    Ok(exit::WELL)
}

/// The same for programs: times in milliseconds since the order.
fn said(promoted: &Promoted) -> serde_json::Value {
    let Promoted { node, group, epoch, from, already, times } = promoted;
    json!({
        "node": node,
        "group": group,
        "epoch": epoch,
        "from": from,
        "already": already,
        "demoted_ms": times.demoted.map(promoted::ms),
        "granted_ms": times.granted.map(promoted::ms),
        "promoted_ms": times.promoted.map(promoted::ms),
        "within_ms": promoted::uncertainty(times).map(promoted::ceil_ms),
    })
}
