//! Addresses: where a node listens, and where the others are.

use std::path::Path;

use toml::de::DeValue;

use super::address::Destination;
use super::error::Parsed;
use super::quote::{Escapes, quote};
use super::setting::{Setting, bracketed, list, mistyped, text};
use super::zone::Bind;

impl Setting for Bind {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        let expected = "an IP address of this machine, or 0.0.0.0 or :: for all";
        match Bind::parse(text(expected, value)?) {
            Ok(Some(bind)) => Ok(bind),
            Ok(None) => mistyped(expected, value, "the port has a key of its own: node.port"),
            Err(error) => Err(vec![error]),
        }
    }

    fn toml(&self) -> Option<String> {
        Some(quote(&self.show(), Escapes::Toml))
    }

    fn classic(&self) -> Option<String> {
        Some(self.show())
    }
}

impl Setting for Vec<Destination> {
    fn from_toml(value: &DeValue<'_>, _: &Path) -> Parsed<Self> {
        list("a list of addresses", value, |item| {
            let text = text("a list of addresses, each a text", item.get_ref())?;
            Destination::parse(text).map_err(|error| vec![error])
        })
    }

    fn from_classic(text: &str, _: &Path) -> Parsed<Self> {
        let mut read = Vec::new();
        let mut errors = Vec::new();
        let entries = text.split(|c: char| c == ',' || c == ';' || c.is_whitespace());
        for entry in entries.filter(|e| !e.is_empty()) {
            match Destination::parse(entry) {
                Ok(destination) => read.push(destination),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(read) } else { Err(errors) }
    }

    fn toml(&self) -> Option<String> {
        Some(bracketed(self.iter().map(|d| quote(&d.show(), Escapes::Toml))))
    }

    fn classic(&self) -> Option<String> {
        let list = self.iter().map(|d| d.show()).collect::<Vec<_>>().join(", ");
        Some(quote(&list, Escapes::Info))
    }
}
