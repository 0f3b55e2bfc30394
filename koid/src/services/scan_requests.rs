//! Asks for a look at the services folder at once.

use tokio::sync::{mpsc, oneshot};

/// Looks that wait: each answers the one before too.
const WAITING: usize = 8;

/// Asks for a look at the folder now. Clones ask the same one.
#[derive(Clone, Debug)]
pub(crate) struct LookNow(mpsc::Sender<Looked>);

/// Is told the services that cannot run as the folder has them: their names, and the rest of a sentence.
pub(super) type Looked = oneshot::Sender<Vec<(String, String)>>;

/// The looks that are asked for.
#[derive(Debug)]
pub(crate) struct Looks(pub(super) mpsc::Receiver<Looked>);

impl LookNow {
    /// The way to ask, and what is asked.
    pub(crate) fn new() -> (LookNow, Looks) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (LookNow(sender), Looks(receiver))
    }

    /// Looks. The services that cannot run as the folder has them, by name, and the rest of a sentence.
    pub(crate) async fn look(&self) -> Vec<(String, String)> {
        let (reply, looked) = oneshot::channel();
        // Nobody looks any more: the daemon ends.
        let _ = self.0.send(reply).await;
        looked.await.unwrap_or_default()
    }
}
