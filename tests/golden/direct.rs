//! Golden bytes of the direct wire, compared with Python's protobuf package, too.

use std::process::Command;

use crc::wires::direct::codec;
use crc::wires::direct::codec::{Control, FastHandshake, Message, WireError, encode, encode_plain};

use super::{examples, parse_hex};

/// The body of a frame. The first frame from the server is a handshake.
#[derive(Clone, Debug, PartialEq)]
enum Body {
    Message(Message),
    Handshake(FastHandshake),
}

fn text_message(from: i64, to: i64, msg: &str) -> Body {
    Body::Message(Message { from, to, msg: msg.to_owned(), ..Message::default() })
}

fn desired_id_message(id: i64) -> Body {
    Body::Message(Message { control: Some(Control::DesiredId(id)), ..Message::default() })
}

fn handshake_message(to: i64, id: i64, error: bool) -> Body {
    let control = Some(Control::Handshake(FastHandshake { id, error }));
    Body::Message(Message { to, control, ..Message::default() })
}

fn bare_handshake(id: i64, error: bool) -> Body {
    Body::Handshake(FastHandshake { id, error })
}

/// Every kind of frame, with numbers at the limits of each encoded length.
fn golden_frames() -> Vec<(Body, &'static str)> {
    vec![
        (bare_handshake(7, false), "00000002  0807"),
        (bare_handshake(7, true), "00000004  0807 1001"),
        (bare_handshake(0, true), "00000002  1001"),
        (bare_handshake(300, false), "00000003  08ac02"),
        (text_message(0, 0, ""), "00000000"),
        (text_message(7, 8, "Hi"), "00000008  0807 1008 1a024869"),
        (text_message(7, 0, "世"), "00000007  0807 1a03e4b896"),
        (text_message(i64::MAX, -1, ""), "00000015  08ffffffffffffffff7f 10ffffffffffffffffff01"),
        (desired_id_message(3), "00000002  2003"),
        (desired_id_message(0), "00000002  2000"),
        (desired_id_message(5_000_000_000), "00000006  2080e497d012"),
        (handshake_message(3, 3, false), "00000006  1003 2a02 0803"),
        (handshake_message(9, 9, true), "00000008  1009 2a04 0809 1001"),
    ]
}

#[test]
fn bodies_encode_to_golden_bytes() {
    for (body, hex) in golden_frames() {
        let golden = parse_hex(hex);
        let mut encoded = Vec::new();
        match &body {
            Body::Message(message) => encode(message, &mut encoded),
            Body::Handshake(handshake) => encode(handshake, &mut encoded),
        }
        assert_eq!(encoded, golden, "{body:?}, expected {hex}");
        if let Body::Message(Message { from, to, msg, control: None, .. }) = &body {
            let mut encoded = Vec::new();
            encode_plain(*from, *to, msg, &mut encoded);
            assert_eq!(encoded, golden, "{body:?}, expected {hex}");
        }
        for cut in 0..golden.len() {
            let len = codec::frame_len(&golden[..cut], 1024);
            assert_eq!(len, Ok((cut >= 4).then_some(golden.len())), "{cut} bytes of {hex}");
        }
        let decoded = match body {
            Body::Message(_) => Body::Message(codec::parse_frame(&golden).expect("a message")),
            Body::Handshake(_) => {
                Body::Handshake(codec::parse_handshake(&golden).expect("a handshake"))
            }
        };
        assert_eq!(decoded, body, "{hex}");
    }
}

#[test]
fn unknown_fields_are_ignored() {
    // Fields 9 (a number) and 15 (bytes), and the fields of a message in another order.
    let frame = parse_hex("00000010  4805 1a024869 7a03010203 1008 0807");
    let expected = Message { from: 7, to: 8, msg: "Hi".to_owned(), ..Message::default() };
    assert_eq!(codec::parse_frame(&frame), Ok(expected));
}

#[test]
fn oversized_length_is_rejected_from_the_header() {
    let error = WireError::TooLong { announced_bytes: 0xffff_ffff, frame_bytes_max: 1 << 20 };
    assert_eq!(codec::frame_len(&[0xff; 4], 1 << 20), Err(error));
    assert_eq!(codec::frame_len(&parse_hex("00100000"), 1 << 20), Ok(Some((1 << 20) + 4)));
    assert!(codec::frame_len(&parse_hex("00100001"), 1 << 20).is_err());
}

