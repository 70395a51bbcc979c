//! The nicks of the IRC wire: which user each one means, who watches it, and who has had it.
//!
//! The table exists while the server has IRC clients. A host whose name is a nick that nobody else
//! has is shown under its name, and any other under its alias, see [`make_nick_alias`]. A user
//! keeps its nick, or its alias, until it leaves.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::nick::{Nick, fold_nick, is_nick, make_nick_alias, parse_nick_alias};
use crate::id::{HostId, WideId};
use crate::limits::{IRC_HISTORY_NICKS_MAX, IRC_HOSTS_PER_STEP_MAX};
use crate::link::{LinkId, Time};
use crate::relay::message::HostKind;
use crate::relay::{Host, HostTable, Relay};

/// A user who has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PastUser {
    pub(crate) nick: Nick,
    pub(crate) id: HostId,
    /// Its id on wires with ids of 64 bits.
    pub(crate) wide_id: WideId,
    pub(crate) info: Box<[u8]>,
    /// When it left, since 1970.
    pub(crate) left_at: Duration,
}

/// What has happened to a nick that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchEvent {
    pub(crate) nick: Nick,
    /// The user who has come or gone.
    user: HostId,
    pub(crate) is_online: bool,
}

/// The nicks of all hosts of the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct NickTable {
    /// Number of IRC sessions that use the table.
    reader_count: usize,
    /// Slot of the next host to add while the table is filled.
    next_fill_slot: Option<usize>,
    /// The turn in which hosts were added last.
    filled_at: Option<Time>,
    /// The hosts whose names are one nick, by its hash. The first is shown under the nick; it is
    /// [`HostId::NONE`] once that host has left while others have the name.
    by_hash: HashMap<u64, SmallVec<[HostId; 2]>, RandomState>,
    /// The links whose clients watch each nick, by its folded form.
    watchers: BTreeMap<Nick, BTreeSet<LinkId>>,
    /// What watchers are to be sent.
    events: BTreeMap<LinkId, Vec<WatchEvent>>,
    history: VecDeque<PastUser>,
}

impl NickTable {
    /// Registers a session that uses the nicks. [`NickTable::fill`] must follow.
    pub(crate) fn add_reader(&mut self) {
        if self.reader_count == 0 {
            self.next_fill_slot = Some(0);
        }
        self.reader_count += 1;
    }

    /// Unregisters a session. The nicks are cleared with the last one, beside those of users who
    /// have left.
    pub(crate) fn remove_reader(&mut self) {
        self.reader_count -= 1;
        if self.reader_count == 0 {
            *self = Self { history: std::mem::take(&mut self.history), ..Self::default() };
        }
    }

    /// Adds the hosts of the network for the first session, a portion in each turn. Returns whether
    /// all were added. Until then the table must not be used.
    pub(crate) fn fill(&mut self, now: Time, relay: &Relay) -> bool {
        let hosts = relay.hosts();
        let Some(first) = self.next_fill_slot else { return true };
        if self.filled_at.replace(now) == Some(now) {
            return false;
        }
        let end = hosts.slot_count().min(first + IRC_HOSTS_PER_STEP_MAX);
        for host in (first..end).filter_map(|slot| hosts.at_slot(slot)) {
            self.add_in_order(host, relay);
        }
        self.next_fill_slot = (end < hosts.slot_count()).then_some(end);
        self.next_fill_slot.is_none()
    }

    /// Adds a host. Of several with one name, the one that joined first is shown under it, and of
    /// users of this wire the one with the best claim, as if the table had existed then.
    fn add_in_order(&mut self, host: &Host, relay: &Relay) {
        self.add(host);
        let Some(ids) = self.claimants_mut(host.name()).filter(|ids| ids.len() > 1) else { return };
        let hosts = relay.hosts();
        ids.sort_by_key(|&id| hosts.get(id).map_or(u64::MAX, Host::join_seq));
        let claim = |at: usize| hosts.get(ids[at]).and_then(|host| relay.nick_claim(host));
        let best = (0..ids.len()).filter(|&at| claim(at).is_some()).min_by_key(|&at| claim(at));
        if let Some(best) = best.filter(|_| claim(0).is_some()) {
            ids.swap(0, best);
        }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        self.by_hash.hasher().hash_one(&*fold_nick(name))
    }

