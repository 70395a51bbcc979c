//! Statuses and mail on their way to a host, in the form that the next link takes.

use std::borrow::Cow;

use super::cx::RelayCx;
use super::mail_text::{encode_mail_text, parse_mail_text};
use super::message::StatusCode;
use super::notice::Notice;
use super::outbox::Outbox;
use super::plain;
use crate::id::{HostId, WideId};
use crate::link::LinkId;

/// Sends a status of a server on over the link towards its destination. A user is sent mail as a
/// message, and any other status without the destination.
///
/// A status counts as mail only from a server that speaks the extension: whatever is behind a plain
/// neighbour cannot make users say something.
pub(super) fn forward_status<O: Outbox>(
    next_hop: LinkId,
    (source, destination): (HostId, HostId),
    code: StatusCode,
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) {
    let is_mail = code == StatusCode::MAIL && cx.topology.server_key(source).is_some();
    let mail = parse_mail_text(text).filter(|_| is_mail);
    if !cx.topology.link(next_hop).is_user() {
        match mail {
            Some(mail) => send_mail_status(next_hop, (source, destination), mail, cx),
            None => cx.send_status(next_hop, (source, destination), code, text),
        }
    } else if let Some((sender, mail_text)) = mail {
        deliver_mail(next_hop, sender, destination, mail_text, cx);
    } else {
        cx.out.notify(next_hop, cx.topology.view(), &Notice::Status { source, code, text });
    }
}

/// Sends a message that was kept for a user, as a notice to an adjacent user. Returns the link over
/// which the message goes, or `None` if the user cannot be reached.
///
/// Over a link to a server, the message is a chat if the sender, `sender_host`, is online and not
/// behind that link. Otherwise it is a status of this server that names the sender: in CRC, a user
/// that has left cannot be the source of a chat.
pub(super) fn forward_mail<O: Outbox>(
    sender: WideId,
    sender_host: Option<HostId>,
    destination: HostId,
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) -> Option<LinkId> {
    let link = cx.topology.next_hop(cx.topology.hosts().get(destination)?)?;
    if cx.topology.link(link).is_user() {
        deliver_mail(link, sender, destination, text, cx);
        return Some(link);
    }
    // A lost sender may be unknown to a server that joined since, which would drop the chat.
    let is_on_this_side = |source| {
        let host = cx.topology.hosts().get(source)?;
        Some(cx.topology.next_hop(host)? != link)
    };
    let chat_source = sender_host.filter(|&source| is_on_this_side(source) == Some(true));
    if let Some(source) = chat_source {
        cx.introduce(source, link);
        for piece in mail_pieces(link, text, cx) {
            cx.send_paced_chat(link, (source, destination), &piece);
        }
    } else {
        send_mail_status(link, (cx.topology.own_id(), destination), (sender, text), cx);
    }
    Some(link)
}

/// Sends mail over a link to a server, as statuses that name its sender.
fn send_mail_status<O: Outbox>(
    link: LinkId,
    ids: (HostId, HostId),
    (sender, text): (WideId, &[u8]),
    cx: &mut RelayCx<'_, O>,
) {
    for piece in mail_pieces(link, text, cx) {
        cx.send_status(link, ids, StatusCode::MAIL, &encode_mail_text(sender, &piece));
    }
}

/// Returns the text of mail, in pieces if a plain server at the other end reads no longer ones.
fn mail_pieces<'a, O: Outbox>(
    link: LinkId,
    text: &'a [u8],
    cx: &RelayCx<'_, O>,
) -> Vec<Cow<'a, [u8]>> {
    if cx.announcements.is_guarded(link) {
        plain::mail_pieces(text).into_iter().map(Cow::Owned).collect()
    } else {
        vec![Cow::Borrowed(text)]
    }
}

/// Delivers mail to an adjacent user, after the registration of its sender if that is online.
fn deliver_mail<O: Outbox>(
    link: LinkId,
    sender: WideId,
    destination: HostId,
    text: &[u8],
    cx: &mut RelayCx<'_, O>,
) {
    if let Ok(source) = u32::try_from(sender.0) {
        cx.introduce(HostId(source), link);
    }
    cx.out.notify(link, cx.topology.view(), &Notice::Mail { sender, destination, text });
}
