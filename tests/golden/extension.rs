//! Golden bytes of the extension between crc servers, made by another program than the one under
//! test.

use crc::id::HostId;
use crc::relay::extension::codec::{
    ADDRESS_BYTES_MAX, ExtensionError, FRAME_BYTES_MAX, Fault, HOPS_MAX, IDS_MAX, LINKS_MAX,
    REFUSE_TEXT_BYTES_MAX, STAMPS_MAX,
};
use crc::relay::extension::{
    Digest, Entry as _, Epoch, Errand, Frame, Hello, Hop, LinkLoad, Nonce, Ping, Proof,
    RefuseReason, RoomChat, RoomNames, RoomTopic, ServerFact, Trace, TraceResult,
};
use crc::relay::message::{Message, StatusCode};
use crc::relay::profile::Profile;
use crc::room::RoomName;
use crc::wires::crc::codec;
use crc_tests::frames::extension;

use super::{check_golden, examples, parse_hex};

const USERS: Digest = Digest(0x9120_7d19_64ce_7f65);

const HELLO: Hello = Hello {
    version: 1,
    is_moving: false,
    capabilities: 0,
    epoch: Epoch { boot: 3, attach: 4 },
    nonce: Nonce(0x1122_3344_5566_7788),
    port: 3600,
    token: 0xa1,
    replay_token: 0,
    handled_bytes: 0,
    known: Epoch { boot: 0, attach: 0 },
};

const OFFER: Hello = Hello {
    is_moving: true,
    epoch: Epoch { boot: 7, attach: 0 },
    nonce: Nonce(0x8877_6655_4433_2211),
    port: 0,
    replay_token: 0xa0,
    handled_bytes: 0x12345,
    known: Epoch { boot: 2, attach: 9 },
    ..HELLO
};

const FACT: ServerFact = ServerFact {
    id: HostId(2),
    epoch: Epoch { boot: 7, attach: 1 },
    nonce: OFFER.nonce,
    via: HostId(3),
    users: 2,
    digest: USERS,
};

const HOPS: [Hop; 2] =
    [Hop { server: HostId(1), elapsed_micros: 0 }, Hop { server: HostId(2), elapsed_micros: 250 }];

const LOADS: [LinkLoad; 1] = [LinkLoad {
    neighbour: HostId(2),
    round_trip_micros: 250,
    queue_bytes: 64,
    frames: 0x1234,
    bytes: 0x56789,
}];

/// A frame, the number of beginnings of its payload that are frames as well, and its bytes.
type Golden = (Frame<'static>, usize, &'static str);

/// Returns the frames up to the end of a burst.
fn golden_handshake() -> Vec<Golden> {
    vec![
        (Frame::ReadsCutFrames(b"hi"), 2, "01 00000001 ffffffff c700 00000002  6869"),
        (
            Frame::Hello(HELLO),
            0,
            "01 00000001 ffffffff c701 00000070  3031303030303030303030303030303030303033303030303030303431313232 \
             3333343435353636373738383065313030303030303030303030303030306131 \
             3030303030303030303030303030303030303030303030303030303030303030 \
             30303030303030303030303030303030",
        ),
        (
            Frame::Offer(OFFER),
            0,
            "01 00000001 ffffffff c702 00000038  01 01 00000000 00000007 00000000 \
             8877665544332211 0000 00000000000000a1 00000000000000a0 0000000000012345 \
             00000002 00000009",
        ),
        (
            Frame::Commit {
                epoch: Epoch { boot: 3, attach: 5 },
                known: Epoch { boot: 6, attach: 1 },
            },
            0,
            "01 00000001 ffffffff c703 00000010  00000003 00000005 00000006 00000001",
        ),
        (
            Frame::Refuse { reason: RefuseReason::LOOP, text: b"loop" },
            4,
            "01 00000001 ffffffff c704 00000005  01 6c6f6f70",
        ),
        (
            Frame::Server(FACT),
            0,
            "01 00000001 ffffffff c705 00000024  00000002 00000007 00000001 \
             8877665544332211 00000003 00000002 91207d1964ce7f65",
        ),
        (Frame::FactsEnd { servers: 2 }, 0, "01 00000001 ffffffff c706 00000004  00000002"),
    ]
}

