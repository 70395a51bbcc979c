//! Codec of the extension's frames.
//!
//! A frame is a status from the sending server to [`crate::id::HostId::EXTENSION`]. The code of the
//! status is the kind of the frame, and its text is the payload: integers, big-endian, then a list
//! or a text in some kinds. Pure functions over byte slices; parsed frames borrow from the payload.
//! No bytes panic. See "Frames of the extension" in `docs/PROTOCOL.md`.

use std::fmt;

use super::rooms::split_name;
use super::{
    Digest, Entry, Epoch, Errand, Frame, Hello, LinkLoad, List, Nonce, Ping, Proof, RefuseReason,
    RoomChat, RoomNames, ServerFact, Trace, TraceResult,
};
use crate::id::HostId;
use crate::relay::message::StatusCode;
use crate::room::RoomName;

/// Maximum length of an encoded frame with the header of the status, in bytes: programs that read
/// at most 1,024 bytes at a time get it whole.
pub const FRAME_BYTES_MAX: usize = 1023;

/// Type, source, destination, code and length of a status, in bytes.
const STATUS_HEADER_BYTES: usize = 1 + 4 + 4 + 2 + 4;

/// Maximum length of an encoded payload, in bytes: [`FRAME_BYTES_MAX`] without the header. Longer
/// ones are parsed, but never sent.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - STATUS_HEADER_BYTES;

/// Maximum number of servers in a WITHDRAW, and of homes in a SYNC_REQUEST: what fits into
/// [`PAYLOAD_BYTES_MAX`].
pub const IDS_MAX: usize = PAYLOAD_BYTES_MAX / 4;

/// Maximum number of stamps in a USERS, after the home: what fits into [`PAYLOAD_BYTES_MAX`].
pub const STAMPS_MAX: usize = (PAYLOAD_BYTES_MAX - 4) / 8;

/// Maximum number of hops in a TRACE or TRACE_REPLY, after token, target and result: what fits into
/// [`PAYLOAD_BYTES_MAX`].
pub const HOPS_MAX: usize = (PAYLOAD_BYTES_MAX - 13) / 8;

/// Maximum number of links in a LINKS, after the errand: what fits into [`PAYLOAD_BYTES_MAX`].
pub const LINKS_MAX: usize = (PAYLOAD_BYTES_MAX - 9) / LinkLoad::BYTES;

/// Maximum length of the text of a REFUSE, after the reason, in bytes: what fits into
/// [`PAYLOAD_BYTES_MAX`].
pub const REFUSE_TEXT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - 1;

/// Maximum length of the address of a MOVE, after the id, in bytes: what fits into
/// [`PAYLOAD_BYTES_MAX`].
pub const ADDRESS_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - 4;

/// Version of the extension that this server speaks, see [`Hello::version`].
pub const VERSION: u8 = 1;

/// Bit of [`Hello::capabilities`]: the server answers END with END.
pub const ENDS_LINKS: u32 = 1;

/// Bit of [`Hello::capabilities`] in HELLO: the server has a key for the other one, answers
/// CHALLENGE with PROOF, and expects PROVEN.
pub const PROVES_KEYS: u32 = 2;
/// Bit of the flags of a ROOMS: the user is in no other rooms.
const COMPLETE: u8 = 1;

/// Bit of the flags of a HELLO or OFFER for [`Hello::is_moving`].
const MOVING: u8 = 1;

/// Size of the fields of a HELLO or OFFER, in bytes.
const HELLO_BYTES: usize = 56;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The reason why the payload of a known frame cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionError {
    /// Code of the frame.
    pub code: StatusCode,
    /// What is wrong with its payload.
    pub fault: Fault,
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The payload ends within a field.
    TooShort,
    /// The payload ends within an entry of its list.
    EntryCut,
    /// The address is not UTF-8.
    NotUtf8,
    /// A HELLO has other characters than the digits `0` to `9` and `a` to `f`.
    NotHexadecimal,
    /// The mark of an optional field is neither 0 nor 1.
    InvalidMark(u8),
    /// What stands for the name of a room is cut, or is not one.
    InvalidRoom,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = frame_name(self.code).unwrap_or("an unknown frame");
        match self.fault {
            Fault::TooShort => write!(f, "{name} ends within a field"),
            Fault::EntryCut => write!(f, "{name} ends within an entry of its list"),
            Fault::NotUtf8 => write!(f, "{name} has an address that is not UTF-8"),
            Fault::NotHexadecimal => write!(f, "{name} is not in hexadecimal digits"),
            Fault::InvalidRoom => write!(f, "{name} has what is not the name of a room"),
            Fault::InvalidMark(mark) => write!(f, "{name} marks an optional field with {mark}"),
        }
    }
}

