//! An open mailbox file: batches of requests as transactions, and the write-ahead log.
//!
//! Opening and checking the file is done by `file`, the SQL is in `schema` and `queries`, the
//! thread in the parent module.
//!
//! Invariant: replies are returned only after the transaction that they belong to is on disk.
//!
//! The file never shrinks: the space of deleted messages is reused by later ones, so that its size
//! is the largest that the mailbox ever had, which the spool bounds. Shrinking it would cost writes
//! while requests wait.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, FileControl, Transaction, TransactionBehavior};

use super::queries::{self, Totals};
use super::schema::PAGE_BYTES;
use crate::id::WideId;
use crate::limits::MAIL_WAL_BYTES_MAX;
use crate::mail::store::id_order_error;
use crate::mail::{Inventory, Mail, StoreReply, StoreRequest};

/// An open mailbox file.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    next_id: u64,
    clock: Duration,
}

/// The requests of a batch that are carried out, from all of them to those that need no space.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BatchScope {
    All,
    NoAppends,
    ReadsOnly,
}

impl Store {
    /// Takes over the connection of a checked file, and reads its inventory.
    pub(super) fn new(connection: Connection) -> Result<(Self, Inventory), Error> {
        connection.set_prepared_statement_cache_capacity(32);
        let (next_id, clock) = queries::read_state(&connection)?;
        let backlog = |(to, totals): (WideId, Totals)| (to, totals.messages, totals.bytes);
        let backlogs = queries::totals(&connection, i64::MAX)?.into_iter().map(backlog).collect();
        let oldest = queries::oldest(&connection)?;
        let inventory = Inventory { next_id, clock, oldest, backlogs };
        Ok((Self { connection, next_id, clock }, inventory))
    }

    /// Carries out a batch of requests. Returns the replies when the effects are on disk.
    ///
    /// If the disk is full, append requests fail and the other requests are carried out as far as
    /// possible.
    ///
    /// # Errors
    /// After an error the mailbox cannot be used any more. Nothing of this batch was stored.
    pub(super) fn run_batch(
        &mut self,
        requests: &[StoreRequest],
    ) -> Result<Vec<StoreReply>, String> {
        let mut result = self.run_transaction(requests, BatchScope::All, "");
        if let Err(error) = &result
            && is_transient(error)
        {
            let disk_full_error = error.to_string();
            // A deletion is written to the log before it frees space. This frees space in the log.
            self.checkpoint().map_err(|error| error.to_string())?;
            result = self.run_transaction(requests, BatchScope::NoAppends, &disk_full_error);
            if result.as_ref().is_err_and(is_transient) {
                result = self.run_transaction(requests, BatchScope::ReadsOnly, &disk_full_error);
            }
        }
        result.map_err(|error| error.to_string())
    }

