//! The one trait behind which all kinds of handlers stand.

use std::future::Future;
use std::pin::Pin;

use crate::call::Call;
use crate::hook::{HookError, Outcome};
use crate::metadata::Metadata;

/// A call under way. Dropping it ends whatever runs for it.
pub type Called = Pin<Box<dyn Future<Output = Result<Outcome, HookError>> + Send>>;

/// Runs the hooks of one service.
pub trait Handler: Send + Sync {
    /// What it is.
    fn metadata(&self) -> Metadata;

    /// Runs one hook. Keeps to `context.timeout` and to the abort signal, cleans up after itself in either case, and
    /// returns only when nothing of the call runs any more.
    fn call(&self, call: Call) -> Called;
}
