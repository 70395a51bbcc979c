//! The rooms of the users of other servers, as they arrive over extended links.

use super::Peering;
use crate::limits::{ROOM_SYNC_INTERVAL, ROOM_SYNC_WORK_PER_TURN, ROOMS_PER_USER_MAX};
use crate::link::LinkId;
use crate::relay::cx::RelayCx;
use crate::relay::extension::Frame;
use crate::relay::outbox::Outbox;
use crate::relay::timers::{Timer, Timers};
use crate::relay::topology::{ServerKey, Topology};

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
    let is_complete = matches!(frame, Frame::Rooms { is_complete: true, .. });
    if !is_complete && cx.topology.end_stale_rooms(user) {
        cx.announce_room_changes();
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
        cx.out.rooms_changed();
        cx.announce_membership(user, Some(link), frame);
        cx.announce_room_changes();
    }
}

impl Peering {
    /// Lets the users leave all rooms whose home has sent all its users and has not confirmed that
    /// they are in any: the first ones now, and the others in portions.
    pub(super) fn end_rooms_sync<O: Outbox>(&mut self, server: ServerKey, cx: &mut RelayCx<'_, O>) {
        cx.topology.end_rooms_sync(server);
        if self.rooms_sync_due.is_none() {
            self.on_rooms_sync_due(cx);
        }
    }

    /// Lets the next users leave rooms in which their home has not confirmed them.
    pub(in crate::relay) fn on_rooms_sync_due<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        let link_count = cx.announcements.servers().count();
        let has_more = cx.topology.continue_rooms_sync(ROOM_SYNC_WORK_PER_TURN, link_count);
        cx.announce_room_changes();
        self.rooms_sync_due = has_more.then_some(cx.now + ROOM_SYNC_INTERVAL);
        if let Some(due) = self.rooms_sync_due {
            cx.timers.insert(due, Timer::RoomsSync);
        }
    }

    /// Checks that users who are to leave rooms have a timer. Returns the number of timers.
    ///
    /// # Panics
    /// If they have none.
    pub(super) fn check_rooms_sync(&self, topology: &Topology, timers: &Timers) -> usize {
        let due: Vec<_> = self.rooms_sync_due.into_iter().collect();
        assert_eq!(timers.times_of(Timer::RoomsSync), due, "the timer of users who leave rooms");
        assert!(!topology.has_rooms_sync() || !due.is_empty(), "users leave rooms at some time");
        due.len()
    }
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::limits::ROOM_SYNC_WORK_PER_TURN;
    use crate::relay::extension::{Digest, Frame, RoomNames};
    use crate::relay::recorder::Bench;
    use crate::room::RoomName;
    use std::time::Duration;

    const HOME: HostId = HostId(2);

    fn name(text: &str) -> RoomName<'_> {
        RoomName::parse(text.as_bytes()).expect("a name")
    }

    /// Receives a frame that a user is in a room: in that alone, or in that as well.
    fn receive_rooms(bench: &mut Bench, user: u32, room: &str, is_complete: bool) {
        let mut names = Vec::new();
        RoomNames::push(name(room), &mut names);
        let names = RoomNames::parse(&names).expect("names");
        bench.receive_extension(2, 2, &Frame::Rooms { user: HostId(user), is_complete, names });
    }

    fn member_count(bench: &Bench, room: &str) -> usize {
        bench.relay.topology.rooms().find(name(room)).map_or(0, |room| room.len())
    }

    /// Server 2 with users from 1001 on, all of them in `#lab`, which sends all its users again,
    /// and that the last one is in `#lab`.
    fn bench_after_sync(users: u32) -> Bench {
        let mut bench = Bench::new();
        bench.join_extended(2, 2);
        bench.join_extended(3, 3);
        for user in 1001..=1000 + users {
            bench.learn_user((2, 2), (2, user.into()), user);
            receive_rooms(&mut bench, user, "#lab", true);
        }
        bench.receive_extension(2, 2, &Frame::SyncBegin { home: HOME });
        for user in 1001..=1000 + users {
            bench.learn_user((2, 2), (2, user.into()), user);
        }
        receive_rooms(&mut bench, 1000 + users, "#lab", true);
        let digest = Digest::default();
        bench.out.take();
        bench.receive_extension(2, 2, &Frame::SyncEnd { home: HOME, users, digest });
        bench
    }

    /// Returns the number of frames on link 3 that users are in other rooms.
    fn announced_count(bench: &mut Bench) -> usize {
        let sent = bench.out.take();
        sent.iter().filter(|line| *line == "3: ROOMS from 1").count()
    }

    #[test]
    fn users_of_whom_no_rooms_have_come_leave_them_in_portions() {
        let users = u32::try_from(ROOM_SYNC_WORK_PER_TURN / 2).expect("a small number");
        let mut bench = bench_after_sync(users);
        let first_count = announced_count(&mut bench);
        assert!(first_count > 0 && first_count < ROOM_SYNC_WORK_PER_TURN / 3, "{first_count}");
        assert_eq!(member_count(&bench, "#lab"), users as usize - first_count);
        bench.wait(Duration::from_secs(1));
        assert_eq!(member_count(&bench, "#lab"), 1);
        assert_eq!(announced_count(&mut bench), users as usize - 1 - first_count);
    }

    #[test]
    fn user_whose_rooms_change_before_its_turn_is_in_no_others() {
        let users = u32::try_from(ROOM_SYNC_WORK_PER_TURN / 2).expect("a small number");
        let mut bench = bench_after_sync(users);
        bench.out.take();
        receive_rooms(&mut bench, 1001, "#dev", false);
        assert_eq!(announced_count(&mut bench), 2, "in no room, and then in one");
        let rooms = bench.relay.topology.rooms();
        assert!(!rooms.is_member(HostId(1001), name("#lab")));
        bench.wait(Duration::from_secs(1));
        assert_eq!((member_count(&bench, "#lab"), member_count(&bench, "#dev")), (1, 1));
    }

    #[test]
    fn users_stay_in_their_rooms_if_the_next_synchronization_confirms_them() {
        let users = u32::try_from(ROOM_SYNC_WORK_PER_TURN / 2).expect("a small number");
        let mut bench = bench_after_sync(users);
        bench.receive_extension(2, 2, &Frame::SyncBegin { home: HOME });
        bench.wait(Duration::from_secs(1));
        let count = member_count(&bench, "#lab");
        assert!(count > 1, "who has not had its turn waits for the end of this one");
        bench.learn_user((2, 2), (2, 1001), 1001);
        receive_rooms(&mut bench, 1001, "#lab", true);
        let digest = Digest::default();
        bench.receive_extension(2, 2, &Frame::SyncEnd { home: HOME, users: 1, digest });
        bench.wait(Duration::from_secs(1));
        assert_eq!(member_count(&bench, "#lab"), 1);
    }
}
