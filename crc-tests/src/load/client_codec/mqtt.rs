//! The client side of MQTT 3.1.1, as far as a load needs it: topics of clients and of rooms, and
//! messages at most once (QoS 0).

use super::{Identity, Incoming, Room, TextPlace, WELCOME};

/// First bytes of packets: type and flags.
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const PINGRESP: u8 = 0xd0;

/// Number of bytes that the length of a packet has, at most.
const LENGTH_BYTES_MAX: usize = 4;

/// Returns the length of a packet, or `None` if more bytes are needed.
pub(super) fn frame_len(bytes: &[u8]) -> Result<Option<usize>, String> {
    let (mut length, mut shift) = (0_usize, 0);
    for (at, &byte) in bytes.iter().enumerate().skip(1).take(LENGTH_BYTES_MAX) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(Some(at + 1 + length));
        }
    }
    if bytes.len() > LENGTH_BYTES_MAX {
        return Err("a packet whose length has more than four bytes".to_owned());
    }
    Ok(None)
}

/// Parses a packet. Without its own topic a client cannot be reached, so that the answer to its
/// subscription completes its registration.
pub(super) fn parse(frame: &[u8], place: TextPlace) -> Incoming<'_> {
    match frame {
        [PUBLISH, ..] => Incoming::Chat(place.text_in(frame)),
        [SUBACK, _, 0, OWN_TOPIC, 0] => WELCOME,
        [SUBACK, .., 0] | [CONNACK, .., 0] | [PINGRESP, ..] => Incoming::Ignored,
        _ => Incoming::Status(frame),
    }
}

/// Packet identifiers of subscriptions.
const OWN_TOPIC: u8 = 1;
const ROOM: u8 = 2;

/// Appends the first packets of a client, which is not asked whether it is there.
pub(super) fn encode_connect(identity: &Identity, out: &mut Vec<u8>) {
    /// The name and level of the protocol, a clean session, and no keepalive.
    const HEADER: &[u8] = b"\0\x04MQTT\x04\x02\0\0";
    let name = identity.name.unpadded();
    encode(CONNECT, &[HEADER, &string_head(name), name], out);
    encode_subscribe(OWN_TOPIC, name, out);
}

/// Appends the subscription to the topic of a room.
pub(super) fn encode_room_subscribe(room: &Room, out: &mut Vec<u8>) {
    encode_subscribe(ROOM, room_topic(room).as_bytes(), out);
}

/// Appends a message to the topic of a room.
pub(super) fn encode_room_publish(room: &Room, text: &[u8], out: &mut Vec<u8>) {
    encode_publish(room_topic(room).as_bytes(), text, out);
}

/// Returns the topic of a room, which is none of a client. In topics, `#` stands for all.
fn room_topic(room: &Room) -> String {
    format!("room/{}", room.name.trim_start_matches('#'))
}

fn encode_subscribe(packet: u8, topic: &[u8], out: &mut Vec<u8>) {
    const AT_MOST_ONCE: u8 = 0;
    encode(SUBSCRIBE, &[&[0, packet], &string_head(topic), topic, &[AT_MOST_ONCE]], out);
}

/// Appends a message to a topic.
pub(super) fn encode_publish(topic: &[u8], text: &[u8], out: &mut Vec<u8>) {
    encode(PUBLISH, &[&string_head(topic), topic, text], out);
}

/// Returns what precedes a string: its length.
fn string_head(text: &[u8]) -> [u8; 2] {
    u16::try_from(text.len()).expect("a short name").to_be_bytes()
}

fn encode(packet_type: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    out.push(packet_type);
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.push(low);
            break;
        }
        out.push(low | 0x80);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_packets_parse_back_and_wait_for_their_end() {
        for text_bytes in [16, 118, 119, 20_000] {
            let text = vec![b'x'; text_bytes];
            let mut frame = Vec::new();
            encode_publish(b"sam", &text, &mut frame);
            let place = TextPlace { text_bytes, trailer_bytes: 0 };
            assert_eq!(parse(&frame, place), Incoming::Chat(&text));
            let bytes = [&frame[..], b"more"].concat();
            assert_eq!(frame_len(&bytes), Ok(Some(frame.len())));
            for cut in 0..frame.len().min(200) {
                let length = frame_len(&frame[..cut]).expect("a packet");
                assert!(length.is_none_or(|length| length > cut), "cut at {cut}: {length:?}");
            }
        }
        frame_len(b"\x30\xff\xff\xff\xff").expect_err("a length of five bytes");
    }

    #[test]
    fn answers_of_a_broker_are_classified() {
        let place = TextPlace { text_bytes: 16, trailer_bytes: 0 };
        for (frame, expected) in [
            (&b"\x20\x02\0\0"[..], Incoming::Ignored),
            (b"\x20\x02\0\x05", Incoming::Status(b"\x20\x02\0\x05")),
            (b"\x90\x03\0\x01\0", WELCOME),
            (b"\x90\x03\0\x02\0", Incoming::Ignored),
            (b"\x90\x03\0\x01\x80", Incoming::Status(b"\x90\x03\0\x01\x80")),
            (b"\xd0\0", Incoming::Ignored),
        ] {
            assert_eq!(parse(frame, place), expected);
            assert_eq!(frame_len(frame), Ok(Some(frame.len())));
        }
    }
}
