//! Who is online, in names of eight bytes: the names under which the classic clients of this server
//! see the users of the whole network, whatever their wire.
//!
//! It is there while there are classic clients, and costs nothing else. Invariants: every user has
//! one name and every name one user; a name, an alias too, stays with its user until that leaves;
//! with each change the version grows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;

use super::names::{alias, is_reserved, plain};
use super::pages::Pages;
use super::wire::Name;
use crate::limits::CLASSIC_LISTS_BYTES_MAX;
use crate::relay::message::{HostId, Kind};
use crate::relay::{Host, HostTable};

/// The names.
#[derive(Debug, Default)]
pub struct Directory {
    /// Classic sessions that need it.
    readers: usize,
    version: u64,
    has_news: bool,
    /// In the order of the list.
    users: BTreeMap<Name, HostId>,
    names: HashMap<HostId, Name, RandomState>,
    /// The list that was made last; it may be older than the names.
    latest: Option<Arc<Pages>>,
    /// Lists before it that clients may still be in the middle of.
    earlier: Vec<Weak<Pages>>,
}

impl Directory {
    /// A session needs the names: for the first one they are found out.
    pub(super) fn enter(&mut self, hosts: &HostTable) {
        if self.readers == 0 {
            let mut users: Vec<&Host> = hosts.iter().filter(|h| h.kind == Kind::User).collect();
            // A name that several have belongs to who came first, as if it had been given out then.
            users.sort_unstable_by_key(|host| host.order());
            self.readers = 1;
            for host in users {
                self.add(host.id, host.name());
            }
        } else {
            self.readers += 1;
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

    fn add(&mut self, id: HostId, name: &[u8]) {
        if self.names.contains_key(&id) {
            return;
        }
        let own = plain(name).filter(|&own| !self.is_taken(own));
        let name = own.unwrap_or_else(|| alias(name, id));
        let before = self.users.insert(name, id);
        assert!(before.is_none(), "{name:?} was somebody's already");
        self.names.insert(id, name);
        self.changed();
    }

    fn remove(&mut self, id: HostId) {
        if let Some(name) = self.names.remove(&id) {
            self.users.remove(&name);
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
        is_reserved(name) || self.users.contains_key(&name)
    }

    /// Who has a name.
    pub(super) fn user(&self, name: Name) -> Option<HostId> {
        self.users.get(&name).copied()
    }

    /// The name of a user who is here.
    pub(super) fn name(&self, id: HostId) -> Option<Name> {
        self.names.get(&id).copied()
    }

    /// The list, made once for each version that somebody asks for. When clients are still in the
    /// middle of too many earlier ones, it is one of those.
    pub(super) fn list(&mut self) -> Arc<Pages> {
        if let Some(latest) = &self.latest {
            let is_in_use = Arc::strong_count(latest) > 1;
            if latest.version() == self.version || (is_in_use && self.are_lists_many(latest)) {
                return Arc::clone(latest);
            }
            self.earlier.retain(|list| list.strong_count() > 0);
            if is_in_use {
                self.earlier.push(Arc::downgrade(latest));
            }
        }
        let list = Arc::new(Pages::pack(self.version, &self.users.keys()));
        self.latest = Some(Arc::clone(&list));
        list
    }

    fn are_lists_many(&self, latest: &Pages) -> bool {
        let earlier = self.earlier.iter().filter_map(Weak::upgrade);
        let bytes: usize = earlier.map(|list| list.bytes()).sum();
        bytes + latest.bytes() > CLASSIC_LISTS_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
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

    #[track_caller]
    fn check(users: &[(u32, &str)], expected: &[&str]) {
        let directory = directory(users);
        for (&(id, _), &expected) in users.iter().zip(expected) {
            assert_eq!(directory.name(HostId(id)), Some(name(expected)));
            assert_eq!(directory.user(name(expected)), Some(HostId(id)));
            assert!(directory.is_taken(name(expected)));
        }
        assert_eq!(directory.users.len(), users.len());
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
        let (version, list) = (directory.version(), directory.list());
        directory.enter(&HostTable::default());
        directory.leave();
        assert_eq!(directory.users.len(), 2);
        directory.leave();
        assert!(directory.users.is_empty());
        assert_eq!(directory.names.capacity(), 0);
        assert!(directory.latest.is_none());
        assert_eq!(Arc::strong_count(&list), 1);
        assert!(!directory.take_news());
        assert!(directory.version() > version);
    }

    #[test]
    fn a_list_is_made_once_a_version_and_shared() {
        let mut directory = directory(&[(2, "sam"), (1, "frodo"), (3, "sam")]);
        let list = directory.list();
        assert_eq!(list.text(0), Some(&b"List 1/1 frodo sam sam~3"[..]));
        assert!(Arc::ptr_eq(&list, &directory.list()));
        directory.remove(HostId(2));
        let next = directory.list();
        assert_eq!(next.text(0), Some(&b"List 1/1 frodo sam~3"[..]));
        assert!(next.version() > list.version());
    }

    #[test]
    fn lists_that_clients_are_in_the_middle_of_have_a_bound() {
        let mut directory = directory(&[]);
        for id in 0..100_000 {
            directory.add(HostId(id), b"somebody-or-other");
        }
        let bytes = directory.list().bytes();
        let count = CLASSIC_LISTS_BYTES_MAX / bytes;
        let mut held = Vec::new();
        for id in 0..count as u32 + 10 {
            directory.remove(HostId(id));
            held.push(directory.list());
        }
        held.dedup_by(|a, b| Arc::ptr_eq(a, b));
        assert!((count..count + 3).contains(&held.len()), "{} of {count}", held.len());
        assert!(held.last().expect("some").version() < directory.version());
        held.clear();
        assert_eq!(directory.list().version(), directory.version());
        directory.remove(HostId(99_999));
        directory.list();
        assert!(directory.earlier.is_empty());
    }
}
