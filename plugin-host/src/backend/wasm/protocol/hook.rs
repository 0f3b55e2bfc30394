//! A hook that is to be run, and how it ended.

use std::fmt;
use std::time::Duration;

use koi_plugin_api::{Context, Hook, HookError, LogLevel, Peer, Role};
use minicbor::{Decode, Encode};
use nix::time::{ClockId, clock_gettime};

use crate::backend::wasm::grants::Grants;

/// The group of a service where none is named.
const MAIN_GROUP: &str = "main";

/// A hook, to be run.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HookRequest {
    /// Its place in [`Hook::ALL`].
    #[n(0)]
    pub(crate) hook: u8,
    #[n(1)]
    pub(crate) attempt: u32,
    #[n(2)]
    pub(crate) call_id: u64,
    #[n(3)]
    pub(crate) epoch: u64,
    /// The whole time of the call.
    #[n(4)]
    pub(crate) timeout_ms: u64,
    /// When it is over, by [`monotonic`]: a helper may still have to load the component.
    #[n(5)]
    pub(crate) ends_us: u64,
    /// 0 none, 1 standby, 2 promoted.
    #[n(6)]
    pub(crate) role: u8,
    #[n(7)]
    pub(crate) service: String,
    #[n(8)]
    pub(crate) node: String,
    /// Name and address.
    #[n(9)]
    pub(crate) master: Option<(String, String)>,
    /// The service's folder, where the guest may read it.
    #[n(10)]
    pub(crate) workdir: Option<String>,
    #[n(11)]
    pub(crate) config: Vec<(String, String)>,
    /// For `failed`: hook, message, whether it timed out.
    #[n(12)]
    pub(crate) cause: Option<(u8, String, bool)>,
    /// The helper was started for this very call, because the one before was stale.
    #[n(13)]
    pub(crate) is_repeated: bool,
    /// The keys of `[config]` whose values nobody else may see.
    #[n(14)]
    pub(crate) secrets: Vec<(String, SecretText)>,
    /// The call is part of a test.
    #[n(15)]
    pub(crate) test: Option<TestClock>,
    /// How long the guest is told that it has: no longer than lease and grace last.
    #[n(16)]
    pub(crate) deadline_ms: u64,
    #[n(17)]
    pub(crate) promoted_epoch: u64,
    /// Name and epoch.
    #[n(18)]
    pub(crate) previous: Option<(String, u64)>,
    /// Its place in [`DownReason::ALL`].
    #[n(19)]
    pub(crate) reason: Option<u8>,
    #[n(20)]
    pub(crate) group: String,
    #[n(21)]
    pub(crate) peers: Option<Vec<HookPeer>>,
}

/// Another node that runs the group.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct HookPeer {
    #[n(0)]
    pub(crate) name: String,
    /// Its place in [`PeerState::ALL`].
    #[n(1)]
    pub(crate) state: u8,
    #[n(2)]
    pub(crate) promotable: bool,
    #[n(3)]
    pub(crate) score: Option<i64>,
    #[n(4)]
    pub(crate) address: Option<String>,
}

impl From<&Peer> for HookPeer {
    fn from(peer: &Peer) -> HookPeer {
        HookPeer {
            name: peer.name.clone(),
            state: peer.state as u8,
            promotable: peer.promotable,
            score: peer.score,
            address: peer.address.clone(),
        }
    }
}

