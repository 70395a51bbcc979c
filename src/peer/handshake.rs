//! How links begin, and who goes by which id.
//!
//! Whoever connects says a hello: who it is, and the id that it goes by or wishes. Whoever was
//! connected to grants an id and says who it is. Then either tells the other all that it knows. A
//! peer that finds nobody takes an id itself; when parts join in which one id was taken twice, the
//! older claim holds, and the other peer finds that out by itself.

use super::id::INTERVAL;
use super::links::State;
use super::send_sequences::SendSequences;
use super::wire::{Body, Empty, Grant, Hello};
use super::{Event, Peer};
use crate::limits::PEER_LINKS_MAX;
use crate::link::{CloseReason, LinkId};

impl Peer {
    pub(super) fn send_hello(&mut self, id: LinkId) {
        let own = self.topology.own();
        let desired_id = if own.id == 0 { self.desired_id.unwrap_or(0) } else { 0 };
        let hello = Hello { incarnation: own.incarnation, id: own.id, desired_id };
        self.links.send(id, Body::Hello(hello));
    }

    pub(super) fn handle_hello(&mut self, id: LinkId, hello: Hello) {
        let own = self.topology.own();
        if hello.incarnation == own.incarnation {
            // The other end, here as well, learns from this that it is.
            let grant = Grant { incarnation: own.incarnation, id: own.id.max(1), refused: true };
            self.links.send(id, Body::Grant(grant));
            let why = "this peer has connected to itself".to_owned();
            return self.close(id, CloseReason::Session(why));
        }
        self.links.get_mut(id).expect("a link that speaks").state = State::AwaitingId(hello);
        self.try_grant(id, hello);
    }

    /// Answers a hello, if there is an id to answer with.
    fn try_grant(&mut self, link: LinkId, hello: Hello) {
        let Some(own_id) = self.id() else { return };
        if self.has_max_links() {
            return self.reject(link);
        }
        let id = match (hello.id, hello.desired_id) {
            (id, _) if id > 0 => Some(id), // whose it is, all find out alike
            (_, desired_id) if desired_id > 0 && self.is_id_free(desired_id, hello.incarnation) => {
                Some(desired_id)
            }
            _ => self.new_id(u128::from(own_id.unsigned_abs()), hello.incarnation),
        };
        let Some(id) = id else {
            self.retry_at = Some(self.now + INTERVAL);
            return;
        };
        let refused = hello.id == 0 && hello.desired_id != 0 && hello.desired_id != id;
        let incarnation = self.topology.own().incarnation;
        self.links.get_mut(link).expect("a link that asked").granted =
            Some((id, hello.incarnation));
        self.links.send(link, Body::Grant(Grant { incarnation, id, refused }));
        self.attach(link, hello.incarnation);
    }

    /// Whether it has as many links as it may. Those who could not be answered at first are counted when
    /// they are, and so are the peers that were named: none of the others would believe in more.
    fn has_max_links(&self) -> bool {
        self.links.attached().count() >= PEER_LINKS_MAX
    }

    fn reject(&mut self, id: LinkId) {
        let why = format!("there are {PEER_LINKS_MAX} links already");
        self.close(id, CloseReason::Session(why));
    }

    /// Answers those for whom there was no id before.
    pub(super) fn retry_pending_grants(&mut self) {
        let pending: Vec<(LinkId, Hello)> = self
            .links
            .iter()
            .filter_map(|link| match link.state {
                State::AwaitingId(hello) => Some((link.id, hello)),
                _ => None,
            })
            .collect();
        for (link, hello) in pending {
            self.try_grant(link, hello);
        }
    }

    pub(super) fn handle_grant(&mut self, id: LinkId, grant: Grant) {
        let target = self.links.get(id).and_then(|link| link.target).expect("a link dialled");
        if grant.incarnation == self.topology.own().incarnation {
            self.targets.disable(target);
            let text = "one of the peers named is this peer itself".to_owned();
            self.events.push_back(Event::Error { text });
            let why = "this peer itself".to_owned();
            return self.close(id, CloseReason::Session(why));
        }
        if self.has_max_links() {
            return self.reject(id);
        }
        if self.id().is_none() {
            if let Some(desired) = self.desired_id
                && desired != grant.id
            {
                let text = format!("id {desired} is taken: this peer is {}", grant.id);
                self.events.push_back(Event::Error { text });
            }
            self.adopt_id(grant.id);
        }
        self.targets.mark_linked(self.now, target, id);
        self.attach(id, grant.incarnation);
    }

