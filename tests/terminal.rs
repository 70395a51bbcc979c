//! The line editor of `crc client` and `crc peer` on a pseudo-terminal.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crc_tests::pty::PtyProgram;
use rustix::process::Signal;

const TIMEOUT: Duration = Duration::from_secs(60);

fn crc(arguments: &[&str]) -> PtyProgram {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crc"));
    command.args(arguments).env_remove("NO_COLOR").env_remove("CRC_LOG");
    PtyProgram::start(&mut command)
}

/// A client on a terminal, and the server's end of its connection.
fn start_client() -> (PtyProgram, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let mut client = crc(&["client", &address, "--id", "7", "--name", "alice"]);
    let (mut server, _) = listener.accept().expect("a connection");
    server.set_read_timeout(Some(TIMEOUT)).expect("a socket");
    let (kind, _) = read_frame(&mut server);
    assert_eq!(kind, 0x80);
    let welcome = b"Welcome";
    let mut status = vec![0x01, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    status.extend(u32::try_from(welcome.len()).expect("short").to_be_bytes());
    status.extend(welcome);
    server.write_all(&status).expect("a connection");
    client.expect_text("connected as");
    client.wait_for_editor();
    (client, server)
}

/// Reads a registration, a status, a chat or a quit: its type, and its text at the end.
fn read_frame(server: &mut TcpStream) -> (u8, String) {
    let mut read = |len: usize| {
        let mut bytes = vec![0; len];
        server.read_exact(&mut bytes).expect("a frame");
        bytes
    };
    let kind = read(1)[0];
    let text_len = match kind {
        0x80 => {
            let header = read(11);
            usize::from(header[8]) + usize::from(u16::from_be_bytes([header[9], header[10]]))
        }
        0x01 => u32_at(&read(14), 10),
        0x81 => u32_at(&read(12), 8),
        0x82 => u32_at(&read(8), 4),
        other => panic!("a frame of type {other:#x}"),
    };
    (kind, String::from_utf8(read(text_len)).expect("UTF-8"))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    let bytes = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_be_bytes(bytes) as usize
}

/// The texts of the chats that the client sent before its quit.
fn read_chats(server: &mut TcpStream) -> Vec<String> {
    let frames = std::iter::from_fn(|| Some(read_frame(server)).filter(|(kind, _)| *kind != 0x82));
    frames.filter(|(kind, _)| *kind == 0x81).map(|(_, text)| text).collect()
}

/// Stops a program with half a line typed, continues it, and types the rest.
#[track_caller]
fn check_stop(program: &mut PtyProgram, prompt: &str, stop: impl FnOnce(&mut PtyProgram)) {
    program.type_keys("/hel");
    program.expect_text("/hel");
    stop(program);
    program.expect_stop();
    program.resume();
    program.expect_text(&format!("{prompt}> /hel"));
    program.wait_for_editor();
    program.type_keys("x\u{1b}[D\u{1b}[C\u{7f}p\r");
    program.expect_text("shows this table");
    program.wait_for_editor();
}

#[track_caller]
fn check_all_stops(program: &mut PtyProgram, prompt: &str) {
    check_stop(program, prompt, |program| program.type_keys("\u{1a}"));
    check_stop(program, prompt, |program| program.send_signal(Signal::TSTP));
    check_stop(program, prompt, |program| program.send_signal(Signal::STOP));
    check_stop(program, prompt, |program| program.type_keys("\u{1a}"));
}

#[test]
fn stopped_client_redraws_the_typed_line_when_continued() {
    let (mut client, _server) = start_client();
    check_all_stops(&mut client, "alice");
    client.type_keys("/quit\r");
}

#[test]
fn stopped_peer_redraws_the_typed_line_when_continued() {
    let mut peer = crc(&["peer", "127.0.0.1:0", "--desired-id", "5"]);
    peer.expect_text("this peer is");
    peer.wait_for_editor();
    check_all_stops(&mut peer, "peer");
    peer.type_keys("/quit\r");
    peer.expect_exit();
}

#[test]
fn pasted_lines_are_sent_as_separate_chats() {
    let (mut client, mut server) = start_client();
    client.type_keys("\u{1b}[200~9 one\r9 two\n\n9 three\u{1b}[201~");
    client.expect_text("three");
    client.type_keys(" and a half\r");
    client.wait_for_editor();
    client.type_keys("/quit\r");
    assert_eq!(read_chats(&mut server), ["one", "two", "three and a half"]);
    drop(server);
    client.expect_exit();
}

#[test]
fn incoming_chat_does_not_tear_the_typed_line() {
    let (mut client, mut server) = start_client();
    client.type_keys("9 half a li");
    client.expect_text("half a li");
    let chat = b"\x81\0\0\0\x09\0\0\0\x07\0\0\0\x05Hello";
    server.write_all(chat).expect("a connection");
    let before = client.expect_text(": Hello");
    assert!(before.contains("\r\u{1b}[K"), "no line of its own: {before:?}");
    client.expect_text("alice> 9 half a li");
    client.type_keys("ne\r");
    client.wait_for_editor();
    client.type_keys("/quit\r");
    assert_eq!(read_chats(&mut server), ["half a line"]);
}

#[test]
fn joined_room_is_in_the_prompt_and_gets_lines_without_a_recipient() {
    let (mut client, mut server) = start_client();
    client.type_keys("/join #lab\r");
    client.expect_text("alice #lab> ");
    assert_eq!(read_frame(&mut server), (0x01, String::new()), "reads cut frames");
    assert_eq!(read_frame(&mut server), (0x81, "/join #lab".to_owned()));
    // The room is shown under the start of what `printf '#lab' | sha256sum` prints, with the top
    // bit set.
    let shown = b"\x80\xe6\x4b\x76\x41\0\0\0\x01\x04\0\x04#labroom";
    server.write_all(shown).expect("a connection");
    let text = "<sam> Hi, alice!";
    let mut chat = b"\x81\xe6\x4b\x76\x41\0\0\0\x07\0\0\0\x10".to_vec();
    chat.extend(text.as_bytes());
    server.write_all(&chat).expect("a connection");
    client.expect_text("[#lab] ");
    client.expect_text(": Hi, \u{1b}[1;7malice\u{1b}[m!");
    client.type_keys("Hi s\t");
    client.expect_text("alice #lab> Hi sam ");
    client.type_keys("and all\r");
    assert_eq!(read_frame(&mut server), (0x81, "Hi sam and all".to_owned()));
    client.wait_for_editor();
    client.type_keys("/part\r");
    assert_eq!(read_frame(&mut server), (0x81, "/part #lab".to_owned()));
    client.expect_text("alice> ");
    client.wait_for_editor();
    client.type_keys("/quit\r");
    assert_eq!(read_frame(&mut server).0, 0x82);
    drop(server);
    client.expect_exit();
}
