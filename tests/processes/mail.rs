//! Mail on disk: it survives kills of the server, and a file that is no mailbox is refused.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};

use crc::wires::direct::codec;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// A client of the direct wire.
struct DirectClient {
    stream: TcpStream,
    received: Vec<u8>,
}

impl DirectClient {
    /// Connects and takes `id`. Returns `None` if the server is killed meanwhile.
    fn connect(port: u16, id: i64) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(TIMEOUT)).ok()?;
        let mut direct = Self { stream, received: Vec::new() };
        direct.next_frame()?;
        let control = Some(codec::Control::DesiredId(id));
        let mut desire = Vec::new();
        codec::encode(&codec::Message { control, ..codec::Message::default() }, &mut desire);
        direct.stream.write_all(&desire).ok()?;
        match direct.next_message()?.control {
            Some(codec::Control::Handshake(handshake)) => {
                assert!(!handshake.error, "{id} is taken");
            }
            control => panic!("not an answer: {control:?}"),
        }
        Some(direct)
    }

    /// Returns the next frame, or `None` at the end of the stream.
    fn next_frame(&mut self) -> Option<Vec<u8>> {
        loop {
            let len = codec::frame_len(&self.received, 2 << 20).expect("a frame");
            if let Some(len) = len.filter(|&len| len <= self.received.len()) {
                return Some(self.received.drain(..len).collect());
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn next_message(&mut self) -> Option<codec::Message> {
        self.next_frame().map(|frame| codec::parse_frame(&frame).expect("a message"))
    }

    fn send(&mut self, to: i64, text: &str) -> bool {
        let mut frame = Vec::new();
        codec::encode_plain(0, to, text, &mut frame);
        self.stream.write_all(&frame).is_ok()
    }
}

fn start_with_mailbox(mailbox: &Path) -> Server {
    let mailbox = mailbox.to_str().expect("text");
    // More than these tests send, so that nothing is refused.
    let bound = ["--mail-messages", "1000000000"];
    let options = ["--id", "1", "--direct", "127.0.0.1:0", "--mailbox", mailbox];
    Server::start(&[options.as_slice(), &bound].concat())
}

/// Returns the number of waiting messages, or `None` if the server is gone.
fn waiting_messages(control: &Path) -> Option<u64> {
    let output = ctl(control, &["--json", "mail"]);
    let mail: Value = serde_json::from_slice(&output.stdout).ok()?;
    mail["messages"].as_u64()
}

#[test]
fn mail_survives_a_server_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mailbox = dir.path().join("mail");
    let server = start_with_mailbox(&mailbox);
    let mut seven = DirectClient::connect(server.port_of("direct"), 7).expect("alive");
    for number in 0..100 {
        assert!(seven.send(8, &number.to_string()));
    }
    assert!(seven.send(0, "kept"));
    assert_eq!(seven.next_message().expect("an echo").msg, "kept");
    assert_eq!(waiting_messages(&server.control()), Some(100), "what follows is handled after");
    drop(server); // with SIGKILL

    let server = start_with_mailbox(&mailbox);
    assert_eq!(waiting_messages(&server.control()), Some(100));
    let mut eight = DirectClient::connect(server.port_of("direct"), 8).expect("alive");
    for number in 0..100 {
        let message = eight.next_message().expect("mail");
        assert_eq!((message.from, message.msg), (7, number.to_string()));
    }
    eventually("the mailbox is empty", || {
        (waiting_messages(&server.control()) == Some(0)).then_some(())
    });
    drop((eight, server));
    let server = start_with_mailbox(&mailbox);
    assert_eq!(waiting_messages(&server.control()), Some(0));
}

#[test]
fn acknowledged_mail_survives_a_few_kills() {
    kill_at_random(10, 1);
}

/// `cargo test --release --test processes -- --ignored --nocapture thousand_kills`
#[test]
#[ignore = "takes minutes"]
fn acknowledged_mail_survives_a_thousand_kills() {
    kill_at_random(1000, rand::random());
}

/// What a round of [`kill_at_random`] found out before its server was killed.
struct Round {
    /// Numbers of the messages that were acknowledged.
    acknowledged: Vec<u64>,
    /// Numbers of the messages that arrived, in order.
    arrived: Vec<u64>,
    /// Whether waiting mail was seen on the control socket.
    has_seen_mail: bool,
}

/// Sends numbered messages to 8 until the server is killed; every tenth is followed by an echo,
/// whose number ends up in `echoed`.
fn send_until_killed(port: u16, next: &AtomicU64, echoed: &AtomicU64) -> Option<()> {
    let mut seven = DirectClient::connect(port, 7)?;
    let stream = seven.stream.try_clone().ok()?;
    let mut reader = DirectClient { stream, received: Vec::new() };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while let Some(echo) = reader.next_message() {
                echoed.store(echo.msg.parse().expect("a number"), Ordering::Relaxed);
            }
        });
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if !seven.send(8, &number.to_string())
                || (number.is_multiple_of(10) && !seven.send(0, &(number + 1).to_string()))
            {
                return Some(());
            }
        }
    })
}

