//! With whom to chat, where anybody will do: the rule by which any number of people who look for
//! anybody become pairs, and nobody talks to somebody who talks to a third.
//!
//! No sockets. Everyone asks the others, one after the other, and the larger id is the one that
//! counts: a question from a larger id, or from somebody who has chosen us, may be answered with a
//! promise; a question from a smaller id is only a look, which finds those who don't know the rule.
//! Invariants: a promise is given to one person, and kept until they are gone; no promise is given
//! while a question to a smaller id is open, as its answer may be one: questions wait meanwhile. They
//! wait for smaller ids only, so never in a circle; of those who know the rule, at most one stays
//! alone.

use crc::id::HostId;

use super::directory::User;

/// Questions that wait; further ones are refused and come again.
pub(super) const DEFERRED_MAX: usize = 64;

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Requester {
    pub(crate) id: HostId,
    pub(crate) name: Vec<u8>,
    /// Whether they want nobody else.
    pub(crate) has_chosen_us: bool,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PairReply {
    /// With whom we chat, from now on or already; empty for nobody.
    Partner(Vec<u8>),
    /// Nothing can be said now.
    RetryLater,
}

/// What somebody who was asked said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PeerInfo {
    /// With whom they chat; empty for nobody.
    pub(crate) partner: Vec<u8>,
    /// Whether they know the rule.
    pub(crate) supports_pairing: bool,
}

/// What an answer means.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// They are the one.
    Paired,
    /// They have somebody else.
    Busy,
    /// They will ask, or have yet to hear of us.
    Pending,
}

#[derive(Debug, PartialEq)]
struct Partner {
    id: HostId,
    name: Vec<u8>,
}

/// The choice of one person; `W` is a question that waits for its [`Reply`].
#[derive(Debug)]
pub(crate) struct Pairing<W> {
    id: HostId,
    name: Vec<u8>,
    partner: Option<Partner>,
    in_flight: Option<HostId>,
    /// Whether they have asked since we did: then their answer may be older than their question.
    is_crossed: bool,
    /// Whom we asked last, whatever came of it.
    last_asked: Option<HostId>,
    /// Those who have somebody else, or will ask us.
    skipped: Vec<HostId>,
    deferred: Vec<(Requester, W)>,
}

impl<W> Pairing<W> {
    pub(crate) fn new(id: HostId, name: &[u8]) -> Self {
        Self {
            id,
            name: name.to_vec(),
            partner: None,
            in_flight: None,
            is_crossed: false,
            last_asked: None,
            skipped: Vec::new(),
            deferred: Vec::new(),
        }
    }

    /// The network knows us by another id.
    pub(crate) fn set_id(&mut self, id: HostId) {
        self.id = id;
    }

    /// Whoever is chosen has come again, with another id.
    pub(crate) fn set_partner_id(&mut self, id: HostId) {
        if let Some(partner) = &mut self.partner {
            partner.id = id;
        }
    }

    /// Who was chosen.
    pub(crate) fn partner(&self) -> Option<(HostId, &[u8])> {
        self.partner.as_ref().map(|chosen| (chosen.id, &chosen.name[..]))
    }

