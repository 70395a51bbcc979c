//! Codec of the extension's frames.
//!
//! A frame is a status from the sending server to [`crate::id::HostId::EXTENSION`]. The code of the
//! status is the kind of the frame, and its text is the payload: integers, big-endian, then a list
//! or a text in some kinds. Pure functions over byte slices; parsed frames borrow from the payload.
//! No bytes panic. See "Frames of the extension" in `docs/PROTOCOL.md`.

use std::fmt;

pub use super::fields::Fault;
use super::fields::{
    Fields, encode_epoch, encode_errand, encode_hello, encode_hex_hello, encode_ping,
    encode_server_fact, encode_short_text, parse_hex_hello,
};
use super::{
    Digest, Entry, Frame, LinkLoad, Proof, RefuseReason, RoomChat, RoomNames, RoomTopic, Trace,
    TraceResult,
};
use crate::relay::message::StatusCode;
use crate::relay::profile::Profile;

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

/// Bit of [`Hello::capabilities`] in HELLO: the server has a key for the other one, answers
/// CHALLENGE with PROOF, and expects PROVEN.
pub const PROVES_KEYS: u32 = 2;

/// Bit of the flags of a ROOMS: the user is in no other rooms.
const COMPLETE: u8 = 1;

/// Bit of the flags of a PROFILE: the registration of the user follows.
const PRECEDES_REGISTRATION: u8 = 1;

/// The reason why the payload of a known frame cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionError {
    /// Code of the frame.
    pub code: StatusCode,
    /// What is wrong with its payload.
    pub fault: Fault,
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
        StatusCode::ROOM_TOPIC => "ROOM_TOPIC",
        StatusCode::PROFILE => "PROFILE",
        StatusCode::LINKS_REQUEST => "LINKS_REQUEST",
        StatusCode::LINKS => "LINKS",
        _ => return None,
    })
}

/// Appends a profile with further flags to `out`: a PROFILE behind the user.
pub(super) fn encode_profile(profile: Profile<'_>, flags: u8, out: &mut Vec<u8>) {
    out.push(flags | profile.flags());
    encode_short_text(profile.away, out);
    encode_short_text(profile.real_name, out);
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
            StatusCode::ROOM_TOPIC => {
                let (stamp, user, room) = (fields.u64()?, fields.id()?, fields.room()?);
                let name = fields.short_text()?;
                Self::RoomTopic(RoomTopic { stamp, user, room, name, text: fields.0 })
            }
            StatusCode::PROFILE => {
                let (user, flags) = (fields.id()?, fields.u8()?);
                let (away, real_name) = (fields.short_text()?, fields.short_text()?);
                let precedes_registration = flags & PRECEDES_REGISTRATION != 0;
                let profile = Profile::new(flags, away, real_name);
                Self::Profile { user, precedes_registration, profile }
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
            Self::RoomTopic(RoomTopic { stamp, user, room, name, text }) => {
                stamp.encode(out);
                user.encode(out);
                RoomNames::push(room, out);
                encode_short_text(name, out);
                out.extend_from_slice(text);
            }
            Self::Profile { user, precedes_registration, profile } => {
                user.encode(out);
                let flags = if precedes_registration { PRECEDES_REGISTRATION } else { 0 };
                encode_profile(profile, flags, out);
            }
            Self::LinksRequest(errand) => encode_errand(errand, out),
            Self::Links { errand, links } => {
                encode_errand(errand, out);
                links.encode(out);
            }
        }
    }
}
