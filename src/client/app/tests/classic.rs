//! The classic wire. Messages are written out by hand, from section 4 of the contract.

use super::*;
use crate::client::session::NAME_DEADLINE;
use crate::limits::CLIENT_QUEUE_BYTES_MAX;

/// A message that is cut off after its NUL.
fn short(destination: &str, source: &str, text: &str) -> Vec<u8> {
    format!("{destination:<8}{source:<8}{text}\0").into_bytes()
}

/// The same filled to 256 bytes.
fn full(destination: &str, source: &str, text: &str) -> Vec<u8> {
    let mut bytes = short(destination, source, text);
    bytes.resize(256, 0);
    bytes
}

fn server(text: &str) -> Vec<u8> {
    short("alice", "-SERVER-", text)
}

fn chat(from: &str, text: &str) -> Vec<u8> {
    short("alice", from, text)
}

fn connected() -> App {
    let mut app = App::classic(Name::new(b"alice").expect("short"));
    app.connected(at(0));
    app
}

/// Taken at 0 with an interval of 10 s, in the company of sam; all that came before taken.
fn chatting() -> App {
    let mut app = connected();
    app.receive(at(0), &server("Interval 10"));
    app.receive(at(0), &server("List 1/1 alice sam"));
    sent(&mut app);
    shown(&mut app);
    app
}

