//! Behaviour that both stores share, and the content of a file that is opened again.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crc::id::WideId;
use crc::limits::{MAIL_FETCH_BYTES_MAX, MAIL_OVERHEAD_BYTES, MAIL_WAL_BYTES_MAX};
use crc::mail::{Inventory, Mail, MailId, StoreReply, StoreRequest};
use proptest::prelude::*;

use super::{TestMailbox, append, appended, deleted, ids, mail, temp_dir, with_suffix};

fn check_both_stores(requests: &[StoreRequest], expected: &[StoreReply]) {
    let folder = temp_dir();
    for mut opened in [TestMailbox::in_memory(), TestMailbox::open(&folder.path().join("mail"))] {
        let expected_inventory = Inventory { next_id: 1, ..Inventory::default() };
        assert_eq!(opened.inventory, expected_inventory);
        assert_eq!(opened.round_trip(requests), expected, "{:?}", opened.mailbox);
    }
}

fn fetch(serial: u64, to: i64, after: u64) -> StoreRequest {
    StoreRequest::Fetch { serial, to: WideId(to), after: MailId(after) }
}

fn delete(to: i64, ids: &[u64]) -> StoreRequest {
    StoreRequest::Delete { to: WideId(to), ids: ids.iter().copied().map(MailId).collect() }
}

fn expire(before: Duration) -> StoreRequest {
    StoreRequest::Expire { before, clock: Duration::ZERO }
}

#[test]
fn fetch_returns_mail_in_order_after_the_given_id() {
    check_both_stores(
        &[
            append(1, 7, b"one"),
            append(2, 8, b"other"),
            append(3, 7, b""),
            fetch(5, 7, 0),
            append(9, 7, b"\0\xff"),
            fetch(6, 7, 1),
            fetch(7, 7, u64::MAX),
            fetch(8, 9, 0),
        ],
        &[
            appended(1),
            appended(2),
            appended(3),
            StoreReply::Fetched { serial: 5, mails: vec![mail(1, 7, b"one"), mail(3, 7, b"")] },
            appended(9),
            StoreReply::Fetched { serial: 6, mails: vec![mail(3, 7, b""), mail(9, 7, b"\0\xff")] },
            StoreReply::Fetched { serial: 7, mails: vec![] },
            StoreReply::Fetched { serial: 8, mails: vec![] },
        ],
    );
}

#[test]
fn fetch_returns_a_long_backlog_in_bounded_batches() {
    let half = vec![1; MAIL_FETCH_BYTES_MAX / 2 - MAIL_OVERHEAD_BYTES];
    let long = vec![2; MAIL_FETCH_BYTES_MAX * 3];
    check_both_stores(
        &[
            append(1, 7, &half),
            append(2, 7, &half),
            append(3, 7, b""),
            append(4, 7, &long),
            append(5, 7, b"end"),
            fetch(1, 7, 0),
            fetch(2, 7, 2),
            fetch(3, 7, 3),
            fetch(4, 7, 4),
        ],
        &[
            appended(1),
            appended(2),
            appended(3),
            appended(4),
            appended(5),
            // Exactly the limit.
            StoreReply::Fetched { serial: 1, mails: vec![mail(1, 7, &half), mail(2, 7, &half)] },
            StoreReply::Fetched { serial: 2, mails: vec![mail(3, 7, b"")] },
            StoreReply::Fetched { serial: 3, mails: vec![mail(4, 7, &long)] },
            StoreReply::Fetched { serial: 4, mails: vec![mail(5, 7, b"end")] },
        ],
    );
}

#[test]
fn delete_and_delete_all_report_counts_and_remove_the_mail() {
    check_both_stores(
        &[
            append(1, 7, b"one"),
            append(2, 8, b"another's"),
            append(3, 7, b"three"),
            append(4, 7, b""),
            delete(7, &[1, 1, 2, 4, 99, u64::MAX]),
            delete(7, &[1]),
            fetch(1, 7, 0),
            StoreRequest::DeleteAll { to: WideId(8) },
            StoreRequest::DeleteAll { to: WideId(8) },
            fetch(2, 8, 0),
        ],
        &[
            appended(1),
            appended(2),
            appended(3),
            appended(4),
            deleted(7, 2, 3),
            deleted(7, 0, 0),
            StoreReply::Fetched { serial: 1, mails: vec![mail(3, 7, b"three")] },
            deleted(8, 1, 9),
            deleted(8, 0, 0),
            StoreReply::Fetched { serial: 2, mails: vec![] },
        ],
    );
}

