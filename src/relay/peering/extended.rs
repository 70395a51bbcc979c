//! Extended links: facts about servers, and the hosts of each home.
//!
//! Facts decide the route to each server, see [`Routes`](crate::relay::routes::Routes). Each host
//! belongs to a home, which alone adds and removes it; others take what they receive over the route
//! to the home. A fact carries the digest of the home's hosts. A server whose own digest differs
//! asks for them, and the neighbour sends all of them: what is not among them has left.

use std::collections::VecDeque;

use super::Peering;
use crate::id::HostId;
use crate::limits::TAKEN_QUIT_TEXT;
use crate::link::{CloseReason, LinkId, Time};
use crate::printable::Printable;
use crate::relay::announcements::hosts_of;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Digest, Epoch, Frame, Nonce, ServerFact};
use crate::relay::message::{HostKind, Message, Registration};
use crate::relay::notice::Notice;
use crate::relay::outbox::Outbox;
use crate::relay::routes::{Change, Conflict, Fact, Update};
use crate::relay::send;
use crate::relay::topology::{FirstLink, Home, Host, HostSet, Role, ServerKey, SplitId};

/// The state of an extended link.
#[derive(Debug)]
pub(super) struct ExtendedLink {
    /// The fact whose registration follows.
    expected_server: Option<ServerFact>,
    /// The home and the stamps of the registrations that follow.
    expected_hosts: (HostId, VecDeque<u64>),
    /// Number of digests in a row that differ from those of this server.
    pub(super) mismatches: u32,
    /// When the link was attached.
    pub(super) since: Time,
}

/// Servers that have lost their route.
pub(super) type LostServers = Vec<ServerKey>;

