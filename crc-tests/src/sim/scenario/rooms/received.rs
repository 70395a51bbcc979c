//! What users receive about rooms.

use crc::id::HostId;
use crc::relay::message::{HostKind, Message, Registration};
use crc::wires::classic::codec::Name;
use crc::wires::direct::codec as direct;

use super::super::Predicate;
use super::super::seen::LIE_TEXT;
use super::super::users::{Broken, User};
use super::{Room, number_of, split_crc_text};

/// Description with which a server shows a room as a user.
const SHOWN_INFO: &[u8] = b"room";
/// End of the text of a room message of a liar on the CRC wire.
const LIE_END: &[u8] = b"> lie";

/// What a user has received about rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim::scenario) enum ReceivedInRoom {
    /// A message.
    Message {
        /// Its number.
        number: usize,
        /// The room, if the message names it or a room is shown under its source.
        room: Option<Room>,
        /// The name of the sender, or its id on the direct wire.
        sender: Vec<u8>,
        /// To whom it was sent.
        destination: u32,
    },
    /// What a liar says.
    Lie,
    /// The answer of a server to a command.
    Answer {
        /// The server.
        source: u32,
    },
}

impl ReceivedInRoom {
    /// Returns what a user on the classic wire has received, if it is for a room.
    pub(in crate::sim::scenario) fn on_classic(
        user: u32,
        destination: &[u8],
        source: Name,
        text: &[u8],
    ) -> Option<Self> {
        let room = Room::named(destination)?;
        if text == LIE_TEXT {
            return Some(Self::Lie);
        }
        let sender = source.unpadded().to_vec();
        Some(Self::Message {
            number: number_of(text)?,
            room: Some(room),
            sender,
            destination: user,
        })
    }
}

impl ReceivedInRoom {
    /// Returns what a user on the IRC wire has received, if it is a message.
    pub(in crate::sim::scenario) fn on_irc(
        user: u32,
        room: Option<Room>,
        nick: &str,
        text: &str,
    ) -> Option<Self> {
        let (number, sender) = (number_of(text.as_bytes())?, nick.as_bytes().to_vec());
        Some(Self::Message { number, room, sender, destination: user })
    }
}

fn is_shown_room(registration: &Registration<'_>) -> bool {
    registration.kind == HostKind::User
        && registration.info == SHOWN_INFO
        && Room::named(registration.name).is_some()
}

impl User {
    /// Handles a message about rooms. Returns whether it was one.
    pub(in crate::sim::scenario) fn receive_in_room(
        &mut self,
        message: &Message<'_>,
    ) -> Result<bool, Broken> {
        let view = |text: String| Err((Predicate::ClientView, text));
        match *message {
            Message::Registration(it) if is_shown_room(&it) => {
                let id = it.source.0;
                let is_again = self.rooms.insert(id, it.name.to_vec()).is_some();
                match is_again && !self.is_on_plain {
                    true => view(format!("the room under {id} was shown twice to {}", self.id)),
                    false => Ok(true),
                }
            }
            Message::ClientQuit { source: HostId(source), .. } => {
                Ok(self.rooms.remove(&source).is_some())
            }
            Message::Chat { text, .. } if text.starts_with(b"<") && text.ends_with(LIE_END) => {
                self.received_in_rooms.push(ReceivedInRoom::Lie);
                Ok(true)
            }
            Message::Chat { source: HostId(source), destination, text } => {
                let Some((sender, number)) = split_crc_text(text) else {
                    return Ok(self.receive_answer(source, text));
                };
                let name = self.rooms.get(&source);
                if name.is_none() && !self.is_on_plain {
                    let id = self.id;
                    return view(format!("a message from {source}, no room, was sent to {id}"));
                }
                let room = name.and_then(|name| Room::named(name));
                let (sender, destination) = (sender.to_vec(), destination.0);
                let message = ReceivedInRoom::Message { number, room, sender, destination };
                self.received_in_rooms.push(message);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Handles a chat that may be the answer of a server to a command. Returns whether it is.
    fn receive_answer(&mut self, source: u32, text: &[u8]) -> bool {
        let is_answer = ["names #", "#"].iter().any(|start| text.starts_with(start.as_bytes()));
        if is_answer {
            self.received_in_rooms.push(ReceivedInRoom::Answer { source });
        }
        is_answer
    }

    /// Handles a message of the direct wire that is one to a room. Returns whether it is.
    pub(in crate::sim::scenario) fn receive_direct_in_room(
        &mut self,
        message: &direct::Message,
    ) -> bool {
        let (room, number) =
            (Room::named(message.room.as_bytes()), number_of(message.msg.as_bytes()));
        if room.is_some() && message.msg.as_bytes() == LIE_TEXT {
            self.received_in_rooms.push(ReceivedInRoom::Lie);
            return true;
        }
        let (Some(_), Some(number)) = (room, number) else { return false };
        let sender = message.from.to_string().into_bytes();
        let destination = u32::try_from(message.to).unwrap_or(0);
        self.received_in_rooms.push(ReceivedInRoom::Message { number, room, sender, destination });
        true
    }
}
