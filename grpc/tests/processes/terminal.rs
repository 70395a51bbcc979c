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
    chunks: Receiver<Vec<u8>>,
    unmatched: String,
}

impl Terminal {
    fn start(arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let tty = open(&name, flags, Mode::empty()).expect("its other end");
        let other_end = || Stdio::from(tty.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_crc-grpc"))
            .args(arguments)
            .env("TERM", "xterm")
            .stdin(other_end())
            .stdout(other_end())
            .stderr(other_end())
            .spawn()
            .expect("it starts");
        let keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, tty, chunks, unmatched: String::new() }
    }

    /// Waits until the editor reads the keys. Before, and between two lines, it is the system that
    /// echoes them, and to it Ctrl-C and Ctrl-D mean something else.
    #[track_caller]
    fn wait_for_editor(&self) {
        wait_until("the editor has the terminal", || {
            !self.local_modes().contains(LocalModes::ICANON)
        });
    }

    fn local_modes(&self) -> LocalModes {
        tcgetattr(&self.tty).expect("a terminal").local_modes
    }

    fn type_keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads");
    }

    /// Waits for a text, and answers with what came before it since the last one.
    #[track_caller]
    fn expect_text(&mut self, text: &str) -> String {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some((before, after)) = self.unmatched.split_once(text) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.unmatched = after;
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let more = self.chunks.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.unmatched));
            self.unmatched.push_str(&String::from_utf8_lossy(&more));
        }
    }

    /// Waits for its end, with the terminal as it was.
    #[track_caller]
    fn expect_exit(&mut self) {
        assert_eq!(wait_for_exit(&mut self.child).code(), Some(0));
        assert!(
            self.local_modes().contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn received_message_does_not_tear_the_typed_line() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let mut alice = Terminal::start(&["chat", "Alice", &one.port, &two.port]);
    alice.expect_text(WAITING);
    let mut bob = Program::start(&["chat", "Bob", &two.port, &one.port]);
    bob.shows(WAITING);
    alice.expect_text("Welcome, Alice. You are chatting with Bob.");
    bob.shows("Welcome, Bob. You are chatting with Alice.");

    alice.wait_for_editor();
    alice.type_keys("half a li");
    alice.expect_text("half a li");
    bob.type_line("Hello");
    let before = alice.expect_text("] Bob> Hello");
    let (before, _time) = before.rsplit_once('[').expect("a time");
    assert!(before.ends_with("\r\u{1b}[K"), "no line of its own: {before:?}");
    alice.expect_text("half a li");
    alice.type_keys("nne\u{7f}\u{7f}e\r");
    bob.expect_message("Alice> half a line");
    alice.type_keys("\u{1b}[A\r");
    bob.expect_message("Alice> half a line");

    alice.wait_for_editor();
    alice.type_keys("never sent");
    alice.expect_text("never sent");
    alice.type_keys("\u{3}");
    alice.expect_exit();
    bob.expect_note("Alice is away");
    bob.shows(WAITING);
}

#[test]
fn terminal_modes_are_restored_on_every_exit() {
    for ending in ["Ctrl-D", "SIGTERM", "SIGINT", "search"] {
        let (one, two) = (Reserved::new(), Reserved::new());
        let mut alice = Terminal::start(&["chat", "Alice", &one.port, &two.port]);
        alice.expect_text(WAITING);
        alice.wait_for_editor();
        alice.type_keys("begun");
        alice.expect_text("begun");
        let pid = Pid::from_child(&alice.child);
        match ending {
            "Ctrl-D" => alice.type_keys("\u{15}\u{4}"),
            "SIGTERM" => kill_process(pid, Signal::TERM).expect("it is there"),
            "SIGINT" => kill_process(pid, Signal::INT).expect("it is there"),
            _ => {
                alice.type_keys("\r\u{12}");
                alice.expect_text("search");
                kill_process(pid, Signal::TERM).expect("it is there");
            }
        }
        alice.expect_exit();
    }
}
