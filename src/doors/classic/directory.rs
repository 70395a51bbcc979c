//! Who is online, in names of eight bytes: the names under which the classic clients of this server
//! see the users of the whole network, whatever their wire.
//!
//! It is there while there are classic clients, and costs nothing else. Invariants: every user has
//! one name and every name one user; a name, an alias too, stays with its user until that leaves;
//! with each change the version grows.

use std::sync::{Arc, Weak};

use super::names::{alias, is_reserved, plain};
use super::pages::{Packing, Pages};
use super::table::NameTable;
use super::wire::Name;
use crate::limits::{CLASSIC_HOST_WORK, CLASSIC_LISTS_BYTES_MAX, CLASSIC_TURN_WORK};
use crate::relay::message::{HostId, Kind};
use crate::relay::{Host, HostTable, Time};

/// The names.
#[derive(Debug, Default)]
pub struct Directory {
    /// Classic sessions that need it.
    readers: usize,
    /// While not all hosts have been looked at: the slot of the next one.
    next_slot: Option<usize>,
    version: u64,
    has_news: bool,
    table: NameTable,
    /// The list that is being made.
    packing: Option<Packing>,
    /// The list that was made last; it may be older than the names.
    latest: Option<Arc<Pages>>,
    /// Lists before it that clients may still be in the middle of.
    earlier: Vec<Weak<Pages>>,
    turn: Turn,
}

/// How much can still be done in a turn: whoever else is there waits for its end.
#[derive(Debug, Default)]
struct Turn {
    at: Option<Time>,
    left: usize,
}

impl Turn {
    /// What is left, in names that are looked at.
    fn left(&mut self, now: Time) -> &mut usize {
        if self.at.replace(now) != Some(now) {
            self.left = CLASSIC_TURN_WORK;
        }
        &mut self.left
    }
}

impl Directory {
    /// A session needs the names, see [`Directory::fill`].
    pub(super) fn enter(&mut self) {
        if self.readers == 0 {
            self.next_slot = Some(0);
        }
        self.readers += 1;
    }

    /// Finds out the names for the first session, as many as there is time for in this turn. Answers
    /// whether all are there; until then no session is to ask for any.
    pub(super) fn fill(&mut self, now: Time, hosts: &HostTable) -> bool {
        while let Some(slot) = self.next_slot {
            if slot >= hosts.slots_end() {
                self.next_slot = None;
                break;
            }
            let left = self.turn.left(now);
            let Some(rest) = left.checked_sub(CLASSIC_HOST_WORK) else {
                return false;
            };
            *left = rest;
            if let Some(host) = hosts.at_slot(slot).filter(|host| host.kind == Kind::User) {
                self.find_out(host, hosts);
            }
            self.next_slot = Some(slot + 1);
        }
        true
    }

    /// A name that several have belongs to who came first, as if it had been given out then.
    fn find_out(&mut self, host: &Host, hosts: &HostTable) {
        if self.add(host.id, host.name()) {
            return;
        }
        let holder = plain(host.name()).and_then(|own| hosts.get(self.table.user(own)?));
        if let Some(holder) = holder.filter(|holder| holder.order() > host.order()) {
            for host in [holder, host] {
                self.remove(host.id);
            }
            for host in [host, holder] {
                self.add(host.id, host.name());
            }
        }
    }

    /// A session that entered is gone. With the last one the names are forgotten.
    pub(super) fn leave(&mut self) {
        self.readers -= 1;
        if self.readers == 0 {
            *self = Self { version: self.version + 1, ..Self::default() };
        }
    }

    pub(in crate::doors) fn came(&mut self, host: &Host) {
        if self.readers > 0 && host.kind == Kind::User {
            self.add(host.id, host.name());
        }
    }

    pub(in crate::doors) fn left(&mut self, host: &Host) {
        self.remove(host.id);
    }

    /// Gives a user a name, if it has none yet. Answers whether it has its own.
    fn add(&mut self, id: HostId, name: &[u8]) -> bool {
        let alias = alias(name, id);
        let own = plain(name).filter(|&own| !is_reserved(own));
        let (name, is_new) = self.table.insert(id, [own.unwrap_or(alias), alias]);
        if is_new {
            self.changed();
        }
        Some(name) == own
    }

