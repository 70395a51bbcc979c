//! Finds, checks and creates the file of a mailbox.
//!
//! Every refusal names the problem and its remedy. Invariants: a refused file is unchanged to the
//! byte. A damaged, foreign or misplaced file is never taken for an empty mailbox. An unfinished
//! file never has the mailbox's name.
//!
//! The write-ahead log has the name of the file and `-wal`. The two belong together and must be
//! moved together.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};

use super::queries;
use super::schema::{
    ADD_DATES, APPLICATION_ID, PAGE_BYTES, SCHEMA_VERSION, TABLES, UNDATED_TABLE, UNDATED_VERSION,
};
use super::store::Store;
use crate::limits::{MAIL_CACHE_BYTES, MAIL_WAL_BYTES_MAX};
use crate::mail::Inventory;

/// Permissions of the file: private messages are in it.
const FILE_MODE: u32 = 0o600;

/// Opens the mailbox at `path`, or creates it.
pub(super) fn open(path: &Path) -> Result<(Store, Inventory), String> {
    open_or_create(path).map_err(|error| format!("the mailbox {}: {error}", path.display()))
}

fn open_or_create(path: &Path) -> Result<(Store, Inventory), String> {
    if is_missing(path)? {
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        create_empty(&path)?;
    }
    // SQLite names the log after the file, not after a symbolic link to it.
    let path = fs::canonicalize(path).map_err(|error| error.to_string())?;
    check_header(&path)?;
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE);
    let connection = connection.map_err(|error| describe_error(&path, &error))?;
    let version = check_integrity(&connection, &path)?;
    configure(&connection).map_err(|error| describe_error(&path, &error))?;
    if version == UNDATED_VERSION {
        upgrade(&connection).map_err(|error| describe_error(&path, &error))?;
    }
    Store::new(connection).map_err(|error| describe_error(&path, &error))
}

fn open_error(problem: impl Display, remedy: impl Display) -> String {
    format!("{problem}. Nothing was changed. {remedy}.")
}

fn is_missing(path: &Path) -> Result<bool, String> {
    match fs::metadata(path) {
        Ok(_) => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(permission_error(&error)),
    }
    if fs::symlink_metadata(path).is_ok() {
        let remedy = "Restore what it points to, or remove the link";
        return Err(open_error("it is a link to a file that is missing", remedy));
    }
    for suffix in ["-wal", "-journal"] {
        let log_path = with_suffix(path, suffix);
        if fs::metadata(&log_path).is_ok_and(|log| log.len() > 0) {
            return Err(open_error(
                format_args!("it is missing, but its log {} is there", log_path.display()),
                "Put the mailbox back beside its log, or move the log away to begin with an empty mailbox",
            ));
        }
    }
    Ok(true)
}

/// Checks the header of the file without SQLite, which would start to recover a foreign database.
fn check_header(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| permission_error(&error))?;
    if !metadata.is_file() {
        let kind = if metadata.is_dir() { "a folder" } else { "no file" };
        return Err(open_error(format_args!("it is {kind}"), "Name a file for the mailbox"));
    }
    if metadata.len() == 0 {
        let remedy = "If it never was a mailbox, delete it; otherwise restore it from a copy";
        return Err(open_error("it is empty, which no mailbox is", remedy));
    }
    let mut header = Vec::new();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| permission_error(&error))?;
    file.take(100).read_to_end(&mut header).map_err(|error| open_error(error, "Check the disk"))?;
    let read_i32 = |at| {
        let bytes: Option<&[u8; 4]> = header.get(at..).and_then(<[u8]>::first_chunk);
        bytes.copied().map(i32::from_be_bytes)
    };
    if !header.starts_with(b"SQLite format 3\0") || read_i32(68) != Some(APPLICATION_ID) {
        let remedy = "Name another file, or move this one away or restore it from a copy";
        return Err(open_error("it is something else, or its beginning is damaged", remedy));
    }
    match read_i32(60) {
        Some(SCHEMA_VERSION | UNDATED_VERSION) => Ok(()),
        Some(version) if version > SCHEMA_VERSION => Err(open_error(
            format_args!(
                "it is from a newer version (format {version}, this one knows {SCHEMA_VERSION})"
            ),
            "Start the newer version, or name another file",
        )),
        _ => Err(damage_error(path, "its format number is wrong")),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    // Closing the file before it is checked must not move the log.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", (), |_| Ok(()))?;
    Ok(connection)
}

