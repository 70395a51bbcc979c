//! Lines of a case, good and bad.

use super::*;

fn check(line: &str, expected: Command) {
    assert_eq!(Command::parse(line), Ok(expected), "{line}");
}

fn check_error(line: &str, expected: &str) {
    match Command::parse(line) {
        Err(error) => assert!(error.0.contains(expected), "{line}: {error}"),
        Ok(command) => panic!("{line}: {command:?} instead of an error"),
    }
}

fn message(destination: u32, text: &str) -> Command {
    Command::ClientCommand {
        username: "frodo".to_owned(),
        action: Action::Message { destination, text: text.to_owned() },
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
    }
}

#[test]
fn launches_keep_the_quotes_and_take_options_in_any_order() {
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
            id: 101,
            username: String::new(),
            server: Endpoint { host: "theshire".to_owned(), port: "36201".to_owned() },
            info: "\"a=b c\"".to_owned(),
            log_file: None,
        }),
    );
}

#[test]
fn texts_are_all_the_words_that_remain() {
    check(
        r#"CLIENTCOMMAND --username frodo --command MESSAGE 102 "Hello  Sam""#,
        message(102, "\"Hello  Sam\""),
    );
    check("CLIENTCOMMAND --username frodo --command MESSAGE 102 a  b --x", message(102, "a b --x"));
    check_error(
        "CLIENTCOMMAND --username frodo --command MESSAGE 102",
        "MESSAGE `102` has no text",
    );
    check("CLIENTCOMMAND --username sam --username=frodo --command MESSAGE 7 x", message(7, "x"));
    check("CLIENTCOMMAND --command MESSAGE 102 hi --username frodo", message(102, "hi"));
    check("CLIENTCOMMAND --username=frodo --command=QUIT so long", quit("so long"));
    check("CLIENTCOMMAND --username frodo --command QUIT", quit(""));
    check(
        "CLIENTCOMMAND --username frodo --command QUIT x --username sam",
        quit("x --username sam"),
    );
}

#[test]
fn waits_and_kills() {
    check("WAIT 0.25", Command::Wait(Duration::from_millis(250)));
    check("WAIT 1", Command::Wait(Duration::from_secs(1)));
    check("KILL bree", Command::Kill("bree".to_owned()));
    check("KILL ALL", Command::KillAll);
}

#[test]
fn errors_name_the_word_at_fault() {
    check_error("", "empty command");
    check_error("LAUNCH x", "unknown command `LAUNCH`");
    check_error("KILL", "KILL needs a word");
    check_error("KILL a b", "`b`");
    check_error("WAIT -1", "`-1` is no number of seconds");
    check_error("WAIT soon", "`soon` is no number of seconds");
    check_error("KILL \"a", "never closed in `\"a`");
    check_error("LAUNCHSERVER --id", "`--id` has no value");
    check_error("LAUNCHSERVER --id --port 1", "`--id` has no value");
    check_error("LAUNCHSERVER --id 1 Hobbits", "found `Hobbits`");
    check_error("LAUNCHSERVER --idd 1", "unknown option `--idd`");
    check_error("LAUNCHSERVER --id x1 --servername a --port 1", "--id: `x1` is no id");
    check_error("LAUNCHSERVER --id 0 --servername a --port 1", "--id: 0 cannot be registered");
    check_error(
        &format!("LAUNCHSERVER --id 1 --port 1 --servername {}", "é".repeat(128)),
        &format!("--servername has 256 bytes, and 255 fit: `{}…`", "é".repeat(80)),
    );
    check_error("LAUNCHSERVER --id 4294967296 --servername a --port 1", "`4294967296` is no id");
    check_error("LAUNCHSERVER --id 1 --port 1", "--servername is missing");
    check_error("LAUNCHSERVER --id 1 --connect_to_port 1", "without --connect_to_host");
    check_error("LAUNCHCLIENT --id 1 --username a", "--serverport is missing");
    check_error("CLIENTCOMMAND --username a", "without --command");
    check_error("CLIENTCOMMAND --command QUIT", "--username is missing");
    check_error("CLIENTCOMMAND --username a --command", "--command has no value");
    check_error("CLIENTCOMMAND --username a --command SHOUT", "`SHOUT`");
    check_error("CLIENTCOMMAND --username a --command MESSAGE", "id of its addressee");
    check_error("CLIENTCOMMAND --username a --command MESSAGE sam hi", "`sam` is no id");
    check_error("CLIENTCOMMAND --username a --command QUIT \"a\nb\"", "`\"a\\nb\"`");
}
