//! The rooms of the users of other servers, as they arrive over extended links.

use crate::limits::ROOMS_PER_USER_MAX;
use crate::link::LinkId;
use crate::relay::cx::RelayCx;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;

/// Handles a frame about the rooms of a user, and sends it on if it changes anything.
pub(super) fn learn<O: Outbox>(link: LinkId, frame: &Frame<'_>, cx: &mut RelayCx<'_, O>) {
    let (Frame::Rooms { user, .. } | Frame::RoomPart { user, .. }) = *frame else { return };
    let host = cx.topology.hosts().get(user);
    if host.is_none_or(|host| host.home().server().is_none()) {
        return; // its registration is on the way, and all its rooms follow that
    }
    if !cx.topology.is_home_over(user, link) {
        return cx.drop_false_source(link, user);
    }
    let changes = match *frame {
        Frame::Rooms { is_complete: true, names, .. } => {
            cx.topology.set_rooms(user, names.iter().take(ROOMS_PER_USER_MAX))
        }
        Frame::Rooms { names, .. } => {
            let mut changes = false;
            for name in names.iter() {
                let has_room = cx.topology.rooms().of(user).len() < ROOMS_PER_USER_MAX;
                changes |= has_room && cx.topology.join_room(user, name);
            }
            changes
        }
        Frame::RoomPart { name, text, .. } => cx.topology.leave_room(user, name, text),
        _ => false,
    };
    if changes {
        cx.announce_membership(user, Some(link), frame);
        cx.announce_room_changes();
    }
}
