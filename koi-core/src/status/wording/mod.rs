//! The words for people: sentences, rules and hints, made from the reasons that the core decides by.

mod failure;
mod leading;
mod refusal;
mod waiting;
