//! Decides whether a network of processes is quiescent, from a snapshot of all its counters.
//!
//! Counters only grow, and each frame is counted at both ends of its link. If two consecutive
//! snapshots are equal, and each link in them has delivered all frames, then no frame was in flight
//! at some moment between the two.
//!
//! Only clients of the CRC wire count frames, as each frame is an event there. Other clients are
//! fenced between the snapshots: each sends a message to itself through its server. Once it
//! arrives, the client has received all that the server had queued at the first snapshot, and the
//! server has received all that was typed. Fences are subtracted from the counts. Frames that such
//! a client sends are not counted, as a classic client sends keepalives. A delayed list or mail
//! shows in what the users lack.

use std::fmt;

use crc::internal::Printable;
use crc::wires::Wire;

use crate::runner::backend::{KnownUser, is_user_list_current};

/// The state of all processes of a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) servers: Vec<ServerView>,
    pub(super) clients: Vec<ClientView>,
}

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerView {
    pub(super) name: String,
    pub(super) id: u32,
    /// The id of its configured parent, if that runs.
    pub(super) live_parent: Option<u32>,
    /// Whether a parent refused its id. The server tries again only after a minute.
    pub(super) is_refused: bool,
    pub(super) links: Vec<LinkView>,
    /// All users that it knows.
    pub(super) users: Vec<KnownUser>,
    /// The recipients of stored mail.
    pub(super) mail_recipients: Vec<i64>,
}

/// The host at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkPeer {
    Server(u32),
    User(User),
    Unregistered,
}

/// A user, as known at both ends of its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    wire: Wire,
    /// The id on the CRC wire, otherwise the name.
    identity: String,
}

impl User {
    pub(super) fn new(wire: Wire, identity: String) -> Self {
        Self { wire, identity }
    }

    /// Returns whether mail for `address` is for this user. The number of a classic user is unknown
    /// here.
    fn has_mail_address(&self, address: i64) -> bool {
        self.wire != Wire::CLASSIC && self.identity == address.to_string()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.identity.as_bytes()).fmt(f)
    }
}

/// The counters of one end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkView {
    pub(super) peer: LinkPeer,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) queue_bytes: u64,
}

/// A launched client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientView {
    pub(super) name: String,
    pub(super) user: User,
    /// The index in [`Snapshot::servers`] of its server, if that runs.
    pub(super) server: Option<usize>,
    pub(super) status: ClientStatus,
    pub(super) traffic: Traffic,
    /// The names of the other users that were announced to it.
    pub(super) listed_names: Vec<String>,
}

/// The evidence that no frame is in flight between a client and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Counts of frames.
    Counted {
        /// Number of frames that it received.
        frames_in: u64,
        /// Number of frames that it sent.
        frames_out: u64,
    },
    /// Messages to itself.
    Fenced {
        /// Number of these that came back.
        fence_count: u64,
    },
}

/// The phase of a client's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientStatus {
    Connected,
    /// It is stopped, and its connection is open until its server closes it.
    Frozen,
    /// It is quitting or was killed, and has not exited yet.
    Leaving,
    /// Its process has exited and its output was read to the end, or its connection is closed.
    Ended,
}

/// The reason why a network is not quiescent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotQuiescent(String);

impl fmt::Display for NotQuiescent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn not_quiescent<T>(name: &str, text: impl fmt::Display) -> Result<T, NotQuiescent> {
    Err(NotQuiescent(format!("{}: {text}", Printable(name.as_bytes()))))
}

impl Snapshot {
    /// Returns the snapshot without fences, so that snapshots before and after a fence compare.
    pub(super) fn without_fences(mut self) -> Self {
        for client in &mut self.clients {
            let Traffic::Fenced { fence_count: fences } = &mut client.traffic else { continue };
            let fences = std::mem::take(fences);
            let server = client.server.and_then(|at| self.servers.get_mut(at));
            let links = server.map_or(&mut [][..], |server| &mut server.links);
            let peer = LinkPeer::User(client.user.clone());
            if let Some(link) = links.iter_mut().find(|link| link.peer == peer) {
                link.frames_out = link.frames_out.saturating_sub(fences);
                (link.frames_in, link.bytes_in, link.bytes_out) = (0, 0, 0);
            }
        }
        self
    }

    /// Checks that no frame is in flight, as far as one snapshot shows.
    pub(super) fn check_quiescent(&self) -> Result<(), NotQuiescent> {
        for server in &self.servers {
            self.check_server(server)?;
        }
        for (at, server) in self.servers.iter().enumerate() {
            self.check_users(at, server)?;
            self.check_mail(server)?;
        }
        self.clients.iter().try_for_each(|client| self.check_client(client))
    }