impl std::error::Error for ExtensionError {}

/// Returns the name of a frame in `docs/PROTOCOL.md`, "Frames of the extension".
pub(in crate::relay) fn frame_name(code: StatusCode) -> Option<&'static str> {
    Some(match code {
        StatusCode::READS_CUT_FRAMES => "READS_CUT_FRAMES",
        StatusCode::HELLO => "HELLO",
        StatusCode::OFFER => "OFFER",
        StatusCode::COMMIT => "COMMIT",
        StatusCode::REFUSE => "REFUSE",
        StatusCode::SERVER => "SERVER",
        StatusCode::FACTS_END => "FACTS_END",
        StatusCode::WITHDRAW => "WITHDRAW",
        StatusCode::USERS => "USERS",
        StatusCode::SYNC_REQUEST => "SYNC_REQUEST",
        StatusCode::SYNC_BEGIN => "SYNC_BEGIN",
        StatusCode::SYNC_END => "SYNC_END",
        StatusCode::PING => "PING",
        StatusCode::PONG => "PONG",
        StatusCode::ACK => "ACK",
        StatusCode::MOVE => "MOVE",
        StatusCode::END => "END",
        StatusCode::TRACE => "TRACE",
        StatusCode::TRACE_REPLY => "TRACE_REPLY",
        StatusCode::CHALLENGE => "CHALLENGE",
        StatusCode::PROOF => "PROOF",
        StatusCode::PROVEN => "PROVEN",
        StatusCode::ROOMS => "ROOMS",
        StatusCode::ROOM_PART => "ROOM_PART",
        StatusCode::ROOM_CHAT => "ROOM_CHAT",
        StatusCode::LINKS_REQUEST => "LINKS_REQUEST",
        StatusCode::LINKS => "LINKS",
        _ => return None,
    })
}

impl<'a> Frame<'a> {
    /// Parses the text of a status with this code. Returns `None` for a code that is not known:
    /// such a frame is to be ignored. Bytes after the known fields are ignored.
    ///
    /// # Errors
    /// Returns an [`ExtensionError`] if the payload does not have the fields of its code.
    pub fn parse(code: StatusCode, text: &'a [u8]) -> Option<Result<Self, ExtensionError>> {
        let frame = Self::parse_fields(code, Fields(text));
        frame.map_err(|fault| ExtensionError { code, fault }).transpose()
    }

    fn parse_fields(code: StatusCode, mut fields: Fields<'a>) -> Result<Option<Self>, Fault> {
        Ok(Some(match code {
            StatusCode::READS_CUT_FRAMES => Self::ReadsCutFrames(fields.0),
            StatusCode::HELLO => Self::Hello(parse_hex_hello(fields.0)?),
            StatusCode::OFFER => Self::Offer(fields.hello()?),
            StatusCode::COMMIT => Self::Commit { epoch: fields.epoch()?, known: fields.epoch()? },
            StatusCode::REFUSE => {
                Self::Refuse { reason: RefuseReason(fields.u8()?), text: fields.0 }
            }
            StatusCode::SERVER => Self::Server(fields.server_fact()?),
            StatusCode::FACTS_END => Self::FactsEnd { servers: fields.u32()? },
            StatusCode::WITHDRAW => Self::Withdraw(fields.list()?),
            StatusCode::USERS => Self::Users { home: fields.id()?, stamps: fields.list()? },
            StatusCode::SYNC_REQUEST => Self::SyncRequest(fields.list()?),
            StatusCode::SYNC_BEGIN => Self::SyncBegin { home: fields.id()? },
            StatusCode::SYNC_END => Self::SyncEnd {
                home: fields.id()?,
                users: fields.u32()?,
                digest: Digest(fields.u64()?),
            },
            StatusCode::PING => Self::Ping(fields.ping()?),
            StatusCode::PONG => Self::Pong(fields.ping()?),
            StatusCode::ACK => Self::Ack { handled_bytes: fields.u64()? },
            StatusCode::MOVE => Self::Move {
                replacement: fields.id()?,
                address: str::from_utf8(fields.0).map_err(|_| Fault::NotUtf8)?,
            },
            StatusCode::END => Self::End,
            StatusCode::TRACE => {
                let (token, target) = (fields.u64()?, fields.id()?);
                Self::Trace(Trace { token, target, hops: fields.list()? })
            }
            StatusCode::TRACE_REPLY => {
                let (token, target) = (fields.u64()?, fields.id()?);
                let result = TraceResult(fields.u8()?);
                Self::TraceReply { result, trace: Trace { token, target, hops: fields.list()? } }
            }
            StatusCode::CHALLENGE => Self::Challenge { nonce: fields.take()? },
            StatusCode::PROOF => Self::Proof(Proof {
                invitation: fields.u64()?,
                nonce: fields.take()?,
                holder: fields.take()?,
                mac: fields.take()?,
            }),
            StatusCode::PROVEN => Self::Proven { mac: fields.take()? },
            StatusCode::ROOMS => {
                let (user, flags) = (fields.id()?, fields.u8()?);
                let names = RoomNames::parse(fields.0).ok_or(Fault::InvalidRoom)?;
                Self::Rooms { user, is_complete: flags & COMPLETE != 0, names }
            }
            StatusCode::ROOM_PART => {
                let (user, name) = (fields.id()?, fields.room()?);
                Self::RoomPart { user, name, text: fields.0 }
            }
            StatusCode::ROOM_CHAT => {
                let (user, home, number) = (fields.id()?, fields.id()?, fields.u64()?);
                let room = fields.room()?;
                Self::RoomChat(RoomChat { user, home, number, room, text: fields.0 })
            }
            StatusCode::LINKS_REQUEST => Self::LinksRequest(fields.errand()?),
            StatusCode::LINKS => Self::Links { errand: fields.errand()?, links: fields.list()? },
            _ => return Ok(None),
        }))
    }

