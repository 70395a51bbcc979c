//! The IRC wire over sockets.

use super::*;

/// Sends lines, and reads until one has arrived that ends with `end`. Returns all of them.
#[track_caller]
fn ask(client: &mut RawClient, lines: &str, end: &str) -> Vec<String> {
    client.received.clear();
    client.send(lines.as_bytes());
    client.expect_frame(format!("{end}\r\n").as_bytes());
    let text = String::from_utf8(client.received.clone()).expect("UTF-8");
    text.split_terminator("\r\n").map(str::to_owned).collect()
}

#[test]
fn clients_of_a_server_chat_over_irc() {
    let server = Server::start(&[
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "irc://127.0.0.1:0",
        "--id",
        "1",
        "--name",
        "hub",
    ]);
    let port = server.port_of("irc");
    let (mut frodo, mut sam) = (RawClient::connect(port), RawClient::connect(port));
    let end = ":hub 422 frodo :There is no message of the day";
    let welcome =
        ask(&mut frodo, "CAP REQ server-time\r\nNICK frodo\r\nUSER f 0 * :F\r\nCAP END\r\n", end);
    assert_eq!(welcome[0], ":hub CAP * ACK :server-time");
    let started = welcome.iter().find(|line| line.contains(" 003 ")).expect("a time");
    assert!(!started.contains("1970"), "the time of the day: {started}");
    ask(&mut sam, "NICK sam\nUSER s 0 * :S\n", ":hub 422 sam :There is no message of the day");
    ask(&mut frodo, "JOIN #lab\r\n", ":hub 366 frodo #lab :End of NAMES list");
    ask(&mut sam, "JOIN #lab\n", ":hub 366 sam #lab :End of NAMES list");
    let lines = ask(&mut frodo, "PRIVMSG #lab :Hi Sam!\r\nPING 1\r\n", ":hub PONG hub :1");
    let join = lines.iter().find(|line| line.contains("JOIN")).expect("Sam has joined");
    assert!(join.starts_with("@time=20") && join.ends_with(" :sam!s@crc JOIN #lab"), "{join}");
    sam.expect_frame(b":frodo!f@crc PRIVMSG #lab :Hi Sam!\r\n");
    let lines = ask(&mut sam, "QUIT :bye\n", "ERROR :Closing link: quit");
    assert!(!lines.is_empty());
    frodo.expect_frame(b":sam!s@crc QUIT :bye\r\n");
    let state = server.state();
    let users: Vec<&str> = state["hosts"]
        .as_array()
        .expect("hosts")
        .iter()
        .map(|host| host["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(users, ["frodo"]);
}

#[test]
fn message_of_the_day_is_that_of_the_file_and_is_reloaded() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("motd");
    fs::write(&file, "Be kind.\n\nTea at four.\n").expect("written");
    let path = file.to_str().expect("text").to_owned();
    let listeners = ["--listen", "127.0.0.1:0", "--listen", "irc://127.0.0.1:0"];
    let options = [&listeners[..], &["--name", "hub", "--motd", &path]].concat();
    let server = Server::start(&options);
    let mut frodo = RawClient::connect(server.port_of("irc"));
    let end = ":hub 376 frodo :End of MOTD";
    let welcome = ask(&mut frodo, "NICK frodo\r\nUSER f 0 * :F\r\n", end);
    let expected = [
        ":hub 375 frodo :- hub Message of the day - ",
        ":hub 372 frodo :- Be kind.",
        ":hub 372 frodo :-  ",
        ":hub 372 frodo :- Tea at four.",
        end,
    ];
    assert_eq!(welcome[welcome.len() - expected.len()..], expected);
    fs::write(&file, "x".repeat(20_000)).expect("written");
    let output = server.ctl(&["reload"]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("20000 bytes; shorten it to 16384"), "{error}");
    assert_eq!(ask(&mut frodo, "MOTD\r\n", end), expected, "it is the one before");
    fs::write(&file, "").expect("written");
    assert_eq!(server.ctl(&["reload"]).status.code(), Some(0));
    ask(&mut frodo, "MOTD\r\n", ":hub 422 frodo :There is no message of the day");
}