/// The time of a call in a test: the wall clock stands still, and `sleep` passes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TestClock {
    /// What the wall clock says when the call begins, since 1970.
    #[n(0)]
    pub(crate) wall_us: u64,
    /// `sleep` takes its time: the test is being recorded.
    #[n(1)]
    pub(crate) sleeps: bool,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct SecretText(#[n(0)] pub(crate) String);

/// How long it is.
impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl HookRequest {
    /// `defaults` has what the configuration does not say.
    pub(crate) fn new(
        hook: Hook,
        context: &Context,
        left: Duration,
        grants: &Grants,
        defaults: &[(String, String)],
        secrets: Vec<(String, SecretText)>,
    ) -> HookRequest {
        let mut config = context.config.clone();
        let is_said = |(key, _): &&(String, String)| context.config.iter().any(|(name, _)| name == key);
        config.extend(defaults.iter().filter(|default| !is_said(default)).cloned());
        HookRequest {
            hook: number_of(hook),
            attempt: context.attempt,
            call_id: context.call_id,
            epoch: context.epoch,
            timeout_ms: u64::try_from(context.timeout.as_millis()).unwrap_or(u64::MAX),
            ends_us: u64::try_from((monotonic() + left).as_micros()).unwrap_or(u64::MAX),
            role: match context.role {
                Role::None => 0,
                Role::Standby => 1,
                Role::Promoted => 2,
            },
            service: context.service.clone(),
            node: context.node.clone(),
            master: context.master.clone(),
            workdir: grants.reads(&context.home).then(|| context.home.display().to_string()),
            config,
            cause: context
                .cause
                .as_ref()
                .map(|cause| (number_of(cause.hook), cause.message.clone(), cause.timed_out)),
            is_repeated: false,
            secrets,
            test: None,
            deadline_ms: u64::try_from(context.time_left().min(left).as_millis()).unwrap_or(u64::MAX),
            promoted_epoch: context.circumstances.promoted_epoch,
            previous: context.circumstances.previous.clone(),
            reason: context.circumstances.reason.map(|reason| reason as u8),
            group: context.circumstances.group.clone().unwrap_or_else(|| MAIN_GROUP.to_owned()),
            peers: context.circumstances.peers.as_ref().map(|all| all.iter().map(HookPeer::from).collect()),
        }
    }
}

/// The machine's clock that nobody sets: koid and its helpers have the same.
pub(crate) fn monotonic() -> Duration {
    // Every Linux has it.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default()
}

fn number_of(hook: Hook) -> u8 {
    hook as u8
}

/// The hook of this number.
pub(crate) fn hook_of(number: u8) -> Option<Hook> {
    Hook::ALL.into_iter().find(|hook| number_of(*hook) == number)
}

/// Bytes of the path of a pidfile.
pub(crate) const PATH_BYTES: usize = 4096;

/// A process that the guest names. Nothing of it has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ProcessName {
    #[n(0)]
    Id(#[n(0)] u32),
    /// By a file, as the guest sees it.
    #[n(1)]
    File(#[n(0)] String),
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum HookEnding {
    #[n(0)]
    Done,
    #[n(1)]
    Status {
        /// 0 healthy, 1 promoted, 2 standby, 3 live, 4 stopped.
        #[n(0)]
        observed: u8,
        #[n(1)]
        message: String,
        #[n(2)]
        score: Option<i64>,
        #[n(3)]
        details: Vec<(String, String)>,
        #[n(4)]
        processes: Vec<ProcessName>,
    },
    #[n(2)]
    Failed(#[n(0)] String),
    #[n(3)]
    Lasting(#[n(0)] String),
    #[n(4)]
    CannotRun(#[n(0)] String),
    #[n(5)]
    TimedOut,
    #[n(6)]
    Aborted,
}

impl From<HookError> for HookEnding {
    fn from(error: HookError) -> HookEnding {
        match error {
            HookError::Failed(why) => HookEnding::Failed(why),
            HookError::Lasting(why) => HookEnding::Lasting(why),
            HookError::CannotRun(why) | HookError::NoRoom(why) => HookEnding::CannotRun(why),
            HookError::TimedOut(_) => HookEnding::TimedOut,
            HookError::Aborted => HookEnding::Aborted,
        }
    }
}

/// A level as it is sent.
pub(crate) fn number_of_level(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Warn => 2,
        LogLevel::Error => 3,
    }
}

/// The level of this number.
pub(crate) fn level_of(number: u8) -> LogLevel {
    match number {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_have_numbers_that_lead_back() {
        for hook in Hook::ALL {
            assert_eq!(hook_of(number_of(hook)), Some(hook));
        }
        assert_eq!(hook_of(77), None);
    }
}
