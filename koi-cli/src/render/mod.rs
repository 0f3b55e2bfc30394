//! What people read: pure functions from the API's types to text.

pub(crate) mod cluster;
#[cfg(test)]
mod group_tests;
pub(crate) mod layout;
#[cfg(test)]
mod plugin_tests;
pub(crate) mod plugins;
#[cfg(test)]
mod tests;
