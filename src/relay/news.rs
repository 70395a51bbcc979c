//! News: what links are told of the hosts that exist.
//!
//! What a link has been told is a position in the order of joining: hosts before it have been told,
//! hosts from it on are owed, and who leaves before its turn is never mentioned. A link that is owed
//! something catches up as its queue has room, in portions and in turns. Three things leave a link
//! behind:
//!
//! - It is new: its burst is to catch up from the beginning.
//! - Its queue is long while somebody joins.
//! - There are many users. Each newcomer is news for all of them, and one write a user and newcomer is
//!   what connecting would cost. So news for users is gathered for a few milliseconds, and then all of
//!   them are behind by what was gathered.
//!
//! A link that is told much holds no more than a portion: those that are behind stand in a list, and
//! the shell asks for one after the other at the end of its turn, writes what that one is told, and then
//! asks for the next.

use std::collections::VecDeque;

use super::host::{FirstLink, Host};
use super::link::{Attachment, IdSet, LinkId, Role};
use super::message::{HostId, Kind, Message};
use super::time::Time;
use super::{Outbox, Relay, Timer};
use crate::limits::{
    BURST_PORTION_BYTES, GATHERED_FOR_EACH_USER, GATHERED_FOR_MAX, NEWS_BYTES_PER_TURN,
    NEWS_HOST_BYTES,
};

/// Who is to be told of hosts, and what waits.
#[derive(Debug)]
pub(super) struct News {
    /// Links to servers, in the order they joined.
    servers: Vec<LinkId>,
    /// Links to users whose wires have words for it.
    users: Vec<LinkId>,
    /// The first host, by slot, of which those users are told together, and when.
    gathered: Option<(u32, Time)>,
    /// Links that are behind and whose queues have room, each once.
    ready: VecDeque<LinkId>,
    /// What may still be told in this turn, in bytes.
    budget_bytes: usize,
}

/// How far a link has been told.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The link is to be told of hosts at all.
    hears: bool,
    /// It stands in the list of those that are ready.
    is_ready: bool,
    /// The slot of the first host that it has not been told of, if it is behind.
    next: Option<u32>,
    /// Hosts told ahead of their turn, because they said something.
    early: Option<Box<IdSet>>,
}

impl Position {
    /// Whether the link is told of hosts at all, and of their ends.
    pub(super) fn hears(&self) -> bool {
        self.hears
    }
}

impl Default for News {
    fn default() -> Self {
        let (servers, users, ready) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { servers, users, gathered: None, ready, budget_bytes: NEWS_BYTES_PER_TURN }
    }
}

impl News {
    /// A new turn: as much may be told again.
    pub(super) fn begin_turn(&mut self) {
        self.budget_bytes = NEWS_BYTES_PER_TURN;
    }

    /// Whether a link is left that could be told more.
    pub(super) fn is_waiting(&self) -> bool {
        !self.ready.is_empty()
    }

    fn make_ready(&mut self, attachment: &mut Attachment) {
        if !std::mem::replace(&mut attachment.told.is_ready, true) {
            self.ready.push_back(attachment.id);
        }
    }

    /// A link has ended.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.servers.retain(|&other| other != link);
        self.users.retain(|&other| other != link);
    }
}

impl Relay {
    /// A link takes its role: it is behind by all hosts from now on, if these are of use to it.
    pub(super) fn owe_all(&mut self, link: LinkId, hears: bool) {
        let next = self.hosts.first().filter(|_| hears);
        let told = &mut self.attachment_mut(link).told;
        (told.hears, told.next) = (hears, next);
    }

    /// A link has joined: it is told of all hosts, if it is to be told of them at all.
    pub(super) fn begin_burst(&mut self, link: LinkId, out: &mut impl Outbox) {
        let is_crowded = self.is_crowded();
        let first = self.hosts.first();
        let Self { news, links, .. } = self;
        let attachment = links[link.index as usize].as_mut().expect("a live link");
        if !attachment.told.hears {
            return;
        }
        attachment.told.next = first;
        match attachment.role {
            Role::Server { .. } => news.servers.push(link),
            _ => news.users.push(link),
        }
        if is_crowded {
            news.make_ready(attachment);
        } else {
            self.catch_up(link, out);
        }
    }

