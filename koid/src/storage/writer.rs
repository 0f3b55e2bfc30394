//! The thread that puts the core's state on disk: always the newest, never in the cluster loop's way.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use koi_core::record::Durable;
use nix::errno::Errno;

use super::error::write_hint;
use super::store::Store;

/// How long it waits after a failure before it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a failure that lasts is said again.
const REPEAT: Duration = Duration::from_secs(60);

/// Something that keeps a state.
pub(crate) trait Disk: Send + 'static {
    /// On return the state is there to stay.
    fn save(&mut self, durable: &Durable) -> io::Result<()>;
    /// Counts this node's runs on from `beyond`, because its state was restored from a backup.
    fn count_up(&mut self, beyond: u64) -> io::Result<()>;
    /// Where, for people.
    fn path(&self) -> PathBuf;
}

impl Disk for Store {
    fn save(&mut self, durable: &Durable) -> io::Result<()> {
        Store::save(self, durable)
    }

    fn count_up(&mut self, beyond: u64) -> io::Result<()> {
        Store::count_up(self, beyond).map_err(io::Error::other)
    }

    fn path(&self) -> PathBuf {
        Store::path(self)
    }
}

/// What came of writing a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// The state with this number is on disk.
    Done(u64),
    /// It cannot be written now, in a few words; it is tried again.
    Failed(String),
}

/// Hands states to the thread. Dropping it waits for one last attempt to write what is pending.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<WriterQueue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct WriterQueue {
    slot: Mutex<PendingWrite>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct PendingWrite {
    /// The newest state that is not on disk, with its number: a newer one replaces it.
    pending: Option<(u64, Box<Durable>)>,
    closing: bool,
    /// What is left to do when it closes: to count this node's runs on from here.
    count_up: Option<u64>,
}

