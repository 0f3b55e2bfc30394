//! Registries, real ones and lying ones.

#![allow(clippy::unwrap_used)]

mod lies;
mod lying;
mod real;

use koi_artifact::Artifact;
use koi_registry::Publication;

/// The smallest component, made one of a kind by a custom section with these bytes.
fn artifact(words: &[u8]) -> Artifact {
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.push(0);
    // Its length, as a number of five bytes.
    let length = (words.len() + 2) as u32;
    component.extend((0..5).map(|n| (length >> (7 * n) & 0x7f) as u8 | if n < 4 { 0x80 } else { 0 }));
    component.extend([1, b'k']);
    component.extend(words);
    let (name, version) = ("redis".to_owned(), "0.2.0".to_owned());
    Publication { component, name, version, signature: None }.artifact().unwrap()
}

/// Shows nobody how far a transfer is.
fn silently(_: &str, _: u64, _: u64) {}
