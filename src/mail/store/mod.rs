//! The mailbox: the durable store behind the core's keep, collect and forget.
//!
//! Owns where mail lies while nobody is there to read it: [`MemoryMailbox`], which forgets with the process, and
//! [`DiskMailbox`], a file. Both answer alike, and both carry requests out strictly in order. Leaves out
//! every decision: who gets mail, how much of it there may be, and when it is too old are the
//! core's.
//!
//! Invariants:
//! - What was answered as kept is there until it is forgotten, dropped or expired, whatever happens to the
//!   process. What was answered as not kept is not.
//! - Every request is answered as [`StoreRequest`] says, in order, until [`Reply::Failed`].
//! - Ids grow: a message whose id is not larger than all that were kept before it is not kept.
//! - Times of keeping do not fall as ids grow. The core sees to that, and expiring relies on it.

mod disk;
mod memory;

use std::path::Path;

use crate::limits::MAIL_FETCH_BYTES_MAX;
use crate::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};

pub use self::disk::DiskMailbox;
pub use self::memory::MemoryMailbox;

/// A store, wherever it is.
#[derive(Debug)]
pub enum Mailbox {
    /// In memory.
    Memory(MemoryMailbox),
    /// In a file.
    Disk(DiskMailbox),
}

impl Mailbox {
    /// A new mailbox in memory, and what it holds: nothing.
    #[must_use]
    pub fn in_memory() -> (Self, Inventory) {
        let memory = MemoryMailbox::new();
        let inventory = memory.inventory();
        (Self::Memory(memory), inventory)
    }

    /// The mailbox in the file at `path`, which is made if it is missing, and what it holds. `wake` is
    /// called, on the store's thread, whenever there are answers to [`Mailbox::poll`].
    ///
    /// # Errors
    /// What is wrong with the file and what to do about it, for the operator. The file is as it was.
    pub fn open(
        path: &Path,
        wake: impl Fn() + Send + 'static,
    ) -> Result<(Self, Inventory), String> {
        let (disk, inventory) = DiskMailbox::open(path, wake)?;
        Ok((Self::Disk(disk), inventory))
    }

    /// Asks for something. Never waits.
    pub fn request(&mut self, request: StoreRequest) {
        match self {
            Self::Memory(memory) => memory.request(request),
            Self::Disk(disk) => disk.request(request),
        }
    }

    /// The program ends at once: nobody is to wait for the disk when this is dropped.
    pub fn detach(&mut self) {
        match self {
            Self::Memory(_) => {}
            Self::Disk(disk) => disk.detach(),
        }
    }

    /// The next answer that is there.
    pub fn poll(&mut self) -> Option<StoreReply> {
        match self {
            Self::Memory(memory) => memory.poll(),
            Self::Disk(disk) => disk.poll(),
        }
    }
}

/// The first id of a new mailbox, so that [`StoreRequest::Fetch`] after 0 means all.
const FIRST_ID: u64 = 1;

/// Why a message cannot be kept under this id. The largest ids are left out because SQLite counts
/// with a sign, and one more than any id must be a number too.
fn id_order_error(id: MailId, next_id: u64) -> Option<String> {
    let is_valid = id.0 >= next_id && i64::try_from(id.0).is_ok_and(|id| id < i64::MAX);
    (!is_valid).then(|| format!("the id {} is out of order: the next is {next_id}", id.0))
}

/// Gathers what one [`Reply::Fetched`] takes. Answers whether it took `mail`: if not, it is full.
fn push_within_limit(batch: &mut Vec<Mail>, bytes: &mut u64, mail: Mail) -> bool {
    *bytes += mail.bytes();
    let fits = batch.is_empty() || *bytes <= MAIL_FETCH_BYTES_MAX as u64;
    if fits {
        batch.push(mail);
    }
    fits
}
