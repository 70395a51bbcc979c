//! Tests of the parser of commands, on valid and invalid lines.

use crc::wires::Wire;

use super::*;

fn check(line: &str, expected: Command) {
    let expected = ParsedCommand { command: expected, ignored_words: Vec::new() };
    assert_eq!(Command::parse(line), Ok(expected), "{line}");
}

fn check_error(line: &str, expected: &str) {
    match Command::parse(line) {
        Err(error) => assert!(error.0.contains(expected), "{line}: {error}"),
        Ok(command) => panic!("{line}: {command:?} instead of an error"),
    }
}

fn message(destination: &str, text: &str) -> Command {
    Command::ClientCommand {
        username: "frodo".to_owned(),
        action: Action::Message { destination: destination.to_owned(), text: text.to_owned() },
    }
}

fn quit(text: &str) -> Command {
    Command::ClientCommand {
        username: "frodo".to_owned(),
        action: Action::Quit { text: text.to_owned() },
    }
}

fn server(info: &str, connect_to: Option<(&str, &str)>) -> LaunchServer {
    LaunchServer {
        id: 2,
        servername: "bree".to_owned(),
        port: "36202".to_owned(),
        info: info.to_owned(),
        log_file: None,
        connect_to: connect_to
            .map(|(host, port)| Endpoint { host: host.to_owned(), port: port.to_owned() }),
        split_grace: None,
        classic_interval: None,
        has_mailbox: false,
    }
}

#[test]
fn launch_commands_keep_quotes_and_accept_options_in_any_order() {
    check(
        r#"LAUNCHSERVER --id 2 --servername bree --port 36202 --info "An  Inn" --log-file b.log"#,
        Command::LaunchServer(LaunchServer {
            log_file: Some("b.log".to_owned()),
            ..server("\"An  Inn\"", None)
        }),
    );
    check(
        "LAUNCHSERVER --port=36202 --connect_to_port 36201 --servername=bree \
         --connect-to-host=theshire --id=2 --split-grace 0.3",
        Command::LaunchServer(LaunchServer {
            split_grace: Some(Duration::from_millis(300)),
            ..server("", Some(("theshire", "36201")))
        }),
    );
    check(
        r#"  LAUNCHCLIENT	--id 101 --serverport 36201 --serverhost theshire --username= --info="a=b c""#,
        Command::LaunchClient(LaunchClient {
            wire: Wire::CRC,
            id: Some(101),
            username: String::new(),
            server: Endpoint { host: "theshire".to_owned(), port: "36201".to_owned() },
            info: "\"a=b c\"".to_owned(),
            log_file: None,
        }),
    );
}

#[test]
fn launchserver_accepts_mailbox_and_classic_interval() {
    check(
        "LAUNCHSERVER --mailbox --id 2 --classic_interval 0.3 --servername bree --port 36202",
        Command::LaunchServer(LaunchServer {
            classic_interval: Some(Duration::from_millis(300)),
            has_mailbox: true,
            ..server("", None)
        }),
    );
    check_error("LAUNCHSERVER --mailbox=a --id 2", "--mailbox` takes no value");
    check_error(
        "LAUNCHSERVER --id 2 --servername a --port 1 --classic-interval x",
        "`x` is not a number",
    );
}

#[test]
fn launchclient_accepts_a_wire_and_checks_its_id_and_name() {
    let client = |options: &str| {
        let line = format!("LAUNCHCLIENT --serverport 1 --username pip {options}");
        match Command::parse(&line) {
            Ok(ParsedCommand { command: Command::LaunchClient(launch), .. }) => {
                (launch.wire, launch.id)
            }
            other => panic!("{line}: {other:?}"),
        }
    };
    assert_eq!(client("--id 7 --wire crc"), (Wire::CRC, Some(7)));
    assert_eq!(client("--wire=direct"), (Wire::DIRECT, None));
    assert_eq!(client("--wire direct --id 72057594037927936"), (Wire::DIRECT, Some(1 << 56)));
    assert_eq!(client("--wire classic"), (Wire::CLASSIC, None));

    let check_error = |options: &str, expected: &str| {
        check_error(&format!("LAUNCHCLIENT --serverport 1 {options}"), expected);
    };
    check_error(
        "--username pip --wire smoke",
        "--wire: `smoke` is not one of crc, direct, classic",
    );
    check_error("--username pip --wire crc", "--id is missing");
    check_error("--username pip --wire direct --id x", "--id: `x` is not an id");
    check_error("--username pip --wire direct --id -5", "--id: `-5`: -5 is not an id");
    check_error(
        "--username pip --wire classic --id 7",
        "--id: `7`: classic:// knows users by name",
    );
    check_error("--username samwise-gamgee --wire classic", "--username: `samwise-gamgee`: a name");
    check_error("--username \"a b\" --wire classic", "--username: `\"a b\"`: a name has no spaces");
    check_error("--username= --wire classic", "at least one byte");
    check_error("--wire classic", "--username is missing");
}