    fn remove(&mut self, id: HostId) {
        if self.table.remove(id) {
            self.changed();
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.has_news = true;
    }

    /// Whether classic clients are to be told of a change since this was last asked: call `refresh`
    /// of each.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Grows with each change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Whether nobody else can have a name.
    pub(super) fn is_taken(&self, name: Name) -> bool {
        is_reserved(name) || self.table.user(name).is_some()
    }

    /// Who has a name.
    pub(super) fn user(&self, name: Name) -> Option<HostId> {
        self.table.user(name)
    }

    /// The name of a user who is here.
    pub(super) fn name(&self, id: HostId) -> Option<Name> {
        self.table.name(id)
    }

    /// A list that is of a version or later, made once for all who ask for one, if there is time to
    /// finish it in this turn. When clients are still in the middle of too many earlier ones, it is one of
    /// those.
    ///
    /// Making one goes on from turn to turn, while users come and go. Of each it says what was so at
    /// some time since it was begun.
    pub(super) fn list(&mut self, now: Time, version: u64) -> Option<Arc<Pages>> {
        loop {
            if let Some(latest) = &self.latest {
                let is_in_use = Arc::strong_count(latest) > 1;
                if latest.version() >= version || (is_in_use && self.are_lists_many(latest)) {
                    return Some(Arc::clone(latest));
                }
            }
            let list = Arc::new(self.pack(now)?);
            self.earlier.retain(|list| list.strong_count() > 0);
            if let Some(before) = self.latest.replace(list)
                && Arc::strong_count(&before) > 1
            {
                self.earlier.push(Arc::downgrade(&before));
            }
        }
    }

    /// Goes on with the list that is being made, or begins one.
    fn pack(&mut self, now: Time) -> Option<Pages> {
        let begin = || Packing::new(self.version, self.table.len());
        let mut packing = self.packing.take().unwrap_or_else(begin);
        let left = self.turn.left(now);
        while *left > 0 {
            let mut names = self.table.names_after(packing.last());
            let is_stopped = names.any(|name| {
                *left -= 1;
                !packing.push(name) || *left == 0
            });
            if !is_stopped {
                return Some(packing.finish());
            }
        }
        self.packing = Some(packing);
        None
    }

    fn are_lists_many(&self, latest: &Pages) -> bool {
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        let bytes: usize = earlier.map(|list| list.bytes()).sum();
        bytes + latest.bytes() > CLASSIC_LISTS_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("eight bytes at most")
    }

    fn directory(users: &[(u32, &str)]) -> Directory {
        let mut directory = Directory { readers: 1, ..Directory::default() };
        for &(id, name) in users {
            directory.add(HostId(id), name.as_bytes());
        }
        directory
    }

    /// A list as it is now, however many turns that takes.
    fn list_now(directory: &mut Directory) -> Arc<Pages> {
        let version = directory.version();
        let mut turns = (0..).map(|i| Time::after(Duration::from_millis(i)));
        turns.find_map(|now| directory.list(now, version)).expect("some time")
    }

    #[track_caller]
    fn check(users: &[(u32, &str)], expected: &[&str]) {
        let directory = directory(users);
        for (&(id, _), &expected) in users.iter().zip(expected) {
            assert_eq!(directory.name(HostId(id)), Some(name(expected)));
            assert_eq!(directory.user(name(expected)), Some(HostId(id)));
            assert!(directory.is_taken(name(expected)));
        }
        assert_eq!(directory.table.len(), users.len());
    }

    #[test]
    fn users_have_their_own_names_where_they_can() {
        check(&[(1, "frodo"), (102, "samwise-gamgee"), (3, "")], &["frodo", "samwi~2u", "~3"]);
        check(&[(1, "bob"), (2, "bob"), (3, "bob")], &["bob", "bob~2", "bob~3"]);
        check(&[(1, "ALL"), (2, "-SERVER-"), (3, "a b")], &["ALL~1", "-SERVE~2", "ab~3"]);
        check(&[(2, "bob~2"), (3, "bob~2")], &["bob2~2", "bob2~3"]);
    }

    #[test]
    fn an_alias_stays_when_the_name_gets_free() {
        let mut directory = directory(&[(1, "bob"), (2, "bob")]);
        directory.remove(HostId(1));
        directory.add(HostId(2), b"bob"); // found again after a split, say
        assert_eq!(directory.name(HostId(2)), Some(name("bob~2")));
        assert!(!directory.is_taken(name("bob")));
        assert_eq!(directory.name(HostId(1)), None);
        directory.add(HostId(3), b"bob");
        assert_eq!(directory.user(name("bob")), Some(HostId(3)));
    }

    #[test]
    fn each_change_is_news_once() {
        let mut directory = directory(&[(1, "bob")]);
        let version = directory.version();
        assert!(directory.take_news());
        assert!(!directory.take_news());
        directory.add(HostId(1), b"bob");
        directory.remove(HostId(2));
        assert!(!directory.take_news());
        assert_eq!(directory.version(), version);
        directory.remove(HostId(1));
        assert!(directory.take_news());
        assert!(directory.version() > version);
    }

    #[test]
    fn without_readers_nothing_is_kept() {
        let mut directory = directory(&[(1, "bob"), (2, "samwise-gamgee")]);
        let (version, list) = (directory.version(), list_now(&mut directory));
        directory.enter();
        directory.leave();
        assert_eq!(directory.table.len(), 2);
        directory.leave();
        assert_eq!(directory.table.len(), 0);
        assert!(directory.latest.is_none());
        assert_eq!(Arc::strong_count(&list), 1);
        assert!(!directory.take_news());
        assert!(directory.version() > version);
    }

    #[test]
    fn a_list_is_made_once_a_version_and_shared() {
        let mut directory = directory(&[(2, "sam"), (1, "frodo"), (3, "sam")]);
        let list = list_now(&mut directory);
        assert_eq!(list.text(0).as_deref(), Some(&b"List 1/1 frodo sam sam~3"[..]));
        assert!(Arc::ptr_eq(&list, &list_now(&mut directory)));
        directory.remove(HostId(2));
        let next = list_now(&mut directory);
        assert_eq!(next.text(0).as_deref(), Some(&b"List 1/1 frodo sam~3"[..]));
        assert!(next.version() > list.version());
    }

    #[test]
    fn lists_that_clients_are_in_the_middle_of_have_a_bound() {
        let mut directory = directory(&[]);
        for id in 0..100_000 {
            directory.add(HostId(id), b"somebody-or-other");
        }
        let bytes = list_now(&mut directory).bytes();
        let count = CLASSIC_LISTS_BYTES_MAX / bytes;
        let mut held = Vec::new();
        for id in 0..count as u32 + 10 {
            directory.remove(HostId(id));
            held.push(list_now(&mut directory));
        }
        held.dedup_by(|a, b| Arc::ptr_eq(a, b));
        assert!((count..count + 3).contains(&held.len()), "{} of {count}", held.len());
        assert!(held.last().expect("some").version() < directory.version());
        held.clear();
        assert_eq!(list_now(&mut directory).version(), directory.version());
        directory.remove(HostId(99_999));
        list_now(&mut directory);
        assert!(directory.earlier.is_empty());
    }
}
