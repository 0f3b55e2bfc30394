//! Plugins that come, change and go, with code that is a few words of text.

mod changes;
mod known;
mod pulled;
mod services;
mod signatures;
mod world;
