//! The hosts that exist and the first link towards each: the one table that routing looks up.
//!
//! Invariants: one entry an id; never this server itself; every host stands in the order of joining,
//! and its order number is larger than those before it. A host that was learnt from a server also
//! stands in the [`Chain`] of that server's link, or of the split in which it was lost, so that the end
//! of a link finds its hosts without a search.
//!
//! A million hosts are to fit into little memory and to come in without a pause. So a host is 80 bytes
//! with its texts, where these are short; hosts lie in blocks that never move; and the orders are
//! chains through the hosts themselves, where a set beside them would cost another look-up each.

use super::host::{FirstLink, Hook, Host, NONE};
use super::index::Index;
use super::link::LinkId;
use super::message::{HostId, Registration};
use crate::blocks::Blocks;
use crate::limits::HOST_BYTES;

/// Hosts in an order: the slots of the first and the last, and how many there are.
#[derive(Debug)]
pub(super) struct Chain {
    first: u32,
    last: u32,
    len: usize,
}

impl Default for Chain {
    fn default() -> Self {
        Self { first: NONE, last: NONE, len: 0 }
    }
}

impl Chain {
    /// How many hosts stand in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Which of a host's two hooks.
type WhichHook = fn(&mut Host) -> &mut Hook;

/// Every known host but this server.
#[derive(Debug, Default)]
pub struct HostTable {
    slots: Blocks<Option<Host>>,
    /// Slots whose hosts have left, to be used again.
    free: Vec<u32>,
    index: Index,
    joined: Chain,
    next_order: u64,
    bytes: usize,
}

impl HostTable {
    /// The host with this id.
    #[must_use]
    pub fn get(&self, id: HostId) -> Option<&Host> {
        self.index.get(id).map(|slot| self.host(slot))
    }

    /// The slot and entry of a host.
    pub(super) fn entry(&self, id: HostId) -> Option<(u32, &Host)> {
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
        self.slots.taken(slot)
    }

    /// Past every slot that was ever taken.
    #[must_use]
    pub fn slots_end(&self) -> usize {
        self.slots.len()
    }

    /// The order number that the next host gets.
    #[must_use]
    pub fn next_order(&self) -> u64 {
        self.next_order
    }

    /// All hosts in the order of joining.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        let step = |slot: &u32| Some(self.host(*slot).joined.after);
        std::iter::successors(Some(self.joined.first), step)
            .take(self.joined.len)
            .map(|slot| self.host(slot))
    }

    /// The slot of the host that has been here longest.
    pub(super) fn first(&self) -> Option<u32> {
        Some(self.joined.first).filter(|&slot| slot != NONE)
    }

    /// The slot of the host that joined next after the one in `slot`.
    pub(super) fn after(&self, slot: u32) -> Option<u32> {
        Some(self.host(slot).joined.after).filter(|&slot| slot != NONE)
    }

    /// The ids of the hosts in a chain of links or splits, in its order.
    pub(super) fn ids_in(&self, chain: &Chain) -> impl Iterator<Item = HostId> {
        let step = |slot: &u32| Some(self.host(*slot).way.after);
        std::iter::successors(Some(chain.first), step)
            .take(chain.len)
            .map(|slot| self.host(slot).id)
    }

    /// Adds a host whose id is not in the table, and answers its slot. `chain` is that of its link,
    /// if the link is to a server.
    pub(super) fn insert(
        &mut self,
        registration: &Registration<'_>,
        link: LinkId,
        chain: Option<&mut Chain>,
    ) -> u32 {
        let id = registration.source;
        debug_assert!(self.index.get(id).is_none(), "host {id} is in the table already");
        let host = Host::new(registration, link, self.next_order);
        self.next_order += 1;
        self.bytes += host.bytes();
        let slot = self.put(host);
        self.index.insert(id, slot);
        let mut joined = std::mem::take(&mut self.joined);
        self.append(slot, &mut joined, |host| &mut host.joined);
        self.joined = joined;
        if let Some(chain) = chain {
            self.append(slot, chain, |host| &mut host.way);
        }
        slot
    }