    fn check_server(&self, server: &ServerView) -> Result<(), NotQuiescent> {
        if let Some(link) = server.links.iter().find(|link| link.queue_bytes > 0) {
            let peer = match &link.peer {
                LinkPeer::Server(id) => format!("server {id}"),
                LinkPeer::User(user) => format!("user {user}"),
                LinkPeer::Unregistered => "a stranger".to_owned(),
            };
            return not_quiescent(
                &server.name,
                format!("{} bytes wait for {peer}", link.queue_bytes),
            );
        }
        if let Some(parent) = server.live_parent
            && !server.is_refused
            && server.link(&LinkPeer::Server(parent)).is_none()
        {
            return not_quiescent(&server.name, format!("not attached to its parent {parent}"));
        }
        for link in &server.links {
            let LinkPeer::Server(id) = link.peer else { continue };
            // If an id was registered twice, only one of the servers has a link back.
            let mut peers = self.servers.iter().filter(|other| other.id == id);
            let Some(reverse_link) =
                peers.find_map(|other| other.link(&LinkPeer::Server(server.id)))
            else {
                return not_quiescent(&server.name, format!("a link to {id} that has none back"));
            };
            if link.bytes_out != reverse_link.bytes_in {
                let (sent, read) = (link.bytes_out, reverse_link.bytes_in);
                return not_quiescent(
                    &server.name,
                    format!("of {sent} bytes {id} has read {read}"),
                );
            }
        }
        Ok(())
    }

    /// Checks that each user of a server is a running client whose view is current.
    fn check_users(&self, server_index: usize, server: &ServerView) -> Result<(), NotQuiescent> {
        for link in &server.links {
            let LinkPeer::User(user) = &link.peer else { continue };
            let mut clients = self.clients.iter();
            let client = clients.find(|client| {
                let has_connection =
                    matches!(client.status, ClientStatus::Connected | ClientStatus::Frozen);
                client.user == *user && client.server == Some(server_index) && has_connection
            });
            let Some(client) = client else {
                return not_quiescent(&server.name, format!("a link to {user}, who has left"));
            };
            if client.status == ClientStatus::Frozen {
                continue;
            }
            if let Traffic::Counted { frames_in, frames_out } = client.traffic {
                if frames_in != link.frames_out {
                    let sent = link.frames_out;
                    return not_quiescent(
                        &client.name,
                        format!("told of {frames_in} frames of {sent}"),
                    );
                }
                if frames_out != link.frames_in {
                    let read = link.frames_in;
                    return not_quiescent(
                        &client.name,
                        format!("{read} frames of {frames_out} were read"),
                    );
                }
            }
            let listed = client.listed_names.iter().map(String::as_str);
            if user.wire == Wire::CLASSIC
                && !is_user_list_current(&server.users, &user.identity, listed)
            {
                let (count, all) =
                    (client.listed_names.len(), server.users.len().saturating_sub(1));
                let text = format!("an old list: {count} others, and its server knows {all}");
                return not_quiescent(&client.name, text);
            }
        }
        // A refused server may keep its connection or close it; a client exits at once.
        let unregistered_count =
            server.links.iter().filter(|link| link.peer == LinkPeer::Unregistered).count();
        let refused_count = self.servers.iter().filter(|server| server.is_refused).count();
        if unregistered_count > 2 * refused_count {
            return not_quiescent(&server.name, "a connection that has not registered");
        }
        Ok(())
    }

    /// Checks that no mail is stored for a connected user. A route to the user is not sufficient,
    /// as the user may be behind a split whose server came back without it.
    fn check_mail(&self, server: &ServerView) -> Result<(), NotQuiescent> {
        let is_user_reachable = |address: i64| {
            server.users.iter().any(|user| user.is_reachable && user.has_mail_address(address))
        };
        let is_client_connected = |address: i64| {
            let mut clients = self.clients.iter();
            clients.any(|client| {
                client.status == ClientStatus::Connected && client.user.has_mail_address(address)
            })
        };
        let mut addresses = server.mail_recipients.iter();
        match addresses.find(|&&address| is_user_reachable(address) && is_client_connected(address))
        {
            Some(address) => {
                not_quiescent(&server.name, format!("mail for {address}, who is there"))
            }
            None => Ok(()),
        }
    }

    fn check_client(&self, client: &ClientView) -> Result<(), NotQuiescent> {
        match (client.status, client.server) {
            (ClientStatus::Ended | ClientStatus::Frozen, _) => Ok(()),
            (ClientStatus::Leaving, _) => not_quiescent(&client.name, "has not ended"),
            (ClientStatus::Connected, None) => {
                not_quiescent(&client.name, "has not noticed its server's end")
            }
            (ClientStatus::Connected, Some(at)) => {
                match self.servers[at].link(&LinkPeer::User(client.user.clone())) {
                    Some(_) => Ok(()),
                    None => not_quiescent(&client.name, "is not at its server"),
                }
            }
        }
    }
}

impl ServerView {
    fn link(&self, peer: &LinkPeer) -> Option<&LinkView> {
        self.links.iter().find(|link| link.peer == *peer)
    }
}

#[cfg(test)]
#[path = "quiescence_tests.rs"]
mod tests;
