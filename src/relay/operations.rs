//! What the operator sees and does: reports about links and servers, traces, kicks.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::admission::AdmittedBy;
use super::extension::{Epoch, TraceResult};
use super::message::HostKind;
use super::notice::Notice;
use super::outbox::Outbox;
use super::peering::{LoadReport, Purpose, TraceReport};
use super::timers::Timer;
use super::topology::{FirstLink, Host, MemberCursor, MemberHome, Refusals, Room};
use super::{Relay, send};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId, Time};
use crate::room::RoomName;

/// The reason for which [`Relay::kick`] failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KickError {
    /// No host has the id.
    UnknownId,
    /// The host is behind this adjacent server, or was lost with it.
    NotAdjacent(HostId),
}

impl fmt::Display for KickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownId => f.write_str("nobody has this id"),
            Self::NotAdjacent(via) => write!(
                f,
                "not connected to this server but behind server {via}: kick it at its own server"
            ),
        }
    }
}

/// What the relay knows of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// Both ends speak the extension between crc servers.
    pub is_extended: bool,
    /// The last round-trip time, on an extended link on which it was measured.
    pub round_trip: Option<Duration>,
    /// The address at which the neighbour on an extended link accepts servers.
    pub listen_address: Option<SocketAddr>,
    /// Why the server at the other end was admitted.
    pub admitted_by: Option<AdmittedBy>,
    /// What was refused of what arrived over the link.
    pub refusals: Refusals,
}

/// What the relay knows of another server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// The server.
    pub id: HostId,
    /// It is reached over extended links.
    pub is_extended: bool,
    /// The adjacent server on the path from there to this server; `None` if it is lost, or
    /// somewhere behind a plain neighbour.
    pub next: Option<HostId>,
    /// The server that it dialled; `None` if it has no parent, or this server cannot know. Of a
    /// server that is not reached over the parent of this server, `parent` and `next` are the same.
    pub parent: Option<HostId>,
    /// Number of links on the path; `None` like `next`.
    pub hops: Option<usize>,
    /// Its epoch, if it is reached over extended links.
    pub epoch: Option<Epoch>,
    /// Number of its users, and of the hosts behind its plain neighbours; `None` for a plain
    /// server.
    pub users: Option<u32>,
}

/// What the relay knows of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomReport<'a> {
    /// The room.
    pub name: RoomName<'a>,
    /// Number of members at this server and behind its plain neighbours.
    pub members_here: usize,
    /// Number of members at other servers.
    pub members_elsewhere: usize,
    /// The id under which CRC clients and plain neighbours know the room, if they do.
    pub shown_as: Option<HostId>,
}

/// The topic of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicReport<'a> {
    /// The topic, which is not empty.
    pub text: &'a [u8],
    /// The user who has set it, and may have left since.
    pub user: HostId,
    /// The name that this user had.
    pub name: &'a [u8],
    /// When it was set, since the Unix epoch, by the clock of the user's server.
    pub set_at: Duration,
}

fn report(room: &Room) -> RoomReport<'_> {
    let members_here = room.members_at(MemberHome::Own).len();
    let members_elsewhere = room.len() - members_here;
    let (name, shown_as) = (room.name(), room.shown_as());
    RoomReport { name, members_here, members_elsewhere, shown_as }
}

