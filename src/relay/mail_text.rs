//! The text of a mail status: the sender and the message, for places where the message cannot be
//! sent as a chat of its sender.
//!
//! Between servers, the format is part of the protocol: see "The direct wire" in
//! `docs/PROTOCOL.md`.

use crate::id::WideId;

/// Start of the text, followed by the id of the sender, a colon and a space.
const MAIL_TEXT_PREFIX: &str = "Mail from ";

/// Returns the text of a mail status.
#[must_use]
pub fn encode_mail_text(sender: WideId, text: &[u8]) -> Vec<u8> {
    [format!("{MAIL_TEXT_PREFIX}{sender}: ").as_bytes(), text].concat()
}

/// Parses the text of a mail status into the sender and the message.
pub(super) fn parse_mail_text(text: &[u8]) -> Option<(WideId, &[u8])> {
    let rest = text.strip_prefix(MAIL_TEXT_PREFIX.as_bytes())?;
    let colon = rest.iter().position(|&byte| byte == b':')?;
    let sender = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok().map(WideId)?;
    Some((sender, rest[colon + 1..].strip_prefix(b" ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_text_parses_to_its_sender_and_text() {
        let check = |text: &str, expected: Option<(i64, &str)>| {
            let found = parse_mail_text(text.as_bytes());
            assert_eq!(found, expected.map(|(id, said)| (WideId(id), said.as_bytes())), "{text}");
        };
        check("Mail from 5: Hi: there", Some((5, "Hi: there")));
        check("Mail from 9223372036854775807: ", Some((i64::MAX, "")));
        check("Mail from 9223372036854775808: Hi", None);
        check("Mail from sam: Hi", None);
        check("Mail from 5:Hi", None);
        check("Mail from 5", None);
        check("Hi", None);
    }
}
