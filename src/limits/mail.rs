//! Limits of mail: the spool and its store.

use std::time::Duration;

/// Size of a stored message apart from its text, in bytes: about the memory that it takes.
pub const MAIL_OVERHEAD_BYTES: usize = 64;

/// Size in bytes of the messages not yet durable beyond which senders of mail are not read.
pub const MAIL_UNACKED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Maximum number of messages stored for one recipient.
pub const MAIL_MESSAGES_MAX: u64 = 10_000;

/// Maximum size of all mail in a mailbox on disk, in bytes.
pub const MAIL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Maximum size of all mail without a mailbox on disk, in bytes: it takes memory.
pub const MAIL_IN_MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Time for which mail is stored, counted while the server runs.
pub const MAIL_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Minimum interval between two requests to the store for expired mail.
pub const MAIL_EXPIRY_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// Interval at which the clock of the mailbox is saved while mail is stored. A server that is
/// killed loses at most this much of it.
pub const MAIL_CLOCK_SAVE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum size of one portion of mail read from the store, in bytes.
pub const MAIL_FETCH_BYTES_MAX: usize = 64 * 1024;

/// Maximum size of one transaction of the mailbox, requests and replies, in bytes: one sync serves
/// many messages, and the first do not wait long.
pub const MAIL_TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Time for which a server that stops waits for the mailbox to be closed. Stored mail is safe
/// without that; the next start takes longer.
pub const MAIL_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Length of the write-ahead log of the mailbox from which it is checkpointed, in bytes. A page
/// that was written many times is then moved once.
pub const MAIL_WAL_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Maximum size of the page cache of the mailbox, in bytes: the index of about a million messages,
/// so that a busy mailbox does not read what it has just written.
pub const MAIL_CACHE_BYTES: u64 = 16 * 1024 * 1024;
