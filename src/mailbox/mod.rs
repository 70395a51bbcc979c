//! The mailbox: the durable store behind the core's keep, collect and forget.
//!
//! Owns where mail lies while nobody is there to read it: [`Memory`], which forgets with the process, and
//! [`Disk`], a file. Both answer alike, and both carry requests out strictly in order. Leaves out
//! every decision: who gets mail, how much of it there may be, and when it is too old are the
//! core's.
//!
//! Invariants:
//! - What was answered as kept is there until it is forgotten, dropped or expired, whatever happens to the
//!   process. What was answered as not kept is not.
//! - Every request is answered as [`Request`] says, in order, until [`Reply::Failed`].
//! - Ids grow: a message whose id is not larger than all that were kept before it is not kept.
//! - Times of keeping do not fall as ids grow. The core sees to that, and expiring relies on it.

mod disk;
mod memory;

use std::path::Path;

use crate::limits::MAIL_COLLECT_BYTES;
use crate::mail::{Inventory, Mail, MailId, Reply, Request};

pub use self::disk::Disk;
pub use self::memory::Memory;

/// A store, wherever it is.
#[derive(Debug)]
pub enum Mailbox {
    /// In memory.
    Memory(Memory),
    /// In a file.
    Disk(Disk),
}

impl Mailbox {
    /// A new mailbox in memory, and what it holds: nothing.
    #[must_use]
    pub fn memory() -> (Self, Inventory) {
        let memory = Memory::new();
        let inventory = memory.inventory();
        (Self::Memory(memory), inventory)
    }

    /// The mailbox in the file at `path`, which is made if it is missing, and what it holds. `wake` is
    /// called, on the store's thread, whenever there are answers to [`Mailbox::poll`].
    ///
    /// # Errors
    /// What is wrong with the file and what to do about it, for the operator. The file is as it was.
    pub fn disk(
        path: &Path,
        wake: impl Fn() + Send + 'static,
    ) -> Result<(Self, Inventory), String> {
        let (disk, inventory) = Disk::open(path, wake)?;
        Ok((Self::Disk(disk), inventory))
    }

    /// Asks for something. Never waits.
    pub fn request(&mut self, request: Request) {
        match self {
            Self::Memory(memory) => memory.request(request),
            Self::Disk(disk) => disk.request(request),
        }
    }

    /// The program ends at once: nobody is to wait for the disk when this is dropped.
    pub fn give_up(&mut self) {
        match self {
            Self::Memory(_) => {}
            Self::Disk(disk) => disk.give_up(),
        }
    }

    /// The next answer that is there.
    pub fn poll(&mut self) -> Option<Reply> {
        match self {
            Self::Memory(memory) => memory.poll(),
            Self::Disk(disk) => disk.poll(),
        }
    }
}

/// The first id of a new mailbox, so that [`Request::Collect`] after 0 means all.
const FIRST_ID: u64 = 1;

/// Why a message cannot be kept under this id. The largest ids are left out because SQLite counts
/// with a sign, and one more than any id must be a number too.
fn misplaced(id: MailId, next_id: u64) -> Option<String> {
    let fits = id.0 >= next_id && i64::try_from(id.0).is_ok_and(|id| id < i64::MAX);
    (!fits).then(|| format!("the id {} is out of order: the next is {next_id}", id.0))
}

/// Gathers what one [`Reply::Collected`] takes. Answers whether it took `mail`: if not, it is full.
fn take(portion: &mut Vec<Mail>, bytes: &mut u64, mail: Mail) -> bool {
    *bytes += mail.bytes();
    let fits = portion.is_empty() || *bytes <= MAIL_COLLECT_BYTES as u64;
    if fits {
        portion.push(mail);
    }
    fits
}
