//! How links begin, and who goes by which id.
//!
//! Whoever connects says a hello: who it is, and the id that it goes by or wishes. Whoever was
//! connected to grants an id and says who it is. Then either tells the other all that it knows. A
//! peer that finds nobody takes an id itself; when parts join in which one id was taken twice, the
//! older claim holds, and the other peer finds that out by itself.

use super::id::INTERVAL;
use super::links::State;
use super::said::Said;
use super::wire::{Body, Empty, Grant, Hello};
use super::{Event, Peer};
use crate::limits::PEER_LINKS_MAX;
use crate::link::{CloseReason, LinkId};

impl Peer {
    pub(super) fn say_hello(&mut self, id: LinkId) {
        let own = self.network.own();
        let desired_id = if own.id == 0 { self.desired_id.unwrap_or(0) } else { 0 };
        let hello = Hello { life: own.life, id: own.id, desired_id };
        self.links.say(id, Body::Hello(hello));
    }

    pub(super) fn handle_hello(&mut self, id: LinkId, hello: Hello) {
        let own = self.network.own();
        if hello.life == own.life {
            // The other end, here as well, learns from this that it is.
            let grant = Grant { life: own.life, id: own.id.max(1), refused: true };
            self.links.say(id, Body::Grant(grant));
            let why = "this peer has connected to itself".to_owned();
            return self.close(id, CloseReason::Session(why));
        }
        self.links.get_mut(id).expect("a link that speaks").state = State::Asked(hello);
        self.grant(id, hello);
    }

    /// Answers a hello, if there is an id to answer with.
    fn grant(&mut self, link: LinkId, hello: Hello) {
        let Some(own) = self.id() else { return };
        if self.is_full() {
            return self.refuse(link);
        }
        let id = match (hello.id, hello.desired_id) {
            (id, _) if id > 0 => Some(id), // whose it is, all find out alike
            (_, wish) if wish > 0 && self.is_free(wish, hello.life) => Some(wish),
            _ => self.new_id(u128::from(own.unsigned_abs()), hello.life),
        };
        let Some(id) = id else {
            self.retry_at = Some(self.now + INTERVAL);
            return;
        };
        let refused = hello.id == 0 && hello.desired_id != 0 && hello.desired_id != id;
        let life = self.network.own().life;
        self.links.get_mut(link).expect("a link that asked").granted = Some((id, hello.life));
        self.links.say(link, Body::Grant(Grant { life, id, refused }));
        self.attach(link, hello.life);
    }

    /// Whether it has as many links as it may. Those who could not be answered at first are counted when
    /// they are, and so are the peers that were named: none of the others would believe in more.
    fn is_full(&self) -> bool {
        self.links.attached().count() >= PEER_LINKS_MAX
    }

    fn refuse(&mut self, id: LinkId) {
        let why = format!("there are {PEER_LINKS_MAX} links already");
        self.close(id, CloseReason::Session(why));
    }

    /// Answers those for whom there was no id before.
    pub(super) fn answer_those_who_asked(&mut self) {
        let asked: Vec<(LinkId, Hello)> = self
            .links
            .iter()
            .filter_map(|link| match link.state {
                State::Asked(hello) => Some((link.id, hello)),
                _ => None,
            })
            .collect();
        for (link, hello) in asked {
            self.grant(link, hello);
        }
    }

    pub(super) fn handle_grant(&mut self, id: LinkId, grant: Grant) {
        let target = self.links.get(id).and_then(|link| link.target).expect("a link dialled");
        if grant.life == self.network.own().life {
            self.targets.never(target);
            let text = "one of the peers named is this peer itself".to_owned();
            self.events.push_back(Event::Error { text });
            let why = "this peer itself".to_owned();
            return self.close(id, CloseReason::Session(why));
        }
        if self.is_full() {
            return self.refuse(id);
        }
        if self.id().is_none() {
            if let Some(desired) = self.desired_id
                && desired != grant.id
            {
                let text = format!("id {desired} is taken: this peer is {}", grant.id);
                self.events.push_back(Event::Error { text });
            }
            self.take_id(grant.id);
        }
        self.targets.linked(self.now, target, id);
        self.attach(id, grant.life);
    }

