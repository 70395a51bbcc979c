//! What the loss of a server link means: the one place where healing is decided.
//!
//! When a link to a server ends, the hosts behind it stay in the table for a grace in which nobody
//! is told: chats to them wait (bounded). A host that is registered again within it, over whatever
//! link, goes on as if nothing had been. When the grace ends, users who are still lost leave with
//! the quit text `split`, servers are forgotten, and who wrote to them is told `Unknown ID`.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use super::link::{Attachment, Role};
use super::message::{HostId, Kind, Message, StatusCode};
use super::table::Chain;
use super::{FirstLink, LinkId, Outbox, Relay, Time, Timer};
use crate::blocks::Blocks;
use crate::limits::{
    BURST_PORTION_BYTES, SPLIT_PATIENCE, SPLIT_PAUSE, SPLIT_PORTION_HOSTS, SPLIT_WAITING_BYTES_MAX,
    SPLIT_WAITING_CHAT_BYTES,
};

/// Of a client's queue, a host that leaves may take so much: four times what it does.
const SPLIT_PORTION_PART_BYTES: usize = 64;

/// The hosts lost with one link, while their grace runs.
#[derive(Debug)]
pub(super) struct Split {
    /// The adjacent server that was lost.
    pub(super) neighbour: HostId,
    /// When it was lost, in the relay's count of joins and splits.
    pub(super) since: u64,
    pub(super) hosts: Chain,
    /// By destination, in the order they came.
    waiting: HashMap<HostId, Vec<Chat>, RandomState>,
    waiting_bytes: usize,
    /// Once the grace is over.
    ending: Option<Ending>,
}

/// How the end of a split goes on.
#[derive(Debug, Default)]
struct Ending {
    /// Since when there is no room to tell of it.
    stuck: Option<Time>,
    /// Links without room that are not waited for any more.
    given_up: Vec<LinkId>,
}

#[derive(Debug)]
struct Chat {
    source: HostId,
    text: Box<[u8]>,
    /// It is a status with mail, of a server.
    is_mail: bool,
}

impl Chat {
    fn bytes(text: &[u8]) -> usize {
        text.len() + SPLIT_WAITING_CHAT_BYTES
    }
}

impl Split {
    fn take_waiting(&mut self, id: HostId) -> Vec<Chat> {
        let found = self.waiting.remove(&id).unwrap_or_default();
        self.waiting_bytes -= found.iter().map(|chat| Chat::bytes(&chat.text)).sum::<usize>();
        found
    }
}

impl Relay {
    /// The link to `neighbour` is gone; `hosts` are those to whom it led.
    pub(super) fn begin_split(&mut self, neighbour: HostId, hosts: Chain, out: &mut impl Outbox) {
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
        let (waiting, waiting_bytes) = (HashMap::default(), 0);
        let since = self.next_event();
        let split = Split { neighbour, since, hosts, waiting, waiting_bytes, ending: None };
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
        if !self.must_wait(split, out) {
            // A client's queue can take several of these.
            let portion = self.limits.client_queue_bytes_max / SPLIT_PORTION_PART_BYTES;
            let hosts = self.hosts.ids_in(&self.splits[split as usize].hosts);
            let lost: Vec<_> = hosts.take(portion.clamp(1, SPLIT_PORTION_HOSTS)).collect();
            for id in lost {
                self.lose(id, b"split", out);
            }
        }
        if self.splits[split as usize].hosts.len() == 0 {
            self.splits.remove(split as usize);
        } else {
            self.timers.insert((self.now + SPLIT_PAUSE, Timer::Split(split)));
        }
    }

