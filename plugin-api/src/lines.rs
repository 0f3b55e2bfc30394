//! Bytes into lines, in bounded memory: what scripts and guests write, on its way to the log.

/// Bytes of one line that are kept; the rest of it is skipped and counted.
pub const LINE_BYTES: usize = 4096;

/// Cuts a stream into lines. Keeps at most [`LINE_BYTES`] whatever comes.
#[derive(Debug, Default)]
pub struct LineCutter {
    kept: Vec<u8>,
    skipped_bytes: u64,
    begun: bool,
}

impl LineCutter {
    /// Takes the next bytes and hands each line that they complete to `take`.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            self.begun = true;
            self.finish(&mut take);
        }
        self.keep(bytes);
    }

    /// The stream is over: hands over what stands after its last line end.
    pub fn finish(&mut self, mut take: impl FnMut(&str)) {
        if !std::mem::take(&mut self.begun) {
            return;
        }
        let text = text_of(&self.kept, self.skipped_bytes > 0);
        match std::mem::take(&mut self.skipped_bytes) {
            0 => take(text.strip_suffix('\r').unwrap_or(&text)),
            more => take(&format!("{text} … ({more} bytes more)")),
        }
        self.kept.clear();
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES - self.kept.len();
        let (kept, skipped) = bytes.split_at(room.min(bytes.len()));
        self.kept.extend_from_slice(kept);
        self.skipped_bytes += skipped.len() as u64;
        self.begun |= !bytes.is_empty();
    }
}

/// One line for people, at most `chars` characters long: line ends, and characters that a terminal would obey or nobody sees, become blanks,
/// and of blanks one stays.
pub fn for_people(text: &str, chars: usize) -> String {
    let is_blank = |c: char| c.is_whitespace() || koi_text::is_harmful(c);
    let words: Vec<_> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    let plain = words.join(" ");
    match plain.char_indices().nth(chars) {
        None => plain,
        Some(_) => plain.chars().take(chars - 1).chain(['…']).collect(),
    }
}

/// What is not UTF-8 is replaced; a character that the cut went through is left out.
fn text_of(bytes: &[u8], cut: bool) -> std::borrow::Cow<'_, str> {
    let end = match std::str::from_utf8(bytes) {
        Err(error) if cut && error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    String::from_utf8_lossy(&bytes[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
        for chunk in chunks {
            cutter.push(chunk, |l| lines.push(l.to_owned()));
        }
        cutter.finish(|l| lines.push(l.to_owned()));
        lines
    }

    #[test]
    fn lines_are_cut_wherever_the_chunks_end() {
        assert_eq!(cut(&[b"on", b"e\ntwo\r", b"\n\nlast"]), ["one", "two", "", "last"]);
        assert_eq!(cut(&[b"one\n"]), ["one"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn the_rest_of_an_overlong_line_is_skipped_and_counted() {
        let long = [b'x'; LINE_BYTES + 10];
        let lines = cut(&[&long, &long, b"\nshort\n"]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with(&format!("x … ({} bytes more)", LINE_BYTES + 20)), "{}", lines[0]);
        assert_eq!(lines[1], "short");
    }

    #[test]
    fn what_is_not_text_is_replaced_and_a_cut_character_left_out() {
        assert_eq!(cut(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
        let umlauts = "xö".repeat(LINE_BYTES).into_bytes();
        assert!(!cut(&[&umlauts[1..]])[0].contains('\u{fffd}'));
    }

    #[test]
    fn a_text_for_people_is_one_line_with_an_end() {
        assert_eq!(for_people(" two\n words\x07 ", 200), "two words");
        assert_eq!(for_people("\x1b[31mred\x07 ", 200), "[31mred");
        assert_eq!(for_people("abcdef", 4), "abc…");
        assert_eq!(for_people("abcd", 4), "abcd");
    }
}
