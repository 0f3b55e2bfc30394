//! `koi drill`.

use clap::{Args, Subcommand};
use koi_proto::api::Group;

/// A drill, and how it is begun.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    #[command(subcommand)]
    pub(crate) kind: DrillKind,
    /// Only say what it would do, and whether it could be begun now
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(long, global = true, conflicts_with = "dry_run")]
    pub(crate) yes: bool,
    /// Of which group; needed where there are several
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) group: Option<Group>,
}

/// What is drilled.
#[derive(Debug, Subcommand)]
pub(crate) enum DrillKind {
    /// Move the master's role to another node by order, and back
    SwitchOver {
        /// Name or UUID of the other node [default: who would take over]
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
    /// Have the master's koid killed with SIGKILL, and bring the role back when it runs again
    #[command(
        long_about = "Have the master's koid killed with SIGKILL, and bring the role back when it runs again.\n\n\
        Its guardian takes the services down, and another node takes over. Whatever restarts koid there has to do so: systemd, as in \
        contrib/koid.service, or what names itself in KOI_RESTARTED_BY in koid's environment. Without that it is refused."
    )]
    DaemonCrash,
    /// Count the next status of a service on the master as failed, and recover the node afterwards
    #[command(
        long_about = "Count the next status of a service on the master as failed, and recover the node afterwards.\n\n\
        koid counts what `status` says as failed, and what follows is what follows a real failure. The service's [policy] holds: as many \
        statuses in a row fail as it takes. A service that may be restarted in place is restarted, and the role stays."
    )]
    ServiceFailure {
        /// Which service [default: the one that is asked for its status most often]
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
    },
}
