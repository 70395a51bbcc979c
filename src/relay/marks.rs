//! [`MarkedText`]: what a text between users of the IRC wire has beside its words. See "Rooms" in
//! `docs/PROTOCOL.md`.

use std::borrow::Cow;

use super::notice::{NOTICE_MARK, split_notice_mark};

/// What begins the tags behind two marks.
const TAGS_MARK: u8 = b'@';

/// A text without its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarkedText<'a> {
    /// Tags of the client, escaped and with `;` between them; empty if there are none.
    pub tags: &'a [u8],
    /// The text. Without a text there are tags alone.
    pub text: &'a [u8],
    /// Whether it is a notice, see [`NOTICE_MARK`].
    pub is_notice: bool,
}

impl<'a> MarkedText<'a> {
    /// Parses a text of a user with this info. Texts of users of other wires are left as they are.
    #[must_use]
    pub fn parse(text: &'a [u8], sender_info: &[u8]) -> Self {
        let (rest, is_notice) = split_notice_mark(text, sender_info);
        match rest.strip_prefix(&[NOTICE_MARK, TAGS_MARK]).filter(|_| is_notice) {
            None => Self { tags: b"", text: rest, is_notice },
            Some(rest) => {
                let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
                let (tags, text) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
                let (text, is_notice) = split_notice_mark(text, sender_info);
                Self { tags, text, is_notice }
            }
        }
    }

    /// Returns the text as the network carries it.
    #[must_use]
    pub fn encode(self) -> Cow<'a, [u8]> {
        let Self { tags, text, is_notice } = self;
        let mark: &[u8] = if is_notice { &[NOTICE_MARK] } else { b"" };
        let head: &[u8] = &[NOTICE_MARK, NOTICE_MARK, TAGS_MARK];
        match (tags, text) {
            (b"", text) if !is_notice => Cow::Borrowed(text),
            (b"", text) => Cow::Owned([mark, text].concat()),
            (tags, b"") => Cow::Owned([head, tags].concat()),
            (tags, text) => Cow::Owned([head, tags, b" ", mark, text].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_parsed_as_they_were_encoded() {
        let tags: [&[u8]; 2] = [b"", b"+typing=active;+a"];
        for tags in tags {
            for text in [&b"Hi all"[..], b"@a b", b" x", b""] {
                for is_notice in [false, !text.is_empty()] {
                    let marked = MarkedText { tags, text, is_notice };
                    assert_eq!(MarkedText::parse(&marked.encode(), b"irc a b"), marked);
                }
            }
        }
        let marked = MarkedText { tags: tags[1], text: b"Hi", is_notice: true };
        assert_eq!(&*marked.encode(), b"\x06\x06@+typing=active;+a \x06Hi");
        assert_eq!(MarkedText::parse(&marked.encode(), b"direct").text, &*marked.encode());
        // An invitation is no tag.
        let invited = MarkedText::parse(b"\x06\x06#lab", b"irc a b");
        assert_eq!(invited, MarkedText { tags: b"", text: b"\x06#lab", is_notice: true });
    }
}
