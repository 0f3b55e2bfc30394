//! What is secret in a recording: it is replaced wherever it stands.

/// Words of a key of `[config]` whose value is secret.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "secret",
    "token",
    "credential",
    "credentials",
    "auth",
    "key",
    "apikey",
];

/// The last word of a key that names a file with a secret in it, and not the secret.
const FILE_WORDS: [&str; 4] = ["file", "path", "folder", "dir"];

/// What is shorter stands in many a text by chance.
const SHORTEST_BYTES: usize = 4;

/// Stands for each byte of a secret: what has a length in it stays right.
const STANDS_FOR: u8 = b'x';

/// The secrets of one recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// Of these settings, by their names, and these texts whatever they are called.
    pub(super) fn of<'s>(
        config: &'s [(String, String)],
        others: impl IntoIterator<Item = &'s String>,
    ) -> Secrets {
        let of_config = config.iter().filter(|(key, _)| is_secret(key)).map(|(_, value)| value);
        let mut all: Vec<Vec<u8>> = of_config.chain(others).map(|value| value.clone().into_bytes()).collect();
        all.retain(|secret| secret.len() >= SHORTEST_BYTES);
        // A longer one may have a shorter one in it.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Secrets(all)
    }

    /// `bytes` without them.
    pub(super) fn hide(&self, bytes: &[u8]) -> Vec<u8> {
        let mut hidden = bytes.to_vec();
        for secret in &self.0 {
            let mut at = 0_usize;
            while let Some(end) = at.checked_add(secret.len()).filter(|end| *end <= hidden.len()) {
                if hidden[at..end] == secret[..] {
                    hidden[at..end].fill(STANDS_FOR);
                }
                at += 1;
            }
        }
        hidden
    }

    /// The same of a text.
    pub(super) fn hide_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide(text.as_bytes())).into_owned()
    }
}

/// As many characters that say nothing.
pub(super) fn hidden(secret: &str) -> String {
    String::from_utf8_lossy(&vec![STANDS_FOR; secret.len()]).into_owned()
}

/// Whether the value of a key is secret, by its name.
pub(super) fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(['-', '_', '.']).collect();
    let is_file = words.last().is_some_and(|last| FILE_WORDS.contains(last));
    !is_file && words.iter().any(|word| SECRET_WORDS.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_name_of_their_key() {
        for secret in ["password", "db_password", "api-key", "Token", "auth"] {
            assert!(is_secret(secret), "{secret}");
        }
        for plain in ["password-file", "key_path", "keyboard", "monkey", "address"] {
            assert!(!is_secret(plain), "{plain}");
        }
    }

    #[test]
    fn a_secret_is_replaced_wherever_it_stands_and_lengths_stay() {
        let config = [("password".to_owned(), "hunter2".to_owned()), ("a".to_owned(), "plain".to_owned())];
        let secrets = Secrets::of(&config, &["hunter2+more".to_owned()]);
        let sent = b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\nplain hunter2+more";
        let shown = b"*2\r\n$4\r\nAUTH\r\n$7\r\nxxxxxxx\r\nplain xxxxxxxxxxxx";
        assert_eq!(secrets.hide(sent), shown);
    }
}