impl Peering {
    /// Makes a link an extended one: both ends have committed.
    pub(super) fn attach<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        committed: Epoch,
        neighbour: Fact,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = neighbour.id;
        self.make_way(id, cx);
        let deadline = cx.topology.register_server(link, id, true);
        super::join::on_registered(link, HostKind::Server, deadline, cx);
        cx.begin_extended(link);
        log::info!("link {link}: server {id} {} joined", Printable(registration.name));
        let extended = ExtendedLink {
            expected_server: None,
            expected_hosts: (HostId::NONE, VecDeque::new()),
            mismatches: 0,
            since: cx.now,
        };
        self.extended.insert(link, extended);
        self.start_liveness(link, cx);
        let changes = cx.topology.routes_mut().attach(link, committed, neighbour);
        self.apply_learnt(changes, Some(registration), cx);
        cx.topology.routes_mut().burst(link);
        send_all_facts(link, cx);
    }

    /// Handles a frame of the extension.
    pub(in crate::relay) fn handle_extension<O: Outbox>(
        &mut self,
        link: LinkId,
        source: HostId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let state = cx.topology.link(link);
        if matches!(state.role(), Role::Unregistered { .. }) {
            return self.handle_handshake(link, source, frame, cx);
        }
        if state.host_id() != Some(source) {
            return; // such as an echo by a plain neighbour
        }
        if state.is_extended() {
            self.handle_extended(link, frame, cx);
        } else if let Frame::ReadsCutFrames(_) = frame {
            // The server that dialled shows it first, so that no other program gets an unknown
            // status.
            let must_answer = state.is_server() && !self.is_uplink(link);
            if cx.on_reads_cut_frames(link) && must_answer {
                send::send_reads_cut_frames(cx.topology, link, cx.out);
            }
        } else if let Frame::Hello(_) | Frame::Offer(_) = frame {
            // The frame was cut off from the registration before it, and came too late.
            cx.out.close(link, CloseReason::LateHello);
        }
    }

    /// Handles a frame of the extension on an extended link.
    pub(super) fn handle_extended<O: Outbox>(
        &mut self,
        link: LinkId,
        frame: &Frame<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(extended) = self.extended.get_mut(&link) else { return };
        match *frame {
            Frame::Server(fact) => extended.expected_server = Some(fact),
            Frame::Users { home, stamps } => {
                extended.expected_hosts = (home, stamps.iter().collect());
            }
            Frame::Withdraw(ids) => {
                for id in ids.iter() {
                    let changes = cx.topology.routes_mut().withdraw(link, id);
                    let lost = self.apply_learnt(changes, None, cx);
                    self.end_lost(id, lost, cx);
                }
            }
            Frame::SyncRequest(homes) => {
                for home in homes.iter() {
                    if home == HostId::NONE {
                        send_all_facts(link, cx);
                    } else {
                        cx.announcements.request_sync(link, home);
                    }
                }
            }
            Frame::SyncBegin { home } => {
                if let Some(server) = server_over(link, home, cx) {
                    cx.topology.unconfirm_hosts(server);
                }
            }
            Frame::SyncEnd { home, users, digest } => {
                self.end_sync(link, home, HostSet { count: users, digest }, cx);
            }
            Frame::Ping(ping) => self.on_ping(link, ping, cx),
            Frame::Pong(ping) => self.check_digest(link, ping.digest, cx),
            Frame::Trace(trace) => self.handle_trace(link, trace, cx),
            Frame::TraceReply { result, trace } => self.handle_trace_reply(result, trace, cx),
            Frame::ReadsCutFrames(_)
            | Frame::Hello(_)
            | Frame::Offer(_)
            | Frame::Commit { .. }
            | Frame::Refuse { .. }
            | Frame::Ack { .. }
            | Frame::Move { .. }
            | Frame::FactsEnd { .. }
            | Frame::End => {}
        }
    }

    /// Handles a registration on an extended link: that of a server whose fact came before it, or
    /// that of a host of the home that was named before it.
    pub(super) fn learn_extended<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        let Some(extended) = self.extended.get_mut(&link) else { return };
        if !id.is_registrable() {
            return cx.drop_false_source(link, id);
        }
        if let Some(fact) = extended.expected_server.take_if(|fact| fact.id == id) {
            return self.learn_server(link, registration, &fact, cx);
        }
        let home = extended.expected_hosts.0;
        let Some(stamp) = extended.expected_hosts.1.pop_front() else {
            return cx.drop_false_source(link, id);
        };
        cx.topology.observe_stamp(stamp);
        if let Some(server) = server_over(link, home, cx) {
            self.learn_host_of(link, registration, (server, home, stamp), cx);
        }
    }

    fn learn_server<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        fact: &ServerFact,
        cx: &mut RelayCx<'_, O>,
    ) {
        let ServerFact { id, epoch, nonce: Nonce(nonce), via, users, digest } = *fact;
        if id != cx.topology.own_id() {
            self.make_way(id, cx);
        }
        let changes = cx.topology.routes_mut().learn(link, Fact { id, epoch, nonce, via });
        self.apply_learnt(changes, Some(registration), cx);
        if let Some(server) = server_over(link, id, cx)
            && cx.topology.servers().hosts(server) != (HostSet { count: users, digest })
        {
            let homes = [id];
            let homes = homes.as_slice().into();
            send::send_extension(cx.topology, link, &Frame::SyncRequest(homes), cx.out);
        }
    }

    /// Removes a host that is not a home server from the table, because a server has its id.
    fn make_way<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        if cx.topology.hosts().get(id).is_some() && cx.topology.server_key(id).is_none() {
            self.evict(id, cx);
        }
    }

    /// Removes a host whose id another host has a better claim on. If it is a user of this server,
    /// it is informed and its link closes.
    fn evict<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        let Some(host) = cx.topology.hosts().get(id) else { return };
        let kind = host.kind;
        if let Home::Link(_) = host.home()
            && let Some(link) = cx.topology.next_hop(host)
        {
            log::warn!("{kind} {id} leaves: another host has had its id for longer");
            let neighbour = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
            cx.send_answer(link, neighbour, &Notice::IdTaken { kind, id });
            if cx.topology.link(link).is_user() {
                cx.out.close(link, CloseReason::IdTaken(id));
            }
        }
        self.remove_host(id, TAKEN_QUIT_TEXT, cx);
    }

    /// Handles the registration of a host whose home is reached over `link`.
    fn learn_host_of<O: Outbox>(
        &mut self,
        link: LinkId,
        registration: &Registration<'_>,
        (server, home, stamp): (ServerKey, HostId, u64),
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = registration.source;
        if id == cx.topology.own_id() || cx.topology.server_key(id).is_some() {
            return; // its home learns that a server has the id, and removes it
        }
        if let Some(host) = cx.topology.hosts().get(id) {
            let is_same = host.matches(registration);
            if host.home().server() == Some(server) && is_same {
                let is_new = host.stamp() != stamp;
                cx.topology.set_home(id, Home::Server(server), stamp);
                if is_new {
                    cx.reannounce(id);
                }
                return;
            }
            let waits_for_home = cx.topology.waits_for_home(host);
            if waits_for_home && is_same && cx.topology.home_id(host) == home {
                return self.rejoin_home(id, server, stamp, cx);
            }
            if host.home().server() != Some(server)
                && !waits_for_home
                && has_better_claim(host, link, (stamp, home), cx)
            {
                return cx.introduce(id, link);
            }
            self.evict(id, cx);
        }
        let slot = cx.add_host(registration, Home::Server(server), stamp);
        cx.announce(slot);
    }

    /// Continues a host that its home, which was restarted, has registered again.
    fn rejoin_home<O: Outbox>(
        &mut self,
        id: HostId,
        server: ServerKey,
        stamp: u64,
        cx: &mut RelayCx<'_, O>,
    ) {
        let host = cx.topology.hosts().get(id).expect("the host that rejoins");
        let FirstLink::Split(split) = cx.topology.first_link(host) else { return };
        cx.topology.set_home(id, Home::Server(server), stamp);
        cx.reannounce(id);
        self.send_deferred(split, id, cx);
    }

    /// Sends what was deferred for a host that can be reached again.
    pub(super) fn send_deferred<O: Outbox>(
        &mut self,
        split: SplitId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let host = cx.topology.hosts().get(id).expect("the host that rejoined");
        let Some(link) = cx.topology.next_hop(host) else { return };
        for deferred in self.splits.take_deferred(split, id) {
            deferred.send(link, cx);
        }
        cx.out.host_up(cx.topology.hosts().get(id).expect("the host that rejoined"));
    }

    /// Handles the end of a synchronization: hosts that the home did not confirm leave, after the
    /// grace if the home was lost and is back.
    fn end_sync<O: Outbox>(
        &mut self,
        link: LinkId,
        home: HostId,
        _expected: HostSet,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Some(server) = server_over(link, home, cx) else { return };
        let grace_until = self.grace_until.remove(&home).filter(|&until| until > cx.now);
        if let Some(split) = cx.topology.split_unconfirmed(server) {
            self.begin_ending_split(split, grace_until, cx);
        }
    }

    /// Applies changes of the routes that facts over a link have led to. Returns the servers that
    /// have lost their route.
    pub(super) fn apply_learnt<O: Outbox>(
        &mut self,
        changes: Vec<Change>,
        registration: Option<&Registration<'_>>,
        cx: &mut RelayCx<'_, O>,
    ) -> LostServers {
        let mut lost = Vec::new();
        for change in changes {
            match change {
                Change::Up { id, link } => self.on_route_up(id, link, registration, cx),
                Change::Moved { id, to, .. } => {
                    if let Some(server) = cx.topology.server_key(id) {
                        cx.topology.set_route(server, to);
                    }
                }
                Change::Down { id, .. } => {
                    lost.extend(cx.topology.server_key(id));
                    continue; // announced when the grace is over
                }
                Change::Close { link, ref conflict } => self.on_conflict(link, conflict, cx),
                Change::OwnIdElsewhere { epoch, nonce } => {
                    self.on_own_id_elsewhere(epoch, nonce, cx);
                }
                Change::Own | Change::Updated { .. } => {}
            }
            announce_change(&change, cx);
        }
        lost
    }

    /// Applies changes that need no registration and lose no route.
    pub(super) fn apply_changes<O: Outbox>(
        &mut self,
        changes: Vec<Change>,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.apply_learnt(changes, None, cx);
    }

    /// Handles that a server can be reached: a new one, or one that was lost.
    fn on_route_up<O: Outbox>(
        &mut self,
        id: HostId,
        link: LinkId,
        registration: Option<&Registration<'_>>,
        cx: &mut RelayCx<'_, O>,
    ) {
        if let Some(server) = cx.topology.server_key(id) {
            let FirstLink::Split(split) = cx.topology.servers().route(server) else { return };
            cx.topology.set_route(server, link);
            if let Some(until) = self.splits.grace_until(split) {
                self.grace_until.insert(id, until);
            }
            for host in self.splits.deferred_ids(split) {
                let home = cx.topology.hosts().get(host).and_then(|host| host.home().server());
                if home == Some(server) {
                    self.send_deferred(split, host, cx);
                }
            }
            if cx.out.awaits_hosts() {
                for id in cx.topology.server_hosts(server) {
                    cx.out.host_up(cx.topology.hosts().get(id).expect("a listed host"));
                }
            }
            return;
        }
        let Some(registration) = registration.filter(|it| it.source == id) else { return };
        let slot = cx.topology.insert_server(registration, link);
        cx.out.host_up(cx.topology.hosts().host(slot));
        cx.announce(slot);
    }

    fn on_conflict<O: Outbox>(
        &mut self,
        link: LinkId,
        conflict: &Conflict,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = cx.topology.link(link).host_id().unwrap_or(HostId::NONE);
        match conflict {
            Conflict::Ghost => log::info!("link {link}: server {id} is attached elsewhere now"),
            Conflict::SecondLink => log::warn!("link {link}: a second link to server {id}"),
            Conflict::Cycle { members } => {
                let path: Vec<String> = members.iter().map(ToString::to_string).collect();
                log::warn!("link {link}: closed, since servers form a cycle: {}", path.join(" → "));
            }
        }
        if !matches!(conflict, Conflict::Ghost) && self.is_uplink(link) {
            self.uplink.on_refused(cx.now, &mut self.rng);
        }
        cx.out.close(link, CloseReason::RoutingLoop(id));
    }

    /// Handles a fact about this server's id that is not its own: one from before its restart, or
    /// that of another server with the same id.
    fn on_own_id_elsewhere<O: Outbox>(
        &mut self,
        epoch: Epoch,
        nonce: u64,
        cx: &mut RelayCx<'_, O>,
    ) {
        let own = cx.topology.routes().own();
        let is_alive = self.exceeded_nonce == Some(nonce) && epoch > own.epoch;
        if is_alive && own.nonce > nonce {
            return self.yield_own_id(cx);
        }
        self.exceeded_nonce = Some(nonce);
        if let Some(change) = cx.topology.routes_mut().exceed(epoch) {
            self.apply_changes(vec![change], cx);
        }
    }

    /// Starts the split of the servers that were reached over an extended link, which has ended.
    pub(super) fn detach<O: Outbox>(
        &mut self,
        link: LinkId,
        neighbour: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.extended.remove(&link);
        let changes = cx.topology.routes_mut().detach(link);
        let lost = self.apply_learnt(changes, None, cx);
        if let Some(split) = cx.topology.split_servers(neighbour, lost) {
            self.begin_grace(split, cx);
        }
    }

    /// Removes servers that a neighbour has withdrawn.
    fn end_lost<O: Outbox>(&mut self, id: HostId, lost: LostServers, cx: &mut RelayCx<'_, O>) {
        if let Some(split) = cx.topology.split_servers(id, lost) {
            self.begin_ending_split(split, None, cx);
        }
    }

    /// Compares the digest of what a neighbour has announced with the table. A digest that differs
    /// twice shows that something was missed: all is asked for again.
    pub(super) fn check_digest<O: Outbox>(
        &mut self,
        link: LinkId,
        digest: Option<Digest>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let (Some(digest), Some(extended)) = (digest, self.extended.get_mut(&link)) else { return };
        if digest == digest_behind(link, cx) {
            extended.mismatches = 0;
            return;
        }
        extended.mismatches += 1;
        if extended.mismatches == 2 {
            extended.mismatches = 0;
            log::warn!("link {link}: the tables of both ends differ; asking for all facts again");
            let homes = [HostId::NONE];
            let homes = homes.as_slice().into();
            send::send_extension(cx.topology, link, &Frame::SyncRequest(homes), cx.out);
        }
    }
}

