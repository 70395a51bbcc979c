//! The CRC wire.

use super::*;
use crate::client::session::{LIST_QUIET, NAME_DEADLINE};
use crate::id::HostId;
use crate::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_CEILING, NAME_BYTES_MAX};
use crate::relay::message::{HostKind, Message, Registration, StatusCode};
use crate::wires::crc::codec as wire;

const SERVER: HostId = HostId(1);
const ME: HostId = HostId(101);

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(message, &mut bytes);
    bytes
}

fn user(id: u32, name: &str) -> Vec<u8> {
    encode(&Message::Registration(Registration {
        kind: HostKind::User,
        source: HostId(id),
        last_hop: SERVER,
        name: name.as_bytes(),
        info: b"i",
    }))
}

fn status_to(destination: HostId, code: u16, text: &str) -> Vec<u8> {
    encode(&Message::Status {
        source: SERVER,
        destination,
        code: StatusCode(code),
        text: text.as_bytes(),
    })
}

pub(super) fn status(code: u16, text: &str) -> Vec<u8> {
    status_to(HostId::NONE, code, text)
}

pub(super) fn chat(from: u32, text: &str) -> Vec<u8> {
    encode(&Message::Chat { source: HostId(from), destination: ME, text: text.as_bytes() })
}

fn quit(id: u32, text: &str) -> Vec<u8> {
    encode(&Message::ClientQuit { source: HostId(id), text: text.as_bytes() })
}

pub(super) fn app(id_is_chosen: bool) -> App {
    let identity = Identity {
        id: ME,
        is_id_configured: id_is_chosen,
        name: b"frodo".to_vec(),
        info: b"ring".to_vec(),
    };
    App::crc(identity, 7)
}

/// Connected and welcomed at 0, its registration and welcome taken.
pub(super) fn chatting() -> App {
    let mut app = app(true);
    app.connected(at(0));
    app.receive(at(0), &status(0, "Welcome"));
    sent(&mut app);
    shown(&mut app);
    app
}

/// What was written since the last call, one word a frame.
pub(super) fn sent(app: &mut App) -> Vec<String> {
    let bytes = app.take_output();
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Ok(Some((message, len))) = wire::parse(rest, FRAME_BYTES_MAX_CEILING) {
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
            other => panic!("a client sent {other:?}"),
        });
    }
    assert_eq!(rest, b"", "half a frame");
    frames
}

/// A line typed while sam (102) and two bobs (103, 104) are there: what it sends and shows.
#[track_caller]
fn check_line(line: &str, expected_sent: &[&str], expected_shown: &[&str]) {
    let mut app = chatting();
    for (id, name) in [(104, "bob"), (102, "sam"), (103, "bob"), (105, "the 3 of us")] {
        app.receive(at(1), &user(id, name));
    }
    shown(&mut app);
    app.line(NAME_DEADLINE, line);
    assert_eq!(sent(&mut app), expected_sent, "{line}");
    assert_eq!(shown(&mut app), expected_shown, "{line}");
}