    /// Whether the end of a split waits for a link that has no room to be told of it.
    fn must_wait(&mut self, split: u32, out: &impl Outbox) -> bool {
        let room_bytes = BURST_PORTION_BYTES.min(self.limits.client_queue_bytes_max / 2);
        let Split { neighbour, hosts, ending, .. } = &mut self.splits[split as usize];
        if ending.is_none() && hosts.len() > 0 {
            log::warn!("split: {} hosts behind server {neighbour} did not come back", hosts.len());
        }
        let ending = ending.get_or_insert_default();
        let full = self.links.iter().flatten().filter(|attachment| {
            attachment.told.hears() && out.unsent_bytes(attachment.id) > room_bytes
        });
        let full = full.map(|attachment| attachment.id);
        let mut full = full.filter(|link| !ending.given_up.contains(link)).peekable();
        if full.peek().is_none() {
            ending.stuck = None;
            return false;
        }
        let stuck = *ending.stuck.get_or_insert(self.now);
        let is_patient = self.now.since(stuck) < SPLIT_PATIENCE;
        if !is_patient {
            let full: Vec<_> = full.collect();
            ending.given_up.extend(full);
            ending.stuck = None;
        }
        is_patient
    }

    /// A lost host will not be found again: who wrote to it meanwhile is told so.
    pub(super) fn give_up_waiting(&mut self, split: u32, id: HostId, out: &mut impl Outbox) {
        for Chat { source, is_mail, .. } in self.splits[split as usize].take_waiting(id) {
            if !is_mail
                && let Some(host) = self.hosts.get(source)
                && let FirstLink::Link(link) = host.first_link
            {
                self.tell_unknown(link, source, id, out);
            }
        }
    }

    /// A lost host is registered again, unchanged, over `link`.
    pub(super) fn rejoin(&mut self, id: HostId, link: LinkId, out: &mut impl Outbox) {
        let (slot, host) = self.hosts.entry(id).expect("the host that rejoins");
        let FirstLink::Split(split) = host.first_link else {
            unreachable!("only lost hosts rejoin")
        };
        // Servers that joined since the loss have not heard of it, nor will they in their burst.
        let registration = Message::Registration(host.registration(self.own.id));
        for server in self.servers() {
            let will_hear = self.owes(server, host) || self.was_told(server, host);
            if server.id != link && !will_hear {
                out.deliver(server.id, &registration);
            }
        }
        // The way to it leads over the link now: what that link was told of it holds no more.
        if host.kind == Kind::User && self.was_told(self.attachment(link), host) {
            out.deliver(link, &Message::ClientQuit { source: id, text: b"split" });
        }
        let Self { hosts, links, splits, .. } = self;
        let (lost, found) = (FirstLink::Split(split), FirstLink::Link(link));
        hosts.leave_chain(slot, chain(lost, links, splits));
        hosts.enter_chain(slot, found, chain(found, links, splits).expect("a server's link"));
        for Chat { source, ref text, is_mail } in splits[split as usize].take_waiting(id) {
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
        out.came(self.hosts.host(slot));
    }

    /// Keeps a chat, or a status with mail, for a lost host until it is found again. Answers false
    /// if no more fits.
    pub(super) fn wait_for(
        &mut self,
        split: u32,
        source: HostId,
        destination: HostId,
        text: &[u8],
        is_mail: bool,
    ) -> bool {
        let split = &mut self.splits[split as usize];
        if split.waiting_bytes + Chat::bytes(text) > SPLIT_WAITING_BYTES_MAX {
            return false;
        }
        split.waiting_bytes += Chat::bytes(text);
        split.waiting.entry(destination).or_default().push(Chat {
            source,
            text: text.into(),
            is_mail,
        });
        true
    }
}

/// The chain of the hosts to which a way leads, unless it is that of a single user.
pub(super) fn chain<'a>(
    way: FirstLink,
    links: &'a mut Blocks<Option<Attachment>>,
    splits: &'a mut Slab<Split>,
) -> Option<&'a mut Chain> {
    match way {
        FirstLink::Link(link) => match &mut links[link.index as usize].as_mut()?.role {
            Role::Server { behind, .. } => Some(&mut behind.hosts),
            Role::User { .. } | Role::Unregistered { .. } => None,
        },
        FirstLink::Split(split) => Some(&mut splits[split as usize].hosts),
    }
}
