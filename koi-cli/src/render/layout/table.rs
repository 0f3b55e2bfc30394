//! Rows in columns, and paragraphs that hang: everything that has to fit the width.

use super::paint::Tone;
use super::text;
use super::view::View;

/// Columns between two columns.
const GAP: usize = 2;
/// Columns that a text has that goes on below itself, however narrow the screen is.
const LEAST_ROOM: usize = 20;
/// Columns of the names of facts.
const FACT: usize = 15;

/// A piece of a row.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Cell {
        Cell { text: text::clean(text.as_ref()), tone: Tone::Plain }
    }

    #[must_use]
    pub(crate) fn tone(mut self, tone: Tone) -> Cell {
        self.tone = tone;
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text)
    }
}

/// Rows whose columns are as wide as their widest cell. The last column takes what is left of the line.
#[derive(Debug)]
pub(crate) struct Table {
    indent: usize,
    widest: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Rows begin after `indent` columns; no column but the last is wider than `widest`.
    pub(crate) fn new(indent: usize, widest: usize) -> Table {
        Table { indent, widest, rows: Vec::new() }
    }

    /// Adds the names of the columns.
    pub(crate) fn heads(&mut self, names: &[&str]) {
        self.rows.push(names.iter().map(|name| Cell::new(name).tone(Tone::Dim)).collect());
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(crate) fn draw(&self, view: &View) -> String {
        self.rows.iter().map(|row| self.draw_row(row, view)).collect()
    }

    /// As [`draw`](Table::draw), but the last cell of a row goes on below itself: nothing of it is cut.
    pub(crate) fn draw_wrapped(&self, view: &View) -> String {
        let Some(columns) = self.rows.iter().map(Vec::len).max() else { return String::new() };
        let before: usize = (0..columns.saturating_sub(1)).map(|index| self.column_width(index) + GAP).sum();
        let column = self.indent + before;
        let room = view.width.saturating_sub(column).max(LEAST_ROOM);
        let mut drawn = String::new();
        for row in &self.rows {
            let Some((last, first)) = row.split_last().filter(|_| row.len() == columns) else {
                drawn.push_str(&self.draw_row(row, view));
                continue;
            };
            let mut lines = text::wrap(&last.text, room, room).into_iter();
            let mut cells = first.to_vec();
            cells.push(Cell { text: lines.next().unwrap_or_default(), tone: last.tone });
            drawn.push_str(&self.draw_row(&cells, view));
            for line in lines {
                drawn.push_str(&format!("{}{}\n", " ".repeat(column), view.paint.tone(last.tone, &line)));
            }
        }
        drawn
    }

    fn draw_row(&self, row: &[Cell], view: &View) -> String {
        let mut line = " ".repeat(self.indent);
        let mut column = self.indent;
        let mut owed = 0;
        for (index, cell) in row.iter().enumerate() {
            let last = index + 1 == row.len();
            let width = if last { usize::MAX } else { self.column_width(index) };
            let room = view.width.saturating_sub(column + owed);
            let shown = text::cut(&cell.text, width.min(room));
            // What is owed is only written before something: no line ends in spaces.
            if !shown.is_empty() {
                line.push_str(&" ".repeat(owed));
                line.push_str(&view.paint.tone(cell.tone, &shown));
                column += owed + text::width(&shown);
                owed = 0;
            }
            if !last {
                owed += width.saturating_sub(text::width(&shown)) + GAP;
            }
        }
        line.push('\n');
        line
    }

    fn column_width(&self, index: usize) -> usize {
        let widths = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| text::width(&cell.text));
        widths.max().unwrap_or(0).min(self.widest)
    }
}

/// A text after `mark`, its further lines below the first one's text.
pub(crate) fn hanging(mark: &str, body: &str, tone: Tone, view: &View) -> String {
    paragraph(mark, text::width(mark), body, tone, view)
}

/// A text after `mark`, its further lines after so many spaces.
pub(crate) fn paragraph(mark: &str, indent: usize, body: &str, tone: Tone, view: &View) -> String {
    let room = |taken: usize| view.width.saturating_sub(taken);
    let lines = text::wrap(body, room(text::width(mark)), room(indent));
    let mut drawn = String::new();
    for (index, line) in lines.iter().enumerate() {
        let before = if index == 0 { mark.to_owned() } else { " ".repeat(indent) };
        drawn.push_str(&format!("{}\n", view.paint.tone(tone, &format!("{before}{line}"))));
    }
    drawn
}

/// A named fact on a line of its own.
pub(crate) fn fact(name: &str, value: &str, tone: Tone, view: &View) -> String {
    let room = view.width.saturating_sub(FACT + 2);
    let lines = text::wrap(value, room, room);
    let mut drawn = String::new();
    for (index, line) in lines.iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        let name = view.paint.dim(&text::pad(name, FACT));
        drawn.push_str(&format!("  {name}{}\n", view.paint.tone(tone, line)));
    }
    drawn
}
