//! One call's conversation with a helper.

use koi_plugin_api::native::abi;
use koi_plugin_api::{Abort, CallLog, Hook, LogLevel, NamedProcess, NewestEpoch};
use tokio::time::Instant;

use crate::backend::helper::output::for_people;
use crate::backend::helper::talk::{ABORT_GRACE, CallLimits, CallTimers, EarlyEnd, until};
use crate::backend::helper::{HelperProcess, LINE_BYTES, MESSAGE_BYTES, ReplyError, cut};
use crate::backend::native::helper::protocol::{
    DETAIL_KEY_BYTES, DETAIL_VALUE_BYTES, DETAILS, FunctionResult, HelperReply, HelperRequest, PATH_BYTES,
    encode,
};
use crate::backend::native::helper::{Helper, Phase};
use crate::backend::native::verdict;

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum TalkEnd {
    /// The hook returned.
    Done(FunctionResult),
    /// `create` returned something else than done.
    NotCreated(FunctionResult),
    /// The library cannot be used any more.
    Refused(String),
    /// The process has ended, or is about to.
    Gone,
    /// The process says what it should not.
    Garbled,
    /// It did not end in time.
    Cut(EarlyEnd),
}

impl TalkEnd {
    /// The plugin broke off, or answered with something that means nothing.
    pub(crate) fn is_crash(&self, hook: Hook) -> bool {
        match self {
            TalkEnd::Done(ended) => ended.code == abi::BROKEN || !verdict::is_answer(Some(hook), ended.code),
            TalkEnd::NotCreated(ended) => ended.code == abi::BROKEN || !verdict::is_answer(None, ended.code),
            TalkEnd::Gone | TalkEnd::Garbled => true,
            TalkEnd::Refused(_) | TalkEnd::Cut(_) => false,
        }
    }

    /// Something is wrong with the process or what it runs: the next one is not started at once.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            TalkEnd::Done(ended) | TalkEnd::NotCreated(ended) => ended.code == abi::BROKEN,
            TalkEnd::Gone | TalkEnd::Garbled | TalkEnd::Cut(EarlyEnd::TimedOut) => true,
            TalkEnd::Refused(_) | TalkEnd::Cut(EarlyEnd::Aborted(_)) => false,
        }
    }
}

/// Talks until `hook`, whose order waits to be sent, has ended. Nothing is killed here.
pub(crate) async fn talk(
    helper: &mut Helper,
    hook: Hook,
    limits: &mut CallLimits,
    log: &dyn CallLog,
    newest: &NewestEpoch,
) -> TalkEnd {
    let Helper { body: HelperProcess { process, output, timers }, requests, replies, phase } = helper;
    timers.begin(limits.deadline);
    let CallTimers { deadline, look } = timers;
    let take = |level: LogLevel, line: &str| log.line(level, line);
    let (mut at_least, mut kill_at) = (Abort::Gently, None);
    loop {
        tokio::select! {
            // Neither a flood of answers nor one of output puts off the end.
            biased;
            early = limits.early_by(deadline, at_least) => match early {
                EarlyEnd::Aborted(Abort::Gently) => {
                    requests.push(&encode(&HelperRequest::Abort));
                    (at_least, kill_at) = (Abort::Now, Some(Instant::now() + ABORT_GRACE));
                }
                EarlyEnd::Aborted(Abort::Now) | EarlyEnd::TimedOut => return TalkEnd::Cut(early),
            },
            () = until(kill_at) => return TalkEnd::Cut(EarlyEnd::Aborted(Abort::Gently)),
            sent = requests.send(), if requests.are_waiting() => {
                // It has ended, or closed its end; what it said before is to be heard all the same.
                if sent.is_err() {
                    requests.forget();
                }
            }
            answer = replies.next() => match answer {
                Ok(HelperReply::Loaded(_)) => *phase = Phase::Creating,
                Ok(HelperReply::Created(ended)) if ended.code == abi::DONE => *phase = Phase::Calling(hook),
                Ok(HelperReply::Created(ended)) => return TalkEnd::NotCreated(bounded(ended)),
                Ok(HelperReply::Done(ended)) => return TalkEnd::Done(bounded(ended)),
                Ok(HelperReply::Refused(why)) => return TalkEnd::Refused(why),
                Ok(HelperReply::Line(level, line)) => log.line(level_of(level), &for_people(cut(&line, LINE_BYTES))),
                Ok(HelperReply::AskEpoch) => requests.push(&encode(&HelperRequest::Epoch(newest.get()))),
                Err(ReplyError::Closed) => return TalkEnd::Gone,
                Err(ReplyError::Garbled) => return TalkEnd::Garbled,
            },
            never = output.pump(&take) => match never {},
            () = look.ended(process) => return TalkEnd::Gone,
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
fn bounded(ended: FunctionResult) -> FunctionResult {
    let text = |text: &str, bytes| for_people(cut(text, bytes));
    let details = ended.details.iter().take(DETAILS);
    let details =
        details.map(|(key, value)| (text(key, DETAIL_KEY_BYTES), text(value, DETAIL_VALUE_BYTES))).collect();
    let processes = ended.processes.iter().take(NamedProcess::MOST + 1);
    let processes = processes.map(|(id, path)| (*id, cut(path, PATH_BYTES).to_owned())).collect();
    FunctionResult {
        code: ended.code,
        message: text(&ended.message, MESSAGE_BYTES),
        score: ended.score,
        details,
        processes,
    }
}
