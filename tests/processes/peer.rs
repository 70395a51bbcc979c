//! `crc peer`: real processes that find each other, talk, die and come back.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::support::{CRC, TIMEOUT, eventually};

/// A running peer, ended with the test.
struct PeerProcess {
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    /// All events received.
    events_seen: Vec<Value>,
    address: String,
    log: PathBuf,
    _dir: tempfile::TempDir,
}

impl PeerProcess {
    fn start(address: &str, id: i64, peers: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = dir.path().join("log");
        let id = id.to_string();
        let mut child = Command::new(CRC)
            .args(["peer", address, "--desired-id", &id, "--json"])
            .args(peers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("the peer starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an object a line");
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        let address = eventually("it listens", || {
            let log = fs::read_to_string(&log).expect("a log");
            let (_, rest) = log.split_once("listening peer ")?;
            Some(rest.split_once('\n')?.0.trim().to_owned())
        });
        Self { child, stdin, events, events_seen: Vec::new(), address, log, _dir: dir }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// Waits for an event.
    #[track_caller]
    fn expect_event(&mut self, event: &Value) {
        let deadline = Instant::now() + TIMEOUT;
        while !self.events_seen.contains(event) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => self.events_seen.push(event),
                Err(_) => {
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    panic!("never {event}: {:#?}\n{log}", self.events_seen);
                }
            }
        }
    }

    fn count(&mut self, event: &Value) -> usize {
        self.events_seen.extend(self.events.try_iter());
        self.events_seen.iter().filter(|seen| *seen == event).count()
    }

    fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ends");
    }
}

impl Drop for PeerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn chat(from: i64, to: i64, text: &str) -> Value {
    json!({"event": "chat", "from": from, "to": to, "text": text})
}

fn receipt(from: i64) -> Value {
    json!({"event": "receipt", "from": from})
}

fn peer_event(id: i64) -> Value {
    json!({"event": "peer", "id": id})
}

#[test]
fn chats_in_a_ring_of_peers_survive_the_loss_of_one() {
    let mut one = PeerProcess::start("127.0.0.1:0", 1, &[]);
    let mut two = PeerProcess::start("127.0.0.1:0", 2, &[&one.address]);
    let three = PeerProcess::start("127.0.0.1:0", 3, &[&two.address]);
    let mut four = PeerProcess::start("127.0.0.1:0", 4, &[&three.address, &one.address]);
    one.expect_event(&json!({"event": "ready", "id": 1}));
    for id in [2, 3, 4] {
        one.expect_event(&peer_event(id));
    }
    four.type_line("2 Hi there!");
    two.expect_event(&chat(4, 2, "Hi there!"));
    four.expect_event(&receipt(2));
    three.kill();
    four.type_line("2 Still there?");
    two.expect_event(&chat(4, 2, "Still there?"));
    two.type_line("4 Yes");
    four.expect_event(&chat(2, 4, "Yes"));
    assert_eq!(two.count(&chat(4, 2, "Still there?")), 1);
}

#[test]
fn peers_talk_in_a_room() {
    let any = "127.0.0.1:0";
    let mut one = PeerProcess::start(any, 1, &[]);
    let mut two = PeerProcess::start(any, 2, &[&one.address]);
    let mut three = PeerProcess::start(any, 3, &[&two.address]);
    for (peer, other) in [(&mut one, 3), (&mut three, 1)] {
        peer.expect_event(&peer_event(other));
        peer.type_line("/join #lab");
    }
    one.expect_event(&json!({"event": "room_join", "room": "#lab", "id": 1, "name": "1"}));
    three.expect_event(&json!({"event": "room_join", "room": "#lab", "id": 3, "name": "3"}));
    one.type_line("Hi all!");
    let message = json!({"event": "room", "room": "#lab", "from": 1, "text": "Hi all!"});
    three.expect_event(&message);
    two.type_line("#lab let me in");
    let why = "#lab: you are not in this room; join it first";
    two.expect_event(&json!({"event": "error", "text": why}));
    three.type_line("/part");
    three.expect_event(&json!({"event": "room_part", "room": "#lab", "id": 3, "name": "3"}));
    one.type_line("anybody?");
    one.type_line("3 are you there?");
    three.expect_event(&chat(1, 3, "are you there?"));
    for peer in [&mut two, &mut three] {
        let is_second = |event: &&Value| event["text"] == "anybody?";
        assert_eq!(peer.events_seen.iter().filter(is_second).count(), 0);
    }
}

