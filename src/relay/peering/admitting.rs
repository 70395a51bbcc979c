//! Which servers may join over a link: those whose link [`Admission`] admits, and those that prove
//! a key.
//!
//! A server that has a key says so in HELLO. It is sent CHALLENGE, answers with PROOF, and gets
//! PROVEN before OFFER, so that both ends have proven the key. See "Admission of servers" in
//! `docs/PROTOCOL.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use rand::RngExt as _;

use super::Peering;
use super::handshake::{Candidate, Handshake};
use super::refusal::Refused;
use crate::id::HostId;
use crate::limits::{REFUSED_ADDRESSES_MAX, STATUS_UPDATE_BYTES_MAX};
use crate::link::{CloseReason, LinkId, Origin};
use crate::printable::{Printable, truncated};
use crate::relay::admission::{
    Admission, AdmittedBy, Invitations, InviteError, Join, LinkKey, Prover, Transcript, Use,
    UsedInvitation,
};
use crate::relay::cx::RelayCx;
use crate::relay::extension::codec::PROVES_KEYS;
use crate::relay::extension::{Frame, Proof};
use crate::relay::outbox::Outbox;
use crate::relay::send;

/// Who may join, what has been proven, and whose refusal has been logged.
#[derive(Clone, Debug, Default)]
pub(super) struct Admitting {
    admission: Admission,
    /// Addresses of refused servers, each of which the log names once.
    reported: BTreeSet<IpAddr>,
    invitations: Invitations,
    /// The invitation by which this server joins, and the index of the parent that has given it.
    join: Option<(usize, Join)>,
    /// The servers that have proven a key, on links that are open.
    proven: BTreeMap<LinkId, Proven>,
    /// What this server has sent PROOF of, on links whose other end has not sent PROVEN yet.
    sent: BTreeMap<LinkId, Transcript>,
}

/// What the other end of a link has proven.
#[derive(Clone, Copy, Debug)]
struct Proven {
    id: HostId,
    by: AdmittedBy,
}

/// The key that this server proves to a parent.
struct Credential<'a> {
    key: &'a LinkKey,
    /// Number of the invitation; 0 for the link key.
    invitation: u64,
    holder: [u8; 32],
}

impl Admitting {
    /// Records that a server at an address is refused. Returns whether the log is to name it.
    pub(super) fn report(&mut self, address: Option<IpAddr>) -> bool {
        let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        self.reported.len() < REFUSED_ADDRESSES_MAX && self.reported.insert(address)
    }

    /// Forgets what was proven over a link that has ended.
    pub(super) fn on_closed(&mut self, link: LinkId) {
        self.proven.remove(&link);
        self.sent.remove(&link);
        self.invitations.on_closed(link);
    }

    /// Returns why the server with an id, over a link with this origin, may join.
    fn admits(&self, link: LinkId, id: HostId, origin: &Origin) -> Option<AdmittedBy> {
        let proven = self.proven.get(&link).filter(|proven| proven.id == id);
        proven.map(|proven| proven.by).or_else(|| self.admission.admits(origin))
    }

    /// Returns the key that this server proves to a parent, by its index in the list.
    fn credential(&self, parent: Option<usize>) -> Option<Credential<'_>> {
        match &self.join {
            Some((inviter, Join { invitation, key, holder })) if parent == Some(*inviter) => {
                Some(Credential { key, invitation: *invitation, holder: *holder })
            }
            _ => {
                let key = self.admission.link_key.as_ref()?;
                Some(Credential { key, invitation: 0, holder: [0; 32] })
            }
        }
    }
}

impl Peering {
    /// Replaces what decides who may join. Servers that have joined stay.
    pub(in crate::relay) fn set_admission(&mut self, admission: Admission) {
        self.admitting.admission = admission;
        self.admitting.reported.clear();
    }

    /// Sets the secret from which the keys of invitations are derived.
    pub(in crate::relay) fn set_invitation_secret(&mut self, secret: LinkKey) {
        self.admitting.invitations.set_secret(secret);
    }

    /// Returns the invitations of this server.
    pub(in crate::relay) fn invitations(&self) -> &Invitations {
        &self.admitting.invitations
    }

    /// Adds invitations that were used before the start of this server.
    pub(in crate::relay) fn restore_invitations(&mut self, used: Vec<UsedInvitation>) {
        self.admitting.invitations.restore(used);
    }

    /// Joins a parent, by its index, by an invitation.
    pub(in crate::relay) fn set_join(&mut self, parent: usize, join: Join) {
        self.admitting.join = Some((parent, join));
    }

