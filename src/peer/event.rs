//! What a peer asks of the outside, and what it tells its user.

use std::convert::Infallible;

use super::wire::MessageId;

/// A request of a [`super::Peer`] to its driver.
pub type Action = crate::link::Action<Infallible>;

/// What the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This peer goes by this id from now on.
    Ready {
        /// Positive.
        id: i64,
    },
    /// Somebody says something to this peer.
    Chat {
        /// Who.
        from: i64,
        /// This peer.
        to: i64,
        /// What.
        text: String,
    },
    /// The addressee has a message of this peer's.
    Receipt {
        /// The addressee.
        from: i64,
        /// Which.
        message: MessageId,
    },
    /// Another peer can be reached.
    PeerUp {
        /// Its id.
        id: i64,
    },
    /// It cannot be reached any more.
    PeerDown {
        /// Its id.
        id: i64,
    },
    /// Something is not as the user wished.
    Error {
        /// What.
        text: String,
    },
}
