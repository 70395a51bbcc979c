//! [`Cursor`]: what one link has been sent of the announcements.

use super::introduce::Confirmation;
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
    /// The client is sent who joins and leaves its rooms, and is not shown rooms as users.
    pub(super) has_room_events: bool,
    /// The link is in the list of ready links.
    pub(super) is_ready: bool,
    /// First host that has not been announced, if the link is behind.
    pub(super) next: Option<Slot>,
    /// Pending hosts that have been announced ahead of their turn, because they sent something.
    pub(super) introduced: Option<Box<IdSet>>,
    /// Set while the other end has not shown that it reads frames that are cut.
    pub(super) pace: Option<Box<Pace>>,
    /// Set on links to servers. Boxed, because there are few servers and every link has a cursor.
    pub(super) neighbour: Option<Box<Neighbour>>,
}

/// What is known of the server at the other end of a link, beside the cursor.
#[derive(Clone, Debug)]
pub(super) enum Neighbour {
    /// It speaks plain CRC.
    Plain(PlainNeighbour),
    /// It speaks the extension.
    Extended { sync: Sync, confirmation: Confirmation },
}

impl Neighbour {
    fn plain(&self) -> Option<&PlainNeighbour> {
        match self {
            Self::Plain(plain) => Some(plain),
            Self::Extended { .. } => None,
        }
    }

    /// Returns what is known of a server that speaks plain CRC.
    pub(super) fn plain_mut(&mut self) -> Option<&mut PlainNeighbour> {
        match self {
            Self::Plain(plain) => Some(plain),
            Self::Extended { .. } => None,
        }
    }

    fn sync(&self) -> Option<&Sync> {
        match self {
            Self::Plain(_) => None,
            Self::Extended { sync, .. } => Some(sync),
        }
    }

    /// Returns the homes that are sent again on an extended link.
    pub(super) fn sync_mut(&mut self) -> Option<&mut Sync> {
        match self {
            Self::Plain(_) => None,
            Self::Extended { sync, .. } => Some(sync),
        }
    }

    fn confirmation(&self) -> Option<&Confirmation> {
        match self {
            Self::Plain(_) => None,
            Self::Extended { confirmation, .. } => Some(confirmation),
        }
    }
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
            .is_none_or(|pace| !pace.has_frames() && pace.admit(frame_bytes, unsent_bytes, now))
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
        self.pace.is_some() && self.plain().is_some()
    }

    /// Makes the server at the other end one that speaks the extension.
    pub(super) fn begin_extended(&mut self) {
        let (sync, confirmation) = (Sync::default(), Confirmation::default());
        self.neighbour = Some(Box::new(Neighbour::Extended { sync, confirmation }));
    }

    /// Returns what is known of the server at the other end, if it speaks plain CRC.
    #[inline]
    pub(super) fn plain(&self) -> Option<&PlainNeighbour> {
        self.neighbour.as_ref()?.plain()
    }

    /// Like [`Cursor::plain`], to change it.
    pub(super) fn plain_mut(&mut self) -> Option<&mut PlainNeighbour> {
        self.neighbour.as_mut()?.plain_mut()
    }

    /// Returns the homes that are sent again, on an extended link.
    #[inline]
    pub(super) fn sync(&self) -> Option<&Sync> {
        self.neighbour.as_ref()?.sync()
    }

    /// Like [`Cursor::sync`], to change it.
    pub(super) fn sync_mut(&mut self) -> Option<&mut Sync> {
        self.neighbour.as_mut()?.sync_mut()
    }

    /// Returns the hosts that were announced before something from them, while the other end of an
    /// extended link may not have asked yet for the hosts that it does not know.
    #[inline]
    pub(super) fn unconfirmed(&self) -> Option<&IdSet> {
        self.neighbour.as_ref()?.confirmation()?.introduced()
    }

    /// Returns what the other end of an extended link has confirmed, to change it.
    pub(super) fn confirmation_mut(&mut self) -> Option<&mut Confirmation> {
        match &mut **self.neighbour.as_mut()? {
            Neighbour::Plain(_) => None,
            Neighbour::Extended { confirmation, .. } => Some(confirmation),
        }
    }

    /// Sets the timer for the next portion, if the link has portions.
    pub(super) fn set_pace_timer(&mut self, link: LinkId, clock: &mut Clock<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.set_timer(link, clock);
        }
    }

    /// Returns whether quits, statuses or chats wait for a portion.
    pub(super) fn has_frames(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.has_frames())
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
