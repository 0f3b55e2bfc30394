//! A call's token is nowhere in what the call says: a script that prints its environment must not show it to whoever reads logs and events.

use std::sync::Arc;

use koi_plugin_api::{CallLog, CallToken, HookError, Incident, LogLevel, Outcome};

/// What stands in its place.
const HIDDEN: &str = "(KOI_TOKEN)";

fn hide(token: &CallToken, text: &mut String) {
    if text.contains(token.reveal()) {
        *text = text.replace(token.reveal(), HIDDEN);
    }
}

/// A call's log, without its token.
pub(super) struct HiddenToken {
    token: CallToken,
    log: Arc<dyn CallLog>,
}

impl HiddenToken {
    /// `log`, without the token where there is one.
    pub(super) fn log(token: Option<CallToken>, log: Arc<dyn CallLog>) -> Arc<dyn CallLog> {
        match token {
            Some(token) => Arc::new(HiddenToken { token, log }),
            None => log,
        }
    }
}

impl CallLog for HiddenToken {
    fn line(&self, level: LogLevel, text: &str) {
        let mut text = text.to_owned();
        hide(&self.token, &mut text);
        self.log.line(level, &text);
    }

    fn group_began(&self, id: i32) {
        self.log.group_began(id);
    }

    fn broker_began(&self, id: i32) {
        self.log.broker_began(id);
    }

    fn group_gone(&self, id: i32) {
        self.log.group_gone(id);
    }

    fn incident(&self, incident: Incident) {
        self.log.incident(incident);
    }

    fn memory(&self, peak_bytes: u64, limit_bytes: Option<u64>) {
        self.log.memory(peak_bytes, limit_bytes);
    }
}

/// What came of a call, without its token.
pub(super) fn without_token(
    token: &CallToken,
    mut result: Result<Outcome, HookError>,
) -> Result<Outcome, HookError> {
    match &mut result {
        Ok(Outcome::Status(seen)) => {
            hide(token, &mut seen.message);
            let details = seen.details.iter_mut();
            details.flat_map(|(key, value)| [key, value]).for_each(|text| hide(token, text));
        }
        Ok(Outcome::Done | Outcome::Started(_)) | Err(HookError::Aborted) => {}
        Err(
            HookError::Failed(text)
            | HookError::Lasting(text)
            | HookError::CannotRun(text)
            | HookError::NoRoom(text)
            | HookError::TimedOut(text),
        ) => hide(token, text),
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use koi_plugin_api::{Observed, StatusReport};

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl CallLog for Lines {
        fn line(&self, _: LogLevel, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    #[test]
    fn whatever_a_call_says_does_not_show_its_token() {
        let token = CallToken::new("5ecret".into());
        let lines = Arc::new(Lines::default());
        let log = HiddenToken::log(Some(token.clone()), lines.clone());
        log.line(LogLevel::Info, "KOI_TOKEN=5ecret");
        assert_eq!(*lines.0.lock().unwrap(), ["KOI_TOKEN=(KOI_TOKEN)"]);
        let seen = StatusReport {
            observed: Observed::Standby,
            message: "5ecret".into(),
            score: None,
            details: vec![("5ecret".into(), "a 5ecret".into())],
            processes: Vec::new(),
        };
        let status = without_token(&token, Ok(Outcome::Status(seen)));
        let failed = without_token(&token, Err(HookError::Failed("exit 1: 5ecret".into())));
        assert!(!format!("{status:?} {failed:?}").contains("5ecret"), "{status:?} {failed:?}");
    }
}
