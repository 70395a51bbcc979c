//! What the loss of a server link means: the one place where healing is decided.
//!
//! When a link to a server ends, the hosts behind it stay in the table for a grace in which nobody
//! is told: chats to them wait (bounded). A host that is registered again within it, over whatever
//! link, goes on as if nothing had been. When the grace ends, users who are still lost leave with
//! the quit text `split`, servers are forgotten, and who wrote to them is told `Unknown ID_KEY`.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use super::message::{HostKind, Message, StatusCode};
use super::table::List;
use super::{FirstLink, Outbox, Relay, Timer};
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::limits::{
    QUEUE_LOW_WATER_BYTES, SPLIT_BATCH_HOSTS_MAX, SPLIT_BATCH_INTERVAL, SPLIT_DEFERRED_BYTES_MAX,
    SPLIT_DEFERRED_OVERHEAD_BYTES, SPLIT_STALL_TIMEOUT,
};
use crate::link::{LinkId, Time};
use crate::relay::link_state::{LinkState, Role};

/// Of a client's queue, a host that leaves may take so much: four times what it does.
const SPLIT_QUEUE_BYTES_PER_HOST: usize = 64;

/// The hosts lost with one link, while their grace runs.
#[derive(Debug)]
pub(super) struct Split {
    /// The adjacent server that was lost.
    pub(super) neighbour: HostId,
    /// When it was lost, in the relay's count of joins and splits.
    pub(super) lost_event: u64,
    pub(super) hosts: List,
    /// By destination, in the order they came.
    deferred: HashMap<HostId, Vec<DeferredMessage>, RandomState>,
    deferred_bytes: usize,
    /// Once the grace is over.
    ending: Option<Ending>,
}

/// How the end of a split goes on.
#[derive(Debug, Default)]
struct Ending {
    /// Since when there is no room to tell of it.
    stalled_since: Option<Time>,
    /// Links without room that are not waited for any more.
    ignored_links: Vec<LinkId>,
}

#[derive(Debug)]
struct DeferredMessage {
    source: HostId,
    text: Box<[u8]>,
    /// It is a status with mail, of a server.
    is_mail: bool,
}

impl DeferredMessage {
    fn size_bytes(text: &[u8]) -> usize {
        text.len() + SPLIT_DEFERRED_OVERHEAD_BYTES
    }
}

impl Split {
    fn take_deferred(&mut self, id: HostId) -> Vec<DeferredMessage> {
        let deferred = self.deferred.remove(&id).unwrap_or_default();
        self.deferred_bytes -=
            deferred.iter().map(|chat| DeferredMessage::size_bytes(&chat.text)).sum::<usize>();
        deferred
    }
}

impl Relay {
    /// The link to `neighbour` is gone; `hosts` are those to whom it led.
    pub(super) fn begin_split(&mut self, neighbour: HostId, hosts: List, out: &mut impl Outbox) {
        if hosts.len() == 0 {
            return;
        }
        // It is the first of them, as it was registered before it told of any other.
        let has_neighbour = self.hosts.ids_in(&hosts).next() == Some(neighbour);
        log::warn!(
            "split: server {neighbour} and {} more hosts behind it are lost; their users leave in \
             {:?} unless they come back",
            hosts.len() - usize::from(has_neighbour),
            self.limits.split_grace
        );
        let (deferred, deferred_bytes) = (HashMap::default(), 0);
        let lost_event = self.next_event_number();
        let split = Split { neighbour, lost_event, hosts, deferred, deferred_bytes, ending: None };
        let split = self.splits.insert(split);
        let split = u32::try_from(split).expect("fewer splits than links");
        let Self { hosts, splits, .. } = self;
        hosts.set_first_link(&splits[split as usize].hosts, FirstLink::Split(split));
        if self.limits.split_grace.is_zero() {
            self.end_split(split, out);
        } else {
            let deadline = self.now + self.limits.split_grace;
            self.timers.insert((deadline, Timer::Split(split)));
        }
    }

    /// The grace is over: who has not come back leaves, in the order of joining. However many they are,
    /// nobody's queue is filled by it who reads, and no turn gets long.
    pub(super) fn end_split(&mut self, split: u32, out: &mut impl Outbox) {
        if !self.must_wait_for_room(split, out) {
            // A client's queue can take several of these.
            let batch_hosts_max = self.limits.client_queue_bytes_max / SPLIT_QUEUE_BYTES_PER_HOST;
            let hosts = self.hosts.ids_in(&self.splits[split as usize].hosts);
            let lost: Vec<_> =
                hosts.take(batch_hosts_max.clamp(1, SPLIT_BATCH_HOSTS_MAX)).collect();
            for id in lost {
                self.remove_host(id, b"split", out);
            }
        }
        if self.splits[split as usize].hosts.len() == 0 {
            self.splits.remove(split as usize);
        } else {
            self.timers.insert((self.now + SPLIT_BATCH_INTERVAL, Timer::Split(split)));
        }
    }

