//! The boundary between a protocol state machine and the shell that owns its sockets.
//!
//! A [`Machine`] is pure: bytes and time go in, bytes wait in send queues, and [`Action`]s come
//! out. The shell, the simulator and embedders drive every machine by the same calls.

use std::net::SocketAddr;
use std::time::Duration;

use super::{CloseReason, LinkId, Time};
use crate::limits::{CLIENT_KEEPALIVE_IDLE, CLIENT_KEEPALIVE_TIMEOUT, READ_BYTES_PER_TURN};

/// Writes bytes to a link's socket at once, those of its send queue first. Returns how many bytes
/// the socket took in all: 0 if it takes none now, or if there is no socket.
pub type DirectWrite<'a> = &'a mut dyn FnMut(LinkId, [&[u8]; 2]) -> usize;

/// Identifies a listener of one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub usize);

/// Where a connection comes from, and what the transport has verified of the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The address at the other end; `None` for an in-memory pipe.
    pub address: Option<SocketAddr>,
    /// How the bytes travel.
    pub security: Security,
}

/// What protects the bytes of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    #[default]
    Plain,
    /// TLS.
    Encrypted,
    /// TLS, and the other end has shown a certificate that an authority of this server has signed.
    Certified,
}

impl Origin {
    /// Returns the origin of a connection without TLS.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address: Some(address), security: Security::Plain }
    }
}

/// When a connection counts as dead on which nothing arrives, although the other end has neither
/// closed nor reset it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// Time without input after which the transport asks the other end to show that it is there.
    pub idle: Duration,
    /// Time without any sign of the other end after which the connection ends.
    pub timeout: Duration,
}

impl Keepalive {
    /// Keepalive of a connection that has not shown to be one to a server.
    pub const CLIENT: Self =
        Self { idle: CLIENT_KEEPALIVE_IDLE, timeout: CLIENT_KEEPALIVE_TIMEOUT };
}

/// A request to the driver of a machine. `S` is the machine's request to its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<S> {
    /// Connect to a configured target. Answered by [`Machine::dialled`], or by [`Machine::closed`]
    /// if the dial fails.
    Dial {
        /// Index in the list of targets that the machine was created for.
        target: usize,
        /// The link that the connection becomes.
        link: LinkId,
    },
    /// Connect to an address that is no configured target. Answered like [`Action::Dial`].
    DialAddress {
        /// The address.
        address: SocketAddr,
        /// The link that the connection becomes.
        link: LinkId,
    },
    /// Send what the socket takes of the queue at once, close the connection, and call
    /// [`Machine::closed`].
    Close {
        /// The link to close.
        link: LinkId,
        /// The reason, for the log and for [`Machine::closed`].
        reason: CloseReason,
    },
    /// Watch the connection of a link more closely than [`Keepalive::CLIENT`], with which every
    /// connection begins. A transport without such a function ignores it.
    Keepalive {
        /// The link to watch.
        link: LinkId,
        /// The times.
        keepalive: Keepalive,
    },
    /// Read from a link again whose [`Machine::read_budget`] was 0.
    Resume {
        /// The link to read from.
        link: LinkId,
    },
    /// Hand a request to the store.
    Store(S),
    /// End the program: the drain is complete or has timed out.
    Shutdown,
}

/// A state machine with links, such as [`crate::node::Node`] and [`crate::peer::Peer`].
///
/// Events of links that are gone, or that the machine has ended, are ignored.
pub trait Machine {
    /// Request to the machine's store; [`std::convert::Infallible`] if it has none.
    type StoreRequest;

    /// Term for a dial target in log lines, such as "parent".
    const TARGET_KIND: &'static str;
    /// Returns whether [`Machine::set_wall_clock`] is to be called before the events of this turn.
    fn wants_wall_clock(&self, now: Time) -> bool;

    /// Sets the wall clock: `unix_time` since 1970 at `now`.
    fn set_wall_clock(&mut self, now: Time, unix_time: Duration);

    /// Opens a link for a connection that a listener accepted.
    ///
    /// # Panics
    /// If the machine has no such listener.
    fn accepted(&mut self, now: Time, listener: ListenerId, origin: &Origin) -> LinkId;

    /// Handles what the transport has verified of an accepted connection, before its first bytes.
    fn identified(&mut self, now: Time, link: LinkId, origin: &Origin) {
        let _ = (now, link, origin);
    }

    /// Ends some connections that have not registered, since the process has no descriptor for a
    /// new one. Called after all links have been read. Returns false if there are none: new
    /// connections have to be refused.
    fn make_room(&mut self, now: Time) -> bool {
        let _ = now;
        false
    }

    /// Handles the success of [`Action::Dial`].
    fn dialled(&mut self, now: Time, link: LinkId, origin: &Origin);

    /// Returns whether a link is open: known, and not ended by the machine.
    fn is_open(&self, link: LinkId) -> bool;

    /// Maximum number of bytes to read from a link in one turn, at most
    /// [`STREAM_READ_BYTES_PER_TURN`](crate::limits::STREAM_READ_BYTES_PER_TURN).
    /// While 0, input stays in the socket until [`Action::Resume`].
    fn read_budget(&self, link: LinkId) -> usize {
        let _ = link;
        READ_BYTES_PER_TURN
    }

    /// Handles bytes received on a link, split anywhere. An incomplete frame waits inside.
    fn receive(&mut self, now: Time, link: LinkId, bytes: &[u8]) {
        self.receive_with_direct_write(now, link, bytes, &mut |_, _| 0);
    }

    /// Like [`Machine::receive`], but long runs of chats may be written to other sockets straight
    /// from `bytes`.
    fn receive_with_direct_write(
        &mut self,
        now: Time,
        link: LinkId,
        bytes: &[u8],
        direct_write: DirectWrite<'_>,
    );

    /// Handles the end of a link's connection, or a failed dial. Its send queue is dropped.
    fn closed(&mut self, now: Time, link: LinkId, reason: &CloseReason);

    /// Runs every timer that is due.
    fn advance(&mut self, now: Time);

    /// Returns when [`Machine::advance`] must be called at the latest.
    fn next_deadline(&self) -> Option<Time>;

    /// Returns the next action.
    fn poll_action(&mut self) -> Option<Action<Self::StoreRequest>>;

    /// Returns the next link that has bytes to send and was not returned since its queue was last
    /// empty. The caller writes until the queue is empty, and calls [`Machine::sent`] as it goes.
    /// Called at the end of a turn, when announcements of the whole turn are due.
    fn poll_unsent(&mut self) -> Option<LinkId>;

    /// Returns the next link whose queue rose above the high-water mark in this turn. It is to be
    /// written before [`Machine::advance`], which resumes the input that filled it.
    fn poll_above_high_water(&mut self) -> Option<LinkId>;

    /// Returns a link's unsent bytes, bounded; empty if the link is gone.
    fn unsent(&self, link: LinkId) -> &[u8];

    /// Removes the first `count` unsent bytes of a link, which the kernel has taken.
    fn sent(&mut self, link: LinkId, count: usize);

    /// Starts to drain. [`Action::Shutdown`] follows once the queues are empty, or after
    /// [`crate::limits::SHUTDOWN_DRAIN_TIMEOUT`].
    fn stop(&mut self, now: Time);

    /// Returns whether [`Machine::stop`] was called: no connection is to be accepted any more.
    fn is_stopping(&self) -> bool;
}
