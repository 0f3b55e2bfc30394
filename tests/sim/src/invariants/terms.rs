//! A term has one leader (R1).

use std::collections::BTreeMap;

use koi_core::types::Term;

#[derive(Clone, Debug, Default)]
pub(super) struct Terms {
    /// Which machine's which daemon was elected.
    leaders: BTreeMap<Term, (usize, u64)>,
}

impl Terms {
    pub(super) fn check(&mut self, now: u64, machine: usize, life: u64, term: Term) -> Option<String> {
        let first = *self.leaders.entry(term).or_insert((machine, life));
        (first != (machine, life)).then(|| {
            let term = term.0;
            format!(
                "two leaders in term {term} at {now} µs: m{machine} is elected, and m{} was before",
                first.0
            )
        })
    }
}
