//! What a component asks for, for one service: `tcp-connect("{address}")` becomes what the service has configured.

use koi_plugin_api::Capability;

/// The capabilities with the keys in braces replaced by `config`. One that names a key that is not set, or is empty, is left out:
/// the service does without what it is for.
pub(crate) fn fill_in(capabilities: &[Capability], config: &[(String, String)]) -> Vec<Capability> {
    let of = |capability: &Capability| {
        let text = filled_in(capability.value(), config)?;
        Some(match capability {
            Capability::Exec(_) => Capability::Exec(text),
            Capability::TcpConnect(_) => Capability::TcpConnect(text),
            Capability::FsRead(_) => Capability::FsRead(text),
            Capability::FsWrite(_) => Capability::FsWrite(text),
            Capability::Env(_) => Capability::Env(text),
        })
    };
    capabilities.iter().filter_map(of).collect()
}

/// `text` with values for keys; none: one is not set. A brace without a partner is kept as it is.
fn filled_in(text: &str, config: &[(String, String)]) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, key, after)) = next_key(rest) {
        let (_, value) = config.iter().find(|(name, value)| name == key && !value.is_empty())?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

fn next_key(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once('{')?;
    let (key, after) = opened.split_once('}')?;
    Some((before, key, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn keys_in_braces_become_what_the_service_has_configured() {
        let asked = [Capability::TcpConnect("{host}:{port}".into()), Capability::Exec("/bin/ip".into())];
        let wants = fill_in(&asked, &config(&[("host", "10.0.0.5"), ("port", "6379")]));
        assert_eq!(
            wants,
            [Capability::TcpConnect("10.0.0.5:6379".into()), Capability::Exec("/bin/ip".into())]
        );
    }

    #[test]
    fn what_names_a_key_that_is_not_set_is_left_out() {
        let asked = [Capability::FsRead("{folder}".into()), Capability::FsWrite("/run/{name}".into())];
        assert!(fill_in(&asked, &config(&[("name", "")])).is_empty());
    }

    #[test]
    fn a_value_with_braces_is_not_looked_into_and_a_lone_brace_stays() {
        let asked = [Capability::Env("{key}{".into())];
        assert_eq!(fill_in(&asked, &config(&[("key", "{key}")])), [Capability::Env("{key}{".into())]);
    }
}
