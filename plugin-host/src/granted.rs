//! What a service is granted: for programs by key and value, for people as a line.

/// One thing that a service is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The key of `[grants]`; empty: it stands under no key.
    pub key: String,
    /// The entry's subject: a directory, an address, a server, a variable or a program's path, as it is written; empty: it has none.
    pub value: String,
    /// A line for people.
    pub line: String,
}

impl Granted {
    /// An entry of a list. `shown`: the entry with what is known of it besides.
    pub(crate) fn entry(key: &str, value: impl Into<String>, shown: impl std::fmt::Display) -> Granted {
        Granted { key: key.to_owned(), value: value.into(), line: format!("{key} {shown}") }
    }
}