#[test]
fn expire_removes_old_mail_and_reports_each_addressee() {
    let (third, fourth) = (mail(3, 7, b"").appended_at, mail(4, 7, b"").appended_at);
    check_both_stores(
        &[
            expire(Duration::MAX),
            append(1, 9, b"a"),
            append(2, -4, b"bb"),
            append(3, 9, b"ccc"),
            append(4, -4, b"dddd"),
            expire(Duration::ZERO),
            // A message appended at exactly that time stays.
            expire(third),
            expire(third + Duration::from_nanos(1)),
            fetch(1, -4, 0),
            expire(Duration::MAX),
        ],
        &[
            StoreReply::Expired { oldest: None },
            appended(1),
            appended(2),
            appended(3),
            appended(4),
            StoreReply::Expired { oldest: Some(mail(1, 9, b"").appended_at) },
            deleted(-4, 1, 2),
            deleted(9, 1, 1),
            StoreReply::Expired { oldest: Some(third) },
            deleted(9, 1, 3),
            StoreReply::Expired { oldest: Some(fourth) },
            StoreReply::Fetched { serial: 1, mails: vec![mail(4, -4, b"dddd")] },
            deleted(-4, 1, 4),
            StoreReply::Expired { oldest: None },
        ],
    );
}

#[test]
fn append_with_a_used_id_is_refused() {
    let append_failed = |id: u64, next: u64| StoreReply::AppendFailed {
        ids: vec![MailId(id)],
        error: format!("the id {id} is out of order: the next is {next}"),
    };
    check_both_stores(
        &[
            append(5, 7, b"five"),
            append(5, 7, b"again"),
            delete(7, &[5]),
            append(5, 7, b"again"),
            append(4, 7, b"late"),
            StoreRequest::Append(crc::mail::Mail { id: MailId(u64::MAX), ..mail(1, 7, b"") }),
            append(6, 7, b"six"),
            fetch(1, 7, 0),
        ],
        &[
            appended(5),
            append_failed(5, 6),
            deleted(7, 1, 4),
            append_failed(5, 6),
            append_failed(4, 6),
            append_failed(u64::MAX, 6),
            appended(6),
            StoreReply::Fetched { serial: 1, mails: vec![mail(6, 7, b"six")] },
        ],
    );
}

#[test]
fn reopened_mailbox_has_its_mail_ids_and_clock() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut opened = TestMailbox::open(&path);
    opened.round_trip(&[
        append(3, 9, b"abc"),
        append(4, -1, b""),
        append(8, 9, b"de"),
        append(9, 5, b"f"),
    ]);
    opened.round_trip(&[delete(5, &[9])]);
    drop(opened);
    let mode = path.metadata().expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!with_suffix(&path, "-wal").exists(), "closing moves the log into the file");
    let mut opened = TestMailbox::open(&path);
    let each = MAIL_OVERHEAD_BYTES as u64;
    let expected = Inventory {
        next_id: 10,
        clock: mail(9, 5, b"").appended_at,
        oldest: Some(mail(3, 9, b"").appended_at),
        backlogs: vec![(WideId(-1), 1, each), (WideId(9), 2, 2 * each + 5)],
    };
    assert_eq!(opened.inventory, expected);
    assert_eq!(opened.fetch_all(9), [mail(3, 9, b"abc"), mail(8, 9, b"de")]);
    opened.round_trip(&[delete(9, &[3, 8]), StoreRequest::DeleteAll { to: WideId(-1) }]);
    drop(opened);
    for _ in 0..2 {
        let opened = TestMailbox::open(&path);
        let expected = Inventory { oldest: None, backlogs: vec![], ..expected.clone() };
        assert_eq!(opened.inventory, expected, "ids and the clock outlive the messages");
    }
}

#[test]
fn dropped_mailbox_completes_its_pending_requests() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut opened = TestMailbox::open(&path);
    for id in 1..=2000 {
        opened.mailbox.request(append(id, 7, b"text"));
    }
    drop(opened);
    assert_eq!(ids(&TestMailbox::open(&path).fetch_all(7)), (1..=2000).collect::<Vec<_>>());
}

#[test]
fn mailbox_opened_through_a_symlink_uses_the_target_and_its_log() {
    let folder = temp_dir();
    let (path, link) = (folder.path().join("mail"), folder.path().join("link"));
    drop(TestMailbox::open(&path));
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let mut opened = TestMailbox::open(&link);
    opened.round_trip(&[append(1, 7, b"text")]);
    assert!(with_suffix(&path, "-wal").exists());
    drop(opened);
    assert_eq!(ids(&TestMailbox::open(&path).fetch_all(7)), [1]);
}