#[test]
fn retained_chats_reach_a_late_peer_and_a_restarted_peer_is_redialled() {
    let mut one = PeerProcess::start("127.0.0.1:0", 1, &[]);
    let mut two = PeerProcess::start("127.0.0.1:0", 2, &[&one.address]);
    one.expect_event(&peer_event(2));
    for text in ["9 first", "9 second", "x what", "-1 no"] {
        one.type_line(text);
    }
    one.expect_event(
        &json!({"event": "error", "text": "x is not an id: write the number of a peer, see /list"}),
    );
    one.expect_event(&json!({"event": "error", "text": "-1 is not an id: they are positive"}));
    one.type_line("2 fence");
    one.expect_event(&receipt(2)); // so that all earlier chats have arrived as well
    two.type_line("9 third");
    // The first is killed; the second keeps its messages and dials it again and again.
    let address = one.address.clone();
    one.kill();
    let mut one = PeerProcess::start(&address, 1, &[]);
    one.expect_event(&peer_event(2));
    let mut nine = PeerProcess::start("127.0.0.1:0", 9, &[&one.address]);
    for (from, text) in [(1, "first"), (1, "second"), (2, "third")] {
        nine.expect_event(&chat(from, 9, text));
    }
    let position = |text| nine.events_seen.iter().position(|event| *event == chat(1, 9, text));
    assert!(position("first") < position("second"));
    two.expect_event(&receipt(9));
}

#[test]
fn peer_with_a_taken_id_gets_an_assigned_id() {
    let one = PeerProcess::start("127.0.0.1:0", 5, &[]);
    let mut two = PeerProcess::start("127.0.0.1:0", 5, &[&one.address]);
    let assigned = eventually("it has an id", || {
        two.events_seen.extend(two.events.try_iter());
        two.events_seen.iter().find(|event| event["event"] == "ready")?["id"].as_i64()
    });
    assert!(assigned > 1 << 50, "{assigned}");
    let text = format!("id 5 is taken: this peer is {assigned}");
    assert_eq!(two.events_seen[0], json!({"event": "error", "text": text}));
    let mut explain = Command::new(CRC);
    explain.args(["peer", "--explain-id", &assigned.to_string()]);
    let explained = explain.output().expect("it runs");
    let hash = crc::peer::id::assigner_hash(5);
    let shown = String::from_utf8(explained.stdout).expect("text");
    assert!(shown.contains(&format!("assigner hash: 0x{hash:04x}")), "{shown}");
}

/// Unread output does not stop a peer from serving others, and none of it is lost.
#[test]
fn unread_peer_events_do_not_block_other_peers() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address").to_string();
    drop(port);
    let mut middle = Command::new(CRC)
        .args(["peer", &address, "--desired-id", "2", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the peer starts");
    let mut one = PeerProcess::start("127.0.0.1:0", 1, &[&address]);
    let mut three = PeerProcess::start("127.0.0.1:0", 3, &[&address]);
    one.expect_event(&peer_event(2));
    one.expect_event(&peer_event(3));
    let long = "x".repeat(1000);
    for _ in 0..1000 {
        one.type_line(&format!("2 {long}")); // more than a pipe holds
    }
    one.type_line("3 past you");
    three.expect_event(&chat(1, 3, "past you"));
    one.expect_event(&receipt(3));
    kill_process(Pid::from_child(&middle), Signal::TERM).expect("it runs");
    // It is read now, all of it.
    let events = BufReader::new(middle.stdout.take().expect("piped")).lines();
    let events = events.map(|line| line.expect("text"));
    assert_eq!(events.filter(|event| event.contains(&long)).count(), 1000);
    let status = eventually("it ends", || middle.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn peer_ignores_end_of_input_and_exits_on_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut one = PeerProcess::start("127.0.0.1:0", 1, &[]);
        one.expect_event(&json!({"event": "ready", "id": 1}));
        one.stdin = None; // its input has ended
        let mut two = PeerProcess::start("127.0.0.1:0", 2, &[&one.address]);
        two.type_line("1 Hi");
        two.expect_event(&receipt(1));
        kill_process(Pid::from_child(&one.child), signal).expect("it runs");
        let status = eventually("it ends", || one.child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
}
