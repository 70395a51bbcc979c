//! What both stores do alike, and what a file still knows when it is opened again.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crc::limits::{MAIL_BYTES, MAIL_COLLECT_BYTES, MAIL_LOG_BYTES};
use crc::mail::{Inventory, MailId, Reply, Request};
use crc::relay::message::WideId;
use proptest::prelude::*;

use super::{Opened, beside, folder, ids, keep, kept, mail, removed};

fn check(requests: &[Request], expected: &[Reply]) {
    let folder = folder();
    for mut opened in [Opened::memory(), Opened::disk(&folder.path().join("mail"))] {
        let expected_inventory = Inventory { next_id: 1, ..Inventory::default() };
        assert_eq!(opened.inventory, expected_inventory);
        assert_eq!(opened.ask(requests), expected, "{:?}", opened.mailbox);
    }
}

fn collect(serial: u64, to: i64, after: u64) -> Request {
    Request::Collect { serial, to: WideId(to), after: MailId(after) }
}

fn forget(to: i64, ids: &[u64]) -> Request {
    Request::Forget { to: WideId(to), ids: ids.iter().copied().map(MailId).collect() }
}

fn expire(before: Duration) -> Request {
    Request::Expire { before, clock: Duration::ZERO }
}

#[test]
fn mail_is_collected_in_order_and_after_what_was_collected() {
    check(
        &[
            keep(1, 7, b"one"),
            keep(2, 8, b"other"),
            keep(3, 7, b""),
            collect(5, 7, 0),
            keep(9, 7, b"\0\xff"),
            collect(6, 7, 1),
            collect(7, 7, u64::MAX),
            collect(8, 9, 0),
        ],
        &[
            kept(1),
            kept(2),
            kept(3),
            Reply::Collected { serial: 5, mails: vec![mail(1, 7, b"one"), mail(3, 7, b"")] },
            kept(9),
            Reply::Collected { serial: 6, mails: vec![mail(3, 7, b""), mail(9, 7, b"\0\xff")] },
            Reply::Collected { serial: 7, mails: vec![] },
            Reply::Collected { serial: 8, mails: vec![] },
        ],
    );
}

#[test]
fn a_long_absence_comes_back_in_portions() {
    let half = vec![1; MAIL_COLLECT_BYTES / 2 - MAIL_BYTES];
    let long = vec![2; MAIL_COLLECT_BYTES * 3];
    check(
        &[
            keep(1, 7, &half),
            keep(2, 7, &half),
            keep(3, 7, b""),
            keep(4, 7, &long),
            keep(5, 7, b"end"),
            collect(1, 7, 0),
            collect(2, 7, 2),
            collect(3, 7, 3),
            collect(4, 7, 4),
        ],
        &[
            kept(1),
            kept(2),
            kept(3),
            kept(4),
            kept(5),
            // Exactly the bound.
            Reply::Collected { serial: 1, mails: vec![mail(1, 7, &half), mail(2, 7, &half)] },
            Reply::Collected { serial: 2, mails: vec![mail(3, 7, b"")] },
            Reply::Collected { serial: 3, mails: vec![mail(4, 7, &long)] },
            Reply::Collected { serial: 4, mails: vec![mail(5, 7, b"end")] },
        ],
    );
}

#[test]
fn what_is_forgotten_or_dropped_is_counted_and_gone() {
    check(
        &[
            keep(1, 7, b"one"),
            keep(2, 8, b"another's"),
            keep(3, 7, b"three"),
            keep(4, 7, b""),
            forget(7, &[1, 1, 2, 4, 99, u64::MAX]),
            forget(7, &[1]),
            collect(1, 7, 0),
            Request::Drop { to: WideId(8) },
            Request::Drop { to: WideId(8) },
            collect(2, 8, 0),
        ],
        &[
            kept(1),
            kept(2),
            kept(3),
            kept(4),
            removed(7, 2, 3),
            removed(7, 0, 0),
            Reply::Collected { serial: 1, mails: vec![mail(3, 7, b"three")] },
            removed(8, 1, 9),
            removed(8, 0, 0),
            Reply::Collected { serial: 2, mails: vec![] },
        ],
    );
}

#[test]
fn what_is_old_goes_addressee_by_addressee() {
    let (third, fourth) = (mail(3, 7, b"").kept_at, mail(4, 7, b"").kept_at);
    check(
        &[
            expire(Duration::MAX),
            keep(1, 9, b"a"),
            keep(2, -4, b"bb"),
            keep(3, 9, b"ccc"),
            keep(4, -4, b"dddd"),
            expire(Duration::ZERO),
            // What was kept at that very time stays.
            expire(third),
            expire(third + Duration::from_nanos(1)),
            collect(1, -4, 0),
            expire(Duration::MAX),
        ],
        &[
            Reply::Expired { oldest: None },
            kept(1),
            kept(2),
            kept(3),
            kept(4),
            Reply::Expired { oldest: Some(mail(1, 9, b"").kept_at) },
            removed(-4, 1, 2),
            removed(9, 1, 1),
            Reply::Expired { oldest: Some(third) },
            removed(9, 1, 3),
            Reply::Expired { oldest: Some(fourth) },
            Reply::Collected { serial: 1, mails: vec![mail(4, -4, b"dddd")] },
            removed(-4, 1, 4),
            Reply::Expired { oldest: None },
        ],
    );
}