#[test]
fn lines_are_sent() {
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
fn digits_may_be_a_name() {
    let sent_to = |line: &str| {
        let mut app = chatting();
        let others = [(7, "103"), (8, "123"), (9, "99"), (10, "99"), (11, "4294967296")];
        for (id, name) in others {
            app.receive(at(1), &user(id, name));
        }
        app.receive(at(1), &user(103, "bob"));
        app.line(NAME_DEADLINE, line);
        sent(&mut app)
    };
    assert_eq!(sent_to("(123) x"), ["101>8 x"]);
    assert_eq!(sent_to("/msg 123 x"), ["101>8 x"]);
    assert_eq!(sent_to("123 x"), ["101>123 x"]);
    assert_eq!(sent_to("(103) x"), ["101>103 x"], "the id is known");
    assert_eq!(sent_to("/msg 101 x"), ["101>101 x"], "one's own id");
    assert_eq!(sent_to("(99) x"), ["101>99 x"], "several have the name");
    assert_eq!(sent_to("/msg 5 x"), ["101>5 x"], "nobody has either");
    assert_eq!(sent_to("(4294967296) x"), ["101>11 x"], "no id");
}

#[test]
fn digits_that_may_be_a_name_wait_like_one() {
    let mut app = chatting();
    app.line(at(1), "/msg 123 x");
    assert_eq!(sent(&mut app), [""; 0]);
    app.receive(at(2), &user(8, "123"));
    assert_eq!(sent(&mut app), ["101>8 x"]);
}

#[test]
fn lines_are_answered() {
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
fn what_the_server_says_is_shown() {
    let mut app = app(true);
    app.connected(at(0));
    assert_eq!(sent(&mut app), ["register 101 frodo ring"]);
    let server = Message::Registration(Registration {
        kind: HostKind::Server,
        source: SERVER,
        last_hop: HostId::NONE,
        name: b"theshire",
        info: b"",
    });
    for bytes in [
        status(0, "Welcome"),
        encode(&server),
        user(102, "sam"),
        user(101, "frodo"),
        status_to(HostId::EXTENSION, 9, "caps"),
        chat(102, "Hi"),
        chat(999, "who?"),
        chat(101, "echo"),
        status(1, "Unknown ID 7"),
        status(0, "Welcome again"),
        status(2, "Someone has already registered with ID 101"),
        quit(102, "bye"),
        quit(102, "again"),
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
    assert_eq!(shown(&mut app), expected);
    assert_eq!(sent(&mut app), [""; 0]);
}

#[test]
fn any_cut_of_the_stream_shows_the_same() {
    let stream = [
        status(0, "Welcome"),
        user(102, "sam"),
        chat(102, "Hi"),
        encode(&Message::ServerQuit { source: SERVER, replacement: HostId(2), text: b"" }),
        quit(102, "bye"),
        vec![0x77],
    ]
    .concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut app = app(true);
        app.connected(at(0));
        app.line(at(0), "sam Hello");
        pieces.for_each(|piece| app.receive(at(1), piece));
        ((sent(&mut app), shown(&mut app)), app.outcome())
    };
    let whole = run(&mut [&stream[..]].into_iter());
    assert_eq!(whole.0.0, ["register 101 frodo ring", "101>102 Hello"]);
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
fn lines_wait_for_the_welcome() {
    let mut app = app(true);
    app.line(at(0), "7 one");
    app.connected(at(0));
    app.line(at(1), "/list");
    app.line(at(1), "7 two");
    assert_eq!(sent(&mut app), ["register 101 frodo ring"]);
    assert_eq!(shown(&mut app), [""; 0]);
    app.receive(at(2), &status(0, "Welcome"));
    assert_eq!(sent(&mut app), ["101>7 one"]);
    app.advance(at(2) + LIST_QUIET);
    assert_eq!(sent(&mut app), ["101>7 two"]);
    assert_eq!(shown(&mut app)[2..], [r#"{"event":"users","users":[]}"#]);
}

#[test]
fn a_list_waits_until_everyone_is_told_of() {
    let mut app = app(true);
    app.connected(at(0));
    app.line(at(0), "/list");
    app.end_of_input(at(0));
    app.receive(at(10), &status(0, "Welcome"));
    app.receive(at(50), &user(102, "sam"));
    shown(&mut app);
    assert_eq!(app.next_deadline(), Some(at(50) + LIST_QUIET));
    app.advance(at(149));
    assert_eq!(shown(&mut app), [""; 0]);
    app.advance(at(150));
    let users = r#"{"event":"users","users":[{"id":102,"name":"sam"}]}"#;
    assert_eq!(shown(&mut app), [users]);
    assert_eq!(sent(&mut app)[1..], ["quit 101 "]);

    let mut app = chatting();
    for millis in (0..1500).step_by(50) {
        app.receive(at(millis), &chat(102, "never quiet"));
    }
    shown(&mut app);
    app.line(at(1500), "/list");
    assert_eq!(shown(&mut app).len(), 1);
}

#[test]
fn a_line_waits_for_its_name_and_later_lines_behind_it() {
    let mut app = chatting();
    app.line(at(100), "sam one");
    app.line(at(100), "7 two");
    app.end_of_input(at(100));
    app.line(at(100), "7 after the end");
    assert_eq!(app.next_deadline(), Some(NAME_DEADLINE));
    app.receive(at(500), &user(103, "bob"));
    app.advance(at(999));
    assert_eq!(sent(&mut app), [""; 0]);
    app.receive(at(999), &user(102, "sam"));
    assert_eq!(sent(&mut app), ["101>102 one", "101>7 two", "quit 101 "]);
}

#[test]
fn a_name_that_never_comes_is_an_error_in_its_turn() {
    let mut app = chatting();
    app.line(at(0), "sam one");
    app.line(at(0), "7 two");
    app.line(at(0), "bob three");
    app.advance(NAME_DEADLINE);
    assert_eq!(sent(&mut app), ["101>7 two"]);
    assert_eq!(
        errors(&mut app),
        ["nobody here is called sam: see /list", "nobody here is called bob: see /list"]
    );
    assert_eq!(app.next_deadline(), None);
    app.line(NAME_DEADLINE, "eve four");
    assert_eq!(errors(&mut app), ["nobody here is called eve: see /list"]);
}

#[test]
fn a_chosen_id_that_is_taken_is_the_end() {
    let mut app = app(true);
    app.connected(at(0));
    sent(&mut app);
    app.receive(at(1), &status(2, "Someone has already registered with ID 101"));
    let advice =
        "the id 101 is taken: choose another with --id, or leave --id out for a random one";
    assert_eq!(
        shown(&mut app),
        [
            r#"{"event":"status","code":2,"text":"Someone has already registered with ID 101"}"#
                .to_owned(),
            format!(r#"{{"event":"error","text":"{advice}"}}"#),
            format!(r#"{{"event":"disconnected","text":"{advice}"}}"#),
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    assert_eq!(sent(&mut app), [""; 0]);
}

#[test]
fn a_random_id_that_is_taken_gives_way_to_another() {
    let mut app = app(false);
    app.connected(at(0));
    app.receive(at(1), &status(2, "Someone has already registered with ID 101"));
    let registrations = sent(&mut app);
    assert_eq!(registrations.len(), 2);
    assert_ne!(registrations[0], registrations[1]);
    assert_eq!(shown(&mut app), [""; 0]);
    app.receive(at(2), &status(0, "Welcome"));
    let id = registrations[1].split(' ').nth(1).expect("an id");
    let connected = format!(r#"{{"event":"connected","id":{id},"name":"frodo"}}"#);
    assert_eq!(shown(&mut app)[0], connected);
    app.line(at(3), "7 Hi");
    assert_eq!(sent(&mut app), [format!("{id}>7 Hi")]);
}

#[test]
fn a_server_that_refuses_every_id_is_left() {
    let mut app = app(false);
    app.connected(at(0));
    for _ in 0..100 {
        app.receive(at(1), &status(2, "taken"));
    }
    assert_eq!(sent(&mut app).len(), 8);
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_refusal_of_another_id_is_only_shown() {
    let mut app = app(true);
    app.connected(at(0));
    app.receive(at(1), &status(2, "Someone has already registered with ID 9"));
    assert_eq!(shown(&mut app).len(), 1);
    assert!(!app.is_over());
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let mut app = app(true);
    app.connected(at(5));
    app.end_of_input(at(5));
    let deadline = at(5) + WELCOME_DEADLINE;
    assert_eq!(app.next_deadline(), Some(deadline));
    app.advance(deadline);
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn bytes_that_are_no_frame_end_it() {
    let mut app = chatting();
    let bytes = [chat(102, "Hi"), b"HTTP/1.1 400".to_vec(), chat(102, "no")].concat();
    app.receive(at(1), &bytes);
    let shown = shown(&mut app);
    assert_eq!(shown.len(), 3);
    assert!(
        shown[1].contains("this is not a CRC server, or it is broken: unknown frame type 0x48")
    );
    assert!(shown[2].starts_with(r#"{"event":"disconnected""#));
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_text_that_no_server_takes_is_refused() {
    let mut app = chatting();
    let text_max = FRAME_BYTES_MAX - 13;
    app.line(at(1), &format!("7 {}", "x".repeat(text_max)));
    assert_eq!(app.take_output().len(), FRAME_BYTES_MAX);
    app.line(at(1), &format!("7 {}", "x".repeat(text_max + 1)));
    app.line(at(1), &format!("/quit {}", "x".repeat(FRAME_BYTES_MAX)));
    assert_eq!(sent(&mut app), [""; 0]);
    assert_eq!(errors(&mut app).len(), 2);
    assert!(!app.is_over());
}

#[test]
fn lines_that_wait_are_bounded_by_whoever_brings_them() {
    let mut app = app(true);
    app.connected(at(0));
    let line = format!("7 {}", "x".repeat(NAME_BYTES_MAX));
    let mut lines = 0;
    while !app.is_congested() {
        app.line(at(0), &line);
        lines += 1;
    }
    assert!(lines * line.len() < 2 * WAITING_BYTES_MAX);
    app.receive(at(1), &status(0, "Welcome"));
    assert!(!app.is_congested());
    assert_eq!(app.waiting_bytes, 0);
}