/// Returns the frames about servers and users.
fn golden_updates() -> Vec<Golden> {
    vec![
        (
            Frame::Withdraw([HostId(3), HostId(4)][..].into()),
            2,
            "01 00000001 ffffffff c707 00000008  00000003 00000004",
        ),
        (
            Frame::Users { home: HostId(2), stamps: [1, 2][..].into() },
            2,
            "01 00000001 ffffffff c708 00000014  00000002 0000000000000001 0000000000000002",
        ),
        (
            Frame::SyncRequest([HostId(2)][..].into()),
            1,
            "01 00000001 ffffffff c709 00000004  00000002",
        ),
        (Frame::SyncBegin { home: HostId(2) }, 0, "01 00000001 ffffffff c70a 00000004  00000002"),
        (
            Frame::SyncEnd { home: HostId(2), users: 2, digest: USERS },
            0,
            "01 00000001 ffffffff c70b 00000010  00000002 00000002 91207d1964ce7f65",
        ),
    ]
}

/// Returns the frames about the link and its path.
/// HMAC-SHA256 with the key `0123456789abcdef` over the message of the dialling server 2, computed
/// by another program.
const DIALLER_MAC: [u8; 32] = [
    0xec, 0x1a, 0x78, 0x46, 0x3c, 0x69, 0xc0, 0xc2, 0x10, 0xc3, 0x99, 0xce, 0x62, 0x0c, 0x8e, 0x66,
    0x29, 0x33, 0x6a, 0x08, 0x05, 0x88, 0x30, 0x82, 0x01, 0x9b, 0xe3, 0x90, 0x2d, 0x6d, 0x5c, 0x64,
];

/// Likewise, of the accepting server 1.
const ACCEPTOR_MAC: [u8; 32] = [
    0x9b, 0x2b, 0x1c, 0x56, 0xcb, 0xa0, 0x93, 0xa7, 0xce, 0xcd, 0xe5, 0x8a, 0x8c, 0xe9, 0xc4, 0xd3,
    0x39, 0xd0, 0x62, 0x6a, 0xee, 0x2d, 0x9f, 0x54, 0x9d, 0x1b, 0x1d, 0x4b, 0x2b, 0x85, 0x48, 0x5a,
];

fn golden_link_frames() -> Vec<Golden> {
    vec![
        (
            Frame::Ping(Ping {
                token: 0xb1,
                handled_bytes: 0x12345,
                digest: Some(Digest(0x37cb_6c52_d8dd_9a4f)),
            }),
            0,
            "01 00000001 ffffffff c70c 00000019  \
             00000000000000b1 0000000000012345 01 37cb6c52d8dd9a4f",
        ),
        (
            Frame::Pong(Ping { token: 0xb1, handled_bytes: 0x678, digest: None }),
            0,
            "01 00000001 ffffffff c70d 00000019  \
             00000000000000b1 0000000000000678 00 0000000000000000",
        ),
        (
            Frame::Ack { handled_bytes: 0x12345 },
            0,
            "01 00000001 ffffffff c70e 00000008  0000000000012345",
        ),
        (
            Frame::Move { replacement: HostId(3), address: "bree:3600" },
            9,
            "01 00000001 ffffffff c70f 0000000d  00000003 627265653a33363030",
        ),
        (Frame::End, 0, "01 00000001 ffffffff c710 00000000"),
        (
            Frame::Trace(Trace { token: 0xc1, target: HostId(102), hops: HOPS[..].into() }),
            2,
            "01 00000001 ffffffff c711 0000001c  00000000000000c1 00000066 \
             00000001 00000000 00000002 000000fa",
        ),
        (
            Frame::TraceReply {
                result: TraceResult::PLAIN,
                trace: Trace { token: 0xc1, target: HostId(102), hops: HOPS[..].into() },
            },
            2,
            "01 00000001 ffffffff c712 0000001d  00000000000000c1 00000066 03 \
             00000001 00000000 00000002 000000fa",
        ),
    ]
}

/// The proofs of "Proofs" in `docs/PROTOCOL.md`.
fn golden_proofs() -> Vec<Golden> {
    let proof = Proof { invitation: 0, nonce: [0xb0; 32], holder: [0; 32], mac: DIALLER_MAC };
    vec![
        (
            Frame::Challenge { nonce: [0xa0; 32] },
            0,
            "01 00000001 ffffffff c713 00000020  \
             a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0",
        ),
        (
            Frame::Proof(proof),
            0,
            "01 00000001 ffffffff c714 00000068  0000000000000000 \
             b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0 \
             0000000000000000000000000000000000000000000000000000000000000000 \
             ec1a78463c69c0c210c399ce620c8e6629336a0805883082019be3902d6d5c64",
        ),
        (
            Frame::Proven { mac: ACCEPTOR_MAC },
            0,
            "01 00000001 ffffffff c715 00000020  \
             9b2b1c56cba093a7cecde58a8ce9c4d339d0626aee2d9f549d1b1d4b2b85485a",
        ),
    ]
}

