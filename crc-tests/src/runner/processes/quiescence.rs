//! Whether a network of processes is at rest: a pure question about one look at all of it.
//!
//! Counters only grow and every frame is counted at both ends of its link. So when two looks one
//! after the other are the same, and in them every link has delivered what it took, there was a
//! moment between the two at which nothing was on its way.
//!
//! Only clients of the CRC wire can count: an event is a frame. The others are fenced between the
//! two looks: each says something to itself by way of its server. When it hears that, it has heard
//! all that the server had for it at the first look, and the server all that was typed. The fences
//! are taken off the counts again, and of what such a client sends nothing is counted, as a classic
//! one says now and then that it is alive. What a server puts off, a list or mail, is seen in what
//! its users lack.

use std::fmt;

use crc::printable::Printable;

use crate::runner::backend::{KnownUser, is_user_list_current};
use crate::runner::command::ClientWire;

/// All of the network, as looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) servers: Vec<ServerView>,
    pub(super) clients: Vec<ClientView>,
}

/// A server that lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerView {
    pub(super) name: String,
    pub(super) id: u32,
    /// The id of the parent that it was told, if that one lives.
    pub(super) live_parent: Option<u32>,
    /// A parent said that its id is taken; it asks again only after a minute.
    pub(super) is_refused: bool,
    pub(super) links: Vec<LinkView>,
    /// All that it knows.
    pub(super) users: Vec<KnownUser>,
    /// For whom it keeps mail.
    pub(super) mail_recipients: Vec<i64>,
}

/// What the host at the other end of a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LinkPeer {
    Server(u32),
    User(User),
    Unregistered,
}

/// A user, as both ends of its link know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    wire: ClientWire,
    /// The id where the wire is CRC, else the name.
    identity: String,
}

impl User {
    pub(super) fn new(wire: ClientWire, identity: String) -> Self {
        Self { wire, identity }
    }

    /// Whether mail for `address` is for it, as far as that can be told: a classic user has a number
    /// too, and nobody knows it.
    fn has_mail_address(&self, address: i64) -> bool {
        self.wire != ClientWire::Classic && self.identity == address.to_string()
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.identity.as_bytes()).fmt(f)
    }
}

/// A link, as one of its ends counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkView {
    pub(super) peer: LinkPeer,
    pub(super) frames_in: u64,
    pub(super) frames_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) queue_bytes: u64,
}

/// A client that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientView {
    pub(super) name: String,
    pub(super) user: User,
    /// The position in [`Snapshot::servers`] of the server that it was told, if that one lives.
    pub(super) server: Option<usize>,
    pub(super) status: ClientStatus,
    pub(super) traffic: Traffic,
    /// The names of the others that it was told of.
    pub(super) listed_names: Vec<String>,
}

/// How it is known that nothing is on its way between a client and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// By counting.
    Counted {
        /// Frames that it said it received.
        frames_in: u64,
        /// Frames that it was made to send.
        frames_out: u64,
    },
    /// By what it says to itself.
    Fenced {
        /// How often it heard that.
        fence_count: u64,
    },
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientStatus {
    Connected,
    /// It does nothing any more, and its connection stands as long as its server likes.
    Frozen,
    /// It was told to quit, or killed, and its end has not been seen.
    Leaving,
    /// Its process has ended and all that it printed was read, or its connection is over.
    Ended,
}

/// What is not at rest yet.
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
    /// The same without the fences, so that two looks compare that had some between them.
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

    /// Whether nothing is on its way, as far as one look can tell.
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
            // Where an id was taken twice, only one of its servers has a link back.
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

    /// Every user at a server is a client of this case that lives, and has been told all.
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
            if user.wire == ClientWire::Classic
                && !is_user_list_current(&server.users, &user.identity, listed)
            {
                let (count, all) =
                    (client.listed_names.len(), server.users.len().saturating_sub(1));
                let text = format!("an old list: {count} others, and its server knows {all}");
                return not_quiescent(&client.name, text);
            }
        }
        // A refused server keeps its connection or drops it, as it likes; a client is gone at once.
        let unregistered_count =
            server.links.iter().filter(|link| link.peer == LinkPeer::Unregistered).count();
        let refused_count = self.servers.iter().filter(|server| server.is_refused).count();
        if unregistered_count > 2 * refused_count {
            return not_quiescent(&server.name, "a connection that has not registered");
        }
        Ok(())
    }

    /// Mail for a user who is there is on its way to it. That a server can name the way to a user does
    /// not suffice: it may be lost in a split whose server is back without it.
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
