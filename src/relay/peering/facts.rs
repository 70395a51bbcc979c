//! Facts about servers: what a change of the routes means for the table.

use std::collections::VecDeque;

use super::Peering;
use super::homes::server_over;
use super::join::path_text;
use super::link::ExtendedLink;
use super::send_facts::{
    announce_change, digest_behind, request_facts, request_sync, send_all_facts,
    send_ping_behind_facts,
};
use crate::id::HostId;
use crate::link::{CloseReason, LinkId};
use crate::printable::Printable;
use crate::relay::cx::RelayCx;
use crate::relay::extension::{Digest, Epoch, Nonce, ServerFact};
use crate::relay::message::{HostKind, Registration};
use crate::relay::outbox::Outbox;
use crate::relay::routes::{Change, Conflict, Fact};
use crate::relay::topology::{FirstLink, HostSet, ServerKey, SplitId};

/// A server whose fact led to changes of the routes.
#[derive(Clone, Copy)]
pub(super) struct Introduced<'a> {
    registration: &'a Registration<'a>,
    /// The neighbour knows the same hosts of the server as this one.
    knows_hosts: bool,
    /// It is the instance of the server that this one knows.
    is_known_instance: bool,
}

impl Introduced<'_> {
    fn id(&self) -> HostId {
        self.registration.source
    }
}

