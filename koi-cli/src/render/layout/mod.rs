//! Text that fits the width: columns, paragraphs, colours, times.

pub(crate) mod clock;
mod paint;
pub(crate) mod table;
pub(crate) mod text;
mod view;

pub(crate) use paint::{Paint, Tone};
pub(crate) use view::View;
