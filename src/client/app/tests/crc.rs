//! The app on the CRC wire.

use super::*;
use crate::client::grammar;
use crate::client::session::NAME_LOOKUP_TIMEOUT;
use crate::id::HostId;
use crate::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_CEILING, NAME_BYTES_MAX};
use crate::relay::message::{HostKind, Message, Registration, StatusCode};
use crate::wires::crc::codec;

const SERVER: HostId = HostId(1);
const OWN_ID: HostId = HostId(101);

pub(super) fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    codec::encode(message, &mut bytes);
    bytes
}

pub(super) fn user_frame(id: u32, name: &str) -> Vec<u8> {
    encode(&Message::Registration(Registration {
        kind: HostKind::User,
        source: HostId(id),
        last_hop: SERVER,
        name: name.as_bytes(),
        info: b"i",
    }))
}

fn status_frame_to(destination: HostId, code: u16, text: &str) -> Vec<u8> {
    encode(&Message::Status {
        source: SERVER,
        destination,
        code: StatusCode(code),
        text: text.as_bytes(),
    })
}

pub(super) fn status_frame(code: u16, text: &str) -> Vec<u8> {
    status_frame_to(HostId::NONE, code, text)
}

pub(super) fn chat_frame(from: u32, text: &str) -> Vec<u8> {
    encode(&Message::Chat { source: HostId(from), destination: OWN_ID, text: text.as_bytes() })
}

fn quit_frame(id: u32, text: &str) -> Vec<u8> {
    encode(&Message::ClientQuit { source: HostId(id), text: text.as_bytes() })
}

pub(super) fn new_app(is_id_configured: bool) -> App {
    let identity =
        Identity { id: OWN_ID, is_id_configured, name: b"frodo".to_vec(), info: b"ring".to_vec() };
    App::crc(identity, 7)
}

/// Returns an app that registered at 0, without pending output and events.
pub(super) fn registered_app() -> App {
    let mut app = new_app(true);
    app.connected(at(0));
    app.receive(at(0), &status_frame(0, "Welcome"));
    take_sent_frames(&mut app);
    take_events(&mut app);
    app
}

/// Returns the frames sent since the last call, each as a short text.
pub(super) fn take_sent_frames(app: &mut App) -> Vec<String> {
    let bytes = app.take_output();
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Ok(Some((message, len))) = codec::parse(rest, FRAME_BYTES_MAX_CEILING) {
        rest = &rest[len..];
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        frames.push(match message {
            Message::Registration(r) => {
                assert_eq!((r.kind, r.last_hop), (HostKind::User, HostId::NONE));
                format!("register {} {} {}", r.source, text(r.name), text(r.info))
            }
            Message::Chat { source, destination, text: t } => {
                format!("{source}>{destination} {}", text(t))
            }
            Message::ClientQuit { source, text: t } => format!("quit {source} {}", text(t)),
            Message::Status {
                source,
                destination: HostId::EXTENSION,
                code: StatusCode(0xC700),
                text: b"",
            } => format!("{source} reads cut frames"),
            other => panic!("a client sent {other:?}"),
        });
    }
    assert_eq!(rest, b"", "half a frame");
    frames
}

/// Types a line while sam (102) and two bobs (103, 104) are online; checks the frames and events.
#[track_caller]
fn check_line(line: &str, expected_sent: &[&str], expected_shown: &[&str]) {
    let mut app = registered_app();
    for (id, name) in [(104, "bob"), (102, "sam"), (103, "bob"), (105, "the 3 of us")] {
        app.receive(at(1), &user_frame(id, name));
    }
    take_events(&mut app);
    app.push_line(NAME_LOOKUP_TIMEOUT, line);
    assert_eq!(take_sent_frames(&mut app), expected_sent, "{line}");
    assert_eq!(take_events(&mut app), expected_shown, "{line}");
}

#[test]
fn lines_are_encoded_as_crc_frames() {
    check_line("102 Hi there!", &["101>102 Hi there!"], &[]);
    check_line("sam Hi there!", &["101>102 Hi there!"], &[]);
    check_line("(the 3 of us)  Hi", &["101>105  Hi"], &[]);
    check_line("4294967295 x", &["101>4294967295 x"], &[]);
    check_line("frodo me", &["101>101 me"], &[]);
    check_line("", &[], &[]);
    check_line("/quit so long", &["quit 101 so long"], &[]);
    check_line("@Quit", &["quit 101 "], &[]);
}

