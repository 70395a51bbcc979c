//! CRC frames, parsed and encoded independently of `crc::wires::crc`.

/// Length above which a text is refused, in bytes.
const TEXT_BYTES_MAX: u32 = 1024 * 1024;

/// The kind of a registered host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    User,
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Registration { kind: Kind, source: u32, last_hop: u32, name: &'a [u8], info: &'a [u8] },
    Status { source: u32, destination: u32, code: u16, text: &'a [u8] },
    ServerQuit { text: &'a [u8] },
    Chat { source: u32, destination: u32, text: &'a [u8] },
    ClientQuit { source: u32, text: &'a [u8] },
}

/// What the received bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed<'a> {
    /// A frame of this length in bytes.
    Frame(Frame<'a>, usize),
    Incomplete,
    UnknownType(u8),
    HugeLength(u32),
}

/// Parses the first frame.
pub(super) fn parse(bytes: &[u8]) -> Parsed<'_> {
    let kind = bytes[0];
    let header_bytes = match kind {
        0x00 | 0x80 => 12,
        0x01 => 15,
        0x02 | 0x81 => 13,
        0x82 => 9,
        _ => return Parsed::UnknownType(kind),
    };
    let Some((header, body)) = bytes.split_at_checked(header_bytes) else {
        return Parsed::Incomplete;
    };
    let (name_bytes, text_bytes) = match kind {
        0x00 | 0x80 => (usize::from(header[9]), u32::from(u16_at(header, 10))),
        _ => (0, u32_at(header, header_bytes - 4)),
    };
    if text_bytes > TEXT_BYTES_MAX {
        return Parsed::HugeLength(text_bytes);
    }
    let body_bytes = name_bytes + text_bytes as usize;
    let Some(body) = body.get(..body_bytes) else {
        return Parsed::Incomplete;
    };
    let (name, text) = body.split_at(name_bytes);
    let source = u32_at(header, 1);
    let frame = match kind {
        0x00 | 0x80 => Frame::Registration {
            kind: if kind == 0x00 { Kind::Server } else { Kind::User },
            source,
            last_hop: u32_at(header, 5),
            name,
            info: text,
        },
        0x01 => {
            let (destination, code) = (u32_at(header, 5), u16_at(header, 9));
            Frame::Status { source, destination, code, text }
        }
        0x02 => Frame::ServerQuit { text },
        0x81 => Frame::Chat { source, destination: u32_at(header, 5), text },
        _ => Frame::ClientQuit { source, text },
    };
    Parsed::Frame(frame, header_bytes + body_bytes)
}

impl Frame<'_> {
    /// Returns whether its name, info and text are UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        let texts = match *self {
            Frame::Registration { name, info, .. } => [name, info],
            Frame::Status { text, .. }
            | Frame::ServerQuit { text }
            | Frame::Chat { text, .. }
            | Frame::ClientQuit { text, .. } => [text, b""],
        };
        texts.iter().all(|text| std::str::from_utf8(text).is_ok())
    }

    /// Appends the bytes of the frame. A plain server never sends a server quit.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Frame::Registration { kind, source, last_hop, name, info } => {
                out.push(if kind == Kind::Server { 0x00 } else { 0x80 });
                out.extend(source.to_be_bytes());
                out.extend(last_hop.to_be_bytes());
                out.push(u8::try_from(name.len()).expect("a name that was received"));
                out.extend(u16::try_from(info.len()).expect("a received info").to_be_bytes());
                out.extend(name);
                out.extend(info);
            }
            Frame::Status { source, destination, code, text } => {
                out.push(0x01);
                out.extend(source.to_be_bytes());
                out.extend(destination.to_be_bytes());
                out.extend(code.to_be_bytes());
                append_text(text, out);
            }
            Frame::ServerQuit { .. } => unreachable!("a plain server sends no server quit"),
            Frame::Chat { source, destination, text } => {
                out.push(0x81);
                out.extend(source.to_be_bytes());
                out.extend(destination.to_be_bytes());
                append_text(text, out);
            }
            Frame::ClientQuit { source, text } => {
                out.push(0x82);
                out.extend(source.to_be_bytes());
                append_text(text, out);
            }
        }
    }
}

fn append_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend(u32::try_from(text.len()).expect("a text that was received").to_be_bytes());
    out.extend(text);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
