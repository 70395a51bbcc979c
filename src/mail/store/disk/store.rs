//! Does what is asked of a mailbox.
//!
//! Owns a database that is open and checked: a round of requests as one transaction, what is done when
//! there is no room, and the log. Leaves out opening (`file`), the SQL (`schema`) and the thread.
//!
//! Invariants: an answer is given only after the transaction it belongs to is on the disk; times are
//! in nanoseconds, so they come back as they were, up to 292 years.
//!
//! The file never shrinks. What is forgotten leaves room that the next messages take, so it is
//! as large as the mailbox ever was, which the core bounds; giving room back would cost writes while
//! people wait.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{
    Connection, Error, ErrorCode, FileControl, OptionalExtension as _, Row, Transaction,
    TransactionBehavior,
};

use super::schema::{
    APPEND, DELETE, DELETE_ALL, DELETE_BEFORE, FETCH, FIRST_UNEXPIRED, LENGTHS, LENGTHS_BEFORE,
    NEWEST, OLDEST, PAGE_BYTES, READ_STATE, WRITE_STATE,
};
use crate::id::WideId;
use crate::limits::{MAIL_OVERHEAD_BYTES, MAIL_WAL_BYTES_MAX};
use crate::mail::store::{id_order_error, push_within_limit};
use crate::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};

/// Messages and their bytes by addressee.
type Tally = BTreeMap<WideId, (u64, u64)>;

/// An open mailbox.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    next_id: u64,
    clock: Duration,
}

/// How much of a round is carried out, from all of it to what needs no room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BatchScope {
    All,
    NoAppends,
    ReadsOnly,
}