/// What was written since the last call: destination, source and text of each message.
fn sent(app: &mut App) -> Vec<String> {
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
fn connects_in_256_bytes() {
    let mut app = connected();
    let mut expected = b"-SERVER-alice   Connect alice".to_vec();
    expected.resize(256, 0);
    assert_eq!(app.take_output(), expected);
    app.line(at(0), "sam Hi");
    assert_eq!(app.next_deadline(), Some(WELCOME_DEADLINE));
    app.receive(at(5), &server("Interval 2.5"));
    assert_eq!(shown(&mut app), [r#"{"event":"connected","name":"alice"}"#]);
    assert_eq!(sent(&mut app), ["sam     alice   Hi"]);
    assert_eq!(app.next_deadline(), Some(at(2505)));
}

#[test]
fn a_name_that_is_taken_is_the_end() {
    let mut app = connected();
    app.receive(at(1), &full("alice", "-SERVER-", "Error alice is already online"));
    assert_eq!(
        shown(&mut app),
        [
            r#"{"event":"error","text":"alice is already online"}"#,
            r#"{"event":"disconnected","text":"alice is already online"}"#
        ]
    );
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.closed(at(2), "the server closed the connection");
    assert_eq!(shown(&mut app), [""; 0]);
}

#[test]
fn what_comes_is_shown_in_either_form() {
    for form in [short, full] {
        let mut app = chatting();
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
            shown(&mut app),
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
        assert!(!app.is_over());
    }
}

#[test]
fn any_cut_of_the_stream_shows_the_same() {
    let stream = [
        server("Interval 10"),
        full("alice", "-SERVER-", "List 1/2 alice bob"),
        full("alice", "bob", "Hi"),
        full("alice", "-SERVER-", "List 2/2 sam"),
        chat("sam", &"x".repeat(239)),
        full("alice", "sam", &"y".repeat(239)),
        server("bob is not online"),
        server("List 1/1 alice sam"),
        b"short\0".to_vec(),
        chat("sam", "too late"),
    ]
    .concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut app = connected();
        app.line(at(0), "sam Hello");
        app.line(at(0), "/list");
        pieces.for_each(|piece| app.receive(at(1), piece));
        (sent(&mut app), shown(&mut app), app.outcome())
    };
    let whole = run(&mut [&stream[..]].into_iter());
    assert_eq!(whole.0, ["-SERVER-alice   Connect alice", "sam     alice   Hello"]);
    assert_eq!(whole.1.len(), 11, "{:?}", whole.1);
    assert_eq!(whole.2, Some(Outcome::Failed));
    for size in 1..stream.len() {
        assert_eq!(run(&mut stream.chunks(size)), whole, "{size}");
    }
}

/// What a session shows of lists, one word an event, after the first one named sam and zoe.
fn changes(messages: &[Vec<u8>]) -> Vec<String> {
    let mut app = connected();
    app.receive(at(0), &[server("Interval 10"), server("List 1/1 sam alice zoe")].concat());
    let joined = [
        r#"{"event":"connected","name":"alice"}"#,
        r#"{"event":"join","name":"sam"}"#,
        r#"{"event":"join","name":"zoe"}"#,
    ];
    assert_eq!(shown(&mut app), joined);
    messages.iter().for_each(|message| app.receive(at(1), message));
    let word = |event| match event {
        Event::Join { id: None, name, info: None } => format!("+{name}"),
        Event::Quit { id: None, name: Some(name), text: None } => format!("-{name}"),
        Event::Chat { text, .. } | Event::Status { text, .. } => text.to_string(),
        other => panic!("{other:?}"),
    };
    std::iter::from_fn(|| app.poll_event().map(word)).collect()
}

#[track_caller]
fn check_changes(messages: &[&str], expected: &[&str]) {
    let messages: Vec<_> = messages.iter().map(|text| server(text)).collect();
    assert_eq!(changes(&messages), expected);
}

#[test]
fn a_list_shows_who_came_and_who_left() {
    check_changes(&["List 1/1 alice sam zoe"], &[]);
    check_changes(&["List 1/1 alice bob zoe"], &["-sam", "+bob"]);
    check_changes(&["List 1/1 3 sam alice zoe al~1"], &["+3", "+al~1"]);
    check_changes(&["List 1/1 alice"], &["-sam", "-zoe"]);
    check_changes(&["List 1/1"], &["-sam", "-zoe"]);
    check_changes(&["List 1/1 sam     zoe     "], &[]);
    check_changes(&["List 1/1 sam zoe bob", "List 1/1 sam zoe bob"], &["+bob"]);
}

#[test]
fn a_list_of_pages_counts_when_its_last_one_is_there() {
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
    let between = [server("List 1/2 bob"), chat("sam", "Hi"), server("tom is not online")];
    let last = server("List 2/2 sam zoe");
    let shown = changes(&[&between[..], &[last]].concat());
    assert_eq!(shown, ["Hi", "tom is not online", "+bob"]);
}

#[test]
fn the_list_is_answered_from_what_the_server_told() {
    let mut app = chatting();
    app.line(at(1), "/list");
    assert_eq!(shown(&mut app), [r#"{"event":"users","users":[{"name":"sam"}]}"#]);
    assert_eq!(sent(&mut app), [""; 0]);
}

#[test]
fn the_first_list_is_waited_for() {
    let mut app = connected();
    app.line(at(0), "/list");
    app.line(at(0), "sam after it");
    app.receive(at(10), &server("Interval 10"));
    app.receive(at(20), &server("List 1/2 alice bob"));
    sent(&mut app);
    shown(&mut app);
    assert_eq!(app.next_deadline(), Some(at(10) + NAME_DEADLINE));
    app.advance(at(1009));
    assert_eq!(shown(&mut app), [""; 0]);
    app.receive(at(1009), &server("List 2/2 sam"));
    assert_eq!(
        shown(&mut app)[2..],
        [r#"{"event":"users","users":[{"name":"bob"},{"name":"sam"}]}"#]
    );
    assert_eq!(sent(&mut app), ["sam     alice   after it"]);

    let mut app = connected();
    app.line(at(0), "/list");
    app.receive(at(10), &server("Interval 10"));
    app.advance(at(10) + NAME_DEADLINE);
    assert_eq!(shown(&mut app)[1..], [r#"{"event":"users","users":[]}"#]);
}

/// A line typed by alice while sam is there: what it sends, each text after `to from`.
#[track_caller]
fn check_line(line: &str, expected: &[&str]) {
    let mut app = chatting();
    app.line(at(1), line);
    assert_eq!(sent(&mut app), expected, "{line}");
    assert_eq!(shown(&mut app), [""; 0], "{line}");
}

#[test]
fn lines_are_sent_to_names_as_they_are() {
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
fn names_that_nobody_can_have_are_refused() {
    let mut app = chatting();
    for line in ["123456789 Hi", "samantha1 Hi", "99999999999999999999 Hi", "( ) Hi"] {
        app.line(at(1), line);
    }
    let error = |name| format!("{name} is not a name: they have 1 to 8 bytes");
    let names = ["123456789", "samantha1", "99999999999999999999", " "];
    assert_eq!(errors(&mut app), names.map(error));
    assert_eq!(sent(&mut app), [""; 0]);
}

#[test]
fn a_long_text_is_sent_in_pieces() {
    let text = format!("{}{}", "x".repeat(238), "ü".repeat(200));
    let mut app = chatting();
    app.line(at(1), &format!("sam {text}"));
    let sent = sent(&mut app);
    let lens: Vec<usize> = sent.iter().map(|piece| piece.len() - 16).collect();
    assert_eq!(lens, [238, 238, 162]);
    let pieces: String = sent.iter().map(|piece| &piece[16..]).collect();
    assert_eq!(pieces, text);
    app.line(at(1), &format!("sam {}", "x".repeat(1 << 20)));
    assert_eq!(app.take_output().len(), 256 * (1_usize << 20).div_ceil(239));
    assert_eq!(shown(&mut app), [""; 0]);
}

#[test]
fn alive_is_said_once_an_interval() {
    let mut app = connected();
    app.receive(at(3), &server("Interval 0.25"));
    sent(&mut app);
    for count in 1..=100 {
        let due = at(3 + 250 * count);
        assert_eq!(app.next_deadline(), Some(due));
        app.advance(due - at(1));
        assert_eq!(sent(&mut app), [""; 0], "not early");
        app.advance(due);
        assert_eq!(sent(&mut app), ["-SERVER-alice   Alive alice"]);
    }
}

#[test]
fn alive_keeps_its_beat_when_it_is_late() {
    let mut app = chatting();
    app.advance(at(10_007));
    assert_eq!(sent(&mut app).len(), 1);
    assert_eq!(app.next_deadline(), Some(at(20_000)));
    // The machine slept.
    app.advance(at(95_000));
    assert_eq!(sent(&mut app).len(), 1);
    assert_eq!(app.next_deadline(), Some(at(105_000)));
}

#[test]
fn alive_is_said_whatever_else_is_waited_for() {
    let mut app = connected();
    app.line(at(0), "/list");
    app.receive(at(0), &server("Interval 0.4"));
    sent(&mut app);
    assert_eq!(app.next_deadline(), Some(at(400)));
    app.advance(at(400));
    app.advance(at(800));
    assert_eq!(app.next_deadline(), Some(NAME_DEADLINE), "the list");
    app.advance(NAME_DEADLINE);
    app.advance(at(1200));
    assert_eq!(sent(&mut app), ["-SERVER-alice   Alive alice"; 3]);
}

#[test]
fn alive_adds_nothing_to_a_queue_that_is_full() {
    let mut app = chatting();
    app.set_unsent(at(1), CLIENT_QUEUE_BYTES_MAX);
    app.advance(at(10_000));
    assert_eq!(sent(&mut app), [""; 0]);
    assert_eq!(app.next_deadline(), Some(at(20_000)));
    app.set_unsent(at(10_001), CLIENT_QUEUE_BYTES_MAX - 1);
    app.advance(at(20_000));
    assert_eq!(sent(&mut app), ["-SERVER-alice   Alive alice"]);
}

#[test]
fn quitting_says_so_and_waits_for_the_server_to_close() {
    for leave in [
        (|app| app.line(at(2), "/quit so long")) as fn(&mut App),
        |app| app.end_of_input(at(2)),
        |app| app.interrupt(at(2)),
    ] {
        let mut app = chatting();
        leave(&mut app);
        assert_eq!(sent(&mut app), ["-SERVER-alice   Quit alice"]);
        assert!(!app.ends_stream());
        assert_eq!(app.next_deadline(), Some(at(2) + QUIT_DEADLINE));
        app.closed(at(3), "the server closed the connection");
        assert_eq!(shown(&mut app), [r#"{"event":"disconnected","text":"left"}"#]);
        assert_eq!(app.outcome(), Some(Outcome::Left));
        assert_eq!(app.next_deadline(), None);
    }
}

#[test]
fn bytes_that_are_no_message_end_it() {
    let end = |bytes: &[u8]| {
        let mut app = connected();
        app.receive(at(1), bytes);
        assert_eq!(app.outcome(), Some(Outcome::Failed));
        shown(&mut app).remove(0)
    };
    for (bytes, what) in [
        (&b"alice\0"[..], "a message of 5 bytes"),
        (&[b'x'; 256], "256 bytes without a NUL"),
        (&server("Interval soon"), r#"an interval of \"soon\""#),
    ] {
        let error = end(bytes);
        let expected = format!("this is not a classic server, or it is broken: {what}");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn a_server_that_says_nothing_is_left() {
    let mut app = connected();
    app.receive(at(1), &[0; 256]);
    app.advance(WELCOME_DEADLINE);
    let why = "the server did not answer within 10 s: is it a classic server?";
    assert_eq!(shown(&mut app)[0], format!(r#"{{"event":"error","text":"{why}"}}"#));
    assert_eq!(app.outcome(), Some(Outcome::Failed));
}

#[test]
fn a_lost_connection_fails() {
    let mut app = chatting();
    app.closed(at(1), "the server closed the connection");
    assert_eq!(app.outcome(), Some(Outcome::Failed));
    app.receive(at(2), &chat("sam", "late"));
    app.advance(at(10_000));
    assert_eq!(sent(&mut app), [""; 0]);
    assert_eq!(shown(&mut app).len(), 2);
}
