//! What a peer asks of the event loop, and what it reports to its user.

use std::convert::Infallible;

use super::wire::MessageId;

/// A request of a [`super::Peer`] to its driver.
pub type Action = crate::link::Action<Infallible>;

/// Something to report to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This peer has a new id.
    Ready {
        /// The id, positive.
        id: i64,
    },
    /// A message to this peer arrived.
    Chat {
        /// The sender's id.
        from: i64,
        /// This peer's id.
        to: i64,
        /// The text.
        text: String,
    },
    /// A message to a room that this peer has joined arrived.
    RoomChat {
        /// The room, as the sender has written it.
        room: String,
        /// The sender's id.
        from: i64,
        /// The text.
        text: String,
    },
    /// The addressee has received a message of this peer.
    Receipt {
        /// The addressee's id.
        from: i64,
        /// The message.
        message: MessageId,
    },
    /// Another peer became reachable.
    PeerUp {
        /// Its id.
        id: i64,
    },
    /// A peer is no longer reachable.
    PeerDown {
        /// Its id.
        id: i64,
    },
    /// Something failed or differs from what the user asked for.
    Error {
        /// What happened.
        text: String,
    },
}