    /// Whether the end of a split waits for a link that has no room to be told of it.
    fn must_wait_for_room(&mut self, split: u32, out: &impl Outbox) -> bool {
        let room_bytes = QUEUE_LOW_WATER_BYTES.min(self.limits.client_queue_bytes_max / 2);
        let Split { neighbour, hosts, ending, .. } = &mut self.splits[split as usize];
        if ending.is_none() && hosts.len() > 0 {
            log::warn!("split: {} hosts behind server {neighbour} did not come back", hosts.len());
        }
        let ending = ending.get_or_insert_default();
        let full_links = self.links.iter().flatten().filter(|state| {
            state.cursor.wants_presence() && out.unsent_bytes(state.id) > room_bytes
        });
        let full_links = full_links.map(|state| state.id);
        let mut full_links =
            full_links.filter(|link| !ending.ignored_links.contains(link)).peekable();
        if full_links.peek().is_none() {
            ending.stalled_since = None;
            return false;
        }
        let stalled_since = *ending.stalled_since.get_or_insert(self.now);
        let keeps_waiting = self.now.since(stalled_since) < SPLIT_STALL_TIMEOUT;
        if !keeps_waiting {
            let full_links: Vec<_> = full_links.collect();
            ending.ignored_links.extend(full_links);
            ending.stalled_since = None;
        }
        keeps_waiting
    }

    /// A lost host will not be found again: who wrote to it meanwhile is told so.
    pub(super) fn reject_deferred(&mut self, split: u32, id: HostId, out: &mut impl Outbox) {
        for DeferredMessage { source, is_mail, .. } in self.splits[split as usize].take_deferred(id)
        {
            if !is_mail
                && let Some(host) = self.hosts.get(source)
                && let FirstLink::Link(link) = host.first_link
            {
                self.send_unknown_id(link, source, id, out);
            }
        }
    }

    /// A lost host is registered again, unchanged, over `link`.
    pub(super) fn rejoin(&mut self, id: HostId, link: LinkId, out: &mut impl Outbox) {
        let (slot, host) = self.hosts.find(id).expect("the host that rejoins");
        let FirstLink::Split(split) = host.first_link else {
            unreachable!("only lost hosts rejoin")
        };
        // Servers that joined since the loss have not heard of it, nor will they in their burst.
        let registration = Message::Registration(host.registration(self.identity.id));
        for server in self.server_links() {
            let is_covered = self.is_pending(server, host) || self.is_announced(server, host);
            if server.id != link && !is_covered {
                out.deliver(server.id, &registration);
            }
        }
        // The way to it leads over the link now: what that link was told of it holds no more.
        if host.kind == HostKind::User && self.is_announced(self.link_state(link), host) {
            out.deliver(link, &Message::ClientQuit { source: id, text: b"split" });
        }
        let Self { hosts, links, splits, .. } = self;
        let (lost, found) = (FirstLink::Split(split), FirstLink::Link(link));
        hosts.remove_from_list(slot, list_of(lost, links, splits));
        hosts.append_to_list(slot, found, list_of(found, links, splits).expect("a server's link"));
        for DeferredMessage { source, ref text, is_mail } in
            splits[split as usize].take_deferred(id)
        {
            self.introduce(source, link, out);
            let (destination, code) = (id, StatusCode::MAIL);
            out.deliver(
                link,
                &match is_mail {
                    true => Message::Status { source, destination, code, text },
                    false => Message::Chat { source, destination, text },
                },
            );
        }
        out.host_up(self.hosts.host(slot));
    }

    /// Keeps a chat, or a status with mail, for a lost host until it is found again. Answers false
    /// if no more fits.
    pub(super) fn defer(
        &mut self,
        split: u32,
        source: HostId,
        destination: HostId,
        text: &[u8],
        is_mail: bool,
    ) -> bool {
        let split = &mut self.splits[split as usize];
        if split.deferred_bytes + DeferredMessage::size_bytes(text) > SPLIT_DEFERRED_BYTES_MAX {
            return false;
        }
        split.deferred_bytes += DeferredMessage::size_bytes(text);
        split.deferred.entry(destination).or_default().push(DeferredMessage {
            source,
            text: text.into(),
            is_mail,
        });
        true
    }
}

/// The chain of the hosts to which a way leads, unless it is that of a single user.
pub(super) fn list_of<'a>(
    first_link: FirstLink,
    links: &'a mut ChunkedVec<Option<LinkState>>,
    splits: &'a mut Slab<Split>,
) -> Option<&'a mut List> {
    match first_link {
        FirstLink::Link(link) => match &mut links[link.index as usize].as_mut()?.role {
            Role::Server { subtree, .. } => Some(&mut subtree.hosts),
            Role::User { .. } | Role::Unregistered { .. } => None,
        },
        FirstLink::Split(split) => Some(&mut splits[split as usize].hosts),
    }
}
