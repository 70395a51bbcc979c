//! Whether a network of processes is at rest: a pure question about one look at all of it.
//!
//! Counters only grow and every frame is counted at both ends of its link. So when two looks one
//! after the other are the same, and in them every link has delivered what it took, there was a
//! moment between the two at which nothing was on its way.

use std::fmt;

use crc::printable::Printable;

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
}

/// What the host at the other end of a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Server(u32),
    User(u32),
    Unregistered,
}

/// A link, as one of its ends counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkView {
    pub(super) peer: Peer,
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
    pub(super) id: u32,
    /// The position in [`Snapshot::servers`] of the server that it was told, if that one lives.
    pub(super) server: Option<usize>,
    pub(super) life: Life,
    /// Frames that it said it received.
    pub(super) frames_in: u64,
    /// Frames that it was made to send.
    pub(super) frames_out: u64,
}

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Connected,
    /// It was told to quit, or killed, and its end has not been seen.
    Leaving,
    /// Its process has ended and all that it printed was read, or its connection is over.
    Ended,
}

/// What is not at rest yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unrest(String);

impl fmt::Display for Unrest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn unrest<T>(name: &str, text: impl fmt::Display) -> Result<T, Unrest> {
    Err(Unrest(format!("{}: {text}", Printable(name.as_bytes()))))
}

impl Snapshot {
    /// Whether nothing is on its way, as far as one look can tell.
    pub(super) fn check(&self) -> Result<(), Unrest> {
        for server in &self.servers {
            self.check_server(server)?;
        }
        for (at, server) in self.servers.iter().enumerate() {
            self.check_users(at, server)?;
        }
        self.clients.iter().try_for_each(|client| self.check_client(client))
    }

    fn check_server(&self, server: &ServerView) -> Result<(), Unrest> {
        if let Some(link) = server.links.iter().find(|link| link.queue_bytes > 0) {
            let text = format!("{} bytes wait for {:?}", link.queue_bytes, link.peer);
            return unrest(&server.name, text);
        }
        if let Some(parent) = server.live_parent
            && !server.is_refused
            && server.link(Peer::Server(parent)).is_none()
        {
            return unrest(&server.name, format!("not attached to its parent {parent}"));
        }
        for link in &server.links {
            let Peer::Server(id) = link.peer else {
                continue;
            };
            // Where an id was taken twice, only one of its servers has a link back.
            let mut others = self.servers.iter().filter(|other| other.id == id);
            let Some(back) = others.find_map(|other| other.link(Peer::Server(server.id))) else {
                return unrest(&server.name, format!("a link to {id} that has none back"));
            };
            if link.bytes_out != back.bytes_in {
                let (sent, read) = (link.bytes_out, back.bytes_in);
                return unrest(&server.name, format!("of {sent} bytes {id} has read {read}"));
            }
        }
        Ok(())
    }

    /// Every user at a server is a client of this case that lives, and has been told all.
    fn check_users(&self, at: usize, server: &ServerView) -> Result<(), Unrest> {
        for link in &server.links {
            let Peer::User(id) = link.peer else { continue };
            let mut clients = self.clients.iter();
            let client = clients.find(|client| {
                client.id == id && client.server == Some(at) && client.life == Life::Connected
            });
            let Some(client) = client else {
                return unrest(&server.name, format!("a link to {id}, who has left"));
            };
            if client.frames_in != link.frames_out {
                let (told, sent) = (client.frames_in, link.frames_out);
                return unrest(&client.name, format!("told of {told} frames of {sent}"));
            }
            if client.frames_out != link.frames_in {
                let (read, typed) = (link.frames_in, client.frames_out);
                return unrest(&client.name, format!("{read} frames of {typed} were read"));
            }
        }
        // A refused server keeps its connection or drops it, as it likes; a client is gone at once.
        let strangers = server.links.iter().filter(|link| link.peer == Peer::Unregistered).count();
        let refused = self.servers.iter().filter(|server| server.is_refused).count();
        if strangers > 2 * refused {
            return unrest(&server.name, "a connection that has not registered");
        }
        Ok(())
    }

    fn check_client(&self, client: &ClientView) -> Result<(), Unrest> {
        match (client.life, client.server) {
            (Life::Ended, _) => Ok(()),
            (Life::Leaving, _) => unrest(&client.name, "has not ended"),
            (Life::Connected, None) => unrest(&client.name, "has not noticed its server's end"),
            (Life::Connected, Some(at)) => match self.servers[at].link(Peer::User(client.id)) {
                Some(_) => Ok(()),
                None => unrest(&client.name, "is not at its server"),
            },
        }
    }
}