impl Store {
    /// Takes over a database that has been checked, and reads what it holds.
    pub(super) fn new(connection: Connection) -> Result<(Self, Inventory), Error> {
        connection.set_prepared_statement_cache_capacity(32);
        let (next_id, clock) = connection.query_row(READ_STATE, (), |row| {
            Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?))
        })?;
        let clock = from_nanos(clock);
        let store = Self { connection, next_id, clock };
        let flatten = |(to, (messages, bytes))| (to, messages, bytes);
        let backlogs = store.tally(i64::MAX)?.into_iter().map(flatten).collect();
        let inventory = Inventory { next_id, clock, oldest: store.oldest()?, backlogs };
        Ok((store, inventory))
    }

    /// Whether state and messages can belong together.
    pub(super) fn is_consistent(connection: &Connection) -> Result<bool, Error> {
        let read_pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let state = connection.query_row(READ_STATE, (), read_pair).optional()?;
        let newest = connection.query_row(NEWEST, (), read_pair).optional()?;
        Ok(match (state, newest) {
            (Some((next_id, clock)), Some((id, kept_at))) => next_id > id && clock >= kept_at,
            (Some((next_id, clock)), None) => next_id > 0 && clock >= 0,
            (None, _) => false,
        })
    }

    /// Carries out a round of requests, and answers when what they did is on the disk.
    ///
    /// # Errors
    /// After an error the mailbox cannot be used any more, and nothing of this round was kept.
    pub(super) fn run_batch(
        &mut self,
        requests: &[StoreRequest],
    ) -> Result<Vec<StoreReply>, String> {
        let mut result = self.run_transaction(requests, BatchScope::All, "");
        if let Err(error) = &result
            && is_transient(error)
        {
            let disk_full_error = error.to_string();
            // Removing writes to the log before it makes room, and this makes room in the log.
            self.checkpoint().map_err(|error| error.to_string())?;
            result = self.run_transaction(requests, BatchScope::NoAppends, &disk_full_error);
            if result.as_ref().is_err_and(is_transient) {
                result = self.run_transaction(requests, BatchScope::ReadsOnly, &disk_full_error);
            }
        }
        result.map_err(|error| error.to_string())
    }

    /// Moves the log into the file when it is long. What stands in it is on the disk already, so this
    /// can wait until the answers are given.
    ///
    /// # Errors
    /// After an error the mailbox cannot be used any more.
    pub(super) fn checkpoint_if_long(&self) -> Result<(), String> {
        let log_pages = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| {
            Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
        });
        let waiting = log_pages.map_err(|error| error.to_string())?;
        if waiting.cast_unsigned() * PAGE_BYTES > MAIL_WAL_BYTES_MAX {
            self.checkpoint().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Closes the file; the log goes into it.
    pub(super) fn close(self) {
        if let Err((_, error)) = self.connection.close() {
            log::warn!("the mailbox was not closed as it should: {error}");
        }
    }

    /// Closes the file after an error and leaves the log as it is.
    pub(super) fn abandon(self) {
        let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.connection.set_db_config(no_checkpoint, true) {
            log::warn!("the log of the mailbox may not be left as it is: {error}");
        }
    }

    fn run_transaction(
        &mut self,
        requests: &[StoreRequest],
        scope: BatchScope,
        disk_full_error: &str,
    ) -> Result<Vec<StoreReply>, Error> {
        // Rolled back where it is not committed.
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let (mut next_id, mut clock) = (self.next_id, self.clock);
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            match request {
                StoreRequest::Append(mail) if scope == BatchScope::All => {
                    if let Some(error) = id_order_error(mail.id, next_id) {
                        replies.push(StoreReply::AppendFailed { ids: vec![mail.id], error });
                        continue;
                    }
                    self.append(mail)?;
                    next_id = mail.id.0 + 1;
                    clock = clock.max(mail.appended_at);
                    match replies.last_mut() {
                        Some(StoreReply::Appended(ids)) => ids.push(mail.id),
                        _ => replies.push(StoreReply::Appended(vec![mail.id])),
                    }
                }
                StoreRequest::Append(mail) => match replies.last_mut() {
                    Some(StoreReply::AppendFailed { ids, .. }) => ids.push(mail.id),
                    _ => {
                        let error = disk_full_error.to_owned();
                        replies.push(StoreReply::AppendFailed { ids: vec![mail.id], error });
                    }
                },
                StoreRequest::Fetch { serial, to, after } => {
                    let mails = self.fetch(*to, *after)?;
                    replies.push(StoreReply::Fetched { serial: *serial, mails });
                }
                StoreRequest::Delete { to, .. } | StoreRequest::DeleteAll { to }
                    if scope == BatchScope::ReadsOnly =>
                {
                    replies.push(deleted_reply(*to, (0, 0)));
                }
                StoreRequest::Delete { to, ids } => {
                    replies.push(deleted_reply(*to, self.delete(*to, ids)?));
                }
                StoreRequest::DeleteAll { to } => {
                    replies.push(deleted_reply(*to, self.delete_all(*to)?));
                }
                StoreRequest::Expire { before, clock: shown } => {
                    if scope != BatchScope::ReadsOnly {
                        clock = clock.max(*shown);
                        let deleted = self.expire(*before)?.into_iter();
                        replies.extend(deleted.map(|(to, tally)| deleted_reply(to, tally)));
                    }
                    replies.push(StoreReply::Expired { oldest: self.oldest()? });
                }
            }
        }
        if (next_id, clock) != (self.next_id, self.clock) {
            let mut write = self.connection.prepare_cached(WRITE_STATE)?;
            write.execute((next_id.cast_signed(), to_nanos(clock)))?;
        }
        self.check_not_moved()?;
        transaction.commit()?;
        (self.next_id, self.clock) = (next_id, clock);
        Ok(replies)
    }

    /// Keeping in a file that has lost its name would be keeping for nobody.
    fn check_not_moved(&self) -> Result<(), Error> {
        let mut moved = 0;
        self.connection.file_control(Some(c"main"), FileControl::HasMoved(&mut moved))?;
        if moved == 0 {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY_DBMOVED);
        Err(Error::SqliteFailure(code, Some("the file was moved or deleted".to_owned())))
    }

    /// Moves what can be moved of the log into the file. If there is no room, the rest waits.
    fn checkpoint(&self) -> Result<(), Error> {
        match self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
            Err(error) if !is_transient(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn append(&self, mail: &Mail) -> Result<(), Error> {
        let id = mail.id.0.cast_signed();
        self.connection.prepare_cached(APPEND)?.execute((
            id,
            mail.to.0,
            mail.from.0,
            to_nanos(mail.appended_at),
            &*mail.text,
        ))?;
        Ok(())
    }

    fn fetch(&self, to: WideId, after: MailId) -> Result<Vec<Mail>, Error> {
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let mut collect = self.connection.prepare_cached(FETCH)?;
        let mut rows = collect.query((to.0, after))?;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let mail = Mail {
                id: MailId(row.get::<_, i64>(0)?.cast_unsigned()),
                to: WideId(row.get(1)?),
                from: WideId(row.get(2)?),
                appended_at: from_nanos(row.get(3)?),
                text: row.get_ref(4)?.as_blob()?.into(),
            };
            if !push_within_limit(&mut batch, &mut bytes, mail) {
                break;
            }
        }
        Ok(batch)
    }

    fn delete(&self, to: WideId, ids: &[MailId]) -> Result<(u64, u64), Error> {
        let mut statement = self.connection.prepare_cached(DELETE)?;
        let mut deleted = (0, 0);
        for id in ids {
            // An id that is no number here is of no message.
            let Ok(id) = i64::try_from(id.0) else { continue };
            if let Some(length) = statement.query_row((id, to.0), |row| row.get(0)).optional()? {
                add_message(&mut deleted, length);
            }
        }
        Ok(deleted)
    }

    fn delete_all(&self, to: WideId) -> Result<(u64, u64), Error> {
        let mut deleted = (0, 0);
        let mut lengths = self.connection.prepare_cached(LENGTHS)?;
        for length in lengths.query_map((to.0,), |row| row.get(0))? {
            add_message(&mut deleted, length?);
        }
        self.connection.prepare_cached(DELETE_ALL)?.execute((to.0,))?;
        Ok(deleted)
    }

    fn expire(&self, before: Duration) -> Result<Tally, Error> {
        let mut first_young = self.connection.prepare_cached(FIRST_UNEXPIRED)?;
        let first_kept_id =
            first_young.query_row((to_nanos(before),), |row| row.get(0)).optional()?;
        let first_kept_id = first_kept_id.unwrap_or(i64::MAX);
        let deleted = self.tally(first_kept_id)?;
        if !deleted.is_empty() {
            self.connection.prepare_cached(DELETE_BEFORE)?.execute((first_kept_id,))?;
        }
        Ok(deleted)
    }

    fn oldest(&self) -> Result<Option<Duration>, Error> {
        let mut oldest = self.connection.prepare_cached(OLDEST)?;
        Ok(oldest.query_row((), |row| row.get(0)).optional()?.map(from_nanos))
    }

    /// What there is with smaller ids than this.
    fn tally(&self, before: i64) -> Result<Tally, Error> {
        let mut tally = Tally::new();
        let mut lengths = self.connection.prepare_cached(LENGTHS_BEFORE)?;
        let mut rows = lengths.query((before,))?;
        while let Some(row) = rows.next()? {
            add_message(tally.entry(WideId(row.get(0)?)).or_default(), row.get(1)?);
        }
        Ok(tally)
    }
}

