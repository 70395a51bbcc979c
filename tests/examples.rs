//! Runs the programs of `examples/`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::{HostKind, Message};
use crc::wires::crc::codec;
use crc_tests::frames::{chat, registration};

#[allow(dead_code)] // `main`
#[path = "../examples/embed.rs"]
mod embed;

#[allow(dead_code)]
#[path = "../examples/mio_server.rs"]
mod mio_server;

#[test]
fn embedded_servers_relay_between_their_users() {
    let (frodo, sam) = embed::run();
    assert_eq!(
        frodo,
        [
            "status: Welcome to the Clemson Relay Chat network frodo",
            "102 sam is here",
            "status: Unknown ID 7",
            "102 left: Leaving",
        ]
    );
    assert_eq!(
        sam,
        [
            "status: Welcome to the Clemson Relay Chat network sam",
            "101 frodo is here",
            "101 says: Hello Sam",
        ]
    );
}

#[test]
fn bot_of_the_mio_server_answers_a_chat_over_tcp() {
    let mut server = mio_server::Server::open("127.0.0.1:0".parse().expect("valid")).expect("open");
    let address = server.listener.local_addr().expect("bound");
    let mut client = TcpStream::connect(address).expect("connected");
    client.set_nonblocking(true).expect("a socket");
    let mut request = registration(HostKind::User, 101, 0, "frodo", "");
    request.extend(chat(101, 2, "hello"));
    client.write_all(&request).expect("room for two frames");

    let deadline = Instant::now() + Duration::from_secs(30);
    let mut received = Vec::new();
    while !has_chat(&received, HostId(2), b"2 users") {
        assert!(Instant::now() < deadline, "no answer in {received:?}");
        assert!(server.turn(Some(Duration::from_millis(10))).expect("a turn"));
        let mut buffer = [0; 4096];
        match client.read(&mut buffer) {
            Ok(count) => {
                assert_ne!(count, 0, "the server closed the connection");
                received.extend(&buffer[..count]);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

fn has_chat(mut bytes: &[u8], from: HostId, expected: &[u8]) -> bool {
    while let Ok(Some((message, len))) = codec::parse(bytes, FRAME_BYTES_MAX) {
        if let Message::Chat { source, text, .. } = message
            && (source, text) == (from, expected)
        {
            return true;
        }
        bytes = &bytes[len..];
    }
    false
}