impl ServerView {
    fn link(&self, peer: Peer) -> Option<&LinkView> {
        self.links.iter().find(|link| link.peer == peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(peer: Peer, frames: (u64, u64), bytes: (u64, u64)) -> LinkView {
        LinkView {
            peer,
            frames_in: frames.0,
            frames_out: frames.1,
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            queue_bytes: 0,
        }
    }

    /// theshire(1) with frodo(101), bree(2) behind it.
    fn network() -> Snapshot {
        let server = |name: &str, id, live_parent, links| ServerView {
            name: name.to_owned(),
            id,
            live_parent,
            is_refused: false,
            links,
        };
        Snapshot {
            servers: vec![
                server(
                    "theshire",
                    1,
                    None,
                    vec![
                        link(Peer::Server(2), (1, 2), (30, 60)),
                        link(Peer::User(101), (3, 4), (90, 80)),
                    ],
                ),
                server("bree", 2, Some(1), vec![link(Peer::Server(1), (2, 1), (60, 30))]),
            ],
            clients: vec![ClientView {
                name: "frodo".to_owned(),
                id: 101,
                server: Some(0),
                life: Life::Connected,
                frames_in: 4,
                frames_out: 3,
            }],
        }
    }

    fn check(change: impl FnOnce(&mut Snapshot), expected: &str) {
        let mut snapshot = network();
        change(&mut snapshot);
        let found = snapshot.check().map_or_else(|unrest| unrest.to_string(), |()| String::new());
        assert_eq!(found, expected);
    }

    #[test]
    fn rest_is_seen() {
        check(|_| {}, "");
        let lonely = |s: &Snapshot| ServerView { links: vec![], ..s.servers[0].clone() };
        check(|s| s.servers.push(lonely(s)), "");
        check(
            |s| {
                s.clients[0].life = Life::Ended;
                s.servers[0].links.truncate(1);
            },
            "",
        );
    }

    #[test]
    fn all_that_is_on_its_way_is_seen() {
        check(|s| s.servers[1].links[0].queue_bytes = 5, "bree: 5 bytes wait for Server(1)");
        check(|s| s.servers[1].links[0].bytes_in = 59, "theshire: of 60 bytes 2 has read 59");
        check(|s| s.servers[1].links[0].bytes_out = 31, "bree: of 31 bytes 1 has read 30");
        check(|s| s.clients[0].frames_in = 3, "frodo: told of 3 frames of 4");
        check(|s| s.clients[0].frames_out = 4, "frodo: 3 frames of 4 were read");
    }

    #[test]
    fn unfinished_comings_and_goings_are_seen() {
        check(|s| s.servers[1].links.clear(), "theshire: a link to 2 that has none back");
        check(
            |s| {
                s.servers[1].links.clear();
                s.servers[0].links.remove(0);
            },
            "bree: not attached to its parent 1",
        );
        check(|s| s.servers.truncate(1), "theshire: a link to 2 that has none back");
        check(|s| s.clients[0].life = Life::Leaving, "theshire: a link to 101, who has left");
        check(
            |s| {
                s.clients[0].life = Life::Leaving;
                s.servers[0].links.truncate(1);
            },
            "frodo: has not ended",
        );
        check(|s| s.clients[0].id = 102, "theshire: a link to 101, who has left");
        check(|s| s.servers[0].links.truncate(1), "frodo: is not at its server");
        check(|s| s.clients[0].server = None, "theshire: a link to 101, who has left");
        check(
            |s| {
                s.clients[0].server = None;
                s.servers[0].links.truncate(1);
            },
            "frodo: has not noticed its server's end",
        );
        let stranger = || link(Peer::Unregistered, (0, 0), (0, 0));
        check(
            |s| s.servers[0].links.push(stranger()),
            "theshire: a connection that has not registered",
        );
    }

    #[test]
    fn a_refused_server_may_stay_connected_and_unattached() {
        check(
            |s| {
                s.servers[1].is_refused = true;
                s.servers[1].links[0].peer = Peer::Unregistered;
                s.servers[0].links[0].peer = Peer::Unregistered;
            },
            "",
        );
    }
}
