//! The directory of classic names: eight bytes for every user of the network, on whichever wire.
//!
//! The directory exists while the server has classic clients. Invariants: every user has one name,
//! and every name one user. A user keeps its name, or its alias, until it leaves. The version grows
//! with each change.

use super::name::{Name, is_reserved, make_alias, parse_user_name};
use super::name_table::NameTable;
use crate::id::HostId;
use crate::limits::{CLASSIC_WORK_PER_HOST, CLASSIC_WORK_PER_TURN};
use crate::link::Time;
use crate::relay::message::HostKind;
use crate::relay::{Host, HostTable};

/// The classic names of all users of the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    /// Number of classic sessions that use the directory.
    reader_count: usize,
    /// Slot of the next host to add while the directory is filled.
    next_fill_slot: Option<usize>,
    version: u64,
    has_changed: bool,
    table: NameTable,
    turn_budget: TurnBudget,
}

/// The work that is left for a turn of the event loop. Other links wait for the end of the turn.
#[derive(Clone, Debug, Default)]
struct TurnBudget {
    turn_time: Option<Time>,
    remaining: usize,
}

impl TurnBudget {
    /// Returns the budget that is left at `now`, as a number of names to visit.
    fn remaining_at(&mut self, now: Time) -> &mut usize {
        if self.turn_time.replace(now) != Some(now) {
            self.remaining = CLASSIC_WORK_PER_TURN;
        }
        &mut self.remaining
    }
}

impl Directory {
    /// Registers a session that uses the names. [`Directory::fill`] must follow.
    pub(crate) fn add_reader(&mut self) {
        if self.reader_count == 0 {
            self.next_fill_slot = Some(0);
        }
        self.reader_count += 1;
    }

    /// Adds the users of the network for the first session, as many as the budget of this turn
    /// allows. Returns whether all were added. Until then the directory must not be used.
    pub(crate) fn fill(&mut self, now: Time, hosts: &HostTable) -> bool {
        while let Some(slot) = self.next_fill_slot {
            if slot >= hosts.slot_count() {
                self.next_fill_slot = None;
                break;
            }
            let remaining = self.turn_budget.remaining_at(now);
            let Some(rest) = remaining.checked_sub(CLASSIC_WORK_PER_HOST) else {
                return false;
            };
            *remaining = rest;
            if let Some(host) = hosts.at_slot(slot).filter(|host| host.kind == HostKind::User) {
                self.add_by_join_order(host, hosts);
            }
            self.next_fill_slot = Some(slot + 1);
        }
        true
    }

    /// Adds a user. If several users have one name, it goes to the one that joined first, as if the
    /// directory had existed then.
    fn add_by_join_order(&mut self, host: &Host, hosts: &HostTable) {
        if self.add(host.id, host.name()) {
            return;
        }
        let holder = parse_user_name(host.name())
            .and_then(|own_name| hosts.get(self.table.find_user(own_name)?));
        if let Some(holder) = holder.filter(|holder| holder.join_seq() > host.join_seq()) {
            for host in [holder, host] {
                self.remove(host.id);
            }
            for host in [host, holder] {
                self.add(host.id, host.name());
            }
        }
    }

    /// Unregisters a session. The names are cleared with the last one. Returns whether they were.
    pub(crate) fn remove_reader(&mut self) -> bool {
        self.reader_count -= 1;
        let is_cleared = self.reader_count == 0;
        if is_cleared {
            *self = Self { version: self.version + 1, ..Self::default() };
        }
        is_cleared
    }

    /// Adds a host that has become reachable, while the directory is in use.
    pub(crate) fn host_up(&mut self, host: &Host) {
        if self.reader_count > 0 && host.kind == HostKind::User {
            self.add(host.id, host.name());
        }
    }

    /// Removes a host that has left.
    pub(crate) fn host_down(&mut self, host: &Host) {
        self.remove(host.id);
    }

    /// Adds a user under its own name or an alias, unless it is known. Returns whether it has its
    /// own name.
    pub(crate) fn add(&mut self, id: HostId, name: &[u8]) -> bool {
        let alias = make_alias(name, id);
        let own_name = parse_user_name(name).filter(|&own| !is_reserved(own));
        let (name, is_new) = self.table.insert(id, [own_name.unwrap_or(alias), alias]);
        if is_new {
            self.mark_changed();
        }
        Some(name) == own_name
    }

