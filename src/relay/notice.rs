//! Typed notices: what the relay delivers to links of users and to links that have not registered.
//!
//! A session turns a [`Notice`] into the frames of its wire. Links to servers get
//! [`Message`](super::message::Message)s instead; [`Notice::status`] is the one place that writes
//! the texts of this server's statuses, for both.

use std::borrow::Cow;

use super::mail_text::MailText;
use super::message::{HostKind, Registration, StatusCode};
use crate::id::{HostId, WideId};
use crate::limits::STATUS_UPDATE_BYTES_MAX;
use crate::printable::{Printable, truncated};
use crate::room::RoomName;

/// First byte of a text of a user of the IRC wire that is a notice: a message that no program
/// answers by itself. The frames of the network do not tell notices from other messages. The server
/// that delivers a message to a room removes the mark.
pub const NOTICE_MARK: u8 = 0x06;

/// What the info of a user of the IRC wire begins with.
const IRC_INFO_PREFIX: &[u8] = b"irc ";

/// Returns whether a user with this info is one of the IRC wire, on which a nick has one user.
#[must_use]
pub fn is_irc_info(info: &[u8]) -> bool {
    info.starts_with(IRC_INFO_PREFIX)
}

/// Returns a text without its [`NOTICE_MARK`], and whether it had one. Texts of users of other
/// wires, who have another info or none, are left as they are.
#[must_use]
pub fn split_notice_mark<'a>(text: &'a [u8], sender_info: &[u8]) -> (&'a [u8], bool) {
    match text.split_first() {
        Some((&NOTICE_MARK, rest)) if is_irc_info(sender_info) => (rest, true),
        _ => (text, false),
    }
}

/// Returns the text with which a user quits that registers again under another name at once.
#[must_use]
pub fn rename_text(new_name: &[u8]) -> String {
    format!("is known as {} from now on", String::from_utf8_lossy(new_name))
}

/// Returns whether a text is one of [`rename_text`].
#[must_use]
pub fn is_rename_text(text: &[u8]) -> bool {
    text.starts_with(b"is known as ") && text.ends_with(b" from now on")
}

/// Parses the id in the status text `Unknown ID X` of another server, whose statuses have the id
/// nowhere else; see `docs/PROTOCOL.md`, "The frames".
#[must_use]
pub fn parse_unknown_id(text: &[u8]) -> Option<HostId> {
    let id = text.strip_prefix(b"Unknown ID ")?;
    std::str::from_utf8(id).ok()?.parse().ok().map(HostId)
}

