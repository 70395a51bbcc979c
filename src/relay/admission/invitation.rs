//! Invitations: each lets one server join without an address or a link key of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::key::{LinkKey, Prover, Transcript};
use crate::limits::INVITATIONS_MAX;
use crate::link::{LinkId, Time};

/// The invitation by which a server joins.
#[derive(Clone, Debug)]
pub struct Join {
    /// Number of the invitation.
    pub invitation: u64,
    /// Its key.
    pub key: LinkKey,
    /// Stands for this server, so that no other can use the invitation after it.
    pub holder: [u8; 32],
}

/// An invitation that has been used.
#[derive(Clone, Copy)]
pub struct UsedInvitation {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: [u8; 32],
    /// Stands for the server that has used it.
    pub holder: [u8; 32],
}

impl fmt::Debug for UsedInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UsedInvitation {{ number: {}, .. }}", self.number)
    }
}

/// The invitations that a server has given out since its start, and those that were used before.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Invitations {
    /// The secret from which the keys are derived.
    secret: Option<LinkKey>,
    by_number: BTreeMap<u64, Invitation>,
    /// Number of times that one was used for the first time.
    version: u64,
}

#[derive(Clone)]
struct Invitation {
    key: [u8; 32],
    /// Until when it can be used for the first time.
    expires_at: Time,
    holder: Option<Holder>,
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key: _, expires_at, holder } = self;
        write!(f, "Invitation {{ expires_at: {expires_at:?}, holder: {holder:?}, .. }}")
    }
}

/// The server that has used an invitation.
#[derive(Clone, Copy, Debug)]
struct Holder {
    id: [u8; 32],
    /// Number that the running instance of the server chose at its start.
    instance: u64,
    /// The link over which it has proven the invitation last, while that is open.
    link: Option<LinkId>,
}

/// Why no invitation can be given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteError {
    /// This server has no secret for them.
    NoSecret,
    /// There are as many as there can be.
    TooMany,
}

/// Why an invitation admits nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum InvitationError {
    /// This server has not given it out since its start, or the proof is wrong.
    Unknown,
    /// It was not used in time.
    Expired,
    /// Another server has used it.
    Used,
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("this server gives out no invitations"),
            Self::TooMany => write!(
                f,
                "{INVITATIONS_MAX} invitations are in use or wait to be used; wait until some \
                 expire, or use --link-key-file for so many servers"
            ),
        }
    }
}

/// What of a server uses an invitation.
#[derive(Clone, Copy, Debug)]
pub(in crate::relay) struct Use {
    pub(in crate::relay) link: LinkId,
    /// Number that the running instance of the server chose at its start.
    pub(in crate::relay) instance: u64,
}

impl Invitations {
    /// Sets the secret from which keys are derived.
    pub(in crate::relay) fn set_secret(&mut self, secret: LinkKey) {
        self.secret = Some(secret);
    }

    /// Adds the invitation with a number that no other has. Returns its key, or `None` if the
    /// number is taken.
    pub(in crate::relay) fn add(
        &mut self,
        now: Time,
        lifetime: Duration,
        number: u64,
    ) -> Result<Option<[u8; 32]>, InviteError> {
        let secret = self.secret.as_ref().ok_or(InviteError::NoSecret)?;
        self.by_number.retain(|_, it| it.holder.is_some() || it.expires_at > now);
        if self.by_number.len() >= INVITATIONS_MAX {
            return Err(InviteError::TooMany);
        }
        if number == 0 || self.by_number.contains_key(&number) {
            return Ok(None);
        }
        let key = secret.derive(&[&b"invitation"[..], &number.to_be_bytes()].concat());
        let expires_at = now + lifetime;
        let invitation = Invitation { key, expires_at, holder: None };
        self.by_number.insert(number, invitation);
        Ok(Some(key))
    }

    /// Checks the proof of a server that was invited, and takes the invitation for this server from
    /// now on. Returns the proof of the own end.
    ///
    /// An invitation is used once: by the first server that proves it, and by this one again when
    /// it comes back. While its link is open, only the same running instance comes back.
    pub(in crate::relay) fn redeem(
        &mut self,
        now: Time,
        transcript: &Transcript,
        mac: &[u8; 32],
        by: Use,
    ) -> Result<[u8; 32], InvitationError> {
        let invitation =
            self.by_number.get_mut(&transcript.invitation).ok_or(InvitationError::Unknown)?;
        let key = LinkKey::new(&invitation.key);
        if !transcript.verify(&key, Prover::Dialler, mac) {
            return Err(InvitationError::Unknown);
        }
        match invitation.holder {
            None if invitation.expires_at <= now => return Err(InvitationError::Expired),
            Some(holder)
                if holder.id != transcript.holder
                    || holder.link.is_some() && holder.instance != by.instance =>
            {
                return Err(InvitationError::Used);
            }
            None => self.version += 1,
            Some(_) => {}
        }
        let Use { link, instance } = by;
        invitation.holder = Some(Holder { id: transcript.holder, instance, link: Some(link) });
        Ok(transcript.sign(&key, Prover::Acceptor))
    }

    /// Returns the invitations that have been used, by number.
    pub(in crate::relay) fn used(&self) -> impl Iterator<Item = UsedInvitation> {
        self.by_number.iter().filter_map(|(&number, invitation)| {
            let holder = invitation.holder?.id;
            Some(UsedInvitation { number, key: invitation.key, holder })
        })
    }

