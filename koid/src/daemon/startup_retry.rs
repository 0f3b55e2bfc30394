//! Retries what time alone may mend at the start: an address that the network does not have yet, a disk that is full. A mistake in
//! the configuration looks the same. So koid gives up after a while and says why, and whatever keeps it running starts it again.

use std::fmt::Display;
use std::io;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::api::ListenError;
use crate::cluster::sockets::BindError;
use crate::reporting::systemd;
use crate::storage::error::StoreError;

/// How long it is waited for altogether; well below the unit's `TimeoutStartSec`.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses between tries: they double.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// The signals that end koid.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(crate) term: Signal,
    pub(crate) int: Signal,
}

impl Signals {
    /// From now on none is missed. Must be called in a runtime.
    pub(crate) fn new() -> io::Result<Signals> {
        Ok(Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }
}

/// An error that time alone may mend.
pub(crate) trait Transient: Display {
    /// Whether it is one.
    fn is_transient(&self) -> bool;
}

/// Why it was not waited for any longer.
#[derive(Debug)]
pub(crate) enum StartupError<E> {
    /// It is no such error, or has lasted too long.
    Failed(E),
    /// A signal asked for the end.
    Signalled,
}

/// Waits for one thing after the other.
#[derive(Debug)]
pub(crate) struct StartupRetry<'s> {
    signals: &'s mut Signals,
    until: Instant,
}

impl StartupRetry<'_> {
    /// All that is waited for shares one patience.
    pub(crate) fn new(signals: &mut Signals) -> StartupRetry<'_> {
        StartupRetry { signals, until: Instant::now() + PATIENCE }
    }

    /// Tries again as long as that may help.
    pub(crate) async fn until_done<T, E: Transient>(
        &mut self,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, StartupError<E>> {
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        loop {
            let error = match attempt() {
                Ok(done) => return Ok(done),
                Err(error) if error.is_transient() && Instant::now() < self.until => error,
                Err(error) => return Err(StartupError::Failed(error)),
            };
            let text = error.to_string();
            if text != said {
                tracing::warn!("not started yet, for that may pass: {text}");
                systemd::waiting(&text);
                said = text;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = self.signals.term.recv() => return Err(StartupError::Signalled),
                _ = self.signals.int.recv() => return Err(StartupError::Signalled),
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
}

impl Transient for io::Error {
    fn is_transient(&self) -> bool {
        use io::ErrorKind as Kind;
        let passing = [
            Kind::StorageFull,
            Kind::QuotaExceeded,
            Kind::ReadOnlyFilesystem,
            Kind::StaleNetworkFileHandle,
            Kind::AddrNotAvailable,
            Kind::NetworkDown,
            Kind::OutOfMemory,
        ];
        // An interface that is not there yet has no kind of its own.
        passing.contains(&self.kind()) || self.raw_os_error() == Some(libc::ENODEV)
    }
}

impl Transient for BindError {
    fn is_transient(&self) -> bool {
        match self {
            BindError::NotOurs { .. } => true,
            BindError::Other { source, .. } => source.is_transient(),
            BindError::InUse { .. } | BindError::AllInUse { .. } => false,
        }
    }
}

impl Transient for StoreError {
    fn is_transient(&self) -> bool {
        match self {
            StoreError::Folder { source, .. }
            | StoreError::Lock { source, .. }
            | StoreError::Read { source, .. }
            | StoreError::Write { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

impl Transient for ListenError {
    fn is_transient(&self) -> bool {
        match self {
            ListenError::Io { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
        let mut signals = Signals::new().unwrap();
        let mut wait = StartupRetry::new(&mut signals);
        let mut tries = 0;
        let done = wait.until_done(|| {
            tries += 1;
            if tries < 3 { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(tries) }
        });
        assert!(matches!(done.await, Ok(3)));
        let refused = wait.until_done(|| Err::<(), _>(io::Error::from(io::ErrorKind::PermissionDenied)));
        assert!(matches!(refused.await, Err(StartupError::Failed(_))));
        wait.until = Instant::now();
        let too_long = wait.until_done(|| Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull)));
        assert!(matches!(too_long.await, Err(StartupError::Failed(_))));
    }
}
