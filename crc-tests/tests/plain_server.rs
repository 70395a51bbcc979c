//! `crc-tests plain-server` as a process: it serves over TCP until a habit ends it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crc::relay::message::HostKind;
use crc_tests::frames::{chat, registration, server_quit, status, user};

/// A plain server, killed when this value is dropped.
struct PlainProcess {
    child: Child,
    address: String,
}

impl PlainProcess {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crc-tests"))
            .args(["plain-server", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("crc-tests runs");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.strip_prefix("listening crc ").expect("the listener").trim().to_owned();
        Self { child, address }
    }

    fn connect(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("a listener");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(bytes).expect("a connection");
        stream
    }

    /// Waits for the end, and returns the exit code and the standard error.
    fn wait(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().expect("an end");
        let mut text = String::new();
        self.child.stderr.as_mut().expect("a pipe").read_to_string(&mut text).expect("a text");
        (status.code(), text)
    }
}

impl Drop for PlainProcess {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads until the last received bytes are `expected`.
fn wait_for(stream: &mut TcpStream, expected: &[u8]) {
    let (mut received, mut byte) = (Vec::new(), [0]);
    while !received.ends_with(expected) {
        stream.read_exact(&mut byte).expect("the expected bytes in time");
        received.push(byte[0]);
    }
}

#[test]
fn child_and_parent_process_exchange_registrations_and_chats() {
    let parent = PlainProcess::start(&["--id=1", "--name=one", "--preset=B"]);
    let mut bob = parent.connect(&user(101, "bob", ""));
    wait_for(&mut bob, &status(1, 0, 1, "Welcome to the Clemson Relay Chat network bob"));
    let parent_argument = format!("--parent={}", parent.address);
    let child = PlainProcess::start(&["--id=2", "--name=two", &parent_argument]);
    let mut sam = child.connect(&user(102, "sam", ""));
    wait_for(&mut sam, &status(2, 0, 0, "Welcome to the Clemson Relay Chat network sam"));
    wait_for(&mut sam, &registration(HostKind::User, 101, 2, "bob", ""));
    sam.write_all(&chat(102, 101, "Hi")).expect("a connection");
    wait_for(&mut bob, &chat(102, 101, "Hi"));
}

#[test]
fn habit_that_ends_the_program_gives_exit_code_3_and_the_reason() {
    let mut plain = PlainProcess::start(&["--id=1", "--name=one", "--habit=ends-on-server-quit"]);
    let _connection = plain.connect(&server_quit(2, 1, "bye"));
    assert_eq!(plain.wait(), (Some(3), "plain-server: type 0x02\n".to_owned()));
}

#[test]
fn unknown_habit_is_wrong_usage() {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_crc-tests"))
        .args(["plain-server", "--listen=127.0.0.1:0", "--id=1", "--name=one", "--habit=sings"])
        .output()
        .expect("crc-tests runs");
    assert_eq!(status.code(), Some(2));
    let text = String::from_utf8_lossy(&stderr);
    assert!(text.contains("there is no habit sings"), "{text}");
}
