//! The client side of NATS, Redis and IRC, as far as a message to all members of a room needs it.

use super::{Identity, Incoming, Room, TextPlace, WELCOME};

/// Returns the length of the line at the front of `bytes`, with its end.
pub(super) fn line_len(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n').map(|end| end + 1)
}

/// Returns the length of a NATS protocol message: a line, and the payload of `MSG` behind it.
pub(super) fn nats_frame_len(bytes: &[u8]) -> Option<usize> {
    let line_bytes = line_len(bytes)?;
    if !bytes.starts_with(b"MSG ") {
        return Some(line_bytes);
    }
    let payload_bytes =
        number(bytes[..line_bytes].trim_ascii_end().rsplit(|&b| b == b' ').next()?)?;
    Some(line_bytes + payload_bytes + b"\r\n".len())
}

/// Parses a NATS protocol message.
pub(super) fn parse_nats(frame: &[u8], place: TextPlace) -> Incoming<'_> {
    if frame.starts_with(b"MSG ") {
        Incoming::Chat(place.text_in(frame))
    } else if frame.starts_with(b"PONG") {
        WELCOME
    } else if frame.starts_with(b"PING") {
        Incoming::Ping(b"")
    } else if frame.starts_with(b"-ERR") {
        Incoming::Status(frame.trim_ascii_end())
    } else {
        Incoming::Ignored
    }
}

/// Appends the first frames of a NATS client, which is not sent its own messages, and can be
/// reached at the subject of its name.
pub(super) fn encode_nats_connect(identity: &Identity, out: &mut Vec<u8>) {
    let options = r#"{"verbose":false,"pedantic":false,"echo":false}"#;
    let name = String::from_utf8_lossy(identity.name.unpadded());
    out.extend_from_slice(format!("CONNECT {options}\r\nSUB {name} 2\r\nPING\r\n").as_bytes());
}

