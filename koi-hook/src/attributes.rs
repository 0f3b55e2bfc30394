//! How large the attributes of a group may be. Whoever writes them is told before they are sent.

/// Bytes of the key of an attribute.
pub const ATTRIBUTE_KEY_BYTES: usize = 64;

/// Bytes of the value of an attribute.
pub const ATTRIBUTE_VALUE_BYTES: usize = 256;

/// Attributes of one group.
pub const ATTRIBUTES: usize = 8;

/// Whether an attribute may be called so: letters, digits, `.`, `-` and `_`, one at least.
pub fn is_attribute_key(text: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=ATTRIBUTE_KEY_BYTES).contains(&text.len()) && text.bytes().all(may_stand)
}
