//! Faults of the disk and the process: a second process, failing writes, a moved file, a panic.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crc::id::WideId;
use crc::limits::{MAIL_CLOSE_TIMEOUT, MAIL_TRANSACTION_BYTES_MAX};
use crc::mail::store::Mailbox;
use crc::mail::{MailId, StoreReply, StoreRequest};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::{TIMEOUT, TestMailbox, append, appended, deleted, ids, temp_dir, with_suffix};

/// Environment variables with the role of the child and the path of its mailbox.
const ROLE_ENV: &str = "CRC_TEST_MAILBOX_ROLE";
const FILE_ENV: &str = "CRC_TEST_MAILBOX_FILE";

/// A second process of this test program, which runs [`child_process`]. Killed when dropped.
pub(super) struct ChildProcess {
    process: std::process::Child,
    output_lines: Receiver<String>,
}

impl ChildProcess {
    pub(super) fn start(role: &str, path: &Path) -> Self {
        Self::spawn(child_command(role, path)).expect("started")
    }

    pub(super) fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The test harness prints other lines.
            let marked_lines = output.lines().map_while(Result::ok).filter_map(|line| {
                let start = line.find("> ")?;
                Some(line[start + 2..].to_owned())
            });
            for line in marked_lines {
                let _ = sender.send(line);
            }
        });
        Ok(Self { process, output_lines: lines })
    }

    /// Returns its next line.
    pub(super) fn next_line(&mut self) -> String {
        self.output_lines.recv_timeout(TIMEOUT).expect("a line in time")
    }

    /// Kills it, and returns its remaining lines.
    pub(super) fn kill(mut self) -> Vec<String> {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
        let mut lines = Vec::new();
        while let Ok(line) = self.output_lines.recv_timeout(TIMEOUT) {
            lines.push(line);
        }
        lines
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn child_command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "faults::child_process", "--nocapture"])
        .env(ROLE_ENV, role)
        .env(FILE_ENV, path);
    command
}

/// The entry point of a [`ChildProcess`]. Does nothing in a test run.
#[test]
fn child_process() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE_ENV), std::env::var(FILE_ENV)) else { return };
    let path = PathBuf::from(path);
    match role.as_str() {
        "append" => super::crash::append_until_killed(&path),
        "hold" => {
            let _opened = TestMailbox::open(&path);
            println!("> opened");
            std::thread::park();
        }
        "limit" => append_until_file_limit(&path),
        _ => panic!("{role}"),
    }
}

#[test]
fn mailbox_in_use_is_refused_to_a_second_process() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut child = ChildProcess::start("hold", &path);
    child.next_line();
    let refusal = Mailbox::open(&path, || ()).expect_err("in use");
    assert!(refusal.contains(path.to_str().expect("text")), "{refusal}");
    assert!(refusal.contains("in use by another server"), "{refusal}");
    child.kill();
    drop(TestMailbox::open(&path));
}

#[test]
fn queued_requests_are_committed_in_one_transaction() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    // The mailbox thread stops in each wake call until the test resumes it.
    let (resume, resume_receiver) = channel();
    let (wake, wake_receiver) = channel();
    let wake_and_wait = move || {
        let _ = wake.send(());
        let _ = resume_receiver.recv();
    };
    let (mut mailbox, _) = Mailbox::open(&path, wake_and_wait).expect("a mailbox");
    // Dropped before the mailbox, so that a failing test does not leave the thread waiting.
    let resume = resume;
    let count_commits = || {
        let log = fs::read(with_suffix(&path, "-wal")).expect("the log");
        // The frame that commits a transaction has the size of the file.
        log[32..].chunks(24 + 4096).filter(|frame| frame[4..8] != [0; 4]).count()
    };
    mailbox.request(append(1, 7, b"first"));
    wake_receiver.recv_timeout(TIMEOUT).expect("appended");
    assert_eq!(mailbox.poll(), Some(appended(1)));
    let before = count_commits();
    for id in 2..1002 {
        mailbox.request(append(id, 7, &[b'x'; 100]));
    }
    resume.send(()).expect("waiting");
    wake_receiver.recv_timeout(TIMEOUT).expect("appended");
    assert_eq!(mailbox.poll(), Some(StoreReply::Appended((2..1002).map(MailId).collect())));
    assert_eq!(count_commits() - before, 1);
    // A batch is limited to one transaction of this size.
    let long = vec![b'x'; MAIL_TRANSACTION_BYTES_MAX / 4];
    for id in 1002..1010 {
        mailbox.request(append(id, 7, &long));
    }
    for first in [1002, 1006] {
        resume.send(()).expect("waiting");
        wake_receiver.recv_timeout(TIMEOUT).expect("appended");
        let ids = (first..first + 4).map(MailId).collect();
        assert_eq!(mailbox.poll(), Some(StoreReply::Appended(ids)));
        assert_eq!(mailbox.poll(), None);
    }
    drop(resume);
}

