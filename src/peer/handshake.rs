//! The handshake of a link, and the assignment of ids.
//!
//! The connecting side sends a hello with its incarnation and its current or desired id. The
//! accepting side answers with a grant. Then each side sends its whole state to the other. A peer
//! that reaches nobody assigns an id to itself. When partitions merge in which one id was taken
//! twice, the older claim wins, and the other peer detects that and replaces its id.

use super::id::INTERVAL;
use super::links::State;
use super::send_sequences::SendSequences;
use super::wire::{Body, Empty, Grant, Hello};
use super::{Event, Peer};
use crate::limits::PEER_LINKS_MAX;
use crate::link::{CloseReason, LinkId, Time};

impl Peer {
    /// Sends the hello on a link that this peer dialled.
    pub(super) fn send_hello(&mut self, id: LinkId) {
        let own = self.topology.own();
        let desired_id = if own.id == 0 { self.desired_id.unwrap_or(0) } else { 0 };
        let hello = Hello { incarnation: own.incarnation, id: own.id, desired_id };
        self.links.send(id, Body::Hello(hello));
    }

    /// Handles the hello of a connecting peer.
    pub(super) fn handle_hello(&mut self, now: Time, id: LinkId, hello: Hello) {
        let own = self.topology.own();
        if hello.incarnation == own.incarnation {
            // Tells the dialling end, which is this peer too, that the target is itself.
            let grant = Grant { incarnation: own.incarnation, id: own.id.max(1), refused: true };
            self.links.send(id, Body::Grant(grant));
            let why = "this peer connected to itself".to_owned();
            return self.close(now, id, CloseReason::Session(why));
        }
        self.links.get_mut(id).expect("only open links receive frames").state =
            State::AwaitingId(hello);
        self.try_grant(now, id, hello);
    }

    /// Replies to a hello with a grant, or leaves it pending while no id can be granted.
    fn try_grant(&mut self, now: Time, link: LinkId, hello: Hello) {
        let Some(own_id) = self.id() else { return };
        if self.has_max_links() {
            return self.reject(now, link);
        }
        let id = match (hello.id, hello.desired_id) {
            (id, _) if id > 0 => Some(id), // the topology resolves conflicts
            (_, desired_id) if desired_id > 0 && self.is_id_free(desired_id, hello.incarnation) => {
                Some(desired_id)
            }
            _ => self.new_id(now, u128::from(own_id.unsigned_abs()), hello.incarnation),
        };
        let Some(id) = id else {
            self.retry_at = Some(now + INTERVAL);
            return;
        };
        let refused = hello.id == 0 && hello.desired_id != 0 && hello.desired_id != id;
        let incarnation = self.topology.own().incarnation;
        self.links.get_mut(link).expect("hellos are pending only on open links").granted =
            Some((id, hello.incarnation));
        self.links.send(link, Body::Grant(Grant { incarnation, id, refused }));
        self.attach(now, link, hello.incarnation);
    }

    /// Returns whether [`PEER_LINKS_MAX`] links are attached. Pending hellos and dialled targets
    /// are checked when they attach, because peers reject advertisements with more neighbours.
    fn has_max_links(&self) -> bool {
        self.links.attached().count() >= PEER_LINKS_MAX
    }

    /// Closes a link because no more links are allowed.
    fn reject(&mut self, now: Time, id: LinkId) {
        let why = format!("this peer already has {PEER_LINKS_MAX} links, the maximum");
        self.close(now, id, CloseReason::Session(why));
    }

    /// Retries the hellos that could not be granted an id.
    pub(super) fn retry_pending_grants(&mut self, now: Time) {
        let pending: Vec<(LinkId, Hello)> = self
            .links
            .iter()
            .filter_map(|link| match link.state {
                State::AwaitingId(hello) => Some((link.id, hello)),
                _ => None,
            })
            .collect();
        for (link, hello) in pending {
            self.try_grant(now, link, hello);
        }
    }

    /// Handles the grant that answers this peer's hello.
    pub(super) fn handle_grant(&mut self, now: Time, id: LinkId, grant: Grant) {
        let target = self
            .links
            .get(id)
            .and_then(|link| link.target)
            .expect("only dialled links await a grant");
        if grant.incarnation == self.topology.own().incarnation {
            self.targets.disable(target);
            let text =
                "one of the PEER_ADDR arguments is this peer itself: it is not dialled again"
                    .to_owned();
            self.events.push_back(Event::Error { text });
            let why = "this peer connected to itself".to_owned();
            return self.close(now, id, CloseReason::Session(why));
        }
        if self.has_max_links() {
            return self.reject(now, id);
        }
        if self.id().is_none() {
            if let Some(desired) = self.desired_id
                && desired != grant.id
            {
                let text = format!("id {desired} is taken: this peer is {}", grant.id);
                self.events.push_back(Event::Error { text });
            }
            self.adopt_id(now, grant.id);
        }
        self.targets.mark_linked(now, target, id);
        self.attach(now, id, grant.incarnation);
    }

