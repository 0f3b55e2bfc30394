//! The smallest native handler in Rust.
