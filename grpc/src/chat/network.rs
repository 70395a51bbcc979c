//! What a network means for the chat: who is chosen, followed and missed, and how it is joined again
//! when it is lost. A chat that goes on is disturbed by none of that.

use std::net::SocketAddr;

use crc::id::HostId;
use crc::link::backoff;
use crc::printable::Printable;
use crc::uri::Address;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::crc_client::{self, CrcClient};
use super::directory::{DirectoryEvent, User};
use super::pairing::{PairReply, Pairing, Requester, Verdict};
use super::peer::{IncomingRequest, PairRequest, Peer};
use super::{ChatSession, Link, Target, TaskEventKind};
use crate::limits::DEFERRED_REQUESTS_MAX;

type ReplySender = oneshot::Sender<PairReply>;

/// A network that was joined.
pub(super) struct Network {
    server: Address,
    /// Where we told it that we are.
    advertised_addr: SocketAddr,
    /// `None` while it is lost.
    pub(super) client: Option<CrcClient>,
    /// Where anybody will do.
    pairing: Option<Pairing<ReplySender>>,
    /// Questions of people of whom we have not been told yet.
    deferred_requests: Vec<(PairRequest, ReplySender)>,
    /// Whether nobody was there before under our name.
    is_name_confirmed: bool,
}

impl Network {
    pub(super) fn new(server: Address, advertised_addr: SocketAddr, client: CrcClient) -> Self {
        let (pairing, deferred_requests) = (None, Vec::new());
        Self {
            server,
            advertised_addr,
            client: Some(client),
            pairing,
            deferred_requests,
            is_name_confirmed: false,
        }
    }

    /// Anybody will do.
    pub(super) fn start_pairing(&mut self, name: &str) {
        let id = self.client.as_ref().map_or(HostId::NONE, |relay| relay.directory().id());
        self.pairing = Some(Pairing::new(id, name.as_bytes()));
    }

    fn user(&self, id: HostId) -> Option<&User> {
        self.client.as_ref()?.directory().user(id)
    }

    /// Whether somebody may be there, as far as is known.
    pub(super) fn may_contain(&self, id: HostId) -> bool {
        self.client.is_none() || self.user(id).is_some()
    }