#[test]
fn message_destination_is_checked_against_the_wire() {
    let check = |wire: Wire, destination: &str, expected: &str| {
        let action = Action::Message { destination: destination.to_owned(), text: "Hi".to_owned() };
        let error =
            action.validate(wire).map_or_else(|error| error.to_string(), |()| String::new());
        assert!(error.contains(expected) && error.is_empty() == expected.is_empty(), "{error}");
        assert_eq!(action.typed_line(), format!("{destination} Hi"));
    };
    for good in ["0", "4294967295", "sam", "(72057594037927936)"] {
        check(Wire::CRC, good, "");
    }
    check(
        Wire::CRC,
        "4294967296",
        "`4294967296` is not an id (0 to 4294967295); put a name of digits",
    );
    check(Wire::DIRECT, "9223372036854775807", "");
    check(Wire::DIRECT, "9223372036854775808", "`9223372036854775808` is not a number");
    check(Wire::DIRECT, "sam", "`sam` is not a number");
    for good in ["ALL", "12345678", "samwi~2u"] {
        check(Wire::CLASSIC, good, "");
    }
    check(Wire::CLASSIC, "123456789", "`123456789` is not a name on the classic wire");
}

/// Checks a command and the words of it that are ignored.
fn check_ignored(line: &str, expected: Command, ignored_words: &[&str]) {
    let ignored_words = ignored_words.iter().map(|&word| word.to_owned()).collect();
    assert_eq!(
        Command::parse(line),
        Ok(ParsedCommand { command: expected, ignored_words }),
        "{line}"
    );
}

#[test]
fn message_text_is_the_first_word_or_quoted_text() {
    check(
        r#"CLIENTCOMMAND --username frodo --command MESSAGE 102 "Hello  Sam""#,
        message("102", "\"Hello  Sam\""),
    );
    check_ignored(
        "CLIENTCOMMAND --username frodo --command MESSAGE 102 Hello Sam",
        message("102", "Hello"),
        &["Sam"],
    );
    check_error(
        "CLIENTCOMMAND --username frodo --command MESSAGE 102",
        "MESSAGE `102` has no text",
    );
    check("CLIENTCOMMAND --username sam --username=frodo --command MESSAGE 7 x", message("7", "x"));
    check("CLIENTCOMMAND --command MESSAGE 102 hi --username frodo", message("102", "hi"));
    check("CLIENTCOMMAND --username frodo --command MESSAGE 102 -5", message("102", "-5"));
    check_error("CLIENTCOMMAND --username frodo --command MESSAGE 102 a --x", "option `--x`");
    check_ignored("CLIENTCOMMAND --username frodo --command QUIT so long", quit("so"), &["long"]);
    check("CLIENTCOMMAND --username=frodo --command=QUIT so", quit("so"));
    check("CLIENTCOMMAND --username frodo --command QUIT", quit(""));
    check("CLIENTCOMMAND --username sam --command QUIT x --username frodo", quit("x"));
}

#[test]
fn short_options_stand_for_the_long_ones_of_their_command() {
    check("LAUNCHSERVER -I 2 -S bree -P 36202 --info x", Command::LaunchServer(server("x", None)));
    check("LAUNCHSERVER -I2 -S=bree -P36202", Command::LaunchServer(server("", None)));
    check(
        "LAUNCHCLIENT -I 101 -S theshire -P 36201 -U frodo",
        Command::LaunchClient(LaunchClient {
            wire: Wire::CRC,
            id: Some(101),
            username: "frodo".to_owned(),
            server: Endpoint { host: "theshire".to_owned(), port: "36201".to_owned() },
            info: String::new(),
            log_file: None,
        }),
    );
    check("CLIENTCOMMAND -U frodo --command QUIT", quit(""));
    check_error("LAUNCHSERVER -U frodo", "unknown option `-U`");
    check_error("LAUNCHSERVER -S", "`--servername` has no value");
}

