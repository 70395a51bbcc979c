//! Who may join as a server.

use crc::relay::extension::Frame;
use crc_tests::frames::{extension, server_quit};

use super::*;

/// Makes the loopback addresses of the tests those of strangers.
const STRANGERS: [&str; 2] = ["--allow-servers", "10.0.0.0/8"];

const REFUSAL: &str = "Server 1 accepts no servers from 127.0.0.1: start server 1 with \
                       --allow-servers 127.0.0.1/32, or both servers with the same \
                       --link-key-file, or the other with --join and an invitation of server 1 \
                       (`crc ctl invite`)";

/// Starts a server that accepts no server from this machine, with user 101.
fn closed_server() -> (Server, RawClient) {
    let server = Server::start(&[&["--id", "1"], &STRANGERS[..]].concat());
    let mut frodo = server.connect();
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    (server, frodo)
}

#[test]
fn stranger_that_registers_as_a_server_is_refused_and_named_once() {
    let (one, mut frodo) = closed_server();
    for id in [2, 3] {
        let mut stranger = one.connect();
        stranger.send(&server(id, "mordor", ""));
        stranger.expect_frame(&status(1, 0, 6, REFUSAL));
        // What the stranger goes on to send is of no host.
        stranger.send(&registration(HostKind::User, 202, id, "orc", ""));
        stranger.send(&chat(202, 101, "forged").repeat(8));
        stranger.read_until_closed();
    }
    frodo.send(&chat(101, 202, "Who is there?"));
    frodo.expect_frame(&status(1, 0, 1, "Unknown ID 202"));
    assert_eq!(
        frodo.received,
        [welcome_frame(1, "frodo"), status(1, 0, 1, "Unknown ID 202")].concat()
    );
    assert_eq!(one.host_ids(), [101]);
    one.wait_for_log("start server 1 with --allow-servers 127.0.0.1/32");
    let log = fs::read_to_string(&one.log).expect("a log");
    assert_eq!(log.matches("--allow-servers 127.0.0.1/32").count(), 1, "{log}");
}

#[test]
fn stranger_with_every_other_frame_reaches_no_user() {
    let (one, mut frodo) = closed_server();
    let mut sam = one.connect();
    sam.send(&user(102, "sam", ""));
    frodo.expect_frame(&user_registration(1, 102, "sam"));
    let mail = "Mail from 102: I quit";
    for frame in [
        status(1, 101, 0, "from this server"),
        status(9, 101, 0, "from a server"),
        status(9, 101, 4, mail),
        status(102, 101, 4, mail),
        extension(9, &Frame::End),
        server_quit(1, 9, "bye"),
        quit(102, "forged"),
        registration(HostKind::Server, 9, 1, "mordor", ""),
        registration(HostKind::User, 202, 9, "orc", ""),
    ] {
        for first in [vec![], server(9, "mordor", "")] {
            let mut stranger = one.connect();
            // Eight frames with a false source end the connection.
            stranger.send(&[first, frame.clone(), chat(202, 101, "forged").repeat(8)].concat());
            stranger.read_until_closed();
        }
    }
    frodo.send(&chat(101, 7, "?"));
    frodo.expect_frame(&status(1, 0, 1, "Unknown ID 7"));
    let expected = [
        welcome_frame(1, "frodo"),
        user_registration(1, 102, "sam"),
        status(1, 0, 1, "Unknown ID 7"),
    ];
    assert_eq!(frodo.received, expected.concat());
    assert_eq!(one.host_ids(), [101, 102]);
}

fn user_registration(last_hop: u32, id: u32, name: &str) -> Vec<u8> {
    registration(HostKind::User, id, last_hop, name, "")
}

#[test]
fn server_that_is_not_admitted_learns_what_would_admit_it() {
    let (one, _frodo) = closed_server();
    let two = Server::start(&["--id", "2", "--parent", &one.address()]);
    let text = format!("server 1 does not accept this server: {REFUSAL}");
    two.wait_for_log(&text);
    assert_eq!(one.host_ids(), [101]);
    assert_eq!(two.host_ids(), [0; 0]);
    assert_eq!(two.state()["status_updates"][0], REFUSAL);
}

#[test]
fn allowed_range_admits_its_servers() {
    let range = "10.0.0.0/8,127.0.0.0/8";
    let one = Server::start(&["--id", "1", "--allow-servers", range]);
    let two = Server::start(&["--id", "2", "--parent", &one.address()]);
    one.wait_for_hosts(&[2]);
    let admitted_by = |server: &Server| server.state()["links"][0]["admitted_by"].clone();
    assert_eq!((admitted_by(&one), admitted_by(&two)), ("address".into(), "dial".into()));
}