/// An event that a user, or a client that has not registered, is notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The registration was accepted.
    Welcome {
        /// Name under which the user is registered.
        name: &'a [u8],
    },
    /// The registration was refused, because the id is in use.
    IdTaken {
        /// Kind of host that asked for the id.
        kind: HostKind,
        /// The id in use.
        id: HostId,
    },
    /// A chat was dropped, because no reachable host has its destination.
    UnknownId(HostId),
    /// The operator closes this connection.
    Kicked {
        /// Reason given by the operator; may be empty.
        text: &'a [u8],
    },
    /// A user joined the network.
    Joined(Registration<'a>),
    /// A user left the network.
    Quit {
        /// The user that left.
        source: HostId,
        /// Reason, for people.
        text: &'a [u8],
    },
    /// A chat for this user.
    Chat {
        /// The sender.
        source: HostId,
        /// The recipient.
        destination: HostId,
        /// Text of the chat.
        text: &'a [u8],
    },
    /// A message to a room that this user is in.
    RoomChat {
        /// The room.
        room: RoomName<'a>,
        /// The id under which the room is shown as a user; [`HostId::NONE`] if it is not.
        shown_as: HostId,
        /// The sender.
        source: HostId,
        /// Name of the sender.
        name: &'a [u8],
        /// The recipient.
        destination: HostId,
        /// Text of the message.
        text: &'a [u8],
        /// Whether it is a notice, see [`NOTICE_MARK`].
        is_notice: bool,
        /// Tags of the client, see [`MarkedText`](super::marks::MarkedText).
        tags: &'a [u8],
    },
    /// Tags without a text to a room that this user is in.
    RoomTags {
        /// The room.
        room: RoomName<'a>,
        /// The sender.
        source: HostId,
        /// Tags of the client.
        tags: &'a [u8],
    },
    /// A user has joined a room that this user is in, or this user has.
    RoomJoined {
        /// The room.
        room: RoomName<'a>,
        /// The user who has joined.
        user: HostId,
        /// Name of that user.
        name: &'a [u8],
        /// The ends of a new link between servers, if the user was in the room behind it.
        joined_over: Option<&'a ServerPair>,
    },
    /// A user has left a room that this user is in, or this user has.
    RoomParted {
        /// The room.
        room: RoomName<'a>,
        /// The user who has left.
        user: HostId,
        /// Name of that user.
        name: &'a [u8],
        /// Text for the others; may be empty.
        text: &'a [u8],
        /// How the user has left the network, if it has.
        quit: Option<Departure<'a>>,
    },
    /// A user of the IRC wire who is in a room with this user has got its nick from another user of
    /// that wire, or has lost it to one. See [`Outbox::give_nick`](super::Outbox::give_nick).
    NickChanged(HostId),
    /// The topic of a room that this user is in has been set.
    RoomTopic {
        /// The room.
        room: RoomName<'a>,
        /// The user who has set it, and may have left since.
        user: HostId,
        /// Name of that user.
        name: &'a [u8],
        /// The topic; empty if the room has none any more.
        text: &'a [u8],
    },
    /// A user with whom this user shares a room is away, or is back.
    Away {
        /// The user.
        user: HostId,
        /// Text for others; empty if the user is back.
        text: &'a [u8],
    },
    /// A user with whom this user shares a room has another real name.
    RealName {
        /// The user.
        user: HostId,
        /// The real name; empty if it is again the one of the registration.
        text: &'a [u8],
    },
    /// A request about a room was refused.
    RoomRefused {
        /// The name of the room as it was given.
        room: &'a [u8],
        /// Reason, for people.
        reason: &'a str,
    },
    /// A message that was sent to this user while it was away.
    Mail {
        /// The recipient.
        destination: HostId,
        /// The message.
        mail: MailText<'a>,
    },
    /// A status from another server, passed on.
    Status {
        /// The server that sent the status.
        source: HostId,
        /// Code of the status.
        code: StatusCode,
        /// Text of the status.
        text: &'a [u8],
    },
    /// Mail from this user is stored. Issued by the node, never by the relay.
    MailKept,
    /// Mail from this user was refused. Issued by the node, never by the relay.
    MailRefused {
        /// The recipient of the refused message.
        to: WideId,
        /// Reason, for people.
        reason: &'a str,
    },
}

/// How a user who was in a room has left the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure<'a> {
    /// The text of its quit.
    pub text: &'a [u8],
    /// The description with which it had registered.
    pub info: &'a [u8],
    /// The ends of a link between servers that was lost, if the user leaves for that.
    pub split: Option<&'a ServerPair>,
}

/// Two adjacent servers, by their names: the link between them was lost, or is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerPair {
    /// The one on the side of this server.
    pub hub: Box<[u8]>,
    /// The one behind the link.
    pub leaf: Box<[u8]>,
}

/// Messages to one room, in the order in which each member gets them.
#[derive(Clone, Copy, Debug)]
pub struct RoomChats<'a> {
    /// The room.
    pub room: RoomName<'a>,
    /// The id under which the room is shown as a user; [`HostId::NONE`] if it is not.
    pub shown_as: HostId,
    /// The messages.
    pub texts: &'a [RoomText<'a>],
}

