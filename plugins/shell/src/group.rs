//! A script's process group, and who is told of it.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;

use koi_child::group::{GroupEnd, GroupSignal, ProcessGroup};
use koi_plugin_api::{Abort, AbortSignal, CallLog, GroupReport};
use tokio::process::Child;

/// The group that a script leads. Dropped before the script has exited, it kills the group.
pub(crate) struct ScriptGroup {
    // Dropped first: the log is told when the group is gone.
    group: ProcessGroup,
    report: GroupReport,
}

impl ScriptGroup {
    /// The group of a child that was started as the leader of one and has not been waited for.
    pub(crate) fn new(leader: Child, log: Arc<dyn CallLog>) -> ScriptGroup {
        let group = ProcessGroup::new(leader);
        let report = GroupReport::new(group.id(), log);
        ScriptGroup { group, report }
    }

    /// Waits for the script's own end. What it has started in the background is left alone from then on.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.group.exited().await
    }

    /// Ends the group: SIGTERM, and SIGKILL a second later or as soon as that is asked for; or SIGKILL at once. Returns when
    /// nothing of it runs any more.
    pub(crate) async fn end(&mut self, how: Abort, abort: &mut AbortSignal) -> GroupEnd {
        let signal = match how {
            Abort::Gently => GroupSignal::Terminate,
            Abort::Now => GroupSignal::Kill,
        };
        let hurry = async {
            abort.asked_for(Abort::Now).await;
        };
        let end = self.group.end(signal, hurry).await;
        if end == GroupEnd::Stuck {
            self.report.set_stuck();
        }
        end
    }
}
