//! What a result means where it was got.

use std::time::Duration;

use koi_plugin_api::{HookError, Incident, LogLevel, Observed, Outcome, StatusReport};

use crate::conformance::harness::{CallEnd, CallReport};
use crate::conformance::report::{Verdict, shown};

/// A call that was asked to end, and ends so much later, was ended by force.
const BY_ITSELF: Duration = Duration::from_millis(950);

/// What is expected of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It goes well, if the world is as the service needs it.
    Well,
    /// It may refuse; only it must not break.
    Answer,
    /// `status` goes well, and fits where the service is.
    Status(TrialState),
    /// It is asked to end in the middle, and ends.
    Cancelled(Duration),
    /// Its time is far too short, and it ends.
    CutOff,
}

/// Where a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrialState {
    Stopped,
    Started,
    /// Started, after a crash had left it promoted.
    Recovered,
    Promoted,
}

/// What is known beside the result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) expected: Expectation,
    /// Everything that the service needs should be there.
    pub(crate) is_service: bool,
    /// A hook before this one did not go well: what follows need not either.
    pub(crate) upset: bool,
    /// It has the hook that leads to where it is: without it, it cannot know.
    pub(crate) moves: bool,
    /// The handler was made anew just before: what a library holds goes with its process, and that it says so is the truth.
    pub(crate) reopened: bool,
    pub(crate) timeout: Duration,
}

/// What came of a call, and what to say of it.
pub(crate) fn judge(case: Case, ran: &CallReport) -> (Verdict, String) {
    let result = match &ran.end {
        CallEnd::Hung => {
            return (
                Verdict::Fail,
                "does not end, long after its time was over; what it runs is left alone".into(),
            );
        }
        CallEnd::Panicked => {
            return (Verdict::Fail, "koid's own code panicked; this is a fault of koid".into());
        }
        CallEnd::Result(result) => result,
    };
    if ran.incidents.contains(&Incident::Unsupported) {
        return (Verdict::Fail, "says `unsupported`, and describe says that it has this hook".into());
    }
    if ran.dropped_lines() > 0 {
        let (all, dropped) = (ran.lines_in_all, ran.dropped_lines());
        return (
            Verdict::Fail,
            format!("wrote {all} lines in one call; koid would have dropped {dropped} of them"),
        );
    }
    if ran.incidents.contains(&Incident::NoScore) {
        let said = ran.lines.iter().rev().find(|(level, _)| *level == LogLevel::Warn);
        let said = said.map_or("a score is ignored", |(_, line)| line);
        return (Verdict::Fail, format!("{said}: print score=N, with digits alone and perhaps a `-`"));
    }
    match result {
        Ok(outcome) => match went_well(case, outcome) {
            (Verdict::Ok, said) if has_nameless_detail(outcome) => {
                (Verdict::Note, format!("{said}: a detail without a name"))
            }
            judged => judged,
        },
        Err(error) => went_wrong(case, error, ran),
    }
}

fn went_well(case: Case, outcome: &Outcome) -> (Verdict, String) {
    let said = match outcome {
        Outcome::Done | Outcome::Started(_) => "done".to_owned(),
        Outcome::Status(report) => status(report),
    };
    match (case.expected, outcome) {
        (Expectation::Status(state), Outcome::Status(report)) => {
            match contradiction(state, report.observed) {
                Some(_) if !case.moves => (Verdict::Ok, said),
                // koi only asks what it has started, and demotes what is promoted and should not be.
                Some(why)
                    if case.upset
                        || case.reopened
                        || matches!(state, TrialState::Stopped | TrialState::Recovered) =>
                {
                    (Verdict::Note, format!("{said}, but {why}"))
                }
                Some(why) => (Verdict::Fail, format!("{said}, but {why}")),
                None => (Verdict::Ok, said),
            }
        }
        (Expectation::Cancelled(_), _) => (Verdict::Ok, format!("{said} before it was to end")),
        _ => (Verdict::Ok, said),
    }
}

