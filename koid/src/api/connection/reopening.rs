//! The API's socket stays where it is looked for: whoever cleans `/run` or `/tmp` may remove its file, or the folder with it, from
//! under a daemon that runs.

use std::io;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::local_listener::LocalListener;

/// How often its file is looked for.
const LOOK: Duration = Duration::from_secs(2);

/// The socket, listened on and kept in its place.
pub(in crate::api) struct ReopeningListener {
    local: LocalListener,
    listener: UnixListener,
    look: Interval,
    /// It could not be put back, and that was said.
    complained: bool,
}

impl ReopeningListener {
    /// Must be called in a runtime.
    pub(in crate::api) fn new(local: LocalListener) -> io::Result<ReopeningListener> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(ReopeningListener { listener: local.listen()?, local, look, complained: false })
    }

    /// The next connection.
    pub(in crate::api) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => return accepted.map(|(stream, _)| stream),
                _ = self.look.tick() => self.stand(),
            }
        }
    }

    fn stand(&mut self) {
        if self.local.is_in_place() {
            self.complained = false;
            return;
        }
        let path = self.local.path().display();
        let back = self.local.reopen().map_err(|error| error.to_string()).and_then(|anew| {
            let listener = anew.listen().map_err(|error| error.to_string())?;
            Ok((anew, listener))
        });
        match back {
            Ok((anew, listener)) => {
                tracing::warn!("somebody has removed the API's socket {path}: it is there again");
                (self.local, self.listener, self.complained) = (anew, listener, false);
            }
            Err(why) if !self.complained => {
                tracing::error!("the API's socket {path} was removed, and cannot be put back: {why}");
                self.complained = true;
            }
            Err(_) => {}
        }
    }
}
