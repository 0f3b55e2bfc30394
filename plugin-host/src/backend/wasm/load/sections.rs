//! The sections of a component.

/// What a component begins with.
pub(super) const COMPONENT_HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// Sections of a component.
pub(super) const CORE_MODULE: u8 = 1;
pub(super) const COMPONENT: u8 = 4;

/// A section of a component or core module.
pub(super) struct Section<'b> {
    pub(super) id: u8,
    /// With what stands before its content.
    pub(super) whole: &'b [u8],
    pub(super) content: &'b [u8],
}

/// The sections of what begins like this. None: `bytes` do not, or break off.
pub(super) fn sections(bytes: &[u8], header: [u8; 8]) -> Option<Vec<Section<'_>>> {
    let (mut sections, mut rest) = (Vec::new(), bytes.strip_prefix(&header)?);
    while let Some((id, after)) = rest.split_first() {
        let (length, length_bytes) = read_number(after)?;
        let content = after.get(length_bytes..)?.get(..length)?;
        let (whole, next) = rest.split_at(1 + length_bytes + length);
        sections.push(Section { id: *id, whole, content });
        rest = next;
    }
    Some(sections)
}

/// A length in LEB128, and how many bytes it took.
fn read_number(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, place + 1));
        }
    }
    None
}
