//! Users on the direct wire: they are assigned an id, ask for another, and what they send to absent
//! users is kept.
//!
//! Each message is followed by one to the server, which comes back: an echo. Everything that was
//! sent before it is then kept, forwarded or refused.

use crc::wires::direct::codec::{self as direct, Control, Message};

use super::Predicate;
use super::users::{Broken, ReceivedChat, Standing, User};

/// Start of the text of a message to the server, before the number of the message in front of it.
const ECHO_PREFIX: &str = "echo ";
/// Start of the text by which a server refuses to keep a message.
const REFUSAL_PREFIX: &str = "not kept for ";

/// Part of the text by which a server informs a user that another one has its id.
const TAKEN_TEXT: &str = " has already registered with ID ";

/// Returns the frame by which a user asks for an id.
pub(super) fn request_id(id: u32) -> Vec<u8> {
    let control = Some(Control::DesiredId(id.into()));
    let mut bytes = Vec::new();
    direct::encode(&Message { control, ..Message::default() }, &mut bytes);
    bytes
}

/// Returns the frames of message number `at`, and of the echo behind it.
pub(super) fn message(from: u32, to: u32, at: usize, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    direct::encode_plain(from.into(), to.into(), text, &mut bytes);
    direct::encode_plain(from.into(), 0, &format!("{ECHO_PREFIX}{at}"), &mut bytes);
    bytes
}

/// Returns the number of the message that an echo follows.
pub(super) fn echoed(text: &str) -> Option<usize> {
    text.strip_prefix(ECHO_PREFIX)?.parse().ok()
}

/// Returns the id in the answer that a message to it is not kept.
pub(super) fn refused(message: &Message) -> Option<u32> {
    let to = message.msg.strip_prefix(REFUSAL_PREFIX).filter(|_| message.from == 0)?;
    to.split(':').next()?.parse().ok()
}

impl User {
    /// Handles received bytes of the direct wire. Returns the chats among them.
    pub(super) fn receive_direct(&mut self, bytes: &[u8]) -> Result<Vec<ReceivedChat>, Broken> {
        let broken =
            |error: String| (Predicate::WholeFrames, format!("to direct {}: {error}", self.id));
        let (mut rest, mut frames) = (bytes, Vec::new());
        while let Some(len) =
            direct::frame_len(rest, usize::MAX).map_err(|error| broken(error.to_string()))?
            && let Some((frame, behind)) = rest.split_at_checked(len)
        {
            let frame = direct::parse_frame(frame).map_err(|error| broken(error.to_string()))?;
            frames.push(frame);
            rest = behind;
        }
        self.unread = rest.to_vec();
        Ok(frames.into_iter().filter_map(|frame| self.handle_direct(frame)).collect())
    }

    fn handle_direct(&mut self, message: Message) -> Option<ReceivedChat> {
        let is_from_server = message.from == 0 || message.to == 0;
        match message.control {
            Some(Control::Handshake(answer)) => {
                if self.standing == Standing::Registering {
                    self.id = u32::try_from(answer.id).unwrap_or(0);
                    self.name = answer.id.to_string();
                    self.standing = Standing::Online;
                }
                None
            }
            // The bare handshake with the assigned id, an echo, or a text of the server.
            _ if is_from_server => {
                if message.msg.contains(TAKEN_TEXT) && self.is_online() {
                    self.standing = Standing::Evicted;
                }
                None
            }
            _ if message.msg.is_empty() || self.receive_direct_in_room(&message) => None,
            _ => Some(ReceivedChat {
                source: u32::try_from(message.from).unwrap_or(0),
                destination: u32::try_from(message.to).unwrap_or(0),
                text: message.msg.into_bytes(),
                is_announced: true,
                sender_name: None,
            }),
        }
    }
}
