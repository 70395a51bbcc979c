//! Mail on its way: what was said to a user while it was away, passed on once it can be reached.
//!
//! Towards another server it is a chat where that is true: the sender is online and on this side of
//! the link. Who has left can say nothing any more in plain CRC, so then it is a status of this
//! server to the addressee, which every server passes on: its text names the sender, and the
//! addressee's own server, if it knows the code, hands it over as what that one said.

use super::message::{Message, StatusCode};
use super::notice::Notice;
use super::{FirstLink, Outbox, Relay};
use crate::id::{HostId, WideId};
use crate::link::LinkId;
use crate::relay::link_state::Role;

/// How the text of a mail status begins, before the sender's number, a colon and a space.
const MAIL_TEXT_PREFIX: &str = "Mail from ";

impl Relay {
    /// Passes on what `sender` said to a user while it was away. `known_as` is the user who has the
    /// sender's number now. Answers over which link it goes, or `None` if the user is lost or gone.
    pub fn forward_mail(
        &mut self,
        sender: WideId,
        sender_host: Option<HostId>,
        destination: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) -> Option<LinkId> {
        let FirstLink::Link(link) = self.hosts.get(destination)?.first_link else {
            return None;
        };
        if let Role::User { .. } = self.link_state(link).role {
            self.deliver_local_mail(link, sender, destination, text, out);
            return Some(link);
        }
        // One who is lost may be nobody to a server that joined since, which would drop the chat.
        let is_on_this_side = |source| match self.hosts.get(source).map(|host| host.first_link) {
            Some(FirstLink::Link(other)) => other != link,
            Some(FirstLink::Split(_)) | None => false,
        };
        let chat_source = sender_host.filter(|&source| is_on_this_side(source));
        if let Some(source) = chat_source {
            self.introduce(source, link, out);
            self.send_chat(link, source, destination, text, out);
        } else {
            let text = encode_mail_text(sender, text);
            let (source, code) = (self.identity.id, StatusCode::MAIL);
            out.deliver(link, &Message::Status { source, destination, code, text: &text });
        }
        Some(link)
    }

    /// Hands mail to an adjacent user, after the registration of its sender if that one is there.
    pub(super) fn deliver_local_mail(
        &mut self,
        link: LinkId,
        sender: WideId,
        destination: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) {
        if let Ok(source) = u32::try_from(sender.0) {
            self.introduce(HostId(source), link, out);
        }
        out.notify(link, self.identity.id, &Notice::Mail { sender, destination, text });
    }
}

/// What somebody said as a text that names them, for where the words themselves cannot be from them.
#[must_use]
pub fn encode_mail_text(sender: WideId, text: &[u8]) -> Vec<u8> {
    [format!("{MAIL_TEXT_PREFIX}{sender}: ").as_bytes(), text].concat()
}

/// Who said what, in such a text.
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
