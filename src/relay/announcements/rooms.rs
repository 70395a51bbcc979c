//! Announcements of rooms: memberships on extended links, and the users that stand for rooms on
//! links to CRC clients and plain neighbours.

use super::Announcements;
use super::pacing::Clock;
use crate::id::HostId;
use crate::link::{LinkId, Time};
use crate::relay::extension::Frame;
use crate::relay::message::{HostKind, Message, Registration};
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::plain;
use crate::relay::send::send_extension;
use crate::relay::topology::Topology;
use crate::room::RoomName;

/// Description with which a room is shown as a user.
const SHOWN_INFO: &[u8] = b"room";

impl Announcements {
    /// Sends a frame about a membership or the profile of a user on the extended links on which the
    /// user has been announced. On the others, all that there is comes with its registration.
    pub(in crate::relay) fn announce_user_fact(
        &mut self,
        topology: &Topology,
        (user, from): (HostId, Option<LinkId>),
        frame: &Frame<'_>,
        out: &mut impl Outbox,
    ) {
        let Some(host) = topology.hosts().get(user) else { return };
        for &link in self.servers.iter().filter(|&&link| Some(link) != from) {
            let state = topology.link(link);
            if state.is_extended() && self.is_announced(topology, state, host) {
                send_extension(topology, link, frame, out);
            }
        }
    }

    /// Sends the topic of a room on all extended links but the one from which it is known.
    pub(in crate::relay) fn announce_topic(
        &self,
        topology: &Topology,
        from: Option<LinkId>,
        frame: &Frame<'_>,
        out: &mut impl Outbox,
    ) {
        for &link in self.servers.iter().filter(|&&link| Some(link) != from) {
            if topology.link(link).is_extended() {
                send_extension(topology, link, frame, out);
            }
        }
    }

    /// Returns whether rooms are shown as users on a link.
    pub(in crate::relay) fn shows_rooms(&self, topology: &Topology, link: LinkId) -> bool {
        let cursor = self.cursor(link);
        cursor.audience.is_some() && !cursor.has_room_events && !topology.link(link).is_extended()
    }

    /// Shows a room as a user, under the name by which it was joined first, on all links on which
    /// rooms are.
    pub(in crate::relay) fn show_room(
        &mut self,
        topology: &Topology,
        id: HostId,
        now: Time,
        out: &mut impl Outbox,
    ) {
        let Some(room) = topology.rooms().shown_under(id) else { return };
        for i in 0..self.servers.len() + self.users.len() {
            let link = self.presence_link(i);
            if self.shows_rooms(topology, link) {
                self.send_room(topology, link, (id, room.name()), now, out);
            }
        }
    }

    /// Shows the rooms that others are shown on a link that has just registered.
    pub(in crate::relay) fn show_rooms(
        &mut self,
        topology: &Topology,
        link: LinkId,
        now: Time,
        out: &mut impl Outbox,
    ) {
        if !self.shows_rooms(topology, link) {
            return;
        }
        for room in topology.rooms().iter() {
            if let Some(id) = room.shown_as() {
                self.send_room(topology, link, (id, room.name()), now, out);
            }
        }
    }

    fn send_room(
        &mut self,
        topology: &Topology,
        link: LinkId,
        (source, name): (HostId, RoomName<'_>),
        now: Time,
        out: &mut impl Outbox,
    ) {
        let (kind, last_hop, info) = (HostKind::User, topology.own_id(), SHOWN_INFO);
        let name = name.as_bytes();
        let registration = Registration { kind, source, last_hop, name, info };
        if topology.link(link).is_user() {
            return out.notify(link, topology.view(), &Notice::Joined(registration));
        }
        let quit = self.cursor_mut(link).pace.as_mut().and_then(|pace| pace.take_quit(source));
        if let Some(quit) = quit {
            self.send_frame_now(topology, link, &quit, now, out);
        }
        let (name, info) = plain::name_and_info(&registration);
        self.count(link, super::registration_bytes(&name, &info), now, out);
        out.deliver(
            link,
            &Message::Registration(Registration { name: &name, info: &info, ..registration }),
        );
    }

    /// Lets a room that was shown as a user quit on all links on which it was.
    pub(in crate::relay) fn hide_room(
        &mut self,
        topology: &Topology,
        id: HostId,
        clock: &mut Clock<'_>,
        out: &mut impl Outbox,
    ) {
        for i in 0..self.servers.len() + self.users.len() {
            let link = self.presence_link(i);
            if self.shows_rooms(topology, link) {
                self.send_quit(topology, link, (id, b""), clock, out);
            }
        }
    }
}