    /// Invites a server. Returns the number and the key of the invitation.
    pub(in crate::relay) fn invite(
        &mut self,
        now: crate::link::Time,
        lifetime: Duration,
    ) -> Result<(u64, [u8; 32]), InviteError> {
        loop {
            let number = self.rng.random();
            if let Some(key) = self.admitting.invitations.add(now, lifetime, number)? {
                return Ok((number, key));
            }
        }
    }

    /// Returns why the server at the other end of a link may join, or has joined.
    pub(in crate::relay) fn admitted_by<O: Outbox>(
        &self,
        link: LinkId,
        id: HostId,
        out: &O,
    ) -> Option<AdmittedBy> {
        if let Some(proven) = self.admitting.proven.get(&link).filter(|proven| proven.id == id) {
            return Some(proven.by);
        }
        if self.is_uplink(link) || self.replay.has_dialled(link) {
            return Some(AdmittedBy::Dial);
        }
        self.admitting.admits(link, id, &out.origin(link))
    }

    /// Returns whether the plain server that registers over a link may join. One that may not is
    /// refused.
    pub(super) fn admit_plain<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        if self.is_uplink(link) {
            return self.check_parent(link, id, cx);
        }
        let is_admitted = self.admitting.admits(link, id, &cx.out.origin(link)).is_some();
        if !is_admitted {
            self.refuse_server(link, id, Refused::Origin, cx);
        }
        is_admitted
    }

    /// Decides whether the server that has sent HELLO may join, or asks it for a proof.
    pub(super) fn admit_candidate<O: Outbox>(
        &mut self,
        link: LinkId,
        candidate: Candidate,
        cx: &mut RelayCx<'_, O>,
    ) {
        let id = candidate.id;
        let has_proven = self.admitting.proven.get(&link).is_some_and(|proven| proven.id == id);
        if candidate.hello.capabilities & PROVES_KEYS != 0 && !has_proven {
            let nonce = self.rng.random();
            send::send_extension(cx.topology, link, &Frame::Challenge { nonce }, cx.out);
            self.handshakes.insert(link, Handshake::Challenged { candidate, nonce });
        } else if self.admitting.admits(link, id, &cx.out.origin(link)).is_some() {
            self.accept_candidate(link, candidate, cx);
        } else {
            self.refuse_server(link, id, Refused::Origin, cx);
        }
    }

    fn accept_candidate<O: Outbox>(
        &mut self,
        link: LinkId,
        Candidate { id, introduction, hello }: Candidate,
        cx: &mut RelayCx<'_, O>,
    ) {
        match introduction {
            Some(introduction) => self.consider(link, introduction, hello, cx),
            None => self.answer_question(link, id, &hello, cx),
        }
    }

    /// Handles the PROOF of a server that has been sent CHALLENGE.
    pub(super) fn on_proof<O: Outbox>(
        &mut self,
        link: LinkId,
        candidate: Candidate,
        challenge: [u8; 32],
        proof: &Proof,
        cx: &mut RelayCx<'_, O>,
    ) {
        let Proof { invitation, nonce, holder, mac } = *proof;
        let (dialler, acceptor) = (candidate.id, cx.topology.own_id());
        let transcript = Transcript { dialler, acceptor, challenge, nonce, invitation, holder };
        let Admitting { admission, invitations, .. } = &mut self.admitting;
        let result = match &admission.link_key {
            _ if invitation != 0 => {
                let by = Use { link, instance: candidate.hello.nonce.0 };
                let answer = invitations.redeem(cx.now, &transcript, &mac, by);
                answer.map(|mac| (AdmittedBy::Invitation, mac)).map_err(Refused::Invitation)
            }
            Some(key) if transcript.verify(key, Prover::Dialler, &mac) => {
                Ok((AdmittedBy::LinkKey, transcript.sign(key, Prover::Acceptor)))
            }
            Some(_) => Err(Refused::LinkKey),
            // Without a key, this server cannot tell; the other one decides on its own.
            None if admission.admits(&cx.out.origin(link)).is_some() => {
                return self.accept_candidate(link, candidate, cx);
            }
            None => Err(Refused::Origin),
        };
        match result {
            Ok((by, mac)) => {
                if invitation != 0 {
                    log::info!("link {link}: server {dialler} has invitation {invitation:016x}");
                }
                self.admitting.proven.insert(link, Proven { id: dialler, by });
                send::send_extension(cx.topology, link, &Frame::Proven { mac }, cx.out);
                self.accept_candidate(link, candidate, cx);
            }
            Err(refused) => self.refuse_server(link, dialler, refused, cx),
        }
    }

    /// Returns whether this server has a key for the server that a link dials.
    pub(super) fn has_key_for(&self, link: LinkId) -> bool {
        self.admitting.credential(self.dialled_parent(link)).is_some()
    }

    /// Handles the CHALLENGE of a parent.
    pub(super) fn on_challenge<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        challenge: [u8; 32],
        cx: &mut RelayCx<'_, O>,
    ) {
        let nonce = self.rng.random();
        let Some(credential) = self.admitting.credential(self.dialled_parent(link)) else { return };
        let Credential { key, invitation, holder } = credential;
        let (dialler, acceptor) = (cx.topology.own_id(), parent);
        let transcript = Transcript { dialler, acceptor, challenge, nonce, invitation, holder };
        let mac = transcript.sign(key, Prover::Dialler);
        let proof = Frame::Proof(Proof { invitation, nonce, holder, mac });
        send::send_extension(cx.topology, link, &proof, cx.out);
        self.admitting.sent.insert(link, transcript);
    }

    /// Handles the PROVEN of a parent.
    pub(super) fn on_proven<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        mac: &[u8; 32],
        cx: &mut RelayCx<'_, O>,
    ) {
        let transcript = self.admitting.sent.remove(&link);
        let credential = self.admitting.credential(self.dialled_parent(link));
        let (Some(transcript), Some(credential)) = (transcript, credential) else { return };
        let is_right = transcript.acceptor == parent
            && transcript.dialler == cx.topology.own_id()
            && transcript.verify(credential.key, Prover::Acceptor, mac);
        if is_right {
            let is_key = credential.invitation == 0;
            let by = if is_key { AdmittedBy::LinkKey } else { AdmittedBy::Invitation };
            self.admitting.proven.insert(link, Proven { id: parent, by });
        }
    }

    /// Returns whether this server may join a parent that has answered. With a key, the parent must
    /// have proven it too, or be admitted by its address or certificate; the inviter must have
    /// proven its invitation.
    pub(super) fn check_parent<O: Outbox>(
        &mut self,
        link: LinkId,
        id: HostId,
        cx: &mut RelayCx<'_, O>,
    ) -> bool {
        let origin = cx.out.origin(link);
        let Some(credential) = self.admitting.credential(self.dialled_parent(link)) else {
            return true;
        };
        let is_inviter = credential.invitation != 0;
        let by = self.admitting.admits(link, id, &origin);
        if by.is_some_and(|by| !is_inviter || by == AdmittedBy::Invitation) {
            return true;
        }
        let text = match is_inviter {
            true => format!(
                "server {id} does not prove the invitation of --join: it is another server, or \
                 speaks plain CRC"
            ),
            false => format!(
                "server {id} at {} does not prove the link key: give it the same --link-key-file, \
                 or trust its address with --allow-servers",
                super::refusal::shown(&origin)
            ),
        };
        self.leave_out_parent(link, &text, cx);
        false
    }

    /// Handles that a parent does not accept this server.
    pub(in crate::relay) fn on_not_admitted<O: Outbox>(
        &mut self,
        link: LinkId,
        parent: HostId,
        text: &[u8],
        cx: &mut RelayCx<'_, O>,
    ) {
        let text = Printable(truncated(text, STATUS_UPDATE_BYTES_MAX));
        let text = format!("server {parent} does not accept this server: {text}");
        self.leave_out_parent(link, &text, cx);
    }

    /// Closes the link to a server that cannot be the parent, and asks it again later.
    fn leave_out_parent<O: Outbox>(&mut self, link: LinkId, text: &str, cx: &mut RelayCx<'_, O>) {
        if self.is_moving_to(link) {
            log::info!("link {link}: {text}; this server does not move there");
        } else {
            log::error!("{text}; asking again in ten seconds");
            self.uplink.on_loop(cx.now, &mut self.rng);
        }
        cx.out.close(link, CloseReason::NotAdmitted);
    }

    /// Checks that what was proven belongs to links that are open.
    ///
    /// # Panics
    /// If it does not.
    pub(super) fn check_admitting(&self, is_open: impl Fn(LinkId) -> bool) {
        let Admitting { proven, sent, .. } = &self.admitting;
        assert!(
            proven.keys().chain(sent.keys()).all(|&link| is_open(link)),
            "proofs of open links"
        );
    }
}

#[cfg(test)]
mod tests;
