//! The app in rooms, on every wire.

use super::crc::{chat_frame, new_app, status_frame, take_sent_frames, user_frame};
use super::*;
use super::{classic, crc, direct};
use crate::client::session::NAME_LOOKUP_TIMEOUT;
use crate::id::HostId;
use crate::relay::message::Message;

/// The first id under which `#lab` is shown, from `printf '#lab' | sha256sum`.
const LAB: u32 = 0xe64b_7641;

/// The id of the server.
const SERVER: u32 = 1;

/// Returns a CRC client that is in `#lab`, where sam (102) and two bobs (103, 104) are online.
fn app_in_lab() -> App {
    let mut app = crc::registered_app();
    for (id, name) in [(102, "sam"), (103, "bob"), (104, "bob")] {
        app.receive(at(1), &user_frame(id, name));
    }
    app.push_line(at(2), "/join #lab");
    app.receive(at(3), &user_frame(LAB, "#lab"));
    take_sent_frames(&mut app);
    take_events(&mut app);
    app
}

fn room_event(from: &str, name: &str, text: &str) -> String {
    format!(r##"{{"event":"room","room":"#lab",{from}"name":"{name}","text":"{text}"}}"##)
}

#[test]
fn crc_client_joins_by_a_chat_to_the_server_and_speaks_to_the_shown_user() {
    let mut app = crc::registered_app();
    app.push_line(at(1), "/join #lab");
    app.push_line(at(1), "#LAB Hi all!");
    assert_eq!(take_sent_frames(&mut app), ["101>1 /join #lab"], "the room is not shown yet");
    let joined = r##"{"event":"room_join","room":"#lab","id":101,"name":"frodo"}"##;
    assert_eq!(take_events(&mut app), [joined]);
    app.receive(at(2), &user_frame(LAB, "#Lab"));
    assert_eq!(take_sent_frames(&mut app), [format!("101>{LAB} Hi all!")]);
    assert_eq!(take_events(&mut app), [""; 0], "a room is not a user who joins");
    app.push_line(at(3), "/list");
    app.advance(at(200));
    assert_eq!(take_events(&mut app), [r#"{"event":"users","users":[]}"#]);
    app.push_line(at(300), "/part #lab so long");
    app.push_line(at(300), "/part #ops");
    assert_eq!(take_sent_frames(&mut app), ["101>1 /part #lab so long", "101>1 /part #ops"]);
    let left = r##"{"event":"room_part","room":"#lab","id":101,"name":"frodo","text":"so long"}"##;
    assert_eq!(take_events(&mut app)[0], left);
    let quit = Message::ClientQuit { source: HostId(LAB), text: b"" };
    app.receive(at(301), &crc::encode(&quit));
    assert_eq!(take_events(&mut app), [""; 0], "a room is not a user who quits");
}

#[test]
fn room_that_is_taken_for_a_user_keeps_its_place_among_users() {
    let mut app = crc::registered_app();
    app.receive(at(1), &user_frame(102, "#lab"));
    let joined = r##"{"event":"join","id":102,"name":"#lab","info":"i"}"##;
    assert_eq!(take_events(&mut app), [joined], "not an id of a room of that name");
    app.push_line(NAME_LOOKUP_TIMEOUT, "(#lab) Hi");
    assert_eq!(take_sent_frames(&mut app), ["101>102 Hi"]);
    app.push_line(NAME_LOOKUP_TIMEOUT, "#lab Hi");
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    let why = "this server shows no room #lab: write /join #lab first, or see /rooms";
    assert_eq!(take_errors(&mut app), [why]);
}

#[test]
fn chat_from_a_room_becomes_a_room_event() {
    let mut app = app_in_lab();
    for text in ["<sam> Hi all!", "<bob> Hi", "<eve> a <b> c", "no speaker"] {
        app.receive(at(4), &chat_frame(LAB, text));
    }
    let expected = [
        room_event(r#""from":102,"#, "sam", "Hi all!"),
        room_event("", "bob", "Hi"), // two have the name
        room_event("", "eve", "a <b> c"),
        format!(r##"{{"event":"chat","from":{LAB},"name":"#lab","text":"no speaker"}}"##),
    ];
    assert_eq!(take_events(&mut app), expected);
}

#[test]
fn answers_of_the_server_become_lists() {
    let mut app = app_in_lab();
    app.push_line(at(4), "/rooms");
    app.push_line(at(4), "/names #Lab");
    app.push_line(at(4), "/names");
    let sent = ["101>1 /rooms", "101>1 /names #Lab", "101>1 /names #lab"];
    assert_eq!(take_sent_frames(&mut app), sent);
    for text in [
        "rooms 1/1\n#lab 3\n#ops 1",
        "names #Lab 1/2\n101 x\n103 bob",
        "names #Lab 2/2\n7 e\\u{1b}vil",
        "names #none 1/1",
        "#la,b: the name of a room has no commas",
    ] {
        app.receive(at(5), &chat_frame(SERVER, text));
    }
    assert_eq!(
        take_events(&mut app),
        [
            r##"{"event":"rooms","rooms":[{"room":"#lab","users":3},{"room":"#ops","users":1}]}"##,
            concat!(
                r##"{"event":"room_users","room":"#lab","users":[{"id":101,"name":"frodo"},"##,
                r##"{"id":103,"name":"bob"},{"id":7,"name":"e\\u{1b}vil"}]}"##
            ),
            r##"{"event":"room_users","room":"#none","users":[]}"##,
            r##"{"event":"status","text":"#la,b: the name of a room has no commas"}"##,
        ]
    );
}

#[test]
fn line_to_a_refused_room_waits_for_the_refusal() {
    let refusal = "#lab: the rooms of this network are full; try again later";
    for answer in [chat_frame(SERVER, refusal), status_frame(1, "Unknown ID 1")] {
        let mut app = crc::registered_app();
        let now = NAME_LOOKUP_TIMEOUT;
        app.push_line(now, "/join #lab");
        app.push_line(now, "#lab Hi");
        app.push_line(now, "102 Hi");
        assert_eq!(take_sent_frames(&mut app), ["101>1 /join #lab"]);
        take_events(&mut app);
        app.receive(now, &answer);
        assert_eq!(take_events(&mut app).len(), 2, "the answer, and an error for the line");
        assert_eq!(take_sent_frames(&mut app), ["101>102 Hi"]);
    }
}

/// Types a line in `#lab`. Checks what is sent.
#[track_caller]
fn check_line_in_lab(line: &str, expected: &str) {
    let mut app = app_in_lab();
    app.push_line(NAME_LOOKUP_TIMEOUT, line);
    assert_eq!(take_sent_frames(&mut app), [expected.replace("LAB", &LAB.to_string())], "{line}");
    assert_eq!(take_events(&mut app), [""; 0], "{line}");
}

#[test]
fn line_without_a_recipient_goes_to_the_current_room() {
    check_line_in_lab("Hi all!", "101>LAB Hi all!");
    check_line_in_lab(" Hello \r\n", "101>LAB Hello ");
    check_line_in_lab("sam: Hi", "101>LAB sam: Hi");
    check_line_in_lab("sam", "101>LAB sam");
    check_line_in_lab("(never mind)", "101>LAB (never mind)");
    check_line_in_lab("@sam Hi", "101>LAB @sam Hi");
    check_line_in_lab("sam Hi", "101>102 Hi");
    check_line_in_lab("frodo Hi", "101>101 Hi");
    check_line_in_lab("3 of us", "101>3 of us");
    check_line_in_lab("/msg sam Hi", "101>102 Hi");
    check_line_in_lab("/rooms", "101>1 /rooms");
}

#[test]
fn line_in_a_room_is_refused_when_its_recipient_is_unclear() {
    let mut app = app_in_lab();
    let now = NAME_LOOKUP_TIMEOUT;
    app.push_line(now, "bob Hi");
    app.push_line(now, "/msg eve Hi");
    app.push_line(now, "/lst");
    app.push_line(now, "#ops");
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    assert_eq!(take_errors(&mut app).len(), 4);
}

#[test]
fn line_to_a_user_who_has_left_never_goes_to_the_room() {
    let quit = |id| crc::encode(&Message::ClientQuit { source: HostId(id), text: b"" });
    let now = NAME_LOOKUP_TIMEOUT;
    let write: fn(&mut App) = |app| app.push_line(at(4), "sam secret");
    let read: fn(&mut App) = |app| app.receive(at(4), &chat_frame(102, "secret"));
    for exchange in [write, read] {
        let mut app = app_in_lab();
        exchange(&mut app);
        app.receive(now, &quit(102));
        take_sent_frames(&mut app);
        take_events(&mut app);
        app.push_line(now, "sam another secret");
        assert_eq!(take_sent_frames(&mut app), [""; 0]);
        let why = "sam is not here any more, and this line may be private: write #lab before it \
                   to send it to the room";
        assert_eq!(take_errors(&mut app), [why]);
        app.push_line(now, "#lab sam has left");
        assert_eq!(take_sent_frames(&mut app), [format!("101>{LAB} sam has left")]);
    }
}

#[test]
fn line_in_a_room_waits_for_the_list_of_users() {
    let mut app = new_app(true);
    app.connected(at(0));
    app.push_line(at(0), "/join #lab");
    app.push_line(at(0), "sam Hi");
    app.receive(at(1), &status_frame(0, "Welcome"));
    app.receive(at(1), &user_frame(LAB, "#lab"));
    let sent = take_sent_frames(&mut app);
    assert_eq!(sent.last().map(String::as_str), Some("101>1 /join #lab"));
    app.receive(at(2), &user_frame(102, "sam"));
    assert_eq!(take_sent_frames(&mut app), ["101>102 Hi"]);
    app.push_line(at(3), "eve Hi");
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    app.advance(at(1) + NAME_LOOKUP_TIMEOUT);
    assert_eq!(take_sent_frames(&mut app), [format!("101>{LAB} eve Hi")]);
}

#[test]
fn current_room_is_the_one_joined_last() {
    let mut app = app_in_lab();
    assert_eq!(app.current_room(), Some("#lab"));
    app.push_line(at(4), "/join #ops");
    assert_eq!(app.current_room(), Some("#ops"));
    app.push_line(at(4), "/join #a,b");
    app.push_line(at(4), "/part");
    assert_eq!(app.current_room(), Some("#lab"));
    app.push_line(at(4), "/part #LAB");
    assert_eq!(app.current_room(), None);
    take_sent_frames(&mut app);
    take_events(&mut app);
    app.push_line(NAME_LOOKUP_TIMEOUT, "/part");
    app.push_line(NAME_LOOKUP_TIMEOUT, "/names");
    app.push_line(NAME_LOOKUP_TIMEOUT, "Hi all!");
    assert_eq!(
        take_errors(&mut app),
        [
            "you are in no room: write /part #ROOM, or see /help",
            "you are in no room: write /names #ROOM, or see /help",
            "nobody here is called Hi: see /list"
        ]
    );
}

#[test]
fn invalid_room_names_are_refused_before_they_are_sent() {
    let mut app = app_in_lab();
    for line in ["/join #", "/join #a,b", "/part #a\u{7f}", "/names #\u{1}", "#a,b Hi"] {
        app.push_line(at(4), line);
    }
    assert_eq!(take_sent_frames(&mut app), [""; 0]);
    assert_eq!(take_errors(&mut app)[1], "#a,b: the name of a room has no commas");
}

#[test]
fn direct_client_has_room_fields() {
    let mut app = direct::registered_app();
    let room = b"#lab";
    app.push_line(at(2), "/join #lab");
    // `Message { from: 3, join: "#lab" }`
    assert_eq!(app.take_output(), direct::frame(&[&[0x08, 3, 0x32, 4], room]));
    app.push_line(at(2), "Hi all!");
    app.push_line(at(2), "#lab Hi all!");
    // `Message { from: 3, msg: "Hi all!", room: "#lab" }`
    let said = direct::frame(&[&[0x08, 3, 0x1a, 7], b"Hi all!", &[0x42, 4], room]);
    assert_eq!(app.take_output(), [&said[..], &said].concat());
    app.push_line(at(2), "7 Hi");
    assert_eq!(app.take_output(), direct::frame(&[&[0x08, 3, 0x10, 7, 0x1a, 2], b"Hi"]));
    app.push_line(at(2), "/part #lab bye");
    // `Message { from: 3, msg: "bye", part: "#lab" }`
    let left = direct::frame(&[&[0x08, 3, 0x1a, 3], b"bye", &[0x3a, 4], room]);
    assert_eq!(app.take_output(), left);
    let heard = direct::frame(&[&[0x08, 7, 0x10, 3, 0x1a, 2], b"Hi", &[0x42, 4], room]);
    app.receive(at(3), &heard);
    assert_eq!(
        take_events(&mut app),
        [
            r##"{"event":"room_join","room":"#lab","id":3,"name":"3"}"##,
            r##"{"event":"room_part","room":"#lab","id":3,"name":"3","text":"bye"}"##,
            r##"{"event":"room","room":"#lab","from":7,"text":"Hi"}"##,
        ]
    );
    app.push_line(at(4), "/rooms");
    app.push_line(at(4), "/names #lab");
    let why = "this wire has no lists of rooms and of who is in them: connect with crc:// to see \
               them";
    assert_eq!(take_errors(&mut app), [why; 2]);
    assert_eq!(app.take_output(), b"");
}

#[test]
fn classic_client_has_rooms_as_destinations() {
    let mut app = classic::registered_app();
    app.push_line(at(1), "/join #lab");
    app.push_line(at(1), "Hi all!");
    app.push_line(at(1), "sam Hi");
    app.push_line(at(1), "ALL Hi");
    app.push_line(at(1), "/part #lab so long");
    assert_eq!(
        classic::take_sent_messages(&mut app),
        [
            "-SERVER-alice   Join #lab",
            "#lab    alice   Hi all!",
            "sam     alice   Hi",
            "ALL     alice   Hi",
            "-SERVER-alice   Part #lab",
        ]
    );
    app.receive(at(2), &classic::short_form("#lab", "sam", "Hi"));
    app.receive(at(2), &classic::server_message("#lab: you are not in this room; join it first"));
    assert_eq!(
        take_events(&mut app),
        [
            r##"{"event":"room_join","room":"#lab","name":"alice"}"##,
            r##"{"event":"room_part","room":"#lab","name":"alice"}"##,
            r##"{"event":"room","room":"#lab","name":"sam","text":"Hi"}"##,
            r##"{"event":"status","text":"#lab: you are not in this room; join it first"}"##,
        ]
    );
    app.push_line(at(3), "/join #library");
    app.push_line(at(3), "/join #libraries");
    app.push_line(at(3), "/rooms");
    app.push_line(at(3), "/names");
    assert_eq!(classic::take_sent_messages(&mut app), ["-SERVER-alice   Join #library"]);
    assert_eq!(app.current_room(), Some("#library"));
    let mut events = take_events(&mut app);
    events.remove(0);
    assert_eq!(events.len(), 3);
    let why = "#libraries: the name of a room has at most 8 bytes on this wire";
    assert_eq!(events[0], format!(r#"{{"event":"error","text":"{why}"}}"#));
}
