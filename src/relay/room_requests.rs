//! Requests of users about rooms, and runs of messages to a room.

use super::cx::RelayCx;
use super::message::{HostKind, Message, Summary};
use super::profile::ProfileChange;
use super::router::{self, RoomRefusal};
use super::{Outbox, Relay};
use crate::id::HostId;
use crate::link::{LinkId, Time};

impl Relay {
    /// Lets the user at the other end of a link join a room.
    ///
    /// # Errors
    /// Why the user may not.
    pub fn join_room(
        &mut self,
        now: Time,
        link: LinkId,
        name: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), RoomRefusal> {
        self.request_of_user(now, link, out, |user, cx| router::join(user, name, cx))
    }

    /// Lets the user at the other end of a link leave a room, with a text for the others.
    ///
    /// # Errors
    /// The user is not in the room.
    pub fn part_room(
        &mut self,
        now: Time,
        link: LinkId,
        (name, text): (&[u8], &[u8]),
        out: &mut impl Outbox,
    ) -> Result<(), RoomRefusal> {
        self.request_of_user(now, link, out, |user, cx| router::part(user, name, text, cx))
    }

    /// Lets the user at the other end of a link set the topic of a room.
    ///
    /// # Errors
    /// Why the user may not.
    pub fn set_topic(
        &mut self,
        now: Time,
        link: LinkId,
        (name, text): (&[u8], &[u8]),
        out: &mut impl Outbox,
    ) -> Result<(), RoomRefusal> {
        self.request_of_user(now, link, out, |user, cx| router::set_topic(user, name, text, cx))
    }

    /// Changes what the user at the other end of a link says of itself.
    ///
    /// # Errors
    /// Why the user may not.
    pub fn change_profile(
        &mut self,
        now: Time,
        link: LinkId,
        change: &ProfileChange<'_>,
        out: &mut impl Outbox,
    ) -> Result<(), RoomRefusal> {
        self.request_of_user(now, link, out, |user, cx| router::change_profile(user, change, cx))
    }

    /// Sends messages of the user at the other end of a link to the other members of a room. The
    /// user is notified once of those that are refused for the same reason.
    ///
    pub fn chat_in_room(
        &mut self,
        now: Time,
        link: LinkId,
        (name, texts): (&[u8], &[&[u8]]),
        out: &mut impl Outbox,
    ) {
        let user = self.adjacent_user(link);
        let (peering, _, mut cx) = self.event(now, out);
        match user {
            Ok(user) => router::chat(user, name, texts, peering, &mut cx, |cx, refusal| {
                router::refuse(link, name, refusal, cx);
            }),
            Err(refusal) => router::refuse(link, name, &refusal, &mut cx),
        }
    }

    /// Returns whether a message that arrived over a link is one to a room, so that it may be
    /// handled by [`Relay::receive_room_run`] with those that continue it.
    #[must_use]
    pub fn begins_room_run(&self, link: LinkId, message: &Message<'_>) -> bool {
        router::begins_room_run(&self.topology, link, message)
            && !self.is_stopping
            && !self.peering.must_wait_for_end(link)
            && !self.peering.is_undecided(link)
    }

    /// Returns whether a message may be handled together with the first one of a run.
    #[must_use]
    pub fn continues_room_run(first: &Message<'_>, next: &Message<'_>) -> bool {
        router::continues_room_run(first, next)
    }

    /// Handles messages of which the first [begins a run](Self::begins_room_run) and the others
    /// [continue it](Self::continues_room_run).
    pub fn receive_room_run(
        &mut self,
        now: Time,
        link: LinkId,
        messages: &[Message<'_>],
        out: &mut impl Outbox,
    ) {
        for message in messages {
            log::debug!("link {link}: {}", Summary(message));
        }
        let (peering, router, mut cx) = self.event(now, out);
        router.handle_room_run(link, messages, peering, &mut cx);
    }

    /// Handles a request of the user at the other end of a link.
    fn request_of_user<O: Outbox>(
        &mut self,
        now: Time,
        link: LinkId,
        out: &mut O,
        handle: impl FnOnce(HostId, &mut RelayCx<'_, O>) -> Result<(), RoomRefusal>,
    ) -> Result<(), RoomRefusal> {
        let user = self.adjacent_user(link)?;
        let (_, _, mut cx) = self.event(now, out);
        handle(user, &mut cx)
    }

    /// Returns the registered user at the other end of a link; one that has none is in no room.
    fn adjacent_user(&self, link: LinkId) -> Result<HostId, RoomRefusal> {
        let host = self.topology.adjacent_host(link).filter(|_| !self.is_stopping);
        host.filter(|host| host.kind == HostKind::User)
            .map(|host| host.id)
            .ok_or(RoomRefusal::NotMember)
    }
}
