//! Native plugins in their helpers: good ones, and all the ways to be bad.

mod attributes;
mod ending;
mod hello;
mod limits;
mod loading;
mod misbehaving;
mod support;
