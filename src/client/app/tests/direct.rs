//! The app on the direct wire. The bytes are written out by hand, from `docs/PROTOCOL.md`, "The
//! direct wire".

use super::*;
use crate::limits::FRAME_BYTES_MAX;

/// 8127361 as a protobuf varint.
const ASSIGNED: [u8; 4] = [0x81, 0x87, 0xf0, 0x03];

/// `FastHandshake { id: 8127361 }`
const GREETING: &[u8] = &[0, 0, 0, 5, 0x08, 0x81, 0x87, 0xf0, 0x03];

/// `Message { desired_id: 3 }`
const DESIRED_ID_3: &[u8] = &[0, 0, 0, 2, 0x20, 3];

/// `Message { to: 3, handshake: { id: 3 } }`
const ID_3_GRANTED: &[u8] = &[0, 0, 0, 6, 0x10, 3, 0x2a, 2, 0x08, 3];

/// `Message { to: 8127361, handshake: { id: 8127361, error: true } }`
const ID_3_REFUSED: &[u8] =
    &[0, 0, 0, 14, 0x10, 0x81, 0x87, 0xf0, 0x03, 0x2a, 7, 0x08, 0x81, 0x87, 0xf0, 0x03, 0x10, 1];

/// Returns a frame of fields with fewer than 128 bytes in all.
pub(super) fn frame(fields: &[&[u8]]) -> Vec<u8> {
    let body = fields.concat();
    [&[0, 0, 0, u8::try_from(body.len()).expect("short")], &body[..]].concat()
}

/// `Message { from, to: 3, msg }`
fn chat_frame(from: u8, text: &str) -> Vec<u8> {
    frame(&[&[0x08, from, 0x10, 3, 0x1a, text.len() as u8], text.as_bytes()])
}

fn connected_app(desired_id: Option<i64>) -> App {
    let mut app = App::direct(desired_id);
    app.connected(at(0));
    assert_eq!(app.take_output(), b"", "the server speaks first");
    app
}

/// Returns an app that registered as 3, without pending output and events.
pub(super) fn registered_app() -> App {
    let mut app = connected_app(Some(3));
    app.receive(at(1), &[GREETING, ID_3_GRANTED].concat());
    drop(app.take_output());
    take_events(&mut app);
    app
}

