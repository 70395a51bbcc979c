//! A second process, a file that takes no more, a file that is gone, many requests at once.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crc::limits::{MAIL_CLOSE_WAIT, MAIL_ROUND_BYTES_MAX};
use crc::mail::{MailId, Reply, Request};
use crc::mailbox::Mailbox;
use crc::relay::message::WideId;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use super::{Opened, PATIENCE, beside, folder, ids, keep, kept, removed};

/// What the child does, and the file it does it to.
const ROLE: &str = "CRC_TEST_MAILBOX_ROLE";
const FILE: &str = "CRC_TEST_MAILBOX_FILE";

/// This program once more, as [`child`] with a role. It is killed when it is dropped.
pub(super) struct Child {
    process: std::process::Child,
    lines: Receiver<String>,
}

impl Child {
    pub(super) fn start(role: &str, path: &Path) -> Self {
        Self::spawn(command(role, path)).expect("started")
    }

    pub(super) fn spawn(mut command: Command) -> std::io::Result<Self> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            // The harness says something before and after.
            let said = output.lines().map_while(Result::ok).filter_map(|line| {
                let start = line.find("> ")?;
                Some(line[start + 2..].to_owned())
            });
            for line in said {
                let _ = sender.send(line);
            }
        });
        Ok(Self { process, lines })
    }

    /// The next it says.
    pub(super) fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the child speaks")
    }

    /// Kills it, and answers what it had said.
    pub(super) fn kill(mut self) -> Vec<String> {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            lines.push(line);
        }
        lines
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn command(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "trouble::child", "--nocapture"]).env(ROLE, role).env(FILE, path);
    command
}

/// Not a test, but what [`Child`] runs.
#[test]
fn child() {
    let (Ok(role), Ok(path)) = (std::env::var(ROLE), std::env::var(FILE)) else { return };
    let path = PathBuf::from(path);
    match role.as_str() {
        "keep" => super::crash::keep_until_killed(&path),
        "hold" => {
            let _opened = Opened::disk(&path);
            println!("> opened");
            std::thread::park();
        }
        "open" => println!("> {}", Mailbox::disk(&path, || ()).expect_err("refused")),
        "limit" => reach_the_limit(&path),
        _ => panic!("{role}"),
    }
}

#[test]
fn a_file_has_one_server() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut child = Child::start("hold", &path);
    child.line();
    let refusal = Mailbox::disk(&path, || ()).expect_err("it has a server");
    assert!(refusal.contains(path.to_str().expect("text")), "{refusal}");
    assert!(refusal.contains("in use by another server"), "{refusal}");
    child.kill();
    drop(Opened::disk(&path));
}

#[test]
fn many_requests_at_once_are_one_transaction() {
    let folder = folder();
    let path = folder.path().join("mail");
    // The store's thread stops wherever it says that it has something, until it may go on.
    let (go, may_go) = channel();
    let (wake, woken) = channel();
    let wait = move || {
        let _ = wake.send(());
        let _ = may_go.recv();
    };
    let (mut mailbox, _) = Mailbox::disk(&path, wait).expect("a mailbox");
    // If this test fails, the thread must not be left waiting.
    let go = go;
    let commits = || {
        let log = fs::read(beside(&path, "-wal")).expect("the log");
        // A frame that ends a transaction says how long the file is after it.
        log[32..].chunks(24 + 4096).filter(|frame| frame[4..8] != [0; 4]).count()
    };
    mailbox.request(keep(1, 7, b"first"));
    woken.recv_timeout(PATIENCE).expect("kept");
    assert_eq!(mailbox.poll(), Some(kept(1)));
    let before = commits();
    for id in 2..1002 {
        mailbox.request(keep(id, 7, &[b'x'; 100]));
    }
    go.send(()).expect("it waits");
    woken.recv_timeout(PATIENCE).expect("kept");
    assert_eq!(mailbox.poll(), Some(Reply::Kept((2..1002).map(MailId).collect())));
    assert_eq!(commits() - before, 1);
    // What is too much for one is several.
    let long = vec![b'x'; MAIL_ROUND_BYTES_MAX / 4];
    for id in 1002..1010 {
        mailbox.request(keep(id, 7, &long));
    }
    for first in [1002, 1006] {
        go.send(()).expect("it waits");
        woken.recv_timeout(PATIENCE).expect("kept");
        let ids = (first..first + 4).map(MailId).collect();
        assert_eq!(mailbox.poll(), Some(Reply::Kept(ids)));
        assert_eq!(mailbox.poll(), None);
    }
    drop(go);
}

