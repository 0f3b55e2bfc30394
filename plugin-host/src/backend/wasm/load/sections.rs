//! The sections of a component, and of the core modules in it.

/// What a component begins with, and a core module.
pub(super) const COMPONENT_HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";
const MODULE_HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Sections of a component.
pub(super) const CORE_MODULE: u8 = 1;
pub(super) const COMPONENT: u8 = 4;
const COMPONENT_START: u8 = 9;

/// In a core module: the function that runs when an instance is made.
const START: u8 = 8;

/// How deep components may lie in one another to be looked at.
const DEPTH: usize = 16;

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

/// Whether something of the component may run when an instance of it is made, before anything in it is called.
pub(super) fn runs_when_made(component: &[u8]) -> bool {
    runs(component, DEPTH)
}

fn runs(component: &[u8], depth: usize) -> bool {
    let module_runs = |module: &[u8]| {
        sections(module, MODULE_HEADER).is_none_or(|all| all.iter().any(|section| section.id == START))
    };
    let section_runs = |section: &Section<'_>| match section.id {
        CORE_MODULE => module_runs(section.content),
        COMPONENT => depth == 0 || runs(section.content, depth - 1),
        COMPONENT_START => true,
        _ => false,
    };
    sections(component, COMPONENT_HEADER).is_none_or(|all| all.iter().any(section_runs))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_when_made(text: &str) -> bool {
        super::runs_when_made(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn a_start_function_is_found_wherever_it_is() {
        let starts = r#"(core module (func $start) (start $start))"#;
        let calm = r#"(core module (func (export "start")) (data "start"))"#;
        for (inside, expected) in [(starts, true), (calm, false)] {
            assert_eq!(runs_when_made(&format!("(component {inside})")), expected);
            assert_eq!(
                runs_when_made(&format!("(component {calm} (component (component {inside})))")),
                expected
            );
        }
    }

    #[test]
    fn what_cannot_be_read_may_run() {
        let component = wat::parse_str("(component (core module (func)))").unwrap();
        assert!(!super::runs_when_made(&component));
        for length in 0..component.len() {
            // A whole component has ended after its header.
            let expected = length != COMPONENT_HEADER.len();
            assert_eq!(super::runs_when_made(&component[..length]), expected, "{length}");
        }
        assert!(super::runs_when_made(b"\0asm\x01\0\0\0"), "a core module");
    }
}
