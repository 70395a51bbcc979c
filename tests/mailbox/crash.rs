//! Crashes: acknowledged mail is in the files, in order and once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crc::id::WideId;
use crc::mail::{MailId, StoreReply, StoreRequest};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::faults::ChildProcess;
use super::{TestMailbox, append, ids, temp_dir, with_suffix};

/// Size of a page in the log with its header, in bytes.
const LOG_FRAME_BYTES: usize = 24 + 4096;

/// Returns the ids of the mail in a mailbox with this file and log.
fn recovered_ids(file: &[u8], log: &[u8]) -> Vec<u64> {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    fs::write(&path, file).expect("written");
    fs::write(with_suffix(&path, "-wal"), log).expect("written");
    ids(&TestMailbox::open(&path).fetch_all(7))
}

/// Appends messages one at a time, and passes the files as a crash after each of them would leave
/// them.
fn append_one_by_one(count: u64, mut on_append: impl FnMut(u64, &[u8], &[u8])) {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut opened = TestMailbox::open(&path);
    // The file does not change, so the two files can be read one after the other.
    for id in 1..=count {
        opened.round_trip(&[append(id, 7, format!("message {id}").as_bytes())]);
        let log = fs::read(with_suffix(&path, "-wal")).expect("the log");
        on_append(id, &fs::read(&path).expect("the file"), &log);
    }
}

#[test]
fn acknowledged_mail_is_in_the_files_when_the_reply_arrives() {
    append_one_by_one(40, |last, file, log| {
        assert_eq!(recovered_ids(file, log), (1..=last).collect::<Vec<_>>());
    });
}

#[test]
fn torn_log_loses_only_the_messages_after_the_tear() {
    let mut files = (Vec::new(), Vec::new());
    append_one_by_one(30, |_, file, log| files = (file.to_vec(), log.to_vec()));
    let (file, log) = files;
    let frames = (log.len() - 32) / LOG_FRAME_BYTES;
    assert!(frames >= 30, "the log holds the messages");
    let mut lengths: BTreeSet<usize> = [0, 1, 31, 32, log.len() - 1].into();
    for frame in 0..=frames {
        let end = 32 + frame * LOG_FRAME_BYTES;
        lengths.extend([end.saturating_sub(1), end, end + 24]);
    }
    let mut most_recovered = 0;
    for length in lengths.into_iter().filter(|length| *length < log.len()) {
        let recovered = recovered_ids(&file, &log[..length]);
        assert_eq!(recovered, (1..=recovered.len() as u64).collect::<Vec<_>>(), "cut to {length}");
        assert!(recovered.len() >= most_recovered && recovered.len() < 30, "cut to {length}");
        most_recovered = recovered.len();
    }
    assert_eq!(most_recovered, 29, "the last byte belongs to the last message");
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..60 {
        let position = rng.random_range(log.len() - 6 * LOG_FRAME_BYTES..log.len());
        let mut flipped = log.clone();
        flipped[position] ^= 1 << rng.random_range(0..8);
        let recovered = recovered_ids(&file, &flipped);
        assert_eq!(
            recovered,
            (1..=recovered.len() as u64).collect::<Vec<_>>(),
            "flipped {position}"
        );
        assert!((20..30).contains(&recovered.len()), "flipped {position}: {}", recovered.len());
    }
}

