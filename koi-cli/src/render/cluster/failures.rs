//! `koi failures`.

use koi_proto::api::Failures;

use crate::render::layout::Tone;
use crate::render::layout::View;
use crate::render::layout::clock::span;
use crate::render::layout::table::{Cell, Table};

/// Columns of a name.
const NAME: usize = 20;

/// Recent failures, the newest last.
pub(crate) fn failures(failures: &Failures, view: &View) -> String {
    if failures.failures.is_empty() {
        return "no failures\n".to_owned();
    }
    let mut table = Table::new(0, NAME);
    table.heads(&["AGO", "NODE", "SERVICE", "HOOK", "WHAT"]);
    for failure in &failures.failures {
        table.row(vec![
            span(failure.ago_ms).into(),
            Cell::new(&failure.node),
            Cell::new(&failure.service),
            Cell::new(&failure.hook),
            Cell::new(&failure.message).tone(Tone::Bad),
        ]);
    }
    table.draw_wrapped(view)
}
