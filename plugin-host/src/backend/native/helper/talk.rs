//! One call's conversation with a helper.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use koi_plugin_api::native::abi;
use koi_plugin_api::{
    Abort, AttributesError, AttributesRead, CallAttributes, CallLog, Hook, LogLevel, NamedProcess,
    NewestEpoch,
};
use tokio::time::Instant;

use crate::backend::helper::output::for_people;
use crate::backend::helper::talk::{ABORT_GRACE, CallLimits, CallTimers, EarlyEnd, until};
use crate::backend::helper::{HelperProcess, LINE_BYTES, MESSAGE_BYTES, ReplyError, cut};
use crate::backend::native::helper::protocol::{
    AttributesAnswer, AttributesAsk, AttributesQuestion, DETAIL_KEY_BYTES, DETAIL_VALUE_BYTES, DETAILS,
    FunctionResult, HelperReply, HelperRequest, PATH_BYTES, encode,
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

/// What a call may ask of the cluster.
pub(crate) struct CallView {
    pub(crate) call_id: u64,
    /// The newest epoch that this node has heard of.
    pub(crate) newest: NewestEpoch,
    /// The attributes of the service's group.
    pub(crate) attributes: Arc<dyn CallAttributes>,
}

/// An answer about attributes that is being made, and the number of its question. Dropped, it ends.
type Asked = Pin<Box<dyn Future<Output = (u64, AttributesAnswer)> + Send>>;

fn ask(AttributesQuestion { number, what, .. }: AttributesQuestion, view: &CallView) -> Asked {
    let attributes = view.attributes.clone();
    Box::pin(async move {
        let answer = match what {
            AttributesAsk::Read(fresh) => {
                let read = attributes.read(fresh).await;
                read.map(|AttributesRead { version, values }| AttributesAnswer::Read(version, values))
            }
            AttributesAsk::Write(key, value) => {
                attributes.write(key, value).await.map(|()| AttributesAnswer::Written)
            }
        };
        (number, answer.unwrap_or_else(refused))
    })
}

fn refused(error: AttributesError) -> AttributesAnswer {
    let (code, why) = match error {
        AttributesError::NotMaster(why) => (abi::ATTRIBUTES_NOT_MASTER, why),
        AttributesError::Invalid(why) => (abi::ATTRIBUTES_INVALID, why),
        AttributesError::Unavailable(why) => (abi::ATTRIBUTES_UNAVAILABLE, why),
        AttributesError::Unknown(why) => (abi::ATTRIBUTES_UNKNOWN, why),
    };
    AttributesAnswer::Refused(code, why)
}

/// Talks until `hook`, whose order waits to be sent, has ended. Nothing is killed here.
pub(crate) async fn talk(
    helper: &mut Helper,
    hook: Hook,
    limits: &mut CallLimits,
    log: &dyn CallLog,
    view: &CallView,
) -> TalkEnd {
    let Helper { body: HelperProcess { process, output, timers }, requests, replies, phase } = helper;
    timers.begin(limits.deadline);
    let CallTimers { deadline, look } = timers;
    let take = |level: LogLevel, line: &str| log.line(level, line);
    let (mut at_least, mut kill_at) = (Abort::Gently, None);
    let mut asked: Option<Asked> = None;
    loop {
        let answer = async {
            match &mut asked {
                Some(asked) => asked.await,
                None => pending().await,
            }
        };
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
            (number, answer) = answer => {
                requests.push(&encode(&HelperRequest::Attributes(number, answer)));
                asked = None;
            }
            answer = replies.next() => match answer {
                Ok(HelperReply::Loaded(_)) => *phase = Phase::Creating,
                Ok(HelperReply::Created(ended)) if ended.code == abi::DONE => *phase = Phase::Calling(hook),
                Ok(HelperReply::Created(ended)) => return TalkEnd::NotCreated(bounded(ended)),
                Ok(HelperReply::Done(ended)) => return TalkEnd::Done(bounded(ended)),
                Ok(HelperReply::Refused(why)) => return TalkEnd::Refused(why),
                Ok(HelperReply::Line(level, line)) => log.line(level_of(level), &for_people(cut(&line, LINE_BYTES))),
                Ok(HelperReply::AskEpoch) => requests.push(&encode(&HelperRequest::Epoch(view.newest.get()))),
                // One of an earlier call came too late.
                Ok(HelperReply::AskAttributes(question)) if question.call_id != view.call_id => {}
                // What was asked before has nobody left who waits for it.
                Ok(HelperReply::AskAttributes(question)) => asked = Some(ask(question, view)),
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
