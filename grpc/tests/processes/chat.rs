//! Chats between fixed ports.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::proto::chat::ChatMessage;
use crate::proto::chat::chat_client::ChatClient;
use crate::support::*;

fn start_chat(name: &str, own: &ReservedPort, peer: &ReservedPort) -> Program {
    let program = Program::start(&["chat", name, &own.port, &peer.port]);
    program.expect_line(WAITING_LINE);
    program
}

#[track_caller]
fn expect_welcome(own: &Program, own_name: &str, peer_name: &str) {
    own.expect_line(&format!("Welcome, {own_name}. You are chatting with {peer_name}."));
}

fn start_pair(one: &ReservedPort, two: &ReservedPort) -> (Program, Program) {
    let alice = start_chat("Alice", one, two);
    let bob = start_chat("Bob", two, one);
    expect_welcome(&alice, "Alice", "Bob");
    expect_welcome(&bob, "Bob", "Alice");
    (alice, bob)
}

#[test]
fn two_peers_exchange_messages_and_leave() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, mut bob) = start_pair(&one, &two);
    alice.type_line("Hello, Bob!");
    bob.expect_message("Alice> Hello, Bob!");
    bob.type_line("Grüße\u{1b}[2J \u{202e}");
    alice.expect_message("Bob> Grüße\\u{1b}[2J \\u{202e}");
    for number in 0..300 {
        alice.type_line(&format!("A{number}"));
        bob.type_line(&format!("B{number}"));
    }
    for number in 0..300 {
        bob.expect_message(&format!("Alice> A{number}"));
        alice.expect_message(&format!("Bob> B{number}"));
    }
    // Lines typed before the end of input are still delivered.
    alice.type_line("Bye");
    alice.exit_at_end_of_input();
    bob.expect_message("Alice> Bye");
    bob.expect_note("Alice is away");
    bob.expect_line(WAITING_LINE);
    bob.send_signal(Signal::INT);
    assert_eq!(bob.wait_for_exit_code(), Some(0));
}

#[test]
fn lines_typed_before_the_peer_connects_are_sent_when_it_does() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let mut alice = start_chat("Alice", &one, &two);
    for line in ["1", "", "2", "3"] {
        alice.type_line(line);
    }
    alice.close_stdin();
    let bob = start_chat("Bob", &two, &one);
    expect_welcome(&alice, "Alice", "Bob");
    assert_eq!(alice.wait_for_exit_code(), Some(0));
    // The messages may arrive before Bob has connected back.
    let messages =
        std::iter::repeat_with(|| bob.next_line()).filter(|line| !line.starts_with("Welcome"));
    for (expected, line) in ["1", "2", "3"].into_iter().zip(messages) {
        assert!(line.ends_with(&format!("] Alice> {expected}")), "{line}");
    }
}

#[test]
fn chat_without_a_peer_exits_0_at_end_of_input_or_sigterm() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    start_chat("Alice", &one, &two).exit_at_end_of_input();
    let mut alice = start_chat("Alice", &one, &two);
    alice.send_signal(Signal::TERM);
    assert_eq!(alice.wait_for_exit_code(), Some(0));
}

#[test]
fn peer_that_dies_is_reported_away_and_welcomed_on_return() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, bob) = start_pair(&one, &two);
    for round in 0..2 {
        if round == 0 {
            bob.send_signal(Signal::KILL);
        }
        alice.expect_note("Bob is away");
        alice.expect_line(WAITING_LINE);
        alice.type_line("Are you\tthere?");
        alice.expect_note("not delivered, Bob is away: Are you\\tthere?");
        let mut restarted_bob = start_chat("Bob", &two, &one);
        expect_welcome(&alice, "Alice", "Bob");
        expect_welcome(&restarted_bob, "Bob", "Alice");
        alice.type_line("Welcome back");
        restarted_bob.expect_message("Alice> Welcome back");
        restarted_bob.type_line("Here I am");
        alice.expect_message("Bob> Here I am");
        if round == 0 {
            restarted_bob.exit_at_end_of_input();
        } else {
            alice.exit_at_end_of_input();
            restarted_bob.expect_note("Alice is away");
            restarted_bob.expect_line(WAITING_LINE);
        }
    }
}

/// Run by `deadlines`.
pub(crate) fn unanswered_message_is_reported_undelivered() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, bob) = start_pair(&one, &two);
    bob.send_signal(Signal::STOP);
    alice.type_line("Anybody?");
    alice.expect_note("not delivered, no answer within 10 seconds: Anybody?");
    alice.expect_note("Bob is away");
    alice.expect_line(WAITING_LINE);
    bob.send_signal(Signal::CONT);
    expect_welcome(&alice, "Alice", "Bob");
    alice.type_line("Now");
    // The unanswered message may have been received nevertheless.
    let line = bob.next_line();
    if line.ends_with("] Alice> Anybody?") {
        bob.expect_message("Alice> Now");
    } else {
        assert!(line.ends_with("] Alice> Now"), "{line}");
    }
}

#[test]
fn peer_is_dialled_at_most_once_a_second() {
    let peer = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = peer.local_addr().expect("bound").port().to_string();
    let own = ReservedPort::new();
    let alice = Program::start(&["chat", "Alice", &own.port, &port]);
    alice.expect_line(WAITING_LINE);
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
fn message_from_any_grpc_client_is_shown_in_local_time() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let mut command = Command::new(env!("CARGO_BIN_EXE_crc-grpc"));
    command.args(["chat", "Bob", &one.port, &two.port]).env("TZ", "Asia/Tokyo");
    let bob = Program::spawn(&mut command);
    bob.expect_line(WAITING_LINE);
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
    bob.expect_line("[17:24] Alice> Hello, Bob!");
    bob.expect_line("[--:--] Alice> When?");
}

#[test]
fn line_longer_than_65536_bytes_is_rejected() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, bob) = start_pair(&one, &two);
    alice.type_line(&"x".repeat(70_000));
    alice.expect_note("not sent: a line has at most 65536 bytes");
    let longest = "y".repeat(65_536);
    alice.type_line(&longest);
    bob.expect_message(&format!("Alice> {longest}"));
}
