//! The queries of a mailbox file, as functions of its connection.
//!
//! Times are stored in nanoseconds, up to 292 years.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, Error, OptionalExtension as _, Row};

use super::schema::{
    APPEND, DELETE, DELETE_ALL, DELETE_BEFORE, FETCH, FIRST_UNEXPIRED, LENGTHS, LENGTHS_BEFORE,
    NEWEST, OLDEST, READ_STATE, WRITE_STATE,
};
use crate::id::WideId;
use crate::limits::MAIL_OVERHEAD_BYTES;
use crate::mail::store::push_within_limit;
use crate::mail::{Mail, MailId};

/// Number of messages and sum of their [`Mail::bytes`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

impl Totals {
    /// Adds a message whose text and nick have this length in bytes.
    fn add(&mut self, text_bytes: i64) {
        self.messages += 1;
        self.bytes += text_bytes.cast_unsigned() + MAIL_OVERHEAD_BYTES as u64;
    }
}

/// Totals per addressee.
pub(super) type TotalsByAddressee = BTreeMap<WideId, Totals>;

/// Returns the next id and the mailbox clock.
pub(super) fn read_state(connection: &Connection) -> Result<(u64, Duration), Error> {
    connection.query_row(READ_STATE, (), |row| {
        Ok((row.get::<_, i64>(0)?.cast_unsigned(), from_nanos(row.get(1)?)))
    })
}

/// Sets the next id and the mailbox clock.
pub(super) fn write_state(
    connection: &Connection,
    next_id: u64,
    clock: Duration,
) -> Result<(), Error> {
    let mut write = connection.prepare_cached(WRITE_STATE)?;
    write.execute((next_id.cast_signed(), to_nanos(clock)))?;
    Ok(())
}

/// Returns whether the next id and the clock are ahead of every message.
pub(super) fn is_consistent(connection: &Connection) -> Result<bool, Error> {
    let read_pair = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let state = connection.query_row(READ_STATE, (), read_pair).optional()?;
    let newest = connection.query_row(NEWEST, (), read_pair).optional()?;
    Ok(match (state, newest) {
        (Some((next_id, clock)), Some((id, appended_at))) => next_id > id && clock >= appended_at,
        (Some((next_id, clock)), None) => next_id > 0 && clock >= 0,
        (None, _) => false,
    })
}

/// Inserts a message.
pub(super) fn append(connection: &Connection, mail: &Mail) -> Result<(), Error> {
    let (id, appended_at) = (mail.id.0.cast_signed(), to_nanos(mail.appended_at));
    let sent_at_ms = mail.sent_at_ms.cast_signed();
    let (text, nick) = (&*mail.text, &*mail.from_nick);
    let row = (id, mail.to.0, mail.from.0, appended_at, text, nick, sent_at_ms);
    connection.prepare_cached(APPEND)?.execute(row)?;
    Ok(())
}

/// Returns the oldest mail of an addressee with larger ids than `after`, one batch of it.
pub(super) fn fetch(
    connection: &Connection,
    to: WideId,
    after: MailId,
) -> Result<Vec<Mail>, Error> {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let mut fetch = connection.prepare_cached(FETCH)?;
    let mut rows = fetch.query((to.0, after))?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let mail = Mail {
            id: MailId(row.get::<_, i64>(0)?.cast_unsigned()),
            to: WideId(row.get(1)?),
            from: WideId(row.get(2)?),
            appended_at: from_nanos(row.get(3)?),
            text: row.get_ref(4)?.as_blob()?.into(),
            from_nick: row.get_ref(5)?.as_blob()?.into(),
            sent_at_ms: row.get::<_, i64>(6)?.cast_unsigned(),
        };
        if !push_within_limit(&mut batch, &mut bytes, mail) {
            break;
        }
    }
    Ok(batch)
}

/// Deletes messages of an addressee. Returns the totals of those that existed.
pub(super) fn delete(connection: &Connection, to: WideId, ids: &[MailId]) -> Result<Totals, Error> {
    let mut statement = connection.prepare_cached(DELETE)?;
    let mut deleted = Totals::default();
    for id in ids {
        // An id beyond the range of SQLite's integers belongs to no message.
        let Ok(id) = i64::try_from(id.0) else { continue };
        if let Some(text_bytes) = statement.query_row((id, to.0), |row| row.get(0)).optional()? {
            deleted.add(text_bytes);
        }
    }
    Ok(deleted)
}

/// Deletes all mail of an addressee. Returns its totals.
pub(super) fn delete_all(connection: &Connection, to: WideId) -> Result<Totals, Error> {
    let mut deleted = Totals::default();
    let mut lengths = connection.prepare_cached(LENGTHS)?;
    for text_bytes in lengths.query_map((to.0,), |row| row.get(0))? {
        deleted.add(text_bytes?);
    }
    connection.prepare_cached(DELETE_ALL)?.execute((to.0,))?;
    Ok(deleted)
}

/// Deletes the mail that was appended before a time. Returns its totals.
pub(super) fn expire(
    connection: &Connection,
    before: Duration,
) -> Result<TotalsByAddressee, Error> {
    let mut first_unexpired = connection.prepare_cached(FIRST_UNEXPIRED)?;
    let first_kept_id =
        first_unexpired.query_row((to_nanos(before),), |row| row.get(0)).optional()?;
    let first_kept_id = first_kept_id.unwrap_or(i64::MAX);
    let deleted = totals(connection, first_kept_id)?;
    if !deleted.is_empty() {
        connection.prepare_cached(DELETE_BEFORE)?.execute((first_kept_id,))?;
    }
    Ok(deleted)
}

/// Returns when the oldest message was appended.
pub(super) fn oldest(connection: &Connection) -> Result<Option<Duration>, Error> {
    let mut oldest = connection.prepare_cached(OLDEST)?;
    Ok(oldest.query_row((), |row| row.get(0)).optional()?.map(from_nanos))
}

/// Returns the totals of all messages with smaller ids than `before_id`.
pub(super) fn totals(connection: &Connection, before_id: i64) -> Result<TotalsByAddressee, Error> {
    let mut totals = TotalsByAddressee::new();
    let mut lengths = connection.prepare_cached(LENGTHS_BEFORE)?;
    let mut rows = lengths.query((before_id,))?;
    while let Some(row) = rows.next()? {
        totals.entry(WideId(row.get(0)?)).or_default().add(row.get(1)?);
    }
    Ok(totals)
}

fn to_nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn from_nanos(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0).cast_unsigned())
}
