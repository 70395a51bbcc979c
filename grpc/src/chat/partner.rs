//! The partner of a chat: which user is chosen, and where the chat connects to.
//!
//! A running chat is never disturbed: the partner is followed to another address only when its
//! connection is down or the network lists it there under a new id.

use std::net::SocketAddr;

use crc::id::HostId;
use crc::printable::Printable;

use super::directory::User;
use super::network::ReplySender;
use super::pairing::{PairReply, Requester, Verdict};
use super::peer::{IncomingRequest, PairRequest, Peer};
use super::{ChatSession, Link, Target};
use crate::limits::DEFERRED_REQUESTS_MAX;

impl ChatSession {
    /// Somebody asks with whom we chat, and may want to be the one.
    pub(super) fn on_pair_request(&mut self, IncomingRequest { request, reply }: IncomingRequest) {
        let partner = self.partner.clone().unwrap_or_default();
        let Some(network) = &mut self.network else {
            return send_reply(reply, PairReply::Partner(partner));
        };
        let (Some(pairing), Some(request)) = (&mut network.pairing, request) else {
            return send_reply(reply, PairReply::Partner(partner));
        };
        let client = network.client.as_ref().filter(|_| network.is_name_confirmed);
        let user = client.and_then(|relay| relay.directory().user(request.id));
        let Some(user) = user else {
            network.deferred_requests.retain(|(_, reply)| !reply.is_closed());
            match network.deferred_requests.len() < DEFERRED_REQUESTS_MAX {
                true => network.deferred_requests.push((request, reply)),
                false => send_reply(reply, PairReply::RetryLater),
            }
            return;
        };
        let PairRequest { id, has_chosen_us: has_chosen } = request;
        let requester = Requester { id, name: user.name.clone(), has_chosen_us: has_chosen };
        let replies = pairing.on_request(requester, reply);
        self.apply_choice(replies);
        self.update_target();
    }

    /// The other has answered, where anybody will do; whether they are the one.
    pub(super) fn accept_peer(&mut self, peer: &Peer) -> bool {
        let id = self.target_id();
        let Some(network) = &mut self.network else { return true };
        let user = id.and_then(|id| network.user(id).cloned());
        let Some(pairing) = &mut network.pairing else { return true };
        let Some(user) = user else {
            // They are no longer known: only who was chosen before will do.
            let is_chosen = pairing.partner().is_some();
            self.on_peer_unreachable();
            return is_chosen;
        };
        let (verdict, replies) = pairing.on_info(&user, &peer.info);
        self.apply_choice(replies);
        if verdict == Verdict::Busy {
            let partner = Printable(&peer.info.partner);
            self.print_note(format!("{} chats with {partner}", Printable(&user.name)));
            self.last_dial = None; // the next is somebody else
        }
        verdict == Verdict::Paired
    }

    /// Nobody has answered; the next may.
    pub(super) fn on_peer_unreachable(&mut self) {
        let id = self.target_id();
        if let Some(pairing) = self.network.as_mut().and_then(|network| network.pairing.as_mut())
            && let Some(id) = id
        {
            let replies = pairing.on_unreachable(id);
            self.apply_choice(replies);
        }
    }

    /// Whoever answers cannot chat; `false` where they are the only one who will do.
    pub(super) fn skip_peer(&mut self, why: &str) -> bool {
        let id = self.target_id();
        let Some(pairing) = self.network.as_mut().and_then(|network| network.pairing.as_mut())
        else {
            return false;
        };
        let Some(id) = id else { return false };
        let replies = pairing.on_rejected(id);
        self.apply_choice(replies);
        self.print_note(format!("somebody in the network does not chat: {why}"));
        true
    }

    /// Answers those who asked, and goes to whoever is chosen by now.
    pub(super) fn apply_choice(&mut self, replies: Vec<(ReplySender, PairReply)>) {
        replies.into_iter().for_each(|(replying, reply)| send_reply(replying, reply));
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
        self.last_dial = None; // they are there: they have just said so
        if let Some(User { name, address, .. }) = network.user(id).cloned() {
            self.print_note(format!("{} is in the network, at {address}", Printable(&name)));
            if self.target_id() != Some(id) {
                self.set_target(Some(id), address);
            }
        }
    }

    fn set_target(&mut self, user_id: Option<HostId>, address: SocketAddr) {
        self.target = Some(Target::new(address, user_id));
        self.generation += 1; // what the last connection has to tell is about the past
        self.link = Link::Down;
    }

    /// Hears those who asked too early, looks for somebody where that is open, and follows.
    pub(super) fn update_target(&mut self) {
        let Some(network) = &mut self.network else { return };
        if !network.is_name_confirmed {
            return;
        }
        let is_known = |(question, _): &mut (PairRequest, ReplySender)| {
            let client = network.client.as_ref();
            client.is_some_and(|relay| relay.directory().contains(question.id))
        };
        let known: Vec<_> = network.deferred_requests.extract_if(.., is_known).collect();
        if !known.is_empty() {
            // Each of them looks around again.
            return known.into_iter().for_each(|(question, reply)| {
                self.on_pair_request(IncomingRequest { request: Some(question), reply });
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

    /// Goes to where the other is now, unless there is a connection that the network stands for.
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
            // The network, or the way to it, was away, and not the other.
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
                        "{} has come again, at {address}",
                        self.peer_display_name()
                    ));
                }
                self.set_target(Some(id), address);
            }
        }
    }

    /// Who the other is in the network.
    pub(super) fn target_id(&self) -> Option<HostId> {
        self.target.as_ref()?.user_id
    }
}

fn send_reply(sender: ReplySender, reply: PairReply) {
    let _ = sender.send(reply); // who has given up asks again
}
