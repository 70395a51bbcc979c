//! Golden bytes of the wires, spaced by field, checked in both directions. CRC is in this file.

mod classic;
mod direct;
mod extension;
mod peer;
mod rooms;

use crc::limits::FRAME_BYTES_MAX;
use crc::relay::message::HostKind;
use crc::wires::crc::codec;
use crc::wires::crc::codec::WireError;
use crc_tests::frames::{chat, quit, registration, server_quit, status};

fn parse_hex(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
        .collect()
}

/// Checks that `hex` parses as the message, and that the message encodes to it.
fn check_golden(frame: &[u8], hex: &str) {
    let golden = parse_hex(hex);
    assert_eq!(frame, golden, "encoded, expected {hex}");
    let (message, len) = codec::parse(&golden, FRAME_BYTES_MAX).expect("valid").expect("whole");
    assert_eq!(len, golden.len());
    let mut reencoded = Vec::new();
    codec::encode(&message, &mut reencoded);
    assert_eq!(reencoded, golden, "parsed {message:?}");
    for cut in 0..golden.len() {
        let partial = codec::parse(&golden[..cut], FRAME_BYTES_MAX);
        assert_eq!(partial, Ok(None), "the first {cut} bytes of {hex}");
    }
}

#[test]
fn server_registration_encodes_to_golden_bytes() {
    check_golden(
        &registration(HostKind::Server, 1, 0, "bree", "Inn"),
        "00  00000001  00000000  04  0003  62726565  496e6e",
    );
    check_golden(
        &registration(HostKind::Server, 0xffff_fffe, 7, "", ""),
        "00  fffffffe  00000007  00  0000",
    );
}

#[test]
fn status_has_type_1_and_a_code_of_two_bytes() {
    check_golden(
        &status(1, 0, 0, "Welcome"),
        "01  00000001  00000000  0000  00000007  57656c636f6d65",
    );
    check_golden(&status(1, 101, 2, ""), "01  00000001  00000065  0002  00000000");
    check_golden(
        &status(1, 0xffff_ffff, 0xc701, "x"),
        "01  00000001  ffffffff  c701  00000001  78",
    );
}

#[test]
fn server_quit_names_a_replacement() {
    check_golden(&server_quit(2, 1, "bye"), "02  00000002  00000001  00000003  627965");
}

#[test]
fn client_registration_encodes_to_golden_bytes() {
    check_golden(
        &registration(HostKind::User, 101, 2, "sam", "\"Test info\""),
        "80  00000065  00000002  03  000b  73616d  225465737420696e666f22",
    );
}

#[test]
fn chat_is_type_81() {
    check_golden(&chat(101, 102, "Hi ü"), "81  00000065  00000066  00000005  486920c3bc");
    check_golden(&chat(101, 0, ""), "81  00000065  00000000  00000000");
}

#[test]
fn client_quit_encodes_to_golden_bytes() {
    check_golden(&quit(101, "Leaving"), "82  00000065  00000007  4c656176696e67");
}

#[test]
fn the_longest_name_and_info_fit() {
    let (name, info) = ("n".repeat(255), "i".repeat(65_535));
    let frame = registration(HostKind::User, 1, 0, &name, &info);
    assert_eq!(frame.len(), 12 + 255 + 65_535);
    assert_eq!(&frame[9..12], [0xff, 0xff, 0xff]);
    let whole = codec::parse(&frame, FRAME_BYTES_MAX).expect("valid").expect("whole");
    assert_eq!(whole.1, frame.len());
}

#[test]
fn unknown_type_is_rejected_at_the_first_byte() {
    for kind in (0..=255_u8).filter(|kind| ![0x00, 0x01, 0x02, 0x80, 0x81, 0x82].contains(kind)) {
        assert_eq!(codec::parse(&[kind], FRAME_BYTES_MAX), Err(WireError::UnknownType(kind)));
    }
}

#[test]
fn oversized_length_is_rejected_from_the_header() {
    for header in [
        "81  00000065  00000066  ffffffff",
        "01  00000001  00000000  0000  ffffffff",
        "02  00000002  00000001  ffffffff",
        "82  00000065  ffffffff",
    ] {
        let header = parse_hex(header);
        let announced = header.len() as u64 + 0xffff_ffff;
        let error =
            WireError::TooLong { announced_bytes: announced, frame_bytes_max: FRAME_BYTES_MAX };
        assert_eq!(codec::parse(&header, FRAME_BYTES_MAX), Err(error));
    }
    let largest = parse_hex("82  00000065  000003f7"); // 9 + 1015 = 1024
    assert_eq!(codec::frame_len(&largest, 1024), Ok(Some(1024)));
    assert!(codec::frame_len(&largest, 1023).is_err());
}

/// Returns the lines of the code blocks of the protocol page that start with this fence.
fn examples(mark: &str) -> Vec<&'static str> {
    let page = include_str!("../../docs/PROTOCOL.md");
    let blocks = page.split(mark).skip(1);
    blocks.flat_map(|block| block.split("```").next().expect("a block").lines()).collect()
}

#[test]
fn every_example_in_the_protocol_page_is_a_frame() {
    let examples = examples("```hex\n");
    assert_eq!(examples.len(), 12);
    for line in examples {
        let frame = parse_hex(line);
        let whole = codec::parse(&frame, FRAME_BYTES_MAX).expect("a frame").expect("all of it");
        assert_eq!(whole.1, frame.len(), "{line}");
        check_golden(&frame, line);
    }
}
