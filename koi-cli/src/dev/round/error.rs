//! Why a round ends without a component.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::candidate::COMPONENT_BYTES;
use super::component::InspectError;
use super::service::ServiceError;
use crate::local_cluster::cluster::how;

/// Why a round has no component.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoundError {
    #[error("{command} cannot be run: {source}")]
    Build { command: String, source: io::Error },
    #[error("it {}", how(*.0))]
    BuildFailed(ExitStatus),
    #[error("it went well, and {} is not there", .0.display())]
    NotMade(PathBuf),
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {} MiB", .0.display(), COMPONENT_BYTES >> 20)]
    TooLarge(PathBuf),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error(transparent)]
    Inspect(#[from] InspectError),
    #[error("a service cannot be put together in {}: {source}", folder.display())]
    Staging { folder: PathBuf, source: io::Error },
    #[error(
        "it wants what lets a handler do all that you may; say --dangerous to have it granted here, or take --service DIR:\n{0}"
    )]
    Dangerous(String),
    #[error("a newer round is wanted")]
    Stopped,
}
