//! What a command has done, or would do.

use koi_proto::api::Done;

use crate::render::layout::Tone;
use crate::render::layout::View;
use crate::render::layout::table::hanging;

/// The message, then the steps, numbered, and what is to be known besides.
pub(crate) fn done(done: &Done, view: &View) -> String {
    let mut page = hanging("", &done.message, Tone::Plain, view);
    for (index, step) in done.steps.iter().enumerate() {
        page.push_str(&hanging(&format!("{:>3}. ", index + 1), step, Tone::Plain, view));
    }
    for note in &done.notes {
        page.push_str(&hanging("  - ", note, Tone::Warn, view));
    }
    page
}
