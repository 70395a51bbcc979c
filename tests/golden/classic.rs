//! Golden bytes of the classic wire, in both forms.

use crc::wires::classic::codec;
use crc::wires::classic::codec::{Form, Message, Name};

use super::{examples, parse_hex};

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).expect("eight bytes at most")
}

#[track_caller]
fn check_golden(destination: &str, source: &str, text: &str, hex: &str) {
    let (destination, source, text) = (name(destination), name(source), text.as_bytes());
    let message = Message { destination, source, text };
    let golden = parse_hex(hex);
    let mut short = Vec::new();
    codec::encode(&message, Form::Compact, &mut short);
    assert_eq!(short, golden, "expected {hex}");
    let mut full = Vec::new();
    codec::encode(&message, Form::Padded, &mut full);
    assert_eq!(full.len(), 256);
    assert_eq!(full[..golden.len()], golden);
    assert!(full[golden.len()..].iter().all(|&byte| byte == 0));
    for form in [&short, &full] {
        assert_eq!(codec::frame_len(form), Ok(Some(form.len())));
        assert_eq!(codec::parse_frame(form), Some(message));
    }
}

const SERVER: &str = "2d5345525645522d";
const BOB: &str = "626f622020202020";

#[test]
fn client_commands_encode_to_golden_bytes() {
    check_golden(
        "-SERVER-",
        "bob",
        "Connect bob",
        &format!("{SERVER} {BOB} 436f6e6e65637420626f62 00"),
    );
    check_golden("-SERVER-", "bob", "List", &format!("{SERVER} {BOB} 4c697374 00"));
    check_golden("-SERVER-", "bob", "Alive bob", &format!("{SERVER} {BOB} 416c69766520626f62 00"));
    check_golden("-SERVER-", "bob", "Quit bob", &format!("{SERVER} {BOB} 5175697420626f62 00"));
}

#[test]
fn server_responses_encode_to_golden_bytes() {
    check_golden(
        "bob",
        "-SERVER-",
        "Interval 10",
        &format!("{BOB} {SERVER} 496e74657276616c203130 00"),
    );
    let list = "4c69737420312f3120616c69636520626f62";
    check_golden("bob", "-SERVER-", "List 1/1 alice bob", &format!("{BOB} {SERVER} {list} 00"));
}

#[test]
fn chat_messages_encode_to_golden_bytes() {
    check_golden("bob", "12345678", "", &format!("{BOB} 3132333435363738 00"));
    check_golden("ALL", "bob", "世", &format!("414c4c2020202020 {BOB} e4b896 00"));
}

#[test]
fn the_longest_message_has_the_same_bytes_in_both_forms() {
    let text = "x".repeat(239);
    check_golden("bob", "bob", &text, &format!("{BOB}{BOB}{}00", "78".repeat(239)));
}

#[test]
fn every_example_in_the_protocol_page_is_a_message() {
    let examples = examples("```hex classic\n");
    assert!(examples.len() >= 4, "{examples:?}");
    for line in examples {
        let message = parse_hex(line);
        assert_eq!(codec::frame_len(&message), Ok(Some(message.len())), "{line}");
        let parsed = codec::parse_frame(&message).expect("not NULs alone");
        let mut reencoded = Vec::new();
        codec::encode(&parsed, Form::Compact, &mut reencoded);
        assert_eq!(reencoded, message, "{line}");
    }
}