/// Receives as 8 until the server is killed. Returns the numbers of the messages.
fn receive_until_killed(port: u16) -> Vec<u64> {
    let Some(mut eight) = DirectClient::connect(port, 8) else { return Vec::new() };
    let messages = std::iter::from_fn(|| eight.next_message());
    messages.map(|message| message.msg.parse().expect("a number")).collect()
}

/// Runs a server under load for a random time and kills it. `next` numbers the messages.
fn run_round(mailbox: &Path, next: &AtomicU64, rng: &mut StdRng) -> Round {
    let server = start_with_mailbox(mailbox);
    let (port, control) = (server.port_of("direct"), server.control());
    let before = waiting_messages(&control).expect("it has just started");
    let has_reader = rng.random_bool(0.5);
    let lifetime = Duration::from_micros(rng.random_range(0..150_000));
    let reader_delay = Duration::from_micros(rng.random_range(0..50_000));
    let first = next.load(Ordering::Relaxed);
    let echoed = AtomicU64::new(first);
    let (arrived, counted) = std::thread::scope(|scope| {
        scope.spawn(|| send_until_killed(port, next, &echoed));
        let reader = scope.spawn(|| {
            if !has_reader {
                return Vec::new();
            }
            std::thread::sleep(reader_delay);
            receive_until_killed(port)
        });
        let watcher = scope.spawn(|| {
            let counts = std::iter::from_fn(|| waiting_messages(&control));
            counts.max().unwrap_or(0)
        });
        std::thread::sleep(lifetime);
        server.send_signal(Signal::KILL);
        (reader.join().expect("no panic"), watcher.join().expect("no panic"))
    });
    let mut acknowledged: Vec<u64> = (first..echoed.load(Ordering::Relaxed)).collect();
    if !has_reader && counted > before {
        // The counted messages are the first of this round.
        acknowledged.extend(first..first + (counted - before));
    }
    Round { acknowledged, arrived, has_seen_mail: counted > 0 }
}

/// Checks that messages arrived in order, apart from duplicates. Returns the set of their numbers.
fn check_order(arrived: &[u64]) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    for &number in arrived {
        let latest = seen.last().copied();
        if seen.insert(number) {
            assert!(latest < Some(number), "{number} came after {latest:?}");
        }
    }
    seen
}

