//! The profiles of users: what they say of themselves beside their registrations.
//!
//! Few users have one, so they are kept beside the hosts, and not in them.

use super::Topology;
use super::host::Host;
use super::id_map::IdMap;
use super::table::HostTable;
use crate::id::HostId;
use crate::relay::extension::Digest;
use crate::relay::profile::{Profile, ProfileBuf};

/// The profiles that say anything, by their users.
pub(super) type Profiles = IdMap<ProfileBuf>;

impl HostTable {
    /// Returns the profile of a user.
    #[must_use]
    pub fn profile(&self, id: HostId) -> Profile<'_> {
        if self.profiles.len() == 0 {
            return Profile::default();
        }
        self.profiles.get(id).map(ProfileBuf::as_profile).unwrap_or_default()
    }

    /// Returns the sizes of all profiles of some hosts, to check that of the table.
    pub(super) fn profile_bytes<'a>(&self, hosts: impl Iterator<Item = &'a Host>) -> usize {
        hosts.filter_map(|host| self.profiles.get(host.id)).map(ProfileBuf::size_bytes).sum()
    }

    fn set_profile(&mut self, id: HostId, profile: Profile<'_>) {
        self.remove_profile(id);
        if profile != Profile::default() {
            let profile = profile.to_buf();
            self.size_bytes += profile.size_bytes();
            self.profiles.insert(id, profile);
        }
    }

    /// Removes the profile of a user that leaves.
    pub(super) fn remove_profile(&mut self, id: HostId) {
        if let Some(profile) = self.profiles.remove(id) {
            self.size_bytes -= profile.size_bytes();
        }
    }

    /// Returns whether a profile fits into a table of at most `bytes_max` bytes, in place of
    /// another.
    pub(in crate::relay) fn has_room_for_profile(
        &self,
        profile: Profile<'_>,
        bytes_max: usize,
    ) -> bool {
        self.size_bytes + profile.to_buf().size_bytes() <= bytes_max
    }

    /// Returns what the digest of a home has of a host as its version: the stamp and the profile.
    pub(super) fn version(&self, id: HostId, stamp: u64) -> u64 {
        match self.profiles.get(id) {
            Some(profile) => stamp ^ Digest::of_profile(profile.as_profile()),
            None => stamp,
        }
    }
}

impl Topology {
    /// Sets the profile of a user. Returns whether it was another.
    pub(in crate::relay) fn set_profile(&mut self, id: HostId, profile: Profile<'_>) -> bool {
        let Some(host) = self.hosts.get(id) else { return false };
        let (home, stamp) = (host.home, host.stamp);
        if self.hosts.profile(id) == profile {
            return false;
        }
        self.count(id, home, stamp, super::servers::HostSet::remove);
        self.hosts.set_profile(id, profile);
        self.count(id, home, stamp, super::servers::HostSet::add);
        true
    }
}
