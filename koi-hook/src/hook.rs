//! What a handler is asked.

/// The calls that a handler may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// Start the service as standby.
    Start,
    /// Stop it.
    Stop,
    /// Make it the master.
    Promote,
    /// Make it a standby again. Must be idempotent.
    Demote,
    /// Say how it is.
    Status,
    /// It has failed: look at the wreck before it is stopped.
    Failed,
    /// The master, the promotable nodes or the nodes that are there are not what they were. It may adjust, and does not promote.
    Changed,
}

impl Hook {
    /// Every hook.
    pub const ALL: [Hook; 7] =
        [Hook::Start, Hook::Stop, Hook::Promote, Hook::Demote, Hook::Status, Hook::Failed, Hook::Changed];

    /// Those that every handler may get. [`Hook::Changed`] is only for one that asks for it.
    pub const LIFECYCLE: [Hook; 6] =
        [Hook::Start, Hook::Stop, Hook::Promote, Hook::Demote, Hook::Status, Hook::Failed];

    /// Its name: the script's name, and the first argument of a single-file service.
    pub fn as_str(self) -> &'static str {
        match self {
            Hook::Start => "start",
            Hook::Stop => "stop",
            Hook::Promote => "promote",
            Hook::Demote => "demote",
            Hook::Status => "status",
            Hook::Failed => "failed",
            Hook::Changed => "changed",
        }
    }
}

/// Which hooks a handler has. One that it does not have counts as success at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HookSet(u8);

impl HookSet {
    /// Those of [`Hook::LIFECYCLE`].
    pub const LIFECYCLE: HookSet = HookSet(0b11_1111);

    /// The set with `hook` in it too.
    #[must_use]
    pub fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    /// The set without `hook`.
    #[must_use]
    pub fn without(self, hook: Hook) -> HookSet {
        HookSet(self.0 & !(1 << hook as u8))
    }

    /// Whether `hook` is in it.
    pub fn has(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    /// No hook is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The hooks in it, in the order of [`Hook::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |h| self.has(*h))
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<I: IntoIterator<Item = Hook>>(hooks: I) -> HookSet {
        hooks.into_iter().fold(HookSet::default(), HookSet::with)
    }
}

/// What koi wants a service to be on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRole {
    /// Not running.
    None,
    /// Running, ready for promotion.
    Standby,
    /// The master.
    Promoted,
}

/// Why koi takes a service down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DownReason {
    /// The lease ran out, or whoever held it is gone: another node may soon be promoted.
    LeaseLost,
    /// The mastership is wanted elsewhere, or an operator wants the service down.
    Ordered,
    /// A service of the node has failed, this one or another.
    Failed,
    /// The services of the node are stopped: koid ends, or an operator said so.
    Stopping,
    /// Lease and grace are over: the node is fenced, where a fence is configured.
    Fenced,
}

impl DownReason {
    /// Every reason.
    pub const ALL: [DownReason; 5] = [
        DownReason::LeaseLost,
        DownReason::Ordered,
        DownReason::Failed,
        DownReason::Stopping,
        DownReason::Fenced,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            DownReason::LeaseLost => "lease-lost",
            DownReason::Ordered => "ordered",
            DownReason::Failed => "failed",
            DownReason::Stopping => "stopping",
            DownReason::Fenced => "fenced",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it_and_nothing_else() {
        let set: HookSet = [Hook::Start, Hook::Failed].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Hook::Start, Hook::Failed]);
        assert!(!set.without(Hook::Failed).has(Hook::Failed));
        assert!(set.without(Hook::Stop).has(Hook::Start));
        assert_eq!(Hook::LIFECYCLE.into_iter().collect::<HookSet>(), HookSet::LIFECYCLE);
        assert_eq!(HookSet::LIFECYCLE.with(Hook::Changed), Hook::ALL.into_iter().collect());
    }
}