/// A file that takes no more bytes, but not because the disk is full: the writes fail.
fn reach_the_limit(path: &Path) {
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::XFSZ.as_raw(), Arc::clone(&caught)).expect("caught");
    let mut opened = Opened::disk(path);
    let limit = Rlimit { current: Some(300_000), maximum: Some(300_000) };
    setrlimit(Resource::Fsize, limit).expect("a limit");
    let mut id = 0;
    let error = loop {
        id += 1;
        opened.mailbox.request(keep(id, 7, &[b'x'; 5000]));
        match opened.next() {
            Reply::Kept(ids) => println!("> {}", ids[0].0),
            Reply::NotKept { ids, error } => {
                assert_eq!(ids, [MailId(id)]);
                break error;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opened.next(), Reply::Failed(error.clone()));
    let requests = [
        Request::Collect { serial: 1, to: WideId(7), after: MailId(0) },
        Request::Forget { to: WideId(7), ids: vec![MailId(1)] },
        keep(id + 1, 7, b"late"),
    ];
    for request in requests {
        opened.mailbox.request(request);
    }
    // The others are not answered.
    assert_eq!(opened.next(), Reply::NotKept { ids: vec![MailId(id + 1)], error });
    drop(opened);
    println!("> end");
}

#[test]
fn a_write_that_fails_ends_the_mailbox_and_loses_nothing() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut child = Child::start("limit", &path);
    let mut last = 0;
    loop {
        match child.line().as_str() {
            "end" => break,
            id => last = id.parse().expect("an id"),
        }
    }
    assert!(last > 10);
    assert_eq!(ids(&Opened::disk(&path).collect(7)), (1..=last).collect::<Vec<_>>());
}

#[test]
fn nothing_is_kept_in_a_file_that_is_gone() {
    let folder = folder();
    let path = folder.path().join("mail");
    let mut opened = Opened::disk(&path);
    assert_eq!(opened.ask(&[keep(1, 7, b"one")]), [kept(1)]);
    fs::rename(&path, folder.path().join("elsewhere")).expect("moved");
    let error = "the file was moved or deleted".to_owned();
    opened.mailbox.request(keep(2, 7, b"two"));
    assert_eq!(opened.next(), Reply::NotKept { ids: vec![MailId(2)], error: error.clone() });
    assert_eq!(opened.next(), Reply::Failed(error));
}

#[test]
fn a_fault_of_the_thread_is_told_to_those_who_wait() {
    let folder = folder();
    let path = folder.path().join("mail");
    let once = Mutex::new(Some(()));
    let (wake, woken) = channel();
    let panicking = move || {
        let _ = wake.send(());
        assert!(once.lock().is_ok_and(|mut once| once.take().is_none()), "on purpose");
    };
    let (mailbox, inventory) = Mailbox::disk(&path, panicking).expect("a mailbox");
    let mut opened = Opened { mailbox, inventory, woken };
    opened.mailbox.request(keep(1, 7, b"one"));
    assert_eq!(opened.next(), kept(1));
    let error = "a fault of this program".to_owned();
    assert_eq!(opened.next(), Reply::Failed(error.clone()));
    opened.mailbox.request(keep(2, 7, b"two"));
    assert_eq!(opened.next(), Reply::NotKept { ids: vec![MailId(2)], error });
    drop(opened);
    let mut opened = Opened::disk(&path);
    assert_eq!(ids(&opened.collect(7)), [1]);
    assert_eq!(opened.ask(&[Request::Drop { to: WideId(7) }]), [removed(7, 1, 3)]);
}

#[test]
fn a_disk_that_hangs_does_not_keep_the_server_from_ending() {
    for is_hurried in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        // The store's thread is in the middle of something for as long as this test lives.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let wake = move || {
            let _ = ended.recv();
        };
        let (mut mailbox, _) = Mailbox::disk(&folder.path().join("mail"), wake).expect("a mailbox");
        mailbox.request(Request::Drop { to: WideId(8) });
        let begin = Instant::now();
        if is_hurried {
            mailbox.give_up();
        }
        drop(mailbox);
        let took = begin.elapsed();
        assert_eq!(took < MAIL_CLOSE_WAIT, is_hurried, "{took:?}");
        drop(end);
    }
}