    /// Returns a number that changes when [`Invitations::used`] does.
    pub(in crate::relay) fn version(&self) -> u64 {
        self.version
    }

    /// Adds invitations that were used before the start of this server.
    pub(in crate::relay) fn restore(&mut self, used: Vec<UsedInvitation>) {
        for UsedInvitation { number, key, holder } in used {
            let holder = Some(Holder { id: holder, instance: 0, link: None });
            self.by_number.insert(number, Invitation { key, expires_at: Time::default(), holder });
        }
    }

    /// Handles the end of a link.
    pub(in crate::relay) fn on_closed(&mut self, link: LinkId) {
        for holder in self.by_number.values_mut().filter_map(|it| it.holder.as_mut()) {
            holder.link.take_if(|used| *used == link);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::HostId;

    const LIFETIME: Duration = Duration::from_secs(60);

    /// Invitation 7, and its key.
    fn invited() -> (Invitations, LinkKey) {
        let mut invitations = Invitations::default();
        invitations.set_secret(LinkKey::new(b"secret"));
        let key = invitations.add(Time::default(), LIFETIME, 7).expect("room").expect("free");
        (invitations, LinkKey::new(&key))
    }

    fn redeem(
        invitations: &mut Invitations,
        (key, holder): (&LinkKey, u8),
        (seconds, link, instance): (u64, u32, u64),
    ) -> Result<(), InvitationError> {
        let transcript = Transcript {
            dialler: HostId(2),
            acceptor: HostId(1),
            challenge: [1; 32],
            nonce: [2; 32],
            invitation: 7,
            holder: [holder; 32],
        };
        let mac = transcript.sign(key, Prover::Dialler);
        let by = Use { link: LinkId { index: link, generation: 1 }, instance };
        let now = Time::from_start(Duration::from_secs(seconds));
        let proof = invitations.redeem(now, &transcript, &mac, by)?;
        assert!(transcript.verify(key, Prover::Acceptor, &proof));
        Ok(())
    }

    fn close(invitations: &mut Invitations, index: u32) {
        invitations.on_closed(LinkId { index, generation: 1 });
    }

    #[test]
    fn invitation_is_for_the_first_server_that_proves_it() {
        let (mut invitations, key) = invited();
        assert_eq!(redeem(&mut invitations, (&key, 5), (1, 1, 50)), Ok(()));
        let used = Err(InvitationError::Used);
        assert_eq!(redeem(&mut invitations, (&key, 6), (2, 2, 60)), used);
        // The same machine, while the first server is connected.
        assert_eq!(redeem(&mut invitations, (&key, 5), (2, 2, 51)), used);
        // The first server itself, over a second link.
        assert_eq!(redeem(&mut invitations, (&key, 5), (2, 3, 50)), Ok(()));
        close(&mut invitations, 1);
        assert_eq!(redeem(&mut invitations, (&key, 5), (3, 4, 52)), used);
        close(&mut invitations, 3);
        // It comes back after a restart, and long after the time to use it first.
        assert_eq!(redeem(&mut invitations, (&key, 6), (4, 4, 60)), used);
        assert_eq!(redeem(&mut invitations, (&key, 5), (4000, 4, 52)), Ok(()));
    }

    #[test]
    fn used_invitations_are_restored_for_their_holders() {
        let (mut invitations, key) = invited();
        assert_eq!((invitations.used().count(), invitations.version()), (0, 0));
        assert_eq!(redeem(&mut invitations, (&key, 5), (1, 1, 50)), Ok(()));
        assert_eq!(redeem(&mut invitations, (&key, 5), (2, 2, 50)), Ok(()));
        assert_eq!(invitations.version(), 1, "the same holder changes nothing");
        let mut restarted = Invitations::default();
        restarted.restore(invitations.used().collect());
        let used = Err(InvitationError::Used);
        assert_eq!(redeem(&mut restarted, (&key, 6), (1, 1, 60)), used);
        assert_eq!(redeem(&mut restarted, (&key, 5), (1, 1, 50)), Ok(()));
        assert!(!format!("{invitations:?}").contains("key"), "{invitations:?}");
    }

    #[test]
    fn expired_unknown_and_wrong_invitations_admit_nobody() {
        let (mut invitations, key) = invited();
        let wrong = LinkKey::new(b"guessed");
        assert_eq!(
            redeem(&mut invitations, (&wrong, 5), (1, 1, 50)),
            Err(InvitationError::Unknown)
        );
        assert_eq!(redeem(&mut invitations, (&key, 5), (60, 1, 50)), Err(InvitationError::Expired));
        let restarted = &mut Invitations::default();
        assert_eq!(redeem(restarted, (&key, 5), (1, 1, 50)), Err(InvitationError::Unknown));
    }

    #[test]
    fn number_of_invitations_is_bounded() {
        let (mut invitations, _) = invited();
        let now = Time::default();
        assert_eq!(invitations.add(now, LIFETIME, 7), Ok(None), "the number is taken");
        for number in 8..7 + INVITATIONS_MAX as u64 {
            assert!(invitations.add(now, LIFETIME, number).is_ok_and(|key| key.is_some()));
        }
        assert_eq!(invitations.add(now, LIFETIME, 1), Err(InviteError::TooMany));
        assert!(invitations.add(now + LIFETIME, LIFETIME, 1).is_ok_and(|key| key.is_some()));
        let error = Invitations::default().add(now, LIFETIME, 1);
        assert_eq!(error, Err(InviteError::NoSecret));
    }
}
