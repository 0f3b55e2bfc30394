//! Daemons that have ended are started again, as systemd would.

use std::time::Duration;

use tokio::time::Instant;

use super::cluster::{Cluster, how};

/// What tells koid so, in its environment.
pub(crate) const NAMED: (&str, &str) = ("KOI_RESTARTED_BY", "koi");

/// How soon: long enough to see what its end has brought about.
const RESTART_TIME: Duration = Duration::from_secs(5);

/// The nodes whose daemons are to be started again, and when.
#[derive(Debug, Default)]
pub(crate) struct Restarts(Vec<(&'static str, Instant)>);

impl Restarts {
    /// Starts daemons again that have ended and waited; what there is to say about it.
    pub(crate) fn revive(&mut self, cluster: &mut Cluster) -> Vec<String> {
        let mut said = Vec::new();
        for node in &mut cluster.nodes {
            if let Some(status) = node.ended() {
                let seconds = RESTART_TIME.as_secs();
                said.push(format!(
                    "koid of {} {}; it is started again in {seconds} s",
                    node.name,
                    how(status)
                ));
                self.0.push((node.name, Instant::now() + RESTART_TIME));
            }
        }
        let due = |(_, at): &mut (&str, Instant)| *at <= Instant::now();
        for (name, _) in self.0.extract_if(.., due).collect::<Vec<_>>() {
            // Whether it answers will be seen.
            if let Err(fail) = cluster.respawn(name) {
                said.push(format!("{}; the next try is in {} s", fail.message(), RESTART_TIME.as_secs()));
                self.0.push((name, Instant::now() + RESTART_TIME));
            }
        }
        said
    }
}
