//! Who has which number of 64 bits.
//!
//! A user's number is its id, except where its name is a number that no id can be: then it is that.
//! Names are anybody's to choose, so such a number belongs to whoever had it first; only those are
//! in the tables here, which are empty where nobody uses the direct wire's large numbers.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::id::{HostId, WideId};
use crate::relay::message::HostKind;
use crate::relay::{Host, HostTable};

/// The users whose numbers are not their ids.
#[derive(Debug, Default)]
pub struct WideIds {
    /// Of each number, who has it and who would have it next.
    claimants: HashMap<WideId, Vec<HostId>, RandomState>,
    by_host: HashMap<HostId, WideId, RandomState>,
}

impl WideIds {
    /// A host can be reached. Saying so twice changes nothing.
    pub fn host_up(&mut self, host: &Host) {
        if let Some(wide_id) = wide_id_in_name(host)
            && self.by_host.insert(host.id, wide_id).is_none()
        {
            self.claimants.entry(wide_id).or_default().push(host.id);
        }
    }

    /// A host has left. If another one has its number from now on, answers who.
    pub fn host_down(&mut self, host: &Host) -> Option<(WideId, HostId)> {
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

    /// Every number under which [`WideIds::user`] finds a user who is in the network: its id, and
    /// its number if that is another.
    pub fn wide_ids_of(&self, id: HostId) -> impl Iterator<Item = WideId> + use<> {
        let (by_id, wide_id) = (WideId::from(id), self.wide_id(id));
        std::iter::once(by_id).chain((wide_id != by_id).then_some(wide_id))
    }

    /// The number of a user, in the network or not.
    #[must_use]
    pub fn wide_id(&self, id: HostId) -> WideId {
        let wide_id = self.by_host.get(&id).copied();
        let wide_id = wide_id.filter(|number| self.claimants[number].first() == Some(&id));
        wide_id.unwrap_or(id.into())
    }

    /// The user who has a number.
    #[must_use]
    pub fn find_user<'a>(&self, wide_id: WideId, hosts: &'a HostTable) -> Option<&'a Host> {
        let id = match u32::try_from(wide_id.0).map(HostId) {
            Ok(id) if id.is_registrable() => Some(id),
            _ => self.claimants.get(&wide_id).and_then(|hosts| hosts.first()).copied(),
        };
        hosts.get(id?).filter(|host| host.kind == HostKind::User)
    }
}

/// The number that is a user's name, if it is one that cannot be an id.
fn wide_id_in_name(host: &Host) -> Option<WideId> {
    let name = host.name();
    if host.kind != HostKind::User || !name.first()?.is_ascii_digit() || name.starts_with(b"0") {
        return None;
    }
    let number: i64 = std::str::from_utf8(name).ok()?.parse().ok()?;
    let is_id = u32::try_from(number).is_ok_and(|id| HostId(id).is_registrable());
    (!is_id).then_some(WideId(number))
}
