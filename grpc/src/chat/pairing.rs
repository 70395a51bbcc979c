//! The pairing of users without a named partner.
//!
//! Any number of users who look for a partner form pairs, and no user chats with one who chats with
//! a third. A state machine without sockets.
//!
//! Each user sends pair requests to the others, one at a time. A request from a larger id, or from
//! a user who has chosen us, may be accepted: the reply names the requester as our partner. A
//! request from a smaller id is answered but not accepted; it serves to find users that do not
//! support pairing.
//!
//! Invariants:
//!
//! 1. One request is accepted at a time, and the choice stands until that user is gone.
//! 2. No request is accepted while our own request to a smaller id is in flight, because its reply
//!    may accept us. Requests are deferred meanwhile.
//! 3. Users wait only for smaller ids, so no cycle of waiting users exists.
//!
//! Of the users that support pairing, at most one stays without a partner.

use crc::id::HostId;

use super::directory::User;

/// Maximum number of deferred requests; the senders of more are asked to retry.
pub(super) const DEFERRED_MAX: usize = 64;

/// The sender of a pair request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Requester {
    pub(crate) id: HostId,
    pub(crate) name: Vec<u8>,
    /// Whether the sender has chosen us as its partner.
    pub(crate) has_chosen_us: bool,
}

/// The reply to a pair request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PairReply {
    /// The name of our partner, chosen now or before; empty for none.
    Partner(Vec<u8>),
    /// Too many requests are deferred.
    RetryLater,
}

/// The reply of another user.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PeerInfo {
    /// The name of its partner; empty for none.
    pub(crate) partner: Vec<u8>,
    /// Whether it supports pairing.
    pub(crate) supports_pairing: bool,
}

/// The meaning of a reply.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The user is our partner.
    Paired,
    /// The user has another partner.
    Busy,
    /// The user will send a request, or does not know us yet.
    Pending,
}

/// The chosen partner.
#[derive(Debug, PartialEq)]
struct Partner {
    id: HostId,
    name: Vec<u8>,
}

/// The pairing state of one user. `W` is the handle for the [`PairReply`] to a request.
#[derive(Debug)]
pub(crate) struct Pairing<W> {
    id: HostId,
    name: Vec<u8>,
    partner: Option<Partner>,
    /// The user that our request in flight was sent to.
    in_flight: Option<HostId>,
    /// Whether that user has sent a request since: then its reply may be older than its request.
    is_crossed: bool,
    /// The user that our last request was sent to, whatever its result.
    last_asked: Option<HostId>,
    /// Users that have another partner or will send us a request.
    skipped: Vec<HostId>,
    /// Requests that wait for the reply to ours.
    deferred: Vec<(Requester, W)>,
}

impl<W> Pairing<W> {
    /// Returns the state of a user without a partner.
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

    /// Sets our own id, which changes when the network is rejoined.
    pub(crate) fn set_id(&mut self, id: HostId) {
        self.id = id;
    }

    /// Sets the id of our partner, which changes when the partner rejoins.
    pub(crate) fn set_partner_id(&mut self, id: HostId) {
        if let Some(partner) = &mut self.partner {
            partner.id = id;
        }
    }

    /// Returns the chosen partner.
    pub(crate) fn partner(&self) -> Option<(HostId, &[u8])> {
        self.partner.as_ref().map(|partner| (partner.id, &partner.name[..]))
    }

    /// Returns the user to send the next request to, round robin. `None` while a request is in
    /// flight and once a partner is chosen.
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

    /// Records that a request was sent.
    pub(crate) fn on_request_sent(&mut self, id: HostId) {
        (self.in_flight, self.last_asked, self.is_crossed) = (Some(id), Some(id), false);
    }

    /// Handles a request. Returns the replies to send.
    pub(crate) fn on_request(&mut self, requester: Requester, reply_to: W) -> Vec<(W, PairReply)> {
        self.is_crossed |= self.last_asked == Some(requester.id);
        if let Some(partner) = &self.partner {
            return vec![(reply_to, PairReply::Partner(partner.name.clone()))];
        }
        if !requester.has_chosen_us && requester.id < self.id {
            // The requester is free again, and we are the one to send a request.
            self.skipped.retain(|id| *id != requester.id);
            return vec![(reply_to, PairReply::Partner(Vec::new()))];
        }
        let must_defer = self.in_flight.is_some_and(|id| id < self.id && id != requester.id);
        if must_defer && self.deferred.len() >= DEFERRED_MAX {
            return vec![(reply_to, PairReply::RetryLater)];
        }
        // The requester has given up its earlier request.
        self.deferred.retain(|(deferred, _)| deferred.id != requester.id);
        let (id, name) = (requester.id, requester.name.clone());
        self.deferred.push((requester, reply_to));
        if must_defer { Vec::new() } else { self.choose(id, name) }
    }

    /// Handles the reply to our request. Returns its meaning and the replies to deferred requests.
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
            Some(partner) if partner.id != peer.id => (Verdict::Pending, Vec::new()),
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

    /// Handles an error from the user that we sent a request to. Returns the replies to send.
    pub(crate) fn on_rejected(&mut self, peer: HostId) -> Vec<(W, PairReply)> {
        self.in_flight = None;
        self.clear_partner();
        self.skipped.push(peer);
        self.choose_deferred()
    }

    /// Handles the failure to reach a user. Returns the replies to send.
    pub(crate) fn on_unreachable(&mut self, peer: HostId) -> Vec<(W, PairReply)> {
        if self.in_flight != Some(peer) {
            return Vec::new();
        }
        self.in_flight = None;
        self.choose_deferred()
    }

    /// Handles the quit of a user, which ends a pairing with it. Returns the replies to send.
    pub(crate) fn on_quit(&mut self, id: HostId) -> Vec<(W, PairReply)> {
        self.skipped.retain(|skipped| *skipped != id);
        self.deferred.retain(|(deferred, _)| deferred.id != id);
        if self.partner.as_ref().is_some_and(|partner| partner.id == id) {
            self.clear_partner();
        }
        self.in_flight.take_if(|peer| *peer == id);
        if self.in_flight.is_none() { self.choose_deferred() } else { Vec::new() }
    }

    fn clear_partner(&mut self) {
        if self.partner.take().is_some() {
            self.skipped.clear(); // users that were told of the partner wait for our request
        }
    }

    /// Accepts the first deferred request, if there is one.
    fn choose_deferred(&mut self) -> Vec<(W, PairReply)> {
        match self.deferred.first() {
            Some((Requester { id, name, .. }, _)) if self.partner.is_none() => {
                self.choose(*id, name.clone())
            }
            _ => Vec::new(),
        }
    }

    /// Chooses a partner and answers all deferred requests.
    fn choose(&mut self, id: HostId, name: Vec<u8>) -> Vec<(W, PairReply)> {
        self.in_flight = None;
        let replies = self.deferred.drain(..);
        let replies = replies.map(|(_, reply_to)| (reply_to, PairReply::Partner(name.clone())));
        let replies = replies.collect();
        self.partner = Some(Partner { id, name });
        replies
    }
}
