//! What guests write, made into lines that a log and a terminal can take.

use std::borrow::Cow;

/// Bytes of one line that are kept; the rest of it is skipped and counted.
pub(crate) const LINE_BYTES: usize = 4096;

/// Cuts a stream into lines, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct LineCutter {
    kept: Vec<u8>,
    skipped_bytes: u64,
    begun: bool,
}

impl LineCutter {
    /// Takes the next bytes and hands each line that they complete to `take`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], take: &mut dyn FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.begun = true;
            self.finish(take);
        }
        self.keep(bytes);
    }

    /// Hands over what stands after the last line end.
    pub(crate) fn finish(&mut self, take: &mut dyn FnMut(&str)) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let bytes = std::mem::take(&mut self.kept);
        // A character that the cut went through is left out.
        let end = match std::str::from_utf8(&bytes) {
            Err(error) if self.skipped_bytes > 0 && error.error_len().is_none() => error.valid_up_to(),
            _ => bytes.len(),
        };
        let text = String::from_utf8_lossy(&bytes[..end]);
        match std::mem::take(&mut self.skipped_bytes) {
            0 => take(&harmless(text.strip_suffix('\r').unwrap_or(&text))),
            more => take(&format!("{} … ({more} bytes more)", harmless(&text))),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES - self.kept.len();
        let (kept, skipped) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(kept);
        self.skipped_bytes += skipped.len() as u64;
        self.begun |= !bytes.is_empty();
    }
}

/// With control characters written out: a terminal would obey them.
fn harmless(line: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\t';
    if !line.contains(is_harmful) {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_harmful(c) { text.extend(c.escape_default()) } else { text.push(c) }
    }
    Cow::Owned(text)
}

/// One line for people, at most `chars` long: control characters and line ends become blanks.
pub(crate) fn for_people(text: &str, chars: usize) -> String {
    let is_blank = |c: char| c.is_whitespace() || c.is_control();
    let words: Vec<_> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    let plain = words.join(" ");
    match plain.char_indices().nth(chars) {
        None => plain,
        Some(_) => plain.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
        for chunk in chunks {
            cutter.push(chunk, &mut |line| lines.push(line.to_owned()));
        }
        cutter.finish(&mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        assert_eq!(cut(&[b"on", b"e\ntwo\r", b"\n\nlast"]), ["one", "two", "", "last"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn the_rest_of_an_overlong_line_is_skipped_and_counted() {
        let long = "ö".repeat(LINE_BYTES).into_bytes();
        let lines = cut(&[b"x", &long, b"\nshort\n"]);
        assert!(lines[0].ends_with("ö … (4097 bytes more)"), "{}", lines[0]);
        assert!(!lines[0].contains('\u{fffd}'));
        assert_eq!(lines[1], "short");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(cut(&[b"\x1b[31mred\tx\xff\n"]), ["\\u{1b}[31mred\tx\u{fffd}"]);
    }

    #[test]
    fn a_text_for_people_is_one_line_with_an_end() {
        assert_eq!(for_people(" two\n words\x07 ", 200), "two words");
        assert_eq!(for_people("abcdef", 4), "abc…");
        assert_eq!(for_people("abcd", 4), "abcd");
    }
}