/// Appends and deletes, and prints each request and reply, until it is killed.
pub(super) fn append_until_killed(path: &Path) {
    let mut opened = TestMailbox::open(path);
    println!("> opened {}", opened.inventory.next_id);
    let mut id = opened.inventory.next_id;
    let mut rng = StdRng::seed_from_u64(id);
    loop {
        let mut requests = Vec::new();
        for _ in 0..rng.random_range(1..20) {
            if id > 1 && rng.random_range(0..4) == 0 {
                let old = rng.random_range(1..id);
                println!("> delete {old}");
                requests.push(StoreRequest::Delete { to: WideId(7), ids: vec![MailId(old)] });
            } else {
                println!("> append {id}");
                requests.push(append(id, 7, &text(id)));
                id += 1;
            }
        }
        for (reply, request) in opened.round_trip(&requests).into_iter().zip(&requests) {
            match (reply, request) {
                (StoreReply::Appended(ids), _) => println!("> appended {}", ids[0].0),
                (StoreReply::Deleted { .. }, StoreRequest::Delete { ids, .. }) => {
                    println!("> deleted {}", ids[0].0);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Returns the text of a message. Some are long, so that the log is moved into the file sometimes.
fn text(id: u64) -> Vec<u8> {
    let length = if id.is_multiple_of(4) { 100_000 } else { 100 };
    id.to_string().bytes().cycle().take(length).collect()
}

#[test]
fn acknowledged_mail_survives_a_process_kill() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut rng = StdRng::seed_from_u64(7);
    let (mut acknowledged, mut possible) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..30 {
        let mut child = ChildProcess::start("append", &path);
        let lines_before_kill = rng.random_range(1..600);
        let mut lines: Vec<String> = (0..lines_before_kill).map(|_| child.next_line()).collect();
        let kill_at = Instant::now() + Duration::from_micros(rng.random_range(0..3000));
        while Instant::now() < kill_at {
            std::hint::spin_loop();
        }
        lines.extend(child.kill());
        let mut deleting = BTreeSet::new();
        for line in lines {
            let (word, id) = line.split_once(' ').expect("a word and a number");
            let id: u64 = id.parse().expect("a number");
            match word {
                "opened" => {}
                "append" => drop(possible.insert(id)),
                "appended" => drop(acknowledged.insert(id)),
                // The message may be deleted from the request on, and must be from the reply on.
                "delete" => drop(deleting.insert(id)),
                "deleted" => drop(possible.remove(&id)),
                _ => panic!("{line}"),
            }
        }
        let mut opened = TestMailbox::open(&path);
        let mails = opened.fetch_all(7);
        let recovered: BTreeSet<u64> = mails.iter().map(|mail| mail.id.0).collect();
        assert!(mails.is_sorted_by(|a, b| a.id < b.id), "round {round}: in order, once");
        assert!(mails.iter().all(|mail| *mail.text == *text(mail.id.0)));
        let required: BTreeSet<u64> = acknowledged.difference(&deleting).copied().collect();
        let lost: Vec<_> = required.difference(&recovered).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        let unexpected: Vec<_> = recovered.difference(&possible).collect();
        assert!(unexpected.is_empty(), "round {round}: unexpected: {unexpected:?}");
        assert!(acknowledged.last().is_none_or(|last| opened.inventory.next_id > *last));
        acknowledged.clone_from(&recovered);
        possible = recovered;
        if round % 5 == 0 {
            opened.round_trip(&[StoreRequest::DeleteAll { to: WideId(7) }]);
            (acknowledged, possible) = Default::default();
        }
    }
}

#[test]
fn mailbox_whose_creation_was_killed_opens_again() {
    let folder = temp_dir();
    let path = folder.path().join("first");
    let start = Instant::now();
    let mut child = ChildProcess::start("append", &path);
    child.next_line();
    let startup_time = start.elapsed();
    child.kill();
    let mut rng = StdRng::seed_from_u64(3);
    for round in 0..40 {
        let path = folder.path().join(format!("mail{round}"));
        let kill_at = Instant::now() + startup_time.mul_f64(rng.random_range(0.2..1.1));
        let child = ChildProcess::start("append", &path);
        while Instant::now() < kill_at {
            std::hint::spin_loop();
        }
        child.kill();
        let mut opened = TestMailbox::open(&path);
        let mails = ids(&opened.fetch_all(7));
        assert!(mails.is_sorted());
        assert!(!with_suffix(&path, ".new").exists());
    }
}

#[test]
fn leftover_of_an_unfinished_creation_is_replaced() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    fs::write(with_suffix(&path, ".new"), "half of something").expect("written");
    assert_eq!(TestMailbox::open(&path).inventory.next_id, 1);
    assert!(!with_suffix(&path, ".new").exists());
}