impl Peering {
    /// Makes a link an extended one: both ends have committed, `committed` is the epoch of this
    /// server in COMMIT or OFFER.
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
        let extended = ExtendedLink::new(cx.now);
        self.extended.insert(link, extended);
        self.start_liveness(link, cx);
        // The same instance still has its users, over whichever way it comes back.
        let knows_hosts = cx.topology.routes().knows_instance(id, neighbour.nonce);
        let introduced = Introduced { registration, knows_hosts, is_known_instance: knows_hosts };
        let changes = cx.topology.routes_mut().attach(link, committed, neighbour);
        self.apply_routes(changes, Some(introduced), id, cx);
        cx.topology.routes_mut().burst(link);
        send_all_facts(link, cx);
        send_ping_behind_facts(link, cx);
        self.send_returned(cx);
    }

    pub(super) fn learn_server<O: Outbox>(
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
        let announced = HostSet { count: users, digest };
        let server = cx.topology.server_key(id);
        let known = server.map(|server| cx.topology.servers().hosts(server));
        let is_known_instance = cx.topology.routes().knows_instance(id, nonce);
        let knows_hosts = known == Some(announced);
        if let Some(server) = server.filter(|_| knows_hosts) {
            cx.topology.end_joining_of(server);
        }
        let introduced = Introduced { registration, knows_hosts, is_known_instance };
        let changes = cx.topology.routes_mut().learn(link, Fact { id, epoch, nonce, via });
        self.apply_changes(changes, Some(introduced), id, cx);
        if cx.topology.routes().route(id) == Some(link) && cx.topology.server_key(id).is_none() {
            let is_up = vec![Change::Up { id, link }];
            self.apply_changes(is_up, Some(introduced), id, cx);
        }
        if let Some(server) = server_over(link, id, cx)
            && cx.topology.servers().hosts(server) != announced
        {
            request_sync(link, id, cx);
        }
    }

    /// Removes a host that is not a home server from the table, because a server has its id.
    fn make_way<O: Outbox>(&mut self, id: HostId, cx: &mut RelayCx<'_, O>) {
        if cx.topology.hosts().get(id).is_some() && cx.topology.server_key(id).is_none() {
            self.evict(id, cx);
        }
    }

    /// Applies changes of the routes. `introduced` is the server whose fact led to them.
    /// Servers that lose their route are lost with `neighbour`, and have the grace to come back.
    pub(super) fn apply_changes<O: Outbox>(
        &mut self,
        changes: Vec<Change>,
        introduced: Option<Introduced<'_>>,
        neighbour: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        self.apply_routes(changes, introduced, neighbour, cx);
        self.send_returned(cx);
    }

    /// Like [`Peering::apply_changes`], without sending what waits for servers that are back.
    fn apply_routes<O: Outbox>(
        &mut self,
        changes: Vec<Change>,
        introduced: Option<Introduced<'_>>,
        neighbour: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let lost = self.apply_each(changes, introduced, cx);
        let hub = cx.topology.hub_of(neighbour);
        if let Some(split) = cx.topology.split_servers((hub, neighbour), lost) {
            self.begin_grace(split, cx);
        }
        self.end_unused_links(cx);
    }

    /// Applies changes of the routes. Returns the servers that have lost their route.
    pub(super) fn apply_each<O: Outbox>(
        &mut self,
        changes: Vec<Change>,
        introduced: Option<Introduced<'_>>,
        cx: &mut RelayCx<'_, O>,
    ) -> Vec<ServerKey> {
        let mut lost = Vec::new();
        let mut changes = VecDeque::from(changes);
        while let Some(change) = changes.pop_front() {
            match change {
                Change::Up { id, link } => {
                    if !self.on_route_up(id, link, introduced, cx) {
                        continue;
                    }
                }
                Change::Moved { id, to, .. } => match cx.topology.server_key(id) {
                    Some(server) => cx.topology.set_route(server, to),
                    // Its registration was not at hand when it got the route that it had.
                    None => changes.push_front(Change::Up { id, link: to }),
                },
                Change::Down { id } => {
                    match cx.topology.server_key(id) {
                        Some(server) => lost.push(server),
                        // It has no hosts that could come back, so no grace either.
                        None => {
                            announce_change(&change, cx);
                            changes.extend(cx.topology.routes_mut().forget(id));
                        }
                    }
                    continue; // announced when the grace is over
                }
                Change::Close { link, ref conflict } => self.on_conflict(link, conflict, cx),
                Change::OwnIdElsewhere { epoch } => self.exceed(epoch, cx),
                Change::Own | Change::Updated { .. } => {}
            }
            announce_change(&change, cx);
        }
        lost
    }

    /// Handles that a server can be reached: a new one, or one that was lost. Returns false if its
    /// registration is not at hand.
    fn on_route_up<O: Outbox>(
        &mut self,
        id: HostId,
        link: LinkId,
        introduced: Option<Introduced<'_>>,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        if let Some(server) = cx.topology.server_key(id) {
            let its_own = introduced.filter(|it| it.id() == id);
            self.on_server_back(server, link, its_own, cx);
            return true;
        }
        let Some(introduced) = introduced.filter(|it| it.id() == id) else {
            // An earlier fact counts only now: the neighbour sends it again, with its registration.
            request_facts(link, cx);
            return false;
        };
        self.report_return(id, cx);
        let slot = cx.topology.insert_server(introduced.registration, link);
        if let Some(server) = cx.topology.server_key(id) {
            cx.topology.record_joining(server);
        }
        cx.out.host_up(cx.topology.hosts().host(slot));
        cx.announce(slot);
        true
    }

    /// Handles that a lost server can be reached again. `introduced` has its own fact, if that has
    /// led to it. If the neighbour may not know its hosts yet, they stay lost until it registers
    /// them, and what is deferred for them waits.
    fn on_server_back<O: Outbox>(
        &mut self,
        server: ServerKey,
        link: LinkId,
        introduced: Option<Introduced<'_>>,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = cx.topology.servers().id(server);
        let FirstLink::Split(split) = cx.topology.servers().route(server) else { return };
        cx.topology.set_route(server, link);
        let until = self.splits.grace_until(split).filter(|&until| until > cx.now);
        if let Some(until) = until {
            self.grace_until.insert(id, until);
        }
        if let Some(until) = until
            && let Some(introduced) = introduced.filter(|it| !it.knows_hosts)
        {
            let lost_link = cx.topology.lost_link(split);
            let unconfirmed = if introduced.is_known_instance {
                cx.topology.split_hosts(server, lost_link)
            } else {
                cx.topology.unconfirm_hosts(server);
                cx.topology.split_unconfirmed(server, lost_link)
            };
            if let Some(unconfirmed) = unconfirmed {
                self.begin_ending_split(unconfirmed, Some(until), cx);
                let hosts = cx.topology.lost_ids(unconfirmed);
                self.splits.move_deferred(split, unconfirmed, hosts);
            }
            self.returned.push((split, server)); // what is for the members of rooms there
            return self.report_if_healed(split, cx);
        }
        self.returned.push((split, server));
        if cx.out.awaits_hosts() {
            for id in cx.topology.server_hosts(server) {
                cx.out.host_up(cx.topology.hosts().get(id).expect("a listed host"));
            }
        }
        self.report_if_healed(split, cx);
    }

    /// Sends what was deferred for the hosts of servers that can be reached again. On a new link,
    /// the facts of this server come first, so that the senders are known at the other end.
    fn send_returned<O: Outbox>(&mut self, cx: &mut RelayCx<'_, O>) {
        for (split, server) in std::mem::take(&mut self.returned) {
            for host in self.splits.deferred_ids(split) {
                let home = cx.topology.hosts().get(host).and_then(|host| host.home().server());
                if home == Some(server) {
                    self.send_deferred(split, host, cx);
                }
            }
        }
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
                let path = path_text(members);
                log::warn!("link {link}: closed, since servers form a cycle: {path}");
            }
        }
        cx.out.close(link, CloseReason::RoutingLoop(id));
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
        let lost: Vec<HostId> = changes.iter().filter_map(Change::lost_id).collect();
        self.apply_changes(changes, None, neighbour, cx);
        let split = lost.into_iter().find_map(|id| split_of(id, cx));
        self.defer_unacknowledged(link, split, cx);
    }

    /// Removes a server that a neighbour has withdrawn, and those behind it, if there is no other
    /// way to them.
    pub(super) fn withdraw<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) {
        let hub = cx.topology.hub_of(id);
        let changes = cx.topology.routes_mut().withdraw(link, id);
        let lost = self.apply_each(changes, None, cx);
        self.send_returned(cx);
        if let Some(split) = cx.topology.split_servers((hub, id), lost) {
            self.begin_ending_split(split, None, cx);
        }
        self.end_unused_links(cx);
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
        if cx.topology.routes().is_ending(link) {
            return;
        }
        if digest == digest_behind(link, cx) {
            extended.mismatches = 0;
            return cx.topology.end_joining(link);
        }
        extended.mismatches += 1;
        if extended.mismatches == 2 {
            extended.mismatches = 0;
            log::warn!("link {link}: the tables of both ends differ; asking for all facts again");
            request_facts(link, cx);
        }
    }
}

