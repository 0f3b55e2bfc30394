//! The core's and the plugin host's states in the words of the API: the one place where each is matched with its word.

use koi_core::event::Level;
use koi_core::reason::WaitReason;
use koi_core::record::StateOrigin;
use koi_core::types::{Hook, NodeState, ServiceState};
use koi_core::view::{Action, Membership};
use koi_proto::api;

pub(crate) fn node_state(state: NodeState) -> api::NodeState {
    match state {
        NodeState::Failed => api::NodeState::Failed,
        NodeState::Disconnected => api::NodeState::Disconnected,
        NodeState::Stopped => api::NodeState::Stopped,
        NodeState::Live => api::NodeState::Live,
        NodeState::Standby => api::NodeState::Standby,
        NodeState::Master => api::NodeState::Master,
        NodeState::Elector => api::NodeState::Elector,
    }
}

pub(crate) fn node_action(action: Action) -> api::NodeAction {
    match action {
        Action::Fail => api::NodeAction::Fail,
        Action::Stop => api::NodeAction::Stop,
        Action::Start => api::NodeAction::Start,
        Action::Demote => api::NodeAction::Demote,
        Action::Promote => api::NodeAction::Promote,
    }
}

pub(crate) fn service_state(state: ServiceState) -> api::ServiceState {
    match state {
        ServiceState::Failed => api::ServiceState::Failed,
        ServiceState::Failing => api::ServiceState::Failing,
        ServiceState::Stopped => api::ServiceState::Stopped,
        ServiceState::Stopping => api::ServiceState::Stopping,
        ServiceState::Starting => api::ServiceState::Starting,
        ServiceState::Started => api::ServiceState::Started,
        ServiceState::Demoting => api::ServiceState::Demoting,
        ServiceState::Promoting => api::ServiceState::Promoting,
        ServiceState::Promoted => api::ServiceState::Promoted,
    }
}

pub(crate) fn hook(hook: Hook) -> api::Hook {
    match hook {
        Hook::Start => api::Hook::Start,
        Hook::Stop => api::Hook::Stop,
        Hook::Promote => api::Hook::Promote,
        Hook::Demote => api::Hook::Demote,
        Hook::Status => api::Hook::Status,
        Hook::Failed => api::Hook::Failed,
        Hook::Changed => api::Hook::Changed,
    }
}

pub(crate) fn state_origin(origin: StateOrigin) -> api::StateOrigin {
    match origin {
        StateOrigin::Empty => api::StateOrigin::Empty,
        StateOrigin::Founder => api::StateOrigin::Founder,
        StateOrigin::Member => api::StateOrigin::Member,
    }
}

pub(crate) fn membership(membership: Membership) -> api::Membership {
    match membership {
        Membership::Member => api::Membership::Member,
        Membership::Joining => api::Membership::Joining,
        Membership::Leaving => api::Membership::Leaving,
        Membership::Outside => api::Membership::Outside,
        Membership::Configured => api::Membership::Configured,
    }
}

pub(crate) fn wait_reason(reason: &WaitReason) -> api::WaitReason {
    match reason {
        WaitReason::Maintenance => api::WaitReason::Maintenance,
        WaitReason::RecordNotCommitted => api::WaitReason::RecordNotCommitted,
        WaitReason::Demoting { .. } => api::WaitReason::Demoting,
        WaitReason::Promoting { .. } => api::WaitReason::Promoting,
        WaitReason::TargetNotPromotable { .. } => api::WaitReason::TargetNotPromotable,
        WaitReason::Founding(_) => api::WaitReason::Founding,
        WaitReason::NoQuorum { .. } => api::WaitReason::NoQuorum,
        WaitReason::LeadershipNotConfirmed => api::WaitReason::LeadershipNotConfirmed,
        WaitReason::Election => api::WaitReason::Election,
        WaitReason::MasterInMaintenance { .. } => api::WaitReason::MasterInMaintenance,
        WaitReason::MasterUnclean { .. } => api::WaitReason::MasterUnclean,
        WaitReason::MasterSilent { .. } => api::WaitReason::MasterSilent,
        WaitReason::RestartedUnclean { .. } => api::WaitReason::RestartedUnclean,
        WaitReason::RestartedTakesDown { .. } => api::WaitReason::RestartedTakesDown,
        WaitReason::Fencing { .. } => api::WaitReason::Fencing,
        WaitReason::DemotedByHand => api::WaitReason::DemotedByHand,
        WaitReason::NoReportYet { .. } => api::WaitReason::NoReportYet,
        WaitReason::AskedHowItIs { .. } => api::WaitReason::AskedHowItIs,
        WaitReason::StartElectorsUnknown => api::WaitReason::StartElectorsUnknown,
        WaitReason::StartElectorsMissing { .. } => api::WaitReason::StartElectorsMissing,
        WaitReason::StartRunnerNotReady { .. } => api::WaitReason::StartRunnerNotReady,
        WaitReason::PromotedUnbidden { .. } => api::WaitReason::PromotedUnbidden,
        WaitReason::StillPromoted { .. } => api::WaitReason::StillPromoted,
        WaitReason::CandidateRests { .. } => api::WaitReason::CandidateRests,
        WaitReason::GroupsUnknown { .. } => api::WaitReason::GroupsUnknown,
        WaitReason::AwaitsPartner { .. } => api::WaitReason::AwaitsPartner,
        WaitReason::NowhereElse { .. } => api::WaitReason::NowhereElse,
        WaitReason::FollowerFirst { .. } => api::WaitReason::FollowerFirst,
        WaitReason::NoRunner => api::WaitReason::NoRunner,
        WaitReason::NoCandidate { .. } => api::WaitReason::NoCandidate,
    }
}

pub(crate) fn event_level(level: Level) -> api::EventLevel {
    match level {
        Level::Info => api::EventLevel::Info,
        Level::Warning => api::EventLevel::Warning,
        Level::Error => api::EventLevel::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts get the core's words in their environment: an operator must not read two.
    #[test]
    fn the_api_and_the_scripts_have_the_same_words() {
        use NodeState as N;
        for state in [N::Failed, N::Disconnected, N::Stopped, N::Live, N::Standby, N::Master, N::Elector] {
            assert_eq!(node_state(state).as_str(), state.as_str());
        }
        for each in Hook::ALL {
            assert_eq!(hook(each).as_str(), each.as_str());
        }
        for action in [Action::Fail, Action::Stop, Action::Start, Action::Demote, Action::Promote] {
            assert_eq!(node_action(action).as_str(), action.as_str());
        }
    }
}
