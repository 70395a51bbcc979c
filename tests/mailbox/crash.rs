//! Ends without a warning: what was answered as kept is there, in order, once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crc::mail::{MailId, Reply, Request};
use crc::relay::message::WideId;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::trouble::Child;
use super::{Opened, beside, folder, ids, keep};

/// A page in the log and what stands before it.
const FRAME: usize = 24 + 4096;

/// What a mailbox holds whose file and log are these.
fn found(file: &[u8], log: &[u8]) -> Vec<u64> {
    let folder = folder();
    let path = folder.path().join("mail");
    fs::write(&path, file).expect("written");
    fs::write(beside(&path, "-wal"), log).expect("written");
    ids(&Opened::disk(&path).collect(7))
}

/// Keeps messages one at a time, and takes the files as a crash would leave them after some of them.
fn kept_one_by_one(count: u64, mut crash: impl FnMut(u64, &[u8], &[u8])) {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut opened = Opened::disk(&path);
    // All of it is in the log, so the two files can be read one after the other.
    for id in 1..=count {
        opened.ask(&[keep(id, 7, format!("message {id}").as_bytes())]);
        let log = fs::read(beside(&path, "-wal")).expect("the log");
        crash(id, &fs::read(&path).expect("the file"), &log);
    }
}

#[test]
fn what_was_answered_as_kept_is_in_the_files_at_that_moment() {
    kept_one_by_one(40, |last, file, log| {
        assert_eq!(found(file, log), (1..=last).collect::<Vec<_>>());
    });
}

#[test]
fn a_torn_end_of_the_log_is_cut_off() {
    let mut files = (Vec::new(), Vec::new());
    kept_one_by_one(30, |_, file, log| files = (file.to_vec(), log.to_vec()));
    let (file, log) = files;
    let frames = (log.len() - 32) / FRAME;
    assert!(frames >= 30, "the log holds the messages");
    let mut lengths: BTreeSet<usize> = [0, 1, 31, 32, log.len() - 1].into();
    for frame in 0..=frames {
        let end = 32 + frame * FRAME;
        lengths.extend([end.saturating_sub(1), end, end + 24]);
    }
    let mut most = 0;
    for length in lengths.into_iter().filter(|length| *length < log.len()) {
        let found = found(&file, &log[..length]);
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "cut to {length}");
        assert!(found.len() >= most && found.len() < 30, "cut to {length}");
        most = found.len();
    }
    assert_eq!(most, 29, "only the last is lost with the last byte");
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..60 {
        let at = rng.random_range(log.len() - 6 * FRAME..log.len());
        let mut flipped = log.clone();
        flipped[at] ^= 1 << rng.random_range(0..8);
        let found = found(&file, &flipped);
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>(), "flipped {at}");
        assert!((20..30).contains(&found.len()), "flipped {at}: {}", found.len());
    }
}

/// Keeps and forgets, and says what it asks and what is answered, until it is killed.
pub(super) fn keep_until_killed(path: &Path) {
    let mut opened = Opened::disk(path);
    println!("> opened {}", opened.inventory.next_id);
    let mut id = opened.inventory.next_id;
    let mut rng = StdRng::seed_from_u64(id);
    loop {
        let mut requests = Vec::new();
        for _ in 0..rng.random_range(1..20) {
            if id > 1 && rng.random_range(0..4) == 0 {
                let old = rng.random_range(1..id);
                println!("> forget {old}");
                requests.push(Request::Forget { to: WideId(7), ids: vec![MailId(old)] });
            } else {
                println!("> keep {id}");
                requests.push(keep(id, 7, &text(id)));
                id += 1;
            }
        }
        for (reply, request) in opened.ask(&requests).into_iter().zip(&requests) {
            match (reply, request) {
                (Reply::Kept(ids), _) => println!("> kept {}", ids[0].0),
                (Reply::Removed { .. }, Request::Forget { ids, .. }) => {
                    println!("> removed {}", ids[0].0);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Some are long, so that the log is moved into the file every now and then.
fn text(id: u64) -> Vec<u8> {
    let length = if id.is_multiple_of(4) { 100_000 } else { 100 };
    id.to_string().bytes().cycle().take(length).collect()
}

#[test]
fn nothing_that_was_kept_is_lost_when_the_process_is_killed() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut rng = StdRng::seed_from_u64(7);
    let (mut kept, mut may) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..30 {
        let mut child = Child::start("keep", &path);
        let lines_before_kill = rng.random_range(1..600);
        let mut lines: Vec<String> = (0..lines_before_kill).map(|_| child.line()).collect();
        let instant = Instant::now() + Duration::from_micros(rng.random_range(0..3000));
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        lines.extend(child.kill());
        let mut leaving = BTreeSet::new();
        for line in lines {
            let (word, id) = line.split_once(' ').expect("a word and a number");
            let id: u64 = id.parse().expect("a number");
            match word {
                "opened" => {}
                "keep" => drop(may.insert(id)),
                "kept" => drop(kept.insert(id)),
                // From here on it may be gone, from its answer on it must be.
                "forget" => drop(leaving.insert(id)),
                "removed" => drop(may.remove(&id)),
                _ => panic!("{line}"),
            }
        }
        let mut opened = Opened::disk(&path);
        let mails = opened.collect(7);
        let found: BTreeSet<u64> = mails.iter().map(|mail| mail.id.0).collect();
        assert!(mails.is_sorted_by(|a, b| a.id < b.id), "round {round}: in order, once");
        assert!(mails.iter().all(|mail| *mail.text == *text(mail.id.0)));
        let must: BTreeSet<u64> = kept.difference(&leaving).copied().collect();
        let lost: Vec<_> = must.difference(&found).collect();
        assert!(lost.is_empty(), "round {round}: kept and lost: {lost:?}");
        let undead: Vec<_> = found.difference(&may).collect();
        assert!(undead.is_empty(), "round {round}: there and should not be: {undead:?}");
        assert!(kept.last().is_none_or(|last| opened.inventory.next_id > *last));
        kept.clone_from(&found);
        may = found;
        if round % 5 == 0 {
            opened.ask(&[Request::Drop { to: WideId(7) }]);
            (kept, may) = Default::default();
        }
    }
}

#[test]
fn a_mailbox_that_was_not_finished_is_no_mailbox() {
    let folder = folder();
    let path = folder.path().join("first");
    let start = Instant::now();
    let mut child = Child::start("keep", &path);
    child.line();
    let needed = start.elapsed();
    child.kill();
    let mut rng = StdRng::seed_from_u64(3);
    for round in 0..40 {
        let path = folder.path().join(format!("mail{round}"));
        let instant = Instant::now() + needed.mul_f64(rng.random_range(0.2..1.1));
        let child = Child::start("keep", &path);
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        child.kill();
        let mut opened = Opened::disk(&path);
        let mails = ids(&opened.collect(7));
        assert!(mails.is_sorted());
        assert!(!beside(&path, ".new").exists());
    }
}

#[test]
fn the_beginning_of_a_mailbox_is_replaced() {
    let folder = folder();
    let path = folder.path().join("mail");
    fs::write(beside(&path, ".new"), "half of something").expect("written");
    assert_eq!(Opened::disk(&path).inventory.next_id, 1);
    assert!(!beside(&path, ".new").exists());
}
