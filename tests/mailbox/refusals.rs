//! Files that are not an intact mailbox are refused, and unchanged to the byte.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crc::mail::store::Mailbox;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rusqlite::Connection;

use super::faults::ChildProcess;
use super::{TestMailbox, append, temp_dir, with_suffix};

/// An addressee that can be found in the bytes of a file.
const MARKER_ADDRESSEE: i64 = 0x1122_3344_5566_7788;

/// Returns the files of a folder with their content.
fn dir_contents(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| (path.clone(), fs::read(path).ok())).collect()
}

/// Checks that opening is refused with each of `parts` and the path, and that no file changes.
fn check_refused(path: &Path, parts: &[&str]) {
    let folder = path.parent().expect("a folder");
    let before = folder.is_dir().then(|| dir_contents(folder));
    let refusal = Mailbox::open(path, || ()).expect_err("refused");
    let mut after = folder.is_dir().then(|| dir_contents(folder));
    // SQLite creates an empty log when it looks for one.
    let log = with_suffix(path, "-wal");
    if let (Some(before), Some(after)) = (&before, &mut after)
        && !before.contains_key(&log)
        && after.get(&log) == Some(&Some(Vec::new()))
    {
        after.remove(&log);
    }
    assert!(before == after, "{refusal}: files were changed");
    for word in parts.iter().chain([&path.to_str().expect("text")]) {
        assert!(refusal.contains(word), "{word}: {refusal}");
    }
}

/// Creates a mailbox with some mail, and closes it cleanly.
fn create_mailbox(folder: &Path) -> PathBuf {
    let path = folder.join("mail");
    let mut opened = TestMailbox::open(&path);
    let mut appends: Vec<_> =
        (1..300).map(|id| append(id, (id % 20) as i64, &[b'x'; 100])).collect();
    appends.push(append(300, MARKER_ADDRESSEE, b"text"));
    appends.push(append(301, 7, &[b'y'; 20_000]));
    // The last page has messages of its own, and is no continuation of a long one.
    appends.extend((302..304).map(|id| append(id, 7, &[b'z'; 3000])));
    opened.round_trip(&appends);
    drop(opened);
    assert!(!with_suffix(&path, "-wal").exists());
    path
}

/// Checks that a mailbox changed by another program is refused.
fn check_altered_is_refused(sql: &str, parts: &[&str]) {
    let folder = temp_dir();
    let path = create_mailbox(folder.path());
    let connection = Connection::open(&path).expect("a database");
    connection.execute_batch(sql).expect("changed");
    connection.close().expect("closed");
    check_refused(&path, parts);
}

#[test]
fn foreign_file_is_refused_as_mailbox() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut rng = StdRng::seed_from_u64(1);
    let noise: Vec<u8> = (0..20_000).map(|_| rng.random()).collect();
    let sqlite_prefixed = [b"SQLite format 3\0".as_slice(), &noise].concat();
    for bytes in [b"a text\n".as_slice(), &noise, &sqlite_prefixed, &sqlite_prefixed[..40]] {
        fs::write(&path, bytes).expect("written");
        check_refused(&path, &["it is something else", "Name another file"]);
    }
    fs::write(&path, "").expect("written");
    check_refused(&path, &["it is empty", "restore it"]);
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    check_refused(&path, &["it is a folder", "Name a file"]);
    check_refused(&folder.path().join("no/mail"), &["there is no folder", "Make the folder"]);
    let text = folder.path().join("text");
    fs::write(&text, "text").expect("written");
    check_refused(&text.join("mail"), &["cannot be opened"]);
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).expect("a link");
    check_refused(&link, &["a link to a file that is missing"]);
    let other = folder.path().join("other");
    let connection = Connection::open(&other).expect("a database");
    connection.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE mail (id)").expect("made");
    check_refused(&other, &["it is something else", "Name another file"]);
    connection.close().expect("closed");
    check_refused(&other, &["it is something else", "Name another file"]);
}

#[test]
fn log_without_its_mailbox_is_refused() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    for suffix in ["-wal", "-journal"] {
        let log = with_suffix(&path, suffix);
        fs::write(&log, "mail").expect("written");
        check_refused(&path, &["it is missing", "its log", "Put the mailbox back"]);
        fs::write(&log, "").expect("written");
    }
    // Empty logs contain no mail.
    drop(TestMailbox::open(&path));
}

#[test]
fn mailbox_altered_by_another_program_is_refused() {
    check_altered_is_refused(
        "PRAGMA user_version = 3",
        &["from a newer version", "Start the newer version"],
    );
    check_altered_is_refused("PRAGMA user_version = 1", &["other tables"]);
    check_altered_is_refused("PRAGMA user_version = 0", &["it is damaged", "Restore it"]);
    check_altered_is_refused("PRAGMA application_id = 1", &["it is something else"]);
    check_altered_is_refused("DROP INDEX mail_by_addressee", &["other tables"]);
    check_altered_is_refused("DROP TABLE mail", &["other tables"]);
    check_altered_is_refused("ALTER TABLE mail ADD COLUMN more ANY", &["other tables"]);
    check_altered_is_refused(
        "CREATE TRIGGER t AFTER INSERT ON mail BEGIN SELECT 1; END",
        &["other tables"],
    );
    check_altered_is_refused("DELETE FROM state", &["behind its messages"]);
    check_altered_is_refused("UPDATE state SET next_id = 301", &["behind its messages"]);
    check_altered_is_refused("UPDATE state SET clock = 5", &["behind its messages"]);
}