fn went_wrong(case: Case, error: &HookError, ran: &CallReport) -> (Verdict, String) {
    let (took, crashed) = (ran.took, ran.incidents.contains(&Incident::Crashed));
    let refused = |text: &str| match case.expected {
        Expectation::Answer => (Verdict::Ok, format!("refuses: {text}")),
        Expectation::CutOff | Expectation::Cancelled(_) => (Verdict::Ok, format!("gives up: {text}")),
        Expectation::Status(TrialState::Stopped) => (Verdict::Note, format!("failed: {text}")),
        Expectation::Well | Expectation::Status(_) if case.upset || !case.is_service => {
            (Verdict::Note, text.to_owned())
        }
        Expectation::Well | Expectation::Status(_) => (Verdict::Fail, text.to_owned()),
    };
    match error {
        HookError::Failed(text) | HookError::Lasting(text) | HookError::CannotRun(text) if crashed => {
            (Verdict::Fail, text.clone())
        }
        HookError::CannotRun(text) | HookError::NoRoom(text) => {
            (Verdict::Fail, format!("cannot be run: {text}"))
        }
        HookError::Failed(text) => refused(text),
        HookError::Lasting(text) => refused(&format!("{text} (lasting)")),
        HookError::TimedOut(_) if case.expected == Expectation::CutOff => {
            (Verdict::Ok, format!("cut off after {}", shown(case.timeout)))
        }
        HookError::TimedOut(text) => (Verdict::Fail, text.clone()),
        HookError::Aborted => match case.expected {
            Expectation::Cancelled(after) if took.saturating_sub(after) >= BY_ITSELF => {
                let text = "ended by force, a second after it was asked to: a handler that waits looks at remaining-ms, or \
                            uses sleep";
                (Verdict::Note, text.into())
            }
            Expectation::Cancelled(_) => (Verdict::Ok, "ended when it was asked to".into()),
            _ => (Verdict::Note, "interrupted".into()),
        },
    }
}

fn has_nameless_detail(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Status(report) => report.details.iter().any(|(key, _)| key.trim().is_empty()),
        Outcome::Done | Outcome::Started(_) => false,
    }
}

/// Why a status cannot be true, given what was done just before.
fn contradiction(state: TrialState, observed: Observed) -> Option<&'static str> {
    match (state, observed) {
        (_, Observed::Healthy)
        | (TrialState::Stopped, Observed::Stopped)
        | (TrialState::Started | TrialState::Recovered, Observed::Standby | Observed::Live)
        | (TrialState::Promoted, Observed::Promoted) => None,
        (TrialState::Stopped, Observed::Promoted | Observed::Standby | Observed::Live) => {
            Some("it was stopped just before")
        }
        (TrialState::Started, Observed::Promoted) => Some("it was not promoted, or demoted since"),
        (TrialState::Recovered, Observed::Promoted) => Some("a start is to leave nothing promoted"),
        (TrialState::Started | TrialState::Recovered | TrialState::Promoted, Observed::Stopped) => {
            Some("it was started before")
        }
        (TrialState::Promoted, Observed::Standby | Observed::Live) => Some("it was promoted just before"),
    }
}

/// `standby, score 7: in sync; lag=0`.
pub(crate) fn status(report: &StatusReport) -> String {
    let mut said = word(report.observed).to_owned();
    if let Some(score) = report.score {
        said.push_str(&format!(", score {score}"));
    }
    if !report.message.is_empty() {
        said.push_str(&format!(": {}", report.message));
    }
    if !report.details.is_empty() {
        let pairs: Vec<_> = report.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
        said.push_str(&format!("; {}", pairs.join(", ")));
    }
    said
}

