//! One step of a rollout, and the wait until it is seen to be well.

use std::time::Duration;

use koi_proto::api::{Done, ErrorCode, NodeState, NodeStatus, OnNode, Promote, Reconfigure, Status};
use tokio::time::{Instant, sleep};

use super::asking;
use super::plan::{Plan, Step};
use super::progress::Progress;
use crate::commands::cluster::show::STATUS;
use crate::connect::Daemon;
use crate::error::CommandError;
use crate::render::cluster::verdict;

/// Time between two looks.
const PERIOD: Duration = Duration::from_millis(200);

/// Takes the steps of a plan.
pub(super) struct Steps<'s> {
    pub(super) daemon: &'s Daemon,
    pub(super) plan: &'s Plan,
    pub(super) within: Duration,
    /// Is told what is waited for.
    pub(super) progress: &'s Progress,
}

/// Why a rollout stops.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// A daemon does not do what it is asked for.
    #[error("{0}")]
    Command(String),
    /// The node has gone on with what it had.
    #[error("it goes on with what it had: {0}")]
    NotTaken(String),
    /// Something fails with it.
    #[error("{node} {why}")]
    Unwell {
        /// The node.
        node: String,
        /// What is wrong.
        why: String,
    },
    /// It did not come about in time.
    #[error("not within {} s: {last}", within.as_secs())]
    Late {
        /// How long it was waited for.
        within: Duration,
        /// What was still missing.
        last: String,
    },
}

impl From<CommandError> for Trouble {
    fn from(error: CommandError) -> Trouble {
        Trouble::Command(error.message().to_owned())
    }
}

/// How things are at one look.
enum Look {
    Well,
    /// Not yet, and what is missing.
    Waiting(String),
}

