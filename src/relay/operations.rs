//! What the operator sees and does: reports about links and servers, traces, kicks.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::admission::AdmittedBy;
use super::extension::{Epoch, TraceResult};
use super::message::HostKind;
use super::notice::Notice;
use super::outbox::Outbox;
use super::peering::{Purpose, TraceReport};
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
mod tests {
    use super::*;
    use crate::limits::{Limits, PING_INTERVAL, TRACE_TIMEOUT};
    use crate::relay::extension::{Frame, Hop, Ping, Trace};
    use crate::relay::message::HostKind::{Server, User};
    use crate::relay::message::Message;
    use crate::relay::recorder::{Bench, link_id, registration};

    /// Server 2 on link 2, with server 3 behind it and server 4 behind that; user 101 on link 1.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.out.addresses.insert(link_id(2), "127.0.0.7:40000".parse().expect("an address"));
        bench.join(1, User, 101);
        bench.join_extended(2, 2);
        bench.learn_server(2, 2, 3, 2);
        bench.learn_server(2, 2, 4, 3);
        bench.out.take();
        bench
    }

    fn link_report(bench: &Bench, link: u32) -> LinkReport {
        bench.relay.link_report(link_id(link), &bench.out).expect("a link")
    }

    fn server_report(bench: &Bench, id: u32) -> ServerReport {
        let host = bench.relay.hosts().get(HostId(id)).expect("a host");
        bench.relay.server_report(host).expect("a server")
    }

    #[test]
    fn link_report_tells_extended_links_from_plain_ones() {
        let mut bench = bench();
        bench.join(5, Server, 5);
        assert!(link_report(&bench, 2).is_extended && !link_report(&bench, 5).is_extended);
        let address = "127.0.0.7:3600".parse().expect("an address");
        assert_eq!(link_report(&bench, 2).listen_address, Some(address));
        assert_eq!(link_report(&bench, 5).listen_address, None);
    }

    #[test]
    fn round_trip_is_the_time_from_ping_to_pong() {
        let mut bench = bench();
        bench.wait(PING_INTERVAL);
        assert_eq!(bench.out.take(), ["2: PING from 1"]);
        assert_eq!(link_report(&bench, 2).round_trip, None);
        bench.wait(Duration::from_millis(30));
        for token in [2, 1, 1] {
            let pong = Ping { token, handled_bytes: 0, digest: None };
            bench.receive_extension(2, 2, &Frame::Pong(pong));
            bench.now = bench.now + Duration::from_millis(1);
        }
        assert_eq!(link_report(&bench, 2).round_trip, Some(Duration::from_millis(31)));
    }

    #[test]
    fn busy_link_is_asked_once_and_a_silent_one_until_it_is_closed() {
        let mut bench = bench();
        for seconds in 1..=59 {
            bench.wait(Duration::from_secs(1));
            bench.out.received.insert(link_id(2), bench.now);
            if seconds == 6 {
                let pong = Ping { token: 1, handled_bytes: 0, digest: None };
                bench.receive_extension(2, 2, &Frame::Pong(pong));
            }
        }
        assert_eq!(bench.out.take(), ["2: PING from 1"]);
        let limits = Limits::default();
        bench.wait(limits.ping_timeout);
        let closed = "2: close: no answer for 15 s";
        assert_eq!(bench.out.take(), ["2: PING from 1", "2: PING from 1", closed]);
    }

    #[test]
    fn refusals_are_counted_by_reason() {
        let mut bench = bench();
        bench.receive(2, &registration(User, 101, 2));
        bench.chat(1, 101, 7);
        bench.chat(1, 101, 8);
        bench.chat(1, 102, 101);
        bench.join(5, Server, 5);
        bench.receive(5, &registration(User, 105, 5));
        let (source, destination) = (HostId(101), HostId(105));
        bench.receive(1, &Message::Chat { source, destination, text: &[b'x'; 2000] });
        let expected =
            Refusals { false_sources: 1, unknown_ids: 2, unreadable: 1, ..Refusals::default() };
        assert_eq!(link_report(&bench, 1).refusals, expected);
        bench.relay.accepted(bench.now, link_id(6), &mut bench.out);
        bench.receive(6, &registration(User, 101, 0));
        assert_eq!(link_report(&bench, 6).refusals.taken_ids, 1);
    }

    #[test]
    fn server_report_has_the_path_and_the_epoch() {
        let mut bench = bench();
        bench.join(5, Server, 5);
        bench.receive(5, &registration(Server, 6, 5));
        let report = server_report(&bench, 4);
        let epoch = Some(Epoch { boot: 2, attach: 3 });
        assert_eq!((report.is_extended, report.epoch, report.hops), (true, epoch, Some(3)));
        assert_eq!((report.next, report.parent), (Some(HostId(3)), Some(HostId(3))));
        let nearest = server_report(&bench, 2);
        assert_eq!(
            (nearest.parent, nearest.hops, nearest.users),
            (Some(HostId(1)), Some(1), Some(0))
        );
        let plain = server_report(&bench, 5);
        assert_eq!(
            (plain.is_extended, plain.parent, plain.hops),
            (false, Some(HostId(1)), Some(1))
        );
        let behind_plain = server_report(&bench, 6);
        assert_eq!(
            (behind_plain.parent, behind_plain.hops, behind_plain.epoch),
            (None, None, None)
        );
        bench.close(2);
        let lost = server_report(&bench, 3);
        assert_eq!((lost.next, lost.parent, lost.hops), (None, None, None));
    }

    #[test]
    fn trace_is_complete_when_its_reply_has_come() {
        let mut bench = bench();
        let token = bench.relay.start_trace(bench.now, HostId(4), &mut bench.out);
        let token = token.expect("a host behind others");
        assert_eq!(bench.out.take(), ["2: TRACE from 1"]);
        bench.now = bench.now + Duration::from_millis(9);
        let hop = |server, elapsed_micros| Hop { server: HostId(server), elapsed_micros };
        let hops = [hop(2, 5000), hop(3, 2000), hop(4, 0)];
        let reply = |token| {
            let trace = Trace { token, target: HostId(4), hops: hops.as_slice().into() };
            Frame::TraceReply { result: TraceResult::HOME, trace }
        };
        bench.receive_extension(2, 2, &reply(token ^ 1));
        assert_eq!(bench.relay.take_trace_report(token), None);
        bench.receive_extension(2, 2, &reply(token));
        let report = bench.relay.take_trace_report(token).expect("complete");
        assert_eq!((report.hops.as_slice(), report.round_trip.as_millis()), (hops.as_slice(), 9));
        assert_eq!(bench.relay.take_trace_report(token), None);
    }

    #[test]
    fn report_that_nobody_takes_is_dropped() {
        let mut bench = bench();
        let target = HostId(4);
        let start = |bench: &mut Bench| {
            let token = bench.relay.start_trace(bench.now, target, &mut bench.out);
            let token = token.expect("a host behind others");
            let trace = Trace { token, target, hops: [].as_slice().into() };
            let reply = Frame::TraceReply { result: TraceResult::HOME, trace };
            bench.receive_extension(2, 2, &reply);
            token
        };
        let token = start(&mut bench);
        bench.now = bench.now + TRACE_TIMEOUT;
        let next = start(&mut bench);
        assert_eq!(bench.relay.take_trace_report(token), None);
        assert!(bench.relay.take_trace_report(next).is_some());
    }

    #[test]
    fn trace_to_a_near_host_has_its_result_at_once() {
        let mut bench = bench();
        bench.join(5, Server, 5);
        let check = |bench: &mut Bench, id, expected| {
            let result = bench.relay.start_trace(bench.now, HostId(id), &mut bench.out);
            assert_eq!(result, Err(expected), "{id}");
        };
        check(&mut bench, 1, TraceResult::HOME);
        check(&mut bench, 101, TraceResult::HOME);
        check(&mut bench, 5, TraceResult::PLAIN);
        check(&mut bench, 9, TraceResult::UNKNOWN);
        bench.close(2);
        check(&mut bench, 4, TraceResult::SPLIT);
    }
}
