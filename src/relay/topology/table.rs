//! [`HostTable`]: the known hosts and the next hop towards each. Routing looks up this table only.
//!
//! Invariants: an id has at most one entry, and this server has none. Every host is in the order of
//! joining, with a larger `join_seq` than those before it. A host that is not a user of this server
//! is also in the [`List`] of its home, or of the plain neighbour's link or split that it is
//! behind, so that the end of a link finds its hosts without a search.
//!
//! The table holds a million hosts in little memory and grows without a pause: a host takes 80
//! bytes including short texts, hosts are stored in chunks that never move, and lists are linked
//! through the hosts themselves instead of being sets that need a look-up for each change.

use super::host::{Home, Host, Links, Slot, host_size_bytes};
use super::id_map::IdMap;
use super::profiles::Profiles;
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::relay::message::{HostKind, Registration};
use crate::relay::profile::Profile;

/// An ordered list of hosts: the slots of the first and the last, and the number of hosts.
#[derive(Clone, Debug)]
pub(in crate::relay) struct List {
    first: Slot,
    last: Slot,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { first: Slot::NONE, last: Slot::NONE, len: 0 }
    }
}

impl List {
    /// Returns the number of hosts in the list.
    pub(in crate::relay) fn len(&self) -> usize {
        self.len
    }
}

/// Selects one of the two pairs of list links of a host.
type LinksField = fn(&mut Host) -> &mut Links;

/// All known hosts except this server.
#[derive(Clone, Debug, Default)]
pub struct HostTable {
    slots: ChunkedVec<Option<Host>>,
    /// Slots of hosts that have left, to be reused.
    free: Vec<Slot>,
    index: IdMap<Slot>,
    join_order: List,
    next_join_seq: u64,
    /// What some users say of themselves.
    profiles: Profiles,
    size_bytes: usize,
    server_count: usize,
    /// Highest number of users so far.
    user_count_max: usize,
}

impl HostTable {
    /// Returns the host with this id.
    #[must_use]
    pub fn get(&self, id: HostId) -> Option<&Host> {
        self.index.get(id).map(|&slot| self.host(slot))
    }

    /// Returns the slot and the entry of a host.
    pub(in crate::relay) fn find(&self, id: HostId) -> Option<(Slot, &Host)> {
        self.index.get(id).map(|&slot| (slot, self.host(slot)))
    }

    /// Returns the host in an occupied slot.
    pub(in crate::relay) fn host(&self, slot: Slot) -> &Host {
        self.at_slot(slot.index()).expect("the slot of a host")
    }

    fn host_mut(&mut self, slot: Slot) -> &mut Host {
        self.slots[slot.index()].as_mut().expect("the slot of a host")
    }

    /// Returns the host in a slot, if it is occupied.
    #[must_use]
    pub fn at_slot(&self, slot: usize) -> Option<&Host> {
        self.slots.occupied(slot)
    }

    /// Returns whether a slot holds a host.
    pub(in crate::relay) fn is_occupied(&self, slot: Slot) -> bool {
        self.at_slot(slot.index()).is_some()
    }