    /// Whether there are so many users that news for them is gathered.
    fn is_crowded(&self) -> bool {
        self.news.users.len() >= self.limits.gathered_users_min
    }

    /// Tells everyone whom it concerns of the host in `slot`, which has just joined.
    pub(super) fn announce(&mut self, slot: u32, out: &mut impl Outbox) {
        for place in 0..self.news.servers.len() {
            self.announce_to(self.news.servers[place], slot, out);
        }
        if self.hosts.host(slot).kind == Kind::Server || self.news.gathered.is_some() {
            return;
        }
        if self.is_crowded() {
            let users = u32::try_from(self.news.users.len()).unwrap_or(u32::MAX);
            let for_all = GATHERED_FOR_EACH_USER.saturating_mul(users).min(GATHERED_FOR_MAX);
            let due = self.now + self.limits.gathered_for.max(for_all);
            self.news.gathered = Some((slot, due));
            self.timers.insert((due, Timer::News));
            return;
        }
        for place in 0..self.news.users.len() {
            self.announce_to(self.news.users[place], slot, out);
        }
    }

    fn announce_to(&mut self, link: LinkId, slot: u32, out: &mut impl Outbox) {
        let attachment = self.links[link.index as usize].as_mut().expect("a live link");
        let host = self.hosts.host(slot);
        if attachment.told.next.is_some() || host.first_link == FirstLink::Link(link) {
            return; // its turn will come, or it is where the news is from
        }
        if out.unsent_bytes(link) >= BURST_PORTION_BYTES {
            attachment.told.next = Some(slot);
        } else if self.is_for(self.attachment(link), host) {
            out.deliver(link, &Message::Registration(host.registration(self.own.id)));
        }
    }

    /// What was gathered is to be told.
    pub(super) fn tell_gathered(&mut self) {
        let Some((slot, _)) = self.news.gathered.take() else { return };
        for place in 0..self.news.users.len() {
            let link = self.news.users[place];
            let attachment = self.links[link.index as usize].as_mut().expect("a live link");
            if attachment.told.next.is_none() {
                attachment.told.next = Some(slot);
                self.news.make_ready(attachment);
            }
        }
    }

    /// Tells one of the links that are behind a portion, if there are any and this turn allows. To be
    /// asked at the end of a turn, again after each answer of true once that link was written.
    pub fn tell_next(&mut self, out: &mut impl Outbox) -> bool {
        while self.news.budget_bytes > 0
            && let Some(link) = self.news.ready.pop_front()
        {
            let attachment = self.links.taken_mut(link.index as usize);
            if let Some(attachment) = attachment.filter(|attachment| attachment.id == link) {
                attachment.told.is_ready = false;
                self.catch_up(link, out);
                return true;
            }
        }
        false
    }

    /// Tells a link more, as far as its queue has room and the turn allows. Does nothing if it has been
    /// told all.
    pub(super) fn catch_up(&mut self, link: LinkId, out: &mut impl Outbox) {
        let attachment = self.attachment_mut(link);
        if attachment.told.is_ready {
            return; // its turn will come
        }
        let mut next = attachment.told.next;
        let mut early = attachment.told.early.take();
        // Of those from here on it hears with the others.
        let until = self.gathered_from(self.attachment(link));
        while let Some(slot) = next.filter(|_| next != until) {
            if out.unsent_bytes(link) >= BURST_PORTION_BYTES {
                break;
            }
            if self.news.budget_bytes == 0 {
                let Self { news, links, .. } = self;
                news.make_ready(links[link.index as usize].as_mut().expect("a live link"));
                break;
            }
            let host = self.hosts.host(slot);
            let mut cost_bytes = NEWS_HOST_BYTES;
            let was_early = early.as_mut().is_some_and(|early| early.remove(&host.id));
            if !was_early && self.is_for(self.attachment(link), host) {
                let registration = host.registration(self.own.id);
                cost_bytes += registration.name.len() + registration.info.len();
                out.deliver(link, &Message::Registration(registration));
            }
            self.news.budget_bytes = self.news.budget_bytes.saturating_sub(cost_bytes);
            next = self.hosts.after(slot);
        }
        let told = &mut self.attachment_mut(link).told;
        told.next = next.filter(|_| next != until);
        told.early = early.filter(|early| !early.is_empty());
    }