#[test]
fn assigned_id_is_used_when_none_is_desired() {
    let mut app = connected_app(None);
    app.push_line(at(0), "3 Hi");
    assert_eq!(app.take_output(), b"", "not before the greeting");
    app.receive(at(1), GREETING);
    assert_eq!(take_events(&mut app), [r#"{"event":"connected","id":8127361,"name":"8127361"}"#]);
    let sent = [&[0, 0, 0, 11, 0x08], &ASSIGNED[..], &[0x10, 3, 0x1a, 2, b'H', b'i']].concat();
    assert_eq!(app.take_output(), sent);
    assert_eq!(app.next_deadline(), None);
}

#[test]
fn desired_id_is_requested_before_lines_are_sent() {
    let mut app = connected_app(Some(3));
    app.push_line(at(0), "7 Hi");
    app.receive(at(1), GREETING);
    assert_eq!(app.take_output(), DESIRED_ID_3);
    assert_eq!(take_events(&mut app), [""; 0]);
    assert_eq!(app.next_deadline(), Some(WELCOME_TIMEOUT));
    app.receive(at(2), ID_3_GRANTED);
    assert_eq!(take_events(&mut app), [r#"{"event":"connected","id":3,"name":"3"}"#]);
    assert_eq!(app.take_output(), frame(&[&[0x08, 3, 0x10, 7, 0x1a, 2], b"Hi"]));
}

#[test]
fn desired_id_of_64_bits_is_requested() {
    let mut app = connected_app(Some(i64::MAX));
    app.receive(at(1), GREETING);
    let max = [&[0xff; 8][..], &[0x7f]].concat();
    assert_eq!(app.take_output(), frame(&[&[0x20], &max]));
    app.receive(at(2), &frame(&[&[0x10], &max, &[0x2a, 10, 0x08], &max]));
    let id = i64::MAX;
    let expected = format!(r#"{{"event":"connected","id":{id},"name":"{id}"}}"#);
    assert_eq!(take_events(&mut app), [expected]);
}

#[test]
fn taken_desired_id_is_reported_and_the_assigned_one_used() {
    let mut app = connected_app(Some(3));
    app.receive(at(1), &[GREETING, ID_3_REFUSED].concat());
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"error","text":"id 3 is in use: you are 8127361"}"#,
            r#"{"event":"connected","id":8127361,"name":"8127361"}"#
        ]
    );
    assert!(!app.is_closed());
    drop(app.take_output());
    app.push_line(at(2), "3 x");
    let sent = frame(&[&[0x08], &ASSIGNED, &[0x10, 3, 0x1a, 1, b'x']]);
    assert_eq!(app.take_output(), sent, "from the id that one has");
}

#[test]
fn refused_connection_closes_the_session() {
    for desired_id in [None, Some(3)] {
        let mut app = connected_app(desired_id);
        app.receive(at(1), &[0, 0, 0, 2, 0x10, 1]);
        assert_eq!(
            take_events(&mut app),
            [
                r#"{"event":"error","text":"the server refused the connection"}"#,
                r#"{"event":"disconnected","text":"the server refused the connection"}"#
            ]
        );
        assert_eq!(app.outcome(), Some(Outcome::Failed));
        assert_eq!(app.take_output(), b"");
    }
}

#[test]
fn direct_messages_become_events() {
    let mut app = registered_app();
    for frame in [
        chat_frame(7, "Hi"),
        chat_frame(3, "echo"),
        frame(&[&[0x10, 3, 0x1a, 2], b"Oh"]), // from the server
        frame(&[&[0x08], &ASSIGNED, &[0x10, 3]]), // no text
        ID_3_GRANTED.to_vec(),                // again, unrequested
        frame(&[&[0x08, 7, 0x20, 9]]),        // a desired id, which only clients send
        frame(&[&[0x08, 7, 0x1a, 1, b'x', 0x48, 1]]), // an unknown field
        vec![0, 0, 0, 0],                     // an empty message
    ] {
        app.receive(at(2), &frame);
    }
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"chat","from":7,"text":"Hi"}"#,
            r#"{"event":"chat","from":3,"text":"echo"}"#,
            r#"{"event":"status","text":"Oh"}"#,
            r#"{"event":"chat","from":8127361,"text":""}"#,
            r#"{"event":"chat","from":7,"text":"x"}"#,
            r#"{"event":"status","text":""}"#,
        ]
    );
    assert_eq!(app.take_output(), b"");
}

