//! `koi fence`: has the leader turn a node off, or says what would happen.

use koi_proto::api::Fence;

use super::operate;
use crate::connect::Daemon;
use crate::error::CommandError;
use crate::output::Out;

/// It is answered when the fence is noted on a quorum of disks: how long it takes is the device's business.
pub(crate) async fn fence(daemon: &Daemon, node: &str, dry_run: bool, out: Out) -> Result<u8, CommandError> {
    operate::with(daemon, "fence", &Fence { node: node.to_owned(), dry_run }, out).await
}
