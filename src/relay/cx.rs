//! [`RelayCx`]: the state and the arguments that handling one event needs, apart from the part of
//! the relay that handles it.

use super::announcements::Announcements;
use super::announcements::pacing::{Clock, PacedFrame};
use super::extension::{Frame, RoomNames};
use super::message::{Message, Registration, StatusCode};
use super::notice::{Departure, Notice, ServerPair};
use super::outbox::Outbox;
use super::plain::{self, Unreadable};
use super::profile::Profile;
use super::send;
use super::timers::{Timer, Timers};
use super::topology::{Home, Refusal, Room, RoomChange, RoomEvent, Slot, Topology};
use crate::id::HostId;
use crate::limits::Limits;
use crate::link::{LinkId, Time};
use crate::room::RoomName;

/// The context of one event.
pub(super) struct RelayCx<'a, O> {
    pub(super) now: Time,
    pub(super) is_stopping: bool,
    pub(super) limits: &'a Limits,
    pub(super) topology: &'a mut Topology,
    pub(super) announcements: &'a mut Announcements,
    pub(super) timers: &'a mut Timers,
    pub(super) out: &'a mut O,
}

impl<O: Outbox> RelayCx<'_, O> {
    /// Adds a link that has just been opened, with the deadline for its registration.
    pub(super) fn add_link(&mut self, link: LinkId, is_uplink: bool) {
        let deadline = self.now + self.limits.register_deadline;
        self.timers.insert(deadline, Timer::RegisterDeadline(link));
        self.topology.add_link(link, is_uplink, deadline);
        self.announcements.add_link(link);
    }

    /// Adds a host whose id is not in the table and returns its slot.
    pub(super) fn add_host(
        &mut self,
        registration: &Registration<'_>,
        home: Home,
        stamp: u64,
    ) -> Slot {
        let room = self.hide_room(registration.source);
        let slot = self.topology.insert_host(registration, home, stamp);
        self.out.host_up(self.topology.hosts().host(slot));
        if let Some(name) = room.as_deref().and_then(|name| RoomName::parse(name).ok()) {
            self.show_room(name);
        }
        slot
    }

    /// Lets a room quit that is shown under the id of a host that joins. Returns its name.
    fn hide_room(&mut self, id: HostId) -> Option<Box<[u8]>> {
        let name = self.topology.hide_room(id)?;
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.hide_room(self.topology, id, &mut clock, self.out);
        Some(name)
    }

    /// Shows a room as a user to clients and plain neighbours, unless it is shown already.
    pub(super) fn show_room(&mut self, name: RoomName<'_>) {
        let is_shown = |room: &Room| room.shown_as().is_some();
        if !self.topology.rooms().find(name).is_some_and(is_shown)
            && let Some(id) = self.topology.show_room(name)
        {
            self.announcements.show_room(self.topology, id, self.now, self.out);
        }
    }

    /// Notifies members of the joins and leaves in their rooms, and announces that rooms have ended
    /// which were shown as users, and that users are in no room any more whose home has not said so
    /// with a frame of its own.
    pub(super) fn announce_room_changes(&mut self) {
        self.announce_room_changes_of_quit(b"", None);
    }

    /// Like [`RelayCx::announce_room_changes`], after a user has left the network with a text, and
    /// for a link that was lost.
    pub(super) fn announce_room_changes_of_quit(
        &mut self,
        quit_text: &[u8],
        split: Option<&ServerPair>,
    ) {
        for user in self.topology.take_users_without_rooms() {
            let names = RoomNames::default();
            self.announce_membership(user, None, &Frame::Rooms { user, is_complete: true, names });
        }
        for event in self.topology.take_room_events() {
            self.notify_listeners(&event, (quit_text, split));
        }
        for room in self.topology.take_revived_topics() {
            let room = RoomName::parse(&room).ok();
            if let Some(room) = room.filter(|&room| self.topology.rooms().find(room).is_some()) {
                self.announce_topic(room, None);
            }
        }
        let mut clock = Clock { now: self.now, timers: self.timers };
        for room in self.topology.take_ended_rooms() {
            self.announcements.hide_room(self.topology, room.shown_as, &mut clock, self.out);
        }
    }

    fn notify_listeners(
        &mut self,
        event: &RoomEvent,
        (quit_text, split): (&[u8], Option<&ServerPair>),
    ) {
        let (room, user, name) = (event.room(), event.user, &*event.name);
        let notice = match &event.change {
            RoomChange::Joined(joined_over) => {
                let joined_over = joined_over.as_deref();
                Notice::RoomJoined { room, user, name, joined_over }
            }
            RoomChange::Parted { text, quit_info } => {
                let info = quit_info.as_deref();
                let quit = info.map(|info| Departure { text: quit_text, info, split });
                Notice::RoomParted { room, user, name, text, quit }
            }
            RoomChange::Topic(text) => Notice::RoomTopic { room, user, name, text },
        };
        let listeners = self.topology.listeners_of(event);
        self.notify_users(listeners, &notice);
    }

    /// Notifies users of this server.
    pub(super) fn notify_users(
        &mut self,
        users: impl IntoIterator<Item = HostId>,
        notice: &Notice<'_>,
    ) {
        for user in users {
            let host = self.topology.hosts().get(user);
            if let Some(link) = host.and_then(|host| self.topology.next_hop(host)) {
                self.out.notify(link, self.topology.view(), notice);
            }
        }
    }

    /// Sets what a user says of itself, and notifies those who share rooms with it. Returns whether
    /// it was something else.
    pub(super) fn update_profile(&mut self, user: HostId, profile: Profile<'_>) -> bool {
        let earlier = self.topology.hosts().profile(user);
        let is_away_new = earlier.away != profile.away;
        let is_name_new = earlier.real_name != profile.real_name;
        if !self.topology.set_profile(user, profile) {
            return false;
        }
        let (away, real_name) = (profile.away, profile.real_name);
        let away = is_away_new.then_some(Notice::Away { user, text: away });
        let real_name = is_name_new.then_some(Notice::RealName { user, text: real_name });
        for notice in [away, real_name].into_iter().flatten() {
            let listeners = self.topology.listeners_beside(user);
            self.notify_users(listeners.into_iter().filter(|&it| it != user), &notice);
        }
        true
    }

    /// Announces a change of what a user says of itself, but not back over the link from which it
    /// is known.
    pub(super) fn announce_profile(&mut self, user: HostId, from: Option<LinkId>) {
        let profile = self.topology.hosts().profile(user);
        let frame = Frame::Profile { user, precedes_registration: false, profile };
        self.announcements.announce_user_fact(self.topology, (user, from), &frame, self.out);
    }

    /// Announces a change of the rooms of a user, but not back over the link from which it is
    /// known.
    pub(super) fn announce_membership(
        &mut self,
        user: HostId,
        from: Option<LinkId>,
        frame: &Frame<'_>,
    ) {
        self.announcements.announce_user_fact(self.topology, (user, from), frame, self.out);
    }

    /// Announces the topic of a room, but not back over the link from which it is known.
    pub(super) fn announce_topic(&mut self, room: RoomName<'_>, from: Option<LinkId>) {
        if let Some(topic) = self.topology.rooms().topics().get(room) {
            let frame = Frame::RoomTopic(topic.with_room(room));
            self.announcements.announce_topic(self.topology, from, &frame, self.out);
        }
    }

    /// Adds a host of this server, at the other end of `link` or behind the plain neighbour there.
    pub(super) fn add_own_host(&mut self, registration: &Registration<'_>, link: LinkId) -> Slot {
        let stamp = self.topology.next_stamp();
        self.add_host(registration, Home::Link(link.index), stamp)
    }

    /// Announces a host that has just been added.
    pub(super) fn announce(&mut self, slot: Slot) {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.announce(self.topology, slot, &mut clock, self.out);
    }

    /// Announces a lost host that rejoins over `link`, see [`Announcements::announce_return`].
    pub(super) fn announce_return(&mut self, id: HostId, link: LinkId) {
        let Some(host) = self.topology.hosts().get(id) else { return };
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.announce_return(self.topology, host, link, &mut clock, self.out);
    }

    /// Announces a host to a link if that is pending, before something from the host is sent.
    pub(super) fn introduce(&mut self, id: HostId, link: LinkId) {
        self.announcements.introduce(self.topology, id, link, self.now, self.out);
    }

    /// Starts the burst of a link that has registered.
    pub(super) fn begin_burst(&mut self, link: LinkId) {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.begin_burst(self.topology, link, &mut clock, self.out);
        self.announcements.show_rooms(self.topology, link, self.now, self.out);
    }

    /// Starts to announce on a link that has become an extended one.
    pub(super) fn begin_extended(&mut self, link: LinkId) {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.begin_extended(self.topology, link, &mut clock);
    }

    /// Announces the new stamp of a host.
    pub(super) fn reannounce(&mut self, id: HostId) {
        self.announcements.reannounce(self.topology, id, self.out);
    }

    /// Announces that a host has left, see [`Announcements::announce_quit`].
    pub(super) fn announce_quit(&mut self, id: HostId, text: &[u8]) {
        let Some(host) = self.topology.hosts().get(id) else { return };
        let mut clock = Clock { now: self.now, timers: self.timers };
        let (topology, is_stopping) = (&*self.topology, self.is_stopping);
        self.announcements.announce_quit(topology, host, text, is_stopping, &mut clock, self.out);
    }

    /// Announces that a server behind a plain neighbour has left, to those to which it was
    /// announced as a host of a home.
    pub(super) fn announce_server_quit(&mut self, id: HostId) {
        self.announcements.announce_server_quit(self.topology, id, self.out);
    }

    /// Sends the quit of a user over one link.
    pub(super) fn send_quit(&mut self, link: LinkId, id: HostId, text: &[u8]) {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.send_quit(self.topology, link, (id, text), &mut clock, self.out);
    }

    /// Continues with the next portion of announcements to a program that may read once.
    pub(super) fn on_pace_due(&mut self, link: LinkId) {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.on_pace_due(self.topology, link, &mut clock, self.out);
    }

    /// Records that the other end of a link reads frames that are cut. Returns whether it had not
    /// shown this before.
    pub(super) fn on_reads_cut_frames(&mut self, link: LinkId) -> bool {
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.on_reads_cut_frames(self.topology, link, &mut clock, self.out)
    }

    /// Sends a chat over a link.
    pub(super) fn send_chat(
        &mut self,
        link: LinkId,
        source: HostId,
        destination: HostId,
        text: &[u8],
    ) {
        if self.announcements.is_guarded(link) {
            if let Err(reason) = plain::check_chat(text) {
                return self.refuse_chat(source, destination, reason);
            }
            self.count(link, plain::chat_bytes(text));
        }
        send::send_chat(self.topology, link, source, destination, text, self.out);
    }

    /// Informs the sender of a chat that a plain neighbour does not read it.
    fn refuse_chat(&mut self, sender: HostId, destination: HostId, reason: Unreadable) {
        let host = self.topology.hosts().get(sender);
        let Some(link) = host.and_then(|host| self.topology.next_hop(host)) else {
            return self.topology.count_unanswered_chat();
        };
        self.topology.count_refusal(link, Refusal::Unreadable);
        let text = format!("Not delivered to ID {destination}: its server does not read {reason}");
        let (source, code) = (self.topology.own_id(), StatusCode::NOT_DELIVERED);
        self.send_answer(link, sender, &Notice::Status { source, code, text: text.as_bytes() });
    }

    /// Counts a frame that is sent without regard to the portion.
    fn count(&mut self, link: LinkId, frame_bytes: usize) {
        self.announcements.count(link, frame_bytes, self.now, self.out);
    }

    /// Sends a status over a link to a server. To a program that may read once, it may wait for a
    /// later portion.
    pub(super) fn send_status(
        &mut self,
        link: LinkId,
        (source, destination): (HostId, HostId),
        code: StatusCode,
        text: &[u8],
    ) {
        if !self.announcements.is_guarded(link) {
            return self.out.deliver(link, &Message::Status { source, destination, code, text });
        }
        let text = plain::status_text(text);
        let frame = PacedFrame::Status { source, destination, code, text };
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.send_frame(self.topology, link, frame, &mut clock, self.out);
    }

    /// Sends a chat over a link to a server. To a program that may read once, it may wait for a
    /// later portion: a message of a room comes once for each member, and mail in pieces.
    pub(super) fn send_paced_chat(
        &mut self,
        link: LinkId,
        (source, destination): (HostId, HostId),
        text: &[u8],
    ) {
        let frame = PacedFrame::Chat { source, destination, text: text.into() };
        let mut clock = Clock { now: self.now, timers: self.timers };
        self.announcements.send_frame(self.topology, link, frame, &mut clock, self.out);
    }

    /// Introduces this server to a plain neighbour.
    pub(super) fn send_introduction(&mut self, link: LinkId) {
        let clock = Clock { now: self.now, timers: self.timers };
        self.announcements.send_introduction(self.topology, link, &clock, self.out);
    }

    /// Returns whether a plain neighbour merely repeats what was announced to it on this link.
    pub(super) fn is_echo(&mut self, link: LinkId, registration: &Registration<'_>) -> bool {
        self.announcements.is_echo(self.topology, link, registration, self.now)
    }

    /// Sends an answer to `destination` over a link: a notice to a client there, a status to a
    /// server.
    pub(super) fn send_answer(&mut self, link: LinkId, destination: HostId, notice: &Notice<'_>) {
        let source = self.topology.own_id();
        if !self.topology.link(link).is_server() {
            self.out.notify(link, self.topology.view(), notice);
        } else if let Some((code, text)) = notice.status() {
            self.send_status(link, (source, destination), code, &text);
        }
    }

    /// Informs the sender of a chat that no host has the id `unknown`.
    pub(super) fn send_unknown_id(&mut self, link: LinkId, sender: HostId, unknown: HostId) {
        self.topology.count_refusal(link, Refusal::UnknownId);
        self.send_answer(link, sender, &Notice::UnknownId(unknown));
    }

    /// Drops a frame whose source is not behind its link.
    pub(super) fn drop_false_source(&mut self, link: LinkId, source: HostId) {
        send::drop_false_source(self.topology, link, source, self.out);
    }
}
