//! The HTTP wire: pages, and JSON over WebSocket. See "The HTTP wire" in `docs/PROTOCOL.md`.

use super::direct::connect_with_id;
use super::*;

use crc::limits::{HTTP_HEAD_BYTES_MAX, WEB_LIST_ENTRIES_MAX};

/// The handshake of a WebSocket, without its last empty line.
const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Sends a request on a new connection. Returns the client and the response.
fn request(world: &mut World, server: usize, head: &str) -> (ClientId, String) {
    let client = world.connect_on(server, Wire::HTTP);
    world.send(client, head.as_bytes());
    (client, take_text(world, client))
}

fn take_text(world: &mut World, client: ClientId) -> String {
    world.run_until_quiescent();
    String::from_utf8(world.take_received(client)).expect("UTF-8")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:3680\r\n\r\n")
}

/// Returns the first line of a response, and the value of a header.
fn status_line(response: &str) -> &str {
    response.lines().next().unwrap_or_default()
}

fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = response.split_once("\r\n\r\n")?;
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Returns a masked frame with its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&u16::try_from(len).expect("a short message").to_be_bytes());
        }
    }
    bytes.extend_from_slice(&mask);
    bytes.extend(masked);
    bytes
}

fn text(message: &str) -> Vec<u8> {
    frame(0x81, message.as_bytes())
}

/// Splits what a server has sent into frames, each with its first byte.
fn split(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, short, ..] = *bytes {
        let (start, len) = match short {
            126 => (4, u16::from_be_bytes([bytes[2], bytes[3]]).into()),
            short => (2, usize::from(short)),
        };
        frames.push((first, bytes[start..start + len].to_vec()));
        bytes = &bytes[start + len..];
    }
    frames
}

/// Takes the events that a client has received; of other frames the first byte and the payload.
fn take_events(world: &mut World, client: ClientId) -> Vec<String> {
    world.run_until_quiescent();
    let frames = split(&world.take_received(client));
    let shown = frames.into_iter().map(|(first, payload)| match first {
        0x81 => String::from_utf8(payload).expect("UTF-8"),
        0x88 if payload.len() >= 2 => {
            let code = u16::from_be_bytes([payload[0], payload[1]]);
            format!("close {code} {}", String::from_utf8_lossy(&payload[2..]))
        }
        first => format!("{first:02x} {}", String::from_utf8_lossy(&payload)),
    });
    shown.collect()
}

/// Opens a WebSocket.
fn open(world: &mut World, server: usize) -> ClientId {
    let (client, response) = request(world, server, &format!("{HANDSHAKE}\r\n"));
    assert_eq!(status_line(&response), "HTTP/1.1 101 Switching Protocols");
    client
}