/// Returns the server with this id, if it is reached over `link`.
fn server_over<O: Outbox>(link: LinkId, id: HostId, cx: &RelayCx<'_, O>) -> Option<ServerKey> {
    let server = cx.topology.server_key(id)?;
    (cx.topology.servers().route(server) == FirstLink::Link(link)).then_some(server)
}

/// Returns whether a known host keeps its id against a registration at another home.
///
/// The earlier registration wins, and of two at the same logical time that of the smaller home. A
/// host that is not announced on the link gives way, because the other home would never learn why
/// its user has to leave.
fn has_better_claim<O: Outbox>(
    host: &Host,
    link: LinkId,
    (stamp, home): (u64, HostId),
    cx: &RelayCx<'_, O>,
) -> bool {
    let its_home = cx.topology.home_id(host);
    let is_announced = its_home == cx.topology.own_id()
        || cx.topology.routes().is_announced(link, its_home)
        || cx.topology.is_first_link(host.id, link);
    is_announced && (host.stamp(), its_home) < (stamp, home)
}

/// Sends what a change of the routes means on each extended link.
fn announce_change<O: Outbox>(change: &Change, cx: &mut RelayCx<'_, O>) {
    let links: Vec<LinkId> = cx.announcements.servers().collect();
    for link in links {
        if !cx.topology.link(link).is_extended() {
            continue;
        }
        match cx.topology.routes_mut().update(change, link) {
            None => {}
            Some(Update::Announce(fact)) => send_fact(link, &fact, cx),
            Some(Update::Withdraw(id)) => {
                let ids = [id];
                let ids = ids.as_slice().into();
                send::send_extension(cx.topology, link, &Frame::Withdraw(ids), cx.out);
            }
        }
    }
}