/// Kills the server at random times under load, in half of the rounds with a connected recipient.
/// Every message that an echo or the control socket acknowledged must arrive.
fn kill_at_random(rounds: u32, seed: u64) {
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let mailbox = dir.path().join("mail");
    let next = AtomicU64::new(0);
    let mut acknowledged = BTreeSet::new();
    let mut arrived: Vec<u64> = Vec::new();
    let mut rounds_with_mail = 0;
    for _ in 0..rounds {
        let round = run_round(&mailbox, &next, &mut rng);
        acknowledged.extend(round.acknowledged);
        arrived.extend(round.arrived);
        rounds_with_mail += u32::from(round.has_seen_mail);
    }
    let server = start_with_mailbox(&mailbox);
    let remaining = waiting_messages(&server.control()).expect("alive");
    let mut eight = DirectClient::connect(server.port_of("direct"), 8).expect("alive");
    for _ in 0..remaining {
        arrived.push(eight.next_message().expect("mail").msg.parse().expect("a number"));
    }
    eventually("the mailbox is empty", || {
        (waiting_messages(&server.control()) == Some(0)).then_some(())
    });

    let seen = check_order(&arrived);
    println!(
        "{rounds} kills, mail seen on the control socket in {rounds_with_mail}: {} messages \
         acknowledged, {} arrived, {} of them again",
        acknowledged.len(),
        arrived.len(),
        arrived.len() - seen.len()
    );
    let lost: Vec<_> = acknowledged.difference(&seen).collect();
    assert!(lost.is_empty(), "{} lost, from {:?}", lost.len(), lost.first());
    assert!(!acknowledged.is_empty(), "no message was acknowledged");
}

#[test]
fn server_refuses_a_foreign_mailbox_file_and_leaves_it_unchanged() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("letters");
    fs::write(&path, "Dear Frodo,\n").expect("written");
    let output = Command::new(CRC)
        .args(["server", "--listen", "127.0.0.1:0", "--mailbox"])
        .arg(&path)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"", "no listener was opened");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains(path.to_str().expect("text")), "{error}");
    assert_eq!(fs::read(&path).expect("there"), b"Dear Frodo,\n");
}

#[test]
fn memory_mailbox_is_logged_once_at_startup() {
    let memory = Server::start(&["--direct", "127.0.0.1:0"]);
    memory.wait_for_log("wait in memory");
    assert_eq!(fs::read_to_string(&memory.log).expect("a log").matches("in memory").count(), 1);
    let dir = tempfile::tempdir().expect("a folder");
    let disk = start_with_mailbox(&dir.path().join("mail"));
    assert!(!fs::read_to_string(&disk.log).expect("a log").contains("in memory"));
}

#[test]
fn mail_command_lists_and_drops_waiting_mail() {
    let server = Server::start(&["--id", "1", "--direct", "127.0.0.1:0", "--mail-messages", "2"]);
    let ctl_output = |words: &[&str]| {
        let output = server.ctl(words);
        String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
    };
    assert_eq!(ctl_output(&["mail"]), "0 messages wait, 0 bytes\n");
    let mut seven = DirectClient::connect(server.port_of("direct"), 7).expect("alive");
    for to in [9, 8, 9, 9] {
        assert!(seven.send(to, "Hi"));
    }
    assert!(seven.send(0, "all"));
    let refusal = "not kept for 9: 2 messages wait for that id already";
    assert_eq!(seven.next_message().expect("a refusal").msg, refusal);
    assert_eq!(seven.next_message().expect("an echo").msg, "all");
    let table = "3 messages wait, 198 bytes; 1 were refused\nid  messages  bytes\n 8         1     66\n 9         2    132\n";
    assert_eq!(ctl_output(&["mail"]), table);
    server.wait_for_log("a message to 9 is refused");
    assert_eq!(ctl_output(&["mail", "drop", "9"]), "dropped 2 messages for 9\n");
    eventually("dropped", || {
        ctl_output(&["mail"]).starts_with("1 message waits, 66 bytes").then_some(())
    });
    assert_eq!(ctl_output(&["mail", "drop", "9"]), "dropped 0 messages for 9\n");
    assert!(ctl_output(&["mail", "drop", "sam"]).contains("write `mail drop ID`"));
    assert!(ctl_output(&["mail", "lose"]).contains("write `mail` or `mail drop ID`"));
    assert_eq!(
        ctl_output(&["--json", "mail"]),
        "{\"messages\":1,\"bytes\":66,\"refused\":1,\"waiting\":[{\"id\":8,\"messages\":1,\"bytes\":66}]}\n"
    );
    let users = ctl_output(&["users"]);
    assert!(users.contains(" 7  7     direct  here  direct"), "{users}");
    assert!(ctl_output(&["num_users"]).starts_with("1 "));
}