    fn put(&mut self, host: Host) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(host);
            return slot;
        }
        u32::try_from(self.slots.push(Some(host))).expect("fewer hosts than ids")
    }

    /// Forgets a host. `chain` is the one in which it stands, if any.
    pub(super) fn remove(&mut self, id: HostId, chain: Option<&mut Chain>) -> Option<Host> {
        let slot = self.index.remove(id)?;
        let mut joined = std::mem::take(&mut self.joined);
        self.unhook(slot, &mut joined, |host| &mut host.joined);
        self.joined = joined;
        self.leave_chain(slot, chain);
        let host = self.slots[slot as usize].take()?;
        self.free.push(slot);
        self.bytes -= host.bytes();
        Some(host)
    }

    /// Takes a host out of the chain in which it stands, if any.
    pub(super) fn leave_chain(&mut self, slot: u32, chain: Option<&mut Chain>) {
        if let Some(chain) = chain {
            self.unhook(slot, chain, |host| &mut host.way);
        }
    }

    /// Puts a host that is in no chain into one, as the way to it is another from now on.
    pub(super) fn enter_chain(&mut self, slot: u32, first_link: FirstLink, chain: &mut Chain) {
        self.host_mut(slot).first_link = first_link;
        self.append(slot, chain, |host| &mut host.way);
    }

    /// The way to all hosts in a chain is another from now on.
    pub(super) fn set_first_link(&mut self, chain: &Chain, first_link: FirstLink) {
        let mut slot = chain.first;
        while slot != NONE {
            let host = self.host_mut(slot);
            host.first_link = first_link;
            slot = host.way.after;
        }
    }

    fn append(&mut self, slot: u32, chain: &mut Chain, hook: WhichHook) {
        *hook(self.host_mut(slot)) = Hook { before: chain.last, after: NONE };
        match chain.last {
            NONE => chain.first = slot,
            last => hook(self.host_mut(last)).after = slot,
        }
        chain.last = slot;
        chain.len += 1;
    }

    fn unhook(&mut self, slot: u32, chain: &mut Chain, hook: WhichHook) {
        let Hook { before, after } = std::mem::replace(hook(self.host_mut(slot)), Hook::FREE);
        match before {
            NONE => chain.first = after,
            before => hook(self.host_mut(before)).after = after,
        }
        match after {
            NONE => chain.last = before,
            after => hook(self.host_mut(after)).before = before,
        }
        chain.len -= 1;
    }

    /// Whether a registration fits into a table of so many bytes.
    pub(super) fn has_room(&self, registration: &Registration<'_>, bytes_max: usize) -> bool {
        let bytes = registration.name.len() + registration.info.len() + HOST_BYTES;
        self.bytes + bytes <= bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::message::Kind;

    const LINK: LinkId = LinkId { index: 1, generation: 1 };

    fn user<'a>(id: u32, name: &'a [u8], info: &'a [u8]) -> Registration<'a> {
        let (kind, last_hop) = (Kind::User, HostId::NONE);
        Registration { kind, source: HostId(id), last_hop, name, info }
    }

    fn ids(table: &HostTable) -> Vec<u32> {
        table.iter().map(|host| host.id.0).collect()
    }

    #[test]
    fn texts_of_any_length_come_back() {
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
    fn hosts_stand_in_the_order_of_joining_though_slots_are_used_again() {
        let (mut table, mut chain) = (HostTable::default(), Chain::default());
        for id in 1..=6 {
            table.insert(&user(id, b"", b""), LINK, (id % 2 == 0).then_some(&mut chain));
        }
        for (id, is_chained) in [(1, false), (4, true), (6, true)] {
            let removed = table.remove(HostId(id), is_chained.then_some(&mut chain));
            assert_eq!(removed.map(|host| host.id.0), Some(id));
        }
        for id in [7, 8] {
            table.insert(&user(id, b"", b""), LINK, Some(&mut chain));
        }
        assert_eq!(ids(&table), [2, 3, 5, 7, 8]);
        assert_eq!(table.slots_end(), 6);
        assert_eq!(table.ids_in(&chain).collect::<Vec<_>>(), [2, 7, 8].map(HostId));
        assert_eq!(chain.len(), 3);
        let mut other = Chain::default();
        let (slot, _) = table.entry(HostId(7)).expect("it is there");
        table.leave_chain(slot, Some(&mut chain));
        table.enter_chain(slot, FirstLink::Split(0), &mut other);
        table.set_first_link(&chain, FirstLink::Split(1));
        let ways = |id| table.get(HostId(id)).map(|host| host.first_link);
        assert_eq!([2, 7].map(ways), [1, 0].map(|split| Some(FirstLink::Split(split))));
        assert_eq!(ways(3), Some(FirstLink::Link(LINK)));
    }

    #[test]
    fn the_bytes_of_who_left_are_free_again() {
        let mut table = HostTable::default();
        let one = user(1, b"name", &[b'i'; 100]);
        let bytes = 104 + HOST_BYTES;
        assert!(table.has_room(&one, bytes) && !table.has_room(&one, bytes - 1));
        table.insert(&one, LINK, None);
        assert!(!table.has_room(&user(2, b"", b""), bytes));
        table.remove(HostId(1), None);
        assert!(table.has_room(&one, bytes));
    }
}