/// One of some messages to a room.
#[derive(Clone, Copy, Debug)]
pub struct RoomText<'a> {
    /// The sender.
    pub source: HostId,
    /// Name of the sender.
    pub name: &'a [u8],
    /// Text of the message.
    pub text: &'a [u8],
    /// Whether it is a notice, see [`NOTICE_MARK`].
    pub is_notice: bool,
    /// Tags of the client, see [`MarkedText`](super::marks::MarkedText).
    pub tags: &'a [u8],
}

impl RoomText<'_> {
    /// Returns whether there are tags and no text.
    #[must_use]
    pub fn is_tags_alone(&self) -> bool {
        self.text.is_empty() && !self.tags.is_empty()
    }
}

impl<'a> RoomChats<'a> {
    /// Returns the messages as notices for one member.
    pub fn notices(&self, destination: HostId) -> impl Iterator<Item = Notice<'a>> {
        let Self { room, shown_as, texts } = *self;
        texts.iter().map(move |&RoomText { source, name, text, is_notice, tags }| {
            Notice::RoomChat { room, shown_as, source, name, destination, text, is_notice, tags }
        })
    }
}

impl<'a> Notice<'a> {
    /// Returns the code and text of the CRC status that stands for this notice, or `None` for a
    /// notice that has a frame of its own or no form in CRC.
    #[must_use]
    pub fn status(&self) -> Option<(StatusCode, Cow<'a, [u8]>)> {
        let (code, text) = match *self {
            Notice::Welcome { name } => {
                let text = [b"Welcome to the Clemson Relay Chat network ", name].concat();
                (StatusCode::WELCOME, text)
            }
            Notice::IdTaken { kind, id } => {
                let who = match kind {
                    HostKind::Server => "A machine",
                    HostKind::User => "Someone",
                };
                let text = format!("{who} has already registered with ID {id}");
                (StatusCode::ID_TAKEN, text.into_bytes())
            }
            Notice::UnknownId(id) => {
                (StatusCode::UNKNOWN_ID, format!("Unknown ID {id}").into_bytes())
            }
            Notice::Kicked { text: b"" } => (StatusCode::KICKED, b"kicked".to_vec()),
            Notice::Kicked { text } => {
                let text = Printable(truncated(text, STATUS_UPDATE_BYTES_MAX));
                (StatusCode::KICKED, format!("kicked: {text}").into_bytes())
            }
            Notice::Status { code, text, .. } => return Some((code, text.into())),
            Notice::Joined(_)
            | Notice::Quit { .. }
            | Notice::Chat { .. }
            | Notice::RoomChat { .. }
            | Notice::RoomJoined { .. }
            | Notice::RoomParted { .. }
            | Notice::NickChanged(_)
            | Notice::RoomTopic { .. }
            | Notice::RoomTags { .. }
            | Notice::Away { .. }
            | Notice::RealName { .. }
            | Notice::RoomRefused { .. }
            | Notice::Mail { .. }
            | Notice::MailKept
            | Notice::MailRefused { .. } => return None,
        };
        Some((code, text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_codes_and_texts_of_the_protocol() {
        let check = |notice: Notice<'_>, code: u16, text: &str| {
            let (found_code, found_text) = notice.status().expect("a status");
            assert_eq!((found_code.0, &*found_text), (code, text.as_bytes()));
        };
        let (server, user) = (HostKind::Server, HostKind::User);
        check(Notice::Welcome { name: b"sam" }, 0, "Welcome to the Clemson Relay Chat network sam");
        check(Notice::UnknownId(HostId(7)), 1, "Unknown ID 7");
        let taken = |kind| Notice::IdTaken { kind, id: HostId(7) };
        check(taken(server), 2, "A machine has already registered with ID 7");
        check(taken(user), 2, "Someone has already registered with ID 7");
        check(Notice::Kicked { text: b"" }, 3, "kicked");
        check(Notice::Kicked { text: b"too\nloud" }, 3, "kicked: too\\nloud");
        check(Notice::Status { source: HostId(2), code: StatusCode(9), text: b"hi" }, 9, "hi");
        assert_eq!(Notice::Quit { source: HostId(7), text: b"" }.status(), None);
    }
}