#[test]
fn log_and_file_stay_bounded_while_mail_is_appended_and_deleted() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut opened = TestMailbox::open(&path);
    let text = vec![b'x'; 100_000];
    let mut longest = 0;
    for round in 0..60 {
        let first = round * 10 + 1;
        let mut requests: Vec<StoreRequest> =
            (first..first + 10).map(|id| append(id, 7, &text)).collect();
        requests.push(StoreRequest::DeleteAll { to: WideId(7) });
        // One by one: within one transaction, most messages would never be written.
        for request in requests {
            opened.round_trip(&[request]);
        }
        longest = longest.max(with_suffix(&path, "-wal").metadata().expect("the log").len());
    }
    assert!(longest > MAIL_WAL_BYTES_MAX / 2, "the limit was reached: {longest}");
    assert!(longest < MAIL_WAL_BYTES_MAX + 500_000, "the log grew to {longest}");
    drop(opened);
    let size = path.metadata().expect("the file").len();
    assert!(size < 3_000_000, "the file grew to {size}");
}

/// Generates requests on few addressees, ids and times, so that they interact.
fn any_request() -> impl Strategy<Value = (u8, i64, Vec<u8>, u64)> {
    let text = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0..100_000_usize).prop_map(|length| vec![b'x'; length]),
    ];
    (0..12_u8, 0..4_i64, text, 0..40_u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn memory_and_disk_stores_give_equal_replies(
        steps in prop::collection::vec(prop::collection::vec(any_request(), 1..30), 1..6),
    ) {
        let folder = temp_dir();
        let path = folder.path().join("mail");
        let mut memory = TestMailbox::in_memory();
        let mut disk = TestMailbox::open(&path);
        let mut next = 1;
        for step in steps {
            let requests: Vec<StoreRequest> = step
                .into_iter()
                .map(|(kind, to, text, number)| match kind {
                    0..6 => {
                        next += u64::from(kind == 1) + 1;
                        append(next, to, &text)
                    }
                    6 => append(number, to, &text),
                    7 => delete(to, &[next.saturating_sub(number), number, next]),
                    8 => StoreRequest::DeleteAll { to: WideId(to) },
                    9 => expire(mail(next.saturating_sub(number), to, b"").appended_at),
                    _ => fetch(number, to, next.saturating_sub(number)),
                })
                .collect();
            prop_assert_eq!(memory.round_trip(&requests), disk.round_trip(&requests));
            // As after a restart.
            drop(disk);
            disk = TestMailbox::open(&path);
            let crc::mail::store::Mailbox::Memory(memory_mailbox) = &memory.mailbox else { unreachable!() };
            prop_assert_eq!(memory_mailbox.inventory(), disk.inventory.clone());
        }
    }
}

/// The tables of a mailbox without the nicks of senders and the times of sending.
const UNDATED_TABLES: &str = "PRAGMA application_id = 1668440941; PRAGMA user_version = 1;
    CREATE TABLE mail (id INTEGER PRIMARY KEY, addressee INTEGER NOT NULL, sender INTEGER NOT NULL, \
    kept_at INTEGER NOT NULL, text BLOB NOT NULL) STRICT;
    CREATE INDEX mail_by_addressee ON mail (addressee);
    CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), next_id INTEGER NOT NULL, \
    clock INTEGER NOT NULL) STRICT;
    INSERT INTO mail VALUES (1, 7, -7, 1000000007, CAST('one' AS BLOB));
    INSERT INTO mail VALUES (2, 8, -8, 2000000014, CAST('two' AS BLOB));
    INSERT INTO state VALUES (1, 3, 2000000014)";

#[test]
fn mailbox_of_an_earlier_version_is_read_and_upgraded() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let connection = rusqlite::Connection::open(&path).expect("a file");
    connection.execute_batch(UNDATED_TABLES).expect("tables");
    connection.close().expect("closed");
    let mut opened = TestMailbox::open(&path);
    assert_eq!(opened.inventory.next_id, 3);
    assert_eq!(opened.inventory.backlogs, [(WideId(7), 1, 67), (WideId(8), 1, 67)]);
    assert_eq!(opened.fetch_all(7), [mail(1, 7, b"one")]);
    let dated = Mail { from_nick: b"frodo"[..].into(), sent_at_ms: 5, ..mail(3, 7, b"three") };
    opened.round_trip(&[StoreRequest::Append(dated.clone())]);
    // A copy of the files as they are, as after a crash, opens as the file itself does.
    let copy = folder.path().join("copy");
    for suffix in ["", "-wal"] {
        std::fs::copy(with_suffix(&path, suffix), with_suffix(&copy, suffix)).expect("copied");
    }
    drop(opened);
    for path in [&copy, &path] {
        let mut opened = TestMailbox::open(path);
        assert_eq!(opened.inventory.backlogs[0], (WideId(7), 2, 67 + 69 + 5));
        assert_eq!(opened.fetch_all(7), [mail(1, 7, b"one"), dated.clone()]);
        assert_eq!(opened.round_trip(&[delete(7, &[3])]), [deleted(7, 1, 10)]);
    }
}