#[test]
fn digits_in_parentheses_or_after_msg_resolve_to_a_name() {
    let sent_for = |line: &str| {
        let mut app = registered_app();
        let others = [(7, "103"), (8, "123"), (9, "99"), (10, "99"), (11, "4294967296")];
        for (id, name) in others {
            app.receive(at(1), &user_frame(id, name));
        }
        app.receive(at(1), &user_frame(103, "bob"));
        app.push_line(NAME_LOOKUP_TIMEOUT, line);
        take_sent_frames(&mut app)
    };
    assert_eq!(sent_for("(123) x"), ["101>8 x"]);
    assert_eq!(sent_for("/msg 123 x"), ["101>8 x"]);
    assert_eq!(sent_for("123 x"), ["101>123 x"]);
    assert_eq!(sent_for("(103) x"), ["101>103 x"], "the id is known");
    assert_eq!(sent_for("/msg 101 x"), ["101>101 x"], "one's own id");
    assert_eq!(sent_for("(99) x"), ["101>99 x"], "several have the name");
    assert_eq!(sent_for("/msg 5 x"), ["101>5 x"], "nobody has either");
    assert_eq!(sent_for("(4294967296) x"), ["101>11 x"], "no id");
}

#[test]
fn digits_that_may_be_a_name_wait_for_that_user() {
    let mut app = registered_app();
    app.push_line(at(1), "/msg 123 x");
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    app.receive(at(2), &user_frame(8, "123"));
    assert_eq!(take_sent_frames(&mut app), ["101>8 x"]);
}

#[test]
fn list_help_and_invalid_lines_are_answered_locally() {
    check_line(
        "/list",
        &[],
        &[concat!(
            r#"{"event":"users","users":[{"id":102,"name":"sam"},{"id":103,"name":"bob"},"#,
            r#"{"id":104,"name":"bob"},{"id":105,"name":"the 3 of us"}]}"#
        )],
    );
    let error = |text| format!(r#"{{"event":"error","text":"{text}"}}"#);
    check_line(
        "bob Hi",
        &[],
        &[&error("several users are called bob: write one of the ids 103, 104 instead")],
    );
    check_line("Sam Hi", &[], &[&error("nobody here is called Sam: see /list")]);
    check_line(
        "4294967296 x",
        &[],
        &[&error("4294967296 is not an id: the largest is 4294967295")],
    );
    check_line("/nick x", &[], &[&error("unknown command /nick: see /help")]);
    let help = Event::Help { text: grammar::HELP.into() };
    check_line("/help", &[], &[&help.to_json()]);
}

#[test]
fn server_frames_become_events() {
    let mut app = new_app(true);
    app.connected(at(0));
    assert_eq!(take_sent_frames(&mut app), ["register 101 frodo ring", "101 reads cut frames"]);
    let server = Message::Registration(Registration {
        kind: HostKind::Server,
        source: SERVER,
        last_hop: HostId::NONE,
        name: b"theshire",
        info: b"",
    });
    for bytes in [
        status_frame(0, "Welcome"),
        encode(&server),
        user_frame(102, "sam"),
        user_frame(101, "frodo"),
        status_frame_to(HostId::EXTENSION, 9, "caps"),
        chat_frame(102, "Hi"),
        chat_frame(999, "who?"),
        chat_frame(101, "echo"),
        status_frame(1, "Unknown ID 7"),
        status_frame(0, "Welcome again"),
        status_frame(2, "Someone has already registered with ID 101"),
        quit_frame(102, "bye"),
        quit_frame(102, "again"),
    ] {
        app.receive(at(1), &bytes);
    }
    let expected = [
        r#"{"event":"connected","id":101,"name":"frodo"}"#,
        r#"{"event":"status","code":0,"text":"Welcome"}"#,
        r#"{"event":"join","id":102,"name":"sam","info":"i"}"#,
        r#"{"event":"chat","from":102,"name":"sam","text":"Hi"}"#,
        r#"{"event":"chat","from":999,"text":"who?"}"#,
        r#"{"event":"chat","from":101,"name":"frodo","text":"echo"}"#,
        r#"{"event":"status","code":1,"text":"Unknown ID 7"}"#,
        r#"{"event":"status","code":0,"text":"Welcome again"}"#,
        r#"{"event":"status","code":2,"text":"Someone has already registered with ID 101"}"#,
        r#"{"event":"quit","id":102,"name":"sam","text":"bye"}"#,
        r#"{"event":"quit","id":102,"text":"again"}"#,
    ];
    assert_eq!(take_events(&mut app), expected);
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
}

#[test]
fn any_split_of_the_stream_gives_the_same_events() {
    let stream = [
        status_frame(0, "Welcome"),
        user_frame(102, "sam"),
        chat_frame(102, "Hi"),
        encode(&Message::ServerQuit { source: SERVER, replacement: HostId(2), text: b"" }),
        quit_frame(102, "bye"),
        vec![0x77],
    ]
    .concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut app = new_app(true);
        app.connected(at(0));
        app.push_line(at(0), "sam Hello");
        pieces.for_each(|piece| app.receive(at(1), piece));
        ((take_sent_frames(&mut app), take_events(&mut app)), app.outcome())
    };
    let whole = run(&mut [&stream[..]].into_iter());
    assert_eq!(whole.0.0, ["register 101 frodo ring", "101 reads cut frames", "101>102 Hello"]);
    assert_eq!(whole.0.1.len(), 7);
    assert_eq!(whole.1, Some(Outcome::Failed));
    for size in 1..stream.len() {
        let cut = run(&mut stream.chunks(size));
        assert_eq!(cut, whole, "{size}");
    }
    for at in 0..stream.len() {
        let cut = run(&mut [&stream[..at], &stream[at..]].into_iter());
        assert_eq!(cut, whole, "{at}");
    }
}