    /// Both ends know each other: all that is known here is told, and all news from now on.
    fn attach(&mut self, id: LinkId, incarnation: u64) {
        let link = self.links.get_mut(id).expect("a link that is there");
        let (is_dialled, address) = (link.target.is_some(), link.peer_addr);
        link.state = State::Attached { incarnation };
        log::info!("link {id}: attached to {incarnation:016x} {address:?}");
        self.topology.set_neighbours(self.links.neighbours());
        if let Some(advertisement) = self.topology.take_advertisement() {
            self.links.flood(Body::Advertisement(advertisement), Some(id));
        }
        let advertisements: Vec<Body> =
            self.topology.advertisements().cloned().map(Body::Advertisement).collect();
        let retained: Vec<Body> = self.retained.iter_in_order(self.now).map(Body::Chat).collect();
        for body in advertisements.into_iter().chain(retained).chain([Body::EndOfState(Empty {})]) {
            self.links.send(id, body);
        }
        self.close_duplicate_link(id, incarnation, is_dialled);
    }

    /// Of two links between the same two peers one goes: the newer of two that one side dialled, else
    /// the one dialled by the younger life. Whoever dialled it closes it, so that they never close
    /// one each.
    fn close_duplicate_link(&mut self, new_link: LinkId, incarnation: u64, is_dialled: bool) {
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
        self.close(redundant, CloseReason::Session("a second link to the same peer".to_owned()));
    }

    /// Whether nobody but `life` has an id, as far as is known here.
    fn is_id_free(&self, id: i64, incarnation: u64) -> bool {
        // Who was granted one has it before that is heard of.
        let mut granted = self.links.iter().filter_map(|link| link.granted);
        !self.topology.is_taken(id, incarnation)
            && !granted.any(|(granted_id, holder)| {
                granted_id == id && holder != incarnation && !self.topology.is_known(holder)
            })
    }

    /// An id that nobody has, made by `assigner` for `life`; `None` if there is none before the next
    /// interval.
    fn new_id(&mut self, assigner: u128, incarnation: u64) -> Option<i64> {
        loop {
            let id = self.snowflakes.next(self.now, self.unix_time_now(), assigner)?;
            if id > 0 && self.is_id_free(id, incarnation) {
                return Some(id);
            }
        }
    }

    /// Somebody has spoken for this peer's life until no version is left to answer with: it begins
    /// another. It keeps its id and what it keeps, and links anew.
    pub(super) fn reincarnate(&mut self) {
        let incarnation = self.unique_timestamp();
        self.topology.reincarnate(incarnation);
        self.sequences = SendSequences::default();
        let stale: Vec<LinkId> = self
            .links
            .iter()
            .filter(|link| !matches!(link.state, State::Dialling | State::AwaitingHello))
            .map(|link| link.id)
            .collect();
        for link in stale {
            let why = "this peer begins another life".to_owned();
            self.close(link, CloseReason::Session(why));
        }
        let text =
            "somebody has spoken in this peer's name: it links to the others anew".to_owned();
        self.events.push_back(Event::Error { text });
    }

    /// Nobody else grants an id: takes the one desired, or makes one.
    pub(super) fn self_assign_id(&mut self) {
        let incarnation = self.topology.own().incarnation;
        let id = self.desired_id.or_else(|| self.new_id(u128::from(incarnation), incarnation));
        match id {
            Some(id) => self.adopt_id(id),
            None => self.grant_deadline = Some(self.now + INTERVAL),
        }
    }

    /// Somebody has had this peer's id for longer: takes another.
    pub(super) fn replace_id(&mut self) {
        let own = self.topology.own();
        let (incarnation, previous_id) = (own.incarnation, own.id);
        let Some(id) = self.new_id(u128::from(incarnation), incarnation) else {
            self.retry_at = Some(self.now + INTERVAL);
            return;
        };
        let text = format!("another peer has had id {previous_id} for longer: this peer is {id}");
        self.events.push_back(Event::Error { text });
        self.adopt_id(id);
        for chat in self.inbox.take_buffered() {
            self.retain_and_flood(chat, None);
        }
    }

    /// Nothing is kept here for the id: a first id comes before the first link, and a later one is made
    /// here and now.
    fn adopt_id(&mut self, id: i64) {
        let id_since = self.unique_timestamp();
        self.topology.set_own_id(id, id_since);
        self.grant_deadline = None;
        self.events.push_back(Event::Ready { id });
        self.retry_pending_grants();
    }
}
