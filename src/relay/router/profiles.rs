//! What users of this server say of themselves. See "Profiles" in `docs/PROTOCOL.md`.

use super::refusal::RoomRefusal;
use super::room_chats::count_message;
use crate::id::HostId;
use crate::relay::cx::RelayCx;
use crate::relay::outbox::Outbox;
use crate::relay::profile::ProfileChange;
use crate::room::RoomName;

/// Changes what a user of this server says of itself. A change counts like a message to each of its
/// rooms, since it is shown to their members.
///
/// # Errors
/// The user sends too much, or the table of hosts is full.
pub(in crate::relay) fn change_profile<O: Outbox>(
    user: HostId,
    change: &ProfileChange<'_>,
    cx: &mut RelayCx<'_, O>,
) -> Result<(), RoomRefusal> {
    let hosts = cx.topology.hosts();
    let earlier = hosts.profile(user);
    let profile = earlier.with_change(change);
    if profile == earlier {
        return Ok(());
    }
    if !hosts.has_room_for_profile(profile, cx.limits.host_table_bytes_max) {
        return Err(RoomRefusal::NetworkFull);
    }
    let profile = profile.to_buf();
    let rooms: Vec<Vec<u8>> =
        cx.topology.rooms().of(user).map(|room| room.name().as_bytes().to_vec()).collect();
    for room in &rooms {
        count_message(user, RoomName::parse(room)?, cx)?;
    }
    cx.update_profile(user, profile.as_profile());
    cx.announce_profile(user, None);
    Ok(())
}
