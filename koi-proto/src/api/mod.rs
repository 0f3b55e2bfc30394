//! What the API says: JSON under `/v1`, and metrics; the same on the Unix socket and the sealed TCP port.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`], the leader's view |
//! | `GET /v1/local` | | [`Local`], the asked node itself (with `?node=NAME`: that node) |
//! | `POST /v1/promote` | [`Promote`] | [`Done`] |
//! | `POST /v1/demote`, `POST /v1/elect` | [`Scope`] | [`Done`] |
//! | `POST /v1/start`, `/v1/stop`, `/v1/recover` | [`OnNode`] | [`Done`] |
//! | `POST /v1/groups/GROUP/promote`, `demote`, `elect`, `start`, `stop`, `recover` | as without `groups/GROUP` | [`Done`]; a koid that knows no groups does nothing |
//! | `POST /v1/reconfigure` | [`Reconfigure`] | [`Done`] |
//! | `POST /v1/confirm-down` | [`OnNode`], the node required | [`Done`] |
//! | `POST /v1/fence` | [`Fence`] | [`Done`] |
//! | `POST /v1/maintenance` | [`Maintenance`] | [`Done`] |
//! | `GET /v1/electors` | | [`Electors`] |
//! | `POST /v1/electors` | [`ElectorsChange`] | [`Done`] |
//! | `POST /v1/bootstrap` | [`Bootstrap`] | [`Done`], the asked node itself; its steps are the electors' names |
//! | `POST /v1/drill` | [`Drill`] | [`Done`] |
//! | `GET /v1/failures` | | [`Failures`] (with `?group=NAME`: those of that group) |
//! | `GET /v1/plugins` | | an array of [`Plugin`], the asked node's (with `?node=NAME`: that node's) |
//! | `GET /v1/plugins/NAME` | | [`PluginDetail`]; the name, or the path of its file, percent-encoded; `?node=` as above |
//! | `GET /v1/attributes?group=NAME` | | [`GroupAttributes`], as the asked node acts on them; `&fresh=true`: as the leader knows them; `&after=VERSION&wait_ms=N`: as soon as they are in another state than VERSION, or N ms have passed |
//! | `POST /v1/attributes`, `/v1/groups/GROUP/attributes` | [`WriteAttribute`] | [`Done`], when it counts; of a hook with its token ([`crate::client::TOKEN`]), of an operator with `force` |
//! | `GET /metrics` | | what the hooks of the asked node have cost, in the text format of Prometheus |
//! | `GET /v1/staged` | | an array of [`Plugin`] as `POST /v1/reconfigure` would have them; `?node=` as above; slow when something is to be compiled |
//! | `GET /v1/events?since=N` | | a line of JSON per [`Event`], those kept first, then each as it happens, without end; `&follow=false`: only those kept, and then `?node=` as above; `&group=NAME`: only those of that group |
//!
//! A command is for the group that its body names ([`Scope`]), and for `main` where it names none.
//!
//! A node that is not the leader passes on what only the leader can do. Errors are [`ErrorBody`] with a fitting status.
//!
//! A request may say how long its answer is waited for (`x-koi-within-ms: 6000`, [`crate::client::WITHIN`]): no command is begun after
//! that, on whatever node. Nor is one whose connection was closed before it was begun.

mod attribute;
mod command;
mod drill;
mod electors;
mod error;
mod event;
mod group;
mod plugin;
mod statistics;
mod status;
mod waiting;
mod word;

pub use attribute::{AttributesState, GroupAttributes, WriteAttribute};
pub use command::{Done, Fence, Maintenance, OnNode, Promote, Reconfigure};
pub use drill::{CRASH_AFTER, Drill, DrillAction};
pub use electors::{Bootstrap, Elector, Electors, ElectorsChange, Membership};
pub use error::{ApiError, ErrorBody, ErrorCode};
pub use event::{Event, EventLevel};
pub use group::{Group, GroupOnNode, GroupStatus, Scope};
pub use plugin::{
    Grant, OnDisk, Plugin, PluginCompiled, PluginConfigKey, PluginDetail, PluginKind, PluginSignature,
    PluginState, PluginUse, ServiceProblem, SignatureState,
};
pub use statistics::{HandlerStatistics, HookStatistics, PluginStatistics};
pub use status::{
    ClusterStatus, Failure, Failures, Hook, Local, NodeAction, NodeState, NodeStatus, Patience, ServiceState,
    ServiceStatus, StateOrigin, Status, Timing,
};
pub use waiting::{WaitReason, Waiting};
