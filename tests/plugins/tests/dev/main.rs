//! `koi plugins dev`: what it does about changes, and about keys.

mod author;
mod changes;
mod keys;
