//! Whether something that a plugin wants is granted, as far as that can be told from lines.

use koi_proto::api::{Grant, PluginUse};

/// Whether something wanted is granted.
pub(super) enum Granted<'u> {
    /// By this entry.
    By(&'u Grant),
    /// By one of these: ranges are koid's to judge, and it says so as the service's problem when none fits.
    BySome(Vec<&'u Grant>),
    /// Surely not.
    Missing,
    /// The service could not be opened, and so nobody has put its grants in order.
    Unknown,
}

pub(super) fn granted<'u>(wish: &Grant, used: &'u PluginUse) -> Granted<'u> {
    let of_kind: Vec<&Grant> = used.grants.iter().filter(|grant| is_of_kind(grant, wish)).collect();
    let is_missing =
        used.missing.iter().any(|missing| missing.key == wish.key && could_become(&wish.line, &missing.line));
    let is_program = wish.key == "exec";
    let by_name: Vec<&Grant> = of_kind.iter().copied().filter(|grant| grant.value == wish.value).collect();
    let by_words = by_name.iter().copied().find(|grant| !is_program || grants_words(grant, wish));
    if is_missing {
        return Granted::Missing;
    }
    match (by_words, &of_kind[..]) {
        (Some(grant), _) => Granted::By(grant),
        (None, []) if used.problem.is_none() || !used.grants.is_empty() => Granted::Missing,
        (None, []) => Granted::Unknown,
        (None, [one]) => Granted::By(one),
        (None, _) if !by_name.is_empty() => Granted::BySome(by_name),
        (None, _) => Granted::BySome(of_kind),
    }
}

/// Whether a granted command line holds the wanted one, as far as that shows without the values of its keys in braces.
fn grants_words(grant: &Grant, wish: &Grant) -> bool {
    let words = |line: &str, from: &str| -> Vec<String> {
        let line = line.strip_prefix(from).unwrap_or(line);
        let line = line.split(" (as ").next().unwrap_or(line).replace(" (what it starts is kept)", "");
        let line: String = line.chars().filter(|c| !matches!(c, '"' | '[' | ']' | ',')).collect();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let (granted, wanted) = (words(&grant.line, "exec "), words(&wish.line, "exec = "));
    let (granted, is_open) = match granted.split_last() {
        Some((last, before)) if last == "**" => (before, true),
        _ => (&granted[..], false),
    };
    let fits = |(granted, wanted): (&String, &String)| {
        granted == wanted || granted.contains('*') || could_become(wanted, granted)
    };
    let is_long_enough = if is_open { wanted.len() >= granted.len() } else { wanted.len() == granted.len() };
    is_long_enough && granted.iter().zip(&wanted).all(fits)
}

/// Whether `line` is what `wish` is with values in place of its keys in braces.
fn could_become(wish: &str, line: &str) -> bool {
    let mut pieces = wish.split('{').enumerate().map(|(at, piece)| match piece.split_once('}') {
        Some((_, after)) if at > 0 => after,
        _ => piece,
    });
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut last = "";
    for piece in pieces {
        // The leftmost place for each leaves most room for the next.
        let Some(at) = rest.find(last) else { return false };
        rest = &rest[at + last.len()..];
        last = piece;
    }
    rest == last || wish.contains('{') && rest.ends_with(last)
}

/// Whether an entry of what is granted is of the kind that is wished. Who may write may read.
fn is_of_kind(grant: &Grant, wish: &Grant) -> bool {
    grant.key == wish.key || (wish.key == "read" && grant.key == "write")
}