/// As handlers say it.
pub(crate) fn word(observed: Observed) -> &'static str {
    match observed {
        Observed::Healthy => "ok",
        Observed::Promoted => "promoted",
        Observed::Standby => "standby",
        Observed::Stopped => "stopped",
        Observed::Live => "live",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: Case = Case {
        expected: Expectation::Well,
        is_service: true,
        upset: false,
        moves: true,
        reopened: false,
        timeout: Duration::from_millis(20),
    };

    fn ran(result: Result<Outcome, HookError>) -> CallReport {
        CallReport {
            end: CallEnd::Result(result),
            took: Duration::from_millis(3),
            lines: Vec::new(),
            lines_in_all: 0,
            incidents: Vec::new(),
        }
    }

    fn verdict(case: Case, result: Result<Outcome, HookError>) -> Verdict {
        judge(case, &ran(result)).0
    }

    fn saw(observed: Observed) -> Result<Outcome, HookError> {
        Ok(Outcome::Status(observed.into()))
    }

    #[test]
    fn a_world_that_is_not_there_is_no_fault_of_a_plugin_alone() {
        let refused = || Err(HookError::Failed("127.0.0.1:6379 does not answer".into()));
        assert_eq!(verdict(CASE, refused()), Verdict::Fail);
        assert_eq!(verdict(Case { is_service: false, ..CASE }, refused()), Verdict::Note);
        assert_eq!(verdict(Case { upset: true, ..CASE }, refused()), Verdict::Note);
        assert_eq!(verdict(Case { expected: Expectation::Answer, ..CASE }, refused()), Verdict::Ok);
    }

    #[test]
    fn a_crash_is_one_whatever_was_expected() {
        let alone = Case { expected: Expectation::Answer, is_service: false, upset: true, ..CASE };
        let refused = ran(Err(HookError::Failed("trapped in promote: wasm unreachable".into())));
        assert_eq!(judge(alone, &refused).0, Verdict::Ok);
        let crashed = CallReport { incidents: vec![Incident::Crashed], ..refused };
        assert_eq!(judge(alone, &crashed), (Verdict::Fail, "trapped in promote: wasm unreachable".into()));
        let hung = CallReport { end: CallEnd::Hung, ..ran(Ok(Outcome::Done)) };
        assert_eq!(judge(alone, &hung).0, Verdict::Fail);
    }

    #[test]
    fn time_is_up_only_where_it_was_made_short() {
        let late = || Err(HookError::TimedOut("not done within 20ms, ended".into()));
        assert_eq!(verdict(CASE, late()), Verdict::Fail);
        assert_eq!(verdict(Case { expected: Expectation::CutOff, ..CASE }, late()), Verdict::Ok);
    }

    #[test]
    fn who_is_asked_to_end_ends_by_itself() {
        let case = Case { expected: Expectation::Cancelled(Duration::from_millis(2)), ..CASE };
        assert_eq!(verdict(case, Err(HookError::Aborted)), Verdict::Ok);
        let forced = CallReport { took: Duration::from_millis(1010), ..ran(Err(HookError::Aborted)) };
        assert_eq!(judge(case, &forced).0, Verdict::Note);
    }

    #[test]
    fn a_status_fits_what_was_done_before() {
        let at = |place| Case { expected: Expectation::Status(place), ..CASE };
        for (place, observed, expected) in [
            (TrialState::Started, Observed::Standby, Verdict::Ok),
            (TrialState::Started, Observed::Promoted, Verdict::Fail),
            (TrialState::Promoted, Observed::Healthy, Verdict::Ok),
            (TrialState::Promoted, Observed::Standby, Verdict::Fail),
            (TrialState::Stopped, Observed::Live, Verdict::Note),
        ] {
            assert_eq!(verdict(at(place), saw(observed)), expected, "{place:?} {observed:?}");
        }
        let status_only = Case { moves: false, ..at(TrialState::Promoted) };
        assert_eq!(verdict(status_only, saw(Observed::Standby)), Verdict::Ok);
        let reopened = Case { reopened: true, ..at(TrialState::Promoted) };
        assert_eq!(verdict(reopened, saw(Observed::Standby)), Verdict::Note);
    }

    #[test]
    fn a_detail_has_a_name() {
        let with = |key: &str| {
            let details = vec![("lag".into(), "0".into()), (key.to_owned(), "7".into())];
            ran(Ok(Outcome::Status(StatusReport { details, ..Observed::Standby.into() })))
        };
        let started = Case { expected: Expectation::Status(TrialState::Started), ..CASE };
        let (verdict, said) = judge(started, &with(" "));
        assert!(verdict == Verdict::Note && said.ends_with("a detail without a name"), "{said}");
        assert_eq!(judge(started, &with("epoch")).0, Verdict::Ok);
        assert_eq!(
            judge(Case { expected: Expectation::Status(TrialState::Promoted), ..CASE }, &with("")).0,
            Verdict::Fail
        );
    }

    #[test]
    fn a_score_that_is_none_fails() {
        let warned = "score=0/16B3748 is ignored: it is not a whole number of 64 bits";
        let standby = ran(saw(Observed::Standby));
        let lines = vec![(LogLevel::Warn, warned.to_owned())];
        let scored = CallReport { incidents: vec![Incident::NoScore], lines, ..standby };
        let case = Case { expected: Expectation::Status(TrialState::Started), ..CASE };
        let (verdict, said) = judge(case, &scored);
        assert!(verdict == Verdict::Fail && said.starts_with(warned), "{said}");
    }

    #[test]
    fn who_writes_more_than_koid_keeps_fails() {
        let flood = CallReport { lines_in_all: 5000, ..ran(Ok(Outcome::Done)) };
        let (verdict, said) = judge(CASE, &flood);
        assert!(verdict == Verdict::Fail && said.contains("5000 lines"), "{said}");
    }
}
