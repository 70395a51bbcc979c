//! Chats by ports.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::proto::chat::ChatMessage;
use crate::proto::chat::chat_client::ChatClient;
use crate::support::*;

fn start(name: &str, own: &Reserved, peer: &Reserved) -> Program {
    let program = Program::start(&["chat", name, &own.port, &peer.port]);
    program.shows(WAITING);
    program
}

#[track_caller]
fn welcome(own: &Program, own_name: &str, peer_name: &str) {
    own.shows(&format!("Welcome, {own_name}. You are chatting with {peer_name}."));
}

fn pair(one: &Reserved, two: &Reserved) -> (Program, Program) {
    let alice = start("Alice", one, two);
    let bob = start("Bob", two, one);
    welcome(&alice, "Alice", "Bob");
    welcome(&bob, "Bob", "Alice");
    (alice, bob)
}

#[test]
fn two_chat_and_leave() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let (mut alice, mut bob) = pair(&one, &two);
    alice.types("Hello, Bob!");
    bob.hears("Alice> Hello, Bob!");
    bob.types("Grüße\u{1b}[2J \u{202e}");
    alice.hears("Bob> Grüße\\u{1b}[2J \\u{202e}");
    for number in 0..300 {
        alice.types(&format!("A{number}"));
        bob.types(&format!("B{number}"));
    }
    for number in 0..300 {
        bob.hears(&format!("Alice> A{number}"));
        alice.hears(&format!("Bob> B{number}"));
    }
    // What was typed before the end is still delivered.
    alice.types("Bye");
    alice.leaves();
    bob.hears("Alice> Bye");
    bob.notes("Alice is away");
    bob.shows(WAITING);
    bob.signal(Signal::INT);
    assert_eq!(bob.ends(), Some(0));
}

#[test]
fn lines_typed_before_anybody_is_there_wait() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let mut alice = start("Alice", &one, &two);
    for line in ["1", "", "2", "3"] {
        alice.types(line);
    }
    alice.ends_input();
    let bob = start("Bob", &two, &one);
    welcome(&alice, "Alice", "Bob");
    assert_eq!(alice.ends(), Some(0));
    // All may have come before Bob has found her in turn.
    let said = std::iter::repeat_with(|| bob.line()).filter(|line| !line.starts_with("Welcome"));
    for (expected, line) in ["1", "2", "3"].into_iter().zip(said) {
        assert!(line.ends_with(&format!("] Alice> {expected}")), "{line}");
    }
}

#[test]
fn who_has_nothing_to_say_and_nobody_to_hear_leaves() {
    let (one, two) = (Reserved::new(), Reserved::new());
    start("Alice", &one, &two).leaves();
    let mut alice = start("Alice", &one, &two);
    alice.signal(Signal::TERM);
    assert_eq!(alice.ends(), Some(0));
}

#[test]
fn who_dies_is_missed_and_who_returns_is_welcome() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let (mut alice, bob) = pair(&one, &two);
    for round in 0..2 {
        if round == 0 {
            bob.signal(Signal::KILL);
        }
        alice.notes("Bob is away");
        alice.shows(WAITING);
        alice.types("Are you\tthere?");
        alice.notes("not delivered, Bob is away: Are you\\tthere?");
        let mut again = start("Bob", &two, &one);
        welcome(&alice, "Alice", "Bob");
        welcome(&again, "Bob", "Alice");
        alice.types("Welcome back");
        again.hears("Alice> Welcome back");
        again.types("Here I am");
        alice.hears("Bob> Here I am");
        if round == 0 {
            again.leaves();
        } else {
            alice.leaves();
            again.notes("Alice is away");
            again.shows(WAITING);
        }
    }
}

/// A part of `deadlines`.
pub(crate) fn what_is_not_answered_is_not_delivered() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let (mut alice, bob) = pair(&one, &two);
    bob.signal(Signal::STOP);
    alice.types("Anybody?");
    alice.notes("not delivered, no answer within 10 seconds: Anybody?");
    alice.notes("Bob is away");
    alice.shows(WAITING);
    bob.signal(Signal::CONT);
    welcome(&alice, "Alice", "Bob");
    alice.types("Now");
    // The question may still have been read when it was given up.
    let heard = bob.line();
    if heard.ends_with("] Alice> Anybody?") {
        bob.hears("Alice> Now");
    } else {
        assert!(heard.ends_with("] Alice> Now"), "{heard}");
    }
}

#[test]
fn nobody_is_dialled_more_than_once_a_second() {
    let peer = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = peer.local_addr().expect("bound").port().to_string();
    let own = Reserved::new();
    let alice = Program::start(&["chat", "Alice", &own.port, &port]);
    alice.shows(WAITING);
    let times = [(); 4].map(|()| {
        accept(&peer);
        Instant::now()
    });
    for pair in times.windows(2) {
        let between = pair[1] - pair[0];
        assert!(between > Duration::from_millis(900), "{between:?}");
        assert!(between < Duration::from_secs(5), "{between:?}");
    }
}

#[test]
fn times_are_local_and_messages_come_from_anybody() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let mut command = Command::new(env!("CARGO_BIN_EXE_crc-grpc"));
    command.args(["chat", "Bob", &one.port, &two.port]).env("TZ", "Asia/Tokyo");
    let bob = Program::run(&mut command);
    bob.shows(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let address = format!("http://127.0.0.1:{}", one.port);
        let endpoint = tonic::transport::Endpoint::from_shared(address).expect("an address");
        let channel = endpoint.connect().await.expect("it listens");
        let mut client = ChatClient::new(channel);
        let mut send = async |timestamp, body: String| {
            let message = ChatMessage { timestamp, sender: "Alice".to_owned(), body };
            client.send_message(message).await.map(drop).map_err(|status| status.code())
        };
        send(1_732_177_440, "Hello, Bob!".to_owned()).await.expect("taken");
        send(i64::MIN, "When?".to_owned()).await.expect("taken");
        let too_long = send(0, "x".repeat(1 << 20)).await;
        assert_eq!(too_long, Err(tonic::Code::OutOfRange));
    });
    bob.shows("[17:24] Alice> Hello, Bob!");
    bob.shows("[--:--] Alice> When?");
}

#[test]
fn lines_that_cannot_be_sent_are_refused() {
    let (one, two) = (Reserved::new(), Reserved::new());
    let (mut alice, bob) = pair(&one, &two);
    alice.types(&"x".repeat(70_000));
    alice.notes("not sent: a line has at most 65536 bytes");
    let longest = "y".repeat(65_536);
    alice.types(&longest);
    bob.hears(&format!("Alice> {longest}"));
}
