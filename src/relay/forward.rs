//! Statuses and mail on their way to a host, in the form that the next link takes.

use std::borrow::Cow;

use super::cx::RelayCx;
use super::mail_text::MailText;
use super::message::StatusCode;
use super::notice::{Notice, is_irc_info};
use super::outbox::Outbox;
use super::plain;
use crate::id::HostId;
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
    let mail = MailText::parse(text).filter(|_| is_mail);
    if !cx.topology.link(next_hop).is_user() {
        let is_dated = mail.is_some_and(|mail| mail.is_dated());
        match mail {
            Some(mail) if is_dated => {
                let sender = u32::try_from(mail.sender.0).ok().map(HostId);
                send_mail(next_hop, (source, destination), (&mail, sender), cx);
            }
            Some(mail) => send_mail_status(next_hop, (source, destination), &mail, cx),
            None => cx.send_status(next_hop, (source, destination), code, text),
        }
    } else if let Some(mail) = mail {
        deliver_mail(next_hop, destination, mail, cx);
    } else {
        cx.out.notify(next_hop, cx.topology.view(), &Notice::Status { source, code, text });
    }
}

/// Sends a message that was kept for a user, as a notice to an adjacent user. `sender_host` is the
/// sender if it is online. Returns the link over which the message goes, or `None` if the user
/// cannot be reached.
pub(super) fn forward_mail<O: Outbox>(
    (mail, sender_host): (&MailText<'_>, Option<HostId>),
    destination: HostId,
    cx: &mut RelayCx<'_, O>,
) -> Option<LinkId> {
    let link = cx.topology.next_hop(cx.topology.hosts().get(destination)?)?;
    if cx.topology.link(link).is_user() {
        deliver_mail(link, destination, *mail, cx);
    } else {
        send_mail(link, (cx.topology.own_id(), destination), (mail, sender_host), cx);
    }
    Some(link)
}

/// Sends mail over a link to a server.
///
/// A user of the IRC wire is shown when a message was sent, which a status alone can carry, and
/// only a server that speaks the extension reads. Otherwise the message is a chat if the sender,
/// `sender_host`, is online and not behind that link, and a status of the server that kept it if
/// not: in CRC, a user that has left cannot be the source of a chat.
fn send_mail<O: Outbox>(
    link: LinkId,
    ids: (HostId, HostId),
    (mail, sender_host): (&MailText<'_>, Option<HostId>),
    cx: &mut RelayCx<'_, O>,
) {
    let (_, destination) = ids;
    let addressee = cx.topology.hosts().get(destination);
    let shows_time = addressee.is_some_and(|host| is_irc_info(host.info()));
    if mail.is_dated() && shows_time && cx.topology.link(link).is_extended() {
        return cx.send_status(link, ids, StatusCode::MAIL, &mail.encode_dated());
    }
    // A lost sender may be unknown to a server that joined since, which would drop the chat.
    let is_on_this_side = |source| {
        let host = cx.topology.hosts().get(source)?;
        Some(cx.topology.next_hop(host)? != link)
    };
    let Some(source) = sender_host.filter(|&source| is_on_this_side(source) == Some(true)) else {
        return send_mail_status(link, ids, mail, cx);
    };
    cx.introduce(source, link);
    for piece in mail_pieces(link, mail.text, cx) {
        cx.send_paced_chat(link, (source, destination), &piece);
    }
}

/// Sends mail over a link to a server, as statuses that name its sender alone.
fn send_mail_status<O: Outbox>(
    link: LinkId,
    ids: (HostId, HostId),
    mail: &MailText<'_>,
    cx: &mut RelayCx<'_, O>,
) {
    for piece in mail_pieces(link, mail.text, cx) {
        let text = MailText { text: &piece, ..*mail }.encode();
        cx.send_status(link, ids, StatusCode::MAIL, &text);
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
    destination: HostId,
    mail: MailText<'_>,
    cx: &mut RelayCx<'_, O>,
) {
    if let Ok(source) = u32::try_from(mail.sender.0) {
        cx.introduce(HostId(source), link);
    }
    cx.out.notify(link, cx.topology.view(), &Notice::Mail { destination, mail });
}