/// Opens a WebSocket, says hello without presence, and takes the answer.
fn enter(world: &mut World, server: usize, id: u32, name: &str) -> ClientId {
    let client = open(world, server);
    let hello = format!(r#"{{"do":"hello","id":{id},"name":"{name}","presence":false}}"#);
    world.send(client, &text(&hello));
    let connected = format!(r#"{{"event":"connected","id":{id},"name":"{name}"}}"#);
    assert_eq!(take_events(world, client), [connected]);
    client
}

fn say(world: &mut World, client: ClientId, message: &str) {
    world.send(client, &text(message));
    world.run_until_quiescent();
}

#[test]
fn page_is_served_with_strict_headers_and_an_etag() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let (client, page) = request(&mut world, server, &get("/?x=1"));
    assert_eq!(status_line(&page), "HTTP/1.1 200 OK");
    assert_eq!(header(&page, "Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(header(&page, "X-Content-Type-Options"), Some("nosniff"));
    let policy = header(&page, "Content-Security-Policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe")
    );
    assert!(policy.ends_with("frame-ancestors 'none'"));
    let (head, body) = page.split_once("\r\n\r\n").expect("a body");
    assert_eq!(header(&page, "Content-Length"), Some(body.len().to_string().as_str()));
    let tag = header(&page, "ETag").expect("a tag");
    let host = "Host: [::1]:3680\r\n";
    world.send(client, format!("HEAD / HTTP/1.1\r\n{host}\r\n").as_bytes());
    assert_eq!(take_text(&mut world, client), format!("{head}\r\n\r\n"), "on the same connection");
    let known = format!("GET / HTTP/1.1\r\n{host}If-None-Match: \"x\", W/{tag}\r\n\r\n");
    let (_, response) = request(&mut world, server, &known);
    assert_eq!(status_line(&response), "HTTP/1.1 304 Not Modified");
    assert!(response.ends_with("\r\n\r\n") && header(&response, "ETag") == Some(tag));
}

#[test]
fn page_is_compressed_for_clients_that_can_read_it() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let ask = |encoding: &str, tag: &str| {
        format!(
            "HEAD / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {encoding}\r\n\
             If-None-Match: {tag}\r\n\r\n"
        )
    };
    let (_, plain) = request(&mut world, server, &ask("br, gzip;q=0", "\"x\""));
    let (_, gzip) = request(&mut world, server, &ask("gzip, br", "\"x\""));
    assert_eq!(header(&plain, "Content-Encoding"), None);
    assert_eq!(header(&gzip, "Content-Encoding"), Some("gzip"));
    for head in [&plain, &gzip] {
        assert_eq!(header(head, "Vary"), Some("Accept-Encoding"));
    }
    let length =
        |head| header(head, "Content-Length").expect("a length").parse::<u32>().expect("a number");
    assert!(length(&gzip) < length(&plain) / 2);
    let tag = header(&gzip, "ETag").expect("a tag").to_owned();
    assert_ne!(header(&plain, "ETag"), Some(&*tag));
    let (_, known) = request(&mut world, server, &ask("gzip, br", &tag));
    assert_eq!(status_line(&known), "HTTP/1.1 304 Not Modified");
    let (_, other_form) = request(&mut world, server, &ask("", &tag));
    assert_eq!(status_line(&other_form), "HTTP/1.1 200 OK");
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let requests = [get("/healthz"), "\r\n".to_owned(), get("/nothing"), get("/readyz")].concat();
    let (client, responses) = request(&mut world, server, &requests);
    let lines: Vec<&str> = responses.lines().filter(|line| line.starts_with("HTTP/")).collect();
    assert_eq!(lines, ["HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1 200 OK"]);
    assert!(responses.ends_with("\r\n\r\nready\n") && !world.is_closed(client));
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    world.send(client, [last, &get("/")].concat().as_bytes());
    let response = take_text(&mut world, client);
    assert!(response.ends_with("\r\n\r\nok\n") && world.is_closed(client), "{response}");
}

#[test]
fn faulty_request_has_a_precise_status() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let lacking = world.start(ServerSpec::new(3, Some(2)));
    let mut check = |server, head: &str, status: &str, closes: bool| {
        let (client, response) = request(&mut world, server, head);
        assert_eq!(status_line(&response), format!("HTTP/1.1 {status}"), "{head}");
        assert_eq!(world.is_closed(client), closes, "{head}");
        assert_eq!(header(&response, "Connection"), closes.then_some("close"));
        response
    };
    check(server, "hello\r\n\r\n", "400 Bad Request", true);
    check(server, "GET / HTTP/1.1\r\n\r\n", "400 Bad Request", true);
    let post = "POST / HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1\r\n\r\nx";
    let response = check(server, post, "405 Method Not Allowed", true);
    assert_eq!(header(&response, "Allow"), Some("GET, HEAD"));
    let elsewhere = "GET / HTTP/1.1\r\nHost: shire.example.org\r\n\r\n";
    let response = check(server, elsewhere, "421 Misdirected Request", false);
    assert!(response.contains("--web-origin"), "{response}");
    let response = check(server, &get("/ws"), "426 Upgrade Required", false);
    assert_eq!(header(&response, "Sec-WebSocket-Version"), Some("13"));
    let foreign = format!("{HANDSHAKE}Origin: https://evil.example.org\r\n\r\n");
    check(server, &foreign, "403 Forbidden", false);
    let other = format!("{HANDSHAKE}Sec-WebSocket-Protocol: soap\r\n\r\n");
    check(server, &other, "400 Bad Request", false);
    for path in ["/operator", "/operator.html", "/operator/state", "/operator/ws", "/metrics"] {
        check(server, &get(path), "404 Not Found", false);
    }
    check(lacking, &get("/readyz"), "503 Service Unavailable", false);
    let long = "x".repeat(HTTP_HEAD_BYTES_MAX + 1);
    check(server, &long, "414 URI Too Long", true);
    let headers = format!("GET / HTTP/1.1\r\nA: {long}");
    check(server, &headers, "431 Request Header Fields Too Large", true);
    check(server, "GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported", true);
}