impl WriterQueue {
    fn lock(&self) -> MutexGuard<'_, PendingWrite> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts the thread; `told` is called on it with what came of each try.
    pub(crate) fn start(
        disk: impl Disk,
        told: impl FnMut(WriteOutcome) + Send + 'static,
    ) -> io::Result<Writer> {
        let shared = Arc::new(WriterQueue::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            WriterThread { shared: theirs, disk, told, trouble: None }.run();
        })?;
        Ok(Writer { shared, thread: Some(thread) })
    }

    /// Writes this state soon, instead of any older one that has not been begun. Never blocks on the disk.
    pub(crate) fn submit(&self, number: u64, durable: Box<Durable>) {
        self.shared.lock().pending = Some((number, durable));
        self.shared.changed.notify_one();
    }

    /// Ends the thread: what it was to write is void, and this node's runs are counted on from `beyond`.
    pub(crate) fn count_up(&self, beyond: u64) {
        let mut slot = self.shared.lock();
        (slot.pending, slot.count_up) = (None, Some(beyond));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct WriterThread<D, T> {
    shared: Arc<WriterQueue>,
    disk: D,
    told: T,
    trouble: Option<DiskFailure>,
}

/// The disk fails.
struct DiskFailure {
    since: Instant,
    said: Instant,
}

impl<D: Disk, T: FnMut(WriteOutcome)> WriterThread<D, T> {
    fn run(mut self) {
        self.write_states();
        let beyond = self.shared.lock().count_up;
        if let Some(Err(error)) = beyond.map(|beyond| self.disk.count_up(beyond)) {
            tracing::error!("{error}");
        }
    }

    fn write_states(&mut self) {
        while let Some((number, durable, last)) = self.next() {
            match self.disk.save(&durable) {
                Ok(()) => {
                    self.recovered();
                    (self.told)(WriteOutcome::Done(number));
                }
                Err(error) if last => {
                    tracing::error!("the last state was not saved: {error}");
                    return;
                }
                Err(error) => {
                    self.failed(&error);
                    (self.told)(WriteOutcome::Failed(in_short(&error)));
                    self.put_back_and_wait(number, durable);
                }
            }
        }
    }

    /// Waits for something to write; none: there is nothing left, and the daemon ends.
    fn next(&self) -> Option<(u64, Box<Durable>, bool)> {
        let mut slot = self.shared.lock();
        loop {
            if let Some((number, durable)) = slot.pending.take() {
                return Some((number, durable, slot.closing));
            }
            if slot.closing {
                return None;
            }
            slot = self.shared.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A newer state that came meanwhile wins, and is tried after the same pause.
    fn put_back_and_wait(&self, number: u64, durable: Box<Durable>) {
        let mut slot = self.shared.lock();
        if slot.pending.is_none() {
            slot.pending = Some((number, durable));
        }
        let _ = self.shared.changed.wait_timeout_while(slot, RETRY, |slot| !slot.closing);
    }

    fn failed(&mut self, error: &io::Error) {
        let now = Instant::now();
        if self.trouble.as_ref().is_some_and(|t| now.duration_since(t.said) < REPEAT) {
            return;
        }
        tracing::error!(
            "the state cannot be saved in {}: {error}; {}. Until then this node does not vote and takes part in no change; \
             it tries again every second",
            self.disk.path().display(),
            write_hint(error)
        );
        let since = self.trouble.as_ref().map_or(now, |t| t.since);
        self.trouble = Some(DiskFailure { since, said: now });
    }

    fn recovered(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            tracing::info!(
                "the state is saved again in {}, after {} s",
                self.disk.path().display(),
                trouble.since.elapsed().as_secs()
            );
        }
    }
}

/// The system's words, without their number.
fn in_short(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |raw| Errno::from_raw(raw).desc().to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use koi_core::types::Term;
    use koi_testkit::SmallDisk;

    use super::*;

    fn durable(term: u64) -> Box<Durable> {
        Box::new(Durable { term: Term(term), ..Durable::default() })
    }

    /// Says what it is asked to write, and does as it is told.
    struct ScriptedDisk {
        begun: mpsc::Sender<u64>,
        orders: mpsc::Receiver<io::Result<()>>,
    }

    impl Disk for ScriptedDisk {
        fn save(&mut self, durable: &Durable) -> io::Result<()> {
            self.begun.send(durable.term.0).unwrap();
            self.orders.recv().unwrap()
        }

        fn count_up(&mut self, beyond: u64) -> io::Result<()> {
            self.begun.send(beyond).unwrap();
            Ok(())
        }

        fn path(&self) -> PathBuf {
            "/dev/told".into()
        }
    }

    /// Hands on the numbers of the states that are on disk.
    fn numbers(to: mpsc::Sender<u64>) -> impl FnMut(WriteOutcome) + Send + 'static {
        move |written| match written {
            WriteOutcome::Done(number) => to.send(number).unwrap(),
            WriteOutcome::Failed(_) => {}
        }
    }

    fn told() -> (ScriptedDisk, mpsc::Receiver<u64>, mpsc::Sender<io::Result<()>>) {
        let (begun, seen) = mpsc::channel();
        let (order, orders) = mpsc::channel();
        (ScriptedDisk { begun, orders }, seen, order)
    }

    #[test]
    fn states_that_wait_behind_a_slow_disk_are_replaced_by_the_newest() {
        let (disk, seen, order) = told();
        let (done, persisted) = mpsc::channel();
        let writer = Writer::start(disk, numbers(done)).unwrap();
        writer.submit(1, durable(1));
        assert_eq!(seen.recv().unwrap(), 1);
        writer.submit(2, durable(2));
        writer.submit(3, durable(3));
        order.send(Ok(())).unwrap();
        assert_eq!(persisted.recv().unwrap(), 1);
        assert_eq!(seen.recv().unwrap(), 3, "the second was never begun");
        order.send(Ok(())).unwrap();
        assert_eq!(persisted.recv().unwrap(), 3);
    }

    #[test]
    fn a_full_disk_is_tried_again_until_it_works() {
        let (disk, seen, order) = told();
        let (done, persisted) = mpsc::channel();
        let writer = Writer::start(disk, numbers(done)).unwrap();
        writer.submit(1, durable(1));
        assert_eq!(seen.recv().unwrap(), 1);
        order.send(Err(io::ErrorKind::StorageFull.into())).unwrap();
        assert_eq!(seen.recv().unwrap(), 1);
        assert!(persisted.try_recv().is_err(), "nothing is said to be on disk that is not");
        order.send(Ok(())).unwrap();
        assert_eq!(persisted.recv().unwrap(), 1);
    }

    #[test]
    fn why_a_state_cannot_be_written_is_told_in_a_few_words() {
        let (disk, seen, order) = told();
        let (tell, told) = mpsc::channel();
        let writer = Writer::start(disk, move |written| tell.send(written).unwrap()).unwrap();
        writer.submit(7, durable(1));
        assert_eq!(seen.recv().unwrap(), 1);
        order.send(Err(io::Error::from_raw_os_error(libc::ENOSPC))).unwrap();
        assert_eq!(told.recv().unwrap(), WriteOutcome::Failed("No space left on device".to_owned()));
        assert_eq!(seen.recv().unwrap(), 1);
        order.send(Ok(())).unwrap();
        assert_eq!(told.recv().unwrap(), WriteOutcome::Done(7));
    }

    #[test]
    fn a_file_system_that_is_really_full_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = SmallDisk::mount(folder.path(), "256k") else {
            koi_testkit::skip("a tmpfs cannot be mounted here (root is needed): a full disk was not tried");
            return;
        };
        let folder = disk.path();
        let (store, _) = Store::open(folder).unwrap();
        let (done, persisted) = mpsc::channel();
        let writer = Writer::start(store, numbers(done)).unwrap();
        writer.submit(1, durable(1));
        assert_eq!(persisted.recv().unwrap(), 1);
        disk.fill();
        writer.submit(2, durable(2));
        assert!(persisted.recv_timeout(Duration::from_millis(200)).is_err(), "it cannot be on disk");
        assert!(!folder.join("state.new").exists(), "no left-overs");
        disk.empty();
        assert_eq!(persisted.recv().unwrap(), 2);
        drop(writer);
        assert_eq!(Store::open(folder).unwrap().1.durable, Some(*durable(2)));
    }

    #[test]
    fn the_end_waits_for_what_is_pending() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let writer = Writer::start(store, |_| {}).unwrap();
        writer.submit(1, durable(9));
        drop(writer);
        let (_store, opened) = Store::open(folder.path()).unwrap();
        assert_eq!(opened.durable, Some(*durable(9)));
    }
}
