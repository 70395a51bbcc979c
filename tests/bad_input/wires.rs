//! The direct, the classic and the IRC wire.

use crc::limits::FRAME_BYTES_MAX;
use crc::link::Origin;
use crc::wires::Wire;
use crc_tests::frames::split_frames;

use super::fixture::{Fixture, Outcome, is_about, known};

/// Checks input on one of the wires, behind what a client sends first.
fn check_wire(wire: Wire, first: &[u8], input: &[&[u8]]) -> Outcome {
    let mut fixture = Fixture::new(wire, &Origin::default());
    fixture.send(first);
    fixture.settle();
    let attacker = fixture.node.relay().adjacent_host(fixture.attacker).map(|host| host.id.0);
    let own_ids: Vec<u32> = attacker.into_iter().collect();
    fixture.received.iter_mut().for_each(Vec::clear);
    let before = fixture.state();
    for bytes in input {
        fixture.send(bytes);
    }
    fixture.settle();
    fixture.node.check();
    let after = fixture.state();
    assert_eq!(known(&after, &own_ids), known(&before, &own_ids), "{wire}: {input:02x?}");
    for frame in fixture.received[..2].iter().flat_map(|received| split_frames(received)) {
        assert!(
            is_about(&frame, &own_ids),
            "{wire}: {input:02x?} made others receive {frame:02x?}"
        );
    }
    fixture.outcome(&before, &after)
}

#[test]
fn bad_frames_of_the_direct_wire_change_nothing() {
    let frame = |body: &[u8]| [&(body.len() as u32).to_be_bytes()[..], body].concat();
    let varint = |field: u8, bytes: &[u8]| frame(&[&[field << 3], bytes].concat());
    let minus_one = [[0xFF; 9].as_slice(), &[1]].concat();
    for (bytes, expected) in [
        (vec![0xFF; 4], Outcome::Closed),
        ((FRAME_BYTES_MAX as u32 + 1).to_be_bytes().to_vec(), Outcome::Closed),
        (frame(&[0xFF]), Outcome::Closed),
        (frame(b"\x1A\x05ab"), Outcome::Closed),
        (frame(b"\x1A\x02\xC3\x28"), Outcome::Closed),
        // Desired ids: none, negative ones, and those of others.
        (varint(4, &[0]), Outcome::Answered),
        (varint(4, &minus_one), Outcome::Answered),
        (varint(4, &[1]), Outcome::Answered),
        (varint(4, &[101]), Outcome::Answered),
        (varint(4, &[0xCA, 1]), Outcome::Answered),
        // The answer that only servers give.
        (frame(&[5 << 3 | 2, 2, 1 << 3, 101]), Outcome::Ignored),
    ] {
        assert_eq!(check_wire(Wire::DIRECT, b"", &[&bytes]), expected, "{bytes:02x?}");
    }
}

#[test]
fn bad_messages_of_the_classic_wire_change_nothing() {
    let message = |destination: &str, source: &str, text: &[u8]| {
        let mut bytes = format!("{destination:<8}{source:<8}").into_bytes();
        bytes.extend_from_slice(text);
        bytes.push(0);
        bytes
    };
    for (bytes, expected) in [
        (vec![b'x'; 256], Outcome::Closed),
        (b"short\0".to_vec(), Outcome::Closed),
        (message("-SERVER-", "frodo", b"Connect frodo"), Outcome::Closed),
        (message("-SERVER-", "frodo", b"Quit frodo"), Outcome::Counted),
        (message("-SERVER-", "frodo", b"Alive frodo"), Outcome::Counted),
        (message("-SERVER-", "x", b"\xFF\xFE"), Outcome::Counted),
        (message("frodo", "sam", b"forged"), Outcome::Counted),
        (message("ALL", "sam", b"forged"), Outcome::Counted),
    ] {
        assert_eq!(check_wire(Wire::CLASSIC, b"", &[&bytes]), expected, "{bytes:02x?}");
    }
}

#[test]
fn bad_lines_of_the_irc_wire_change_nothing() {
    let registration = b"NICK gollum\r\nUSER gollum 0 * :Gollum\r\n";
    let long = [&b"PRIVMSG frodo :"[..], &[b'x'; 600], b"\r\n"].concat();
    let endless = vec![b'x'; 20_000];
    let tags = [b"@+a=".as_slice(), &[b'x'; 5000], b" PRIVMSG frodo :x\r\n"].concat();
    for (first, line, expected) in [
        (&b""[..], &b"\xff\xfe\xfd\r\n"[..], Outcome::Answered),
        (b"", b"\0\0\0\r\n", Outcome::Answered),
        (b"", b"\r\n\n\r\r\n   \r\n", Outcome::Ignored),
        (b"", b":frodo PRIVMSG frodo :forged\r\n", Outcome::Answered),
        (b"", b"NICK 1\r\nUSER\r\nCAP\r\n", Outcome::Answered),
        (b"", b"NICK frodo\r\nUSER a 0 * :b\r\n", Outcome::Answered),
        (b"", &endless, Outcome::Answered),
        (registration, b"\xff\xfe\xfd\r\n", Outcome::Answered),
        (registration, b"NICK frodo\r\n", Outcome::Answered),
        (registration, b"NICK :\r\n", Outcome::Answered),
        (registration, b"USER frodo 0 * :Frodo\r\n", Outcome::Answered),
        (registration, b"MODE frodo +B\r\nKICK #lab frodo\r\nKILL frodo\r\n", Outcome::Answered),
        (registration, b"TOPIC #lab :x\r\nPART #lab\r\nJOIN #\x07,\r\n", Outcome::Answered),
        (registration, b"SQUIT two\r\nSERVER three 1 :x\r\nCONNECT x\r\n", Outcome::Answered),
        (registration, &long, Outcome::Answered),
        (registration, &tags, Outcome::Answered),
        (registration, b"\0\x01\x02 \0\r\n", Outcome::Answered),
    ] {
        let found = check_wire(Wire::IRC, first, &[line]);
        assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(&line[..line.len().min(80)]));
    }
}

#[test]
fn source_of_a_line_of_an_irc_client_is_the_client() {
    let mut fixture = Fixture::new(Wire::IRC, &Origin::default());
    fixture.send(b"NICK gollum\r\nUSER gollum 0 * :Gollum\r\n");
    fixture.settle();
    fixture.received.iter_mut().for_each(Vec::clear);
    let own_id = fixture.node.relay().adjacent_host(fixture.attacker).expect("a user").id.0;
    fixture.send(b":sam!202@crc PRIVMSG frodo :forged\r\n:sam QUIT :forged\r\n");
    fixture.settle();
    let frames = split_frames(&fixture.received[0]);
    assert_eq!(frames.len(), 2, "a chat and a quit: {frames:02x?}");
    assert!(frames.iter().all(|frame| is_about(frame, &[own_id])), "{frames:02x?}");
}
