//! [`Outbox`]: the interface through which the relay acts on links.

use std::net::SocketAddr;
use std::time::Duration;

use smallvec::SmallVec;

use super::message::{HostKind, Message};
use super::notice::{Notice, RoomChats};
use super::profile::ProfileChange;
use super::topology::{Host, HostTable};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId, Origin, Time, Traffic};

/// A message that the other end of a link has not acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Unacknowledged<'a> {
    /// The message.
    pub message: Message<'a>,
    /// Position in the stream of the link at which its frame ends.
    pub end_position: u64,
    /// Whether the kernel has taken at least a part of the frame.
    pub was_sent: bool,
}

/// What the client of a link is sent beside what concerns itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interests {
    /// Registrations and quits of users, [`Notice::Joined`] and [`Notice::Quit`].
    pub users: bool,
    /// [`Notice::RoomJoined`], [`Notice::RoomParted`] and [`Notice::RoomTopic`] for the rooms that
    /// the client is in, and [`Notice::Away`] and [`Notice::RealName`] for the users there. A
    /// client without them is shown rooms as users.
    pub room_events: bool,
    /// Its frames may be cut anywhere. Otherwise it gets small writes until it shows that it reads
    /// such frames.
    pub reads_cut_frames: bool,
}

/// The network as this server knows it, for who encodes a notice.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The id of this server.
    pub server: HostId,
    /// The name of this server.
    pub name: &'a [u8],
    /// The other hosts.
    pub hosts: &'a HostTable,
}

/// A user of this server that has lost its id to another host.
#[derive(Clone, Debug)]
pub struct Displaced {
    /// The name of the user.
    pub name: Box<[u8]>,
    /// Its description.
    pub info: Box<[u8]>,
    /// The rooms that it is in.
    pub rooms: Vec<Box<[u8]>>,
    /// What it says of itself.
    pub profile: Vec<ProfileChange<'static>>,
}

/// Carries out the decisions of the relay. Delivering to a link that is about to close does
/// nothing.
pub trait Outbox {
    /// Puts a message into the send queue of a link to a server, or of one that dials a parent.
    fn deliver(&mut self, link: LinkId, message: &Message<'_>);
    /// Notifies a user, or a client that has not registered.
    fn notify(&mut self, link: LinkId, view: View<'_>, notice: &Notice<'_>);
    /// Notifies members of a room, each by its link and its id, of messages to the room.
    fn notify_members(
        &mut self,
        members: &mut dyn Iterator<Item = (LinkId, HostId)>,
        view: View<'_>,
        chats: &RoomChats<'_>,
    ) {
        for (link, destination) in members {
            for notice in chats.notices(destination) {
                self.notify(link, view, &notice);
            }
        }
    }
    /// Returns the time since the Unix epoch, as far as it is known.
    fn unix_time(&self) -> Duration;
    /// Returns the number of unsent bytes in the send queue of a link.
    fn unsent_bytes(&self, link: LinkId) -> usize;
    /// Returns what a link has carried in each direction.
    fn traffic(&self, link: LinkId) -> Traffic;
    /// Returns when bytes last arrived over a link.
    fn received_at(&self, link: LinkId) -> Time;
    /// Returns where the connection of a link comes from or leads to.
    fn origin(&self, link: LinkId) -> Origin;
    /// Returns whether the address at the other end of a link may have another host of this kind,
    /// or else the reason for which the link is to be closed.
    fn check_address(&mut self, link: LinkId, kind: HostKind) -> Result<(), CloseReason>;
    /// Records the kind of host that a link has registered as, which decides its limits. Returns
    /// what its client is sent.
    fn link_registered(&mut self, link: LinkId, kind: HostKind) -> Interests;
    /// Closes a link. [`Relay::closed`](super::Relay::closed) must be called for it afterwards.
    fn close(&mut self, link: LinkId, reason: CloseReason);
    /// Asks whether a user of this server, which loses its id to another host, takes another id. If
    /// it does, it is registered again once this event is handled.
    fn displace(&mut self, link: LinkId, user: Displaced) -> bool {
        let _ = (link, user);
        false
    }
    /// Keeps the bytes that are sent over a link from now on until they are acknowledged, and
    /// counts those that are handled.
    fn keep_unacknowledged(&mut self, link: LinkId);
    /// Returns how many bytes of whole frames that arrived over a link have been handled.
    fn handled_bytes(&self, link: LinkId) -> u64;
    /// Releases what was kept of a link up to this position of its stream.
    fn acknowledge(&mut self, link: LinkId, handled_bytes: u64);
    /// Has the input that is handled in this event acknowledged to the other end.
    fn acknowledge_input(&mut self, link: LinkId);
    /// Ends the output of a link: what is delivered to it from now on is not sent, and is among the
    /// frames of [`Outbox::take_unacknowledged`]. Returns the position of its stream behind the
    /// last frame that is sent.
    fn end_output(&mut self, link: LinkId) -> u64;
    /// Removes the frames that the other end of a link has not acknowledged, and calls `each` with
    /// their messages, oldest first. Those that a later event sends again by itself are left out.
    fn take_unacknowledged(&mut self, link: LinkId, each: &mut dyn FnMut(Unacknowledged<'_>));
    /// Stops to handle the input of a link, from the message that is handled now on. Returns false
    /// if that message is not input of the link.
    fn hold_back(&mut self, link: LinkId) -> bool;
    /// Returns whether the input of a link is held back.
    fn is_held_back(&self, link: LinkId) -> bool;
    /// Continues with the input of a link that was held back.
    fn release(&mut self, link: LinkId);
    /// Opens a link to a parent, by its index in the list of parents.
    fn dial(&mut self, parent: usize) -> LinkId;
    /// Opens a link to a server at an address, which is to become the parent.
    fn dial_address(&mut self, address: SocketAddr) -> LinkId;
    /// Returns whether something waits for hosts that cannot be reached: if not,
    /// [`Outbox::host_up`] is not called for hosts whose server is back.
    fn awaits_hosts(&self) -> bool;
    /// Records that a host can be reached: it joined, or rejoined after a split.
    fn host_up(&mut self, host: &Host);
    /// Records that a user of another server has joined or left rooms.
    fn rooms_changed(&mut self);
    /// Records that a host has left the table.
    fn host_down(&mut self, host: &Host);
    /// Returns the hosts whose name is this nick, in any case of ASCII letters. The first one is
    /// shown under it; [`HostId::NONE`] stands for one that has left. Empty while nobody is shown
    /// nicks.
    fn namesakes(&self, nick: &[u8]) -> SmallVec<[HostId; 2]> {
        let _ = nick;
        SmallVec::new()
    }
    /// Shows a host, one of its namesakes, under its nick. Who had that is shown otherwise.
    fn give_nick(&mut self, host: &Host) {
        let _ = host;
    }
}
