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
use super::pairing::{PairReply, Pairing};
use super::peer::{PairRequest, Peer};
use super::{ChatSession, Link, TaskEventKind};

pub(super) type ReplySender = oneshot::Sender<PairReply>;

/// A network that was joined.
pub(super) struct Network {
    server: Address,
    /// Where we told it that we are.
    advertised_addr: SocketAddr,
    /// `None` while it is lost.
    pub(super) client: Option<CrcClient>,
    /// Where anybody will do.
    pub(super) pairing: Option<Pairing<ReplySender>>,
    /// Questions of people of whom we have not been told yet.
    pub(super) deferred_requests: Vec<(PairRequest, ReplySender)>,
    /// Whether nobody was there before under our name.
    pub(super) is_name_confirmed: bool,
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

    pub(super) fn user(&self, id: HostId) -> Option<&User> {
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
