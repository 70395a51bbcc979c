//! The line editor of `crc-grpc chat` on a pseudo-terminal.

use std::process::Command;

use crc_tests::pty::PtyProgram;
use rustix::process::Signal;

use crate::support::*;

/// Starts Alice's chat on a pseudo-terminal, and waits until it waits for its peer.
fn start_alice(own: &ReservedPort, peer: &ReservedPort) -> PtyProgram {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crc-grpc"));
    let mut alice = PtyProgram::start(command.args(["chat", "Alice", &own.port, &peer.port]));
    alice.expect_text(WAITING_LINE);
    alice
}

/// Starts Alice's chat on a pseudo-terminal and Bob's without one, and waits until both are
/// connected.
fn start_pair(one: &ReservedPort, two: &ReservedPort) -> (PtyProgram, Program) {
    let mut alice = start_alice(one, two);
    let bob = Program::start(&["chat", "Bob", &two.port, &one.port]);
    bob.expect_line(WAITING_LINE);
    alice.expect_text("Welcome, Alice. You are chatting with Bob.");
    bob.expect_line("Welcome, Bob. You are chatting with Alice.");
    (alice, bob)
}

#[test]
fn received_message_does_not_tear_the_typed_line() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, mut bob) = start_pair(&one, &two);

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
    bob.expect_line(WAITING_LINE);
}

#[test]
fn terminal_modes_are_restored_on_every_exit() {
    for ending in ["Ctrl-D", "SIGTERM", "SIGINT", "search"] {
        let (one, two) = (ReservedPort::new(), ReservedPort::new());
        let mut alice = start_alice(&one, &two);
        alice.wait_for_editor();
        alice.type_keys("begun");
        alice.expect_text("begun");
        match ending {
            "Ctrl-D" => alice.type_keys("\u{15}\u{4}"),
            "SIGTERM" => alice.send_signal(Signal::TERM),
            "SIGINT" => alice.send_signal(Signal::INT),
            _ => {
                alice.type_keys("\r\u{12}");
                alice.expect_text("search");
                alice.send_signal(Signal::TERM);
            }
        }
        alice.expect_exit();
    }
}

#[test]
fn stopped_chat_redraws_the_typed_line_when_continued() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, mut bob) = start_pair(&one, &two);
    for stop in ["\u{1a}", "SIGTSTP", "SIGSTOP"] {
        alice.wait_for_editor();
        alice.type_keys("half a li");
        alice.expect_text("half a li");
        match stop {
            "SIGTSTP" => alice.send_signal(Signal::TSTP),
            "SIGSTOP" => alice.send_signal(Signal::STOP),
            keys => alice.type_keys(keys),
        }
        alice.expect_stop();
        alice.resume();
        alice.expect_text("half a li");
        alice.wait_for_editor();
        alice.type_keys("x\u{1b}[D\u{1b}[C\u{7f}ne\r");
        bob.expect_message("Alice> half a line");
    }
    bob.exit_at_end_of_input();
}

#[test]
fn pasted_lines_are_sent_as_separate_messages() {
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let (mut alice, bob) = start_pair(&one, &two);
    alice.wait_for_editor();
    alice.type_keys("\u{1b}[200~one\rtwo\u{1b}[201~");
    alice.expect_text("two");
    alice.type_keys("\r");
    bob.expect_message("Alice> one");
    bob.expect_message("Alice> two");
}
