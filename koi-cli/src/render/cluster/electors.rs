//! `koi electors list`.

use koi_proto::api::{Electors, Membership};

use crate::render::layout::Tone;
use crate::render::layout::View;
use crate::render::layout::table::{Cell, Table};

/// Columns of a name.
const NAME: usize = 36;

/// Who votes, and who could.
pub(crate) fn electors(electors: &Electors, view: &View) -> String {
    let mut table = Table::new(0, NAME);
    table.heads(&["NODE", "ELECTOR", "HEARD", "ID"]);
    for elector in &electors.electors {
        let (word, tone) = match &elector.membership {
            Membership::Member | Membership::Configured => ("yes", Tone::Plain),
            Membership::Joining => ("joining", Tone::Warn),
            Membership::Leaving => ("leaving", Tone::Warn),
            Membership::Outside => ("no", Tone::Warn),
            Membership::Unknown(word) => (word.as_str(), Tone::Warn),
        };
        let (heard, heard_tone) = if elector.there { ("yes", Tone::Plain) } else { ("no", Tone::Bad) };
        table.row(vec![
            Cell::new(&elector.name),
            Cell::new(word).tone(tone),
            Cell::new(heard).tone(heard_tone),
            Cell::new(&elector.id),
        ]);
    }
    let quorum = match electors.quorum {
        0 => "quorum is off: the electors are not counted\n".to_owned(),
        n => format!("a quorum is {n} of them\n"),
    };
    format!("{}{quorum}", table.draw(view))
}
