//! The session of a CRC link. The relay's messages have the form of CRC frames, so it has no state.

use super::codec;
use crate::id::HostId;
use crate::limits::Limits;
use crate::link::SendQueue;
use crate::relay::message::{Message, StatusCode};
use crate::relay::notice::{Notice, RoomChats, RoomText};
use crate::relay::{Interests, MailText};
use crate::wires::{ChatHeader, Effect, Effects, NoticeCx, RoomFrames, SessionCx, Wire};

/// A CRC session.
#[derive(Clone, Debug)]
pub struct Session;

impl crate::wires::Session for Session {
    #[inline]
    fn wire(&self) -> Wire {
        Wire::CRC
    }

    fn clone_box(&self) -> Box<dyn crate::wires::Session> {
        Box::new(self.clone())
    }

    #[inline]
    fn frame_len(&self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, String> {
        codec::frame_len(bytes, limits.frame_bytes_max).map_err(|error| error.to_string())
    }

    fn on_frame<'a>(&mut self, frame: &'a [u8], _: &mut SessionCx<'_>, effects: &mut Effects<'a>) {
        effects.push(Effect::Relay(codec::parse_frame(frame)));
    }

    fn on_notice(&mut self, notice: &Notice<'_>, cx: &mut NoticeCx<'_>) {
        let out = cx.queue.tail();
        let (server, user) = (cx.view.server, HostId::NONE);
        match *notice {
            Notice::Chat { source, destination, text } => {
                codec::encode(&Message::Chat { source, destination, text }, out);
            }
            Notice::RoomChat { shown_as: source, name, destination, text, .. } => {
                let text = &room_text(name, text);
                codec::encode(&Message::Chat { source, destination, text }, out);
            }
            Notice::Mail { destination, ref mail } => encode_mail(destination, mail, out),
            Notice::Joined(registration) => {
                codec::encode(&Message::Registration(registration), out);
            }
            Notice::Quit { source, text } => {
                codec::encode(&Message::ClientQuit { source, text }, out);
            }
            Notice::Status { source, code, text } => {
                codec::encode(&Message::Status { source, destination: user, code, text }, out);
            }
            // Such a client sends commands, which the relay answers.
            Notice::RoomRefused { .. }
            | Notice::RoomJoined { .. }
            | Notice::RoomParted { .. }
            | Notice::NickChanged(_)
            | Notice::RoomTopic { .. }
            | Notice::RoomTags { .. }
            | Notice::Away { .. }
            | Notice::RealName { .. } => {}
            Notice::Welcome { .. }
            | Notice::IdTaken { .. }
            | Notice::UnknownId(_)
            | Notice::Kicked { .. }
            | Notice::MailKept
            | Notice::MailRefused { .. } => {
                if let Some((code, text)) = notice.status() {
                    let text = &text;
                    let status = Message::Status { source: server, destination: user, code, text };
                    codec::encode(&status, out);
                }
            }
        }
    }

    fn on_room_chats(
        &mut self,
        chats: &RoomChats<'_>,
        destination: HostId,
        encoded: &mut RoomFrames,
        cx: &mut NoticeCx<'_>,
    ) {
        let recipient = destination.0.to_be_bytes();
        encoded.append((Wire::CRC, 0), &recipient, cx.queue.tail(), |bytes, offsets| {
            for &RoomText { name, text, .. } in chats.texts {
                offsets.push(bytes.len() + codec::DESTINATION_OFFSET);
                let (source, text) = (chats.shown_as, &room_text(name, text));
                let chat = Message::Chat { source, destination: HostId::NONE, text };
                codec::encode(&chat, bytes);
            }
        });
    }

    fn interests(&self) -> Interests {
        Interests { users: true, ..Interests::default() }
    }

    fn on_message(&mut self, message: &Message<'_>, queue: &mut SendQueue) {
        codec::encode(message, queue.tail());
    }

    fn parse_message<'a>(&self, frame: &'a [u8]) -> Option<Message<'a>> {
        Some(codec::parse_frame(frame))
    }

    #[inline]
    fn peek_chat(&self, bytes: &[u8], limits: &Limits) -> Option<ChatHeader> {
        codec::peek_chat(bytes, limits.frame_bytes_max)
    }

    #[inline]
    fn measure_chat_run(&self, bytes: &[u8], first_len: usize, limits: &Limits) -> (usize, u64) {
        codec::measure_chat_run(bytes, first_len, limits.frame_bytes_max)
    }
}

/// Returns the text of a chat that stands for a message to a room.
fn room_text(name: &[u8], text: &[u8]) -> Vec<u8> {
    [b"<", name, b"> ", text].concat()
}

/// Appends mail as a chat, or as a status that names the sender if its id does not fit in 32 bits.
fn encode_mail(destination: HostId, mail: &MailText<'_>, out: &mut Vec<u8>) {
    if let Ok(source) = u32::try_from(mail.sender.0).map(HostId) {
        return codec::encode(&Message::Chat { source, destination, text: mail.text }, out);
    }
    let text = &mail.encode();
    let (source, destination) = (HostId::NONE, HostId::NONE);
    codec::encode(&Message::Status { source, destination, code: StatusCode::MAIL, text }, out);
}
