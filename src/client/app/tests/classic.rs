//! The app on the classic wire. The bytes are written out by hand, from `docs/PROTOCOL.md`, "The
//! classic wire".

use super::*;
use crate::client::session::NAME_LOOKUP_TIMEOUT;
use crate::limits::CLIENT_QUEUE_BYTES_MAX;

/// Returns a message in the short form, cut off after the NUL.
pub(super) fn short_form(destination: &str, source: &str, text: &str) -> Vec<u8> {
    format!("{destination:<8}{source:<8}{text}\0").into_bytes()
}

/// Returns a message in the padded form of 256 bytes.
fn full_form(destination: &str, source: &str, text: &str) -> Vec<u8> {
    let mut bytes = short_form(destination, source, text);
    bytes.resize(256, 0);
    bytes
}

pub(super) fn server_message(text: &str) -> Vec<u8> {
    short_form("alice", "-SERVER-", text)
}

pub(super) fn chat_message(from: &str, text: &str) -> Vec<u8> {
    short_form("alice", from, text)
}

pub(super) fn connected_app() -> App {
    let mut app = App::classic(Name::new(b"alice").expect("short"));
    app.connected(at(0));
    app
}

/// Returns an app that registered at 0 with an interval of 10 s while sam is online, without
/// pending output and events.
pub(super) fn registered_app() -> App {
    let mut app = connected_app();
    app.receive(at(0), &server_message("Interval 10"));
    app.receive(at(0), &server_message("List 1/1 alice sam"));
    take_sent_messages(&mut app);
    take_events(&mut app);
    app
}

/// Returns destination, source and text of each message sent since the last call.
pub(super) fn take_sent_messages(app: &mut App) -> Vec<String> {
    let bytes = app.take_output();
    let text = |message: &[u8]| {
        assert_eq!(message.len(), 256);
        let end = message.iter().position(|&byte| byte == 0).expect("a NUL");
        assert!(message[end..].iter().all(|&byte| byte == 0), "NULs to its end");
        String::from_utf8_lossy(&message[..end]).into_owned()
    };
    bytes.chunks(256).map(text).collect()
}

#[test]
fn connect_message_is_256_bytes_with_the_name() {
    let mut app = connected_app();
    let mut expected = b"-SERVER-alice   Connect alice".to_vec();
    expected.resize(256, 0);
    assert_eq!(app.take_output(), expected);
    app.push_line(at(0), "sam Hi");
    assert_eq!(app.next_deadline(), Some(WELCOME_TIMEOUT));
    app.receive(at(5), &server_message("Interval 2.5"));
    assert_eq!(take_events(&mut app), [r#"{"event":"connected","name":"alice"}"#]);
    assert_eq!(take_sent_messages(&mut app), ["sam     alice   Hi"]);
    assert_eq!(app.next_deadline(), Some(at(2505)));
}

#[test]
fn taken_name_closes_the_session() {
    let mut app = connected_app();
    app.receive(at(1), &full_form("alice", "-SERVER-", "Error alice is already online"));
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"error","text":"alice is already online"}"#,
            r#"{"event":"disconnected","text":"alice is already online"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.closed(at(2), "the server closed the connection");
    assert_eq!(take_events(&mut app), [""; 0]);
}

#[test]
fn short_and_full_messages_become_events() {
    for form in [short_form, full_form] {
        let mut app = registered_app();
        for bytes in [
            form("alice", "sam", "Hi"),
            form("alice", "alice", "echo"),
            form("ALL", "12345678", "to all"),
            form("alice", "-SERVER-", "bob is not online"),
            form("alice", "-SERVER-", "Error later on"),
            form("alice", "-SERVER-", "Interval 1"),
            form("alice", "-SERVER-", "List of things"),
            form("alice", "sam", ""),
        ] {
            app.receive(at(1), &bytes);
        }
        assert_eq!(
            take_events(&mut app),
            [
                r#"{"event":"chat","name":"sam","text":"Hi"}"#,
                r#"{"event":"chat","name":"alice","text":"echo"}"#,
                r#"{"event":"chat","name":"12345678","text":"to all"}"#,
                r#"{"event":"status","text":"bob is not online"}"#,
                r#"{"event":"status","text":"Error later on"}"#,
                r#"{"event":"status","text":"Interval 1"}"#,
                r#"{"event":"status","text":"List of things"}"#,
                r#"{"event":"chat","name":"sam","text":""}"#,
            ]
        );
        assert!(!app.is_closed());
    }
}

#[test]
fn any_split_of_the_stream_gives_the_same_events() {
    let stream = [
        server_message("Interval 10"),
        full_form("alice", "-SERVER-", "List 1/2 alice bob"),
        full_form("alice", "bob", "Hi"),
        full_form("alice", "-SERVER-", "List 2/2 sam"),
        chat_message("sam", &"x".repeat(239)),
        full_form("alice", "sam", &"y".repeat(239)),
        server_message("bob is not online"),
        server_message("List 1/1 alice sam"),
        b"short\0".to_vec(),
        chat_message("sam", "too late"),
    ]
    .concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut app = connected_app();
        app.push_line(at(0), "sam Hello");
        app.push_line(at(0), "/list");
        pieces.for_each(|piece| app.receive(at(1), piece));
        (take_sent_messages(&mut app), take_events(&mut app), app.outcome())
    };
    let whole = run(&mut [&stream[..]].into_iter());
    assert_eq!(whole.0, ["-SERVER-alice   Connect alice", "sam     alice   Hello"]);
    assert_eq!(whole.1.len(), 11, "{:?}", whole.1);
    assert_eq!(whole.2, Some(Outcome::Failed));
    for size in 1..stream.len() {
        assert_eq!(run(&mut stream.chunks(size)), whole, "{size}");
    }
}

