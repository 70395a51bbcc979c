//! A table of names and users, searchable by either and iterable in the order of names.
//!
//! A million users must take little memory and be added without a pause. An entry has 12 bytes, in
//! blocks that never move. The two orders are [`SortedSlots`].

use super::name::Name;
use super::sorted_slots::SortedSlots;
use crate::chunked_vec::ChunkedVec;
use crate::id::HostId;

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: Name,
    id: HostId,
}

// The memory that a user costs is documented; see `docs/PERFORMANCE.md`.
const _: () = assert!(size_of::<Entry>() == 12);

/// The entries of a table by slot.
#[derive(Clone, Debug, Default)]
struct EntrySlab {
    entries: ChunkedVec<Entry>,
    /// Slots of users that have left, for reuse.
    free_slots: Vec<u32>,
}

impl EntrySlab {
    fn entry(&self, slot: u32) -> &Entry {
        &self.entries[slot as usize]
    }

    fn entry_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.entries[slot as usize]
    }

    fn insert(&mut self, entry: Entry) -> u32 {
        if let Some(slot) = self.free_slots.pop() {
            *self.entry_mut(slot) = entry;
            return slot;
        }
        u32::try_from(self.entries.push(entry)).expect("fewer users than ids")
    }
}

/// A bijection between names and users.
#[derive(Clone, Debug, Default)]
pub(super) struct NameTable {
    slab: EntrySlab,
    by_name: SortedSlots<Name>,
    by_id: SortedSlots<HostId>,
}

impl NameTable {
    /// Returns the number of users.
    pub(super) fn len(&self) -> usize {
        self.slab.entries.len() - self.slab.free_slots.len()
    }

    /// Returns the user with a name.
    pub(super) fn find_user(&self, name: Name) -> Option<HostId> {
        let slot = self.by_name.find(name, |slot| self.slab.entry(slot).name)?;
        Some(self.slab.entry(slot).id)
    }

    /// Returns the name of a user.
    pub(super) fn name_of(&self, id: HostId) -> Option<Name> {
        let slot = self.by_id.find(id, |slot| self.slab.entry(slot).id)?;
        Some(self.slab.entry(slot).name)
    }

    /// Adds a user under the first of two names that is free. Returns its name and whether the user
    /// is new.
    ///
    /// # Panics
    /// Panics if both names are in use.
    pub(super) fn insert(&mut self, id: HostId, names: [Name; 2]) -> (Name, bool) {
        let slot = self.slab.insert(Entry { name: names[0], id });
        if let Err(other) = self.by_id.insert(slot, id, |other| self.slab.entry(other).id) {
            self.slab.free_slots.push(slot);
            return (self.slab.entry(other).name, false);
        }
        let name = names.into_iter().find(|&name| {
            self.slab.entry_mut(slot).name = name;
            self.by_name.insert(slot, name, |other| self.slab.entry(other).name).is_ok()
        });
        (name.unwrap_or_else(|| panic!("{:?} is in use already", names[1])), true)
    }

    /// Removes a user. Returns whether it was there.
    pub(super) fn remove(&mut self, id: HostId) -> bool {
        let slab = &self.slab;
        let Some(slot) = self.by_id.remove(id, |other| slab.entry(other).id) else {
            return false;
        };
        self.by_name.remove(slab.entry(slot).name, |other| slab.entry(other).name);
        self.slab.free_slots.push(slot);
        true
    }

    /// Returns the names in order, those after `name` if it is given.
    pub(super) fn names_after(&self, name: Option<Name>) -> impl Iterator<Item = Name> + '_ {
        let name_of = |slot| self.slab.entry(slot).name;
        self.by_name.iter_after(name, name_of).map(name_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_id_after_slots_are_reused() {
        let mut table = NameTable::default();
        let name =
            |id: u32| Name::new(format!("{:x}", id % 5000 * 7919).as_bytes()).expect("short");
        for id in 0..4000 {
            assert_eq!(table.insert(HostId(id), [name(id); 2]), (name(id), true));
        }
        for id in (0..4000).step_by(3) {
            assert!(table.remove(HostId(id)) && !table.remove(HostId(id)));
        }
        for id in 4000..5000 {
            assert_eq!(table.insert(HostId(id), [name(id); 2]), (name(id), true));
        }
        assert_eq!(table.slab.entries.len(), 4000, "free slots are reused");
        assert_eq!(table.insert(HostId(1), [name(2), name(3)]), (name(1), false));
        let spare = Name::new(b"spare").expect("short");
        assert_eq!(table.insert(HostId(9999), [name(1), spare]), (spare, true));
        assert_eq!(table.find_user(spare), Some(HostId(9999)));
        assert!(table.remove(HostId(9999)));
        let is_present = |id: u32| id >= 4000 || !id.is_multiple_of(3);
        for id in 0..5000 {
            assert_eq!(table.name_of(HostId(id)), is_present(id).then(|| name(id)));
            assert_eq!(table.find_user(name(id)), is_present(id).then_some(HostId(id)));
        }
        let mut names: Vec<Name> = (0..5000).filter(|&id| is_present(id)).map(name).collect();
        names.sort_unstable();
        assert_eq!(table.len(), names.len());
        assert!(table.names_after(None).eq(names.iter().copied()));
        assert!(table.names_after(Some(names[1000])).eq(names[1001..].iter().copied()));
    }
}
