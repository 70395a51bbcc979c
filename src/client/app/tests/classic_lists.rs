//! Lists of users on the classic wire.

use super::classic::{
    chat_message, connected_app, registered_app, server_message, take_sent_messages,
};
use super::*;
use crate::client::session::NAME_LOOKUP_TIMEOUT;

/// Returns the events for lists, one word each, after a first list of sam and zoe.
fn list_changes(messages: &[Vec<u8>]) -> Vec<String> {
    let mut app = connected_app();
    app.receive(
        at(0),
        &[server_message("Interval 10"), server_message("List 1/1 sam alice zoe")].concat(),
    );
    let joined = [
        r#"{"event":"connected","name":"alice"}"#,
        r#"{"event":"join","name":"sam"}"#,
        r#"{"event":"join","name":"zoe"}"#,
    ];
    assert_eq!(take_events(&mut app), joined);
    messages.iter().for_each(|message| app.receive(at(1), message));
    let format_change = |event| match event {
        Event::Join { id: None, name, info: None } => format!("+{name}"),
        Event::Quit { id: None, name: Some(name), text: None } => format!("-{name}"),
        Event::Chat { text, .. } | Event::Status { text, .. } => text.to_string(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| app.poll_event().map(format_change)).collect()
}

#[track_caller]
fn check_changes(messages: &[&str], expected: &[&str]) {
    let messages: Vec<_> = messages.iter().map(|text| server_message(text)).collect();
    assert_eq!(list_changes(&messages), expected);
}

#[test]
fn list_yields_joins_and_quits() {
    check_changes(&["List 1/1 alice sam zoe"], &[]);
    check_changes(&["List 1/1 alice bob zoe"], &["-sam", "+bob"]);
    check_changes(&["List 1/1 3 sam alice zoe al~1"], &["+3", "+al~1"]);
    check_changes(&["List 1/1 alice"], &["-sam", "-zoe"]);
    check_changes(&["List 1/1"], &["-sam", "-zoe"]);
    check_changes(&["List 1/1 sam     zoe     "], &[]);
    check_changes(&["List 1/1 sam zoe bob", "List 1/1 sam zoe bob"], &["+bob"]);
}

#[test]
fn paged_list_takes_effect_with_its_last_page() {
    check_changes(&["List 1/3 alice bob", "List 2/3 sam"], &[]);
    check_changes(
        &["List 1/3 alice bob", "List 2/3 sam", "List 3/3 tom"],
        &["-zoe", "+bob", "+tom"],
    );
    check_changes(&["List 1/2 bob", "List 1/2 sam zoe", "List 2/2 tom"], &["+tom"]);
    check_changes(&["List 1/2 bob", "List 1/1 sam zoe tom"], &["+tom"]);
    check_changes(&["List 1/3 bob", "List 3/3 tom"], &[]);
    check_changes(&["List 2/2 tom"], &[]);
    check_changes(&["List 1/2 bob", "List 2/3 tom", "List 3/3 eve"], &[]);
    check_changes(&["List 1/2 bob", "List 1/1 sam zoe", "List 2/2 tom"], &[]);
    let between = [
        server_message("List 1/2 bob"),
        chat_message("sam", "Hi"),
        server_message("tom is not online"),
    ];
    let last = server_message("List 2/2 sam zoe");
    let shown = list_changes(&[&between[..], &[last]].concat());
    assert_eq!(shown, ["Hi", "tom is not online", "+bob"]);
}

#[test]
fn list_command_shows_the_last_list_received() {
    let mut app = registered_app();
    app.push_line(at(1), "/list");
    assert_eq!(take_events(&mut app), [r#"{"event":"users","users":[{"name":"sam"}]}"#]);
    assert_eq!(take_sent_messages(&mut app), [""; 0]);
}

#[test]
fn list_command_waits_for_the_first_list() {
    let mut app = connected_app();
    app.push_line(at(0), "/list");
    app.push_line(at(0), "sam after it");
    app.receive(at(10), &server_message("Interval 10"));
    app.receive(at(20), &server_message("List 1/2 alice bob"));
    take_sent_messages(&mut app);
    take_events(&mut app);
    assert_eq!(app.next_deadline(), Some(at(10) + NAME_LOOKUP_TIMEOUT));
    app.advance(at(1009));
    assert_eq!(take_events(&mut app), [""; 0]);
    app.receive(at(1009), &server_message("List 2/2 sam"));
    assert_eq!(
        take_events(&mut app)[2..],
        [r#"{"event":"users","users":[{"name":"bob"},{"name":"sam"}]}"#]
    );
    assert_eq!(take_sent_messages(&mut app), ["sam     alice   after it"]);

    let mut app = connected_app();
    app.push_line(at(0), "/list");
    app.receive(at(10), &server_message("Interval 10"));
    app.advance(at(10) + NAME_LOOKUP_TIMEOUT);
    assert_eq!(take_events(&mut app)[1..], [r#"{"event":"users","users":[]}"#]);
}
