//! How a session ends, shown on the CRC wire.

use super::crc::{app, chat, chatting, sent};
use super::*;

#[test]
fn quitting_waits_for_the_server_to_close() {
    let mut app = chatting();
    app.line(at(10), "/quit bye");
    app.line(at(10), "7 too late");
    assert_eq!(sent(&mut app), ["quit 101 bye"]);
    app.receive(at(11), &chat(102, "wait"));
    assert!(!app.is_over());
    app.closed(at(12), "the server closed the connection");
    assert_eq!(
        shown(&mut app),
        [
            r#"{"event":"chat","from":102,"text":"wait"}"#,
            r#"{"event":"disconnected","text":"left"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Left));
}

#[test]
fn quitting_waits_no_longer_than_its_deadline() {
    let mut app = chatting();
    app.end_of_input(at(10));
    assert_eq!(sent(&mut app), ["quit 101 "]);
    let deadline = at(10) + QUIT_DEADLINE;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline - at(1));
    assert!(!app.is_over());
    app.advance(deadline);
    assert_eq!(app.outcome(), Some(Outcome::Left));
    assert_eq!(app.next_deadline(), None);
}

/// Chatting, and left at 10 ms with 31 bytes that the socket did not take yet.
fn leaving_unsent() -> App {
    let mut app = chatting();
    app.line(at(10), "7 unsent...");
    app.end_of_input(at(10));
    let len = app.take_output().len();
    assert_eq!(len, 31);
    app.set_unsent(at(10), len);
    app
}

#[track_caller]
fn check_unsent(app: &mut App, text: &str) {
    assert_eq!(
        shown(app),
        [
            format!(r#"{{"event":"error","text":"{text}"}}"#),
            format!(r#"{{"event":"disconnected","text":"{text}"}}"#)
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn quitting_waits_for_a_server_that_is_slow_to_take_it_all() {
    let mut app = leaving_unsent();
    let mut now = at(10);
    for unsent in (1..31).rev() {
        assert_eq!(app.next_deadline(), Some(now + STALL_DEADLINE));
        now += STALL_DEADLINE - at(1);
        app.advance(now);
        app.set_unsent(now, unsent);
    }
    app.set_unsent(now, 0);
    assert_eq!(app.next_deadline(), Some(now + QUIT_DEADLINE));
    app.advance(now + QUIT_DEADLINE);
    assert_eq!(shown(&mut app), [r#"{"event":"disconnected","text":"left"}"#]);
    assert_eq!(app.outcome(), Some(Outcome::Left));
}

#[test]
fn what_could_not_be_sent_is_said_and_fails() {
    let mut app = leaving_unsent();
    app.set_unsent(at(20), 1);
    app.set_unsent(at(30), 1);
    app.advance(at(20) + STALL_DEADLINE);
    check_unsent(&mut app, "1 bytes were not sent: the server does not read them");

    let mut app = leaving_unsent();
    app.closed(at(20), "the server closed the connection");
    check_unsent(&mut app, "31 bytes were not sent: the server closed the connection");
}

#[test]
fn an_interrupt_waits_for_no_slow_server() {
    let mut app = leaving_unsent();
    app.interrupt(at(20));
    app.set_unsent(at(30), 30);
    app.interrupt(at(40));
    let deadline = at(20) + QUIT_DEADLINE;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline);
    check_unsent(&mut app, "30 bytes were not sent: the server does not read them");
}

#[test]
fn an_interrupt_drops_what_waits() {
    let mut app = chatting();
    app.line(at(1), "sam Hi");
    app.interrupt(at(2));
    assert_eq!(sent(&mut app), ["quit 101 "]);
    let mut app = self::app(true);
    app.connected(at(0));
    app.interrupt(at(1));
    assert_eq!(app.outcome(), Some(Outcome::Left));
}

#[test]
fn a_lost_connection_fails() {
    let mut app = chatting();
    app.closed(at(1), "the server closed the connection");
    assert_eq!(
        shown(&mut app),
        [
            r#"{"event":"error","text":"the server closed the connection"}"#,
            r#"{"event":"disconnected","text":"the server closed the connection"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.closed(at(2), "again");
    app.receive(at(2), &chat(102, "late"));
    app.line(at(2), "7 late");
    assert_eq!(shown(&mut app), [""; 0]);
    assert_eq!(sent(&mut app), [""; 0]);
}