    /// Moves the log into the file if it is longer than [`MAIL_WAL_BYTES_MAX`]. Its content is on
    /// disk already, so this can wait until the replies were sent.
    ///
    /// # Errors
    /// After an error the mailbox cannot be used any more.
    pub(super) fn checkpoint_if_long(&self) -> Result<(), String> {
        let log_pages = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| {
            Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
        });
        let log_pages = log_pages.map_err(|error| error.to_string())?;
        if log_pages.cast_unsigned() * PAGE_BYTES > MAIL_WAL_BYTES_MAX {
            self.checkpoint().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Moves the log into the file and closes it.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            log::warn!("the mailbox was not closed cleanly: {error}. The next start recovers it");
        }
    }

    /// Closes the file after an error, and leaves the log for the next start to recover.
    pub(super) fn abandon(self) {
        let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.connection.set_db_config(no_checkpoint, true) {
            log::warn!("the log of the mailbox may be changed while it is closed: {error}");
        }
    }

    fn run_transaction(
        &mut self,
        requests: &[StoreRequest],
        scope: BatchScope,
        disk_full_error: &str,
    ) -> Result<Vec<StoreReply>, Error> {
        // Rolled back when it is dropped without a commit.
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let mut batch = Batch {
            connection: &self.connection,
            scope,
            disk_full_error,
            next_id: self.next_id,
            clock: self.clock,
            replies: Vec::with_capacity(requests.len()),
        };
        for request in requests {
            batch.run(request)?;
        }
        let Batch { next_id, clock, replies, .. } = batch;
        if (next_id, clock) != (self.next_id, self.clock) {
            queries::write_state(&self.connection, next_id, clock)?;
        }
        self.check_not_moved()?;
        transaction.commit()?;
        (self.next_id, self.clock) = (next_id, clock);
        Ok(replies)
    }

    /// Fails if the file was moved or deleted: no server would find the mail again.
    fn check_not_moved(&self) -> Result<(), Error> {
        let mut moved = 0;
        self.connection.file_control(Some(c"main"), FileControl::HasMoved(&mut moved))?;
        if moved == 0 {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY_DBMOVED);
        Err(Error::SqliteFailure(code, Some("the file was moved or deleted".to_owned())))
    }

    /// Moves as much of the log into the file as the disk has space for.
    fn checkpoint(&self) -> Result<(), Error> {
        match self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
            Err(error) if !is_transient(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

/// A batch of requests within one transaction.
struct Batch<'a> {
    connection: &'a Connection,
    scope: BatchScope,
    /// Reason for refused appends, if `scope` excludes them.
    disk_full_error: &'a str,
    next_id: u64,
    clock: Duration,
    replies: Vec<StoreReply>,
}

impl Batch<'_> {
    fn run(&mut self, request: &StoreRequest) -> Result<(), Error> {
        let can_write = self.scope != BatchScope::ReadsOnly;
        match request {
            StoreRequest::Append(mail) if self.scope == BatchScope::All => self.append(mail)?,
            StoreRequest::Append(mail) => self.refuse_append(mail),
            StoreRequest::Fetch { serial, to, after } => {
                let mails = queries::fetch(self.connection, *to, *after)?;
                self.replies.push(StoreReply::Fetched { serial: *serial, mails });
            }
            StoreRequest::Delete { to, ids } if can_write => {
                self.push_deleted(*to, queries::delete(self.connection, *to, ids)?);
            }
            StoreRequest::DeleteAll { to } if can_write => {
                self.push_deleted(*to, queries::delete_all(self.connection, *to)?);
            }
            StoreRequest::Delete { to, .. } | StoreRequest::DeleteAll { to } => {
                self.push_deleted(*to, Totals::default());
            }
            StoreRequest::Expire { before, clock } => {
                if can_write {
                    self.clock = self.clock.max(*clock);
                    for (to, totals) in queries::expire(self.connection, *before)? {
                        self.push_deleted(to, totals);
                    }
                }
                let oldest = queries::oldest(self.connection)?;
                self.replies.push(StoreReply::Expired { oldest });
            }
        }
        Ok(())
    }

    fn append(&mut self, mail: &Mail) -> Result<(), Error> {
        if let Some(error) = id_order_error(mail.id, self.next_id) {
            self.replies.push(StoreReply::AppendFailed { ids: vec![mail.id], error });
            return Ok(());
        }
        queries::append(self.connection, mail)?;
        self.next_id = mail.id.0 + 1;
        self.clock = self.clock.max(mail.appended_at);
        match self.replies.last_mut() {
            Some(StoreReply::Appended(ids)) => ids.push(mail.id),
            _ => self.replies.push(StoreReply::Appended(vec![mail.id])),
        }
        Ok(())
    }

    fn refuse_append(&mut self, mail: &Mail) {
        match self.replies.last_mut() {
            Some(StoreReply::AppendFailed { ids, .. }) => ids.push(mail.id),
            _ => {
                let error = self.disk_full_error.to_owned();
                self.replies.push(StoreReply::AppendFailed { ids: vec![mail.id], error });
            }
        }
    }

    fn push_deleted(&mut self, to: WideId, Totals { messages, bytes }: Totals) {
        self.replies.push(StoreReply::Deleted { to, messages, bytes });
    }
}

