//! Who may join as a server.

use crc::relay::extension::Frame;
use crc_tests::frames::{extension, server_quit};

use super::*;

/// Makes the loopback addresses of the tests those of strangers.
const STRANGERS: [&str; 2] = ["--allow-servers", "10.0.0.0/8"];

const REFUSAL: &str =
    "Servers are not accepted from 127.0.0.1: start this server with --allow-servers 127.0.0.1/32";

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
    one.wait_for_log("start this server with --allow-servers 127.0.0.1/32");
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
