//! How a session ends, on the example of the CRC wire.

use super::crc::{chat_frame, new_app, registered_app, take_sent_frames};
use super::*;

#[test]
fn quitting_waits_for_the_server_to_close() {
    let mut app = registered_app();
    app.push_line(at(10), "/quit bye");
    app.push_line(at(10), "7 too late");
    assert_eq!(take_sent_frames(&mut app), ["quit 101 bye"]);
    app.receive(at(11), &chat_frame(102, "wait"));
    assert!(!app.is_closed());
    app.closed(at(12), "the server closed the connection");
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"chat","from":102,"text":"wait"}"#,
            r#"{"event":"disconnected","text":"left"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::UserQuit));
}

#[test]
fn quitting_waits_no_longer_than_its_deadline() {
    let mut app = registered_app();
    app.end_input(at(10));
    assert_eq!(take_sent_frames(&mut app), ["quit 101 "]);
    let deadline = at(10) + QUIT_TIMEOUT;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline - at(1));
    assert!(!app.is_closed());
    app.advance(deadline);
    assert_eq!(app.outcome(), Some(Outcome::UserQuit));
    assert_eq!(app.next_deadline(), None);
}

/// Returns an app that quits at 10 ms with 31 unsent bytes.
fn quitting_with_unsent_bytes() -> App {
    let mut app = registered_app();
    app.push_line(at(10), "7 unsent...");
    app.end_input(at(10));
    let len = app.take_output().len();
    assert_eq!(len, 31);
    app.set_unsent_bytes(at(10), len);
    app
}

#[track_caller]
fn check_unsent_failure(app: &mut App, text: &str) {
    assert_eq!(
        take_events(app),
        [
            format!(r#"{{"event":"error","text":"{text}"}}"#),
            format!(r#"{{"event":"disconnected","text":"{text}"}}"#)
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn quit_deadline_restarts_while_a_slow_server_reads() {
    let mut app = quitting_with_unsent_bytes();
    let mut now = at(10);
    for unsent in (1..31).rev() {
        assert_eq!(app.next_deadline(), Some(now + STALL_TIMEOUT));
        now += STALL_TIMEOUT - at(1);
        app.advance(now);
        app.set_unsent_bytes(now, unsent);
    }
    app.set_unsent_bytes(now, 0);
    assert_eq!(app.next_deadline(), Some(now + QUIT_TIMEOUT));
    app.advance(now + QUIT_TIMEOUT);
    assert_eq!(take_events(&mut app), [r#"{"event":"disconnected","text":"left"}"#]);
    assert_eq!(app.outcome(), Some(Outcome::UserQuit));
}

#[test]
fn unsent_bytes_at_close_are_an_error() {
    let mut app = quitting_with_unsent_bytes();
    app.set_unsent_bytes(at(20), 1);
    app.set_unsent_bytes(at(30), 1);
    app.advance(at(20) + STALL_TIMEOUT);
    check_unsent_failure(&mut app, "1 bytes were not sent: the server does not read them");

    let mut app = quitting_with_unsent_bytes();
    app.closed(at(20), "the server closed the connection");
    check_unsent_failure(&mut app, "31 bytes were not sent: the server closed the connection");
}

#[test]
fn interrupt_limits_a_slow_quit_to_the_quit_timeout() {
    let mut app = quitting_with_unsent_bytes();
    app.interrupt(at(20));
    app.set_unsent_bytes(at(30), 30);
    app.interrupt(at(40));
    let deadline = at(20) + QUIT_TIMEOUT;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline);
    check_unsent_failure(&mut app, "30 bytes were not sent: the server does not read them");
}

#[test]
fn interrupt_drops_pending_lines() {
    let mut app = registered_app();
    app.push_line(at(1), "sam Hi");
    app.interrupt(at(2));
    assert_eq!(take_sent_frames(&mut app), ["quit 101 "]);
    let mut app = self::new_app(true);
    app.connected(at(0));
    app.interrupt(at(1));
    assert_eq!(app.outcome(), Some(Outcome::UserQuit));
}

#[test]
fn a_lost_connection_fails() {
    let mut app = registered_app();
    app.closed(at(1), "the server closed the connection");
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"error","text":"the server closed the connection"}"#,
            r#"{"event":"disconnected","text":"the server closed the connection"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.closed(at(2), "again");
    app.receive(at(2), &chat_frame(102, "late"));
    app.push_line(at(2), "7 late");
    assert_eq!(take_events(&mut app), [""; 0]);
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
}
