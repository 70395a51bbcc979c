//! Who has which number of 64 bits.
//!
//! A user's number is its id, except where its name is a number that no id can be: then it is that.
//! Names are anybody's to choose, so such a number belongs to whoever had it first; only those are
//! in the tables here, which are empty where nobody uses the direct wire's large numbers.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::relay::message::{HostId, Kind, WideId};
use crate::relay::{Host, HostTable};

/// The users whose numbers are not their ids.
#[derive(Debug, Default)]
pub struct Numbers {
    /// Of each number, who has it and who would have it next.
    hosts: HashMap<WideId, Vec<HostId>, RandomState>,
    numbers: HashMap<HostId, WideId, RandomState>,
}

impl Numbers {
    /// A host can be reached. Saying so twice changes nothing.
    pub fn came(&mut self, host: &Host) {
        if let Some(number) = number_in_name(host)
            && self.numbers.insert(host.id, number).is_none()
        {
            self.hosts.entry(number).or_default().push(host.id);
        }
    }

    /// A host has left. If another one has its number from now on, answers who.
    pub fn left(&mut self, host: &Host) -> Option<(WideId, HostId)> {
        let number = self.numbers.remove(&host.id)?;
        let hosts = self.hosts.get_mut(&number)?;
        let had_it = hosts.first() == Some(&host.id);
        hosts.retain(|&id| id != host.id);
        let Some(&next) = hosts.first() else {
            self.hosts.remove(&number);
            return None;
        };
        had_it.then_some((number, next))
    }

    /// Every number under which [`Numbers::user`] finds a user who is in the network: its id, and
    /// its number if that is another.
    pub fn all_of(&self, id: HostId) -> impl Iterator<Item = WideId> + use<> {
        let (by_id, number) = (WideId::from(id), self.of(id));
        std::iter::once(by_id).chain((number != by_id).then_some(number))
    }

    /// The number of a user, in the network or not.
    #[must_use]
    pub fn of(&self, id: HostId) -> WideId {
        let number = self.numbers.get(&id).copied();
        let number = number.filter(|number| self.hosts[number].first() == Some(&id));
        number.unwrap_or(id.into())
    }

    /// The user who has a number.
    #[must_use]
    pub fn user<'a>(&self, number: WideId, hosts: &'a HostTable) -> Option<&'a Host> {
        let id = match u32::try_from(number.0).map(HostId) {
            Ok(id) if id.is_registrable() => Some(id),
            _ => self.hosts.get(&number).and_then(|hosts| hosts.first()).copied(),
        };
        hosts.get(id?).filter(|host| host.kind == Kind::User)
    }
}

/// The number that is a user's name, if it is one that cannot be an id.
fn number_in_name(host: &Host) -> Option<WideId> {
    let name = host.name();
    if host.kind != Kind::User || !name.first()?.is_ascii_digit() || name.starts_with(b"0") {
        return None;
    }
    let number: i64 = std::str::from_utf8(name).ok()?.parse().ok()?;
    let is_id = u32::try_from(number).is_ok_and(|id| HostId(id).is_registrable());
    (!is_id).then_some(WideId(number))
}
