//! What is drawn on.

use super::paint::Paint;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// Columns that a line may take.
    pub(crate) width: usize,
    /// Whether with colour.
    pub(crate) paint: Paint,
}
