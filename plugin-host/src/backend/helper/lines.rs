//! Bytes into lines, each of a bounded length.

/// Cuts a stream at its line ends. Of a longer line than `limit` bytes the rest is skipped.
#[derive(Debug)]
pub(crate) struct Lines {
    limit: usize,
    kept: Vec<u8>,
    cut: bool,
}

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'l> {
    pub(crate) bytes: &'l [u8],
    /// Its rest was skipped.
    pub(crate) cut: bool,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Lines {
        Lines { limit, kept: Vec::new(), cut: false }
    }

    /// Takes the next bytes, and hands over each line that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(Line<'_>)) {
        let mut parts = bytes.split(|byte| *byte == b'\n');
        self.keep(parts.next().unwrap_or_default());
        for part in parts {
            take(Line { bytes: &self.kept, cut: self.cut });
            self.kept.clear();
            self.cut = false;
            self.keep(part);
        }
    }

    /// The stream is over: hands over what stands behind its last line end.
    pub(crate) fn finish(&mut self, take: impl FnMut(Line<'_>)) {
        if !self.kept.is_empty() {
            self.push(b"\n", take);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = self.limit - self.kept.len();
        self.cut |= part.len() > room;
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_wherever_the_pieces_end_and_overlong_ones_are_cut() {
        let (mut lines, mut taken) = (Lines::new(4), Vec::new());
        let mut take =
            |line: Line<'_>| taken.push((String::from_utf8(line.bytes.to_vec()).unwrap(), line.cut));
        for piece in ["on", "e\n\ntoo", " long", " by far\nlast"] {
            lines.push(piece.as_bytes(), &mut take);
        }
        lines.finish(&mut take);
        lines.finish(&mut take);
        let all: Vec<_> = taken.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
        assert_eq!(all, [("one", false), ("", false), ("too ", true), ("last", false)]);
    }
}