/// Returns the frames about rooms, and those about loads.
fn golden_room_and_load_frames() -> Vec<Golden> {
    let names = RoomNames::parse(b"\x04#lab\x04#dev").expect("two names");
    let room = RoomName::parse(b"#lab").expect("a name");
    let (user, home, number) = (HostId(102), HostId::NONE, 3 << 40 | 1);
    vec![
        (
            Frame::Rooms { user, is_complete: true, names },
            2,
            "01 00000001 ffffffff c716 0000000f  00000066 01 04236c6162 0423646576",
        ),
        (
            Frame::RoomPart { user, name: room, text: b"bye" },
            3,
            "01 00000001 ffffffff c717 0000000c  00000066 04236c6162 627965",
        ),
        (
            Frame::RoomChat(RoomChat { user, home, number, room, text: b"Hi" }),
            2,
            "01 00000001 ffffffff c718 00000017  \
             00000066 00000000 0000030000000001 04236c6162 4869",
        ),
        (
            Frame::LinksRequest(Errand { origin: HostId(1), target: HostId(3), hops: 0 }),
            0,
            "01 00000001 ffffffff c719 00000009  00000001 00000003 00",
        ),
        (
            Frame::Links {
                errand: Errand { origin: HostId(1), target: HostId(3), hops: 1 },
                links: LOADS[..].into(),
            },
            1,
            "01 00000001 ffffffff c71a 00000025  00000001 00000003 01 \
             00000002 000000fa 00000040 0000000000001234 0000000000056789",
        ),
        (
            Frame::RoomTopic(RoomTopic {
                stamp: 1_700_000_000_000,
                user,
                room,
                name: b"frodo",
                text: b"Elevenses",
            }),
            9,
            "01 00000001 ffffffff c71b 00000020  \
             0000018bcfe56800 00000066 04236c6162 0566726f646f 456c6576656e736573",
        ),
        (
            Frame::Profile {
                user,
                precedes_registration: true,
                profile: Profile { is_program: true, away: b"lunch", real_name: b"Sam" },
            },
            0,
            "01 00000001 ffffffff c71c 0000000f  00000066 03 056c756e6368 0353616d",
        ),
    ]
}

fn golden_frames() -> Vec<Golden> {
    [
        golden_handshake(),
        golden_updates(),
        golden_link_frames(),
        golden_proofs(),
        golden_room_and_load_frames(),
    ]
    .concat()
}

/// Returns code and payload of a frame.
pub(super) fn parse_status(frame: &[u8]) -> (StatusCode, &[u8]) {
    match codec::parse_frame(frame) {
        Message::Status { destination: HostId::EXTENSION, code, text, .. } => (code, text),
        message => panic!("no frame of the extension: {message:?}"),
    }
}

#[test]
fn frames_encode_to_golden_bytes() {
    for (code, (frame, _, hex)) in (0xC700..).zip(golden_frames()) {
        check_golden(&extension(1, &frame), hex);
        let golden = parse_hex(hex);
        let (parsed_code, payload) = parse_status(&golden);
        assert_eq!((parsed_code, frame.code()), (StatusCode(code), StatusCode(code)));
        assert_eq!(Frame::parse(StatusCode(code), payload), Some(Ok(frame)), "{hex}");
    }
}

#[test]
fn beginning_of_a_payload_is_a_shorter_list_or_text_or_an_error() {
    for (frame, valid_beginnings, hex) in golden_frames() {
        let (golden, code, mut valid) = (parse_hex(hex), frame.code(), 0);
        let (_, payload) = parse_status(&golden);
        for beginning in (0..payload.len()).map(|len| &payload[..len]) {
            match Frame::parse(code, beginning).expect("a known code") {
                Ok(shorter) => {
                    let mut reencoded = Vec::new();
                    shorter.encode_payload(&mut reencoded);
                    assert_eq!(reencoded, beginning, "{shorter:?}");
                    assert_ne!(shorter, frame);
                    valid += 1;
                }
                Err(error) => {
                    assert_eq!(error.code, code);
                    assert!(matches!(
                        error.fault,
                        Fault::TooShort | Fault::EntryCut | Fault::InvalidRoom
                    ));
                }
            }
        }
        assert_eq!(valid, valid_beginnings, "{frame:?}");
    }
}

#[test]
fn bytes_after_the_known_fields_are_ignored() {
    let mut count = 0;
    for (frame, valid_beginnings, hex) in golden_frames() {
        // Lists and texts take the rest of the payload.
        if valid_beginnings == 0 {
            let longer = [parse_hex(hex), vec![0xff; 3]].concat();
            let payload = &longer[15..];
            assert_eq!(Frame::parse(frame.code(), payload), Some(Ok(frame)), "{hex}");
            count += 1;
        }
    }
    assert_eq!(count, 16);
}

