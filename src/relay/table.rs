//! The hosts that exist and the first link towards each: the one table that routing looks up.
//!
//! Invariants: one entry an id; never this server itself; every host stands in the order of joining,
//! and its order number is larger than those before it. A host that was learnt from a server also
//! stands in the [`List`] of that server's link, or of the split in which it was lost, so that the end
//! of a link finds its hosts without a search.
//!
//! A million hosts are to fit into little memory and to come in without a pause. So a host is 80 bytes
//! with its texts, where these are short; hosts lie in blocks that never move; and the orders are
//! chains through the hosts themselves, where a set beside them would cost another look-up each.

use super::host::{FirstLink, Host, Links, NO_SLOT};
use super::index::IdIndex;
use super::message::Registration;
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;
use crate::limits::HOST_OVERHEAD_BYTES;
use crate::link::LinkId;

/// Hosts in an order: the slots of the first and the last, and how many there are.
#[derive(Debug)]
pub(super) struct List {
    first: u32,
    last: u32,
    len: usize,
}

impl Default for List {
    fn default() -> Self {
        Self { first: NO_SLOT, last: NO_SLOT, len: 0 }
    }
}

impl List {
    /// How many hosts stand in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Which of a host's two hooks.
type LinksField = fn(&mut Host) -> &mut Links;

/// Every known host but this server.
#[derive(Debug, Default)]
pub struct HostTable {
    slots: ChunkedVec<Option<Host>>,
    /// Slots whose hosts have left, to be used again.
    free: Vec<u32>,
    index: IdIndex,
    join_order: List,
    next_join_seq: u64,
    size_bytes: usize,
}

impl HostTable {
    /// The host with this id.
    #[must_use]
    pub fn get(&self, id: HostId) -> Option<&Host> {
        self.index.get(id).map(|slot| self.host(slot))
    }

    /// The slot and entry of a host.
    pub(super) fn find(&self, id: HostId) -> Option<(u32, &Host)> {
        self.index.get(id).map(|slot| (slot, self.host(slot)))
    }

    /// The host in a slot that is taken.
    pub(super) fn host(&self, slot: u32) -> &Host {
        self.at_slot(slot as usize).expect("the slot of a host")
    }

    fn host_mut(&mut self, slot: u32) -> &mut Host {
        self.slots[slot as usize].as_mut().expect("the slot of a host")
    }

    /// The entry in a slot, if it is taken.
    #[must_use]
    pub fn at_slot(&self, slot: usize) -> Option<&Host> {
        self.slots.occupied(slot)
    }

    /// Past every slot that was ever taken.
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.slots.len()
    }

    /// The order number that the next host gets.
    #[must_use]
    pub fn next_join_seq(&self) -> u64 {
        self.next_join_seq
    }