#[test]
fn an_id_is_never_used_again() {
    let not_kept = |id: u64, next: u64| Reply::NotKept {
        ids: vec![MailId(id)],
        error: format!("the id {id} is out of order: the next is {next}"),
    };
    check(
        &[
            keep(5, 7, b"five"),
            keep(5, 7, b"again"),
            forget(7, &[5]),
            keep(5, 7, b"again"),
            keep(4, 7, b"late"),
            Request::Keep(crc::mail::Mail { id: MailId(u64::MAX), ..mail(1, 7, b"") }),
            keep(6, 7, b"six"),
            collect(1, 7, 0),
        ],
        &[
            kept(5),
            not_kept(5, 6),
            removed(7, 1, 4),
            not_kept(5, 6),
            not_kept(4, 6),
            not_kept(u64::MAX, 6),
            kept(6),
            Reply::Collected { serial: 1, mails: vec![mail(6, 7, b"six")] },
        ],
    );
}

#[test]
fn a_file_still_knows_everything_when_it_is_opened_again() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut opened = Opened::disk(&path);
    opened.ask(&[keep(3, 9, b"abc"), keep(4, -1, b""), keep(8, 9, b"de"), keep(9, 5, b"f")]);
    opened.ask(&[forget(5, &[9])]);
    drop(opened);
    let mode = path.metadata().expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!beside(&path, "-wal").exists(), "closing moves the log into the file");
    let mut opened = Opened::disk(&path);
    let each = MAIL_BYTES as u64;
    let expected = Inventory {
        next_id: 10,
        clock: mail(9, 5, b"").kept_at,
        oldest: Some(mail(3, 9, b"").kept_at),
        waiting: vec![(WideId(-1), 1, each), (WideId(9), 2, 2 * each + 5)],
    };
    assert_eq!(opened.inventory, expected);
    assert_eq!(opened.collect(9), [mail(3, 9, b"abc"), mail(8, 9, b"de")]);
    opened.ask(&[forget(9, &[3, 8]), Request::Drop { to: WideId(-1) }]);
    drop(opened);
    for _ in 0..2 {
        let opened = Opened::disk(&path);
        let expected = Inventory { oldest: None, waiting: vec![], ..expected.clone() };
        assert_eq!(opened.inventory, expected, "ids and the clock outlive the messages");
    }
}

#[test]
fn what_was_asked_is_done_before_the_file_is_closed() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut opened = Opened::disk(&path);
    for id in 1..=2000 {
        opened.mailbox.request(keep(id, 7, b"text"));
    }
    drop(opened);
    assert_eq!(ids(&Opened::disk(&path).collect(7)), (1..=2000).collect::<Vec<_>>());
}

#[test]
fn a_link_leads_to_the_file_and_its_log() {
    let folder = folder();
    let (path, link) = (folder.path().join("mail"), folder.path().join("link"));
    drop(Opened::disk(&path));
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let mut opened = Opened::disk(&link);
    opened.ask(&[keep(1, 7, b"text")]);
    assert!(beside(&path, "-wal").exists());
    drop(opened);
    assert_eq!(ids(&Opened::disk(&path).collect(7)), [1]);
}

#[test]
fn the_log_and_the_file_stay_small_when_mail_comes_and_goes() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut opened = Opened::disk(&path);
    let text = vec![b'x'; 100_000];
    let mut longest = 0;
    for round in 0..60 {
        let first = round * 10 + 1;
        let mut requests: Vec<Request> = (first..first + 10).map(|id| keep(id, 7, &text)).collect();
        requests.push(Request::Drop { to: WideId(7) });
        // One by one, or most would never be written: forgotten in the transaction that keeps them.
        for request in requests {
            opened.ask(&[request]);
        }
        longest = longest.max(beside(&path, "-wal").metadata().expect("the log").len());
    }
    assert!(longest > MAIL_LOG_BYTES / 2, "the bound was reached: {longest}");
    assert!(longest < MAIL_LOG_BYTES + 500_000, "the log grew to {longest}");
    drop(opened);
    let size = path.metadata().expect("the file").len();
    assert!(size < 3_000_000, "the file grew to {size}");
}

/// A request out of a few addressees, ids and times, so that they meet.
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
    fn both_stores_answer_alike(
        steps in prop::collection::vec(prop::collection::vec(any_request(), 1..30), 1..6),
    ) {
        let folder = folder();
        let path = folder.path().join("mail");
        let mut memory = Opened::memory();
        let mut disk = Opened::disk(&path);
        let mut next = 1;
        for step in steps {
            let requests: Vec<Request> = step
                .into_iter()
                .map(|(kind, to, text, number)| match kind {
                    0..6 => {
                        next += u64::from(kind == 1) + 1;
                        keep(next, to, &text)
                    }
                    6 => keep(number, to, &text),
                    7 => forget(to, &[next.saturating_sub(number), number, next]),
                    8 => Request::Drop { to: WideId(to) },
                    9 => expire(mail(next.saturating_sub(number), to, b"").kept_at),
                    _ => collect(number, to, next.saturating_sub(number)),
                })
                .collect();
            prop_assert_eq!(memory.ask(&requests), disk.ask(&requests));
            // Time and again as after a restart.
            drop(disk);
            disk = Opened::disk(&path);
            let crc::mailbox::Mailbox::Memory(held) = &memory.mailbox else { unreachable!() };
            prop_assert_eq!(held.inventory(), disk.inventory.clone());
        }
    }
}
