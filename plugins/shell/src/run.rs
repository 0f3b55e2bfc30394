//! One call, from its start to its verdict.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use koi_child::group::{GroupEnd, KILL_WAIT, TERM_GRACE};
use koi_plugin_api::{
    Abort, AbortSignal, Call, CallLog, Called, Context, Handler, HookError, Incident, LogLevel, Metadata,
    Observed, Outcome, StatusReport,
};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep};

use crate::handler::{Shape, ShellHandler};
use crate::output::{Output, Said};
use crate::spawn::{Script, Started};
use crate::verdict::{absent, verdict, with_last_word};

/// Why a script has to end.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Aborted(Abort),
    TimedOut,
}

impl Handler for ShellHandler {
    fn metadata(&self) -> Metadata {
        Metadata {
            name: Self::NAME.into(),
            version: Self::VERSION.into(),
            description: Self::DESCRIPTION.into(),
            hooks: self.shape.hooks(),
            ..Metadata::default()
        }
    }

    fn call(&self, call: Call) -> Called {
        let script = Script {
            hook: call.hook,
            path: self.shape.script(call.hook),
            folder: match &self.shape {
                Shape::Folder(folder) => Some(folder.clone()),
                Shape::File(_) => None,
            },
            workdir: self.workdir.clone(),
        };
        Box::pin(run(script, call, self.leftovers.clone()))
    }
}

/// Runs `script` for `call`. `leftovers` bounds how many calls may leave their output open.
async fn run(script: Script, call: Call, leftovers: Arc<Semaphore>) -> Result<Outcome, HookError> {
    let Call { hook, context, log, mut abort, .. } = call;
    if abort.asked().is_some() {
        return Err(HookError::Aborted);
    }
    let limit = context.timeout;
    let mut deadline = std::pin::pin!(sleep(limit));

    let script = Arc::new(script);
    let started = start(&script, context, &log, &mut abort, deadline.as_mut()).await?;
    let Some(Started { mut group, mut output }) = started else {
        return absent(hook, &script.path);
    };

    let course = output.beside(async {
        tokio::select! {
            biased;
            exit = group.exited() => Ok(exit),
            cause = asked_to_end(&mut abort, deadline) => Err(cause),
        }
    });
    match course.await {
        Ok(exit) => {
            output.rest();
            drop(group);
            let exit = exit.map_err(|e| script.cannot(format_args!("its exit was lost: {e}")))?;
            let result = verdict(hook, exit, output.out_said(), output.last_word());
            if let Ok(Outcome::Status(report)) = &result {
                warn_of_score(report, output.out_said(), &*log);
            }
            keep_reading(output, leftovers, &*log);
            result
        }
        Err(cause) => {
            let how = match cause {
                Cause::Aborted(how) => how,
                Cause::TimedOut => Abort::Gently,
            };
            let ended = output.beside(group.end(how, &mut abort)).await;
            output.rest();
            if ended == GroupEnd::Stuck {
                log.line(LogLevel::Error, "some of its processes hang in the kernel and cannot be killed");
            }
            Err(match cause {
                Cause::Aborted(_) => HookError::Aborted,
                Cause::TimedOut => HookError::TimedOut(timed_out(limit, ended, output.last_word())),
            })
        }
    }
}

/// Starts the script on a thread that may block. It is waited for even when the end is asked for meanwhile (it is a matter
/// of a millisecond, and then there is something to end); unless it hangs.
async fn start(
    script: &Arc<Script>,
    context: Context,
    log: &Arc<dyn CallLog>,
    abort: &mut AbortSignal,
    deadline: Pin<&mut Sleep>,
) -> Result<Option<Started>, HookError> {
    let starting = {
        let (script, log) = (script.clone(), log.clone());
        // Whoever drops the call before this has ended drops its result too, and that kills the group.
        tokio::task::spawn_blocking(move || script.start(&context, &log))
    };
    tokio::select! {
        biased;
        started = starting => {
            started.map_err(|e| script.cannot(format_args!("its start was lost: {e}")))?
        }
        () = async { asked_to_end(abort, deadline).await; sleep(KILL_WAIT).await } => {
            let path = script.path.display();
            Err(script.cannot(format_args!("starting {path} hangs; look at the disk or file server it lies on")))
        }
    }
}

async fn asked_to_end(abort: &mut AbortSignal, deadline: Pin<&mut Sleep>) -> Cause {
    tokio::select! {
        biased;
        how = abort.asked_for(Abort::Gently) => Cause::Aborted(how),
        () = deadline => Cause::TimedOut,
    }
}

fn warn_of_score(report: &StatusReport, said: &Said, log: &dyn CallLog) {
    if let (Observed::Standby, None, Some(score)) = (report.observed, report.score, &said.score) {
        log.line(LogLevel::Warn, &format!("score={score} is ignored: it is not a whole number of 64 bits"));
        log.incident(Incident::NoScore);
    }
}

fn timed_out(limit: Duration, ended: GroupEnd, last_word: &str) -> String {
    let how = match ended {
        GroupEnd::Terminated => "ended by SIGTERM".to_owned(),
        GroupEnd::Killed => format!("killed, {TERM_GRACE:?} after SIGTERM"),
        GroupEnd::Stuck => "and cannot be killed: it hangs in the kernel".to_owned(),
    };
    with_last_word(format!("not done within {limit:?}, {how}"), last_word)
}

/// Processes that the script has left in the background may go on writing to its output: they would die of SIGPIPE
/// if nobody read it. What is not read here any more is left to the keeper ([`koi_child::Output`]).
fn keep_reading(output: Output, leftovers: Arc<Semaphore>, log: &dyn CallLog) {
    if !output.is_open() {
        return;
    }
    match leftovers.try_acquire_owned() {
        Ok(permit) => {
            tokio::spawn(async move {
                output.drain().await;
                drop(permit);
            });
        }
        Err(_) => {
            let fate = if koi_child::outlives_koi() { "not logged" } else { "closed" };
            log.line(
                LogLevel::Warn,
                &format!(
                    "left a process in the background that holds its output, as too many before: the output is {fate}; redirect \
                     that of background processes to a file or /dev/null"
                ),
            );
        }
    }
}
