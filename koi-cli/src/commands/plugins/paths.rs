//! Where the API has plugins.

/// All of them.
pub(super) const PLUGINS: &str = "/v1/plugins";

/// What is known of one that is named, or of one that lies at this path.
pub(super) fn one(name_or_path: &str) -> String {
    format!("{PLUGINS}/{}", encoded(name_or_path))
}

/// The same question, to a node.
pub(in crate::commands) fn at_node(path: &str, node: Option<&str>) -> String {
    node.map_or_else(|| path.to_owned(), |node| format!("{path}?node={}", encoded(node)))
}

/// `text` as a part of a URL.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_a_url() {
        assert_eq!(at_node(PLUGINS, Some("a b&c")), "/v1/plugins?node=a%20b%26c");
        assert_eq!(one("../status"), "/v1/plugins/..%2Fstatus");
    }
}
