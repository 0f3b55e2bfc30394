//! `koid --check` asks each fence whether its device can be reached.

use std::time::Duration;

use koi_config::Fences;
use tokio::task::JoinSet;

use super::device::{Device, FenceError};

/// How long a check waits for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong with the fences, by the names of the nodes. Nothing is turned off.
///
/// # Errors
/// None could be tried.
pub(crate) fn try_all(fences: &Fences) -> std::io::Result<Vec<(String, FenceError)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limit = fences.timeout.min(PATIENCE);
    Ok(runtime.block_on(async {
        let mut trials = JoinSet::new();
        for name in fences.nodes.keys().cloned() {
            let device = Device::of(Some(fences), &name);
            trials.spawn(async move {
                let result = match device {
                    Ok(device) => device.try_out(limit).await,
                    Err(error) => Err(error),
                };
                result.err().map(|error| (name, error))
            });
        }
        let mut wrong: Vec<(String, FenceError)> = trials.join_all().await.into_iter().flatten().collect();
        wrong.sort_by(|(one, _), (other, _)| one.cmp(other));
        wrong
    }))
}