/// Appends to a file until its size limit makes the writes fail, which is not a full disk.
fn append_until_file_limit(path: &Path) {
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::clone(&caught)).expect("caught");
    let mut opened = TestMailbox::open(path);
    let limit = Rlimit { current: Some(300_000), maximum: Some(300_000) };
    setrlimit(Resource::Fsize, limit).expect("a limit");
    let mut id = 0;
    let error = loop {
        id += 1;
        opened.mailbox.request(append(id, 7, &[b'x'; 5000]));
        match opened.next_reply() {
            StoreReply::Appended(ids) => println!("> {}", ids[0].0),
            StoreReply::AppendFailed { ids, error } => {
                assert_eq!(ids, [MailId(id)]);
                break error;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opened.next_reply(), StoreReply::Failed(error.clone()));
    let requests = [
        StoreRequest::Fetch { serial: 1, to: WideId(7), after: MailId(0) },
        StoreRequest::Delete { to: WideId(7), ids: vec![MailId(1)] },
        append(id + 1, 7, b"late"),
    ];
    for request in requests {
        opened.mailbox.request(request);
    }
    // The other requests are not answered.
    assert_eq!(opened.next_reply(), StoreReply::AppendFailed { ids: vec![MailId(id + 1)], error });
    drop(opened);
    println!("> end");
}

#[test]
fn failed_write_stops_the_mailbox_and_loses_no_acknowledged_mail() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut child = ChildProcess::start("limit", &path);
    let mut last = 0;
    loop {
        match child.next_line().as_str() {
            "end" => break,
            id => last = id.parse().expect("an id"),
        }
    }
    assert!(last > 10);
    assert_eq!(ids(&TestMailbox::open(&path).fetch_all(7)), (1..=last).collect::<Vec<_>>());
}

#[test]
fn append_to_a_moved_file_fails() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let mut opened = TestMailbox::open(&path);
    assert_eq!(opened.round_trip(&[append(1, 7, b"one")]), [appended(1)]);
    fs::rename(&path, folder.path().join("elsewhere")).expect("moved");
    let error = "the file was moved or deleted".to_owned();
    opened.mailbox.request(append(2, 7, b"two"));
    assert_eq!(
        opened.next_reply(),
        StoreReply::AppendFailed { ids: vec![MailId(2)], error: error.clone() }
    );
    assert_eq!(opened.next_reply(), StoreReply::Failed(error));
}

#[test]
fn panic_of_the_store_thread_is_reported_to_pending_requests() {
    let folder = temp_dir();
    let path = folder.path().join("mail");
    let panic_once = Mutex::new(Some(()));
    let (wake, woken) = channel();
    let panicking = move || {
        let _ = wake.send(());
        assert!(panic_once.lock().is_ok_and(|mut once| once.take().is_none()), "on purpose");
    };
    let (mailbox, inventory) = Mailbox::open(&path, panicking).expect("a mailbox");
    let mut opened = TestMailbox { mailbox, inventory, wake_receiver: woken };
    opened.mailbox.request(append(1, 7, b"one"));
    assert_eq!(opened.next_reply(), appended(1));
    let error = "the mailbox thread panicked, which is a bug".to_owned();
    assert_eq!(opened.next_reply(), StoreReply::Failed(error.clone()));
    opened.mailbox.request(append(2, 7, b"two"));
    assert_eq!(opened.next_reply(), StoreReply::AppendFailed { ids: vec![MailId(2)], error });
    drop(opened);
    let mut opened = TestMailbox::open(&path);
    assert_eq!(ids(&opened.fetch_all(7)), [1]);
    assert_eq!(opened.round_trip(&[StoreRequest::DeleteAll { to: WideId(7) }]), [deleted(7, 1, 3)]);
}

#[test]
fn hanging_disk_does_not_block_shutdown() {
    for is_detached in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        // The mailbox thread does not end before `release` is dropped.
        let (release, release_receiver) = std::sync::mpsc::channel::<()>();
        let wake = move || {
            let _ = release_receiver.recv();
        };
        let (mut mailbox, _) = Mailbox::open(&folder.path().join("mail"), wake).expect("a mailbox");
        mailbox.request(StoreRequest::DeleteAll { to: WideId(8) });
        let start = Instant::now();
        if is_detached {
            mailbox.detach();
        }
        drop(mailbox);
        let elapsed = start.elapsed();
        assert_eq!(elapsed < MAIL_CLOSE_TIMEOUT, is_detached, "{elapsed:?}");
        drop(release);
    }
}
