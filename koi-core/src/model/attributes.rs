//! The attributes of a group (R16): a few texts that its master writes and that every node reads.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::group::GroupName;
use crate::limits;
use crate::types::{Epoch, Version};

/// What an attribute is called: 1 to [`limits::ATTRIBUTE_KEY_BYTES`] letters, digits, `.`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributeKey(String);

/// The text is no key of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a key of an attribute: 1 to {most} letters, digits, `.`, `-` and `_` are expected",
    most = limits::ATTRIBUTE_KEY_BYTES
)]
pub struct NotAnAttributeKey;

impl AttributeKey {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AttributeKey {
    type Err = NotAnAttributeKey;

    fn from_str(text: &str) -> Result<Self, NotAnAttributeKey> {
        if koi_hook::is_attribute_key(text) {
            Ok(AttributeKey(text.to_owned()))
        } else {
            Err(NotAnAttributeKey)
        }
    }
}

/// What an attribute says: up to [`limits::ATTRIBUTE_VALUE_BYTES`] bytes of text, none too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeValue(String);

/// The text is too long for an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value of an attribute has {bytes} bytes: {most} are allowed", most = limits::ATTRIBUTE_VALUE_BYTES)]
pub struct AttributeValueTooLong {
    /// How long it is.
    pub bytes: usize,
}

impl AttributeValue {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AttributeValue {
    type Error = AttributeValueTooLong;

    fn try_from(text: String) -> Result<Self, AttributeValueTooLong> {
        match text.len() {
            bytes if bytes > limits::ATTRIBUTE_VALUE_BYTES => Err(AttributeValueTooLong { bytes }),
            _ => Ok(AttributeValue(text)),
        }
    }
}

/// One write: an attribute says something else from now on, or is none any more.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttributeChange {
    /// Which.
    #[n(0)]
    pub key: AttributeKey,
    /// What it says; none: it is removed.
    #[n(1)]
    pub value: Option<AttributeValue>,
}

/// A group has as many attributes as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the group has {most} attributes already, and may have no more", most = limits::ATTRIBUTES)]
pub struct TooManyAttributes;

/// All attributes of a group; at most [`limits::ATTRIBUTES`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<AttributeKey, AttributeValue>);

impl Attributes {
    /// What this attribute says.
    pub fn get(&self, key: &AttributeKey) -> Option<&AttributeValue> {
        self.0.get(key)
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&AttributeKey, &AttributeValue)> {
        self.0.iter()
    }

    /// Writes one.
    ///
    /// # Errors
    /// It is new, and there is no room for it. Nothing was changed.
    pub fn change(
        &mut self,
        AttributeChange { key, value }: AttributeChange,
    ) -> Result<(), TooManyAttributes> {
        match value {
            None => drop(self.0.remove(&key)),
            Some(_) if self.0.len() >= limits::ATTRIBUTES && !self.0.contains_key(&key) => {
                return Err(TooManyAttributes);
            }
            Some(value) => drop(self.0.insert(key, value)),
        }
        Ok(())
    }
}

/// Which state of a group's attributes is meant: the record names it, and what they say travels beside the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttributesVersion {
    /// The version of the record with which they were changed last: no two states of a group's attributes have the same.
    #[n(0)]
    pub changed: Version,
    /// The mastership that wrote last, and how many writes of it there were. What an operator writes does not count.
    #[n(1)]
    pub written: WriteNumber,
}

/// The number of a write: later masterships are greater, and within one they are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct WriteNumber {
    /// The mastership.
    #[n(0)]
    pub epoch: Epoch,
    /// Which of its writes.
    #[n(1)]
    pub n: u64,
}

/// A state of a group's attributes, on a disk or in memory.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttributesCopy {
    /// [`AttributesVersion::changed`].
    #[n(0)]
    pub changed: Version,
    /// What they say.
    #[n(1)]
    pub attributes: Attributes,
}

/// A state of a group's attributes, as a message carries it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GroupAttributes {
    /// Whose they are.
    #[n(0)]
    pub group: GroupName,
    /// Which state of them, and what they say.
    #[n(1)]
    pub copy: AttributesCopy,
}