    /// Returns the number of slots, occupied or free.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// Returns the number of hosts.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.join_order.len
    }

    /// Returns the number of those that are servers.
    #[must_use]
    pub fn server_count(&self) -> usize {
        self.server_count
    }

    /// Returns the highest number of users so far.
    #[must_use]
    pub fn user_count_max(&self) -> usize {
        self.user_count_max
    }

    /// Returns the `join_seq` of the next host that joins.
    #[must_use]
    pub fn next_join_seq(&self) -> u64 {
        self.next_join_seq
    }

    /// Iterates over all hosts in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        let step = |slot: &Slot| Some(self.host(*slot).join_links.next);
        std::iter::successors(Some(self.join_order.first), step)
            .take(self.join_order.len)
            .map(|slot| self.host(slot))
    }

    /// Returns the slot of the host that joined first.
    pub(in crate::relay) fn first_slot(&self) -> Option<Slot> {
        Some(self.join_order.first).filter(|&slot| slot != Slot::NONE)
    }

    /// Returns the slot of the host that joined next after the one in `slot`.
    pub(in crate::relay) fn next_slot(&self, slot: Slot) -> Option<Slot> {
        Some(self.host(slot).join_links.next).filter(|&slot| slot != Slot::NONE)
    }

    /// Iterates over the ids of the hosts in the list of a home, in its order.
    pub(super) fn ids_in(&self, list: &List) -> impl Iterator<Item = HostId> {
        let step = |slot: &Slot| Some(self.host(*slot).home_links.next);
        std::iter::successors(Some(list.first), step).take(list.len).map(|slot| self.host(slot).id)
    }

    /// Adds a host whose id is not in the table and returns its slot. `list` is that of its home,
    /// if there is one.
    pub(super) fn insert(
        &mut self,
        registration: &Registration<'_>,
        (home, stamp): (Home, u64),
        list: Option<&mut List>,
    ) -> Slot {
        let id = registration.source;
        debug_assert!(self.index.get(id).is_none(), "host {id} is in the table already");
        let host = Host::new(registration, home, stamp, self.next_join_seq);
        self.next_join_seq += 1;
        self.size_bytes += host.size_bytes();
        self.server_count += usize::from(host.kind == HostKind::Server);
        let slot = self.store(host);
        self.index.insert(id, slot);
        let mut join_order = std::mem::take(&mut self.join_order);
        self.push_back(slot, &mut join_order, |host| &mut host.join_links);
        self.join_order = join_order;
        self.user_count_max = self.user_count_max.max(self.len() - self.server_count);
        if let Some(list) = list {
            self.push_back(slot, list, |host| &mut host.home_links);
        }
        slot
    }

    fn store(&mut self, host: Host) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot.index()] = Some(host);
            return slot;
        }
        Slot(u32::try_from(self.slots.push(Some(host))).expect("fewer hosts than ids"))
    }

    /// Removes a host. `list` is the one that it is in, if any.
    pub(super) fn remove(&mut self, id: HostId, list: Option<&mut List>) -> Option<Host> {
        let slot = self.index.remove(id)?;
        let mut join_order = std::mem::take(&mut self.join_order);
        self.unlink(slot, &mut join_order, |host| &mut host.join_links);
        self.join_order = join_order;
        self.remove_from_list(slot, list);
        let host = self.slots[slot.index()].take()?;
        self.free.push(slot);
        self.profiles.set(id, Profile::default());
        self.size_bytes -= host.size_bytes();
        self.server_count -= usize::from(host.kind == HostKind::Server);
        Some(host)
    }

    /// Removes a host from the list that it is in, if any.
    pub(super) fn remove_from_list(&mut self, slot: Slot, list: Option<&mut List>) {
        if let Some(list) = list {
            self.unlink(slot, list, |host| &mut host.home_links);
        }
    }

    /// Sets the home of a host that is in no list, and appends the host to the list of that home.
    pub(super) fn append_to_list(&mut self, slot: Slot, home: Home, list: Option<&mut List>) {
        self.host_mut(slot).home = home;
        if let Some(list) = list {
            self.push_back(slot, list, |host| &mut host.home_links);
        }
    }

    /// Sets the home of all hosts in a list.
    pub(super) fn set_home(&mut self, list: &List, home: Home) {
        let mut slot = list.first;
        while slot != Slot::NONE {
            let host = self.host_mut(slot);
            host.home = home;
            slot = host.home_links.next;
        }
    }

    /// Sets the stamp of a host.
    pub(super) fn set_stamp(&mut self, slot: Slot, stamp: u64) {
        self.host_mut(slot).stamp = stamp;
    }

    fn push_back(&mut self, slot: Slot, list: &mut List, links_of: LinksField) {
        *links_of(self.host_mut(slot)) = Links { prev: list.last, next: Slot::NONE };
        match list.last {
            Slot::NONE => list.first = slot,
            last => links_of(self.host_mut(last)).next = slot,
        }
        list.last = slot;
        list.len += 1;
    }

    fn unlink(&mut self, slot: Slot, list: &mut List, links_of: LinksField) {
        let Links { prev, next } =
            std::mem::replace(links_of(self.host_mut(slot)), Links::UNLINKED);
        match prev {
            Slot::NONE => list.first = next,
            prev => links_of(self.host_mut(prev)).next = next,
        }
        match next {
            Slot::NONE => list.last = prev,
            next => links_of(self.host_mut(next)).prev = prev,
        }
        list.len -= 1;
    }

    /// Returns whether a registration fits into a table of at most `bytes_max` bytes.
    pub(in crate::relay) fn has_room(
        &self,
        registration: &Registration<'_>,
        bytes_max: usize,
    ) -> bool {
        let more_bytes = host_size_bytes(registration.name, registration.info);
        self.all_bytes() + more_bytes <= bytes_max
    }

    /// Returns whether a user with a name and an info of usual length fits into the table.
    pub(in crate::relay) fn has_room_for_user(&self, bytes_max: usize) -> bool {
        self.all_bytes() + host_size_bytes(b"", b"") <= bytes_max
    }

    /// Returns whether a profile fits into a table of at most `bytes_max` bytes.
    pub(in crate::relay) fn has_room_for_profile(
        &self,
        profile: Profile<'_>,
        bytes_max: usize,
    ) -> bool {
        self.all_bytes() + profile.to_buf().size_bytes() <= bytes_max
    }

    fn all_bytes(&self) -> usize {
        self.size_bytes + self.profiles.size_bytes()
    }

    /// Returns what a user says of itself.
    #[must_use]
    pub fn profile(&self, id: HostId) -> Profile<'_> {
        self.profiles.get(id)
    }

    /// Returns what all users say of themselves.
    pub(super) fn profiles(&self) -> &Profiles {
        &self.profiles
    }

    /// Like [`HostTable::profiles`], to change it.
    pub(super) fn profiles_mut(&mut self) -> &mut Profiles {
        &mut self.profiles
    }
}

