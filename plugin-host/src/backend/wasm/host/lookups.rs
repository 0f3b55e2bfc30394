//! Addresses of names, looked up for a service's guests: koid has the files and libraries that this takes, a helper has neither.
//!
//! The system's look-up blocks for as long as a name server is deaf, and nothing ends it. So each has a thread of its own, and a service
//! has so many places for them and no more. One that hangs keeps its place, also when its call has long ended; what takes the service
//! down has places that no other hook fills.

use std::collections::HashMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::thread;

use koi_plugin_api::{CallLog, Hook, LogLevel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::backend::wasm::host::allowance::{Allowance, Cost};
use crate::backend::wasm::protocol::{
    LOOKUPS_AT_ONCE, LOOKUPS_OPEN, LOOKUPS_WAITING, LookupAnswer, may_be_looked_up,
};
use crate::resolver::Resolver;

/// Look-ups that `demote`, `stop` and `failed` have places for, whatever the others do.
const AT_ONCE_GOING_DOWN: usize = 2;

/// Bytes of a look-up's stack: the system's libraries keep answers of a name server there.
const STACK_BYTES: usize = 256 * 1024;

/// Looks names up for one service.
#[derive(Clone, Debug)]
pub(crate) struct Lookups {
    resolver: Resolver,
    places: Arc<Places>,
    allowance: Arc<Allowance>,
}

/// How many look-ups of a service go on, and wait.
#[derive(Debug)]
struct Places {
    usual: Arc<Semaphore>,
    going_down: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// Leave to look a name up. The service's places last for as long as somebody has one.
struct Place {
    _taken: OwnedSemaphorePermit,
    _of: Arc<Places>,
}

/// The places of the services that have any, by the file of a service's store: no other service has the same. A handler that is made
/// anew finds those of the one before.
static PLACES: LazyLock<Mutex<HashMap<PathBuf, Weak<Places>>>> = LazyLock::new(Mutex::default);

impl Lookups {
    /// For the service with this store. Each look-up is a question of its guests.
    pub(crate) fn new(store: PathBuf, resolver: Resolver, allowance: Arc<Allowance>) -> Lookups {
        let mut all = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all.get(&store).and_then(Weak::upgrade).unwrap_or_else(|| {
            all.retain(|_, places| places.strong_count() > 0);
            let places = Arc::new(Places::new());
            all.insert(store, Arc::downgrade(&places));
            places
        });
        Lookups { resolver, places, allowance }
    }

    /// For one call of a hook.
    pub(crate) fn for_call(&self, hook: Hook) -> CallLookups {
        let goes_down = matches!(hook, Hook::Demote | Hook::Stop | Hook::Failed);
        CallLookups { of: self.clone(), goes_down, open: Vec::new(), told: false }
    }

    async fn look_up(self, name: String, place: Place) -> LookupAnswer {
        self.allowance.wait(Cost::Question).await;
        let (sender, receiver) = oneshot::channel();
        let look_up = move || {
            let found = self.resolver.addresses(&name);
            // Whoever hears the answer finds the place free.
            drop(place);
            // The call may be over.
            let _ = sender.send(found);
        };
        let thread = thread::Builder::new().name("koi-lookup".into()).stack_size(STACK_BYTES);
        if thread.spawn(look_up).is_err() {
            return LookupAnswer::Busy;
        }
        match receiver.await {
            Ok(Ok(ips)) if !ips.is_empty() => LookupAnswer::Addresses(ips),
            Ok(_) | Err(_) => LookupAnswer::Unknown,
        }
    }
}

impl Places {
    fn new() -> Places {
        Places {
            usual: Arc::new(Semaphore::new(LOOKUPS_AT_ONCE)),
            going_down: Arc::new(Semaphore::new(AT_ONCE_GOING_DOWN)),
            waiting: Arc::new(Semaphore::new(LOOKUPS_WAITING)),
        }
    }

    /// A place that is free now.
    fn free(self: &Arc<Places>, goes_down: bool) -> Option<Place> {
        let free = |places: &Arc<Semaphore>| places.clone().try_acquire_owned().ok();
        let own = if goes_down { free(&self.going_down) } else { None };
        let taken = own.or_else(|| free(&self.usual))?;
        Some(Place { _taken: taken, _of: self.clone() })
    }

    /// The next place that is free. None cannot be: places are not taken away.
    async fn next(self: &Arc<Places>, goes_down: bool) -> Option<Place> {
        let taken = tokio::select! {
            biased;
            taken = self.going_down.clone().acquire_owned(), if goes_down => taken,
            taken = self.usual.clone().acquire_owned() => taken,
        };
        Some(Place { _taken: taken.ok()?, _of: self.clone() })
    }
}

/// An answer that is being made.
type Work = Pin<Box<dyn Future<Output = LookupAnswer> + Send>>;

/// The look-ups of one call. Dropped, nobody waits for them.
pub(crate) struct CallLookups {
    of: Lookups,
    goes_down: bool,
    open: Vec<(u64, Work)>,
    /// The log has been told that there are too many.
    told: bool,
}

impl CallLookups {
    /// Begins one. False: no helper asks so.
    #[must_use]
    pub(crate) fn begin(&mut self, number: u64, name: String, log: &dyn CallLog) -> bool {
        let is_open = self.open.iter().any(|(open, _)| *open == number);
        if is_open || self.open.len() >= LOOKUPS_OPEN || !may_be_looked_up(&name) {
            return false;
        }
        let work = self.work(name, log);
        self.open.push((number, work));
        true
    }

    fn work(&mut self, name: String, log: &dyn CallLog) -> Work {
        let (of, goes_down) = (self.of.clone(), self.goes_down);
        if let Some(place) = of.places.free(goes_down) {
            return Box::pin(of.look_up(name, place));
        }
        let Ok(seat) = of.places.waiting.clone().try_acquire_owned() else {
            if !std::mem::replace(&mut self.told, true) {
                let why =
                    "look-ups of names wait, and further ones are refused; does the name server answer?";
                log.line(LogLevel::Warn, &format!("{LOOKUPS_WAITING} {why}"));
            }
            return Box::pin(std::future::ready(LookupAnswer::Busy));
        };
        Box::pin(async move {
            let Some(place) = of.places.next(goes_down).await else { return LookupAnswer::Busy };
            drop(seat);
            of.look_up(name, place).await
        })
    }

    /// The next answer, with its number; there is none for ever where nothing is asked. May be dropped and begun again at any time.
    pub(crate) async fn next(&mut self) -> (u64, LookupAnswer) {
        poll_fn(|cx| {
            for at in 0..self.open.len() {
                if let Poll::Ready(answer) = self.open[at].1.as_mut().poll(cx) {
                    return Poll::Ready((self.open.swap_remove(at).0, answer));
                }
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests;