    /// Appends the payload to `out`: the text of the status.
    pub fn encode_payload(&self, out: &mut Vec<u8>) {
        match *self {
            Self::ReadsCutFrames(text) => out.extend_from_slice(text),
            Self::Hello(ref hello) => encode_hex_hello(hello, out),
            Self::Offer(ref hello) => encode_hello(hello, out),
            Self::Commit { epoch, known } => {
                encode_epoch(epoch, out);
                encode_epoch(known, out);
            }
            Self::Refuse { reason, text } => {
                out.push(reason.0);
                out.extend_from_slice(text);
            }
            Self::Server(ref fact) => encode_server_fact(fact, out),
            Self::FactsEnd { servers } => out.extend_from_slice(&servers.to_be_bytes()),
            Self::Withdraw(ids) | Self::SyncRequest(ids) => ids.encode(out),
            Self::Users { home, stamps } => {
                home.encode(out);
                stamps.encode(out);
            }
            Self::SyncBegin { home } => home.encode(out),
            Self::SyncEnd { home, users, digest } => {
                home.encode(out);
                out.extend_from_slice(&users.to_be_bytes());
                digest.0.encode(out);
            }
            Self::Ping(ref ping) | Self::Pong(ref ping) => encode_ping(ping, out),
            Self::Ack { handled_bytes } => handled_bytes.encode(out),
            Self::Move { replacement, address } => {
                replacement.encode(out);
                out.extend_from_slice(address.as_bytes());
            }
            Self::End => {}
            Self::Trace(Trace { token, target, hops }) => {
                token.encode(out);
                target.encode(out);
                hops.encode(out);
            }
            Self::TraceReply { result, trace: Trace { token, target, hops } } => {
                token.encode(out);
                target.encode(out);
                out.push(result.0);
                hops.encode(out);
            }
            Self::Challenge { nonce } => out.extend(nonce),
            Self::Proof(Proof { invitation, nonce, holder, mac }) => {
                invitation.encode(out);
                [nonce, holder, mac].iter().for_each(|field| out.extend(field));
            }
            Self::Proven { mac } => out.extend(mac),
            Self::Rooms { user, is_complete, names } => {
                user.encode(out);
                out.push(if is_complete { COMPLETE } else { 0 });
                out.extend_from_slice(names.as_bytes());
            }
            Self::RoomPart { user, name, text } => {
                user.encode(out);
                RoomNames::push(name, out);
                out.extend_from_slice(text);
            }
            Self::RoomChat(RoomChat { user, home, number, room, text }) => {
                user.encode(out);
                home.encode(out);
                number.encode(out);
                RoomNames::push(room, out);
                out.extend_from_slice(text);
            }
            Self::LinksRequest(errand) => encode_errand(errand, out),
            Self::Links { errand, links } => {
                encode_errand(errand, out);
                links.encode(out);
            }
        }
    }
}