#[test]
fn chat_before_the_id_is_confirmed_is_shown() {
    let mut app = connected_app(Some(3));
    app.receive(at(1), &[GREETING, &chat_frame(7, "Hi"), ID_3_GRANTED].concat());
    let events = take_events(&mut app);
    assert_eq!(events[0], r#"{"event":"chat","from":7,"text":"Hi"}"#);
    assert_eq!(events[1], r#"{"event":"connected","id":3,"name":"3"}"#);
}

/// Types a line as 3; checks the frames and errors.
#[track_caller]
fn check_line(line: &str, expected_sent: &[u8], expected_errors: &[&str]) {
    let mut app = registered_app();
    app.push_line(at(2), line);
    assert_eq!(app.take_output(), expected_sent, "{line}");
    assert_eq!(take_errors(&mut app), expected_errors, "{line}");
}

#[test]
fn lines_are_encoded_as_direct_messages() {
    check_line("7 Hi", &frame(&[&[0x08, 3, 0x10, 7, 0x1a, 2], b"Hi"]), &[]);
    check_line("(7) Hi", &frame(&[&[0x08, 3, 0x10, 7, 0x1a, 2], b"Hi"]), &[]);
    check_line("/msg 007 Hi", &frame(&[&[0x08, 3, 0x10, 7, 0x1a, 2], b"Hi"]), &[]);
    check_line("0 ü", &frame(&[&[0x08, 3, 0x1a, 2], "ü".as_bytes()]), &[]);
    let max = [&[0xff; 8][..], &[0x7f]].concat();
    let sent = frame(&[&[0x08, 3, 0x10], &max, &[0x1a, 1, b'x']]);
    check_line("9223372036854775807 x", &sent, &[]);
}

#[test]
fn names_and_list_are_refused_on_the_direct_wire() {
    let too_large = "9223372036854775808 is not an id: the largest is 9223372036854775807";
    check_line("9223372036854775808 x", b"", &[too_large]);
    let no_names = "this wire knows users by number, not by name: write a number instead of bob";
    check_line("bob Hi", b"", &[no_names]);
    check_line("/msg bob Hi", b"", &[no_names]);
    let no_list = "this wire has no list of users: you must know their numbers";
    check_line("/list", b"", &[no_list]);
    check_line("@List", b"", &[no_list]);
}

#[test]
fn any_split_of_the_stream_gives_the_same_events() {
    let stream = [
        GREETING,
        ID_3_REFUSED,
        &chat_frame(7, "Hi"),
        &frame(&[&[0x10, 3, 0x1a, 2], b"Oh"]),
        &[0, 0, 0, 0],
        &frame(&[&[0x0f]]),
        &chat_frame(7, "too late"),
    ]
    .concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut app = connected_app(Some(3));
        app.push_line(at(0), "7 Hello");
        pieces.for_each(|piece| app.receive(at(1), piece));
        (app.take_output(), take_events(&mut app), app.outcome())
    };
    let whole = run(&mut [&stream[..]].into_iter());
    assert_eq!(whole.1.len(), 7);
    assert_eq!(whole.2, Some(Outcome::Failed));
    for size in 1..stream.len() {
        assert_eq!(run(&mut stream.chunks(size)), whole, "{size}");
    }
}

#[test]
fn invalid_frame_closes_the_session() {
    let first_error = |bytes: &[u8]| {
        let mut app = connected_app(None);
        app.receive(at(1), bytes);
        assert_eq!(app.outcome(), Some(Outcome::Failed));
        take_events(&mut app).remove(0)
    };
    let what = "this is not a direct server, or it is broken: ";
    let error = first_error(b"SSH-2.0");
    assert!(error.contains(&format!("{what}a frame of 1397966893 bytes")), "{error}");
    let error = first_error(&[0, 0, 0, 1, 0x08]);
    assert!(error.contains(&format!("{what}malformed protobuf")), "{error}");
}

#[test]
fn silent_server_fails_at_the_welcome_timeout() {
    for bytes in [b"", GREETING] {
        let mut app = connected_app(Some(3));
        app.receive(at(1), bytes);
        app.advance(WELCOME_TIMEOUT);
        assert_eq!(
            take_events(&mut app)[0],
            concat!(
                r#"{"event":"error","#,
                r#""text":"the server did not answer within 10 s: is it a direct server?"}"#
            )
        );
        assert_eq!(app.outcome(), Some(Outcome::Failed));
    }
}

#[test]
fn quit_shuts_down_the_write_side() {
    for leave in [
        (|app| app.push_line(at(2), "/quit so long")) as fn(&mut App),
        |app| app.end_input(at(2)),
        |app| app.interrupt(at(2)),
    ] {
        let mut app = registered_app();
        app.push_line(at(2), "7 last");
        assert!(!app.wants_write_shutdown());
        leave(&mut app);
        assert_eq!(app.take_output(), frame(&[&[0x08, 3, 0x10, 7, 0x1a, 4], b"last"]));
        assert!(app.wants_write_shutdown());
        app.receive(at(3), &chat_frame(7, "wait"));
        app.closed(at(4), "the server closed the connection");
        assert_eq!(app.outcome(), Some(Outcome::UserQuit));
        assert!(!app.wants_write_shutdown());
        assert_eq!(
            take_events(&mut app),
            [
                r#"{"event":"chat","from":7,"text":"wait"}"#,
                r#"{"event":"disconnected","text":"left"}"#
            ]
        );
    }
}

#[test]
fn unsent_bytes_at_close_are_an_error() {
    let mut app = registered_app();
    app.push_line(at(2), "7 last");
    app.end_input(at(2));
    let len = app.take_output().len();
    app.set_unsent_bytes(at(2), len);
    app.closed(at(3), "the server closed the connection");
    let why = format!("{len} bytes were not sent: the server closed the connection");
    assert_eq!(take_events(&mut app)[0], format!(r#"{{"event":"error","text":"{why}"}}"#));
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn text_beyond_the_frame_limit_is_refused() {
    let mut app = registered_app();
    // Sender, recipient, and the key and the three bytes of length before the text.
    let text_max = FRAME_BYTES_MAX - 8;
    app.push_line(at(2), &format!("7 {}", "x".repeat(text_max)));
    assert_eq!(app.take_output().len(), 4 + FRAME_BYTES_MAX);
    app.push_line(at(2), &format!("7 {}", "x".repeat(text_max + 1)));
    assert_eq!(app.take_output(), b"");
    assert_eq!(
        take_errors(&mut app),
        ["too long: it makes a message of 1048577 bytes, and servers take 1048576"]
    );
}
