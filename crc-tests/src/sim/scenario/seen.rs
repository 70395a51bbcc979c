//! What the frames of a network have for the predicates about chats.

use crc::relay::message::{HostKind, Message, StatusCode};
use crc::wires::Wire;
use crc::wires::crc::codec;
use crc::wires::direct::codec as direct;

use super::direct::{echoed, refused};
use super::liar;
use super::users::parse_mail;
use crate::sim::observer::ObservedFrame;

/// [`liar::LIE_TEXT`] in bytes.
pub(super) const LIE_TEXT: &[u8] = liar::LIE_TEXT.as_bytes();

/// What a frame has for the predicates.
pub(super) enum Seen {
    /// A chat or mail.
    Chat(SeenChat),
    /// The answer that an id is unknown, or that its server does not read a chat.
    Answer,
    /// The echo behind a message of the direct wire, by the number of the message.
    Echo(usize),
    /// The answer that a message to an id is not kept.
    Refusal(u32),
    /// A registration or a quit of a user, which a liar has sent.
    Lie(u32),
    /// A quit of a user.
    Quit(u32),
}

/// A chat or mail.
pub(super) struct SeenChat {
    pub(super) source: u32,
    pub(super) destination: u32,
    pub(super) text: Vec<u8>,
}

impl Seen {
    /// Returns what a frame has for the predicates.
    pub(super) fn in_frame(frame: &ObservedFrame) -> Option<Self> {
        if frame.wire == Wire::DIRECT {
            let message = direct::parse_frame(&frame.bytes).ok()?;
            if let Some(at) = echoed(&message.msg) {
                return Some(Self::Echo(at));
            }
            if let Some(to) = refused(&message) {
                return Some(Self::Refusal(to));
            }
            let source = u32::try_from(message.from).unwrap_or(0);
            let destination = u32::try_from(message.to).unwrap_or(0);
            let text = message.msg.into_bytes();
            return Some(Self::Chat(SeenChat { source, destination, text }));
        }
        if frame.wire == Wire::CLASSIC || frame.wire == Wire::IRC {
            return None;
        }
        match codec::parse_frame(&frame.bytes) {
            Message::Chat { source, destination, text } => {
                let (source, destination, text) = (source.0, destination.0, text.to_vec());
                Some(Self::Chat(SeenChat { source, destination, text }))
            }
            Message::Status { destination, code: StatusCode::MAIL, text, .. } => {
                let (source, text) = parse_mail(text)?;
                let (destination, text) = (destination.0, text.to_vec());
                Some(Self::Chat(SeenChat { source, destination, text }))
            }
            Message::Status {
                code: StatusCode::UNKNOWN_ID | StatusCode::NOT_DELIVERED, ..
            } => Some(Self::Answer),
            Message::ClientQuit { source, text: LIE_TEXT } => Some(Self::Lie(source.0)),
            Message::ClientQuit { source, .. } => Some(Self::Quit(source.0)),
            Message::Registration(it) if it.kind == HostKind::User && it.name == LIE_TEXT => {
                Some(Self::Lie(it.source.0))
            }
            _ => None,
        }
    }
}
