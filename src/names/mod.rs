//! Which name or number refers to which user, under the rules of each wire.
//!
//! [`WideIds`] maps the 64-bit ids of the direct wire to users. [`Directory`] maps the eight-byte
//! [`Name`]s of the classic wire to users, and [`NickTable`] the nicks of the IRC wire; users whose
//! own name does not fit get an alias.

mod directory;
mod list_cache;
mod name;
mod name_table;
pub(crate) mod nick;
mod nicks;
mod pages;
mod reserved_ids;
mod sorted_slots;
mod wide_ids;

pub(crate) use self::directory::Directory;
pub(crate) use self::list_cache::ListCache;
pub use self::name::{NAME_BYTES, Name};
pub(crate) use self::name::{is_reserved, make_alias, parse_user_name};
pub(crate) use self::nicks::NickTable;
pub(crate) use self::pages::Pages;
pub(crate) use self::reserved_ids::ReservedIds;
pub(crate) use self::wide_ids::WideIds;

use std::time::Duration;

use self::nick::{is_nick, nick_ids};
use crate::id::{HostId, WideId};
use crate::relay::{Host, HostTable};

/// The names of a server's users, shared by its sessions.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The 64-bit ids of users.
    pub(crate) wide_ids: WideIds,
    /// The eight-byte names of users.
    pub(crate) directory: Directory,
    /// The nicks of users on the IRC wire.
    pub(crate) nicks: NickTable,
    /// Ids of clients that are not users yet.
    pub(crate) reserved_ids: ReservedIds,
    /// Lists of the directory.
    pub(crate) lists: ListCache,
}

impl Names {
    /// Adds a host that joined, or can be reached again.
    pub(crate) fn host_up(&mut self, host: &Host) {
        self.wide_ids.host_up(host);
        self.directory.host_up(host);
        self.nicks.host_up(host);
    }

    /// Removes a host, at this time since 1970. Returns a 64-bit id that passes to another user,
    /// and that user.
    pub(crate) fn host_down(
        &mut self,
        host: &Host,
        unix_time: Duration,
    ) -> Option<(WideId, HostId)> {
        self.directory.host_down(host);
        self.nicks.host_down(host, self.wide_ids.wide_id(host.id), unix_time);
        self.wide_ids.host_down(host)
    }

    /// Returns the ids for which mail is delivered to a user: its own, and those of its nick.
    pub(crate) fn mailboxes_of(&self, host: &Host) -> impl Iterator<Item = WideId> + use<> {
        let nick_ids = is_nick(host.name()).then(|| nick_ids(host.name()));
        let own = host.id;
        let others = nick_ids.into_iter().flatten().filter(move |&id| id != own);
        self.wide_ids.wide_ids_of(own).chain(others.map(WideId::from))
    }

    /// Checks that all names are those of known hosts.
    ///
    /// # Panics
    /// If one is not.
    pub(crate) fn check(&self, hosts: &HostTable) {
        self.wide_ids.check(hosts);
    }

    /// Unregisters a session that uses the directory. Its names and lists are cleared with the last
    /// one.
    pub(crate) fn remove_directory_reader(&mut self) {
        if self.directory.remove_reader() {
            self.lists = ListCache::default();
        }
    }
}