#[test]
fn abbreviated_options_are_accepted_while_unambiguous() {
    check(
        "LAUNCHSERVER --id 2 --s bree --p 36202 --connect_to_h theshire --connect-to-p 36201",
        Command::LaunchServer(server("", Some(("theshire", "36201")))),
    );
    let line = "LAUNCHCLIENT --id=101 --serverh theshire --serverp 36201 --user frodo";
    let Ok(ParsedCommand { command: Command::LaunchClient(launch), .. }) = Command::parse(line)
    else {
        panic!("{line}")
    };
    assert_eq!(launch.server, Endpoint { host: "theshire".to_owned(), port: "36201".to_owned() });
    assert_eq!(launch.username, "frodo");
    check("CLIENTCOMMAND --u frodo --c QUIT", quit(""));
    check_error("LAUNCHCLIENT --server x", "`--server` is ambiguous: --serverhost --serverport");
    check_error("LAUNCHSERVER --i 2", "`--i` is ambiguous: --id --info");
    check_error("LAUNCHSERVER --split 2", "unknown option `--split`");
}

#[test]
fn positional_words_between_options_are_ignored() {
    check_ignored(
        "LAUNCHSERVER x --id 2 --servername bree y --port 36202 --mailbox z",
        Command::LaunchServer(LaunchServer { has_mailbox: true, ..server("", None) }),
        &["x", "y", "z"],
    );
}

#[test]
fn wait_kill_and_freeze_are_parsed() {
    check("WAIT 0.25", Command::Wait(Duration::from_millis(250)));
    check("WAIT 1", Command::Wait(Duration::from_secs(1)));
    check("KILL bree", Command::Kill("bree".to_owned()));
    check("KILL ALL", Command::KillAll);
    check("FREEZE pip", Command::Freeze("pip".to_owned()));
}

#[test]
fn parse_errors_name_the_offending_word() {
    check_error("", "empty command");
    check_error("LAUNCH x", "unknown command `LAUNCH`");
    check_error("KILL", "KILL needs one word");
    check_error("FREEZE", "FREEZE needs one word");
    check_error("KILL a b", "`b`");
    check_error("WAIT -1", "`-1` is not a number of seconds");
    check_error("WAIT soon", "`soon` is not a number of seconds");
    check_error("KILL \"a", "not closed in `\"a`");
    check_error("LAUNCHSERVER --id", "`--id` has no value");
    check_error("LAUNCHSERVER --id --port 1", "`--id` has no value");
    check_error("LAUNCHSERVER --id 1 Hobbits", "--servername is missing");
    check_error("LAUNCHSERVER --idd 1", "unknown option `--idd`");
    check_error("LAUNCHSERVER --id x1 --servername a --port 1", "--id: `x1` is not an id");
    check_error("LAUNCHSERVER --id 0 --servername a --port 1", "--id: 0 is reserved");
    check_error(
        &format!("LAUNCHSERVER --id 1 --port 1 --servername {}", "é".repeat(128)),
        &format!("--servername has 256 bytes, and the maximum is 255: `{}…`", "é".repeat(80)),
    );
    check_error(
        "LAUNCHSERVER --id 4294967296 --servername a --port 1",
        "`4294967296` is not an id",
    );
    check_error("LAUNCHSERVER --id 1 --port 1", "--servername is missing");
    check_error("LAUNCHSERVER --id 1 --connect_to_port 1", "without --connect_to_host");
    check_error("LAUNCHCLIENT --id 1 --username a", "--serverport is missing");
    check_error("CLIENTCOMMAND --username a", "without --command");
    check_error("CLIENTCOMMAND --command QUIT", "--username is missing");
    check_error("CLIENTCOMMAND --username a --command", "`--command` has no value");
    check_error("CLIENTCOMMAND --username a --command SHOUT", "`SHOUT`");
    check_error(
        "CLIENTCOMMAND --username a --command MESSAGE",
        "the id or the name of its recipient",
    );
    check_error("CLIENTCOMMAND --username a --command QUIT \"a\nb\"", "`\"a\\nb\"`");
}
