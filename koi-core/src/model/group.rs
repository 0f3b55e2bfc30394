//! The groups of a cluster: sets of services that are promoted together, each with a master of its own.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use minicbor::{Decode, Encode};

use crate::limits;

/// The name of a group. There is always one: `main`, whose services lie in the services folder.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Option<Arc<str>>);

/// What `main` is called.
const MAIN: &str = "main";

impl GroupName {
    /// The group of the services folder.
    pub const MAIN: GroupName = GroupName(None);

    /// Whether it is `main`.
    pub fn is_main(&self) -> bool {
        self.0.is_none()
    }

    /// As it is written: 1 to [`limits::GROUP_NAME_BYTES`] bytes.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(MAIN)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupName({self})")
    }
}

/// The text is no name of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a name of a group: 1 to {most} letters, digits, `-` and `_` are expected",
    most = limits::GROUP_NAME_BYTES
)]
pub struct NotAGroupName;

impl FromStr for GroupName {
    type Err = NotAGroupName;

    fn from_str(text: &str) -> Result<Self, NotAGroupName> {
        let fits = (1..=limits::GROUP_NAME_BYTES).contains(&text.len());
        if !fits || !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(NotAGroupName);
        }
        Ok(GroupName((text != MAIN).then(|| text.into())))
    }
}

impl<C> Encode<C> for GroupName {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(self.as_str())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for GroupName {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.str()?.parse().map_err(|_| minicbor::decode::Error::message("not a name of a group"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_comes_first_and_is_written_as_such() {
        let main: GroupName = "main".parse().expect("it is a name");
        let web: GroupName = "a-web_1".parse().expect("it is a name");
        assert_eq!(main, GroupName::MAIN);
        assert!(main < web, "main comes first whatever the others are called");
        assert_eq!((main.to_string(), web.to_string()), ("main".to_owned(), "a-web_1".to_owned()));
    }

    #[test]
    fn a_name_that_would_not_do_as_a_folder_is_none() {
        for text in ["", "a/b", "..", "a b", "ä", &"x".repeat(33)] {
            assert_eq!(text.parse::<GroupName>(), Err(NotAGroupName), "{text:?}");
        }
    }

    #[test]
    fn it_crosses_the_wire_as_text_and_a_bad_one_is_refused() {
        let web: GroupName = "web".parse().expect("it is a name");
        let bytes = minicbor::to_vec([GroupName::MAIN, web.clone()]).expect("it is written");
        assert_eq!(bytes, [0x82, 0x64, b'm', b'a', b'i', b'n', 0x63, b'w', b'e', b'b']);
        assert_eq!(minicbor::decode::<[GroupName; 2]>(&bytes).expect("it is read"), [GroupName::MAIN, web]);
        assert!(minicbor::decode::<GroupName>(&[0x62, b'/', b'x']).is_err());
    }
}
