//! Parts of payloads: the [`Fields`] that are parsed one after the other, and the encoded forms of
//! those that several frames have.

use super::rooms::split_name;
use super::{Digest, Entry, Epoch, Errand, Hello, List, Nonce, Ping, ServerFact};
use crate::id::HostId;
use crate::room::RoomName;

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

/// Bit of the flags of a HELLO or OFFER for [`Hello::is_moving`].
const MOVING: u8 = 1;

/// Size of the fields of a HELLO or OFFER, in bytes.
const HELLO_BYTES: usize = 56;

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The fields of a payload that have not been parsed yet.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Fault::TooShort)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Fault> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn id(&mut self) -> Result<HostId, Fault> {
        self.u32().map(HostId)
    }

    pub(super) fn epoch(&mut self) -> Result<Epoch, Fault> {
        Ok(Epoch { boot: self.u32()?, attach: self.u32()? })
    }

    /// Parses the name of a room, behind its length.
    pub(super) fn room(&mut self) -> Result<RoomName<'a>, Fault> {
        let (name, rest) = split_name(self.0).ok_or(Fault::InvalidRoom)?;
        self.0 = rest;
        Ok(name)
    }

    /// Parses a text behind its length.
    pub(super) fn short_text(&mut self) -> Result<&'a [u8], Fault> {
        let len = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(len).ok_or(Fault::TooShort)?;
        self.0 = rest;
        Ok(text)
    }

    /// Parses the list that takes the rest of the payload.
    pub(super) fn list<T: Entry>(&self) -> Result<List<'a, T>, Fault> {
        List::parse(self.0).ok_or(Fault::EntryCut)
    }

    pub(super) fn hello(&mut self) -> Result<Hello, Fault> {
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

    pub(super) fn server_fact(&mut self) -> Result<ServerFact, Fault> {
        Ok(ServerFact {
            id: self.id()?,
            epoch: self.epoch()?,
            nonce: Nonce(self.u64()?),
            via: self.id()?,
            users: self.u32()?,
            digest: Digest(self.u64()?),
        })
    }

    pub(super) fn errand(&mut self) -> Result<Errand, Fault> {
        Ok(Errand { origin: self.id()?, target: self.id()?, hops: self.u8()? })
    }

    pub(super) fn ping(&mut self) -> Result<Ping, Fault> {
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

pub(super) fn encode_errand(Errand { origin, target, hops }: Errand, out: &mut Vec<u8>) {
    origin.encode(out);
    target.encode(out);
    out.push(hops);
}

/// Encodes a text behind its length. What is beyond 255 bytes is cut.
pub(super) fn encode_short_text(text: &[u8], out: &mut Vec<u8>) {
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend_from_slice(&text[..usize::from(len)]);
}

pub(super) fn encode_epoch(epoch: Epoch, out: &mut Vec<u8>) {
    out.extend_from_slice(&epoch.boot.to_be_bytes());
    out.extend_from_slice(&epoch.attach.to_be_bytes());
}

pub(super) fn encode_hello(hello: &Hello, out: &mut Vec<u8>) {
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
pub(super) fn encode_hex_hello(hello: &Hello, out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(HELLO_BYTES);
    encode_hello(hello, &mut payload);
    for byte in payload {
        out.extend([byte >> 4, byte & 0xF].map(|digit| HEX_DIGITS[usize::from(digit)]));
    }
}

pub(super) fn parse_hex_hello(text: &[u8]) -> Result<Hello, Fault> {
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

pub(super) fn encode_server_fact(fact: &ServerFact, out: &mut Vec<u8>) {
    fact.id.encode(out);
    encode_epoch(fact.epoch, out);
    fact.nonce.0.encode(out);
    fact.via.encode(out);
    out.extend_from_slice(&fact.users.to_be_bytes());
    fact.digest.0.encode(out);
}

pub(super) fn encode_ping(ping: &Ping, out: &mut Vec<u8>) {
    ping.token.encode(out);
    ping.handled_bytes.encode(out);
    out.push(u8::from(ping.digest.is_some()));
    ping.digest.unwrap_or_default().0.encode(out);
}
