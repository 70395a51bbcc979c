//! The hosts that exist and the first link towards each: the one table that routing looks up.
//!
//! Invariants: one entry an id; never this server itself; the order numbers grow, so that "was
//! there before" is a comparison. What each link said is kept at the link (`Role::Server::heard`),
//! so that ending a link finds its hosts without a search.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use super::link::LinkId;
use super::message::{HostId, Kind, Registration};
use crate::limits::HOST_BYTES;

/// Where the way to a host begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLink {
    /// Over this link.
    Link(LinkId),
    /// Nowhere: its link was lost and the grace of this split runs.
    Split(usize),
}

/// A server or user, as it was registered.
#[derive(Debug)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// What it is.
    pub kind: Kind,
    /// The way to it.
    pub first_link: FirstLink,
    /// Grows from host to host: who was here first.
    pub(super) order: u64,
    name_len: u8,
    /// Name and info, in one piece of memory.
    texts: Box<[u8]>,
}

impl Host {
    /// Its name: bytes, not always UTF-8.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.texts[..usize::from(self.name_len)]
    }

    /// What it says of itself.
    #[must_use]
    pub fn info(&self) -> &[u8] {
        &self.texts[usize::from(self.name_len)..]
    }

    /// Grows from host to host: who was here first.
    #[must_use]
    pub fn order(&self) -> u64 {
        self.order
    }

    /// The registration that tells of this host, with the last hop given.
    pub(super) fn registration(&self, last_hop: HostId) -> Registration<'_> {
        let (kind, source) = (self.kind, self.id);
        Registration { kind, source, last_hop, name: self.name(), info: self.info() }
    }

    /// Whether a registration tells of this very host, not of another with its id.
    pub(super) fn is_told_by(&self, registration: &Registration<'_>) -> bool {
        self.registration(registration.last_hop) == *registration
    }
}

/// Every known host but this server.
#[derive(Debug, Default)]
pub struct HostTable {
    slots: Slab<Host>,
    index: HashMap<HostId, u32, RandomState>,
    next_order: u64,
    bytes: usize,
}

impl HostTable {
    /// The host with this id.
    #[must_use]
    pub fn get(&self, id: HostId) -> Option<&Host> {
        self.index.get(&id).map(|&slot| &self.slots[slot as usize])
    }

    /// All hosts, in an order that depends on nothing but what happened.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.slots.iter().map(|(_, host)| host)
    }

    /// Adds a host whose id is not in the table.
    pub(super) fn insert(&mut self, registration: &Registration<'_>, link: LinkId) -> &Host {
        let Registration { kind, source: id, name, info, .. } = *registration;
        let order = self.next_order;
        self.next_order += 1;
        self.bytes += name.len() + info.len() + HOST_BYTES;
        let name_len = u8::try_from(name.len()).expect("a name of at most 255 bytes");
        let texts = [name, info].concat().into_boxed_slice();
        let first_link = FirstLink::Link(link);
        let slot = self.slots.insert(Host { id, kind, first_link, order, name_len, texts });
        let slot = u32::try_from(slot).expect("fewer hosts than ids");
        let before = self.index.insert(id, slot);
        assert!(before.is_none(), "host {id} was in the table already");
        &self.slots[slot as usize]
    }

    /// Forgets a host.
    pub(super) fn remove(&mut self, id: HostId) -> Option<Host> {
        let slot = self.index.remove(&id)?;
        let host = self.slots.remove(slot as usize);
        self.bytes -= host.texts.len() + HOST_BYTES;
        Some(host)
    }

    /// Changes the way to a host that is in the table.
    pub(super) fn set_first_link(&mut self, id: HostId, first_link: FirstLink) {
        let slot = self.index[&id];
        self.slots[slot as usize].first_link = first_link;
    }

    /// Whether a registration fits into a table of so many bytes.
    pub(super) fn has_room(&self, registration: &Registration<'_>, bytes_max: usize) -> bool {
        let bytes = registration.name.len() + registration.info.len() + HOST_BYTES;
        self.bytes + bytes <= bytes_max
    }

    /// The slot and entry of a host.
    pub(super) fn entry(&self, id: HostId) -> Option<(usize, &Host)> {
        self.index.get(&id).map(|&slot| (slot as usize, &self.slots[slot as usize]))
    }

    /// The entry in a slot, if it is taken.
    #[must_use]
    pub fn at_slot(&self, slot: usize) -> Option<&Host> {
        self.slots.get(slot)
    }

    /// Past every slot that is taken.
    #[must_use]
    pub fn slots_end(&self) -> usize {
        self.slots.iter().next_back().map_or(0, |(slot, _)| slot + 1)
    }

    /// The order number that the next host gets.
    #[must_use]
    pub fn next_order(&self) -> u64 {
        self.next_order
    }
}