    fn claimants_mut(&mut self, name: &[u8]) -> Option<&mut SmallVec<[HostId; 2]>> {
        let hash = self.hash(name);
        self.by_hash.get_mut(&hash).filter(|_| is_nick(name))
    }

    fn add(&mut self, host: &Host) -> bool {
        if !is_nick(host.name()) {
            return true;
        }
        let hash = self.hash(host.name());
        let ids = self.by_hash.entry(hash).or_default();
        let is_new = !ids.contains(&host.id);
        if is_new {
            ids.push(host.id);
        }
        is_new
    }

    /// Adds a host that has become reachable, while the table is in use.
    pub(crate) fn host_up(&mut self, host: &Host) {
        if self.reader_count > 0 && self.add(host) {
            self.note_presence(host, true);
        }
    }

    /// Removes a host that has left.
    pub(crate) fn host_down(&mut self, host: &Host, wide_id: WideId, unix_time: Duration) {
        if self.reader_count == 0 {
            return;
        }
        self.note_presence(host, false);
        if host.kind == HostKind::User {
            if self.history.len() == IRC_HISTORY_NICKS_MAX {
                self.history.pop_front();
            }
            let (id, nick, info) = (host.id, self.nick(host.id, host.name()), host.info().into());
            self.history.push_back(PastUser { nick, id, wide_id, info, left_at: unix_time });
        }
        let hash = self.hash(host.name());
        let Some(ids) = self.by_hash.get_mut(&hash) else { return };
        match ids.iter().position(|&id| id == host.id) {
            Some(0) => ids[0] = HostId::NONE,
            Some(at) => _ = ids.remove(at),
            None => return,
        }
        if ids.iter().all(|&id| id == HostId::NONE) {
            self.by_hash.remove(&hash);
        }
    }

    /// Returns the hosts whose name is this nick. The first is shown under it.
    pub(crate) fn namesakes(&self, nick: &[u8]) -> SmallVec<[HostId; 2]> {
        if self.reader_count == 0 || !is_nick(nick) {
            return SmallVec::new();
        }
        self.by_hash.get(&self.hash(nick)).cloned().unwrap_or_default()
    }

    /// Shows a host under its name, and the one that had it under its alias.
    pub(crate) fn give_nick(&mut self, host: &Host) {
        let Some(ids) = self.claimants_mut(host.name()) else { return };
        let Some(at) = ids.iter().position(|&id| id == host.id).filter(|&at| at > 0) else {
            return;
        };
        ids.swap(0, at);
        ids.retain(|id| *id != HostId::NONE);
        self.note_presence(host, true);
    }

    /// Records what the watchers of a user are to be sent.
    fn note_presence(&mut self, host: &Host, is_online: bool) {
        if self.watchers.is_empty() || host.kind != HostKind::User {
            return;
        }
        let nick = self.nick(host.id, host.name());
        for &link in self.watchers.get(&fold_nick(&nick)).into_iter().flatten() {
            let events = self.events.entry(link).or_default();
            // A user who writes its nick in another case has been there all the time.
            let is_same = |last: &WatchEvent| {
                last.user == host.id && !last.is_online && last.nick.eq_ignore_ascii_case(&nick)
            };
            if is_online && events.last().is_some_and(is_same) {
                events.pop();
                continue;
            }
            events.push(WatchEvent { nick: nick.clone(), user: host.id, is_online });
        }
    }