/// Whether the database is as good after this error as before: there was no room. Anything else may
/// mean that it is not.
fn is_transient(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory))
}

fn deleted_reply(to: WideId, (messages, bytes): (u64, u64)) -> StoreReply {
    StoreReply::Deleted { to, messages, bytes }
}

fn add_message((messages, bytes): &mut (u64, u64), length: i64) {
    *messages += 1;
    *bytes += length.cast_unsigned() + MAIL_OVERHEAD_BYTES as u64;
}

fn to_nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn from_nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0).cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn open(folder: &Path) -> Store {
        super::super::file::open(&folder.join("mail")).expect("a mailbox").0
    }

    fn append(id: u64, to: i64, length: usize) -> StoreRequest {
        let (to, from, text) = (WideId(to), WideId(1), vec![b'x'; length].into());
        StoreRequest::Append(Mail {
            id: MailId(id),
            to,
            from,
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
        assert_eq!(ids(mails), [1], "what is not kept is not collected");
        assert_eq!(replies[0], append_failed(&[3, 4], full));
        assert_eq!(
            replies[2..4],
            [deleted_reply(WideId(7), (1, 9064)), deleted_reply(WideId(7), (0, 0))]
        );
        assert_eq!(replies[4], append_failed(&[5], full));
        let expired = [deleted_reply(WideId(8), (1, 69)), StoreReply::Expired { oldest: None }];
        assert_eq!(replies[5..], expired);
        // There is room again where the first message was.
        assert_eq!(store.run_batch(&[append(6, 7, 9000)]), Ok(vec![appended(&[6])]));
        store.close();
        assert_eq!(ids(&open(folder.path()).fetch(WideId(7), MailId(0)).expect("read")), [6]);
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
        let none_deleted = deleted_reply(WideId(7), (0, 0));
        assert_eq!(replies[..3], [append_failed(&[3], "full"), none_deleted.clone(), none_deleted]);
        assert_eq!(replies[3], StoreReply::Expired { oldest: Some(Duration::from_secs(1)) });
        let StoreReply::Fetched { serial: 1, mails } = &replies[4] else { panic!("{replies:?}") };
        assert_eq!(ids(mails), [1, 2]);
    }
}