/// Types a line as alice while sam is online. Returns the messages sent, as `to from text`.
#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    let mut app = registered_app();
    app.push_line(at(1), line);
    assert_eq!(take_sent_messages(&mut app), expected, "{line}");
    assert_eq!(take_events(&mut app), [""; 0], "{line}");
}

#[test]
fn lines_are_sent_to_the_name_as_typed() {
    check_line("sam Hi", &["sam     alice   Hi"]);
    check_line("(bob) Hi", &["bob     alice   Hi"]);
    check_line("/msg 12345678 Hi", &["12345678alice   Hi"]);
    check_line("3 Hi", &["3       alice   Hi"]);
    check_line("007 Hi", &["007     alice   Hi"]);
    check_line("ALL Hi everyone", &["ALL     alice   Hi everyone"]);
    check_line("alice me", &["alice   alice   me"]);
    check_line("jürgen ü", &["jürgen alice   ü"]);
    check_line("sam\0a\0b\0", &["sam     alice   a b "]);
}

#[test]
fn empty_names_and_names_over_8_bytes_are_refused() {
    let mut app = registered_app();
    for line in ["123456789 Hi", "samantha1 Hi", "99999999999999999999 Hi", "( ) Hi"] {
        app.push_line(at(1), line);
    }
    let error = |name| format!("{name} is not a name: they have 1 to 8 bytes");
    let names = ["123456789", "samantha1", "99999999999999999999", " "];
    assert_eq!(take_errors(&mut app), names.map(error));
    assert_eq!(take_sent_messages(&mut app), [""; 0]);
}

#[test]
fn a_long_text_is_sent_in_pieces() {
    let text = format!("{}{}", "x".repeat(238), "ü".repeat(200));
    let mut app = registered_app();
    app.push_line(at(1), &format!("sam {text}"));
    let sent = take_sent_messages(&mut app);
    let lens: Vec<usize> = sent.iter().map(|piece| piece.len() - 16).collect();
    assert_eq!(lens, [238, 238, 162]);
    let pieces: String = sent.iter().map(|piece| &piece[16..]).collect();
    assert_eq!(pieces, text);
    app.push_line(at(1), &format!("sam {}", "x".repeat(1 << 20)));
    assert_eq!(app.take_output().len(), 256 * (1_usize << 20).div_ceil(239));
    assert_eq!(take_events(&mut app), [""; 0]);
}

#[test]
fn alive_is_sent_once_per_interval() {
    let mut app = connected_app();
    app.receive(at(3), &server_message("Interval 0.25"));
    take_sent_messages(&mut app);
    for count in 1..=100 {
        let due = at(3 + 250 * count);
        assert_eq!(app.next_deadline(), Some(due));
        app.advance(due - at(1));
        assert_eq!(take_sent_messages(&mut app), [""; 0], "not early");
        app.advance(due);
        assert_eq!(take_sent_messages(&mut app), ["-SERVER-alice   Alive alice"]);
    }
}

