//! The extension between crc servers: its [`Frame`]s, the values in them, and their [`codec`].
//!
//! Two servers that both speak the extension exchange facts about servers and users that plain CRC
//! has no messages for. Each frame is a status to [`HostId::EXTENSION`]. See "The extension between
//! crc servers" in `docs/PROTOCOL.md`.

pub mod codec;
mod fields;
mod frame;
mod list;
mod rooms;

use std::ops::{AddAssign, SubAssign};

pub use self::frame::{
    Errand, Frame, Hello, Ping, Proof, RefuseReason, RoomChat, RoomTopic, ServerFact, Trace,
    TraceResult,
};
pub use self::list::{Entry, Hop, LinkLoad, List};
pub use self::rooms::RoomNames;

use crate::id::HostId;
use crate::relay::profile::Profile;

/// The age of what is known about a server: of two epochs of one server, the higher is newer.
///
/// Only the server itself raises its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// Number of starts of the server. Compared first.
    pub boot: u32,
    /// Number of times that the server has attached to another since it started.
    pub attach: u32,
}

/// A random number that a server chooses when it starts. Two servers with one id have different
/// nonces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce(pub u64);

/// An order-independent digest of a set of users, or of a set of servers with their users.
///
/// The digest is the wrapping sum of one number for each element. Digests of disjoint sets add up
/// to the digest of their union, and an element is removed by subtraction. The default is the
/// digest of the empty set. See "Digests" in `docs/PROTOCOL.md`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u64);

impl Digest {
    /// Adds a user with its version: the stamp that its home gave it, and, if it has a profile,
    /// [`Digest::of_profile`] with exclusive or.
    pub fn add_user(&mut self, id: HostId, version: u64) {
        *self += Self::of(id, version);
    }

    /// Removes a user that was added with the same version.
    pub fn remove_user(&mut self, id: HostId, version: u64) {
        *self -= Self::of(id, version);
    }

    /// Returns the digest of a user's membership in the room whose name in lower case is `key`.
    #[must_use]
    pub fn of_membership(user: HostId, key: &[u8]) -> Self {
        let room = key.iter().fold(0, |room, &byte| mix(room ^ u64::from(byte)));
        Self::of(user, room)
    }

    /// Returns the number that stands for a profile in the version of its user.
    #[must_use]
    pub fn of_profile(profile: Profile<'_>) -> u64 {
        let mut bytes = Vec::new();
        codec::encode_profile(profile, 0, &mut bytes);
        bytes.iter().fold(0, |number, &byte| mix(number ^ u64::from(byte)))
    }

    /// Returns the digest of one server, whose users have the digest `users`.
    #[must_use]
    pub fn of_server(id: HostId, epoch: Epoch, users: Self) -> Self {
        let epoch = u64::from(epoch.boot) << 32 | u64::from(epoch.attach);
        let mut digest = Self::of(id, epoch);
        digest += users;
        digest
    }

    /// Returns the digest of a host as it is since `version`: the stamp of a user, or the epoch of
    /// a server.
    fn of(id: HostId, version: u64) -> Self {
        Self(mix(mix(u64::from(id.0)) ^ version))
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

impl SubAssign for Digest {
    fn sub_assign(&mut self, other: Self) {
        self.0 = self.0.wrapping_sub(other.0);
    }
}

/// Returns the output of the generator splitmix64 for the state `x`: each bit of the result depends
/// on each bit of `x`.
fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: [(HostId, u64); 4] =
        [(HostId(101), 1), (HostId(102), 1), (HostId(103), u64::MAX), (HostId(u32::MAX), 0)];

    fn digest_of<'a>(users: impl IntoIterator<Item = &'a (HostId, u64)>) -> Digest {
        let mut digest = Digest::default();
        for (id, stamp) in users {
            digest.add_user(*id, *stamp);
        }
        digest
    }

    #[test]
    fn mix_gives_the_published_numbers_of_splitmix64() {
        // The first outputs of the generator with seed 0.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn digest_does_not_depend_on_the_order() {
        assert_eq!(digest_of(&USERS), digest_of(USERS.iter().rev()));
        assert_eq!(digest_of(&USERS), {
            let mut sum = digest_of(&USERS[2..]);
            sum += digest_of(&USERS[..2]);
            sum
        });
    }

    #[test]
    fn removal_undoes_addition() {
        let mut digest = digest_of(&USERS);
        for (id, stamp) in &USERS[..3] {
            digest.remove_user(*id, *stamp);
        }
        assert_eq!(digest, digest_of(&USERS[3..]));
        digest -= digest_of(&USERS[3..]);
        assert_eq!(digest, Digest::default());
    }

    #[test]
    fn digest_depends_on_id_stamp_and_epoch() {
        let user = digest_of(&[(HostId(101), 1)]);
        for other in [(HostId(101), 2), (HostId(102), 1), (HostId(1), 101)] {
            assert_ne!(user, digest_of(&[other]));
        }
        let server = |id, boot, attach| {
            Digest::of_server(HostId(id), Epoch { boot, attach }, Digest::default())
        };
        for other in [server(2, 3, 4), server(1, 4, 3), server(1, 3, 5), server(1, 3, 0)] {
            assert_ne!(server(1, 3, 4), other);
        }
    }

    #[test]
    fn digest_has_golden_values() {
        let users = digest_of(&[(HostId(101), 1), (HostId(102), 2)]);
        let server = Digest::of_server(HostId(1), Epoch { boot: 3, attach: 4 }, users);
        // Computed by another program.
        let membership = Digest(0x7771_3a5d_6147_bd66);
        assert_eq!(Digest::of_membership(HostId(101), b"#lab"), membership);
        assert_eq!(digest_of(&[(HostId(101), 1)]), Digest(0x5f60_5550_7fc5_3b29));
        assert_eq!(users, Digest(0x9120_7d19_64ce_7f65));
        assert_eq!(server, Digest(0x37cb_6c52_d8dd_9a4f));
        let profile = Profile { is_program: true, away: b"lunch", real_name: b"Sam" };
        assert_eq!(Digest::of_profile(profile), 0x02a5_c672_5cf0_31f5);
        let with_profile = digest_of(&[(HostId(101), 1 ^ Digest::of_profile(profile))]);
        assert_eq!(with_profile, Digest(0x5c13_c1a1_627b_a14c));
    }

    #[test]
    fn boot_counts_before_attach() {
        let epoch = |boot, attach| Epoch { boot, attach };
        assert!(epoch(1, 9) < epoch(2, 0));
        assert!(epoch(2, 0) < epoch(2, 1));
    }
}
