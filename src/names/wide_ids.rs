//! The 64-bit ids of the direct wire.
//!
//! The wide id of a user is its CRC id, unless its name is a decimal number that cannot be a CRC
//! id: then it is that number. Anyone may choose such a name, so the wide id belongs to the user
//! who had it first. Only these ids are stored, so the tables are empty while no client uses them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::id::{HostId, WideId};
use crate::relay::message::HostKind;
use crate::relay::{Host, HostTable};

/// The wide ids that differ from the CRC ids of their users.
#[derive(Clone, Debug, Default)]
pub(crate) struct WideIds {
    /// The users that claim each wide id, in the order in which they joined. The first owns it.
    claimants: HashMap<WideId, Vec<HostId>, RandomState>,
    by_host: HashMap<HostId, WideId, RandomState>,
}

impl WideIds {
    /// Adds a host that has become reachable. Does nothing if it is known.
    pub(crate) fn host_up(&mut self, host: &Host) {
        if let Some(wide_id) = wide_id_in_name(host)
            && self.by_host.insert(host.id, wide_id).is_none()
        {
            self.claimants.entry(wide_id).or_default().push(host.id);
        }
    }

    /// Removes a host that has left. If its wide id goes to another user, returns the id and that
    /// user.
    pub(crate) fn host_down(&mut self, host: &Host) -> Option<(WideId, HostId)> {
        let wide_id = self.by_host.remove(&host.id)?;
        let claimants = self.claimants.get_mut(&wide_id)?;
        let was_owner = claimants.first() == Some(&host.id);
        claimants.retain(|&id| id != host.id);
        let Some(&next) = claimants.first() else {
            self.claimants.remove(&wide_id);
            return None;
        };
        was_owner.then_some((wide_id, next))
    }

    /// Checks that every user with a wide id is known, and claims that id once.
    ///
    /// # Panics
    /// If one is not.
    pub(crate) fn check(&self, hosts: &HostTable) {
        let claimants: usize = self.claimants.values().map(Vec::len).sum();
        assert_eq!(self.by_host.len(), claimants, "every wide id is claimed");
        for (&host, wide_id) in &self.by_host {
            assert!(hosts.get(host).is_some(), "host {host} with id {wide_id} is known");
            assert!(self.claimants[wide_id].contains(&host), "{host} claims {wide_id}");
        }
    }

    /// Returns every wide id under which [`WideIds::find_user`] finds a user of the network: its
    /// CRC id, and its own wide id if that differs.
    pub(crate) fn wide_ids_of(&self, id: HostId) -> impl Iterator<Item = WideId> + use<> {
        let (by_id, wide_id) = (WideId::from(id), self.wide_id(id));
        std::iter::once(by_id).chain((wide_id != by_id).then_some(wide_id))
    }

    /// Returns the wide id of a user, in the network or not.
    #[must_use]
    pub(crate) fn wide_id(&self, id: HostId) -> WideId {
        let wide_id = self.by_host.get(&id).copied();
        let wide_id = wide_id.filter(|wide_id| self.claimants[wide_id].first() == Some(&id));
        wide_id.unwrap_or(id.into())
    }

    /// Returns the user that owns a wide id.
    #[must_use]
    pub(crate) fn find_user<'a>(&self, wide_id: WideId, hosts: &'a HostTable) -> Option<&'a Host> {
        let id = match u32::try_from(wide_id.0).map(HostId) {
            Ok(id) if id.is_registrable() => Some(id),
            _ => self.claimants.get(&wide_id).and_then(|hosts| hosts.first()).copied(),
        };
        hosts.get(id?).filter(|host| host.kind == HostKind::User)
    }
}

/// Returns the wide id in a user's name, if the name is a decimal number that cannot be a CRC id.
fn wide_id_in_name(host: &Host) -> Option<WideId> {
    let name = host.name();
    if host.kind != HostKind::User || !name.first()?.is_ascii_digit() || name.starts_with(b"0") {
        return None;
    }
    let number: i64 = std::str::from_utf8(name).ok()?.parse().ok()?;
    let is_id = u32::try_from(number).is_ok_and(|id| HostId(id).is_registrable());
    (!is_id).then_some(WideId(number))
}
