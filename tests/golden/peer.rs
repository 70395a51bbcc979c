//! Golden bytes of the peer wire, made by another program than the one under test.

use crc::peer::wire::{self, Advertisement, Body, Chat, Empty, Grant, Hello, Receipt, RoomChat};

use super::{examples, parse_hex};

const INCARNATION: u64 = 0x087e_6da1_14f0_d8a0;
const OTHER_INCARNATION: u64 = 0x087e_6da1_14f0_ffff;

fn golden_frames() -> Vec<(Body, &'static str)> {
    let advertisement = Advertisement {
        incarnation: INCARNATION,
        version: 1,
        id: 5,
        id_since: INCARNATION,
        neighbours: vec![],
    };
    let receipt = Receipt { incarnation: INCARNATION, sequence: 2, to: 7, late: false };
    vec![
        (
            Body::Hello(Hello { incarnation: INCARNATION, id: 0, desired_id: 5 }),
            "0000000d  0a0b 09a0d8f014a16d7e08 1805",
        ),
        (
            Body::Grant(Grant {
                incarnation: OTHER_INCARNATION,
                id: 77_252_666_718_255_104,
                refused: true,
            }),
            "00000017  1215 09fffff014a16d7e08 1080f0c5edc19c9d8901 1801",
        ),
        (
            Body::Advertisement(Advertisement {
                version: 3,
                neighbours: vec![INCARNATION + 1, OTHER_INCARNATION],
                ..advertisement.clone()
            }),
            "0000002a  1a28 09a0d8f014a16d7e08 1003 1805 21a0d8f014a16d7e08 \
             2a10 a1d8f014a16d7e08 fffff014a16d7e08",
        ),
        (
            Body::Advertisement(advertisement),
            "00000018  1a16 09a0d8f014a16d7e08 1001 1805 21a0d8f014a16d7e08",
        ),
        (
            Body::Chat(Chat {
                incarnation: INCARNATION,
                sequence: 2,
                from: 5,
                to: 7,
                first_unacked: 1,
                age_ms: 1500,
                text: "Hi".to_owned(),
            }),
            "0000001a  2218 09a0d8f014a16d7e08 1002 1805 2007 2801 30dc0b 3a024869",
        ),
        (
            Body::RoomChat(RoomChat {
                incarnation: INCARNATION,
                sequence: 2,
                from: 5,
                room: "#lab".to_owned(),
                text: "Hi".to_owned(),
            }),
            "00000019  4a17 09a0d8f014a16d7e08 1002 1805 2204236c6162 2a024869",
        ),
        (Body::Receipt(receipt), "0000000f  2a0d 09a0d8f014a16d7e08 1002 1807"),
        (
            Body::Receipt(Receipt { late: true, ..receipt }),
            "00000011  2a0f 09a0d8f014a16d7e08 1002 1807 2001",
        ),
        (Body::EndOfState(Empty {}), "00000002  3200"),
        (Body::Ping(Empty {}), "00000002  3a00"),
        (Body::Pong(Empty {}), "00000002  4200"),
    ]
}

#[test]
fn bodies_encode_to_golden_bytes() {
    for (body, hex) in golden_frames() {
        let golden = parse_hex(hex);
        let mut encoded = Vec::new();
        wire::encode(body.clone(), &mut encoded);
        assert_eq!(encoded, golden, "{body:?}, expected {hex}");
        for cut in 0..golden.len() {
            let len = wire::frame_len(&golden[..cut]);
            assert_eq!(len, Ok((cut >= 4).then_some(golden.len())), "{cut} bytes of {hex}");
        }
        assert_eq!(wire::parse(&golden), Ok(Some(body)), "{hex}");
    }
}

#[test]
fn unknown_bodies_and_fields_are_ignored() {
    assert_eq!(wire::parse(&parse_hex("00000003  7a0161")), Ok(None), "a body that is not known");
    let frame = parse_hex("00000010  0a0e 09a0d8f014a16d7e08 1805 7a0161");
    let hello = Hello { incarnation: INCARNATION, id: 0, desired_id: 5 };
    assert_eq!(wire::parse(&frame), Ok(Some(Body::Hello(hello))));
}

#[test]
fn oversized_length_is_rejected_from_the_header() {
    assert!(wire::frame_len(&[0xff; 4]).is_err());
    assert_eq!(wire::frame_len(&parse_hex("00100000")), Ok(Some((1 << 20) + 4)));
    assert!(wire::frame_len(&parse_hex("00100001")).is_err());
}

#[test]
fn every_example_in_the_protocol_page_is_a_frame() {
    let examples = examples("```hex peer\n");
    assert_eq!(examples.len(), 12);
    for line in examples {
        let frame = parse_hex(line);
        assert_eq!(wire::frame_len(&frame), Ok(Some(frame.len())), "{line}");
        let body = wire::parse(&frame).expect("valid").expect("known");
        let mut reencoded = Vec::new();
        wire::encode(body, &mut reencoded);
        assert_eq!(reencoded, frame, "{line}");
    }
}
