//! [`Live`]: keeps the page of an operator up to date, see "The operator's WebSocket" in
//! `docs/PROTOCOL.md`.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use serde::Serialize;

use super::totals::Totals;
use super::{ShellReport, send};
use crate::id::HostId;
use crate::limits::{
    OPERATOR_UPDATE_INTERVAL, WEB_HOSTS_PER_STEP_MAX, WEB_LIST_ENTRIES_MAX, WEB_LISTS_MAX,
};
use crate::link::{LinkId, Time};
use crate::node::Node;
use crate::operator::snapshot::{LinkEntry, ServerEntry, lossy};
use crate::operator::state::OwnServerEntry;
use crate::relay::message::HostKind;

/// What an operator's page has been sent.
#[derive(Debug)]
pub(super) struct Live {
    next_update: Time,
    /// The next entry of the table of hosts to look at for changed servers; `None` between two
    /// updates.
    next_slot: Option<usize>,
    /// A digest of what the page knows of each server, and the update in which it was last seen.
    known: HashMap<HostId, (u64, u64)>,
    update: u64,
    /// The number of the first line of the log that the page does not have.
    next_line: u64,
    /// The servers whose users are asked for, and how far each list was written.
    lists: VecDeque<(HostId, usize)>,
}

/// An event for the page.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum LiveEvent {
    SignedIn {
        id: HostId,
        name: String,
        version: &'static str,
    },
    Servers {
        servers: Vec<Server>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        gone: Vec<HostId>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    Links {
        links: Vec<LinkEntry>,
    },
    Totals(Box<Totals>),
    Users {
        server: HostId,
        users: Vec<UserEntry>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    Log {
        lines: Vec<String>,
    },
}

/// A server of the tree.
#[derive(Serialize)]
#[serde(untagged)]
enum Server {
    Own(OwnServerEntry),
    Other(ServerEntry),
}

/// A user in the list of a server.
#[derive(Serialize)]
struct UserEntry {
    id: HostId,
    name: String,
    info: String,
}

impl Live {
    /// Creates a page that has nothing yet.
    pub(super) fn new(now: Time) -> Self {
        Self {
            next_update: now,
            next_slot: None,
            known: HashMap::new(),
            update: 0,
            next_line: 0,
            lists: VecDeque::new(),
        }
    }

    /// Returns whether a list or an update has begun and is not complete.
    pub(super) fn is_writing(&self) -> bool {
        self.next_slot.is_some() || !self.lists.is_empty()
    }

    /// Returns when the next update is due; `None` during one.
    pub(super) fn next_update(&self) -> Option<Time> {
        self.next_slot.is_none().then_some(self.next_update)
    }

    /// Puts off an update that is due, since the page does not read.
    pub(super) fn postpone(&mut self, now: Time) {
        if self.next_update <= now {
            self.next_update = now + OPERATOR_UPDATE_INTERVAL;
        }
    }

    /// Sends what the page needs first.
    pub(super) fn greet(
        &mut self,
        node: &mut Node,
        now: Time,
        link: LinkId,
        shell: &ShellReport<'_>,
    ) {
        let identity = node.relay().identity();
        let (id, name) = (identity.id, lossy(&identity.name));
        let version = env!("CARGO_PKG_VERSION");
        send(node, now, link, &LiveEvent::SignedIn { id, name, version });
        self.send_log(node, now, link, shell);
    }

    /// Asks for the users of a server. Returns false if there are too many such lists.
    pub(super) fn list_users(&mut self, server: HostId) -> bool {
        let has_room = self.lists.len() < WEB_LISTS_MAX;
        if has_room {
            self.lists.push_back((server, 0));
        }
        has_room
    }

    /// Sends the next portion of a list and of an update, if one is due or has begun.
    pub(super) fn update(
        &mut self,
        node: &mut Node,
        now: Time,
        link: LinkId,
        shell: &ShellReport<'_>,
    ) {
        self.write_users(node, now, link);
        if self.next_slot.is_none() && self.next_update <= now {
            self.next_slot = Some(0);
            self.update += 1;
            self.send_log(node, now, link, shell);
            send(node, now, link, &LiveEvent::Totals(Box::new(Totals::new(node))));
            let links = LinkEntry::to_servers(node, now);
            send(node, now, link, &LiveEvent::Links { links });
        }
        if let Some(slot) = self.next_slot {
            self.write_servers(slot, node, now, link);
        }
    }

    fn send_log(&mut self, node: &mut Node, now: Time, link: LinkId, shell: &ShellReport<'_>) {
        let (lines, next_line) = (shell.log)(self.next_line);
        self.next_line = next_line;
        if !lines.is_empty() {
            send(node, now, link, &LiveEvent::Log { lines });
        }
    }

    /// Sends the servers that have changed among the next hosts.
    fn write_servers(&mut self, mut slot: usize, node: &mut Node, now: Time, link: LinkId) {
        let is_first = self.update == 1;
        let mut servers = Vec::new();
        if slot == 0 {
            let own = Server::Own(OwnServerEntry::new(node));
            if self.has_changed(node.relay().identity().id, &own) {
                servers.push(own);
            }
        }
        let hosts = node.relay().hosts();
        let end = hosts.slot_count().min(slot + WEB_HOSTS_PER_STEP_MAX);
        let mut looked_at = 0;
        while slot < end && looked_at < WEB_LIST_ENTRIES_MAX {
            let host = hosts.at_slot(slot).filter(|host| host.kind == HostKind::Server);
            if let Some(entry) = host.and_then(|host| ServerEntry::new(node, host)) {
                looked_at += 1;
                let (id, entry) = (entry.host.id, Server::Other(entry));
                if self.has_changed(id, &entry) {
                    servers.push(entry);
                }
            }
            slot += 1;
        }
        let more = slot < hosts.slot_count();
        self.next_slot = more.then_some(slot);
        let mut gone = Vec::new();
        if !more {
            let update = self.update;
            gone.extend(self.known.iter().filter(|(_, (_, at))| *at != update).map(|(id, _)| *id));
            gone.sort_unstable();
            self.known.retain(|_, (_, at)| *at == update);
            self.next_update = now + OPERATOR_UPDATE_INTERVAL;
        }
        if is_first || !servers.is_empty() || !gone.is_empty() {
            send(node, now, link, &LiveEvent::Servers { servers, gone, more });
        }
    }

    /// Records what the page will know of a server. Returns whether it is new.
    fn has_changed(&mut self, id: HostId, entry: &Server) -> bool {
        let json = serde_json::to_vec(entry).expect("plain values");
        let digest = FixedState::with_seed(0).hash_one(&json);
        let earlier = self.known.insert(id, (digest, self.update));
        earlier.is_none_or(|(earlier, _)| earlier != digest)
    }

    /// Sends the next users of a server.
    fn write_users(&mut self, node: &mut Node, now: Time, link: LinkId) {
        let Some((server, next_slot)) = self.lists.front_mut() else { return };
        let (server, relay) = (*server, node.relay());
        let hosts = relay.hosts();
        let end = hosts.slot_count().min(*next_slot + WEB_HOSTS_PER_STEP_MAX);
        let mut users = Vec::new();
        while *next_slot < end && users.len() < WEB_LIST_ENTRIES_MAX {
            if let Some(host) = hosts.at_slot(*next_slot)
                && host.kind == HostKind::User
                && relay.home_id(host) == server
            {
                let (name, info) = (lossy(host.name()), lossy(host.info()));
                users.push(UserEntry { id: host.id, name, info });
            }
            *next_slot += 1;
        }
        let more = *next_slot < hosts.slot_count();
        if !more {
            self.lists.pop_front();
        }
        if !users.is_empty() || !more {
            send(node, now, link, &LiveEvent::Users { server, users, more });
        }
    }
}
