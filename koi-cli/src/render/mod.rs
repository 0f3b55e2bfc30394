//! What people read: pure functions from the API's types to text.

pub(crate) mod clock;
pub(crate) mod done;
pub(crate) mod electors;
pub(crate) mod event;
pub(crate) mod failures;
pub(crate) mod local;
pub(crate) mod node;
mod paint;
pub(crate) mod plugin;
#[cfg(test)]
mod plugin_tests;
pub(crate) mod plugins;
mod problems;
mod service;
pub(crate) mod status;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod tree;
pub(crate) mod verdict;

pub(crate) use paint::{Paint, Tone};

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Columns that a line may take.
    pub(crate) width: usize,
    /// Whether with colour.
    pub(crate) paint: Paint,
}
