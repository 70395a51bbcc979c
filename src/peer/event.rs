//! What a peer asks of the outside, and what it tells its user.

use super::wire::MessageId;
use crate::link::{CloseReason, LinkId};

/// What the outside is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Connect to a peer by its place among those named; answer with [`super::PeerUp::dialled`], or
    /// [`super::PeerUp::closed`] if it fails.
    Dial {
        /// Which.
        target: usize,
        /// The link that this becomes.
        link: LinkId,
    },
    /// Send what the queue still holds as far as the socket takes it at once, close the connection,
    /// and call [`super::PeerUp::closed`].
    Close {
        /// The link that ends.
        link: LinkId,
        /// Why, for the log.
        reason: CloseReason,
    },
    /// Everything is said: end the program.
    Shutdown,
}

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
