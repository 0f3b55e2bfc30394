//! What is answered when something is not done: a code for programs, a sentence for people, and what to do next.

use koi_core::group::GroupName;
use koi_core::io::CommandError;
use koi_core::reason::NotNowReason;
use koi_core::view::View;
use koi_proto::api::{ApiError, ErrorCode};

use crate::cluster::handle::RequestError;
use crate::reporting::waiting::sentence;

/// An error of the API.
pub(crate) fn error(code: ErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ApiError {
    ApiError { code, message: message.into(), hint: hint.into() }
}

/// The request is not understood.
pub(crate) fn bad_request(message: impl Into<String>) -> ApiError {
    error(ErrorCode::BadRequest, message, "")
}

/// Nobody leads. `view` says what is waited for.
pub(crate) fn no_leader(view: Option<&View>) -> ApiError {
    let waiting: Vec<_> = view.iter().flat_map(|v| &v.waiting).map(sentence).collect();
    let hint = match waiting.is_empty() {
        true => "`koi status` says what the cluster waits for; try again in a moment".to_owned(),
        false => format!("waiting: {}", waiting.join("; ")),
    };
    error(ErrorCode::NoLeader, "no node leads now, and only a leader can do this", hint)
}

/// The cluster loop does not answer.
pub(crate) fn silent_core() -> ApiError {
    error(
        ErrorCode::Internal,
        "the cluster loop does not answer",
        "look at koid's log; restart it if this lasts",
    )
}

/// No node is called so.
pub(crate) fn unknown_node(name: &str) -> ApiError {
    error(ErrorCode::NotFound, format!("no node is called {name}"), "`koi status` lists the nodes by name")
}

/// What a refused command is answered.
pub(crate) fn from_request_error(failed: RequestError, view: Option<&View>) -> ApiError {
    match failed {
        RequestError::Refused(CommandError::NotLeader { .. }) => no_leader(view),
        RequestError::Refused(CommandError::UnknownNode(name)) => unknown_node(&name),
        RequestError::Refused(CommandError::NotNow(why @ NotNowReason::UnknownGroup { .. })) => {
            error(ErrorCode::NotFound, why.to_string(), why.hint())
        }
        RequestError::Refused(CommandError::NotNow(why)) => {
            error(ErrorCode::Refused, why.to_string(), why.hint())
        }
        RequestError::Refused(CommandError::Unsafe(why)) => {
            error(ErrorCode::Unsafe, why.to_string(), why.hint())
        }
        RequestError::Refused(refusal @ (CommandError::LostLeadership | CommandError::LostLease)) => error(
            ErrorCode::Timeout,
            refusal.to_string(),
            "look at `koi status`, and give the command again if it did not take effect",
        ),
        RequestError::Timeout(_) => error(
            ErrorCode::Timeout,
            failed.to_string(),
            "look at `koi status`: it says what the cluster waits for",
        ),
        RequestError::NotBegun => error(
            ErrorCode::Timeout,
            failed.to_string(),
            "nothing has changed; give the command again, and `-t` more time",
        ),
        RequestError::SeveralGroups(ref groups) => {
            let other = groups.iter().find(|group| !group.is_main()).unwrap_or(&GroupName::MAIN);
            error(ErrorCode::Refused, failed.to_string(), format!("say which, as `--group {other}`"))
        }
        RequestError::Ending => error(ErrorCode::Refused, failed.to_string(), "ask another node"),
    }
}

#[cfg(test)]
mod tests {
    use koi_core::reason::{UnsafeReason, WaitReason};

    use super::super::endpoints::view::tests::view;
    use super::*;

    fn refused(refusal: CommandError) -> ApiError {
        from_request_error(RequestError::Refused(refusal), None)
    }

    #[test]
    fn every_refusal_has_its_code() {
        let text = |s: &str| s.to_owned();
        let cases = [
            (CommandError::NotLeader { leader: None }, ErrorCode::NoLeader, 503),
            (CommandError::UnknownNode(text("x")), ErrorCode::NotFound, 404),
            (CommandError::NotNow(NotNowReason::Maintenance), ErrorCode::Refused, 409),
            (
                NotNowReason::UnknownGroup { group: "web".parse().unwrap(), known: vec![GroupName::MAIN] }
                    .into(),
                ErrorCode::NotFound,
                404,
            ),
            (CommandError::Unsafe(UnsafeReason::NodeAnswers { node: text("a") }), ErrorCode::Unsafe, 409),
            (CommandError::LostLeadership, ErrorCode::Timeout, 504),
            (CommandError::LostLease, ErrorCode::Timeout, 504),
        ];
        for (refusal, code, status) in cases {
            let answered = refused(refusal);
            assert_eq!((answered.code.clone(), answered.code.http_status()), (code, status));
            assert!(!answered.message.is_empty() && !answered.hint.is_empty(), "{answered:?}");
        }
    }

    #[test]
    fn without_a_leader_the_hint_says_what_is_waited_for() {
        let mut view = view();
        view.waiting.push(WaitReason::NoQuorum { seen: 1, configured: 3, needed: 2 }.into());
        let answered =
            from_request_error(RequestError::Refused(CommandError::NotLeader { leader: None }), Some(&view));
        assert!(
            answered.hint.contains("1 of 3 electors are seen, 2 are needed (R3); start koid on the others"),
            "{}",
            answered.hint
        );
    }
}
