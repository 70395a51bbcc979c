//! The crc network of a chat: joining, rejoining after a loss, and the users that come and go.

use std::net::SocketAddr;
use std::time::Duration;

use crc::id::HostId;
use crc::internal::Printable;
use crc::link::{Redial, Time};
use crc::uri::Address;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::crc_client::{self, CrcClient};
use super::directory::{DirectoryEvent, User};
use super::pairing::{PairReply, Pairing};
use super::peer::{PairRequest, Peer};
use super::{ChatSession, Link, TaskEventKind};

/// The handle for the reply to a pair request.
pub(super) type ReplySender = oneshot::Sender<PairReply>;

/// A crc network that was joined.
pub(super) struct Network {
    server: Address,
    /// The address that we advertise in the network.
    advertised_addr: SocketAddr,
    /// The connection to the server; `None` while it is lost.
    pub(super) client: Option<CrcClient>,
    /// The pairing state of a user without a named partner.
    pub(super) pairing: Option<Pairing<ReplySender>>,
    /// Requests of users that are not known in the network yet.
    pub(super) deferred_requests: Vec<(PairRequest, ReplySender)>,
    /// Whether no reachable user had our name first.
    pub(super) is_name_confirmed: bool,
}

impl Network {
    /// Returns the state of a network that was just joined.
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

    /// Starts looking for any partner.
    pub(super) fn start_pairing(&mut self, name: &str) {
        let id = self.client.as_ref().map_or(HostId::NONE, |client| client.directory().id());
        self.pairing = Some(Pairing::new(id, name.as_bytes()));
    }

    /// Returns a user of the network, while it is connected.
    pub(super) fn user(&self, id: HostId) -> Option<&User> {
        self.client.as_ref()?.directory().user(id)
    }

    /// Returns whether a user may be in the network: it is known, or the network is lost.
    pub(super) fn may_contain(&self, id: HostId) -> bool {
        self.client.is_none() || self.user(id).is_some()
    }

    /// Returns the pair request for a user, and records it as sent.
    pub(super) fn make_request(&mut self, peer_id: HostId) -> Option<PairRequest> {
        let id = self.client.as_ref()?.directory().id();
        let has_chosen_us = self.pairing.as_ref().is_none_or(|it| it.partner().is_some());
        if let Some(pairing) = &mut self.pairing {
            pairing.on_request_sent(peer_id);
        }
        Some(PairRequest { id, has_chosen_us })
    }
}

impl ChatSession {
    /// Handles the events of the network, or the loss of the connection to it.
    pub(super) fn on_directory_events(
        &mut self,
        events: Result<Vec<DirectoryEvent>, String>,
    ) -> Result<(), String> {
        let events = match events {
            Ok(events) => events,
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

    /// Starts rejoining a lost network.
    fn on_network_lost(&mut self, why: &str) {
        let Some(network) = &mut self.network else { return };
        network.client = None;
        let (server, address, name) =
            (network.server.clone(), network.advertised_addr, self.name.clone());
        self.spawn(async move {
            TaskEventKind::Rejoined(Box::new(rejoin(&server, &name, address).await))
        });
        let suffix = if self.peer_name.is_some() { ", the chat continues directly" } else { "" };
        self.print_note(format!("lost the connection to the network, rejoining{suffix}: {why}"));
    }

    /// Continues in a network that was rejoined.
    pub(super) fn on_network_rejoined(&mut self, client: CrcClient) {
        let Some(network) = &mut self.network else { return };
        if let Some(pairing) = &mut network.pairing {
            pairing.set_id(client.directory().id());
        }
        network.client = Some(client);
        self.print_note("rejoined the network".to_owned());
    }

    /// Handles a user that joined.
    fn on_joined(&mut self, user: &User) {
        let own_addr = self.network.as_ref().map(|network| network.advertised_addr);
        if user.name == self.name.as_bytes() && own_addr != Some(user.address) {
            let name = Printable(&user.name);
            return self.print_note(format!("another user named {name} has joined the network"));
        }
        self.update_target();
    }

    /// Starts the name check once all earlier users are known: a user with our name that answers at
    /// its address has the name. Users that do not answer are ignored, as after a crash that the
    /// network has not noticed yet, and so is a stale registration of our own, which has our
    /// address.
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

    /// Handles the complete list of users after a rejoin. Some users may have left meanwhile.
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

    /// Handles the success of the name check.
    pub(super) fn on_name_confirmed(&mut self) {
        if let Some(network) = &mut self.network {
            network.is_name_confirmed = true;
        }
        self.update_target();
    }

    /// Handles a user that left the network.
    fn on_quit(&mut self, user: User) {
        if let Some(pairing) = self.network.as_mut().and_then(|network| network.pairing.as_mut()) {
            let is_chosen = pairing.partner().is_some_and(|(id, _)| id == user.id);
            // A partner that was connected is waited for, as it may return.
            if !(is_chosen && self.peer_name.is_some()) {
                let replies = pairing.on_quit(user.id);
                self.apply_choice(replies);
            }
        }
        if self.target_id() != Some(user.id) {
            return self.update_target();
        }
        self.update_target();
        // A user that exits leaves the network and ends the chat, and either may be noticed first.
        // A request over the connection shows whether the chat continues.
        match &self.link {
            Link::Up(peer) if self.target_id() == Some(user.id) => {
                let answer = peer.ping();
                self.spawn(async { TaskEventKind::QuitProbed(user, answer.await) });
            }
            _ => self.print_note(format!("{} has left the network", Printable(&user.name))),
        }
    }
}

/// Waits for the next events of a network; without one, forever. Cancel safe.
pub(super) async fn next_events(
    network: &mut Option<Network>,
) -> Result<Vec<DirectoryEvent>, String> {
    match network.as_mut().and_then(|network| network.client.as_mut()) {
        Some(client) => client.next_events().await,
        None => std::future::pending().await,
    }
}

/// Rejoins the network, with the delays of [`Redial`] before each attempt.
async fn rejoin(server: &Address, name: &str, address: SocketAddr) -> CrcClient {
    let mut rng = StdRng::from_rng(&mut rand::rng());
    let started_at = Instant::now();
    let mut redial = Redial::new(1);
    loop {
        let now = Time::from_start(started_at.elapsed());
        redial.failed(now, &mut rng);
        sleep(redial.deadline().map_or(Duration::ZERO, |at| at.since(now))).await;
        if let Ok(stream) = crc_client::connect(server).await
            && let Ok(client) = CrcClient::join(stream, name, address).await
        {
            return client;
        }
    }
}
