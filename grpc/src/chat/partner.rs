//! The partner of a chat: which user is chosen, and where the chat connects to.
//!
//! A running chat is never disturbed: the partner is followed to another address only when its
//! connection is down or the network lists it there under a new id.

use std::net::SocketAddr;

use crc::id::HostId;
use crc::internal::Printable;

use super::directory::User;
use super::network::ReplySender;
use super::pairing::{PairReply, Requester, Verdict};
use super::peer::{IncomingRequest, PairRequest, Peer};
use super::{ChatSession, Link, Target};
use crate::limits::DEFERRED_REQUESTS_MAX;

impl ChatSession {
    /// Handles a request for our info, which may be a pair request.
    pub(super) fn on_pair_request(&mut self, IncomingRequest { request, reply }: IncomingRequest) {
        let partner = self.partner.clone().unwrap_or_default();
        let Some(network) = &mut self.network else {
            return send_reply(reply, PairReply::Partner(partner));
        };
        let (Some(pairing), Some(request)) = (&mut network.pairing, request) else {
            return send_reply(reply, PairReply::Partner(partner));
        };
        let client = network.client.as_ref().filter(|_| network.is_name_confirmed);
        let user = client.and_then(|client| client.directory().user(request.id));
        let Some(user) = user else {
            network.deferred_requests.retain(|(_, reply)| !reply.is_closed());
            match network.deferred_requests.len() < DEFERRED_REQUESTS_MAX {
                true => network.deferred_requests.push((request, reply)),
                false => send_reply(reply, PairReply::RetryLater),
            }
            return;
        };
        let PairRequest { id, has_chosen_us } = request;
        let requester = Requester { id, name: user.name.clone(), has_chosen_us };
        let replies = pairing.on_request(requester, reply);
        self.apply_choice(replies);
        self.update_target();
    }

    /// Handles the info of a connected peer. Returns whether it is our partner.
    pub(super) fn accept_peer(&mut self, peer: &Peer) -> bool {
        let id = self.target_id();
        let Some(network) = &mut self.network else { return true };
        let user = id.and_then(|id| network.user(id).cloned());
        let Some(pairing) = &mut network.pairing else { return true };
        let Some(user) = user else {
            // The user has left the network: accepted only if it was chosen before.
            let is_chosen = pairing.partner().is_some();
            self.on_peer_unreachable();
            return is_chosen;
        };
        let (verdict, replies) = pairing.on_info(&user, &peer.info);
        self.apply_choice(replies);
        if verdict == Verdict::Busy {
            let partner = Printable(&peer.info.partner);
            self.print_note(format!("{} chats with {partner}", Printable(&user.name)));
            self.last_dial = None; // the next attempt goes to another user
        }
        verdict == Verdict::Paired
    }

    /// Handles a target that cannot be reached: another user may be chosen.
    pub(super) fn on_peer_unreachable(&mut self) {
        let id = self.target_id();
        if let Some(pairing) = self.network.as_mut().and_then(|network| network.pairing.as_mut())
            && let Some(id) = id
        {
            let replies = pairing.on_unreachable(id);
            self.apply_choice(replies);
        }
    }

    /// Handles a target that does not provide the Chat service: another user may be chosen.
    ///
    /// # Errors
    /// Returns an error if no other user is eligible, because the partner was named.
    pub(super) fn skip_peer(&mut self, why: &str) -> Result<(), String> {
        let Some(target) = &self.target else { return Ok(()) };
        let note = format!("the server at {} is not a chat: {why}", target.address);
        let pairing = self.network.as_mut().and_then(|network| network.pairing.as_mut());
        let (Some(pairing), Some(id)) = (pairing, target.user_id) else { return Err(note) };
        let replies = pairing.on_rejected(id);
        self.apply_choice(replies);
        self.print_note(note);
        Ok(())
    }

