//! The CRC door (contract section 2). The relay's messages are modelled on this wire, so there is
//! little beside the codec: a session would have nothing to remember.

pub mod codec;

use crate::id::{HostId, WideId};
use crate::link::SendQueue;
use crate::relay::encode_mail_text;
use crate::relay::message::{Message, StatusCode};

/// Hands over what was said to a CRC client while it was away: a chat, or, if the sender's number is
/// none that a chat can be from, a status that names it.
pub(super) fn deliver_mail(
    sender: WideId,
    destination: HostId,
    text: &[u8],
    queue: &mut SendQueue,
) {
    match u32::try_from(sender.0).map(HostId) {
        Ok(source) => {
            codec::encode(&Message::Chat { source, destination, text }, queue.tail());
        }
        Err(_) => {
            let text = encode_mail_text(sender, text);
            let (source, destination) = (HostId::NONE, HostId::NONE);
            let status =
                Message::Status { source, destination, code: StatusCode::MAIL, text: &text };
            codec::encode(&status, queue.tail());
        }
    }
}
