//! `koi events`: a line for each.

use koi_proto::api::{Event, EventLevel};

use crate::render::layout::Tone;
use crate::render::layout::clock::time_of_day;
use crate::render::layout::{View, text};

/// One event: the time in UTC, the node, the level, the group if it is not `main`, what happened. Not cut: a log is read elsewhere too.
pub(crate) fn event(event: &Event, view: &View) -> String {
    let tone = match event.level {
        EventLevel::Error => Tone::Bad,
        EventLevel::Warning => Tone::Warn,
        EventLevel::Info | EventLevel::Unknown(_) => Tone::Plain,
    };
    let paint = view.paint;
    let time = paint.dim(&time_of_day(event.at_ms));
    let level = paint.tone(tone, &format!("{:<7}", text::clean(event.level.as_str())));
    let group = match event.group.is_main() {
        true => String::new(),
        false => format!("{}: ", paint.head(&text::clean(event.group.as_str()))),
    };
    format!("{time} {} {level} {group}{}\n", text::clean(&event.node), text::clean(&event.message))
}
