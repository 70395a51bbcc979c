//! Lines on the CRC wire that wait for the welcome, for a user or for the list.

use super::crc::{chat_frame, new_app, registered_app, status_frame, take_sent_frames, user_frame};
use super::*;
use crate::client::session::{LIST_QUIET_PERIOD, NAME_LOOKUP_TIMEOUT};

#[test]
fn lines_before_the_welcome_are_sent_after_it() {
    let mut app = new_app(true);
    app.push_line(at(0), "7 one");
    app.connected(at(0));
    app.push_line(at(1), "/list");
    app.push_line(at(1), "7 two");
    assert_eq!(take_sent_frames(&mut app), ["register 101 frodo ring", "101 reads cut frames"]);
    assert_eq!(take_events(&mut app), [""; 0]);
    app.receive(at(2), &status_frame(0, "Welcome"));
    assert_eq!(take_sent_frames(&mut app), ["101>7 one"]);
    app.advance(at(2) + LIST_QUIET_PERIOD);
    assert_eq!(take_sent_frames(&mut app), ["101>7 two"]);
    assert_eq!(take_events(&mut app)[2..], [r#"{"event":"users","users":[]}"#]);
}

#[test]
fn list_command_waits_until_registrations_stop_arriving() {
    let mut app = new_app(true);
    app.connected(at(0));
    app.push_line(at(0), "/list");
    app.end_input(at(0));
    app.receive(at(10), &status_frame(0, "Welcome"));
    app.receive(at(50), &user_frame(102, "sam"));
    take_events(&mut app);
    assert_eq!(app.next_deadline(), Some(at(50) + LIST_QUIET_PERIOD));
    app.advance(at(149));
    assert_eq!(take_events(&mut app), [""; 0]);
    app.advance(at(150));
    let users = r#"{"event":"users","users":[{"id":102,"name":"sam"}]}"#;
    assert_eq!(take_events(&mut app), [users]);
    assert_eq!(take_sent_frames(&mut app)[2..], ["quit 101 "]);

    let mut app = registered_app();
    for millis in (0..1500).step_by(50) {
        app.receive(at(millis), &chat_frame(102, "never quiet"));
    }
    take_events(&mut app);
    app.push_line(at(1500), "/list");
    assert_eq!(take_events(&mut app).len(), 1);
}

#[test]
fn line_to_unknown_name_waits_and_holds_back_later_lines() {
    let mut app = registered_app();
    app.push_line(at(100), "sam one");
    app.push_line(at(100), "7 two");
    app.end_input(at(100));
    app.push_line(at(100), "7 after the end");
    assert_eq!(app.next_deadline(), Some(NAME_LOOKUP_TIMEOUT));
    app.receive(at(500), &user_frame(103, "bob"));
    app.advance(at(999));
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    app.receive(at(999), &user_frame(102, "sam"));
    assert_eq!(take_sent_frames(&mut app), ["101>102 one", "101>7 two", "quit 101 "]);
}

#[test]
fn line_to_unknown_name_is_an_error_after_the_timeout() {
    let mut app = registered_app();
    app.push_line(at(0), "sam one");
    app.push_line(at(0), "7 two");
    app.push_line(at(0), "bob three");
    app.advance(NAME_LOOKUP_TIMEOUT);
    assert_eq!(take_sent_frames(&mut app), ["101>7 two"]);
    assert_eq!(
        take_errors(&mut app),
        ["nobody here is called sam: see /list", "nobody here is called bob: see /list"]
    );
    assert_eq!(app.next_deadline(), None);
    app.push_line(NAME_LOOKUP_TIMEOUT, "eve four");
    assert_eq!(take_errors(&mut app), ["nobody here is called eve: see /list"]);
}
