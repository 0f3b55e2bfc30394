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
    let several = failures.failures.iter().any(|failure| !failure.group.is_main());
    match several {
        true => table.heads(&["AGO", "NODE", "GROUP", "SERVICE", "HOOK", "WHAT"]),
        false => table.heads(&["AGO", "NODE", "SERVICE", "HOOK", "WHAT"]),
    }
    for failure in &failures.failures {
        let mut row = vec![span(failure.ago_ms).into(), Cell::new(&failure.node)];
        if several {
            row.push(Cell::new(failure.group.as_str()));
        }
        row.extend([
            Cell::new(&failure.service),
            Cell::new(&failure.hook),
            Cell::new(&failure.message).tone(Tone::Bad),
        ]);
        table.row(row);
    }
    table.draw_wrapped(view)
}