impl HostTable {
    /// Checks that the index, the slots, the order of joining and the size agree.
    ///
    /// # Panics
    /// If they do not.
    pub(super) fn check(&self) {
        let occupied = (0..self.slots.len()).filter(|&slot| self.slots.occupied(slot).is_some());
        let count = occupied.count();
        assert_eq!(self.index.len(), count, "the index has as many ids as there are hosts");
        assert_eq!(self.free.len(), self.slots.len() - count, "every empty slot is free");
        assert!(self.free.iter().all(|slot| self.at_slot(slot.index()).is_none()), "free is empty");
        let sizes = self.check_list(&self.join_order, |host| host.join_links);
        assert_eq!(self.join_order.len, count, "every host is in the order of joining");
        assert_eq!(self.size_bytes, sizes, "the table counts the size of its hosts");
        self.profiles.check(self.iter().map(|host| host.id));
        let servers = self.iter().filter(|host| host.kind == HostKind::Server).count();
        assert_eq!(self.server_count, servers, "the table counts its servers");
        let seqs: Vec<u64> = self.iter().map(Host::join_seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "the order of joining is strict");
        assert!(seqs.last().is_none_or(|&last| last < self.next_join_seq), "the next is last");
        for host in self.iter() {
            let found = self.find(host.id).map(|(_, found)| found.join_seq);
            assert_eq!(found, Some(host.join_seq), "the index finds host {}", host.id);
        }
    }

    /// Checks that a list of a home is linked in both directions, and that its hosts have this
    /// home.
    pub(super) fn check_home(&self, list: &List, home: Home) {
        self.check_list(list, |host| host.home_links);
        for id in self.ids_in(list) {
            let found = self.get(id).map(|host| host.home);
            assert_eq!(found, Some(home), "home of host {id} in its list");
        }
    }