#[test]
fn plain_server_cannot_let_a_user_say_something() {
    let one = Server::start(&["--id", "1"]);
    let (mut frodo, mut sam, mut plain) = (one.connect(), one.connect(), one.connect());
    frodo.send(&user(101, "frodo", ""));
    frodo.expect_frame(&welcome_frame(1, "frodo"));
    sam.send(&user(102, "sam", ""));
    frodo.expect_frame(&user_registration(1, 102, "sam"));
    plain.send(&server(9, "plain", ""));
    one.wait_for_hosts(&[9, 101, 102]);
    let mail = "Mail from 102: I quit";
    // Of the server itself, of the one that it has joined, and of the user.
    plain.send(
        &[status(9, 101, 4, mail), status(1, 101, 4, mail), status(102, 101, 4, mail)].concat(),
    );
    plain.send(&[status(1, 101, 0, "from server 1"), chat(102, 101, "I quit")].concat());
    plain.send(&status(9, 101, 0, "the last"));
    frodo.expect_frame(&status(9, 0, 0, "the last"));
    let expected = [
        welcome_frame(1, "frodo"),
        user_registration(1, 102, "sam"),
        status(9, 0, 4, mail),
        status(9, 0, 0, "the last"),
    ];
    assert_eq!(frodo.received, expected.concat());
}

/// Writes a key file that only its owner may use.
fn key_file(dir: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = dir.path().join(name);
    fs::write(&path, text).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode");
    path.to_str().expect("text").to_owned()
}

fn links_admitted_by(server: &Server) -> Vec<Value> {
    let links = server.state()["links"].clone();
    links.as_array().expect("links").iter().map(|link| link["admitted_by"].clone()).collect()
}

#[test]
fn link_key_admits_servers_from_any_address() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = key_file(&dir, "key", "a secret that both have\n");
    let other = key_file(&dir, "other", "a secret that one has");
    let with = |key: &str, id: &str, more: &[&str]| {
        let options = ["--id", id, "--link-key-file", key];
        Server::start(&[&options[..], &STRANGERS, more].concat())
    };
    let one = with(&key, "1", &[]);
    let two = with(&key, "2", &["--parent", &one.address()]);
    one.wait_for_hosts(&[2]);
    assert_eq!(
        (links_admitted_by(&one), links_admitted_by(&two)),
        (vec!["key".into()], vec!["key".into()])
    );
    let mut sam = two.connect();
    sam.send(&user(102, "sam", ""));
    one.wait_for_hosts(&[2, 102]);
    let three = with(&other, "3", &["--parent", &one.address()]);
    three.wait_for_log("The link key is not that of server 1");
    // A parent that cannot prove the key is not joined either.
    let keyless = Server::start(&["--id", "4"]);
    let five = with(&key, "5", &["--parent", &keyless.address()]);
    five.wait_for_log("server 4 at 127.0.0.1 does not prove the link key");
    assert_eq!(one.host_ids(), [2, 102]);
    assert_eq!(keyless.host_ids(), [0; 0]);
    for server in [&one, &two, &three, &five] {
        let log = fs::read_to_string(&server.log).expect("a log");
        let state = server.state().to_string();
        assert!(!log.contains("a secret") && !state.contains("a secret"), "{log}");
    }
}

#[test]
fn reloaded_link_key_counts_for_new_links_and_ends_none() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let key = key_file(&dir, "key", "a secret of yesterday");
    let new = key_file(&dir, "new", "a secret of today");
    let start = |key: &str, id: &str, more: &[&str]| {
        let options = ["--id", id, "--link-key-file", key];
        Server::start(&[&options[..], &STRANGERS, more].concat())
    };
    let one = start(&key, "1", &[]);
    let _two = start(&key, "2", &["--parent", &one.address()]);
    one.wait_for_hosts(&[2]);
    fs::write(&key, "short").expect("a file");
    assert!(!one.ctl(&["reload"]).status.success(), "everything stays as it was");
    fs::write(&key, "a secret of today").expect("a file");
    let output = one.ctl(&["reload"]);
    assert!(output.status.success(), "{output:?}");
    let _three = start(&new, "3", &["--parent", &one.address()]);
    one.wait_for_hosts(&[2, 3]);
    let log = fs::read_to_string(&one.log).expect("a log");
    assert!(!log.contains("ends:"), "{log}");
}

#[test]
fn key_file_that_cannot_be_used_is_named_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let short = key_file(&dir, "short", " too short \n");
    let open = key_file(&dir, "open", "a secret that all can read");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("a mode");
    for (path, expected) in [
        (short.as_str(), "the key has 9 bytes, and must have 16 to 1024"),
        (open.as_str(), "every user of this machine may use it (mode 0644)"),
        ("/nowhere/key", "No such file"),
    ] {
        for check in [&["--check-config"][..], &["--listen", "127.0.0.1:0"]] {
            let mut command = Command::new(CRC);
            command.args(["server", "--link-key-file", path]).args(check).stdin(Stdio::null());
            let output = command.output().expect("crc runs");
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{path}");
            assert!(error.contains(&format!("--link-key-file {path}: ")), "{error}");
            assert!(error.contains(expected) && !error.contains("a secret"), "{error}");
        }
    }
}