/// The fields of a payload that have not been parsed yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Fault::TooShort)?;
        self.0 = rest;
        Ok(*field)
    }

    fn u8(&mut self) -> Result<u8, Fault> {
        self.take().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        self.take().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Fault> {
        self.take().map(u64::from_be_bytes)
    }

    fn id(&mut self) -> Result<HostId, Fault> {
        self.u32().map(HostId)
    }

    fn epoch(&mut self) -> Result<Epoch, Fault> {
        Ok(Epoch { boot: self.u32()?, attach: self.u32()? })
    }

    /// Parses the name of a room, behind its length.
    fn room(&mut self) -> Result<RoomName<'a>, Fault> {
        let (name, rest) = split_name(self.0).ok_or(Fault::InvalidRoom)?;
        self.0 = rest;
        Ok(name)
    }

    /// Parses the list that takes the rest of the payload.
    fn list<T: Entry>(&self) -> Result<List<'a, T>, Fault> {
        List::parse(self.0).ok_or(Fault::EntryCut)
    }

    fn hello(&mut self) -> Result<Hello, Fault> {
        Ok(Hello {
            version: self.u8()?,
            is_moving: self.u8()? & MOVING != 0,
            capabilities: self.u32()?,
            epoch: self.epoch()?,
            nonce: Nonce(self.u64()?),
            port: self.u16()?,
            token: self.u64()?,
            replay_token: self.u64()?,
            handled_bytes: self.u64()?,
            known: self.epoch()?,
        })
    }

    fn server_fact(&mut self) -> Result<ServerFact, Fault> {
        Ok(ServerFact {
            id: self.id()?,
            epoch: self.epoch()?,
            nonce: Nonce(self.u64()?),
            via: self.id()?,
            users: self.u32()?,
            digest: Digest(self.u64()?),
        })
    }

    fn errand(&mut self) -> Result<Errand, Fault> {
        Ok(Errand { origin: self.id()?, target: self.id()?, hops: self.u8()? })
    }

    fn ping(&mut self) -> Result<Ping, Fault> {
        let (token, handled_bytes) = (self.u64()?, self.u64()?);
        let (mark, digest) = (self.u8()?, Digest(self.u64()?));
        let digest = match mark {
            0 => None,
            1 => Some(digest),
            _ => return Err(Fault::InvalidMark(mark)),
        };
        Ok(Ping { token, handled_bytes, digest })
    }
}

fn encode_errand(Errand { origin, target, hops }: Errand, out: &mut Vec<u8>) {
    origin.encode(out);
    target.encode(out);
    out.push(hops);
}

fn encode_epoch(epoch: Epoch, out: &mut Vec<u8>) {
    out.extend_from_slice(&epoch.boot.to_be_bytes());
    out.extend_from_slice(&epoch.attach.to_be_bytes());
}

fn encode_hello(hello: &Hello, out: &mut Vec<u8>) {
    out.push(hello.version);
    out.push(if hello.is_moving { MOVING } else { 0 });
    out.extend_from_slice(&hello.capabilities.to_be_bytes());
    encode_epoch(hello.epoch, out);
    hello.nonce.0.encode(out);
    out.extend_from_slice(&hello.port.to_be_bytes());
    hello.token.encode(out);
    hello.replay_token.encode(out);
    hello.handled_bytes.encode(out);
    encode_epoch(hello.known, out);
}

/// Encodes a HELLO in hexadecimal digits: its receiver may be a program that ends on text that is
/// not UTF-8.
fn encode_hex_hello(hello: &Hello, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(HELLO_BYTES);
    encode_hello(hello, &mut payload);
    for byte in payload {
        out.extend([byte >> 4, byte & 0xF].map(|digit| HEX_DIGITS[usize::from(digit)]));
    }
}

fn parse_hex_hello(text: &[u8]) -> Result<Hello, Fault> {
    let digits = text.get(..2 * HELLO_BYTES).ok_or(Fault::TooShort)?;
    let value_of = |digit: u8| HEX_DIGITS.iter().position(|&other| other == digit);
    let mut payload = [0; HELLO_BYTES];
    for (byte, digits) in payload.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in digits {
            let value = value_of(digit).ok_or(Fault::NotHexadecimal)?;
            *byte = *byte << 4 | u8::try_from(value).expect("a digit below 16");
        }
    }
    Fields(&payload).hello()
}

fn encode_server_fact(fact: &ServerFact, out: &mut Vec<u8>) {
    fact.id.encode(out);
    encode_epoch(fact.epoch, out);
    fact.nonce.0.encode(out);
    fact.via.encode(out);
    out.extend_from_slice(&fact.users.to_be_bytes());
    fact.digest.0.encode(out);
}

fn encode_ping(ping: &Ping, out: &mut Vec<u8>) {
    ping.token.encode(out);
    ping.handled_bytes.encode(out);
    out.push(u8::from(ping.digest.is_some()));
    ping.digest.unwrap_or_default().0.encode(out);
}