/// Appends a message to a NATS subject.
pub(super) fn encode_nats_publish(subject: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"PUB ");
    out.extend_from_slice(subject);
    out.extend_from_slice(format!(" {}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Returns the length of a value of RESP, the protocol of Redis.
pub(super) fn redis_frame_len(bytes: &[u8]) -> Option<usize> {
    let line_bytes = line_len(bytes)?;
    let count = || number(bytes[1..line_bytes].trim_ascii_end());
    match bytes[0] {
        b'$' => Some(line_bytes + count()? + b"\r\n".len()),
        b'*' => {
            let mut len = line_bytes;
            for _ in 0..count()? {
                len += redis_frame_len(bytes.get(len..)?)?;
            }
            Some(len)
        }
        _ => Some(line_bytes),
    }
}

/// Parses a value of RESP.
pub(super) fn parse_redis(frame: &[u8], place: TextPlace) -> Incoming<'_> {
    if frame.starts_with(b"*3\r\n$7\r\nmessage\r\n") {
        Incoming::Chat(place.text_in(frame))
    } else if frame.starts_with(b"+PONG") {
        WELCOME
    } else if frame.starts_with(b"-") {
        Incoming::Status(frame.trim_ascii_end())
    } else {
        Incoming::Ignored
    }
}

/// Appends a message to a Redis channel.
pub(super) fn encode_redis_publish(room: &Room, text: &[u8], out: &mut Vec<u8>) {
    let (name, len) = (&room.name, text.len());
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{name}\r\n${len}\r\n", name.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// Parses a line of IRC.
pub(super) fn parse_irc(frame: &[u8], place: TextPlace) -> Incoming<'_> {
    let line = frame.trim_ascii_end();
    if let Some(token) = line.strip_prefix(b"PING ") {
        return Incoming::Ping(token);
    }
    if line.starts_with(b"ERROR") {
        return Incoming::Status(line);
    }
    match line.split(|&byte| byte == b' ').nth(1) {
        Some(b"PRIVMSG") => Incoming::Chat(place.text_in(frame)),
        // The end of the message of the day, or that there is none.
        Some(b"376" | b"422") => WELCOME,
        Some(b"401") => Incoming::UnknownDestination,
        Some(b"433") => Incoming::IdentityTaken,
        _ => Incoming::Ignored,
    }
}

/// Appends the first lines of an IRC client.
pub(super) fn encode_irc_connect(identity: &Identity, out: &mut Vec<u8>) {
    let nick = String::from_utf8_lossy(identity.name.unpadded());
    out.extend_from_slice(format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n").as_bytes());
}

/// Appends a message to an IRC channel or nick.
pub(super) fn encode_irc_message(target: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[b"PRIVMSG ", target, b" :", text, b"\r\n"].concat());
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crc::wires::classic::codec::Name;
    use crc::wires::direct::codec as direct;

    use super::super::{Protocol, Transport, encode_room_chat, frame_len, parse};
    use super::*;

    const TEXT: &[u8] = b"0123456789abcdef";

    #[track_caller]
    fn check(protocol: Protocol, frame: &[u8], expected: Incoming<'_>) {
        let place = TextPlace::new(protocol, TEXT.len(), None);
        let bytes = [frame, b"more"].concat();
        assert_eq!(frame_len(protocol, &bytes, place), Ok(Some(frame.len())));
        for cut in 0..frame.len() {
            let len = frame_len(protocol, &frame[..cut], place).expect("a frame");
            assert!(len.is_none_or(|len| len > cut), "cut at {cut}: {len:?}");
        }
        assert_eq!(parse(protocol, frame, place), Ok(expected));
    }

    #[test]
    fn messages_of_other_programs_are_parsed() {
        let chat = Incoming::Chat(TEXT);
        let nats = Protocol::Nats(Transport::Tcp);
        check(nats, b"MSG #lab 1 16\r\n0123456789abcdef\r\n", chat);
        check(nats, b"INFO {}\r\n", Incoming::Ignored);
        check(nats, b"PONG\r\n", WELCOME);
        check(nats, b"PING\r\n", Incoming::Ping(b""));
        let push = b"*3\r\n$7\r\nmessage\r\n$4\r\n#lab\r\n$16\r\n0123456789abcdef\r\n";
        check(Protocol::Redis, push, chat);
        let subscribed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\n#lab\r\n:1\r\n";
        check(Protocol::Redis, subscribed, Incoming::Ignored);
        check(Protocol::Redis, b"+PONG\r\n", WELCOME);
        check(Protocol::Redis, b"-ERR no\r\n", Incoming::Status(b"-ERR no"));
        check(Protocol::Irc, b":sam!s@h PRIVMSG #lab :0123456789abcdef\r\n", chat);
        check(Protocol::Irc, b":server 376 sam :End\r\n", WELCOME);
        check(Protocol::Irc, b"PING :7\r\n", Incoming::Ping(b":7"));
        check(Protocol::Bytes, TEXT, chat);
    }

    #[test]
    fn long_bytes_are_as_long_as_a_copy_on_the_direct_wire() {
        let room = Room::new("#lab".to_owned());
        let identity = Identity { id: 1, name: Name::new(b"sam").expect("a name") };
        let mut frame = Vec::new();
        encode_room_chat(Protocol::LongBytes, &identity, &room, TEXT, &mut frame);
        let (from, to) = (i64::MAX, i64::MAX);
        let (msg, room_name) = (String::from_utf8(TEXT.to_vec()).expect("ASCII"), "#lab".into());
        let message = direct::Message { from, to, msg, control: None, room: room_name };
        let mut copy = Vec::new();
        direct::encode(&message, &mut copy);
        assert_eq!(frame.len(), copy.len());
        let place = TextPlace::new(Protocol::LongBytes, TEXT.len(), Some(&room));
        assert_eq!(frame_len(Protocol::LongBytes, &frame, place), Ok(Some(frame.len())));
        assert_eq!(parse(Protocol::LongBytes, &frame, place), Ok(Incoming::Chat(TEXT)));
    }
}
