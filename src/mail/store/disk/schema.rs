//! The tables of a mailbox file, and every SQL statement on them.
//!
//! A change of the tables needs another [`SCHEMA_VERSION`]. A file whose tables are not exactly
//! these is refused.

/// `PRAGMA application_id` of a mailbox: "crcm".
pub(super) const APPLICATION_ID: i32 = 0x6372_636d;

/// `PRAGMA user_version`: the version of [`TABLES`].
pub(super) const SCHEMA_VERSION: i32 = 2;

/// The version without the nicks of senders and the times of sending, which is read and upgraded.
pub(super) const UNDATED_VERSION: i32 = 1;

/// The table of messages of [`UNDATED_VERSION`]. The others are as in [`TABLES`].
pub(super) const UNDATED_TABLE: &str = "CREATE TABLE mail (id INTEGER PRIMARY KEY, addressee INTEGER NOT NULL, \
     sender INTEGER NOT NULL, kept_at INTEGER NOT NULL, text BLOB NOT NULL) STRICT";

/// Upgrades a file of [`UNDATED_VERSION`]: the result is [`TABLES`].
pub(super) const ADD_DATES: &str = "BEGIN IMMEDIATE; \
     ALTER TABLE mail ADD COLUMN sender_nick BLOB NOT NULL DEFAULT x''; \
     ALTER TABLE mail ADD COLUMN sent_at_ms INTEGER NOT NULL DEFAULT 0; \
     PRAGMA user_version = 2; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)";

/// The tables and the index, sorted by name.
///
/// Rows of `mail` are in the order of appending, so appends go to the end and expiry deletes from
/// the front. The index maps an addressee to its ids in order. `state` has one row, which outlives
/// the messages: ids are never reused, and the mailbox clock never goes back.
pub(super) const TABLES: [&str; 3] = [
    "CREATE TABLE mail (id INTEGER PRIMARY KEY, addressee INTEGER NOT NULL, \
     sender INTEGER NOT NULL, kept_at INTEGER NOT NULL, text BLOB NOT NULL, \
     sender_nick BLOB NOT NULL DEFAULT x'', sent_at_ms INTEGER NOT NULL DEFAULT 0) STRICT",
    "CREATE INDEX mail_by_addressee ON mail (addressee)",
    "CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), next_id INTEGER NOT NULL, \
     clock INTEGER NOT NULL) STRICT",
];

pub(super) const READ_STATE: &str = "SELECT next_id, clock FROM state WHERE one = 1";
pub(super) const WRITE_STATE: &str = "UPDATE state SET next_id = ?1, clock = ?2 WHERE one = 1";
pub(super) const APPEND: &str = "INSERT INTO mail (id, addressee, sender, kept_at, text, sender_nick, sent_at_ms) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const FETCH: &str =
    "SELECT id, addressee, sender, kept_at, text, sender_nick, sent_at_ms FROM mail
    WHERE addressee = ?1 AND id > ?2 ORDER BY id";
pub(super) const DELETE: &str = "DELETE FROM mail WHERE id = ?1 AND addressee = ?2 RETURNING length(text) + length(sender_nick)";
pub(super) const LENGTHS: &str =
    "SELECT length(text) + length(sender_nick) FROM mail WHERE addressee = ?1";
pub(super) const DELETE_ALL: &str = "DELETE FROM mail WHERE addressee = ?1";
pub(super) const OLDEST: &str = "SELECT kept_at FROM mail ORDER BY id LIMIT 1";
pub(super) const NEWEST: &str = "SELECT id, kept_at FROM mail ORDER BY id DESC LIMIT 1";
/// Reads only expired rows and one more.
pub(super) const FIRST_UNEXPIRED: &str =
    "SELECT id FROM mail WHERE kept_at >= ?1 ORDER BY id LIMIT 1";
/// Bypasses the index, which would read the rows in random order.
pub(super) const LENGTHS_BEFORE: &str =
    "SELECT addressee, length(text) + length(sender_nick) FROM mail NOT INDEXED WHERE id < ?1";
pub(super) const DELETE_BEFORE: &str = "DELETE FROM mail NOT INDEXED WHERE id < ?1";

/// Size of a page in bytes. The length of the log is counted in pages.
pub(super) const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn mailbox_queries_use_an_index() {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(&TABLES.join(";")).expect("tables");
        let plan = |sql: &str| {
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
            for index in 1..=plan.parameter_count() {
                plan.raw_bind_parameter(index, 1).expect("bound");
            }
            let mut steps = plan.raw_query();
            let mut details = String::new();
            while let Some(step) = steps.next().expect("a step") {
                details.push_str(&step.get::<_, String>(3).expect("text"));
            }
            details
        };
        for sql in [FETCH, LENGTHS, DELETE_ALL] {
            let plan = plan(sql);
            assert!(plan.contains("INDEX mail_by_addressee (addressee=?"), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
        for sql in [DELETE, LENGTHS_BEFORE, DELETE_BEFORE] {
            assert!(plan(sql).contains("INTEGER PRIMARY KEY (rowid"), "{sql}: {}", plan(sql));
        }
        for sql in [OLDEST, NEWEST, FIRST_UNEXPIRED] {
            assert!(!plan(sql).contains("TEMP B-TREE"), "{sql}: {}", plan(sql));
        }
    }
}
