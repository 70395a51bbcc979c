//! Stores of mail, in memory and on disk.
//!
//! [`MemoryMailbox`] loses its mail with the process, [`DiskMailbox`] keeps it in a file. Both
//! carry requests out strictly in order and reply alike. Who gets mail, how much is kept and when
//! it expires is decided by [`Spool`](super::Spool).
//!
//! Invariants:
//! - A message reported as appended is there until it is deleted or expired, even if the process is
//!   killed. A message reported as failed is not there.
//! - Every request is answered as [`StoreRequest`] says, in order, until [`StoreReply::Failed`].
//! - Ids grow: a message whose id is not larger than all before it is refused.
//! - Times of appending do not decrease as ids grow. The spool ensures that, and expiry relies on
//!   it.

mod disk;
mod memory;

use std::path::Path;

use crate::limits::MAIL_FETCH_BYTES_MAX;
use crate::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};

pub use self::disk::DiskMailbox;
pub use self::memory::MemoryMailbox;

/// A store, in memory or on disk.
#[derive(Debug)]
pub enum Mailbox {
    /// In memory.
    Memory(MemoryMailbox),
    /// In a file.
    Disk(DiskMailbox),
}

impl Mailbox {
    /// Creates an empty mailbox in memory. Returns it with its inventory.
    #[must_use]
    pub fn in_memory() -> (Self, Inventory) {
        let memory = MemoryMailbox::new();
        let inventory = memory.inventory();
        (Self::Memory(memory), inventory)
    }

    /// Opens the mailbox in the file at `path`, or creates it. Returns it with its inventory.
    /// `wake` is called on the mailbox thread whenever [`Mailbox::poll`] has replies.
    ///
    /// # Errors
    /// Returns the problem and its remedy, for the operator. The file is unchanged.
    pub fn open(
        path: &Path,
        wake: impl Fn() + Send + 'static,
    ) -> Result<(Self, Inventory), String> {
        let (disk, inventory) = DiskMailbox::open(path, wake)?;
        Ok((Self::Disk(disk), inventory))
    }

    /// Sends a request. Never blocks on the disk.
    pub fn request(&mut self, request: StoreRequest) {
        match self {
            Self::Memory(memory) => memory.request(request),
            Self::Disk(disk) => disk.request(request),
        }
    }

    /// Makes the drop not wait for the disk. For a program that must end at once.
    pub fn detach(&mut self) {
        match self {
            Self::Memory(_) => {}
            Self::Disk(disk) => disk.detach(),
        }
    }

    /// Returns the next reply, if there is one.
    pub fn poll(&mut self) -> Option<StoreReply> {
        match self {
            Self::Memory(memory) => memory.poll(),
            Self::Disk(disk) => disk.poll(),
        }
    }
}

/// First id of a new mailbox. [`StoreRequest::Fetch`] after id 0 reads everything.
const FIRST_ID: u64 = 1;

/// Returns the error for a message whose id is out of order. Ids are below `i64::MAX`, because
/// SQLite's integers are signed and the id after the last must be one of them.
fn id_order_error(id: MailId, next_id: u64) -> Option<String> {
    let is_valid = id.0 >= next_id && i64::try_from(id.0).is_ok_and(|id| id < i64::MAX);
    (!is_valid).then(|| format!("the id {} is out of order: the next is {next_id}", id.0))
}

/// Adds a message to the batch of a [`StoreReply::Fetched`]. Returns `false` if it does not fit.
fn push_within_limit(batch: &mut Vec<Mail>, bytes: &mut u64, mail: Mail) -> bool {
    *bytes += mail.bytes();
    let fits = batch.is_empty() || *bytes <= MAIL_FETCH_BYTES_MAX as u64;
    if fits {
        batch.push(mail);
    }
    fits
}