impl Relay {
    /// Iterates over the rooms of the network, in the order of their names.
    pub fn rooms(&self) -> impl Iterator<Item = RoomReport<'_>> {
        self.topology.rooms().iter().map(report)
    }

    /// Iterates over the rooms behind the one with the key `after`, in the order of their names.
    pub fn rooms_after(&self, after: Option<&[u8]>) -> impl Iterator<Item = RoomReport<'_>> {
        self.topology.rooms().iter_after(after).map(report)
    }

    /// Returns what is known of a room that somebody is in.
    #[must_use]
    pub fn find_room(&self, name: RoomName<'_>) -> Option<RoomReport<'_>> {
        self.topology.rooms().find(name).map(report)
    }

    /// Returns the topic of a room, if it has one.
    #[must_use]
    pub fn topic(&self, name: RoomName<'_>) -> Option<TopicReport<'_>> {
        self.topology.rooms().topics().get(name)?.report()
    }

    /// Iterates over the names of the rooms of a user, in the order of joining.
    pub fn rooms_of(&self, user: HostId) -> impl ExactSizeIterator<Item = RoomName<'_>> {
        self.topology.rooms().of(user).map(Room::name)
    }

    /// Returns whether a user is in a room.
    #[must_use]
    pub fn is_member(&self, user: HostId, name: RoomName<'_>) -> bool {
        self.topology.rooms().is_member(user, name)
    }

    /// Returns the number of adjacent servers.
    #[must_use]
    pub fn adjacent_server_count(&self) -> usize {
        self.announcements.servers().count()
    }

    /// Returns up to `count_max` further members of a room, and whether there are more.
    pub fn next_members(
        &self,
        name: RoomName<'_>,
        cursor: &mut MemberCursor,
        count_max: usize,
    ) -> (Vec<&Host>, bool) {
        let room = self.topology.rooms().find(name);
        let (ids, has_more) =
            room.map_or((Vec::new(), false), |room| room.next_members(cursor, count_max));
        let hosts = ids.into_iter().filter_map(|id| self.topology.hosts().get(id));
        (hosts.collect(), has_more)
    }

    /// Returns the number of hosts of this server: its users, and the hosts behind its plain
    /// neighbours.
    #[must_use]
    pub fn own_host_count(&self) -> u32 {
        self.topology.own_host_count()
    }

    /// Returns the highest number of hosts whose home was this server.
    #[must_use]
    pub fn own_host_count_max(&self) -> u32 {
        self.topology.own_host_count_max()
    }

    /// Returns the number of rooms.
    #[must_use]
    pub fn room_count(&self) -> usize {
        self.topology.rooms().len()
    }

    /// Returns the number of lost links whose users may come back.
    #[must_use]
    pub fn split_count(&self) -> usize {
        self.topology.split_count()
    }

    /// Gives a link that has not registered another deadline to do so.
    pub fn extend_deadline(&mut self, link: LinkId, deadline: Time) {
        if let Some(earlier) = self.topology.set_deadline(link, deadline) {
            let timer = Timer::RegisterDeadline(link);
            self.timers.remove(earlier, timer);
            self.timers.insert(deadline, timer);
        }
    }

    /// Returns whether this server has registered with a parent, or needs none.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        !self.peering.lacks_parent()
    }

    /// Iterates over the members of a room, in no particular order.
    pub fn room_members(&self, name: RoomName<'_>) -> impl Iterator<Item = &Host> {
        let room = self.topology.rooms().find(name);
        let members = room.into_iter().flat_map(|room| room.members());
        members.filter_map(|id| self.topology.hosts().get(id))
    }

    /// Returns what is known of a live link.
    #[must_use]
    pub fn link_report(&self, link: LinkId, out: &impl Outbox) -> Option<LinkReport> {
        let state = self.topology.find_link(link)?;
        Some(LinkReport {
            is_extended: state.is_extended(),
            round_trip: self.peering.round_trip(link),
            listen_address: self.peering.neighbour_address(link, out),
            admitted_by: state
                .host_id()
                .filter(|_| state.is_server())
                .and_then(|id| self.peering.admitted_by(link, id, out)),
            refusals: state.refusals(),
        })
    }

    /// Returns whether a host has registered over a link, whoever has its id now.
    #[must_use]
    pub fn is_registered(&self, link: LinkId) -> bool {
        self.topology.find_link(link).is_some_and(|state| state.host_id().is_some())
    }

    /// Returns what is known of another server, or `None` if a host is none.
    #[must_use]
    pub fn server_report(&self, host: &Host) -> Option<ServerReport> {
        if host.kind != HostKind::Server {
            return None;
        }
        let (id, topology) = (host.id, &self.topology);
        let key = topology.server_key(id);
        let path = match key {
            Some(_) => topology.routes().path(id),
            None if topology.is_adjacent(host) => vec![id],
            None => Vec::new(),
        };
        let next = match path.len() {
            0 => None,
            1 => Some(topology.own_id()),
            hops => Some(path[hops - 2]),
        };
        let is_behind_parent = match topology.first_link(host) {
            FirstLink::Link(link) => self.peering.is_uplink(link),
            FirstLink::Split(_) => true,
        };
        Some(ServerReport {
            id,
            is_extended: key.is_some(),
            next,
            parent: next.filter(|_| !is_behind_parent),
            hops: next.map(|_| path.len()),
            epoch: topology.routes().fact(id).map(|fact| fact.epoch),
            users: key.map(|key| topology.servers().hosts(key).count),
        })
    }

    /// Starts to trace the path to a host and returns the token for [`Relay::take_trace_report`].
    ///
    /// # Errors
    /// The result, if this server knows it without asking others.
    pub fn start_trace(
        &mut self,
        now: Time,
        target: HostId,
        out: &mut impl Outbox,
    ) -> Result<u64, TraceResult> {
        let (peering, _, mut cx) = self.event(now, out);
        peering.start_trace(target, Purpose::Report, &mut cx)
    }

    /// Removes and returns the report of a trace, if it is complete.
    pub fn take_trace_report(&mut self, token: u64) -> Option<TraceReport> {
        self.peering.take_trace_report(token)
    }

    /// Asks a server what its links carry, see [`Relay::take_load_report`]. Nothing comes of one
    /// that is not reached over crc servers alone.
    pub fn ask_loads(&mut self, now: Time, server: HostId, out: &mut impl Outbox) {
        let (peering, _, mut cx) = self.event(now, out);
        peering.ask_loads(server, &mut cx);
    }

    /// Returns whether a server that was asked has answered.
    #[must_use]
    pub fn has_load_reports(&self) -> bool {
        self.peering.has_load_reports()
    }

    /// Removes and returns the oldest answer of a server that was asked.
    pub fn take_load_report(&mut self) -> Option<LoadReport> {
        self.peering.take_load_report()
    }

    /// Closes the link of an adjacent host at the operator's request.
    ///
    /// # Errors
    /// See [`KickError`]; nothing has changed then.
    pub fn kick(
        &mut self,
        id: HostId,
        text: &[u8],
        out: &mut impl Outbox,
    ) -> Result<(), KickError> {
        let host = self.topology.hosts().get(id).ok_or(KickError::UnknownId)?;
        let next_hop = self.topology.next_hop(host).filter(|_| self.topology.is_adjacent(host));
        let Some(link) = next_hop else {
            return Err(KickError::NotAdjacent(self.topology.first_link_host(host)));
        };
        if host.kind == HostKind::User {
            send::send_answer(&self.topology, link, id, &Notice::Kicked { text }, out);
        }
        out.close(link, CloseReason::Kicked(text.to_vec()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