/// States of attributes that a node lacks.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttributesWanted {
    /// Of each group the state that is wanted, as [`AttributesVersion::changed`].
    #[n(0)]
    pub states: BTreeMap<GroupName, Version>,
}

/// A master's write, for its leader.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AttributeWrite {
    /// The group whose master the sender is.
    #[n(0)]
    pub group: GroupName,
    /// The sender's mastership, and which of its writes.
    #[n(1)]
    pub number: WriteNumber,
    /// What is written.
    #[n(2)]
    pub change: AttributeChange,
}

/// What a leader says of a write that it does not make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WriteRefused {
    /// The write.
    #[n(0)]
    pub number: WriteNumber,
    /// Why.
    #[n(1)]
    pub why: WriteRefusal,
}

/// Why a leader does not make a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum WriteRefusal {
    /// The record names another mastership than the writer's, or its node has given it back.
    #[n(0)]
    NotMaster,
    /// The group has as many attributes as it may have.
    #[n(1)]
    NoRoom,
    /// Not every elector has said that it knows attributes.
    #[n(2)]
    Unknown,
    /// The leader's quorum is off.
    #[n(3)]
    QuorumOff,
}

impl<C> Encode<C> for AttributeKey {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AttributeKey {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a key of an attribute"))
    }
}

impl<C> Encode<C> for AttributeValue {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for AttributeValue {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let text = d.str()?.to_owned();
        text.try_into().map_err(|_| minicbor::decode::Error::message("an attribute that is too long"))
    }
}

impl<C> Encode<C> for Attributes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.0.encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for Attributes {
    fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        if d.datatype()? != Type::Map {
            return Err(minicbor::decode::Error::message("attributes are a map"));
        }
        let all = BTreeMap::decode(d, context)?;
        match all.len() > limits::ATTRIBUTES {
            true => Err(minicbor::decode::Error::message("more attributes than a group may have")),
            false => Ok(Attributes(all)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, value: Option<&str>) -> AttributeChange {
        let value = value.map(|text| text.to_owned().try_into().expect("it is short enough"));
        AttributeChange { key: key.parse().expect("it is a key"), value }
    }

    #[test]
    fn a_key_is_plain_and_short_and_a_value_is_short() {
        for text in ["", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert_eq!(text.parse::<AttributeKey>(), Err(NotAnAttributeKey), "{text:?}");
        }
        assert!("sync.state_of-b".parse::<AttributeKey>().is_ok());
        assert!("x".repeat(64).parse::<AttributeKey>().is_ok());
        let long = AttributeValue::try_from("x".repeat(257));
        assert_eq!(long, Err(AttributeValueTooLong { bytes: 257 }));
        assert_eq!(
            AttributeValueTooLong { bytes: 257 }.to_string(),
            "the value of an attribute has 257 bytes: 256 are allowed"
        );
        assert!(AttributeValue::try_from("é".repeat(128)).is_ok());
    }

    #[test]
    fn there_is_room_for_eight_and_what_is_there_can_be_written_and_removed() {
        let mut all = Attributes::default();
        for n in 0..8 {
            assert_eq!(all.change(change(&format!("k{n}"), Some("v"))), Ok(()));
        }
        assert_eq!(all.change(change("k8", Some("v"))), Err(TooManyAttributes));
        assert_eq!(all.change(change("k7", Some(""))), Ok(()));
        assert_eq!(all.change(change("k0", None)), Ok(()));
        assert_eq!(all.change(change("k8", Some("v"))), Ok(()));
        assert_eq!(all.get(&"k7".parse().expect("a key")).map(AttributeValue::as_str), Some(""));
        assert_eq!(all.iter().count(), 8);
    }

    #[test]
    fn what_no_koi_writes_is_not_read() {
        let nine: BTreeMap<String, String> = (0..9).map(|n| (format!("k{n}"), String::new())).collect();
        let long = BTreeMap::from([("k".to_owned(), "x".repeat(257))]);
        let key = BTreeMap::from([("k k".to_owned(), String::new())]);
        for wrong in [nine, long, key] {
            let bytes = minicbor::to_vec(&wrong).expect("it is written");
            assert!(minicbor::decode::<Attributes>(&bytes).is_err(), "{wrong:?}");
        }
    }
}