    pub(crate) fn remove(&mut self, id: HostId) {
        if self.table.remove(id) {
            self.mark_changed();
        }
    }

    fn mark_changed(&mut self) {
        self.version += 1;
        self.has_changed = true;
    }

    /// Returns whether the directory has changed since the last call. The classic sessions must
    /// send their lists then.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// Returns the version, which grows with each change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns whether a name is reserved or in use.
    pub(crate) fn is_taken(&self, name: Name) -> bool {
        is_reserved(name) || self.table.find_user(name).is_some()
    }

    /// Returns the user with a name.
    pub(crate) fn find_user(&self, name: Name) -> Option<HostId> {
        self.table.find_user(name)
    }

    /// Returns the name of a user.
    pub(crate) fn name_of(&self, id: HostId) -> Option<Name> {
        self.table.name_of(id)
    }

    /// Returns the number of users.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether this turn has time left for work on the names.
    pub(crate) fn has_work_budget(&mut self, now: Time) -> bool {
        *self.turn_budget.remaining_at(now) > 0
    }

    /// Visits the names in order, those after `after` if it is given, until `visit` returns `false`
    /// or the budget of this turn is used up. Returns whether all of them were visited.
    pub(crate) fn visit_names(
        &mut self,
        now: Time,
        after: Option<Name>,
        mut visit: impl FnMut(Name) -> bool,
    ) -> bool {
        let remaining = self.turn_budget.remaining_at(now);
        !self.table.names_after(after).any(|name| {
            *remaining = remaining.saturating_sub(1);
            !visit(name) || *remaining == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("eight bytes at most")
    }

    fn directory(users: &[(u32, &str)]) -> Directory {
        let mut directory = Directory { reader_count: 1, ..Directory::default() };
        for &(id, name) in users {
            directory.add(HostId(id), name.as_bytes());
        }
        directory
    }

    #[track_caller]
    fn check(users: &[(u32, &str)], expected: &[&str]) {
        let directory = directory(users);
        for (&(id, _), &expected) in users.iter().zip(expected) {
            assert_eq!(directory.name_of(HostId(id)), Some(name(expected)));
            assert_eq!(directory.find_user(name(expected)), Some(HostId(id)));
            assert!(directory.is_taken(name(expected)));
        }
        assert_eq!(directory.table.len(), users.len());
    }

    #[test]
    fn users_get_their_own_name_or_an_alias() {
        check(&[(1, "frodo"), (102, "samwise-gamgee"), (3, "")], &["frodo", "samwi~2u", "~3"]);
        check(&[(1, "bob"), (2, "bob"), (3, "bob")], &["bob", "bob~2", "bob~3"]);
        check(&[(1, "ALL"), (2, "-SERVER-"), (3, "a b")], &["ALL~1", "-SERVE~2", "ab~3"]);
        check(&[(2, "bob~2"), (3, "bob~2")], &["bob2~2", "bob2~3"]);
    }

    #[test]
    fn alias_stays_after_the_name_becomes_free() {
        let mut directory = directory(&[(1, "bob"), (2, "bob")]);
        directory.remove(HostId(1));
        directory.add(HostId(2), b"bob"); // as after a split
        assert_eq!(directory.name_of(HostId(2)), Some(name("bob~2")));
        assert!(!directory.is_taken(name("bob")));
        assert_eq!(directory.name_of(HostId(1)), None);
        directory.add(HostId(3), b"bob");
        assert_eq!(directory.find_user(name("bob")), Some(HostId(3)));
    }

    #[test]
    fn each_change_is_reported_once() {
        let mut directory = directory(&[(1, "bob")]);
        let version = directory.version();
        assert!(directory.take_changed());
        assert!(!directory.take_changed());
        directory.add(HostId(1), b"bob");
        directory.remove(HostId(2));
        assert!(!directory.take_changed());
        assert_eq!(directory.version(), version);
        directory.remove(HostId(1));
        assert!(directory.take_changed());
        assert!(directory.version() > version);
    }

    #[test]
    fn directory_is_cleared_when_the_last_reader_leaves() {
        let mut directory = directory(&[(1, "bob"), (2, "samwise-gamgee")]);
        let version = directory.version();
        directory.add_reader();
        assert!(!directory.remove_reader());
        assert_eq!(directory.table.len(), 2);
        assert!(directory.remove_reader());
        assert_eq!(directory.table.len(), 0);
        assert!(!directory.take_changed());
        assert!(directory.version() > version);
    }
}
