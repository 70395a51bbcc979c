//! The codecs whose streams are frames.

use std::convert::Infallible;
use std::hint::black_box;

use crc::id::HostId;
use crc::limits::FRAME_BYTES_MAX;
use crc::peer::wire as peer_wire;
use crc::relay::extension::Frame;
use crc::relay::message::{HostKind, Message};
use crc::wires::classic::codec as classic_wire;
use crc::wires::crc::codec as crc_wire;
use crc::wires::direct::codec as direct_wire;
use crc::wires::http::{command, request, websocket};
use crc::wires::irc::line as irc_line;

use crate::{frames, fuzz};

/// A codec under test.
pub(super) struct Codec<E> {
    pub(super) frame_len: fn(&[u8]) -> Result<Option<usize>, E>,
    pub(super) parse: fn(&[u8]),
    /// Bytes that may be in one frame or in the next, depending on the cut: NULs after a message of
    /// the classic wire.
    pub(super) padding: Option<u8>,
    /// Valid streams.
    pub(super) seeds: fn() -> Vec<Vec<u8>>,
}

pub(super) const CRC: Codec<crc_wire::WireError> = Codec {
    frame_len: |bytes| crc_wire::frame_len(bytes, FRAME_BYTES_MAX),
    parse: |frame| _ = black_box(crc_wire::parse_frame(frame)),
    padding: None,
    seeds: crc_seeds,
};

pub(super) const DIRECT: Codec<direct_wire::WireError> = Codec {
    frame_len: |bytes| direct_wire::frame_len(bytes, FRAME_BYTES_MAX),
    parse: |frame| {
        let _ = black_box(direct_wire::parse_frame(frame));
        let _ = black_box(direct_wire::parse_client_frame(frame));
    },
    padding: None,
    seeds: direct_seeds,
};

pub(super) const CLASSIC: Codec<classic_wire::WireError> = Codec {
    frame_len: classic_wire::frame_len,
    parse: |frame| _ = black_box(classic_wire::parse_frame(frame)),
    padding: Some(0),
    seeds: classic_seeds,
};

pub(super) const EXTENSION: Codec<crc_wire::WireError> = Codec {
    frame_len: |bytes| crc_wire::frame_len(bytes, FRAME_BYTES_MAX),
    parse: |frame| {
        if let Message::Status { destination: HostId::EXTENSION, code, text, .. } =
            crc_wire::parse_frame(frame)
        {
            let _ = black_box(Frame::parse(code, text));
        }
    },
    padding: None,
    seeds: extension_seeds,
};

pub(super) const PEER: Codec<direct_wire::WireError> = Codec {
    frame_len: peer_wire::frame_len,
    parse: |frame| drop(black_box(peer_wire::parse(frame))),
    padding: None,
    seeds: peer_seeds,
};

pub(super) const HTTP: Codec<Infallible> = Codec {
    frame_len: |bytes| Ok(request::head_len(bytes)),
    parse: |head| {
        let _ = black_box(request::Request::parse(head));
    },
    padding: None,
    seeds: http_seeds,
};

pub(super) const WEBSOCKET: Codec<Infallible> = Codec {
    frame_len: |bytes| Ok(websocket::frame_len(bytes, FRAME_BYTES_MAX)),
    parse: |frame| {
        if let Ok(frame) = websocket::Frame::parse(frame, FRAME_BYTES_MAX) {
            let mut payload = Vec::new();
            frame.unmask(&mut payload);
            let _ = black_box(websocket::parse_close(&payload));
            if let Ok(text) = std::str::from_utf8(&payload) {
                let _ = black_box(command::Command::parse(text));
            }
        }
    },
    padding: None,
    seeds: websocket_seeds,
};

pub(super) const IRC: Codec<Infallible> = Codec {
    frame_len: |bytes| Ok(irc_line::frame_len(bytes)),
    parse: |frame| {
        let _ = black_box(irc_line::Line::parse(frame));
        let _ = black_box(irc_line::parse_text_to(b"#lab", frame));
    },
    padding: None,
    seeds: irc_seeds,
};

fn crc_seeds() -> Vec<Vec<u8>> {
    vec![
        frames::user(101, "frodo", "Ring-bearer"),
        frames::user_that_reads_cut_frames(102, "sam", ""),
        frames::server(2, "rivendell", "The last homely house"),
        frames::registration(HostKind::User, 103, 2, "elrond", &"x".repeat(60)),
        [frames::chat(101, 102, "Hi Sam!"), frames::chat(102, 101, "")].concat(),
        frames::status(1, 0, 1, "Unknown ID 7"),
        frames::quit(101, "Leaving"),
        frames::server_quit(2, 3, "bye"),
    ]
}

