//! Who may join as a server, and by which secrets.

use std::time::Duration;

use super::Relay;
use super::admission::{Admission, InviteError, Join, LinkKey, UsedInvitation};
use crate::link::Time;

impl Relay {
    /// Replaces what decides who may join as a server. By default, those on this machine may.
    pub fn set_admission(&mut self, admission: Admission) {
        self.peering.set_admission(admission);
    }

    /// Sets the secret from which the keys of invitations are derived. Without it, there are none.
    pub fn set_invitation_secret(&mut self, secret: LinkKey) {
        self.peering.set_invitation_secret(secret);
    }

    /// Joins one of the parents, by its index, by an invitation of it.
    pub fn set_join(&mut self, parent: usize, join: Join) {
        self.peering.set_join(parent, join);
    }

    /// Invites a server, which must join within `lifetime`. Returns the number and the key of the
    /// invitation.
    ///
    /// # Errors
    /// See [`InviteError`].
    pub fn invite(
        &mut self,
        now: Time,
        lifetime: Duration,
    ) -> Result<(u64, [u8; 32]), InviteError> {
        self.peering.invite(now, lifetime)
    }

    /// Returns the invitations that have been used, by number.
    pub fn used_invitations(&self) -> impl Iterator<Item = UsedInvitation> {
        self.peering.invitations().used()
    }

    /// Returns a number that changes when [`Relay::used_invitations`] does.
    #[must_use]
    pub fn invitations_version(&self) -> u64 {
        self.peering.invitations().version()
    }

    /// Adds invitations that were used before the start of this server.
    pub fn restore_invitations(&mut self, used: Vec<UsedInvitation>) {
        self.peering.restore_invitations(used);
    }
}