#[test]
fn request_that_takes_too_long_is_answered_and_an_idle_connection_closed() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let (slow, _) = request(&mut world, server, "GET / HTTP/1.1\r\n");
    let (idle, _) = request(&mut world, server, &get("/healthz"));
    let silent = open(&mut world, server);
    world.run_for(REGISTER_DEADLINE + SECOND);
    let response = take_text(&mut world, slow);
    assert_eq!(status_line(&response), "HTTP/1.1 408 Request Timeout");
    assert_eq!(take_text(&mut world, idle), "");
    let why = "no registration in time";
    let last = format!(r#"{{"event":"disconnected","text":"{why}"}}"#);
    assert_eq!(take_events(&mut world, silent), [last, format!("close 1008 {why}")]);
    assert!([slow, idle, silent].into_iter().all(|client| world.is_closed(client)));
}

#[test]
fn users_of_json_and_of_other_wires_chat() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let sam = connect_and_send(&mut world, server, &fast_user(102, "sam"));
    let frodo = open(&mut world, server);
    say(&mut world, frodo, r#"{"do":"hello","name":"frodo","id":101}"#);
    let expected = [
        r#"{"event":"connected","id":101,"name":"frodo"}"#,
        r#"{"event":"join","id":102,"name":"sam","info":""}"#,
    ];
    assert_eq!(take_events(&mut world, frodo), expected);
    take_frames(&mut world, sam);
    say(&mut world, frodo, r#"{"do":"say","to":102,"text":"Gr\u00fc\u00dfe"}"#);
    say(&mut world, frodo, r#"{"do":"say","to":"sam","text":"Hi"}"#);
    assert_received(&mut world, sam, &[chat(101, 102, "Grüße"), chat(101, 102, "Hi")]);
    world.send(sam, &[chat(102, 101, "\"\n"), quit(102, "bye")].concat());
    let expected = [
        r#"{"event":"chat","from":102,"name":"sam","text":"\"\n"}"#,
        r#"{"event":"quit","id":102,"name":"sam","text":"bye"}"#,
    ];
    assert_eq!(take_events(&mut world, frodo), expected);
    say(&mut world, frodo, r#"{"do":"say","to":102,"text":"?"}"#);
    say(&mut world, frodo, r#"{"do":"say","to":101,"text":"me"}"#);
    let expected = [
        r#"{"event":"status","code":1,"text":"Unknown ID 102"}"#,
        r#"{"event":"chat","from":101,"name":"frodo","text":"me"}"#,
    ];
    assert_eq!(take_events(&mut world, frodo), expected);
    say(&mut world, frodo, r#"{"do":"quit","text":"gone"}"#);
    assert_eq!(take_events(&mut world, frodo), ["close 1000 "]);
    assert!(world.is_closed(frodo) && host_ids(world.node(server).expect("alive")).is_empty());
}

#[test]
fn refused_request_is_answered_by_an_error() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    enter(&mut world, server, 101, "frodo");
    enter(&mut world, server, 102, "frodo");
    let sam = open(&mut world, server);
    let mut check = |request: &str, expected: &str| {
        say(&mut world, sam, request);
        assert_eq!(take_events(&mut world, sam), [expected], "{request}");
    };
    let error = |text: &str| format!(r#"{{"event":"error","text":{text:?}}}"#);
    check(r#"{"do":"list"}"#, &error("write {\"do\":\"hello\",\"name\":…} first"));
    check(r#"{"do":"hello","name":""}"#, &error("a name has 1 to 255 bytes"));
    let taken =
        r#"{"event":"status","code":2,"text":"Someone has already registered with ID 101"}"#;
    check(r#"{"do":"hello","name":"sam","id":101}"#, taken);
    let ids = "0 is not an id: they are 1 to 4294967294";
    check(r#"{"do":"hello","name":"sam","id":0}"#, &error(ids));
    let connected = r#"{"event":"connected","id":103,"name":"sam"}"#;
    check(r#"{"do":"hello","name":"sam","id":103,"presence":false}"#, connected);
    check(r#"{"do":"hello","name":"sam"}"#, &error("you are user 103 already"));
    check(r#"{"do":"say","to":"bilbo","text":"x"}"#, &error("nobody has the name \"bilbo\""));
    let several = "several users have the name \"frodo\"; write an id";
    check(r#"{"do":"say","to":"frodo","text":"x"}"#, &error(several));
    check(r#"{"do":"say","to":-1,"text":"x"}"#, &error("nobody has the id -1"));
    let member = "#lab: you are not in this room; join it first";
    check(r##"{"do":"say","to":"#lab","text":"x"}"##, &error(member));
    check(r#"{"do":"join","room":"lab"}"#, &error("lab: the name of a room begins with #"));
    check(r#"{"do":"join","room":"x","to":1}"#, &error("\"join\" has no key \"to\""));
}

#[test]
fn frames_cut_anywhere_give_the_same_events() {
    let stream = [
        format!("{HANDSHAKE}Sec-WebSocket-Protocol: crc.json.v1\r\n\r\n").into_bytes(),
        text(r#"{"do":"hello","name":"frodo","id":101}"#),
        frame(0x01, br#"{"do":"say","#),
        frame(0x89, b"ping"),
        frame(0x00, br#""to":101,"text":"#),
        frame(0x80, format!("\"{}\"}}", "x".repeat(200)).as_bytes()),
        frame(0x8a, b""),
        frame(0x88, &[3, 0xe8]),
    ]
    .concat();
    for cut in (0..stream.len()).step_by(3) {
        let mut world = world();
        let server = world.start(ServerSpec::new(1, None));
        let client = world.connect_on(server, Wire::HTTP);
        for piece in [&stream[..cut], &stream[cut..]] {
            world.send(client, piece);
            world.run_until_quiescent();
        }
        let received = world.take_received(client);
        let end = received.windows(4).position(|it| it == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        assert_eq!(header(&head, "Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(header(&head, "Sec-WebSocket-Protocol"), Some("crc.json.v1"));
        let frames = split(&received[end..]);
        let kinds: Vec<u8> = frames.iter().map(|(first, _)| *first).collect();
        assert_eq!(kinds, [0x81, 0x8a, 0x81, 0x88], "cut at {cut}");
        assert!(frames[2].1.ends_with(b"xxx\"}") && world.is_closed(client));
    }
}

#[test]
fn faulty_frame_ends_the_connection_with_its_code() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    for (bytes, expected) in [
        (frame(0x82, b"x"), "close 1003 write text messages"),
        (frame(0x81, b"\xff"), "close 1007 the message is not UTF-8"),
        (frame(0xc1, b"x"), "close 1002 a reserved bit is set"),
        (b"\x81\x01x".to_vec(), "close 1002 a frame is not masked"),
        (
            vec![0x81, 0xff, 0, 0, 0, 0, 0, 16, 0, 1, 0, 0, 0, 0],
            "close 1009 the message is too long",
        ),
    ] {
        let client = enter(&mut world, server, 101, "frodo");
        world.send(client, &[bytes, text(r#"{"do":"list"}"#)].concat());
        assert_eq!(take_events(&mut world, client), [expected]);
        assert!(world.is_closed(client));
    }
}

#[test]
fn members_are_sent_who_joins_and_leaves_their_rooms_across_a_split() {
    let mut world = world();
    let one = world.start(ServerSpec::new(1, None));
    let two = world.start(ServerSpec::new(2, Some(1)));
    world.run_for(SECOND);
    let frodo = enter(&mut world, one, 101, "frodo");
    let other = enter(&mut world, one, 103, "merry");
    let sam = enter(&mut world, two, 102, "sam");
    say(&mut world, frodo, r##"{"do":"join","room":"#Lab"}"##);
    say(&mut world, sam, r##"{"do":"join","room":"#lab"}"##);
    let joined =
        |id, name| format!(r##"{{"event":"room_join","room":"#Lab","id":{id},"name":"{name}"}}"##);
    assert_eq!(take_events(&mut world, frodo), [joined(101, "frodo"), joined(102, "sam")]);
    assert_eq!(take_events(&mut world, sam), [joined(102, "sam")]);
    say(&mut world, sam, r##"{"do":"say","to":"#LAB","text":"Hi all!"}"##);
    let hello = r##"{"event":"room","room":"#Lab","from":102,"name":"sam","text":"Hi all!"}"##;
    assert_eq!(take_events(&mut world, frodo), [hello]);

    world.set_isolated(two, true);
    world.cut_uplink(two);
    world.run_for(SPLIT_GRACE + 2 * SECOND);
    let parted = r##"{"event":"room_part","room":"#Lab","id":102,"name":"sam"}"##;
    assert_eq!(take_events(&mut world, frodo), [parted]);
    world.set_isolated(two, false);
    world.run_for(10 * SECOND);
    assert_eq!(take_events(&mut world, frodo), [joined(102, "sam")]);

    say(&mut world, sam, r##"{"do":"part","room":"#lab","text":"bye"}"##);
    let bye = r##"{"event":"room_part","room":"#Lab","id":102,"name":"sam","text":"bye"}"##;
    assert_eq!(take_events(&mut world, frodo), [bye]);
    assert_eq!(take_events(&mut world, sam).last().map(String::as_str), Some(bye));
    assert_eq!(take_events(&mut world, other), [] as [&str; 0]);
}

#[test]
fn lists_come_in_portions_and_requests_for_them_are_bounded() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let neighbour = connect_and_send(&mut world, server, &server_frames());
    let frodo = enter(&mut world, server, 101, "frodo");
    world.send(frodo, &text(r#"{"do":"list"}"#).repeat(6));
    let events = take_events(&mut world, frodo);
    let refused = events.iter().filter(|event| event.contains("too many lists")).count();
    let whole = events.iter().filter(|event| event.ends_with("}]}")).count();
    assert_eq!((refused, whole), (2, 4));
    let portions: Vec<&String> =
        events.iter().filter(|event| event.starts_with(r#"{"event":"users""#)).collect();
    let users = |event: &str| event.matches(r#""id":"#).count();
    let total: usize = portions.iter().map(|event| users(event)).sum();
    assert_eq!(total, 4 * REMOTE_USERS.len());
    assert!(portions.iter().all(|event| users(event) <= WEB_LIST_ENTRIES_MAX));
    assert!(!world.is_closed(neighbour));
}

/// Returns the frames of a plain server with many users.
fn server_frames() -> Vec<u8> {
    let users = REMOTE_USERS.flat_map(|id| registration(HostKind::User, id, 2, "user", ""));
    [server(2, "two", ""), users.collect()].concat()
}

#[test]
fn mail_reaches_a_client_that_comes_later() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let direct = connect_with_id(&mut world, server, 7);
    world.send(direct.client, &super::direct::text_frame(101, "later"));
    world.run_until_quiescent();
    let frodo = open(&mut world, server);
    say(&mut world, frodo, r#"{"do":"hello","name":"frodo","id":101,"presence":false}"#);
    let expected = [
        r#"{"event":"connected","id":101,"name":"frodo"}"#,
        r#"{"event":"chat","from":7,"name":"7","text":"later"}"#,
    ];
    assert_eq!(take_events(&mut world, frodo), expected);
}

#[test]
fn name_is_found_among_many_users_and_messages_keep_their_order() {
    let mut world = world();
    let server = world.start(ServerSpec::new(1, None));
    let users = (1000..10_500).flat_map(|id| registration(HostKind::User, id, 2, "user", ""));
    let bilbo = registration(HostKind::User, 20_000, 2, "bilbo", "");
    let frames = [fast_server(2, "two"), users.collect(), bilbo].concat();
    let neighbour = connect_and_send(&mut world, server, &frames);
    let frodo = enter(&mut world, server, 101, "frodo");
    take_frames(&mut world, neighbour);
    let requests = [
        text(r#"{"do":"say","to":"bilbo","text":"1"}"#),
        text(r#"{"do":"say","to":20000,"text":"2"}"#),
        text(r#"{"do":"say","to":"bilbo","text":"3"}"#),
        text(r#"{"do":"say","to":"nobody","text":"4"}"#),
        text(r#"{"do":"say","to":20000,"text":"5"}"#),
    ];
    world.send(frodo, &requests.concat());
    world.run_for(SECOND);
    let chats = ["1", "2", "3", "5"].map(|text| chat(101, 20_000, text));
    assert_received(&mut world, neighbour, &chats);
    let expected = r#"{"event":"error","text":"nobody has the name \"nobody\""}"#;
    assert_eq!(take_events(&mut world, frodo), [expected]);
}
