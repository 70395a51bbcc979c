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
    COLLECT, COUNT, COUNT_BEFORE, DROP, EXPIRE, FIRST_YOUNG, FORGET, KEEP, NEWEST, OLDEST,
    PAGE_BYTES, READ_STATE, WRITE_STATE,
};
use crate::limits::{MAIL_BYTES, MAIL_LOG_BYTES};
use crate::mail::{Inventory, Mail, MailId, Reply, Request};
use crate::mailbox::{misplaced, take};
use crate::relay::message::WideId;

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
enum Part {
    All,
    NoKeeps,
    OnlyReads,
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
        let counts = |(to, (messages, bytes))| (to, messages, bytes);
        let waiting = store.tally(i64::MAX)?.into_iter().map(counts).collect();
        let inventory = Inventory { next_id, clock, oldest: store.oldest()?, waiting };
        Ok((store, inventory))
    }

    /// Whether state and messages can belong together.
    pub(super) fn fits_together(connection: &Connection) -> Result<bool, Error> {
        let pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        let state = connection.query_row(READ_STATE, (), pair).optional()?;
        let newest = connection.query_row(NEWEST, (), pair).optional()?;
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
    pub(super) fn round(&mut self, requests: &[Request]) -> Result<Vec<Reply>, String> {
        let mut done = self.transaction(requests, Part::All, "");
        if let Err(error) = &done
            && is_passing(error)
        {
            let full = error.to_string();
            // Removing writes to the log before it makes room, and this makes room in the log.
            self.move_log().map_err(|error| error.to_string())?;
            done = self.transaction(requests, Part::NoKeeps, &full);
            if done.as_ref().is_err_and(is_passing) {
                done = self.transaction(requests, Part::OnlyReads, &full);
            }
        }
        done.map_err(|error| error.to_string())
    }

    /// Moves the log into the file when it is long. What stands in it is on the disk already, so this
    /// can wait until the answers are given.
    ///
    /// # Errors
    /// After an error the mailbox cannot be used any more.
    pub(super) fn tidy(&self) -> Result<(), String> {
        let waiting = self.connection.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| {
            Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
        });
        let waiting = waiting.map_err(|error| error.to_string())?;
        if waiting.cast_unsigned() * PAGE_BYTES > MAIL_LOG_BYTES {
            self.move_log().map_err(|error| error.to_string())?;
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
        let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.connection.set_db_config(keep_log, true) {
            log::warn!("the log of the mailbox may not be left as it is: {error}");
        }
    }

    fn transaction(
        &mut self,
        requests: &[Request],
        part: Part,
        full: &str,
    ) -> Result<Vec<Reply>, Error> {
        // Rolled back where it is not committed.
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred)?;
        let (mut next_id, mut clock) = (self.next_id, self.clock);
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            match request {
                Request::Keep(mail) if part == Part::All => {
                    if let Some(error) = misplaced(mail.id, next_id) {
                        replies.push(Reply::NotKept { ids: vec![mail.id], error });
                        continue;
                    }
                    self.keep(mail)?;
                    next_id = mail.id.0 + 1;
                    clock = clock.max(mail.kept_at);
                    match replies.last_mut() {
                        Some(Reply::Kept(ids)) => ids.push(mail.id),
                        _ => replies.push(Reply::Kept(vec![mail.id])),
                    }
                }
                Request::Keep(mail) => match replies.last_mut() {
                    Some(Reply::NotKept { ids, .. }) => ids.push(mail.id),
                    _ => {
                        let error = full.to_owned();
                        replies.push(Reply::NotKept { ids: vec![mail.id], error });
                    }
                },
                Request::Collect { serial, to, after } => {
                    let mails = self.collect(*to, *after)?;
                    replies.push(Reply::Collected { serial: *serial, mails });
                }
                Request::Forget { to, .. } | Request::Drop { to } if part == Part::OnlyReads => {
                    replies.push(removed(*to, (0, 0)));
                }
                Request::Forget { to, ids } => replies.push(removed(*to, self.forget(*to, ids)?)),
                Request::Drop { to } => replies.push(removed(*to, self.drop_all(*to)?)),
                Request::Expire { before, clock: shown } => {
                    if part != Part::OnlyReads {
                        clock = clock.max(*shown);
                        let gone = self.expire(*before)?.into_iter();
                        replies.extend(gone.map(|(to, tally)| removed(to, tally)));
                    }
                    replies.push(Reply::Expired { oldest: self.oldest()? });
                }
            }
        }
        if (next_id, clock) != (self.next_id, self.clock) {
            let mut write = self.connection.prepare_cached(WRITE_STATE)?;
            write.execute((next_id.cast_signed(), nanos(clock)))?;
        }
        self.still_there()?;
        transaction.commit()?;
        (self.next_id, self.clock) = (next_id, clock);
        Ok(replies)
    }

    /// Keeping in a file that has lost its name would be keeping for nobody.
    fn still_there(&self) -> Result<(), Error> {
        let mut moved = 0;
        self.connection.file_control(Some(c"main"), FileControl::HasMoved(&mut moved))?;
        if moved == 0 {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY_DBMOVED);
        Err(Error::SqliteFailure(code, Some("the file was moved or deleted".to_owned())))
    }

    /// Moves what can be moved of the log into the file. If there is no room, the rest waits.
    fn move_log(&self) -> Result<(), Error> {
        match self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |_| Ok(())) {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn keep(&self, mail: &Mail) -> Result<(), Error> {
        let id = mail.id.0.cast_signed();
        self.connection.prepare_cached(KEEP)?.execute((
            id,
            mail.to.0,
            mail.from.0,
            nanos(mail.kept_at),
            &*mail.text,
        ))?;
        Ok(())
    }

    fn collect(&self, to: WideId, after: MailId) -> Result<Vec<Mail>, Error> {
        let after = i64::try_from(after.0).unwrap_or(i64::MAX);
        let mut collect = self.connection.prepare_cached(COLLECT)?;
        let mut rows = collect.query((to.0, after))?;
        let (mut portion, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let mail = Mail {
                id: MailId(row.get::<_, i64>(0)?.cast_unsigned()),
                to: WideId(row.get(1)?),
                from: WideId(row.get(2)?),
                kept_at: from_nanos(row.get(3)?),
                text: row.get_ref(4)?.as_blob()?.into(),
            };
            if !take(&mut portion, &mut bytes, mail) {
                break;
            }
        }
        Ok(portion)
    }

    fn forget(&self, to: WideId, ids: &[MailId]) -> Result<(u64, u64), Error> {
        let mut forget = self.connection.prepare_cached(FORGET)?;
        let mut gone = (0, 0);
        for id in ids {
            // An id that is no number here is of no message.
            let Ok(id) = i64::try_from(id.0) else { continue };
            if let Some(length) = forget.query_row((id, to.0), |row| row.get(0)).optional()? {
                count(&mut gone, length);
            }
        }
        Ok(gone)
    }

    fn drop_all(&self, to: WideId) -> Result<(u64, u64), Error> {
        let mut gone = (0, 0);
        let mut lengths = self.connection.prepare_cached(COUNT)?;
        for length in lengths.query_map((to.0,), |row| row.get(0))? {
            count(&mut gone, length?);
        }
        self.connection.prepare_cached(DROP)?.execute((to.0,))?;
        Ok(gone)
    }

    fn expire(&self, before: Duration) -> Result<Tally, Error> {
        let mut first_young = self.connection.prepare_cached(FIRST_YOUNG)?;
        let young = first_young.query_row((nanos(before),), |row| row.get(0)).optional()?;
        let young = young.unwrap_or(i64::MAX);
        let gone = self.tally(young)?;
        if !gone.is_empty() {
            self.connection.prepare_cached(EXPIRE)?.execute((young,))?;
        }
        Ok(gone)
    }

    fn oldest(&self) -> Result<Option<Duration>, Error> {
        let mut oldest = self.connection.prepare_cached(OLDEST)?;
        Ok(oldest.query_row((), |row| row.get(0)).optional()?.map(from_nanos))
    }

    /// What there is with smaller ids than this.
    fn tally(&self, before: i64) -> Result<Tally, Error> {
        let mut tally = Tally::new();
        let mut lengths = self.connection.prepare_cached(COUNT_BEFORE)?;
        let mut rows = lengths.query((before,))?;
        while let Some(row) = rows.next()? {
            count(tally.entry(WideId(row.get(0)?)).or_default(), row.get(1)?);
        }
        Ok(tally)
    }
}