    /// Returns the nick or the alias under which a host with this name is shown.
    pub(crate) fn nick(&self, id: HostId, name: &[u8]) -> Nick {
        let is_own = is_nick(name)
            && self.by_hash.get(&self.hash(name)).and_then(|ids| ids.first()) == Some(&id);
        if is_own { Nick::from_slice(name) } else { make_nick_alias(name, id) }
    }

    /// Returns the user that is shown under a nick or an alias.
    pub(crate) fn find_user<'a>(&self, nick: &[u8], hosts: &'a HostTable) -> Option<&'a Host> {
        let id = match parse_nick_alias(nick) {
            Some(id) => id,
            None => *self.by_hash.get(&self.hash(nick))?.first()?,
        };
        let host = hosts.get(id).filter(|host| host.kind == HostKind::User)?;
        self.nick(id, host.name()).eq_ignore_ascii_case(nick).then_some(host)
    }

    /// Returns whether a host other than `own` has a nick as its name.
    pub(crate) fn is_taken(&self, nick: &[u8], own: HostId) -> bool {
        let ids = self.by_hash.get(&self.hash(nick));
        ids.is_some_and(|ids| ids.iter().any(|&id| id != own && id != HostId::NONE))
    }

    /// Lets the client of a link watch a nick.
    pub(crate) fn watch(&mut self, link: LinkId, nick: &[u8]) {
        self.watchers.entry(fold_nick(nick)).or_default().insert(link);
    }

    /// Lets the client of a link watch a nick no longer.
    pub(crate) fn unwatch(&mut self, link: LinkId, nick: &[u8]) {
        let nick = fold_nick(nick);
        if let Some(links) = self.watchers.get_mut(&nick) {
            links.remove(&link);
            if links.is_empty() {
                self.watchers.remove(&nick);
            }
        }
    }

    /// Returns a link that is to be sent what [`NickTable::take_events`] returns.
    pub(crate) fn next_watcher(&self) -> Option<LinkId> {
        self.events.keys().next().copied()
    }

    /// Removes and returns what a link is to be sent.
    pub(crate) fn take_events(&mut self, link: LinkId) -> Vec<WatchEvent> {
        self.events.remove(&link).unwrap_or_default()
    }

    /// Iterates over the users who had a nick, the latest first.
    pub(crate) fn past_users<'a>(
        &'a self,
        nick: &'a [u8],
    ) -> impl Iterator<Item = &'a PastUser> + 'a {
        self.history.iter().rev().filter(|past| past.nick.eq_ignore_ascii_case(nick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with these claimants, added in this order.
    fn table(hosts: &[(u32, &str)]) -> NickTable {
        let mut table = NickTable { reader_count: 1, ..NickTable::default() };
        for &(id, name) in hosts {
            let hash = table.hash(name.as_bytes());
            table.by_hash.entry(hash).or_default().push(HostId(id));
        }
        table
    }

    #[test]
    fn first_user_of_a_name_has_it_as_nick_and_others_have_aliases() {
        let table = table(&[(7, "bob"), (5, "BOB")]);
        let nick = |id, name: &str| table.nick(HostId(id), name.as_bytes()).to_vec();
        assert_eq!(nick(7, "bob"), b"bob");
        assert_eq!(nick(5, "BOB"), b"BOB|5");
        assert_eq!(nick(9, "Jürgen"), b"J_rgen|9");
        assert!(table.is_taken(b"Bob", HostId(5)) && !table.is_taken(b"bo", HostId(5)));
    }

    #[test]
    fn watchers_are_told_apart_by_link_and_nick() {
        let mut table = table(&[]);
        let link = |index| LinkId { index, generation: 0 };
        table.watch(link(1), b"Bob");
        table.watch(link(2), b"bob");
        table.unwatch(link(1), b"BOB");
        assert_eq!(table.watchers[&fold_nick(b"bob")].len(), 1);
        table.unwatch(link(2), b"bob");
        assert!(table.watchers.is_empty());
        assert_eq!(table.next_watcher(), None);
    }
}
