//! One call's conversation with a helper.

use std::time::Duration;

use koi_plugin_api::native::abi;
use koi_plugin_api::{Abort, AbortSignal, CallLog, Hook, LogLevel, NewestEpoch};
use tokio::time::{Instant, sleep_until};

use super::helper::{Helper, NoAnswer, Phase};
use super::output::for_people;
use super::protocol::{
    Answer, DETAIL_KEY_BYTES, DETAIL_VALUE_BYTES, DETAILS, Ended, LINE_BYTES, MESSAGE_BYTES, Order, cut,
};
use super::verdict;

/// Between the request to end and SIGKILL.
const ABORT_GRACE: Duration = Duration::from_secs(1);
/// As good as never.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Why a call has to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    Aborted(Abort),
    TimedOut,
}

/// How long a call may go on.
pub(super) struct Limits {
    pub(super) abort: AbortSignal,
    pub(super) deadline: Instant,
}

impl Limits {
    pub(super) fn new(timeout: Duration, abort: AbortSignal) -> Limits {
        Limits { abort, deadline: Instant::now() + timeout.min(FAR) }
    }

    /// Waits until it has to end, for one request at least as strong as `at_least`.
    pub(super) async fn early(&mut self, at_least: Abort) -> Early {
        tokio::select! {
            biased;
            how = self.abort.asked_for(at_least) => Early::Aborted(how),
            () = sleep_until(self.deadline) => Early::TimedOut,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// How a conversation ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The hook returned.
    Done(Ended),
    /// `create` returned something else than done.
    NotCreated(Ended),
    /// The library cannot be used any more.
    Refused(String),
    /// The process has ended, or is about to.
    Gone,
    /// The process says what it should not.
    Garbled,
    /// It did not end in time.
    Cut(Early),
}

impl Ending {
    /// The plugin broke off, or answered with something that means nothing.
    pub(super) fn is_crash(&self, hook: Hook) -> bool {
        match self {
            Ending::Done(ended) => ended.code == abi::BROKEN || !verdict::is_answer(Some(hook), ended.code),
            Ending::NotCreated(ended) => ended.code == abi::BROKEN || !verdict::is_answer(None, ended.code),
            Ending::Gone | Ending::Garbled => true,
            Ending::Refused(_) | Ending::Cut(_) => false,
        }
    }

    /// Something is wrong with the process or what it runs: the next one is not started at once.
    pub(super) fn is_broken(&self) -> bool {
        match self {
            Ending::Done(ended) | Ending::NotCreated(ended) => ended.code == abi::BROKEN,
            Ending::Gone | Ending::Garbled | Ending::Cut(Early::TimedOut) => true,
            Ending::Refused(_) | Ending::Cut(Early::Aborted(_)) => false,
        }
    }
}

/// Talks until `hook`, whose order waits to be sent, has ended. Nothing is killed here.
pub(super) async fn talk(
    helper: &mut Helper,
    hook: Hook,
    limits: &mut Limits,
    log: &dyn CallLog,
    newest: &NewestEpoch,
) -> Ending {
    let Helper { process, orders, answers, output, phase } = helper;
    let take = |level: LogLevel, line: &str| log.line(level, line);
    let (mut at_least, mut kill_at) = (Abort::Gently, Instant::now() + FAR);
    loop {
        tokio::select! {
            // Neither a flood of answers nor one of output puts off the end.
            biased;
            early = limits.early(at_least) => match early {
                Early::Aborted(Abort::Gently) => {
                    orders.push(&Order::Abort);
                    (at_least, kill_at) = (Abort::Now, Instant::now() + ABORT_GRACE);
                }
                Early::Aborted(Abort::Now) | Early::TimedOut => return Ending::Cut(early),
            },
            () = sleep_until(kill_at) => return Ending::Cut(Early::Aborted(Abort::Gently)),
            sent = orders.send(), if orders.are_waiting() => {
                // It has ended, or closed its end; what it said before is to be heard all the same.
                if sent.is_err() {
                    orders.forget();
                }
            }
            answer = answers.next() => match answer {
                Ok(Answer::Loaded(_)) => *phase = Phase::Creating,
                Ok(Answer::Created(ended)) if ended.code == abi::DONE => *phase = Phase::Calling(hook),
                Ok(Answer::Created(ended)) => return Ending::NotCreated(bounded(ended)),
                Ok(Answer::Done(ended)) => return Ending::Done(bounded(ended)),
                Ok(Answer::Refused(why)) => return Ending::Refused(why),
                Ok(Answer::Line(level, line)) => log.line(level_of(level), &for_people(cut(&line, LINE_BYTES))),
                Ok(Answer::AskEpoch) => orders.push(&Order::Epoch(newest.get())),
                Err(NoAnswer::Closed) => return Ending::Gone,
                Err(NoAnswer::Garbled) => return Ending::Garbled,
            },
            never = output.pump(&take) => match never {},
            () = process.ended() => return Ending::Gone,
        }
    }
}

fn level_of(level: u32) -> LogLevel {
    match level {
        abi::LOG_TRACE | abi::LOG_DEBUG => LogLevel::Debug,
        abi::LOG_INFO => LogLevel::Info,
        abi::LOG_WARN => LogLevel::Warn,
        _ => LogLevel::Error,
    }
}

/// The helper keeps to these limits by itself; but the plugin is in there with it.
fn bounded(ended: Ended) -> Ended {
    let text = |text: &str, bytes| for_people(cut(text, bytes));
    let details = ended.details.iter().take(DETAILS);
    let details =
        details.map(|(key, value)| (text(key, DETAIL_KEY_BYTES), text(value, DETAIL_VALUE_BYTES))).collect();
    Ended { code: ended.code, message: text(&ended.message, MESSAGE_BYTES), score: ended.score, details }
}
