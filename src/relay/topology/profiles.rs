//! [`Profiles`]: what users say of themselves beside their registrations.
//!
//! Few users say anything, so it is kept beside the hosts, and not in them.

use super::id_map::IdMap;
use crate::id::HostId;
use crate::relay::extension::Digest;
use crate::relay::profile::{Profile, ProfileBuf};

/// The profiles that say anything, by their users.
#[derive(Clone, Debug, Default)]
pub(super) struct Profiles {
    by_user: IdMap<ProfileBuf>,
    size_bytes: usize,
}

impl Profiles {
    /// Returns the profile of a user.
    pub(super) fn get(&self, id: HostId) -> Profile<'_> {
        if self.by_user.len() == 0 {
            return Profile::default();
        }
        self.by_user.get(id).map(ProfileBuf::as_profile).unwrap_or_default()
    }

    /// Sets the profile of a user; the default takes no memory.
    pub(super) fn set(&mut self, id: HostId, profile: Profile<'_>) {
        if let Some(earlier) = self.by_user.remove(id) {
            self.size_bytes -= earlier.size_bytes();
        }
        if profile != Profile::default() {
            let profile = profile.to_buf();
            self.size_bytes += profile.size_bytes();
            self.by_user.insert(id, profile);
        }
    }

    /// Returns the size of all profiles as counted against the limit of the table, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Returns what the digest of a home has of a host as its version: the stamp and the profile.
    pub(super) fn version(&self, id: HostId, stamp: u64) -> u64 {
        match self.by_user.get(id) {
            Some(profile) => stamp ^ Digest::of_profile(profile.as_profile()),
            None => stamp,
        }
    }

    /// Checks that the profiles are those of some users, and their size.
    ///
    /// # Panics
    /// If they are not.
    pub(super) fn check(&self, users: impl Iterator<Item = HostId>) {
        let found: Vec<&ProfileBuf> = users.filter_map(|id| self.by_user.get(id)).collect();
        assert_eq!(self.by_user.len(), found.len(), "a profile is that of a host");
        let sizes: usize = found.into_iter().map(ProfileBuf::size_bytes).sum();
        assert_eq!(self.size_bytes, sizes, "the size of the profiles");
    }
}
