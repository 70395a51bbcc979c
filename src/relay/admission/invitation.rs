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

/// The invitations that a server has given out since its start.
#[derive(Clone, Debug, Default)]
pub(in crate::relay) struct Invitations {
    /// The secret from which the keys are derived.
    secret: Option<LinkKey>,
    by_number: BTreeMap<u64, Invitation>,
}

#[derive(Clone, Debug)]
struct Invitation {
    key: LinkKey,
    /// Until when it can be used for the first time.
    expires_at: Time,
    holder: Option<Holder>,
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
        let invitation = Invitation { key: LinkKey::new(&key), expires_at, holder: None };
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
        if !transcript.verify(&invitation.key, Prover::Dialler, mac) {
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
            None | Some(_) => {}
        }
        let Use { link, instance } = by;
        invitation.holder = Some(Holder { id: transcript.holder, instance, link: Some(link) });
        Ok(transcript.sign(&invitation.key, Prover::Acceptor))
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
