//! The way to the cluster loop from other threads.

use std::time::Duration;

use koi_config::Fence;
use koi_core::group::GroupName;
use koi_core::io::{Answered, Command, CommandError, HookEnd, Input, RunId};
use koi_core::settings::Settings;
use koi_core::view::View;
use tokio::sync::{mpsc, oneshot};

use super::refusals::RefusalNotices;
use super::requester::Requester;
use super::transport::{Dropped, Wire};

/// Requests that wait for the loop; whoever sends more waits.
pub(super) const REQUESTS: usize = 1024;
/// How long a command may take until it is confirmed.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the loop may take to say what it knows.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the loop from other threads. Clones share the loop.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    pub(super) requests: mpsc::Sender<Request>,
}

/// What the loop knows.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// The core's view.
    pub(crate) view: View,
    /// Datagrams that were dropped.
    pub(crate) dropped: Dropped,
    /// What was not taken of late.
    pub(crate) refused: RefusalNotices,
}

/// Why a command has no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Refused(CommandError),
    #[error("the change was not confirmed within {} ms; it may yet take effect", .0.as_millis())]
    Timeout(Duration),
    #[error("it was not begun: by the time it could be, nobody waited for it any more")]
    NotBegun,
    #[error("there are several groups, and this is for one of them: {}", listed(.0))]
    SeveralGroups(Vec<GroupName>),
    #[error("the daemon is ending")]
    Ending,
}

/// For which group a command is.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandScope {
    /// The group that it is about, where that matters.
    pub(crate) group: GroupName,
    /// It is refused where there are several.
    pub(crate) sole: bool,
}

fn listed(groups: &[GroupName]) -> String {
    groups.iter().map(GroupName::as_str).collect::<Vec<_>>().join(", ")
}

/// What is asked of the loop.
#[derive(Debug)]
pub(super) enum Request {
    Input(Input),
    Command {
        scope: CommandScope,
        command: Command,
        requester: Requester,
        reply: oneshot::Sender<Result<Answered, RequestError>>,
    },
    Snapshot {
        reply: oneshot::Sender<Snapshot>,
    },
    Configure {
        settings: Box<Settings>,
        wire: Box<Wire>,
        fence: Fence,
    },
}

impl Cluster {
    /// Tells the core that something happened.
    pub(crate) async fn input(&self, input: Input) {
        // The loop has ended: nobody is left to be told.
        let _ = self.requests.send(Request::Input(input)).await;
    }

    /// Tells the core how hooks ended, as long as any run.
    pub(crate) async fn report_hooks(self, mut ends: mpsc::UnboundedReceiver<(RunId, HookEnd)>) {
        while let Some((run, ended)) = ends.recv().await {
            self.input(Input::HookFinished { run, ended }).await;
        }
    }

    /// Tells the core of services whose processes have ended.
    pub(crate) async fn report_process_ends(self, mut ends: mpsc::Receiver<String>) {
        while let Some(service) = ends.recv().await {
            self.input(Input::ProcessEnded { service }).await;
        }
    }

    /// Carries out an operator's command, if its requester waits for it when it is its turn.
    pub(crate) async fn command(
        &self,
        scope: &CommandScope,
        command: Command,
        requester: &Requester,
    ) -> Result<Answered, RequestError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Command { scope: scope.clone(), command, requester: requester.clone(), reply };
        self.requests.send(request).await.map_err(|_| RequestError::Ending)?;
        let wait = requester.at_most(COMMAND_TIMEOUT);
        match tokio::time::timeout(wait, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RequestError::Ending),
            Err(_) => Err(RequestError::Timeout(wait)),
        }
    }

    /// What the loop knows now; none: it does not answer.
    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        let (reply, answer) = oneshot::channel();
        let ask = async {
            self.requests.send(Request::Snapshot { reply }).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(LOOK_TIMEOUT, ask).await.ok().flatten()
    }

    /// Takes a new configuration.
    pub(crate) async fn configure(&self, settings: Settings, wire: Wire, fence: Fence) {
        let request = Request::Configure { settings: Box::new(settings), wire: Box::new(wire), fence };
        let _ = self.requests.send(request).await;
    }

    /// Takes services down and says farewell; the receiver of [`start`] says when that is done.
    pub(crate) async fn shutdown(&self) {
        self.input(Input::Shutdown).await;
    }
}