#[test]
fn late_alive_keeps_the_schedule_and_skips_missed_beats() {
    let mut app = registered_app();
    app.advance(at(10_007));
    assert_eq!(take_sent_messages(&mut app).len(), 1);
    assert_eq!(app.next_deadline(), Some(at(20_000)));
    // As after a suspend of the machine.
    app.advance(at(95_000));
    assert_eq!(take_sent_messages(&mut app).len(), 1);
    assert_eq!(app.next_deadline(), Some(at(105_000)));
}

#[test]
fn alive_is_sent_while_a_line_waits() {
    let mut app = connected_app();
    app.push_line(at(0), "/list");
    app.receive(at(0), &server_message("Interval 0.4"));
    take_sent_messages(&mut app);
    assert_eq!(app.next_deadline(), Some(at(400)));
    app.advance(at(400));
    app.advance(at(800));
    assert_eq!(app.next_deadline(), Some(NAME_LOOKUP_TIMEOUT), "the list");
    app.advance(NAME_LOOKUP_TIMEOUT);
    app.advance(at(1200));
    assert_eq!(take_sent_messages(&mut app), ["-SERVER-alice   Alive alice"; 3]);
}

#[test]
fn alive_is_skipped_when_the_queue_is_full() {
    let mut app = registered_app();
    app.set_unsent_bytes(at(1), CLIENT_QUEUE_BYTES_MAX);
    app.advance(at(10_000));
    assert_eq!(take_sent_messages(&mut app), [""; 0]);
    assert_eq!(app.next_deadline(), Some(at(20_000)));
    app.set_unsent_bytes(at(10_001), CLIENT_QUEUE_BYTES_MAX - 1);
    app.advance(at(20_000));
    assert_eq!(take_sent_messages(&mut app), ["-SERVER-alice   Alive alice"]);
}

#[test]
fn quit_sends_a_quit_message_and_waits_for_the_close() {
    for leave in [
        (|app| app.push_line(at(2), "/quit so long")) as fn(&mut App),
        |app| app.end_input(at(2)),
        |app| app.interrupt(at(2)),
    ] {
        let mut app = registered_app();
        leave(&mut app);
        assert_eq!(take_sent_messages(&mut app), ["-SERVER-alice   Quit alice"]);
        assert!(!app.wants_write_shutdown());
        assert_eq!(app.next_deadline(), Some(at(2) + QUIT_TIMEOUT));
        app.closed(at(3), "the server closed the connection");
        assert_eq!(take_events(&mut app), [r#"{"event":"disconnected","text":"left"}"#]);
        assert_eq!(app.outcome(), Some(Outcome::UserQuit));
        assert_eq!(app.next_deadline(), None);
    }
}

#[test]
fn invalid_message_closes_the_session() {
    let first_error = |bytes: &[u8]| {
        let mut app = connected_app();
        app.receive(at(1), bytes);
        assert_eq!(app.outcome(), Some(Outcome::Failed));
        take_events(&mut app).remove(0)
    };
    for (bytes, what) in [
        (&b"alice\0"[..], "a message of 5 bytes"),
        (&[b'x'; 256], "256 bytes without a NUL"),
        (&server_message("Interval soon"), r#"an interval of \"soon\""#),
    ] {
        let error = first_error(bytes);
        let expected = format!("this is not a classic server, or it is broken: {what}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn silent_server_fails_at_the_welcome_timeout() {
    let mut app = connected_app();
    app.receive(at(1), &[0; 256]);
    app.advance(WELCOME_TIMEOUT);
    let why = "the server did not answer within 10 s: is it a classic server?";
    assert_eq!(take_events(&mut app)[0], format!(r#"{{"event":"error","text":"{why}"}}"#));
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_lost_connection_fails() {
    let mut app = registered_app();
    app.closed(at(1), "the server closed the connection");
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.receive(at(2), &chat_message("sam", "late"));
    app.advance(at(10_000));
    assert_eq!(take_sent_messages(&mut app), [""; 0]);
    assert_eq!(take_events(&mut app).len(), 2);
}