#[test]
fn taken_configured_id_closes_the_session() {
    let mut app = new_app(true);
    app.connected(at(0));
    take_sent_frames(&mut app);
    app.receive(at(1), &status_frame(2, "Someone has already registered with ID 101"));
    let advice =
        "the id 101 is taken: choose another with --id, or leave --id out for a random one";
    assert_eq!(
        take_events(&mut app),
        [
            r#"{"event":"status","code":2,"text":"Someone has already registered with ID 101"}"#
                .to_owned(),
            format!(r#"{{"event":"error","text":"{advice}"}}"#),
            format!(r#"{{"event":"disconnected","text":"{advice}"}}"#),
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
}

#[test]
fn taken_random_id_is_retried_with_another() {
    let mut app = new_app(false);
    app.connected(at(0));
    app.receive(at(1), &status_frame(2, "Someone has already registered with ID 101"));
    let mut registrations = take_sent_frames(&mut app);
    registrations.retain(|frame| frame.starts_with("register "));
    assert_eq!(registrations.len(), 2);
    assert_ne!(registrations[0], registrations[1]);
    assert_eq!(take_events(&mut app), [""; 0]);
    app.receive(at(2), &status_frame(0, "Welcome"));
    let id = registrations[1].split(' ').nth(1).expect("an id");
    let connected = format!(r#"{{"event":"connected","id":{id},"name":"frodo"}}"#);
    assert_eq!(take_events(&mut app)[0], connected);
    app.push_line(at(3), "7 Hi");
    assert_eq!(take_sent_frames(&mut app), [format!("{id}>7 Hi")]);
}

#[test]
fn client_gives_up_after_8_refused_random_ids() {
    let mut app = new_app(false);
    app.connected(at(0));
    for _ in 0..100 {
        app.receive(at(1), &status_frame(2, "taken"));
    }
    assert_eq!(take_sent_frames(&mut app).len(), 2 * 8);
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_refusal_of_another_id_is_only_shown() {
    let mut app = new_app(true);
    app.connected(at(0));
    app.receive(at(1), &status_frame(2, "Someone has already registered with ID 9"));
    assert_eq!(take_events(&mut app).len(), 1);
    assert!(!app.is_closed());
}

#[test]
fn silent_server_fails_at_the_welcome_timeout() {
    let mut app = new_app(true);
    app.connected(at(5));
    app.end_input(at(5));
    let deadline = at(5) + WELCOME_TIMEOUT;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline);
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn invalid_frame_closes_the_session() {
    let mut app = registered_app();
    let bytes = [chat_frame(102, "Hi"), b"HTTP/1.1 400".to_vec(), chat_frame(102, "no")].concat();
    app.receive(at(1), &bytes);
    let shown = take_events(&mut app);
    assert_eq!(shown.len(), 3);
    assert!(
        shown[1].contains("this is not a CRC server, or it is broken: unknown frame type 0x48")
    );
    assert!(shown[2].starts_with(r#"{"event":"disconnected""#));
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn text_beyond_the_frame_limit_is_refused() {
    let mut app = registered_app();
    let text_max = FRAME_BYTES_MAX - 13;
    app.push_line(at(1), &format!("7 {}", "x".repeat(text_max)));
    assert_eq!(app.take_output().len(), FRAME_BYTES_MAX);
    app.push_line(at(1), &format!("7 {}", "x".repeat(text_max + 1)));
    app.push_line(at(1), &format!("/quit {}", "x".repeat(FRAME_BYTES_MAX)));
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    assert_eq!(take_errors(&mut app).len(), 2);
    assert!(!app.is_closed());
}

#[test]
fn pending_lines_are_above_high_water_until_the_welcome() {
    let mut app = new_app(true);
    app.connected(at(0));
    let line = format!("7 {}", "x".repeat(NAME_BYTES_MAX));
    let mut lines = 0;
    while !app.is_above_high_water() {
        app.push_line(at(0), &line);
        lines += 1;
    }
    assert!(lines * line.len() < 2 * PENDING_HIGH_WATER_BYTES);
    app.receive(at(1), &status_frame(0, "Welcome"));
    assert!(!app.is_above_high_water());
    assert_eq!(app.pending_bytes, 0);
}
