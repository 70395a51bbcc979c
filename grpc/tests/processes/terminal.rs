//! What a person at a terminal sees.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use crate::support::*;

/// A program whose standard input, output and error are one terminal.
struct Terminal {
    child: Child,
    keys: File,
    tty: OwnedFd,
    shown: Receiver<Vec<u8>>,
    screen: String,
}

impl Terminal {
    fn start(words: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = open(&name, flags, Mode::empty()).expect("its other end");
        let other_end = || Stdio::from(tty.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_crc-grpc"))
            .args(words)
            .env("TERM", "xterm")
            .stdin(other_end())
            .stdout(other_end())
            .stderr(other_end())
            .spawn()
            .expect("it starts");
        let keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, shown) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, tty, shown, screen: String::new() }
    }

    /// Waits until the editor reads the keys. Before, and between two lines, it is the system that
    /// echoes them, and to it Ctrl-C and Ctrl-D mean something else.
    #[track_caller]
    fn edits(&self) {
        until("the editor has the terminal", || !self.modes().contains(LocalModes::ICANON));
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.tty).expect("a terminal").local_modes
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Waits for a text, and answers with what came before it since the last one.
    #[track_caller]
    fn shows(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((before, after)) = self.screen.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.screen = after;
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.shown.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.screen));
            self.screen.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Waits for its end, with the terminal as it was.
    #[track_caller]
    fn ends(&mut self) {
        assert_eq!(end(&mut self.child).code(), Some(0));
        assert!(self.modes().contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_comes_does_not_tear_what_is_typed() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let mut alice = Terminal::start(&["chat", "Alice", &one.port, &two.port]);
    alice.shows(WAITING);
    let mut bob = Program::start(&["chat", "Bob", &two.port, &one.port]);
    bob.shows(WAITING);
    alice.shows("Welcome, Alice. You are chatting with Bob.");
    bob.shows("Welcome, Bob. You are chatting with Alice.");

    alice.edits();
    alice.types("half a li");
    alice.shows("half a li");
    bob.types("Hello");
    let before = alice.shows("] Bob> Hello");
    let (before, _time) = before.rsplit_once('[').expect("a time");
    assert!(before.ends_with("\r\u{1b}[K"), "no line of its own: {before:?}");
    alice.shows("half a li");
    alice.types("nne\u{7f}\u{7f}e\r");
    bob.hears("Alice> half a line");
    alice.types("\u{1b}[A\r");
    bob.hears("Alice> half a line");

    alice.edits();
    alice.types("never sent");
    alice.shows("never sent");
    alice.types("\u{3}");
    alice.ends();
    bob.notes("Alice is away");
    bob.shows(WAITING);
}

#[test]
fn the_terminal_is_given_back_whatever_ends_the_chat() {
    for ending in ["Ctrl-D", "SIGTERM", "SIGINT", "search"] {
        let (one, two) = (Reserved::new(), Reserved::new());
        let mut alice = Terminal::start(&["chat", "Alice", &one.port, &two.port]);
        alice.shows(WAITING);
        alice.edits();
        alice.types("begun");
        alice.shows("begun");
        let pid = Pid::from_child(&alice.child);
        match ending {
            "Ctrl-D" => alice.types("\u{15}\u{4}"),
            "SIGTERM" => kill_process(pid, Signal::TERM).expect("it is there"),
            "SIGINT" => kill_process(pid, Signal::INT).expect("it is there"),
            _ => {
                alice.types("\r\u{12}");
                alice.shows("search");
                kill_process(pid, Signal::TERM).expect("it is there");
            }
        }
        alice.ends();
    }
}
