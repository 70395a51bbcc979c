//! [`Cursor`]: what one link has been sent of the announcements.

use super::pacing::{Clock, Pace, registration_bytes};
use super::plain::PlainNeighbour;
use super::sync::{IdSet, Sync};
use crate::id::HostId;
use crate::link::{LinkId, Time};
use crate::relay::message::HostKind;
use crate::relay::plain;
use crate::relay::topology::{Host, Slot};

/// The position up to which hosts have been announced to a link.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    /// Kind of the host at the other end, if announcements are sent to it.
    pub(super) audience: Option<HostKind>,
    /// The link is in the list of ready links.
    pub(super) is_ready: bool,
    /// First host that has not been announced, if the link is behind.
    pub(super) next: Option<Slot>,
    /// Pending hosts that have been announced ahead of their turn, because they sent something.
    pub(super) introduced: Option<Box<IdSet>>,
    /// Set while the other end has not shown that it reads frames that are cut.
    pub(super) pace: Option<Box<Pace>>,
    /// Set on links to servers that speak plain CRC.
    pub(super) plain: Option<Box<PlainNeighbour>>,
    /// Set on extended links.
    pub(super) sync: Option<Box<Sync>>,
    /// Hosts that were announced before something from them, while the other end of a new extended
    /// link may not have asked yet for the hosts that it does not know.
    pub(super) unconfirmed: Option<Box<IdSet>>,
}

impl Cursor {
    /// Returns whether a registration may be sent now, and counts it if so. Quits that wait come
    /// first.
    pub(super) fn admit_registration(
        &mut self,
        host: &Host,
        unsent_bytes: usize,
        now: Time,
    ) -> bool {
        let frame_bytes = self.registration_bytes(host);
        self.pace
            .as_mut()
            .is_none_or(|pace| !pace.has_quits() && pace.admit(frame_bytes, unsent_bytes, now))
    }

    /// Returns the length of the registration of a host, in the form that the other end reads.
    pub(super) fn registration_bytes(&self, host: &Host) -> usize {
        if self.is_guarded() {
            let (name, info) = plain::name_and_info(&host.registration(host.id));
            return registration_bytes(&name, &info);
        }
        registration_bytes(host.name(), host.info())
    }

    /// Returns whether the other end is a plain server that has not shown that it reads cut frames.
    #[inline]
    pub(super) fn is_guarded(&self) -> bool {
        self.plain.is_some() && self.pace.is_some()
    }

    /// Sets the timer for the next portion, if the link has portions.
    pub(super) fn set_pace_timer(&mut self, link: LinkId, clock: &mut Clock<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.set_timer(link, clock);
        }
    }

    /// Returns whether quits wait for a portion.
    pub(super) fn has_quits(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.has_quits())
    }

    /// Returns the next host that rejoined and whose registration waits for a portion.
    pub(super) fn next_returned(&self) -> Option<HostId> {
        self.pace.as_ref()?.next_returned()
    }

    /// Returns whether a host rejoined and its registration waits for a portion.
    pub(super) fn is_returned(&self, host: &Host) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.is_returned(host))
    }

    /// Forgets that the registration of a host that rejoined waits. Returns whether it did.
    pub(super) fn remove_returned(&mut self, host: &Host) -> bool {
        self.pace.as_mut().is_some_and(|pace| pace.remove_returned(host))
    }
}
