//! Mail: messages to ids that no reachable user has, kept until one does.
//!
//! [`Spool`] decides what is kept, delivered and deleted. The [`store`] behind it carries out
//! [`StoreRequest`]s in order and answers with [`StoreReply`]s. The types of both are here. The
//! spool is pure: it uses no file, thread or clock.

mod append;
mod delivery;
mod expiry;
mod spool;
pub mod store;

use std::time::Duration;

pub use self::append::{AppendError, AppendOutcome};
pub use self::spool::{Backlog, Spool};

use crate::id::WideId;
use crate::limits::MAIL_OVERHEAD_BYTES;
use crate::link::LinkId;

/// Identifies a message in its mailbox. Ids grow in the order of appending and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailId(pub u64);

/// A message in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Id of the message.
    pub id: MailId,
    /// The addressee.
    pub to: WideId,
    /// The sender.
    pub from: WideId,
    /// The nick of the sender when it sent the message; empty if it had none.
    pub from_nick: Box<[u8]>,
    /// When it was sent, in milliseconds since 1970; 0 if that is not known.
    pub sent_at_ms: u64,
    /// Time of appending, on the mailbox clock (see [`Inventory::clock`]).
    pub appended_at: Duration,
    /// Text of the message.
    pub text: Box<[u8]>,
}

impl Mail {
    /// Returns the size that counts towards the bound of the mailbox: text and nick, and
    /// [`MAIL_OVERHEAD_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.text.len() + self.from_nick.len() + MAIL_OVERHEAD_BYTES) as u64
    }
}

/// The sender of a message.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// The link on which the message arrived.
    pub link: LinkId,
    /// The id of the sender.
    pub id: WideId,
    /// Its nick; empty if it has none.
    pub nick: &'a [u8],
    /// The time since 1970, in milliseconds; 0 if it is not known.
    pub sent_at_ms: u64,
}

/// A request to the store. Requests are carried out in order; each sees the effects of those before
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// Stores a message durably. Answered with [`StoreReply::Appended`] or
    /// [`StoreReply::AppendFailed`].
    Append(Mail),
    /// Reads the mail of an addressee, oldest first. Answered with [`StoreReply::Fetched`].
    Fetch {
        /// Serial number, returned in the reply.
        serial: u64,
        /// The addressee.
        to: WideId,
        /// Only messages with larger ids are read.
        after: MailId,
    },
    /// Deletes messages that were delivered. Answered with [`StoreReply::Deleted`].
    Delete {
        /// The addressee.
        to: WideId,
        /// Ids of the messages.
        ids: Vec<MailId>,
    },
    /// Deletes all mail of an addressee. Answered with [`StoreReply::Deleted`].
    DeleteAll {
        /// The addressee.
        to: WideId,
    },
    /// Deletes messages that were appended before a time. Answered with one
    /// [`StoreReply::Deleted`] per addressee, then [`StoreReply::Expired`].
    Expire {
        /// Messages appended earlier are deleted. On the mailbox clock.
        before: Duration,
        /// Current time of the mailbox clock, to be stored.
        clock: Duration,
    },
}

/// A reply of the store. Replies come in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// These messages are durable. In the order of their ids.
    Appended(Vec<MailId>),
    /// These messages were not stored. If [`StoreReply::Failed`] follows, some of them may be found
    /// in the file when it is opened again.
    AppendFailed {
        /// Ids of the messages.
        ids: Vec<MailId>,
        /// Reason.
        error: String,
    },
    /// The oldest mail of an addressee: at most [`crate::limits::MAIL_FETCH_BYTES_MAX`] bytes, or
    /// one larger message.
    Fetched {
        /// Serial number of the request.
        serial: u64,
        /// Messages in the order of their ids. Empty if there are no more.
        mails: Vec<Mail>,
    },
    /// Messages of an addressee were deleted.
    Deleted {
        /// The addressee.
        to: WideId,
        /// Number of messages that existed and were deleted.
        messages: u64,
        /// Sum of their [`Mail::bytes`].
        bytes: u64,
    },
    /// Expired messages were deleted.
    Expired {
        /// Time of appending of the oldest message that is left.
        oldest: Option<Duration>,
    },
    /// The store has failed and answers no more requests. Messages reported as
    /// [`StoreReply::Appended`] are still in the file.
    Failed(String),
}

/// Content of a store when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Id of the next message, larger than every id that was used before.
    pub next_id: u64,
    /// Latest time that the store recorded. The mailbox clock continues from there: it runs while
    /// the server runs, and does not depend on the wall clock.
    pub clock: Duration,
    /// Time of appending of the oldest message.
    pub oldest: Option<Duration>,
    /// Number of messages and sum of their [`Mail::bytes`] per addressee, sorted by addressee.
    pub backlogs: Vec<(WideId, u64, u64)>,
}

impl Default for Inventory {
    /// Returns the inventory of a new mailbox.
    fn default() -> Self {
        let (clock, oldest, backlogs) = (Duration::ZERO, None, Vec::new());
        Self { next_id: 1, clock, oldest, backlogs }
    }
}
