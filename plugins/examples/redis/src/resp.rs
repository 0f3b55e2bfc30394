//! RESP, redis' protocol: commands as it expects them, and the replies of those that are used here.

use std::fmt;

/// Longest text in a reply, in bytes. `INFO` of a large server has some ten thousand.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Status(String),
    /// `-READONLY …`: the server understood, and says no.
    Error(String),
    /// `:42`.
    Integer(i64),
    /// A text; none: there is no such key. Bytes that are not UTF-8 are replaced.
    Text(Option<String>),
}

/// What came is not a reply that a redis-server gives to these commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it does not speak redis' protocol: {}", self.0)
    }
}

/// A command and its arguments as bytes to send.
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The first reply in `bytes` and how many bytes it takes; none: it has not come whole yet.
///
/// # Errors
/// When more bytes would not make it a reply.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return if bytes.len() > MAX_TEXT_BYTES {
            Err(Malformed("a line without end".into()))
        } else {
            Ok(None)
        };
    };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let used = end + 2;
    let Some(kind) = line.chars().next() else { return Err(Malformed("an empty line".into())) };
    let rest = &line[kind.len_utf8()..];
    let reply = match kind {
        '+' => Reply::Status(rest.to_owned()),
        '-' => Reply::Error(rest.to_owned()),
        ':' => Reply::Integer(number(rest)?),
        '$' => return text(rest, bytes, used),
        _ => return Err(Malformed(format!("it answered {:?}", line.chars().take(40).collect::<String>()))),
    };
    Ok(Some((reply, used)))
}

fn text(length: &str, bytes: &[u8], begin: usize) -> Result<Option<(Reply, usize)>, Malformed> {
    let length = number(length)?;
    if length == -1 {
        return Ok(Some((Reply::Text(None), begin)));
    }
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_TEXT_BYTES);
    let Some(length) = length else { return Err(Malformed("a text of an impossible length".into())) };
    let Some(text) = bytes.get(begin..begin + length + 2) else { return Ok(None) };
    if !text.ends_with(b"\r\n") {
        return Err(Malformed("a text that is longer than it says".into()));
    }
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    Ok(Some((Reply::Text(Some(text)), begin + length + 2)))
}

fn number(text: &str) -> Result<i64, Malformed> {
    text.parse().map_err(|_| Malformed(format!("{text:?} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Reply {
        let (reply, used) = parse(bytes).unwrap().expect("whole");
        assert_eq!(used, bytes.len());
        reply
    }

    #[test]
    fn a_command_says_the_length_of_each_word_in_bytes() {
        assert_eq!(command(&["GET", "clé"]), b"*2\r\n$3\r\nGET\r\n$4\r\ncl\xc3\xa9\r\n");
        assert_eq!(command(&["SET", "a b", ""]), b"*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$0\r\n\r\n");
    }

    #[test]
    fn replies_of_every_kind_are_read() {
        assert_eq!(whole(b"+PONG\r\n"), Reply::Status("PONG".into()));
        assert_eq!(
            whole(b"-NOAUTH Authentication required.\r\n"),
            Reply::Error("NOAUTH Authentication required.".into())
        );
        assert_eq!(whole(b":-7\r\n"), Reply::Integer(-7));
        assert_eq!(whole(b"$-1\r\n"), Reply::Text(None));
        assert_eq!(whole(b"$0\r\n\r\n"), Reply::Text(Some(String::new())));
        assert_eq!(whole(b"$6\r\na\r\nb:c\r\n"), Reply::Text(Some("a\r\nb:c".into())));
    }

    #[test]
    fn a_reply_in_pieces_is_waited_for_and_the_next_one_left_alone() {
        let bytes = b"$5\r\nhello\r\n+OK\r\n";
        for cut in 0..11 {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{cut} bytes");
        }
        assert_eq!(parse(bytes), Ok(Some((Reply::Text(Some("hello".into())), 11))));
    }

    #[test]
    fn what_is_no_redis_is_told_at_once() {
        let mistake = parse(b"HTTP/1.1 400 Bad Request\r\n").unwrap_err().to_string();
        assert_eq!(mistake, "it does not speak redis' protocol: it answered \"HTTP/1.1 400 Bad Request\"");
        for bytes in [
            &b"$x\r\n"[..],
            b"$-2\r\n",
            b"$99999999999\r\n",
            b"\r\n",
            b":\r\n",
            b"$1\r\nabc\r\n",
            b"\xff\r\n",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(&vec![b'+'; MAX_TEXT_BYTES + 1]).is_err());
    }
}
