//! Why something waits, ends or is refused: one variant for each reason, with its facts. The words for people are in `wording`.

mod failure;
mod leading;
mod refusal;
mod waiting;

pub use failure::{
    AsideCause, AsideReason, FailureReason, GraceOver, IneligibleReason, NodeFailure, RunnerReason,
    ServiceFailure, ServiceNote, TakeDownReason, UnfitReason, WarnReason,
};
pub use leading::{DropReason, FenceCause, StepDownReason};
pub use refusal::{NotNowReason, UnsafeReason};
pub use waiting::{CandidateObstacle, FoundingWait, WaitReason};
