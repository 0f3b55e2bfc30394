//! Colour, sparingly: what is well, what is not yet, what is not.

use anstyle::{AnsiColor, Style};

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// A heading.
    Head,
    /// Beside the point.
    Dim,
    /// Well.
    Good,
    /// Not yet well, or to be looked at.
    Warn,
    /// Not well.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Plain => Style::new(),
            Tone::Head => Style::new().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// Whether to colour at all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let style = tone.style();
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// In a colour that means nothing but itself.
    pub(crate) fn color(self, color: AnsiColor, text: &str) -> String {
        let style = color.on_default();
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn head(self, text: &str) -> String {
        self.tone(Tone::Head, text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.tone(Tone::Dim, text)
    }

    pub(crate) fn warn(self, text: &str) -> String {
        self.tone(Tone::Warn, text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.tone(Tone::Bad, text)
    }
}