    /// Both ends know each other: all that is known here is told, and all news from now on.
    fn attach(&mut self, id: LinkId, life: u64) {
        let link = self.links.get_mut(id).expect("a link that is there");
        let (is_dialled, address) = (link.target.is_some(), link.address);
        link.state = State::Attached { life };
        log::info!("link {id}: attached to {life:016x} {address:?}");
        self.network.set_neighbours(self.links.neighbours());
        if let Some(news) = self.network.take_news() {
            self.links.flood(Body::Here(news), Some(id));
        }
        let known: Vec<Body> = self.network.all().cloned().map(Body::Here).collect();
        let kept: Vec<Body> = self.kept.in_order(self.now).map(Body::Chat).collect();
        for body in known.into_iter().chain(kept).chain([Body::EndOfState(Empty {})]) {
            self.links.say(id, body);
        }
        self.end_double_link(id, life, is_dialled);
    }

    /// Of two links between the same two peers one goes: the newer of two that one side dialled, else
    /// the one dialled by the younger life. Whoever dialled it closes it, so that they never close
    /// one each.
    fn end_double_link(&mut self, new: LinkId, life: u64, is_dialled: bool) {
        let mut attached = self.links.attached();
        let Some((other, _)) = attached.find(|(link, l)| *l == life && link.id != new) else {
            return;
        };
        let is_younger = self.network.own().life > life;
        let loser = match (is_dialled, other.target.is_some()) {
            (true, true) => new,
            (true, false) if is_younger => new,
            (false, true) if is_younger => other.id,
            _ => return,
        };
        drop(attached);
        let target = self.links.get(loser).and_then(|link| link.target).expect("dialled here");
        self.targets.met(target, life);
        self.close(loser, CloseReason::Session("a second link to the same peer".to_owned()));
    }

    /// Whether nobody but `life` has an id, as far as is known here.
    fn is_free(&self, id: i64, life: u64) -> bool {
        // Who was granted one has it before that is heard of.
        let mut granted = self.links.iter().filter_map(|link| link.granted);
        !self.network.is_taken(id, life)
            && !granted.any(|(has, by)| has == id && by != life && !self.network.knows(by))
    }

    /// An id that nobody has, made by `assigner` for `life`; `None` if there is none before the next
    /// interval.
    fn new_id(&mut self, assigner: u128, life: u64) -> Option<i64> {
        loop {
            let id = self.snowflakes.next(self.now, self.wall_now(), assigner)?;
            if id > 0 && self.is_free(id, life) {
                return Some(id);
            }
        }
    }

    /// Somebody has spoken for this peer's life until no version is left to answer with: it begins
    /// another. It keeps its id and what it keeps, and links anew.
    pub(super) fn begin_anew(&mut self) {
        let life = self.stamp();
        self.network.begin_anew(life);
        self.said = Said::default();
        let stale: Vec<LinkId> = self
            .links
            .iter()
            .filter(|link| !matches!(link.state, State::Dialling | State::AwaitsHello))
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
    pub(super) fn take_id_alone(&mut self) {
        let life = self.network.own().life;
        let id = self.desired_id.or_else(|| self.new_id(u128::from(life), life));
        match id {
            Some(id) => self.take_id(id),
            None => self.grant_until = Some(self.now + INTERVAL),
        }
    }

    /// Somebody has had this peer's id for longer: takes another.
    pub(super) fn renumber(&mut self) {
        let own = self.network.own();
        let (life, before) = (own.life, own.id);
        let Some(id) = self.new_id(u128::from(life), life) else {
            self.retry_at = Some(self.now + INTERVAL);
            return;
        };
        let text = format!("another peer has had id {before} for longer: this peer is {id}");
        self.events.push_back(Event::Error { text });
        self.take_id(id);
        for chat in self.inbox.renumbered() {
            self.pass_on(chat, None);
        }
    }

    /// Nothing is kept here for the id: a first id comes before the first link, and a later one is made
    /// here and now.
    fn take_id(&mut self, id: i64) {
        let since = self.stamp();
        self.network.take_id(id, since);
        self.grant_until = None;
        self.events.push_back(Event::Ready { id });
        self.answer_those_who_asked();
    }
}
