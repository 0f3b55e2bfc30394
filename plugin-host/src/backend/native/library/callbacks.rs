//! What the plugin may ask of koi: the callbacks of `koi_host`.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use koi_plugin_api::NamedProcess;
use koi_plugin_api::native::abi;

use crate::backend::helper::{LINE_BYTES, MESSAGE_BYTES, cut};
use crate::backend::native::helper::protocol::{
    AttributesAnswer, AttributesAsk, AttributesQuestion, DETAIL_KEY_BYTES, DETAIL_VALUE_BYTES, DETAILS,
    FunctionResult, HelperReply, PATH_BYTES, encode, millis,
};
use crate::backend::native::library::answers::Answers;

/// How long koid's answer about the epoch is waited for. It comes in microseconds; while no call is under way, never.
const EPOCH_WAIT: Duration = Duration::from_secs(1);

/// What is larger is not sent: koid would refuse it.
const ATTRIBUTE_BYTES: usize = 256 * 1024;

/// The way to koid, and what is known of the call under way. Lives as long as the process; any thread may use it.
pub(crate) struct Link {
    socket: Mutex<UnixStream>,
    epochs: Mutex<Receiver<u64>>,
    aborted: AtomicBool,
    call: Mutex<LibraryCall>,
    /// One question about attributes at a time.
    asking: Mutex<()>,
    answers: Answers,
}

#[derive(Default)]
struct LibraryCall {
    deadline: Option<Instant>,
    epoch: u64,
    /// Of the hook that runs; none: no hook does.
    call_id: Option<u64>,
    put: FunctionResult,
}

impl Link {
    pub(crate) fn new(socket: UnixStream, epochs: Receiver<u64>) -> Link {
        Link {
            socket: Mutex::new(socket),
            epochs: Mutex::new(epochs),
            aborted: AtomicBool::new(false),
            call: Mutex::default(),
            asking: Mutex::default(),
            answers: Answers::default(),
        }
    }

    pub(crate) fn send(&self, answer: &HelperReply) -> io::Result<()> {
        lock(&self.socket).write_all(&encode(answer))
    }

    /// The call under way is to end, or (false) another one has come.
    pub(crate) fn set_aborted(&self, aborted: bool) {
        self.aborted.store(aborted, Ordering::Relaxed);
        self.answers.set_over(aborted);
    }

    /// A function of the plugin is about to be called.
    pub(crate) fn begin(&self, timeout_ms: u64, (epoch, call_id): (u64, Option<u64>)) {
        let deadline = Instant::now().checked_add(Duration::from_millis(timeout_ms));
        *lock(&self.call) = LibraryCall { deadline, epoch, call_id, put: FunctionResult::default() };
    }

    /// It has returned `code`: that, and what it has put.
    pub(crate) fn finish(&self, code: i32) -> FunctionResult {
        let put = std::mem::take(&mut *lock(&self.call)).put;
        self.answers.forget();
        FunctionResult { code, ..put }
    }

    pub(crate) fn put(&self, what: u32, key: &str, value: &str, number: i64) {
        let put = &mut lock(&self.call).put;
        match what {
            abi::PUT_MESSAGE => put.message = cut(value, MESSAGE_BYTES).to_owned(),
            abi::PUT_SCORE => put.score = Some(number),
            abi::PUT_DETAIL if put.details.len() < DETAILS => {
                put.details
                    .push((cut(key, DETAIL_KEY_BYTES).to_owned(), cut(value, DETAIL_VALUE_BYTES).to_owned()));
            }
            abi::PUT_PROCESS if put.processes.len() <= NamedProcess::MOST => {
                put.processes.push((number, cut(value, PATH_BYTES).to_owned()));
            }
            // One too many, or of a later minor version.
            _ => {}
        }
    }

    pub(crate) fn log(&self, level: u32, line: &str) {
        // Without koid there is nobody to tell, and the watcher ends the process.
        let _ = self.send(&HelperReply::Line(level, cut(line, LINE_BYTES).to_owned()));
    }

    pub(crate) fn remaining_ms(&self) -> u64 {
        let deadline = lock(&self.call).deadline;
        let left =
            deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        if self.aborted.load(Ordering::Relaxed) { 0 } else { millis(left) }
    }

    /// An answer about attributes has come.
    pub(crate) fn answered(&self, number: u64, answer: AttributesAnswer) {
        self.answers.put(number, answer);
    }

    /// Asks about attributes, and waits until the call is over at the latest.
    pub(crate) fn ask_attributes(&self, what: AttributesAsk) -> AttributesAnswer {
        let refused = |code, why: &str| AttributesAnswer::Refused(code, why.to_owned());
        // One at a time: an answer is for whoever asked.
        let _asking = lock(&self.asking);
        let (deadline, call_id) = {
            let call = lock(&self.call);
            (call.deadline, call.call_id)
        };
        let Some(call_id) = call_id else {
            return refused(abi::ATTRIBUTES_UNAVAILABLE, "koi answers no attributes outside of a hook");
        };
        let (is_write, bytes) = match &what {
            AttributesAsk::Read(_) => (false, 0),
            AttributesAsk::Write(key, value) => (true, key.len() + value.as_ref().map_or(0, String::len)),
        };
        if bytes > ATTRIBUTE_BYTES {
            let why =
                format!("key and value have {bytes} bytes, and no attribute has so many; make them shorter");
            return AttributesAnswer::Refused(abi::ATTRIBUTES_INVALID, why);
        }
        let number = self.answers.ask();
        let question = AttributesQuestion { number, call_id, what };
        if self.send(&HelperReply::AskAttributes(question)).is_err() {
            return refused(abi::ATTRIBUTES_UNAVAILABLE, "koid is gone");
        }
        // Without a deadline it is koid that ends the call.
        let far = || Instant::now() + Duration::from_secs(365 * 86_400);
        self.answers.wait(number, deadline.unwrap_or_else(far)).unwrap_or_else(|| match is_write {
            true => {
                refused(abi::ATTRIBUTES_UNKNOWN, "the call is to end, and nobody knows whether it is written")
            }
            false => refused(abi::ATTRIBUTES_UNAVAILABLE, "the call is to end"),
        })
    }

    pub(crate) fn epoch_current(&self) -> bool {
        // One at a time: an answer is for whoever asked.
        let epochs = lock(&self.epochs);
        let epoch = lock(&self.call).epoch;
        let asked = self.send(&HelperReply::AskEpoch);
        asked.is_ok() && epochs.recv_timeout(EPOCH_WAIT).is_ok_and(|newest| newest <= epoch)
    }
}

/// What is in there is whole at any moment: whoever panicked with it left it usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