#[test]
fn every_example_in_the_protocol_page_is_a_message() {
    let examples = examples("```hex direct\n");
    assert!(examples.len() >= 4, "{examples:?}");
    for line in examples {
        let frame = parse_hex(line);
        assert_eq!(codec::frame_len(&frame, 1024), Ok(Some(frame.len())), "{line}");
        let (mut message, mut handshake) = (Vec::new(), Vec::new());
        encode(&codec::parse_frame(&frame).expect("the fields of a message"), &mut message);
        encode(&codec::parse_handshake(&frame).unwrap_or_default(), &mut handshake);
        assert!([message, handshake].contains(&frame), "{line}");
    }
}

/// A Python program that builds the schema without protoc, and prints for each frame its fields and
/// their encoding.
const PYTHON: &str = r#"
import struct, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="direct.proto", package="direct", syntax="proto3")
def field(message, name, number, kind, **more):
    message.field.add(name=name, number=number, type=kind, label=F.LABEL_OPTIONAL, **more)
h = file.message_type.add(name="FastHandshake")
field(h, "id", 1, F.TYPE_INT64); field(h, "error", 2, F.TYPE_BOOL)
m = file.message_type.add(name="Message")
field(m, "from", 1, F.TYPE_INT64); field(m, "to", 2, F.TYPE_INT64); field(m, "msg", 3, F.TYPE_STRING)
m.oneof_decl.add(name="control")
field(m, "desired_id", 4, F.TYPE_INT64, oneof_index=0)
field(m, "handshake", 5, F.TYPE_MESSAGE, type_name=".direct.FastHandshake", oneof_index=0)
pool = descriptor_pool.DescriptorPool(); pool.Add(file)
make = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName("direct." + name))
for line in sys.stdin:
    kind, frame = line.split()
    frame = bytes.fromhex(frame)
    message = make(kind)(); message.ParseFromString(frame[4:])
    body = message.SerializeToString()
    if kind == "FastHandshake":
        shown = f"{message.id} {message.error}"
    elif message.WhichOneof("control") == "desired_id":
        shown = f"desires {message.desired_id}"
    elif message.WhichOneof("control") == "handshake":
        shown = f"to {message.to}: {message.handshake.id} {message.handshake.error}"
    else:
        shown = f"{getattr(message, 'from')} to {message.to}: {message.msg}"
    print((struct.pack(">I", len(body)) + body).hex(), shown)
"#;

fn python_line(body: &Body) -> (&'static str, String) {
    let python_bool = |error: bool| if error { "True" } else { "False" };
    match body {
        Body::Handshake(FastHandshake { id, error }) => {
            ("FastHandshake", format!("{id} {}", python_bool(*error)))
        }
        Body::Message(Message { control: Some(Control::DesiredId(id)), .. }) => {
            ("Message", format!("desires {id}"))
        }
        Body::Message(Message { to, control: Some(Control::Handshake(handshake)), .. }) => {
            let FastHandshake { id, error } = handshake;
            ("Message", format!("to {to}: {id} {}", python_bool(*error)))
        }
        Body::Message(Message { from, to, msg, .. }) => {
            ("Message", format!("{from} to {to}: {msg}"))
        }
    }
}

/// Needs `python3`, or the program in `CRC_PYTHON`, with the protobuf package.
#[test]
fn python_protobuf_encodes_the_same_bytes() {
    let python = std::env::var("CRC_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_protobuf = Command::new(&python).args(["-c", "import google.protobuf"]).output();
    if !has_protobuf.is_ok_and(|output| output.status.success()) {
        println!("not checked: {python} has no protobuf package");
        return;
    }
    let golden = golden_frames();
    let input = tempfile::NamedTempFile::new().expect("a file");
    let lines: String = golden
        .iter()
        .map(|(body, hex)| format!("{} {}\n", python_line(body).0, hex.replace(' ', "")))
        .collect();
    std::fs::write(input.path(), lines).expect("written");
    let output = Command::new(&python)
        .args(["-c", PYTHON])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(input.reopen().expect("readable"))
        .output()
        .expect("it has run before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output_text = String::from_utf8(output.stdout).expect("text");
    let expected: Vec<String> = golden
        .iter()
        .map(|(body, hex)| format!("{} {}", hex.replace(' ', ""), python_line(body).1))
        .collect();
    assert_eq!(output_text.lines().collect::<Vec<_>>(), expected);
}