/// Returns whether the error means that there is no space or memory, and the database is unharmed.
/// After any other error it may not be.
fn is_transient(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rusqlite::Row;

    use super::*;
    use crate::mail::MailId;

    fn open(folder: &Path) -> Store {
        super::super::file::open(&folder.join("mail")).expect("a mailbox").0
    }

    fn append(id: u64, to: i64, length: usize) -> StoreRequest {
        let (to, from, text) = (WideId(to), WideId(1), vec![b'x'; length].into());
        StoreRequest::Append(Mail {
            id: MailId(id),
            to,
            from,
            from_nick: Box::default(),
            sent_at_ms: 0,
            appended_at: Duration::from_secs(id),
            text,
        })
    }

    fn pragma_i64(store: &Store, pragma: &str) -> i64 {
        let sql = format!("PRAGMA {pragma}");
        store.connection.query_row(&sql, (), |row| row.get(0)).expect("a number")
    }

    fn appended(ids: &[u64]) -> StoreReply {
        StoreReply::Appended(ids.iter().copied().map(MailId).collect())
    }

    fn append_failed(ids: &[u64], error: &str) -> StoreReply {
        StoreReply::AppendFailed {
            ids: ids.iter().copied().map(MailId).collect(),
            error: error.to_owned(),
        }
    }

    fn deleted(to: i64, messages: u64, bytes: u64) -> StoreReply {
        StoreReply::Deleted { to: WideId(to), messages, bytes }
    }

    fn ids(mails: &[Mail]) -> Vec<u64> {
        mails.iter().map(|mail| mail.id.0).collect()
    }

    #[test]
    fn store_syncs_every_commit_to_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        assert_eq!(pragma_i64(&store, "synchronous"), 2);
        let mode = |row: &Row<'_>| row.get::<_, String>(0);
        let mode = store.connection.query_row("PRAGMA journal_mode", (), mode).expect("a mode");
        assert_eq!(mode, "wal");
        assert_eq!(pragma_i64(&store, "wal_autocheckpoint"), 0);
    }

    #[test]
    fn full_store_refuses_appends_and_runs_the_other_requests() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        assert_eq!(
            store.run_batch(&[append(1, 7, 9000), append(2, 8, 5)]),
            Ok(vec![appended(&[1, 2])])
        );
        pragma_i64(&store, &format!("max_page_count = {}", pragma_i64(&store, "page_count") + 2));
        let requests = [
            append(3, 7, 5),
            append(4, 7, 100_000),
            StoreRequest::Fetch { serial: 1, to: WideId(7), after: MailId(0) },
            StoreRequest::Delete { to: WideId(7), ids: vec![MailId(1)] },
            StoreRequest::DeleteAll { to: WideId(7) },
            append(5, 7, 5),
            StoreRequest::Expire { before: Duration::from_secs(3), clock: Duration::ZERO },
        ];
        let full = "database or disk is full";
        let replies = store.run_batch(&requests).expect("still usable");
        let StoreReply::Fetched { serial: 1, mails } = &replies[1] else { panic!("{replies:?}") };
        assert_eq!(ids(mails), [1], "a refused message is not fetched");
        assert_eq!(replies[0], append_failed(&[3, 4], full));
        assert_eq!(replies[2..4], [deleted(7, 1, 9064), deleted(7, 0, 0)]);
        assert_eq!(replies[4], append_failed(&[5], full));
        let expired = [deleted(8, 1, 69), StoreReply::Expired { oldest: None }];
        assert_eq!(replies[5..], expired);
        // The space of the first message is free again.
        assert_eq!(store.run_batch(&[append(6, 7, 9000)]), Ok(vec![appended(&[6])]));
        store.close();
        assert_eq!(
            ids(&queries::fetch(&open(folder.path()).connection, WideId(7), MailId(0))
                .expect("read")),
            [6]
        );
    }

    #[test]
    fn read_only_transaction_answers_every_request_and_deletes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.run_batch(&[append(1, 7, 5), append(2, 7, 5)]).expect("kept");
        let requests = [
            append(3, 7, 5),
            StoreRequest::Delete { to: WideId(7), ids: vec![MailId(1)] },
            StoreRequest::DeleteAll { to: WideId(7) },
            StoreRequest::Expire { before: Duration::MAX, clock: Duration::ZERO },
            StoreRequest::Fetch { serial: 1, to: WideId(7), after: MailId(0) },
        ];
        let replies =
            store.run_transaction(&requests, BatchScope::ReadsOnly, "full").expect("read");
        let none_deleted = deleted(7, 0, 0);
        assert_eq!(replies[..3], [append_failed(&[3], "full"), none_deleted.clone(), none_deleted]);
        assert_eq!(replies[3], StoreReply::Expired { oldest: Some(Duration::from_secs(1)) });
        let StoreReply::Fetched { serial: 1, mails } = &replies[4] else { panic!("{replies:?}") };
        assert_eq!(ids(mails), [1, 2]);
    }
}
