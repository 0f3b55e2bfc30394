//! Answers about attributes, for whoever waits for them in the plugin.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::backend::native::helper::protocol::AttributesAnswer;

/// Where the watcher puts answers down.
#[derive(Default)]
pub(crate) struct Answers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// That of the newest question.
    number: u64,
    /// The answer to it.
    answer: Option<AttributesAnswer>,
    /// The call under way is to end: nobody waits any more.
    is_over: bool,
}

impl Answers {
    /// A question is about to be asked: its number.
    pub(crate) fn ask(&self) -> u64 {
        let mut state = self.lock();
        state.number += 1;
        state.answer = None;
        state.number
    }

    /// One has come. One to an earlier question is of no use to anybody.
    pub(crate) fn put(&self, number: u64, answer: AttributesAnswer) {
        let mut state = self.lock();
        if state.number == number {
            state.answer = Some(answer);
            self.changed.notify_all();
        }
    }

    /// Nobody is to wait any more, or (false) another call has come.
    pub(crate) fn set_over(&self, is_over: bool) {
        self.lock().is_over = is_over;
        self.changed.notify_all();
    }

    /// A function of the plugin has returned: whoever still waits for it does so in vain.
    pub(crate) fn forget(&self) {
        self.ask();
        self.changed.notify_all();
    }

    /// The answer to a question; none: there was none until `deadline`, or until the call was to end or had ended.
    pub(crate) fn wait(&self, number: u64, deadline: Instant) -> Option<AttributesAnswer> {
        let mut state = self.lock();
        loop {
            if state.number != number {
                return None;
            }
            if let Some(answer) = state.answer.take() {
                return Some(answer);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_over || left.is_zero() {
                return None;
            }
            let (woken, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = woken;
        }
    }

    /// What is in there is whole at any moment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_for_the_newest_question() {
        let answers = Answers::default();
        let first = answers.ask();
        let second = answers.ask();
        answers.put(first, AttributesAnswer::Written);
        let refused = AttributesAnswer::Refused(33, "no key".into());
        answers.put(second, refused.clone());
        assert_eq!(answers.wait(second, Instant::now()), Some(refused));
        assert_eq!(answers.wait(second, Instant::now()), None, "it is taken once");
        assert_eq!(answers.wait(first, Instant::now() + Duration::from_secs(3600)), None);
    }

    #[test]
    fn nobody_waits_once_the_call_is_to_end() {
        let answers = Answers::default();
        let number = answers.ask();
        answers.set_over(true);
        assert_eq!(answers.wait(number, Instant::now() + Duration::from_secs(3600)), None);
    }

    #[test]
    fn who_asked_in_a_call_that_has_ended_waits_no_more() {
        let answers = Answers::default();
        let number = answers.ask();
        answers.forget();
        assert_eq!(answers.wait(number, Instant::now() + Duration::from_secs(3600)), None);
    }
}
