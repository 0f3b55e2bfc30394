//! The hook calls that run now, and the secret of each. A call's secret opens the attributes of its group, and ends with the call.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use koi_core::group::GroupName;
use koi_core::types::Epoch;
use koi_plugin_api::{CallToken, ScriptAccess};

/// Bytes of a secret.
const SECRET_BYTES: usize = 16;

/// For what a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallScope {
    /// The service whose hook it is.
    pub(crate) service: String,
    /// The hook.
    pub(crate) hook: &'static str,
    /// The number of the call.
    pub(crate) run: u64,
    /// The group of the service.
    pub(crate) group: GroupName,
    /// The mastership that the call was told of.
    pub(crate) epoch: Epoch,
}

impl fmt::Display for CallScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.hook, self.service)
    }
}

#[derive(Default)]
struct Known {
    next: u64,
    calls: Vec<KnownCall>,
}

struct KnownCall {
    number: u64,
    secret: [u8; SECRET_BYTES],
    scope: CallScope,
}

/// The calls that run now. Clones share them.
#[derive(Clone)]
pub(crate) struct LiveCalls {
    known: Arc<Mutex<Known>>,
    /// The socket that scripts are told.
    socket: PathBuf,
}

impl fmt::Debug for LiveCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveCalls").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// A call that runs. When this is dropped the call is over, and its secret opens nothing any more.
pub(crate) struct LiveCall {
    calls: LiveCalls,
    number: u64,
    secret: [u8; SECRET_BYTES],
}

/// Looks up whether a call still runs, for who serves it inside koid.
#[derive(Clone, Debug)]
pub(crate) struct CallNumber {
    calls: LiveCalls,
    number: u64,
}

impl LiveCalls {
    /// No call runs. Scripts find the API at `socket`.
    pub(crate) fn new(socket: PathBuf) -> LiveCalls {
        LiveCalls { known: Arc::default(), socket }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins.
    ///
    /// # Errors
    /// The kernel gives no random numbers.
    pub(crate) fn begin(&self, scope: CallScope) -> Result<LiveCall, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        let mut known = self.lock();
        let number = known.next;
        known.next += 1;
        known.calls.push(KnownCall { number, secret, scope });
        drop(known);
        Ok(LiveCall { calls: self.clone(), number, secret })
    }

    /// The call whose secret this is; none: no call that runs has it. Takes as long for every text of one length.
    pub(crate) fn find(&self, token: &CallToken) -> Option<CallScope> {
        let said = token.reveal().as_bytes();
        let known = self.lock();
        let mut found = None;
        for call in &known.calls {
            if is_same(hexadecimal(&call.secret).as_bytes(), said) {
                found = Some(&call.scope);
            }
        }
        found.cloned()
    }
}

impl LiveCall {
    /// What a script is given.
    pub(crate) fn access(&self) -> ScriptAccess {
        ScriptAccess { socket: self.calls.socket.clone(), token: CallToken::new(hexadecimal(&self.secret)) }
    }

    /// For who serves the call inside koid.
    pub(crate) fn number(&self) -> CallNumber {
        CallNumber { calls: self.calls.clone(), number: self.number }
    }
}

impl Drop for LiveCall {
    fn drop(&mut self) {
        self.calls.lock().calls.retain(|call| call.number != self.number);
    }
}

impl CallNumber {
    /// For what the call is; none: it is over.
    pub(crate) fn scope(&self) -> Option<CallScope> {
        let known = self.calls.lock();
        known.calls.iter().find(|call| call.number == self.number).map(|call| call.scope.clone())
    }
}

fn hexadecimal(secret: &[u8]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares without telling by its time where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(run: u64, group: &str) -> CallScope {
        CallScope {
            service: "db".into(),
            hook: "promote",
            run,
            group: group.parse().unwrap(),
            epoch: Epoch(7),
        }
    }

    #[test]
    fn a_token_opens_its_own_call_until_the_call_is_over() {
        let calls = LiveCalls::new("/run/koid.sock".into());
        let first = calls.begin(scope(1, "main")).unwrap();
        let second = calls.begin(scope(2, "web")).unwrap();
        let (one, other) = (first.access().token, second.access().token);
        assert_eq!(one.reveal().len(), 2 * SECRET_BYTES);
        assert_ne!(one, other);
        assert_eq!(calls.find(&one), Some(scope(1, "main")));
        assert_eq!(calls.find(&other), Some(scope(2, "web")));
        let number = first.number();
        assert_eq!(number.scope(), Some(scope(1, "main")));
        drop(first);
        assert_eq!((calls.find(&one), number.scope()), (None, None));
        assert_eq!(calls.find(&other), Some(scope(2, "web")));
        for wrong in ["", "00", &other.reveal()[1..], &format!("{}0", other.reveal())] {
            assert_eq!(calls.find(&CallToken::new(wrong.into())), None, "{wrong:?}");
        }
    }

    #[test]
    fn nothing_that_is_printed_shows_a_token() {
        let calls = LiveCalls::new("/run/koid.sock".into());
        let call = calls.begin(scope(1, "main")).unwrap();
        let access = call.access();
        let printed = format!("{calls:?} {access:?} {:?}", call.number());
        assert!(!printed.contains(access.token.reveal()), "{printed}");
    }
}
