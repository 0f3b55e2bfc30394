//! `koi plugins`.

pub(crate) mod manage;
mod trial;