/// Whether the database is as good after this error as before: there was no room. Anything else may
/// mean that it is not.
fn is_passing(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory))
}

fn removed(to: WideId, (messages, bytes): (u64, u64)) -> Reply {
    Reply::Removed { to, messages, bytes }
}

fn count((messages, bytes): &mut (u64, u64), length: i64) {
    *messages += 1;
    *bytes += length.cast_unsigned() + MAIL_BYTES as u64;
}

fn nanos(time: Duration) -> i64 {
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

    fn keep(id: u64, to: i64, length: usize) -> Request {
        let (to, from, text) = (WideId(to), WideId(1), vec![b'x'; length].into());
        Request::Keep(Mail { id: MailId(id), to, from, kept_at: Duration::from_secs(id), text })
    }

    fn number(store: &Store, pragma: &str) -> i64 {
        let sql = format!("PRAGMA {pragma}");
        store.connection.query_row(&sql, (), |row| row.get(0)).expect("a number")
    }

    fn kept(ids: &[u64]) -> Reply {
        Reply::Kept(ids.iter().copied().map(MailId).collect())
    }

    fn not_kept(ids: &[u64], error: &str) -> Reply {
        Reply::NotKept { ids: ids.iter().copied().map(MailId).collect(), error: error.to_owned() }
    }

    fn ids(mails: &[Mail]) -> Vec<u64> {
        mails.iter().map(|mail| mail.id.0).collect()
    }

    #[test]
    fn commits_wait_for_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path());
        assert_eq!(number(&store, "synchronous"), 2);
        let mode = |row: &Row<'_>| row.get::<_, String>(0);
        let mode = store.connection.query_row("PRAGMA journal_mode", (), mode).expect("a mode");
        assert_eq!(mode, "wal");
        assert_eq!(number(&store, "wal_autocheckpoint"), 0);
    }

    #[test]
    fn a_full_file_refuses_what_is_to_be_kept_and_does_the_rest() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        assert_eq!(store.round(&[keep(1, 7, 9000), keep(2, 8, 5)]), Ok(vec![kept(&[1, 2])]));
        number(&store, &format!("max_page_count = {}", number(&store, "page_count") + 2));
        let requests = [
            keep(3, 7, 5),
            keep(4, 7, 100_000),
            Request::Collect { serial: 1, to: WideId(7), after: MailId(0) },
            Request::Forget { to: WideId(7), ids: vec![MailId(1)] },
            Request::Drop { to: WideId(7) },
            keep(5, 7, 5),
            Request::Expire { before: Duration::from_secs(3), clock: Duration::ZERO },
        ];
        let full = "database or disk is full";
        let replies = store.round(&requests).expect("still usable");
        let Reply::Collected { serial: 1, mails } = &replies[1] else { panic!("{replies:?}") };
        assert_eq!(ids(mails), [1], "what is not kept is not collected");
        assert_eq!(replies[0], not_kept(&[3, 4], full));
        assert_eq!(replies[2..4], [removed(WideId(7), (1, 9064)), removed(WideId(7), (0, 0))]);
        assert_eq!(replies[4], not_kept(&[5], full));
        let expired = [removed(WideId(8), (1, 69)), Reply::Expired { oldest: None }];
        assert_eq!(replies[5..], expired);
        // There is room again where the first message was.
        assert_eq!(store.round(&[keep(6, 7, 9000)]), Ok(vec![kept(&[6])]));
        store.close();
        assert_eq!(ids(&open(folder.path()).collect(WideId(7), MailId(0)).expect("read")), [6]);
    }

    #[test]
    fn where_nothing_can_be_written_all_is_answered_and_nothing_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = open(folder.path());
        store.round(&[keep(1, 7, 5), keep(2, 7, 5)]).expect("kept");
        let requests = [
            keep(3, 7, 5),
            Request::Forget { to: WideId(7), ids: vec![MailId(1)] },
            Request::Drop { to: WideId(7) },
            Request::Expire { before: Duration::MAX, clock: Duration::ZERO },
            Request::Collect { serial: 1, to: WideId(7), after: MailId(0) },
        ];
        let replies = store.transaction(&requests, Part::OnlyReads, "full").expect("read");
        let nothing = removed(WideId(7), (0, 0));
        assert_eq!(replies[..3], [not_kept(&[3], "full"), nothing.clone(), nothing]);
        assert_eq!(replies[3], Reply::Expired { oldest: Some(Duration::from_secs(1)) });
        let Reply::Collected { serial: 1, mails } = &replies[4] else { panic!("{replies:?}") };
        assert_eq!(ids(mails), [1, 2]);
    }
}