/// Announces that a server, whose grace is over, cannot be reached.
pub(super) fn announce_down<O: Outbox>(id: HostId, cx: &mut RelayCx<'_, O>) {
    let link = LinkId { index: u32::MAX, generation: 0 }; // the one that is gone
    announce_change(&Change::Down { id, link }, cx);
}

/// Sends the fact about a server, with its registration.
fn send_fact<O: Outbox>(link: LinkId, fact: &Fact, cx: &mut RelayCx<'_, O>) {
    let Fact { id, epoch, nonce, via } = *fact;
    let Some(HostSet { count: users, digest }) = hosts_of(cx.topology, id) else { return };
    let own_id = cx.topology.own_id();
    let frame = ServerFact { id, epoch, nonce: Nonce(nonce), via, users, digest };
    send::send_extension(cx.topology, link, &Frame::Server(frame), cx.out);
    let registration = if id == own_id {
        cx.topology.own_registration(own_id)
    } else {
        cx.topology.hosts().get(id).expect("a known server").registration(own_id)
    };
    cx.out.deliver(link, &Message::Registration(registration));
}

/// Sends the facts about all servers that are announced on a link.
fn send_all_facts<O: Outbox>(link: LinkId, cx: &mut RelayCx<'_, O>) {
    let facts: Vec<Fact> = cx.topology.routes().announced_on(link).collect();
    for fact in &facts {
        send_fact(link, fact, cx);
    }
    let servers = u32::try_from(facts.len()).expect("fewer servers than ids");
    send::send_extension(cx.topology, link, &Frame::FactsEnd { servers }, cx.out);
}

/// Returns the digest of all that is announced on a link.
pub(super) fn digest_announced<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Digest {
    digest_of(cx.topology.routes().announced_on(link), cx)
}

/// Returns the digest of all that is reached over a link.
fn digest_behind<O: Outbox>(link: LinkId, cx: &RelayCx<'_, O>) -> Digest {
    digest_of(cx.topology.routes().reached_over(link), cx)
}

fn digest_of<O: Outbox>(facts: impl Iterator<Item = Fact>, cx: &RelayCx<'_, O>) -> Digest {
    let mut sum = Digest::default();
    for fact in facts {
        let users = hosts_of(cx.topology, fact.id).unwrap_or_default();
        sum += Digest::of_server(fact.id, fact.epoch, users.digest);
    }
    sum
}
