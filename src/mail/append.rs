//! The results of appending mail.

use std::fmt;

use crate::id::WideId;
use crate::link::LinkId;

/// The reason why a message is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The addressee has this many messages waiting, which is the limit.
    AddresseeFull(u64),
    /// The mailbox would exceed this size in bytes, which is the limit.
    SpoolFull(u64),
    /// The store could not write the message, with this error.
    NotStored(String),
    /// The store has failed, with this error.
    StoreFailed(String),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddresseeFull(max) => write!(f, "{max} messages wait for that id already"),
            Self::SpoolFull(max) => write!(f, "the mailbox is full: {max} bytes"),
            Self::NotStored(error) => write!(f, "the mailbox cannot store it: {error}"),
            Self::StoreFailed(error) => write!(f, "the mailbox has failed: {error}"),
        }
    }
}

/// The result of [`Spool::append`](super::Spool::append), known when the store has replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendOutcome {
    /// The link on which the message arrived.
    pub link: LinkId,
    /// The addressee.
    pub to: WideId,
    /// The reason, if the message is not kept.
    pub result: Result<(), AppendError>,
}