/// Runs `invite` with arguments, and returns the token.
fn invite(server: &Server, arguments: &[&str]) -> String {
    let output = server.ctl(&[&["invite"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    text.trim_end().to_owned()
}

#[test]
fn invited_server_joins_and_comes_back_and_no_other_does() {
    for options in [&[][..], &STRANGERS] {
        let one = Server::start(&[&["--id", "1"], options].concat());
        let token = invite(&one, &[]);
        let mut two = Server::start(&["--id", "2", "--join", &token]);
        one.wait_for_hosts(&[2]);
        assert_eq!(
            (links_admitted_by(&one), links_admitted_by(&two)),
            (vec!["invitation".into()], vec!["invitation".into()])
        );
        let three = Server::start(&["--id", "3", "--join", &token]);
        three.wait_for_log("This invitation has been used by another server");
        // A restart of the invited server.
        two.send_signal(Signal::TERM);
        assert!(two.wait_for_exit().success());
        eventually("the server has left", || one.host_ids().is_empty().then_some(()));
        let again = Server::start(&["--id", "2", "--join", &token]);
        one.wait_for_hosts(&[2]);
        assert_eq!(three.host_ids(), [0; 0]);
        for server in [&one, &again, &three] {
            let log = fs::read_to_string(&server.log).expect("a log");
            assert!(!log.contains(&token["crcinvite1-".len()..]), "{log}");
            assert!(!server.state().to_string().contains(&token));
        }
    }
}

#[test]
fn servers_that_have_joined_come_back_after_a_restart_of_the_inviter() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("invitations");
    let kept = ["--id", "1", "--invitations", path.to_str().expect("text")];
    let start =
        |listen: &str| Server::start(&[&kept[..], &STRANGERS, &["--listen", listen]].concat());
    let mut one = start("127.0.0.1:0");
    let (address, token) = (one.address(), invite(&one, &[]));
    let two = Server::start(&["--id", "2", "--join", &token]);
    one.wait_for_hosts(&[2]);
    one.send_signal(Signal::KILL);
    one.wait_for_exit();
    let again = start(&address);
    again.wait_for_hosts(&[2]);
    let three = Server::start(&["--id", "3", "--join", &token]);
    three.wait_for_log("This invitation has been used by another server");
    let mode = fs::metadata(&path).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let log = fs::read_to_string(&again.log).expect("a log");
    let text = fs::read_to_string(&path).expect("text");
    let key = text.lines().nth(1).and_then(|line| line.split(' ').nth(1)).expect("a key");
    assert!(!log.contains(key) && !again.state().to_string().contains(key));
    assert_eq!(two.host_ids(), [1]);
    fs::write(&path, "not a list\n").expect("a file");
    let output = Command::new(CRC).arg("server").args(kept).arg("--check-config").output();
    let error = String::from_utf8(output.expect("crc runs").stderr).expect("text");
    assert!(error.contains("line 1 is not an invitation"), "{error}");
}

#[test]
fn expired_and_damaged_invitations_are_refused_with_the_reason() {
    let one = Server::start(&["--id", "1"]);
    let token = invite(&one, &["--expires", "1", "localhost"]);
    let issued_at = Instant::now();
    eventually("it expires", || (issued_at.elapsed() > Duration::from_millis(1200)).then_some(()));
    let two = Server::start(&["--id", "2", "--join", &token]);
    two.wait_for_log("This invitation has expired; ask for a new one");
    let run = |token: &str, option: &str| {
        let mut command = Command::new(CRC);
        let output =
            command.args(["server", "--join", token, option]).stdin(Stdio::null()).output();
        let output = output.expect("crc runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, _, error) = run(&token[..60], "--check-config");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("copy the whole line that `crc ctl invite` has printed"), "{error}");
    assert!(!error.contains(&token[..40]), "the secret is not shown: {error}");
    let (_, printed, _) = run(&token, "--print-config");
    assert!(printed.contains("# join is set, and is not printed"), "{printed}");
    assert!(!printed.contains(&token), "{printed}");
}

#[test]
fn invitation_over_tls_carries_the_pin_of_the_certificate() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| dir.path().join(name).to_str().expect("text").to_owned();
    let output = Command::new(CRC).args(["cert", "--dir", &path("")]).output().expect("crc runs");
    assert!(output.status.success());
    let (certificate, key) = (path("server.pem"), path("server.key"));
    let options = ["--listen", "crc://127.0.0.1:0", "--listen", "crcs://127.0.0.1:0", "--id", "1"];
    let tls = ["--tls-cert", &certificate, "--tls-key", &key];
    let one = Server::start(&[&options[..], &tls, &STRANGERS].concat());
    let two = Server::start(&["--id", "2", "--join", &invite(&one, &[])]);
    one.wait_for_hosts(&[2]);
    assert_eq!(two.state()["links"][0]["tls"], true);
    let json = one.ctl(&["--json", "invite", "bree.example"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let port = one.port_of("crcs");
    assert_eq!(json["address"], format!("bree.example:{port}"));
    assert_eq!((&json["tls"], &json["expires_s"]), (&true.into(), &3600.into()), "{json}");
}