    /// Completes the handshake: sends the whole state on the link, and all updates from now on.
    fn attach(&mut self, now: Time, id: LinkId, incarnation: u64) {
        let link = self.links.get_mut(id).expect("only open links attach");
        let (is_dialled, address) = (link.target.is_some(), link.peer_addr);
        link.state = State::Attached { incarnation };
        match address {
            Some(address) => log::info!("link {id}: attached to {incarnation:016x} at {address}"),
            None => log::info!("link {id}: attached to {incarnation:016x}"),
        }
        self.topology.set_neighbours(self.links.neighbours());
        if let Some(advertisement) = self.topology.take_advertisement() {
            self.links.flood(Body::Advertisement(advertisement), Some(id));
        }
        let advertisements: Vec<Body> =
            self.topology.advertisements().cloned().map(Body::Advertisement).collect();
        let retained: Vec<Body> = self.retained.iter_in_order(now).map(Body::Chat).collect();
        for body in advertisements.into_iter().chain(retained).chain([Body::EndOfState(Empty {})]) {
            self.links.send(id, body);
        }
        self.close_duplicate_link(now, id, incarnation, is_dialled);
    }

    /// Closes the redundant one of two links to the same peer: the newer if one side dialled both,
    /// otherwise the one dialled by the younger incarnation. Only its dialler closes it, so that
    /// the two sides never close one each.
    fn close_duplicate_link(
        &mut self,
        now: Time,
        new_link: LinkId,
        incarnation: u64,
        is_dialled: bool,
    ) {
        let mut attached = self.links.attached();
        let Some((other, _)) =
            attached.find(|(link, remote)| *remote == incarnation && link.id != new_link)
        else {
            return;
        };
        let is_younger = self.topology.own().incarnation > incarnation;
        let redundant = match (is_dialled, other.target.is_some()) {
            (true, true) => new_link,
            (true, false) if is_younger => new_link,
            (false, true) if is_younger => other.id,
            _ => return,
        };
        drop(attached);
        let target = self.links.get(redundant).and_then(|link| link.target).expect("dialled here");
        self.targets.mark_linked_elsewhere(target, incarnation);
        let why = "a duplicate link to the same peer".to_owned();
        self.close(now, redundant, CloseReason::Session(why));
    }

    /// Returns whether no peer but `incarnation` is known to have `id`.
    fn is_id_free(&self, id: i64, incarnation: u64) -> bool {
        // A granted id is taken before the new peer's first advertisement arrives.
        let mut granted = self.links.iter().filter_map(|link| link.granted);
        !self.topology.is_taken(id, incarnation)
            && !granted.any(|(granted_id, holder)| {
                granted_id == id && holder != incarnation && !self.topology.is_known(holder)
            })
    }

    /// Returns a free id generated by `assigner` for `incarnation`, or `None` if this interval has
    /// no more ids.
    fn new_id(&mut self, now: Time, assigner: u128, incarnation: u64) -> Option<i64> {
        loop {
            let id = self.snowflakes.next(now, self.unix_time(now), assigner)?;
            if id > 0 && self.is_id_free(id, incarnation) {
                return Some(id);
            }
        }
    }

    /// Starts a new incarnation after a forged advertisement used up the versions of this one.
    /// Keeps the id and all retained messages, and closes all links so that they are set up again.
    pub(super) fn reincarnate(&mut self, now: Time) {
        let incarnation = self.unique_timestamp(now);
        self.topology.reincarnate(incarnation);
        self.sequences = SendSequences::default();
        let stale: Vec<LinkId> = self
            .links
            .iter()
            .filter(|link| !matches!(link.state, State::Dialling | State::AwaitingHello))
            .map(|link| link.id)
            .collect();
        for link in stale {
            let why = "this peer starts a new incarnation".to_owned();
            self.close(now, link, CloseReason::Session(why));
        }
        let text = "another peer sent an advertisement in this peer's name: all links are set up \
                    again"
            .to_owned();
        self.events.push_back(Event::Error { text });
    }

    /// Takes the desired id, or generates one, when no other peer granted one.
    pub(super) fn self_assign_id(&mut self, now: Time) {
        let incarnation = self.topology.own().incarnation;
        let id = self.desired_id.or_else(|| self.new_id(now, u128::from(incarnation), incarnation));
        match id {
            Some(id) => self.adopt_id(now, id),
            None => self.grant_deadline = Some(now + INTERVAL),
        }
    }

    /// Replaces this peer's id, which another peer has had for longer.
    pub(super) fn replace_id(&mut self, now: Time) {
        let own = self.topology.own();
        let (incarnation, previous_id) = (own.incarnation, own.id);
        let Some(id) = self.new_id(now, u128::from(incarnation), incarnation) else {
            self.retry_at = Some(now + INTERVAL);
            return;
        };
        let text = format!("another peer has had id {previous_id} for longer: this peer is {id}");
        self.events.push_back(Event::Error { text });
        self.adopt_id(now, id);
        for chat in self.inbox.take_buffered() {
            self.retain_and_flood(now, chat, None);
        }
    }

    /// Starts using an id. No retained message can be addressed to it: the first id is adopted
    /// before the first link attaches, and any later one has just been generated.
    fn adopt_id(&mut self, now: Time, id: i64) {
        let id_since = self.unique_timestamp(now);
        self.topology.set_own_id(id, id_since);
        self.grant_deadline = None;
        self.events.push_back(Event::Ready { id });
        self.retry_pending_grants(now);
    }
}
