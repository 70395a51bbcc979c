//! Tests of the codec.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn plain_message(from: i64, to: i64, msg: &str) -> Message {
    Message { from, to, msg: msg.to_owned(), ..Message::default() }
}

#[test]
fn encode_plain_equals_encoding_the_message() {
    for (from, to) in [(0, 0), (1, -1), (i64::MAX, i64::MIN), (300, 5_000_000_000)] {
        for text in ["", "Hi there!", "世界", &"x".repeat(20_000)] {
            let (mut fast, mut reference) = (Vec::new(), Vec::new());
            encode_plain(from, to, text, &mut fast);
            encode(&plain_message(from, to, text), &mut reference);
            assert_eq!(fast, reference);
            assert_eq!(frame_len(&fast, 1 << 20), Ok(Some(fast.len())));
            assert_eq!(parse_frame(&fast), Ok(plain_message(from, to, text)));
        }
    }
}

#[test]
fn encode_to_room_equals_encoding_the_message_and_patches_the_addressee() {
    for (from, to) in [(1, 2), (300, 5_000_000_000), (i64::MAX, 127), (7, i64::MAX)] {
        for text in ["", "Hi all!", "世界", &"x".repeat(20_000)] {
            let room = "#küche".to_owned();
            let message = Message { room: room.clone(), ..plain_message(from, to, text) };
            let (mut fast, mut reference) = (Vec::new(), Vec::new());
            let offset = encode_to_room((from, to), room.as_bytes(), text.as_bytes(), &mut fast);
            encode(&message, &mut reference);
            assert_eq!(fast, reference);
            assert!(fast[offset..].starts_with(Varint::new(to as u64).as_bytes()));
            let found = parse_text_to_room(room.as_bytes(), &fast, 1 << 20);
            assert_eq!(found, Some((text.as_bytes(), fast.len())));
            assert_eq!(parse_text_to_room(b"#other", &fast, 1 << 20), None);
            assert_eq!(parse_text_to_room(room.as_bytes(), &fast[..fast.len() - 1], 1 << 20), None);
            assert_eq!(parse_plain_to(to, &fast, 1 << 20), None);
        }
    }
}

/// Anything that a frame may hold: fields of the message in any order and more than once, some
/// that it has not, numbers of any length, texts that are none, and a cut.
fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let number = prop_oneof![
        Just(vec![0]),
        Just(vec![0x88, 0x00]),
        any::<i64>().prop_map(|value| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value as u64, &mut bytes);
            bytes
        }),
        vec(any::<u8>(), 1..12),
    ];
    let text =
        prop_oneof![4 => "[a-z世]{0,9}".prop_map(String::into_bytes), 1 => vec(any::<u8>(), 0..5)];
    let field = prop_oneof![
        4 => (prop_oneof![Just(FROM_KEY), Just(TO_KEY), Just(4 << 3), Just(6 << 3)], number)
            .prop_map(|(key, number)| [vec![key], number].concat()),
        4 => (prop_oneof![4 => Just(MSG_KEY), 2 => Just(ROOM_KEY), 1 => Just(5 << 3 | 2), 1 => Just(7 << 3 | 2)], text)
            .prop_map(|(key, text)| [vec![key, text.len() as u8], text].concat()),
        1 => vec(any::<u8>(), 0..3),
    ];
    (vec(field, 0..6), 0..20_usize).prop_map(|(fields, cut)| {
        let mut body = fields.concat();
        if cut < 3 {
            body.truncate(body.len().saturating_sub(cut));
        }
        body
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_client_frame_agrees_with_parse_frame(body in any_body()) {
        let frame = [&(body.len() as u32).to_be_bytes()[..], &body].concat();
        let expected = parse_frame(&frame).map(|Message { to, msg, control, room, .. }| {
            ClientMessage { to, msg: Cow::Owned(msg.into_bytes()), control, room }
        });
        prop_assert_eq!(&parse_client_frame(&frame), &expected);
        if let Some(PlainFields { to, msg, room: "" }) = parse_plain(&body) {
            let expected = expected.expect("a message");
            prop_assert_eq!(parse_plain_to(to, &frame, 1 << 20), Some((msg, frame.len())));
            prop_assert_eq!((expected.to, &*expected.msg), (to, msg));
            prop_assert_eq!(parse_plain_to(to ^ 1, &frame, 1 << 20), None);
            prop_assert_eq!(parse_plain_to(to, &frame[..frame.len() - 1], 1 << 20), None);
            prop_assert_eq!(parse_plain_to(to, &frame, body.len().saturating_sub(1)).is_some(), body.is_empty());
        }
    }
}

#[test]
fn parse_plain_borrows_the_text_of_plain_messages() {
    for (body, expected) in [
        (&b"\x10\x08\x1a\x02Hi"[..], Some((8, &b"Hi"[..]))),
        (b"\x1a\x02Hi\x10\xac\x02\x08\x07", Some((300, b"Hi"))),
        (b"", Some((0, b""))),
        (b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Some((i64::MAX, b""))),
        (b"\x10\x08\x20\x03", None),
        (b"\x1a\x01\xff", None),
        (b"\x1a\x01\xff\x1a\x02Hi", None),
    ] {
        let expected = expected.map(|(to, msg)| PlainFields { to, msg, room: "" });
        assert_eq!(parse_plain(body), expected, "{body:02x?}");
    }
}

#[test]
fn oversized_frame_and_malformed_protobuf_are_refused() {
    let too_long = WireError::TooLong { announced_bytes: 1025, frame_bytes_max: 1024 };
    assert_eq!(frame_len(&[0, 0, 4, 1], 1024), Err(too_long));
    assert_eq!(frame_len(&[0, 0, 4, 0], 1024), Ok(Some(1028)));
    assert_eq!(frame_len(&[0, 0, 4], 1024), Ok(None));
    for bad in [&[0x1a, 5, b'h'][..], &[0x1a, 1, 0xff], &[0x0f], &[0x08]] {
        let frame = [&[0, 0, 0, bad.len() as u8], bad].concat();
        assert!(matches!(parse_frame(&frame), Err(WireError::Malformed(_))), "{bad:02x?}");
    }
}