impl Steps<'_> {
    /// Takes a step, and returns when it is seen to be well.
    pub(super) async fn take(&self, step: &Step) -> Result<(), Trouble> {
        match step {
            Step::Take { node, has_failed, .. } => self.reconfigure(node, *has_failed).await,
            Step::Switch { to, .. } => self.switch(to).await,
        }
    }

    async fn reconfigure(&self, node: &str, has_failed: bool) -> Result<(), Trouble> {
        let mut began = Instant::now();
        self.progress.doing(format!("{node} is still compiling"));
        let wait_ms = u64::try_from((self.within * 3 / 4).as_millis()).ok();
        let order = Reconfigure { node: Some(node.to_owned()), wait_ms };
        let done = self.daemon.post::<Done>("/v1/reconfigure", &order).await?.value;
        let deadline = Instant::now() + self.within;
        while !self.has_it(node).await? {
            // What is still being compiled is waited for.
            if !done.pending || Instant::now() >= deadline {
                return Err(Trouble::NotTaken(done.notes.join("; ")));
            }
            sleep(PERIOD).await;
        }
        if has_failed {
            // It may have failed once more with what it had.
            began = Instant::now();
            self.recover(node).await?;
        }
        self.until_well(|status| {
            let seen = find(status, node)?;
            match (failure(seen, began), seen.state == NodeState::Failed) {
                (Some(trouble), _) => Err(trouble),
                (None, true) if has_failed => Ok(Look::Waiting(has_failed_before(seen))),
                (None, _) => self.services_well(seen),
            }
        })
        .await
    }

    /// Has a node that has failed try again.
    async fn recover(&self, node: &str) -> Result<(), Trouble> {
        match self
            .daemon
            .post::<Done>("/v1/recover", &OnNode { node: Some(node.to_owned()), ..OnNode::default() })
            .await
        {
            Ok(_) => Ok(()),
            // It has tried again by itself, and there is nothing to recover from.
            Err(CommandError::Reported { error, .. }) if error.code == ErrorCode::Refused => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn has_it(&self, node: &str) -> Result<bool, Trouble> {
        let now = asking::in_force(self.daemon, node, &self.plan.wanted.name).await?;
        Ok(now.and_then(|plugin| plugin.hash).as_ref() == Some(&self.plan.hash))
    }

    async fn switch(&self, to: &str) -> Result<(), Trouble> {
        let order = Promote { node: to.to_owned(), ..Promote::default() };
        let began = Instant::now();
        self.daemon.post::<Done>("/v1/promote", &order).await?;
        self.until_well(|status| {
            let seen = find(status, to)?;
            // Another node is master again soon, and all would be well but for the version.
            if let Some(trouble) = failure(seen, began) {
                return Err(trouble);
            }
            let is_promoted = verdict::master(status).is_some_and(|master| master.name == to);
            if !is_promoted {
                return Ok(Look::Waiting(format!("{to} is not promoted with all its services")));
            }
            self.services_well(seen)
        })
        .await
    }

    /// Asks until all is well, twice: a status that has just ended may still make the service fail. What has failed does not become well by
    /// waiting.
    async fn until_well(&self, look: impl Fn(&Status) -> Result<Look, Trouble>) -> Result<(), Trouble> {
        let deadline = Instant::now() + self.within;
        let mut was_well = false;
        loop {
            let last = match self.daemon.get::<Status>(STATUS).await {
                Ok(status) => match look(&status.value)? {
                    Look::Well if was_well => return Ok(()),
                    Look::Well => {
                        was_well = true;
                        String::new()
                    }
                    Look::Waiting(what) => {
                        was_well = false;
                        self.progress.doing(what.clone());
                        what
                    }
                },
                // A leader may be elected meanwhile.
                Err(error) if error.may_pass() => error.message().to_owned(),
                Err(error) => return Err(error.into()),
            };
            if Instant::now() >= deadline {
                return Err(Trouble::Late { within: self.within, last });
            }
            sleep(PERIOD).await;
        }
    }

    /// Whether the services that use the plugin have reported a good status with it.
    fn services_well(&self, node: &NodeStatus) -> Result<Look, Trouble> {
        let unwell = |why: String| Trouble::Unwell { node: node.name.clone(), why };
        if node.state == NodeState::Failed || node.unclean {
            let why = node.last_failure.as_ref().map(|failure| failure.message.clone());
            return Err(unwell(format!("has failed: {}", why.unwrap_or_default())));
        }
        for name in self.plan.services_of(&node.name) {
            let Some(service) = node.services.iter().flatten().find(|service| service.name == *name) else {
                return Ok(Look::Waiting(format!("{} says nothing of {name}", node.name)));
            };
            if service.disabled {
                continue;
            }
            if let Some(why) = &service.held {
                return Err(unwell(format!("goes on with {name} as it was: {why}")));
            }
            if service.failed {
                return Err(unwell(format!(
                    "fails with {name}: {}",
                    service.message.clone().unwrap_or_default()
                )));
            }
            if service.status_hash.as_ref() != Some(&self.plan.hash) {
                return Ok(Look::Waiting(format!(
                    "{} has not reported a status of {name} with it",
                    node.name
                )));
            }
        }
        Ok(Look::Well)
    }
}

/// A failure since the step began: waiting does not make it well, also when the node has recovered since.
fn failure(node: &NodeStatus, began: Instant) -> Option<Trouble> {
    let failure = node.last_failure.as_ref()?;
    let is_new = Duration::from_millis(failure.ago_ms) < began.elapsed();
    let service =
        if failure.service.is_empty() { "" } else { &format!(" in {} of {}", failure.hook, failure.service) };
    let why = format!("has failed{service}: {}", failure.message);
    is_new.then(|| Trouble::Unwell { node: node.name.clone(), why })
}

fn has_failed_before(node: &NodeStatus) -> String {
    let why = node.last_failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
    format!("{} has failed, and has not recovered: {why}", node.name)
}

fn find<'s>(status: &'s Status, node: &str) -> Result<&'s NodeStatus, Trouble> {
    let found = status.nodes.iter().find(|known| known.name == node);
    found.ok_or_else(|| Trouble::Unwell { node: node.to_owned(), why: "is not known any more".to_owned() })
}