#[test]
fn copied_mailbox_opens_with_the_same_mail() {
    let folder = temp_dir();
    let (path, copy) = (create_mailbox(folder.path()), folder.path().join("copy"));
    let connection = Connection::open(&path).expect("a database");
    connection.execute("VACUUM INTO ?1", [copy.to_str().expect("text")]).expect("copied");
    connection.close().expect("closed");
    let (mut opened, mut copied) = (TestMailbox::open(&path), TestMailbox::open(&copy));
    assert_eq!(opened.inventory, copied.inventory);
    assert_eq!(opened.fetch_all(7), copied.fetch_all(7));
}

#[test]
fn damaged_mailbox_is_refused() {
    let folder = temp_dir();
    let path = create_mailbox(folder.path());
    let whole = fs::read(&path).expect("the file");
    let pages = whole.len() / 4096;
    assert!(pages > 10);
    let check = |bytes: &[u8], words: &[&str]| {
        fs::write(&path, bytes).expect("written");
        check_refused(&path, words);
    };
    for page in 0..pages {
        for length in [page * 4096 + 100, page * 4096 + 4095, (page + 1) * 4096] {
            // The last byte of the file is one of a text, which SQLite does not check.
            if length + 1 < whole.len() {
                check(&whole[..length], &["it is damaged", "Restore it", ".recover"]);
            }
        }
    }
    // The byte with the type of a page. Overflow pages of long texts have none.
    let mut refusals = 0;
    for page in 0..pages {
        let at = (page * 4096).max(100);
        if [2, 5, 10, 13].contains(&whole[at]) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x40;
            check(&flipped, &["it is damaged"]);
            refusals += 1;
        }
    }
    assert!(refusals > 5);
    // An index entry with another addressee would make a message unreachable.
    let offsets: Vec<usize> = (0..whole.len() - 8)
        .filter(|at| whole[*at..].starts_with(&MARKER_ADDRESSEE.to_be_bytes()))
        .collect();
    assert_eq!(offsets.len(), 2, "in the table and in the index");
    for at in offsets {
        let mut flipped = whole.clone();
        flipped[at + 7] ^= 1;
        check(&flipped, &["it is damaged"]);
    }
    // A flipped bit anywhere is refused or harmless.
    let mut rng = StdRng::seed_from_u64(2);
    for _ in 0..100 {
        let mut flipped = whole.clone();
        flipped[rng.random_range(0..whole.len())] ^= 1 << rng.random_range(0..8);
        fs::write(&path, &flipped).expect("written");
        match Mailbox::open(&path, || ()) {
            Ok(_) => {}
            Err(_) => assert!(fs::read(&path).expect("the file") == flipped),
        }
        let _ = fs::remove_file(with_suffix(&path, "-wal"));
    }
    check(&whole[..50], &["it is something else, or its beginning is damaged"]);
    fs::write(&path, &whole).expect("written");
    drop(TestMailbox::open(&path));
}

#[test]
fn damaged_mailbox_keeps_its_log() {
    let folder = temp_dir();
    let path = create_mailbox(folder.path());
    let mut child = ChildProcess::start("append", &path);
    for _ in 0..20 {
        child.next_line();
    }
    child.kill();
    let mut file = fs::read(&path).expect("the file");
    assert!(with_suffix(&path, "-wal").metadata().expect("the log").len() > 4096);
    // A page that only the file has: messages of the middle.
    file[8 * 4096] ^= 0x40;
    fs::write(&path, file).expect("written");
    check_refused(&path, &["it is damaged"]);
}

/// Opens a mailbox on a thread that file permissions bind, which they do not for root. Returns the
/// error.
fn open_unprivileged(path: &Path) -> String {
    let path = path.to_owned();
    let open = move || {
        // Applies to this thread and to the threads that it starts.
        #[cfg(target_os = "linux")]
        if rustix::process::geteuid().is_root() {
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
        }
        Mailbox::open(&path, || ()).expect_err("refused")
    };
    std::thread::spawn(open).join().expect("no panic")
}

#[test]
fn mailbox_without_file_permission_is_refused() {
    let folder = temp_dir();
    let path = create_mailbox(folder.path());
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("changed");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    };
    let check = |path: &Path| {
        let before = dir_contents(folder.path());
        let refusal = open_unprivileged(path);
        assert!(before == dir_contents(folder.path()));
        assert!(refusal.contains(path.to_str().expect("text")), "{refusal}");
        assert!(refusal.contains("Let the server's user"), "{refusal}");
    };
    for mode in [0o000, 0o444] {
        set_mode(&path, mode);
        check(&path);
    }
    set_mode(&path, 0o666);
    // No log can be made.
    set_mode(folder.path(), 0o555);
    check(&path);
    check(&folder.path().join("new"));
    set_mode(folder.path(), 0o755);
}