/// Returns the split in which a server is, if it is lost.
fn split_of<O: Outbox>(id: HostId, cx: &RelayCx<'_, O>) -> Option<SplitId> {
    match cx.topology.servers().route(cx.topology.server_key(id)?) {
        FirstLink::Split(split) => Some(split),
        FirstLink::Link(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::id::HostId;
    use crate::limits::SPLIT_GRACE;
    use crate::relay::extension::{Digest, Epoch, Frame, Nonce, ServerFact};
    use crate::relay::message::HostKind::Server;
    use crate::relay::recorder::{Bench, registration};

    /// Server 3 starts again without memory during a split, so that its epoch is smaller. While it
    /// counts as lost it is not accepted, and its registration is not kept.
    #[test]
    fn server_that_counts_only_now_is_asked_for_again() {
        let mut bench = Bench::new();
        bench.join_extended(2, 2);
        bench.learn_server(2, 2, 3, 2);
        bench.close(2);
        bench.join_extended(4, 2);
        let (id, via) = (HostId(3), HostId(2));
        let (epoch, nonce) = (Epoch { boot: 1, attach: 0 }, Nonce(99));
        let fact = ServerFact { id, epoch, nonce, via, users: 0, digest: Digest::default() };
        bench.receive_extension(4, 2, &Frame::Server(fact));
        bench.receive(4, &registration(Server, 3, 2));
        assert!(!bench.relay.topology.is_reachable(id));
        bench.out.take();
        bench.wait(SPLIT_GRACE);
        assert!(bench.out.take().contains(&"4: SYNC_REQUEST from 1".to_owned()));
        bench.receive_extension(4, 2, &Frame::Server(fact));
        bench.receive(4, &registration(Server, 3, 2));
        assert!(bench.relay.topology.is_reachable(id));
    }
}
