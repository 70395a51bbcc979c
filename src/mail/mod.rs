//! Mail: what is said to an id that nobody has, kept until somebody does.
//!
//! Here are the words between the [`Spool`], which decides what is kept, delivered and forgotten, and
//! the store behind it, which does as it is asked, in the order it is asked; and [`WideIds`], which
//! knows who has which number of 64 bits. No file, thread or clock.

mod delivery;
mod spool;
pub mod store;

use std::time::Duration;

pub use self::spool::{AppendError, Backlog, Spool};

use crate::id::WideId;
use crate::limits::MAIL_OVERHEAD_BYTES;

/// Names one message for as long as its mailbox lives: they grow in the order of keeping, and none
/// is ever used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailId(pub u64);

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its name.
    pub id: MailId,
    /// For whom it is.
    pub to: WideId,
    /// Who said it.
    pub from: WideId,
    /// When, on the mailbox's own clock, see [`Inventory::clock`].
    pub appended_at: Duration,
    /// What was said.
    pub text: Box<[u8]>,
}

impl Mail {
    /// What it counts towards the bound of the mailbox.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.text.len() + MAIL_OVERHEAD_BYTES) as u64
    }
}

/// What the store is asked to do. Requests are carried out in the order they are made, and each
/// sees what those before it have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreRequest {
    /// Keep a message durably: answered with [`Reply::Appended`] or [`Reply::AppendFailed`].
    Append(Mail),
    /// Read what waits for an addressee, oldest first: answered with [`Reply::Fetched`].
    Fetch {
        /// Returned with the answer.
        serial: u64,
        /// Whose mail.
        to: WideId,
        /// Only what has a larger id than this.
        after: MailId,
    },
    /// Forget messages that have been delivered: answered with [`Reply::Deleted`].
    Delete {
        /// Whose mail.
        to: WideId,
        /// Which of it.
        ids: Vec<MailId>,
    },
    /// Forget all that waits for an addressee: answered with [`Reply::Deleted`].
    DeleteAll {
        /// Whose mail.
        to: WideId,
    },
    /// Forget what was kept before this time: answered with a [`Reply::Deleted`] for each addressee,
    /// then [`Reply::Expired`].
    Expire {
        /// On the mailbox's own clock.
        before: Duration,
        /// What that clock shows, to be remembered.
        clock: Duration,
    },
}

/// What the store answers, in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreReply {
    /// These messages are durable now; in the order of their ids.
    Appended(Vec<MailId>),
    /// These could not be kept, and nothing of them is, unless [`Reply::Failed`] follows: then some
    /// of them may be found in the file when it is opened again.
    AppendFailed {
        /// Which.
        ids: Vec<MailId>,
        /// Why, for the operator.
        error: String,
    },
    /// The oldest of what waits for an addressee, at most [`crate::limits::MAIL_FETCH_BYTES_MAX`] of it,
    /// or one message that is larger.
    Fetched {
        /// Of the request.
        serial: u64,
        /// By id. Empty if nothing (more) waits.
        mails: Vec<Mail>,
    },
    /// So much less waits for an addressee.
    Deleted {
        /// For whom.
        to: WideId,
        /// Messages that were there and are gone.
        messages: u64,
        /// What they counted, see [`Mail::bytes`].
        bytes: u64,
    },
    /// What was old is gone.
    Expired {
        /// When the oldest that is left was kept.
        oldest: Option<Duration>,
    },
    /// The store cannot be relied on any more: it answers nothing from now on. What was reported as
    /// kept is still in the file.
    Failed(String),
}

/// What a store holds when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// The id that the next message gets: larger than any that was ever used.
    pub next_id: u64,
    /// The latest time that the store was told, with a message or otherwise. The mailbox's clock goes
    /// on from there: it runs while the server does, and no wall clock can move it.
    pub clock: Duration,
    /// When the oldest message was kept.
    pub oldest: Option<Duration>,
    /// For each addressee, how many messages wait and what they count, by address.
    pub backlogs: Vec<(WideId, u64, u64)>,
}

impl Default for Inventory {
    /// A mailbox that is new.
    fn default() -> Self {
        let (clock, oldest, backlogs) = (Duration::ZERO, None, Vec::new());
        Self { next_id: 1, clock, oldest, backlogs }
    }
}