    /// Makes sure that a link knows of a host before something from it is delivered.
    pub(super) fn introduce(&mut self, id: HostId, link: LinkId, out: &mut impl Outbox) {
        let Some(host) = self.hosts.get(id) else { return };
        let attachment = self.attachment(link);
        if self.owes(attachment, host) && self.is_for(attachment, host) {
            out.deliver(link, &Message::Registration(host.registration(self.own.id)));
            self.attachment_mut(link).told.early.get_or_insert_default().insert(id);
        }
    }

    /// Whether a link must be told of a host before something from it is delivered.
    pub(super) fn must_introduce(&self, id: HostId, link: LinkId) -> bool {
        let attachment = self.attachment(link);
        let may_owe = self.news.gathered.is_some() || attachment.told.next.is_some();
        // Hardly ever; so this look-up is no cost of a chat.
        may_owe && self.hosts.get(id).is_some_and(|host| self.owes(attachment, host))
    }

    /// Whether a link has not been told yet of all that it is told when its queue has room.
    #[must_use]
    pub fn is_behind(&self, link: LinkId) -> bool {
        let attachment = self.links.taken(link.index as usize);
        attachment.is_some_and(|attachment| attachment.told.next.is_some())
    }

    /// A host is about to leave the table: nobody is told of it any more.
    pub(super) fn pass_over(&mut self, slot: u32, id: HostId) {
        let after = self.hosts.after(slot);
        for attachment in self.links.iter_mut().flatten() {
            let told = &mut attachment.told;
            if told.next == Some(slot) {
                told.next = after;
            }
            if let Some(early) = &mut told.early {
                early.remove(&id);
            }
        }
        if let Some((gathered, due)) = self.news.gathered
            && gathered == slot
        {
            self.news.gathered = after.map(|after| (after, due));
            if after.is_none() {
                self.timers.remove(&(due, Timer::News));
            }
        }
    }

    /// Whether a host is for this link to know: not one behind the link itself, no server for a
    /// user, and no lost host for a server that joined after the loss, since that may be the very
    /// server behind which it will be found again.
    pub(super) fn is_for(&self, attachment: &Attachment, host: &Host) -> bool {
        if host.first_link == FirstLink::Link(attachment.id) {
            return false;
        }
        match attachment.role {
            Role::Unregistered { .. } => false,
            Role::User { .. } => host.kind == Kind::User,
            Role::Server { ref behind, .. } => match host.first_link {
                FirstLink::Link(_) => true,
                FirstLink::Split(split) => behind.since < self.splits[split as usize].since,
            },
        }
    }

    /// Whether a link is still to be told of a host when its turn comes.
    pub(super) fn owes(&self, attachment: &Attachment, host: &Host) -> bool {
        let from = attachment.told.next.or_else(|| self.gathered_from(attachment));
        from.is_some_and(|slot| host.order >= self.hosts.host(slot).order)
            && !attachment.told.early.as_ref().is_some_and(|early| early.contains(&host.id))
    }

    /// The slot of the first host of which a link hears with others.
    fn gathered_from(&self, attachment: &Attachment) -> Option<u32> {
        let hears = attachment.told.hears && matches!(attachment.role, Role::User { .. });
        self.news.gathered.filter(|_| hears).map(|(slot, _)| slot)
    }

    /// Whether a link has been told of a host, by burst or announcement. One that is never told of any
    /// counts as told of all.
    pub(super) fn was_told(&self, attachment: &Attachment, host: &Host) -> bool {
        !self.owes(attachment, host) && self.is_for(attachment, host)
    }

    /// The links to adjacent servers.
    pub(super) fn servers(&self) -> impl Iterator<Item = &Attachment> {
        self.news.servers.iter().map(|&link| self.attachment(link))
    }
}