    /// All hosts in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        let step = |slot: &u32| Some(self.host(*slot).join_links.next);
        std::iter::successors(Some(self.join_order.first), step)
            .take(self.join_order.len)
            .map(|slot| self.host(slot))
    }

    /// The slot of the host that has been here longest.
    pub(super) fn first_slot(&self) -> Option<u32> {
        Some(self.join_order.first).filter(|&slot| slot != NO_SLOT)
    }

    /// The slot of the host that joined next after the one in `slot`.
    pub(super) fn next_slot(&self, slot: u32) -> Option<u32> {
        Some(self.host(slot).join_links.next).filter(|&slot| slot != NO_SLOT)
    }

    /// The ids of the hosts in a chain of links or splits, in its order.
    pub(super) fn ids_in(&self, list: &List) -> impl Iterator<Item = HostId> {
        let step = |slot: &u32| Some(self.host(*slot).route_links.next);
        std::iter::successors(Some(list.first), step).take(list.len).map(|slot| self.host(slot).id)
    }

    /// Adds a host whose id is not in the table, and answers its slot. `chain` is that of its link,
    /// if the link is to a server.
    pub(super) fn insert(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
        list: Option<&mut List>,
    ) -> u32 {
        let id = registration.source;
        debug_assert!(self.index.get(id).is_none(), "host {id} is in the table already");
        let host = Host::new(registration, link, self.next_join_seq);
        self.next_join_seq += 1;
        self.size_bytes += host.size_bytes();
        let slot = self.store(host);
        self.index.insert(id, slot);
        let mut join_order = std::mem::take(&mut self.join_order);
        self.push_back(slot, &mut join_order, |host| &mut host.join_links);
        self.join_order = join_order;
        if let Some(list) = list {
            self.push_back(slot, list, |host| &mut host.route_links);
        }
        slot
    }

    fn store(&mut self, host: Host) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(host);
            return slot;
        }
        u32::try_from(self.slots.push(Some(host))).expect("fewer hosts than ids")
    }

    /// Forgets a host. `chain` is the one in which it stands, if any.
    pub(super) fn remove(&mut self, id: HostId, list: Option<&mut List>) -> Option<Host> {
        let slot = self.index.remove(id)?;
        let mut join_order = std::mem::take(&mut self.join_order);
        self.unlink(slot, &mut join_order, |host| &mut host.join_links);
        self.join_order = join_order;
        self.remove_from_list(slot, list);
        let host = self.slots[slot as usize].take()?;
        self.free.push(slot);
        self.size_bytes -= host.size_bytes();
        Some(host)
    }

    /// Takes a host out of the chain in which it stands, if any.
    pub(super) fn remove_from_list(&mut self, slot: u32, list: Option<&mut List>) {
        if let Some(list) = list {
            self.unlink(slot, list, |host| &mut host.route_links);
        }
    }

    /// Puts a host that is in no chain into one, as the way to it is another from now on.
    pub(super) fn append_to_list(&mut self, slot: u32, first_link: FirstLink, list: &mut List) {
        self.host_mut(slot).first_link = first_link;
        self.push_back(slot, list, |host| &mut host.route_links);
    }

    /// The way to all hosts in a chain is another from now on.
    pub(super) fn set_first_link(&mut self, list: &List, first_link: FirstLink) {
        let mut slot = list.first;
        while slot != NO_SLOT {
            let host = self.host_mut(slot);
            host.first_link = first_link;
            slot = host.route_links.next;
        }
    }

    fn push_back(&mut self, slot: u32, list: &mut List, links_of: LinksField) {
        *links_of(self.host_mut(slot)) = Links { prev: list.last, next: NO_SLOT };
        match list.last {
            NO_SLOT => list.first = slot,
            last => links_of(self.host_mut(last)).next = slot,
        }
        list.last = slot;
        list.len += 1;
    }

    fn unlink(&mut self, slot: u32, list: &mut List, links_of: LinksField) {
        let Links { prev, next } =
            std::mem::replace(links_of(self.host_mut(slot)), Links::UNLINKED);
        match prev {
            NO_SLOT => list.first = next,
            prev => links_of(self.host_mut(prev)).next = next,
        }
        match next {
            NO_SLOT => list.last = prev,
            next => links_of(self.host_mut(next)).prev = prev,
        }
        list.len -= 1;
    }

    /// Whether a registration fits into a table of so many bytes.
    pub(super) fn has_room(&self, registration: &Registration<'_>, bytes_max: usize) -> bool {
        let bytes = registration.name.len() + registration.info.len() + HOST_OVERHEAD_BYTES;
        self.size_bytes + bytes <= bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::message::HostKind;

    const LINK: LinkId = LinkId { index: 1, generation: 1 };

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
            table.insert(&user(id, &texts[..name], &texts[..info]), LINK, None);
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
            table.insert(&user(id, b"", b""), LINK, (id % 2 == 0).then_some(&mut list));
        }
        for (id, is_listed) in [(1, false), (4, true), (6, true)] {
            let removed = table.remove(HostId(id), is_listed.then_some(&mut list));
            assert_eq!(removed.map(|host| host.id.0), Some(id));
        }
        for id in [7, 8] {
            table.insert(&user(id, b"", b""), LINK, Some(&mut list));
        }
        assert_eq!(ids(&table), [2, 3, 5, 7, 8]);
        assert_eq!(table.slot_count(), 6);
        assert_eq!(table.ids_in(&list).collect::<Vec<_>>(), [2, 7, 8].map(HostId));
        assert_eq!(list.len(), 3);
        let mut other_list = List::default();
        let (slot, _) = table.find(HostId(7)).expect("it is there");
        table.remove_from_list(slot, Some(&mut list));
        table.append_to_list(slot, FirstLink::Split(0), &mut other_list);
        table.set_first_link(&list, FirstLink::Split(1));
        let first_links = |id| table.get(HostId(id)).map(|host| host.first_link);
        assert_eq!([2, 7].map(first_links), [1, 0].map(|split| Some(FirstLink::Split(split))));
        assert_eq!(first_links(3), Some(FirstLink::Link(LINK)));
    }

    #[test]
    fn removing_a_host_frees_its_bytes() {
        let mut table = HostTable::default();
        let one = user(1, b"name", &[b'i'; 100]);
        let bytes = 104 + HOST_OVERHEAD_BYTES;
        assert!(table.has_room(&one, bytes) && !table.has_room(&one, bytes - 1));
        table.insert(&one, LINK, None);
        assert!(!table.has_room(&user(2, b"", b""), bytes));
        table.remove(HostId(1), None);
        assert!(table.has_room(&one, bytes));
    }
}
