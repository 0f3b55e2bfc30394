//! What a component asks for, for one service: `tcp("{address}")` becomes what the service has configured.

use koi_plugin_api::{Capability, Program, Want};

/// A want with several keys of many values each could become a great many.
const FILLED_IN: usize = 1024;

/// The wants with the keys in braces replaced by `config`; of a key with many values there is one for each. One that names a key that is
/// not set, or is empty, is left out: the service does without what it is for.
pub(crate) fn fill_in(wants: &[Want], config: &[(String, String)]) -> Vec<Want> {
    let of = |want: &Want| {
        let reason = want.reason.clone();
        filled_in(&want.capability, config)
            .into_iter()
            .map(move |capability| Want { capability, reason: reason.clone() })
    };
    wants.iter().flat_map(of).take(FILLED_IN).collect()
}

/// What `capability` becomes: one for each choice of a value for each of its keys.
fn filled_in(capability: &Capability, config: &[(String, String)]) -> Vec<Capability> {
    let key = capability.texts().find_map(|text| next_key(text).map(|(_, key, _)| key.to_owned()));
    let Some(key) = key else { return vec![capability.clone()] };
    let values = config.iter().filter(|(name, value)| *name == key && !value.is_empty());
    let with = |(_, value): &(String, String)| {
        // A brace in a value is none of ours.
        let mark = value.replace('{', LITERAL);
        filled_in(&with_texts(capability, |text| text.replace(&format!("{{{key}}}"), &mark)), config)
    };
    let filled = values.flat_map(with).take(FILLED_IN);
    filled.map(|filled| with_texts(&filled, |text| text.replace(LITERAL, "{"))).collect()
}

/// Stands for a brace that is not looked into: a control character, which no text of a want has.
const LITERAL: &str = "\u{1}";

/// The same with other texts.
fn with_texts(capability: &Capability, change: impl Fn(&str) -> String) -> Capability {
    match capability {
        Capability::Exec(Program { words, user, keep }) => Capability::Exec(Program {
            words: words.iter().map(|word| change(word)).collect(),
            user: user.as_deref().map(change),
            keep: *keep,
        }),
        Capability::ExecPath(text) => Capability::ExecPath(change(text)),
        Capability::ExecEnv(text) => Capability::ExecEnv(change(text)),
        Capability::Tcp(text) => Capability::Tcp(change(text)),
        Capability::Udp(text) => Capability::Udp(change(text)),
        Capability::Http(text) => Capability::Http(change(text)),
        Capability::Lookup => Capability::Lookup,
        Capability::Read(text) => Capability::Read(change(text)),
        Capability::Write(text) => Capability::Write(change(text)),
        Capability::Env(text) => Capability::Env(change(text)),
    }
}

/// The first key in braces, with what stands before and behind it. A brace without a partner is no key's.
fn next_key(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once('{')?;
    let (key, after) = opened.split_once('}')?;
    Some((before, key, after))
}

/// The keys in braces.
pub(crate) fn keys_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, key, after) = next_key(rest)?;
        rest = after;
        Some(key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn filled(asked: &[Capability], pairs: &[(&str, &str)]) -> Vec<Capability> {
        let reason = || "for a test".to_owned();
        let wants: Vec<_> = asked
            .iter()
            .map(|capability| Want { capability: capability.clone(), reason: reason() })
            .collect();
        let filled = fill_in(&wants, &config(pairs));
        assert!(filled.iter().all(|want| want.reason == reason()));
        filled.into_iter().map(|want| want.capability).collect()
    }

    fn program(words: &[&str]) -> Capability {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Capability::Exec(Program { words, user: Some("{user}".into()), keep: false })
    }

    #[test]
    fn keys_in_braces_become_what_the_service_has_configured() {
        let asked = [Capability::Tcp("{host}:{port}".into()), Capability::ExecPath("/bin/ip".into())];
        assert_eq!(
            filled(&asked, &[("host", "10.0.0.5"), ("port", "6379")]),
            [Capability::Tcp("10.0.0.5:6379".into()), Capability::ExecPath("/bin/ip".into())]
        );
        let Capability::Exec(done) =
            &filled(&[program(&["/bin/ip", "dev={dev}"])], &[("dev", "eth0"), ("user", "u")])[0]
        else {
            panic!("a program stays one")
        };
        assert_eq!((done.words.join(" "), done.user.as_deref()), ("/bin/ip dev=eth0".into(), Some("u")));
    }

    #[test]
    fn a_key_with_many_values_makes_a_want_for_each() {
        let asked = [Capability::Tcp("{peer}:{port}".into())];
        let said = [("peer", "a"), ("peer", "b"), ("port", "1"), ("port", "2")];
        let texts: Vec<_> = filled(&asked, &said).iter().map(|one| one.subject().to_owned()).collect();
        assert_eq!(texts, ["a:1", "a:2", "b:1", "b:2"]);
    }

    #[test]
    fn what_names_a_key_that_is_not_set_is_left_out() {
        let asked = [Capability::Read("{folder}".into()), Capability::Write("/run/{name}".into())];
        assert!(filled(&asked, &[("name", "")]).is_empty());
    }

    #[test]
    fn a_value_with_braces_is_not_looked_into_and_a_lone_brace_stays() {
        let asked = [Capability::Env("{key}{".into())];
        assert_eq!(filled(&asked, &[("key", "{key}")]), [Capability::Env("{key}{".into())]);
    }
}
