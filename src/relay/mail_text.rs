//! The text of a mail status: the sender and the message, for places where the message cannot be
//! sent as a chat of its sender.
//!
//! Between servers, the format is part of the protocol: see "The direct wire" in
//! `docs/PROTOCOL.md`.

use std::time::Duration;

use crate::id::WideId;

/// Start of the text, followed by the id of the sender, a colon and a space.
const MAIL_TEXT_PREFIX: &str = "Mail from ";

/// A message that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailText<'a> {
    /// The sender, who may have left since.
    pub sender: WideId,
    /// The nick that the sender had; empty if it had none, or that is not known.
    pub nick: &'a [u8],
    /// When it was sent, in milliseconds since 1970; 0 if that is not known.
    pub sent_at_ms: u64,
    /// Text of the message.
    pub text: &'a [u8],
}

impl<'a> MailText<'a> {
    /// Returns whether more is known than sender and text.
    #[must_use]
    pub fn is_dated(&self) -> bool {
        !self.nick.is_empty() || self.sent_at_ms > 0
    }

    /// Returns when it was sent, since 1970, if that is known.
    #[must_use]
    pub fn sent_at(&self) -> Option<Duration> {
        (self.sent_at_ms > 0).then(|| Duration::from_millis(self.sent_at_ms))
    }

    /// Returns the text of a status that names the sender alone.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_mail_text(self.sender, self.text)
    }

    /// Returns the text of a status with all that is known.
    pub(super) fn encode_dated(&self) -> Vec<u8> {
        let mut out = format!("{MAIL_TEXT_PREFIX}{}", self.sender).into_bytes();
        if is_nick_text(self.nick) {
            out.extend_from_slice(&[b" (", self.nick, b")"].concat());
        }
        if self.sent_at_ms > 0 {
            out.extend_from_slice(format!(" at {}", self.sent_at_ms).as_bytes());
        }
        [&out, &b": "[..], self.text].concat()
    }

    /// Parses the text of a status.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(MAIL_TEXT_PREFIX.as_bytes())?;
        let colon = rest.iter().position(|&byte| byte == b':')?;
        let (head, text) = (std::str::from_utf8(&rest[..colon]).ok()?, &rest[colon + 1..]);
        let (head, sent_at_ms) = match head.split_once(" at ") {
            Some((head, sent_at_ms)) => (head, sent_at_ms.parse().ok()?),
            None => (head, 0),
        };
        let (sender, nick) = match head.split_once(" (") {
            Some((sender, nick)) => (sender, nick.strip_suffix(')')?.as_bytes()),
            None => (head, &b""[..]),
        };
        let sender = sender.parse().ok().map(WideId)?;
        let is_valid = nick.is_empty() || is_nick_text(nick);
        let text = text.strip_prefix(b" ").filter(|_| is_valid)?;
        Some(Self { sender, nick, sent_at_ms, text })
    }
}

/// Returns the text of a mail status that names the sender alone.
fn encode_mail_text(sender: WideId, text: &[u8]) -> Vec<u8> {
    [format!("{MAIL_TEXT_PREFIX}{sender}: ").as_bytes(), text].concat()
}

/// Returns whether a nick can be a part of the text.
fn is_nick_text(nick: &[u8]) -> bool {
    !nick.is_empty() && nick.iter().all(|&byte| byte.is_ascii_graphic() && !b":()".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_text_parses_to_its_sender_and_text() {
        let check = |text: &str, expected: Option<(i64, &str, u64, &str)>| {
            let expected = expected.map(|(id, nick, sent_at_ms, said)| MailText {
                sender: WideId(id),
                nick: nick.as_bytes(),
                sent_at_ms,
                text: said.as_bytes(),
            });
            assert_eq!(MailText::parse(text.as_bytes()), expected, "{text}");
            if let Some(mail) = expected {
                let encoded = if mail.is_dated() { mail.encode_dated() } else { mail.encode() };
                assert_eq!(encoded, text.as_bytes());
            }
        };
        check("Mail from 5: Hi: there", Some((5, "", 0, "Hi: there")));
        check("Mail from 9223372036854775807: ", Some((i64::MAX, "", 0, "")));
        check("Mail from 5 (frodo) at 12: Hi", Some((5, "frodo", 12, "Hi")));
        check("Mail from 5 (a|7): Hi (all) at 3: x", Some((5, "a|7", 0, "Hi (all) at 3: x")));
        check("Mail from 5 at 12: Hi", Some((5, "", 12, "Hi")));
        check("Mail from 9223372036854775808: Hi", None);
        check("Mail from sam: Hi", None);
        check("Mail from 5:Hi", None);
        check("Mail from 5", None);
        check("Mail from 5 (: Hi", None);
        check("Mail from 5 (a b): Hi", None);
        check("Mail from 5 at noon: Hi", None);
        check("Hi", None);
    }
}