    /// What we ask the other.
    pub(super) fn make_request(&mut self, peer_id: HostId) -> Option<PairRequest> {
        let id = self.client.as_ref()?.directory().id();
        let has_chosen = self.pairing.as_ref().is_none_or(|choice| choice.partner().is_some());
        if let Some(pairing) = &mut self.pairing {
            pairing.on_request_sent(peer_id);
        }
        Some(PairRequest { id, has_chosen_us: has_chosen })
    }
}

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
    fn apply_choice(&mut self, replies: Vec<(ReplySender, PairReply)>) {
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

    pub(super) fn on_directory_events(
        &mut self,
        events: Result<Vec<DirectoryEvent>, String>,
    ) -> Result<(), String> {
        let events = match events {
            Ok(news) => news,
            Err(why) => {
                self.on_network_lost(&why);
                return Ok(());
            }
        };
        for event in events {
            match event {
                DirectoryEvent::Welcome => {}
                DirectoryEvent::InitialSync(users) => self.on_initial_sync(users),
                DirectoryEvent::Joined(user) => self.on_joined(&user),
                DirectoryEvent::Quit(user) => self.on_quit(user),
                DirectoryEvent::Refused(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn on_network_lost(&mut self, why: &str) {
        let Some(network) = &mut self.network else { return };
        network.client = None;
        let (server, address, name) =
            (network.server.clone(), network.advertised_addr, self.name.clone());
        self.spawn(async move {
            TaskEventKind::Rejoined(Box::new(rejoin(&server, &name, address).await))
        });
        let suffix = if self.peer_name.is_some() { ", the chat goes on directly" } else { "" };
        self.print_note(format!(
            "the network is lost{suffix}, and joined again when it is there: {why}"
        ));
    }

    pub(super) fn on_network_rejoined(&mut self, client: CrcClient) {
        let Some(network) = &mut self.network else { return };
        if let Some(pairing) = &mut network.pairing {
            pairing.set_id(client.directory().id());
        }
        network.client = Some(client);
        self.print_note("the network is there again".to_owned());
    }

    fn on_joined(&mut self, user: &User) {
        let own_addr = self.network.as_ref().map(|network| network.advertised_addr);
        if user.name == self.name.as_bytes() && own_addr != Some(user.address) {
            let name = Printable(&user.name);
            return self.print_note(format!("another {name} has come to the network"));
        }
        self.update_target();
    }

    /// Before anything else it must be certain that the name is ours. Somebody whose connection the
    /// network has not missed yet, as after a crash, has no say; nor has what it remembers of us.
    fn on_initial_sync(&mut self, users: Vec<User>) {
        let Some(network) = &mut self.network else { return };
        let own_addr = network.advertised_addr;
        let is_namesake =
            |user: &User| user.name == self.name.as_bytes() && user.address != own_addr;
        let namesakes: Vec<User> = users.into_iter().filter(is_namesake).collect();
        if network.is_name_confirmed {
            return self.on_resync(&namesakes);
        }
        self.spawn(async move {
            for user in namesakes {
                match Peer::dial(user.address, None).await {
                    Ok((peer, _)) if peer.name.as_bytes() == user.name => {
                        return TaskEventKind::NameChecked(Some(user));
                    }
                    _ => {}
                }
            }
            TaskEventKind::NameChecked(None)
        });
    }

    /// All who are there after the network was lost for a while. Some have left meanwhile.
    fn on_resync(&mut self, namesakes: &[User]) {
        for user in namesakes {
            self.on_joined(user);
        }
        let Some(network) = &mut self.network else { return };
        if self.peer_name.is_none()
            && let (Some(client), Some(pairing)) = (&network.client, &mut network.pairing)
            && let Some((id, name)) = pairing.partner()
            && !client.directory().contains(id)
            && client.directory().next_by_name(name, None).is_none()
        {
            let replies = pairing.on_quit(id);
            self.apply_choice(replies);
        }
        self.update_target();
    }

    pub(super) fn on_name_confirmed(&mut self) {
        if let Some(network) = &mut self.network {
            network.is_name_confirmed = true;
        }
        self.update_target();
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

    fn on_quit(&mut self, user: User) {
        if let Some(pairing) = self.network.as_mut().and_then(|network| network.pairing.as_mut()) {
            let is_chosen = pairing.partner().is_some_and(|(id, _)| id == user.id);
            // Who was there is waited for, as they may come again.
            if !(is_chosen && self.peer_name.is_some()) {
                let replies = pairing.on_quit(user.id);
                self.apply_choice(replies);
            }
        }
        if self.target_id() != Some(user.id) {
            return self.update_target();
        }
        self.update_target();
        // Who ends leaves the network and the chat, and either may be heard of first: what goes on
        // is asked over the connection itself.
        match &self.link {
            Link::Up(peer) if self.target_id() == Some(user.id) => {
                let answer = peer.ping();
                self.spawn(async { TaskEventKind::QuitProbed(user, answer.await) });
            }
            _ => self.print_note(format!("{} has left the network", Printable(&user.name))),
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

/// News of a network; without one, none ever.
pub(super) async fn next_events(
    network: &mut Option<Network>,
) -> Result<Vec<DirectoryEvent>, String> {
    match network.as_mut().and_then(|network| network.client.as_mut()) {
        Some(client) => client.next_events().await,
        None => std::future::pending().await,
    }
}

/// Joins again, as soon as that is possible.
async fn rejoin(server: &Address, name: &str, address: SocketAddr) -> CrcClient {
    let mut rng = StdRng::from_rng(&mut rand::rng());
    for failed_rounds in 0.. {
        sleep(backoff(failed_rounds.min(8), &mut rng)).await;
        if let Ok(stream) = crc_client::connect(server).await
            && let Ok(client) = CrcClient::join(stream, name, address).await
        {
            return client;
        }
    }
    unreachable!("there is always another round")
}