    /// Sends replies, and connects to the partner if the choice has changed.
    pub(super) fn apply_choice(&mut self, replies: Vec<(ReplySender, PairReply)>) {
        replies.into_iter().for_each(|(sender, reply)| send_reply(sender, reply));
        let Some(network) = &self.network else { return };
        let Some(pairing) = &network.pairing else { return };
        let chosen = pairing.partner().map(|(id, name)| (id, name.to_vec()));
        let partner = chosen.as_ref().map(|(_, name)| name);
        if partner == self.partner.as_ref() {
            return;
        }
        let Some((id, name)) = chosen else {
            (self.partner, self.target, self.link) = (None, None, Link::Down);
            self.generation += 1;
            return;
        };
        self.partner = Some(name);
        self.last_dial = None; // the partner has just answered or sent a request
        if let Some(User { name, address, .. }) = network.user(id).cloned() {
            self.print_note(format!("{} is in the network, at {address}", Printable(&name)));
            if self.target_id() != Some(id) {
                self.set_target(Some(id), address);
            }
        }
    }

    /// Replaces the target and drops the connection to the previous one.
    fn set_target(&mut self, user_id: Option<HostId>, address: SocketAddr) {
        self.target = Some(Target::new(address, user_id));
        self.generation += 1; // ignores results of the previous connection
        self.link = Link::Down;
    }

    /// Handles deferred requests of users that are known by now, picks the next candidate if no
    /// partner is chosen, and follows the partner.
    pub(super) fn update_target(&mut self) {
        let Some(network) = &mut self.network else { return };
        if !network.is_name_confirmed {
            return;
        }
        let is_known = |(request, _): &mut (PairRequest, ReplySender)| {
            let client = network.client.as_ref();
            client.is_some_and(|client| client.directory().contains(request.id))
        };
        let known: Vec<_> = network.deferred_requests.extract_if(.., is_known).collect();
        if !known.is_empty() {
            // Each request updates the target again.
            return known.into_iter().for_each(|(request, reply)| {
                self.on_pair_request(IncomingRequest { request: Some(request), reply });
            });
        }
        if let (Some(client), Some(pairing)) = (&network.client, &network.pairing)
            && pairing.partner().is_none()
            && matches!(self.link, Link::Down)
        {
            let next = pairing.next_candidate(client.directory().users());
            let next = next.map(|user| (user.address, user.id));
            if next.map(|(_, id)| id) != self.target_id() {
                self.target = next.map(|(address, id)| Target::new(address, Some(id)));
            }
        }
        self.follow_partner();
    }

    /// Connects to the partner's current address, unless a connection or an attempt to a user that
    /// the network lists exists.
    pub(super) fn follow_partner(&mut self) {
        let (Some(network), Some(partner)) = (&mut self.network, &self.partner) else { return };
        let Some(client) = network.client.as_ref().filter(|_| network.is_name_confirmed) else {
            return;
        };
        let target_id = self.target.as_ref().and_then(|target| target.user_id);
        let is_current = !matches!(self.link, Link::Down)
            && target_id.is_some_and(|id| client.directory().contains(id));
        if is_current {
            return;
        }
        let Some(user) = client.directory().next_by_name(partner, target_id) else { return };
        let (id, address) = (user.id, user.address);
        if target_id == Some(id) {
            return;
        }
        if let Some(pairing) = &mut network.pairing {
            pairing.set_partner_id(id);
        }
        let is_up = matches!(self.link, Link::Up(_));
        match &mut self.target {
            // The partner never moved: only the network was lost.
            Some(target) if target.address == address => {
                target.user_id = Some(id);
                if is_up {
                    self.print_note(format!(
                        "{} is in the network again",
                        self.peer_display_name()
                    ));
                }
            }
            _ => {
                if is_up {
                    self.print_note(format!(
                        "{} is in the network again, at {address}",
                        self.peer_display_name()
                    ));
                }
                self.set_target(Some(id), address);
            }
        }
    }

    /// Returns the target's id in the network.
    pub(super) fn target_id(&self) -> Option<HostId> {
        self.target.as_ref()?.user_id
    }
}

/// Replies to a pair request.
fn send_reply(sender: ReplySender, reply: PairReply) {
    let _ = sender.send(reply); // a requester that gave up retries
}
