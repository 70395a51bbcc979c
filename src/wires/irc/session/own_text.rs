//! [`OwnText`]: what a client sends to users and rooms.

use std::borrow::Cow;

use crate::relay::marks::MarkedText;

/// What the client sends to a target.
pub(super) struct OwnText<'a> {
    pub(super) command: &'static str,
    /// The client's own tags.
    pub(super) tags: String,
    /// Empty with `TAGMSG` alone.
    pub(super) text: &'a str,
}

impl<'a> OwnText<'a> {
    /// Returns a message without tags.
    pub(super) fn message(text: &'a str) -> Self {
        Self { command: "PRIVMSG", tags: String::new(), text }
    }

    pub(super) fn is_notice(&self) -> bool {
        self.command == "NOTICE"
    }

    /// Returns the text as the network carries it to users of this wire and to rooms.
    pub(super) fn encode(&self) -> Cow<'a, [u8]> {
        let (text, is_notice) = (self.text.as_bytes(), self.is_notice());
        if self.tags.is_empty() && !is_notice {
            return Cow::Borrowed(text);
        }
        let marked = MarkedText { tags: self.tags.as_bytes(), text, is_notice };
        Cow::Owned(marked.encode().into_owned())
    }
}