#[test]
fn bits_that_are_not_known_are_ignored() {
    for (code, frame) in [
        (StatusCode::HELLO, Frame::Hello as fn(Hello) -> Frame<'static>),
        (StatusCode::OFFER, Frame::Offer),
    ] {
        for (is_moving, flags) in [(false, 0xfe), (true, 0xff)] {
            let mut payload = extension(1, &frame(HELLO)).split_off(15);
            match code {
                StatusCode::HELLO => payload[2..4].copy_from_slice(format!("{flags:x}").as_bytes()),
                _ => payload[1] = flags,
            }
            let expected = frame(Hello { is_moving, ..HELLO });
            assert_eq!(Frame::parse(code, &payload), Some(Ok(expected)));
        }
    }
}

#[test]
fn unknown_codes_are_no_frames() {
    for code in (0..0xC700).chain(0xC71D..=u16::MAX) {
        assert_eq!(Frame::parse(StatusCode(code), &[0; 64]), None, "{code:x}");
    }
}

#[test]
fn errors_name_the_frame_and_the_fault() {
    let ping = |mark| [&[0; 16][..], &[mark], &[0; 8][..]].concat();
    for (code, payload, fault, text) in [
        (StatusCode::HELLO, &[1; 47][..], Fault::TooShort, "HELLO ends within a field"),
        (
            StatusCode::HELLO,
            &[b'F'; 112],
            Fault::NotHexadecimal,
            "HELLO is not in hexadecimal digits",
        ),
        (
            StatusCode::WITHDRAW,
            &[0; 7],
            Fault::EntryCut,
            "WITHDRAW ends within an entry of its list",
        ),
        (
            StatusCode::MOVE,
            &[0, 0, 0, 3, 0xff],
            Fault::NotUtf8,
            "MOVE has an address that is not UTF-8",
        ),
        (StatusCode::PING, &ping(2), Fault::InvalidMark(2), "PING marks an optional field with 2"),
    ] {
        let error = ExtensionError { code, fault };
        assert_eq!(Frame::parse(code, payload), Some(Err(error)));
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn digest_of_a_ping_counts_only_if_it_is_marked() {
    let without = [&[0; 16][..], &[0], &[0xff; 8][..]].concat();
    let ping = Ping { token: 0, handled_bytes: 0, digest: None };
    assert_eq!(Frame::parse(StatusCode::PING, &without), Some(Ok(Frame::Ping(ping))));
}

#[test]
fn longest_frames_stay_under_1024_bytes() {
    let ids = vec![HostId(1); IDS_MAX + 1];
    let stamps = vec![1; STAMPS_MAX + 1];
    let hops = vec![HOPS[0]; HOPS_MAX + 1];
    let loads = vec![LOADS[0]; LINKS_MAX + 1];
    let errand = Errand { origin: HostId(1), target: HostId(3), hops: 0 };
    let text = "x".repeat(REFUSE_TEXT_BYTES_MAX + 1);
    // The frames with this number of entries or bytes fewer than the most and one.
    let frames = |less: usize| {
        let trace = |hops| Trace { token: 1, target: HostId(2), hops };
        let hops = hops[less..].into();
        [
            Frame::Withdraw(ids[less..].into()),
            Frame::SyncRequest(ids[less..].into()),
            Frame::Users { home: HostId(1), stamps: stamps[less..].into() },
            Frame::Trace(trace(hops)),
            Frame::TraceReply { result: TraceResult::HOME, trace: trace(hops) },
            Frame::Refuse { reason: RefuseReason::LOOP, text: &text.as_bytes()[less..] },
            Frame::Links { errand, links: loads[less..].into() },
            Frame::Move { replacement: HostId(1), address: &text[..ADDRESS_BYTES_MAX + 1 - less] },
        ]
        .map(|frame| (frame.code(), extension(1, &frame).len()))
    };
    assert_eq!(FRAME_BYTES_MAX, 1023);
    for ((code, longest), (_, too_long)) in frames(1).into_iter().zip(frames(0)) {
        assert!(longest <= FRAME_BYTES_MAX, "{code:?} has {longest} bytes");
        assert!(too_long > FRAME_BYTES_MAX, "{code:?} could have more than {longest} bytes");
    }
}

#[test]
fn every_example_in_the_protocol_page_is_a_frame() {
    let examples = examples("```hex extension\n");
    assert_eq!(examples.len(), 29);
    for line in examples {
        let example = parse_hex(line);
        let source = HostId::parse(&example[1..]);
        let (code, payload) = parse_status(&example);
        let frame = Frame::parse(code, payload).expect("a known code").expect("valid");
        check_golden(&extension(source.0, &frame), line);
    }
}