    /// Whom to ask next, in turn; `None` while a question is open, and when somebody is chosen.
    pub(crate) fn next_candidate<'a>(&self, users: &'a [User]) -> Option<&'a User> {
        if self.partner.is_some() || self.in_flight.is_some() {
            return None;
        }
        let candidates = || {
            users.iter().filter(|user| user.name != self.name && !self.skipped.contains(&user.id))
        };
        let mut after = candidates().skip_while(|user| Some(user.id) != self.last_asked).skip(1);
        after.next().or_else(|| candidates().next())
    }

    /// A question is on its way.
    pub(crate) fn on_request_sent(&mut self, id: HostId) {
        (self.in_flight, self.last_asked, self.is_crossed) = (Some(id), Some(id), false);
    }

    /// Somebody asks; what is answered to whom.
    pub(crate) fn on_request(&mut self, requester: Requester, reply_to: W) -> Vec<(W, PairReply)> {
        self.is_crossed |= self.last_asked == Some(requester.id);
        if let Some(partner) = &self.partner {
            return vec![(reply_to, PairReply::Partner(partner.name.clone()))];
        }
        if !requester.has_chosen_us && requester.id < self.id {
            // Whoever looks is free, even if they were not before: then it is for us to ask.
            self.skipped.retain(|id| *id != requester.id);
            return vec![(reply_to, PairReply::Partner(Vec::new()))];
        }
        let must_defer = self.in_flight.is_some_and(|id| id < self.id && id != requester.id);
        if must_defer && self.deferred.len() >= DEFERRED_MAX {
            return vec![(reply_to, PairReply::RetryLater)];
        }
        self.deferred.retain(|(waits, _)| waits.id != requester.id); // they have given that one up
        let (id, name) = (requester.id, requester.name.clone());
        self.deferred.push((requester, reply_to));
        if must_defer { Vec::new() } else { self.choose(id, name) }
    }

    /// Whom we asked has answered; what that means, and what is answered to those who wait.
    pub(crate) fn on_info(
        &mut self,
        peer: &User,
        info: &PeerInfo,
    ) -> (Verdict, Vec<(W, PairReply)>) {
        if self.in_flight == Some(peer.id) {
            self.in_flight = None;
        }
        let is_free = info.partner.is_empty();
        let accepts_us = info.partner == self.name || (is_free && !info.supports_pairing);
        match &self.partner {
            Some(chosen) if chosen.id != peer.id => (Verdict::Pending, Vec::new()),
            Some(_) if accepts_us => (Verdict::Paired, Vec::new()),
            Some(_) if is_free || self.is_crossed => (Verdict::Pending, Vec::new()),
            None if accepts_us => (Verdict::Paired, self.choose(peer.id, peer.name.clone())),
            None if self.is_crossed => (Verdict::Pending, self.choose_deferred()),
            Some(_) | None => {
                self.clear_partner();
                self.skipped.push(peer.id);
                let verdict = if is_free { Verdict::Pending } else { Verdict::Busy };
                (verdict, self.choose_deferred())
            }
        }
    }

    /// Whom we asked cannot chat.
    pub(crate) fn on_rejected(&mut self, peer: HostId) -> Vec<(W, PairReply)> {
        self.in_flight = None;
        self.clear_partner();
        self.skipped.push(peer);
        self.choose_deferred()
    }

    /// Whom we asked has not answered.
    pub(crate) fn on_unreachable(&mut self, peer: HostId) -> Vec<(W, PairReply)> {
        if self.in_flight != Some(peer) {
            return Vec::new();
        }
        self.in_flight = None;
        self.choose_deferred()
    }

    /// Somebody has left the network; a promise to them is void.
    pub(crate) fn on_quit(&mut self, id: HostId) -> Vec<(W, PairReply)> {
        self.skipped.retain(|passed| *passed != id);
        self.deferred.retain(|(waits, _)| waits.id != id);
        if self.partner.as_ref().is_some_and(|chosen| chosen.id == id) {
            self.clear_partner();
        }
        self.in_flight.take_if(|asking| *asking == id);
        if self.in_flight.is_none() { self.choose_deferred() } else { Vec::new() }
    }

    fn clear_partner(&mut self) {
        if self.partner.take().is_some() {
            self.skipped.clear(); // who was told of the promise waits for us to look
        }
    }

    /// Takes the first of those who wait, if any does.
    fn choose_deferred(&mut self) -> Vec<(W, PairReply)> {
        match self.deferred.first() {
            Some((Requester { id, name, .. }, _)) if self.partner.is_none() => {
                self.choose(*id, name.clone())
            }
            _ => Vec::new(),
        }
    }

    fn choose(&mut self, id: HostId, name: Vec<u8>) -> Vec<(W, PairReply)> {
        self.in_flight = None;
        let replies = self.deferred.drain(..);
        let replies = replies.map(|(_, question)| (question, PairReply::Partner(name.clone())));
        let replies = replies.collect();
        self.partner = Some(Partner { id, name });
        replies
    }
}
