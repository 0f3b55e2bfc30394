//! Asks for a scan of the services folder at once.

use tokio::sync::{mpsc, oneshot};

use super::load_error::ServiceLoadError;

/// Scans that wait: each answers the one before too.
const WAITING: usize = 8;

/// Asks for a scan now. Clones ask the same watcher.
#[derive(Clone, Debug)]
pub(crate) struct ScanTrigger(mpsc::Sender<ScanReply>);

/// Is told the services that cannot run as the folder has them.
pub(super) type ScanReply = oneshot::Sender<Vec<ServiceLoadError>>;

/// The scans that are asked for.
#[derive(Debug)]
pub(crate) struct ScanRequests(pub(super) mpsc::Receiver<ScanReply>);

impl ScanTrigger {
    /// The way to ask, and what is asked.
    pub(crate) fn new() -> (ScanTrigger, ScanRequests) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (ScanTrigger(sender), ScanRequests(receiver))
    }

    /// Has the folder scanned. Tells the services that cannot run as the folder has them.
    pub(crate) async fn scan(&self) -> Vec<ServiceLoadError> {
        let (reply, scanned) = oneshot::channel();
        // Nobody scans any more: the daemon ends.
        let _ = self.0.send(reply).await;
        scanned.await.unwrap_or_default()
    }
}