/// Checks the whole file. Returns the version of its tables, as its log has it.
fn check_integrity(connection: &Connection, path: &Path) -> Result<i32, String> {
    let version = || connection.query_row("PRAGMA user_version", (), |row| row.get(0));
    let version = version().map_err(|error| describe_error(path, &error))?;
    let check = || {
        let verdict: String =
            connection.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
        if verdict != "ok" {
            return Ok(Some(verdict));
        }
        let mut tables = connection.prepare(
            "SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
        )?;
        let tables: Vec<String> =
            tables.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut expected = TABLES;
        if version == UNDATED_VERSION {
            expected[0] = UNDATED_TABLE;
        }
        if tables != expected {
            return Ok(Some("it has other tables than a mailbox".to_owned()));
        }
        let is_consistent = queries::is_consistent(connection)?;
        Ok((!is_consistent).then(|| "its next id or its clock is behind its messages".to_owned()))
    };
    match check() {
        Ok(None) => Ok(version),
        Ok(Some(problem)) => Err(damage_error(path, &problem)),
        Err(error) => Err(describe_error(path, &error)),
    }
}

/// Sets the modes of a checked file. The first write to it.
fn configure(connection: &Connection) -> Result<(), Error> {
    // A copy made with `VACUUM INTO` has no log yet.
    connection.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A checkpoint within a commit would report its own failure as one of the commit.
    connection.query_row("PRAGMA wal_autocheckpoint = 0", (), |_| Ok(()))?;
    // The log keeps its size, so that deletions have space when the disk is full.
    let log_bytes = format!("PRAGMA journal_size_limit = {MAIL_WAL_BYTES_MAX}");
    connection.query_row(&log_bytes, (), |_| Ok(()))?;
    // A negative size is in KiB instead of pages.
    let cache_kib = i64::try_from(MAIL_CACHE_BYTES / 1024).unwrap_or(i64::MAX);
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    // Deleted messages are overwritten where that costs no further write.
    connection.query_row("PRAGMA secure_delete = FAST", (), |_| Ok(()))?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// Upgrades a mailbox of an earlier version. A crash leaves either version.
fn upgrade(connection: &Connection) -> Result<(), Error> {
    let upgraded = connection.execute_batch(ADD_DATES);
    if upgraded.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    upgraded
}

/// Creates an empty mailbox, under another name until all of it is on disk.
fn create_empty(path: &Path) -> Result<(), String> {
    let dir = path.parent().ok_or("it has no name")?;
    let create_error = |error: io::Error| {
        let remedy = format!("Let the server's user write to {}", dir.display());
        open_error(format_args!("it cannot be made: {error}"), remedy)
    };
    let dir_handle = File::open(dir).map_err(|error| match error.kind() {
        ErrorKind::NotFound => open_error(
            format_args!("there is no folder {}", dir.display()),
            "Make the folder, or name another file",
        ),
        _ => create_error(error),
    })?;
    // Keeps two servers that start at once from creating the file twice. Some file systems cannot
    // lock a folder: the error is ignored.
    let _ = dir_handle.lock();
    if path.exists() {
        return Ok(());
    }
    let temp_path = with_suffix(path, ".new");
    match fs::remove_file(&temp_path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(create_error(error)),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&temp_path);
    let file = file.map_err(create_error)?;
    write_schema(&temp_path).map_err(|error| create_error(io::Error::other(error)))?;
    file.sync_all().map_err(create_error)?;
    fs::rename(&temp_path, path).map_err(create_error)?;
    dir_handle.sync_all().map_err(create_error)
}

fn write_schema(path: &Path) -> Result<(), Error> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // An unfinished file is discarded, so no rollback is needed.
    connection.query_row("PRAGMA journal_mode = OFF", (), |_| Ok(()))?;
    connection.pragma_update(None, "page_size", PAGE_BYTES.cast_signed())?;
    let mut sql = format!(
        "BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    );
    for table in TABLES {
        sql.push_str(table);
        sql.push(';');
    }
    sql.push_str("INSERT INTO state (one, next_id, clock) VALUES (1, 1, 0); COMMIT");
    connection.execute_batch(&sql)?;
    connection.close().map_err(|(_, error)| error)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn permission_error(error: &io::Error) -> String {
    let remedy = "Let the server's user read and write it, and its folder";
    open_error(format_args!("it cannot be opened: {error}"), remedy)
}

fn damage_error(path: &Path, cause: &str) -> String {
    open_error(
        format_args!("it is damaged ({cause})"),
        format_args!(
            "Restore it from a copy, or move it and {0}-wal away to begin with an empty mailbox; \
             `sqlite3 {0} .recover` shows what can be read",
            path.display()
        ),
    )
}

fn describe_error(path: &Path, error: &Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy) => {
            let remedy = "Stop the other server, or name another file";
            open_error("it is in use by another server", remedy)
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damage_error(path, &error.to_string())
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            permission_error(&io::Error::other(error.to_string()))
        }
        Some(_) => open_error(error, "Check the disk"),
        // A value of another type than the schema allows.
        None => damage_error(path, &error.to_string()),
    }
}