    fn check_list(&self, list: &List, links_of: fn(&Host) -> Links) -> usize {
        let (mut prev, mut slot, mut sizes) = (Slot::NONE, list.first, 0);
        for _ in 0..list.len {
            let host = self.host(slot);
            let links = links_of(host);
            assert_eq!(links.prev, prev, "host {} and its predecessor agree", host.id);
            sizes += host.size_bytes();
            (prev, slot) = (slot, links.next);
        }
        assert_eq!((prev, slot), (list.last, Slot::NONE), "a list ends where it says");
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HOST_OVERHEAD_BYTES;
    use crate::relay::topology::host::SplitId;

    const HOME: (Home, u64) = (Home::Link(1), 0);

    fn user<'a>(id: u32, name: &'a [u8], info: &'a [u8]) -> Registration<'a> {
        let (kind, last_hop) = (HostKind::User, HostId::NONE);
        Registration { kind, source: HostId(id), last_hop, name, info }
    }

    fn ids(table: &HostTable) -> Vec<u32> {
        table.iter().map(|host| host.id.0).collect()
    }

    #[test]
    fn name_and_info_of_any_length_are_kept() {
        let mut table = HostTable::default();
        let texts = [b'x'; 70_000];
        let lengths = [(0, 0), (0, 31), (31, 0), (8, 16), (15, 17), (255, 0), (255, 65_535)];
        for (id, &(name, info)) in (1..).zip(&lengths) {
            table.insert(&user(id, &texts[..name], &texts[..info]), HOME, None);
        }
        for (host, (name, info)) in table.iter().zip(lengths) {
            assert_eq!((host.name().len(), host.info().len()), (name, info));
            assert!(host.name().iter().chain(host.info()).all(|&byte| byte == b'x'));
        }
    }

    #[test]
    fn hosts_iterate_in_join_order_after_slots_are_reused() {
        let (mut table, mut list) = (HostTable::default(), List::default());
        for id in 1..=6 {
            table.insert(&user(id, b"", b""), HOME, (id % 2 == 0).then_some(&mut list));
        }
        for (id, is_listed) in [(1, false), (4, true), (6, true)] {
            let removed = table.remove(HostId(id), is_listed.then_some(&mut list));
            assert_eq!(removed.map(|host| host.id.0), Some(id));
        }
        for id in [7, 8] {
            table.insert(&user(id, b"", b""), HOME, Some(&mut list));
        }
        assert_eq!(ids(&table), [2, 3, 5, 7, 8]);
        assert_eq!(table.slot_count(), 6);
        assert_eq!(table.ids_in(&list).collect::<Vec<_>>(), [2, 7, 8].map(HostId));
        assert_eq!(list.len(), 3);
        let mut other_list = List::default();
        let (slot, _) = table.find(HostId(7)).expect("it is there");
        table.remove_from_list(slot, Some(&mut list));
        table.append_to_list(slot, Home::Split(SplitId(0)), Some(&mut other_list));
        table.set_home(&list, Home::Split(SplitId(1)));
        let homes = |id| table.get(HostId(id)).map(|host| host.home);
        assert_eq!([2, 7].map(homes), [1, 0].map(|split| Some(Home::Split(SplitId(split)))));
        assert_eq!(homes(3), Some(Home::Link(1)));
    }

    #[test]
    fn removing_a_host_frees_its_bytes() {
        let mut table = HostTable::default();
        let one = user(1, b"name", &[b'i'; 100]);
        let bytes = 104 + HOST_OVERHEAD_BYTES;
        assert!(table.has_room(&one, bytes) && !table.has_room(&one, bytes - 1));
        table.insert(&one, HOME, None);
        assert!(!table.has_room(&user(2, b"", b""), bytes));
        table.remove(HostId(1), None);
        assert!(table.has_room(&one, bytes));
    }
}
