//! Sends messages in the form that the other end of a link takes: frames to servers, notices to
//! clients.

use super::extension::{Frame, RoomNames};
use super::message::Message;
use super::notice::Notice;
use super::outbox::Outbox;
use super::profile::Profile;
use super::topology::{Host, Topology};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};

/// Sends an answer to `destination` over `link`: a notice to a client there, a status to a server.
pub(super) fn send_answer(
    topology: &Topology,
    link: LinkId,
    destination: HostId,
    notice: &Notice<'_>,
    out: &mut impl Outbox,
) {
    let source = topology.own_id();
    if !topology.link(link).is_server() {
        out.notify(link, topology.view(), notice);
    } else if let Some((code, text)) = notice.status() {
        out.deliver(link, &Message::Status { source, destination, code, text: &text });
    }
}

/// Sends a frame of the extension over `link`.
pub(super) fn send_extension(
    topology: &Topology,
    link: LinkId,
    frame: &Frame<'_>,
    out: &mut impl Outbox,
) {
    let mut text = Vec::new();
    frame.encode_payload(&mut text);
    let (source, destination) = (topology.own_id(), HostId::EXTENSION);
    out.deliver(link, &Message::Status { source, destination, code: frame.code(), text: &text });
}

/// Sends the registration of a known host over `link`.
pub(super) fn send_registration(
    topology: &Topology,
    link: LinkId,
    host: &Host,
    out: &mut impl Outbox,
) {
    let registration = host.registration(topology.own_id());
    if topology.link(link).is_server() {
        if topology.link(link).is_extended() {
            let home = topology.home_id(host);
            let stamps = [host.stamp()];
            let stamps = stamps.as_slice().into();
            send_extension(topology, link, &Frame::Users { home, stamps }, out);
            send_profile(topology, link, host.id, out);
        }
        out.deliver(link, &Message::Registration(registration));
        if topology.link(link).is_extended() && topology.rooms().of(host.id).len() > 0 {
            send_rooms(topology, link, host.id, out);
        }
    } else {
        out.notify(link, topology.view(), &Notice::Joined(registration));
    }
}

/// Sends what a user says of itself over an extended link, before its registration.
fn send_profile(topology: &Topology, link: LinkId, user: HostId, out: &mut impl Outbox) {
    let profile = topology.hosts().profile(user);
    if profile != Profile::default() {
        let frame = Frame::Profile { user, precedes_registration: true, profile };
        send_extension(topology, link, &frame, out);
    }
}

/// Sends all rooms of a user over an extended link.
fn send_rooms(topology: &Topology, link: LinkId, user: HostId, out: &mut impl Outbox) {
    let mut names = Vec::new();
    for room in topology.rooms().of(user) {
        RoomNames::push(room.name(), &mut names);
    }
    let names = RoomNames::parse(&names).expect("the names of rooms");
    send_extension(topology, link, &Frame::Rooms { user, is_complete: true, names }, out);
}

/// Sends the quit of a host over `link`.
pub(super) fn send_quit(
    topology: &Topology,
    link: LinkId,
    source: HostId,
    text: &[u8],
    out: &mut impl Outbox,
) {
    if topology.link(link).is_server() {
        out.deliver(link, &Message::ClientQuit { source, text });
    } else {
        out.notify(link, topology.view(), &Notice::Quit { source, text });
    }
}

/// Sends a chat over `link`.
pub(super) fn send_chat(
    topology: &Topology,
    link: LinkId,
    source: HostId,
    destination: HostId,
    text: &[u8],
    out: &mut impl Outbox,
) {
    if topology.link(link).is_server() {
        out.deliver(link, &Message::Chat { source, destination, text });
    } else {
        out.notify(link, topology.view(), &Notice::Chat { source, destination, text });
    }
}

/// Sends the status which shows that this server reads frames that are cut.
pub(super) fn send_reads_cut_frames(topology: &Topology, link: LinkId, out: &mut impl Outbox) {
    send_extension(topology, link, &Frame::ReadsCutFrames(b"reads cut frames"), out);
}

/// Drops a frame whose source is not behind its link. Closes a client that has sent too many.
pub(super) fn drop_false_source(
    topology: &mut Topology,
    link: LinkId,
    source: HostId,
    out: &mut impl Outbox,
) {
    let found = topology.count_false_source(link);
    if found.is_first {
        log::warn!(
            "link {link}: dropped a frame with source {source}, which is not behind this link; \
             further ones are only counted"
        );
    }
    if found.must_close {
        out.close(link, CloseReason::FalseSources);
    }
}