fn direct_seeds() -> Vec<Vec<u8>> {
    let message = |from, to, msg: &str, control| {
        let mut bytes = Vec::new();
        direct_wire::encode(
            &direct_wire::Message { from, to, msg: msg.to_owned(), control, ..Default::default() },
            &mut bytes,
        );
        bytes
    };
    let handshake = direct_wire::FastHandshake { id: 77_252_666_718_255_104, error: true };
    let mut bare_handshake = Vec::new();
    direct_wire::encode(&handshake, &mut bare_handshake);
    vec![
        message(0, 102, "Hi Sam!", None),
        message(101, i64::MAX, "ü€𝄞", None),
        message(-1, 0, "", Some(direct_wire::Control::DesiredId(102))),
        message(0, 101, "", Some(direct_wire::Control::Handshake(handshake))),
        bare_handshake,
        vec![0, 0, 0, 0],
    ]
}

fn classic_seeds() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 6] =
        [b"Connect frodo", b"List", b"Alive frodo", b"Quit frodo", b"Hi Sam!", &[b'x'; 239]];
    let mut seeds = Vec::new();
    for (index, text) in texts.into_iter().enumerate() {
        let destination = if index < 4 { *b"-SERVER-" } else { *b"sam     " };
        let padded = [&destination[..], b"frodo   ", text].concat();
        seeds.push([&padded[..], &[0]].concat());
        seeds.push([&padded[..], &vec![0; 256 - padded.len()]].concat());
    }
    seeds
}

fn irc_seeds() -> Vec<Vec<u8>> {
    let streams = [
        "CAP LS 302\r\nNICK frodo\r\nUSER frodo 0 * :Frodo Baggins\r\nCAP END\r\n",
        "JOIN #lab,#dev\nPRIVMSG #lab :Hi all!\nPRIVMSG #lab :\u{fc}\u{20ac}\n",
        "@label=1;+draft/reply=a\\s :frodo!a@b NOTICE sam,merry :\u{1}PING 1\u{1}\r\n",
        "\r\n   \r\n: \r\n@a \r\nPING :1 2 3\r\n",
    ];
    let long = [b"@", &[b'x'; 5000][..], b" PRIVMSG a :", &[b'y'; 5000], b"\r\n"].concat();
    streams.into_iter().map(|stream| stream.as_bytes().to_vec()).chain([long]).collect()
}

fn extension_seeds() -> Vec<Vec<u8>> {
    let payloads = fuzz::corpus("extension").into_iter().filter(|bytes| bytes.len() > 1);
    payloads
        .map(|bytes| {
            let mut frame = vec![1, 0, 0, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0xC7, bytes[0]];
            frame.extend((bytes.len() as u32 - 1).to_be_bytes());
            frame.extend(&bytes[1..]);
            frame
        })
        .collect()
}

fn http_seeds() -> Vec<Vec<u8>> {
    let lines =
        ["GET / HTTP/1.1\r\n", "HEAD /chat.mjs?x HTTP/1.0\r\n", "POST http://a:1/ws HTTP/1.1\r\n"];
    let headers = "Host: 127.0.0.1:3680\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Content-Length: 7\r\nOrigin: http://a\r\n\r\n";
    let requests = lines.map(|line| [line.as_bytes(), headers.as_bytes()].concat());
    requests.into_iter().chain([b"\r\nGET / HTTP/1.1\r\n\r\n".to_vec()]).collect()
}

fn websocket_seeds() -> Vec<Vec<u8>> {
    let frame = |first: u8, payload: &str| {
        let length = u8::try_from(payload.len()).expect("short");
        [&[first, 0x80 | length, 0, 0, 0, 0], payload.as_bytes()].concat()
    };
    let long = [&[0x81, 0xfe, 0, 200, 1, 2, 3, 4][..], &[b'x'; 200]].concat();
    vec![
        frame(0x81, r#"{"do":"hello","name":"frodo","id":101}"#),
        frame(0x81, r##"{"do":"say","to":"#lab","text":"Hi \u00fc\n"}"##),
        [frame(0x01, "{\"do\":"), frame(0x89, "ping"), frame(0x80, "\"list\"}")].concat(),
        [frame(0x88, "\u{3}\u{20}"), frame(0x8a, "")].concat(),
        vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, b'x'],
        long,
    ]
}

fn peer_seeds() -> Vec<Vec<u8>> {
    use peer_wire::{Advertisement, Body, Chat, Empty, Grant, Hello, Receipt};
    let chat =
        Chat { incarnation: 7, to: 9, sequence: 1, text: "Hi!".to_owned(), ..Chat::default() };
    let bodies = [
        Body::Hello(Hello { incarnation: 7, id: 0, desired_id: 9 }),
        Body::Grant(Grant { incarnation: 8, id: 9, refused: true }),
        Body::Advertisement(Advertisement {
            incarnation: 7,
            version: 1,
            id: 9,
            id_since: 7,
            neighbours: vec![8, 10],
        }),
        Body::Chat(chat),
        Body::Receipt(Receipt { incarnation: 7, to: 9, sequence: 1, ..Receipt::default() }),
        Body::EndOfState(Empty {}),
        Body::Ping(Empty {}),
    ];
    let encoded = bodies.into_iter().map(|body| {
        let mut bytes = Vec::new();
        peer_wire::encode(body, &mut bytes);
        bytes
    });
    encoded.collect()
}
