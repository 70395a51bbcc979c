//! The client's side of the CRC wire: registers, takes another id when a random one is in use, and
//! turns frames into what the app understands.
//!
//! What servers say to each other, and extensions, are passed over. `docs/PROTOCOL.md` has the wire.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::Heard;
use crate::doors::assembly::Assembly;
use crate::doors::crc::wire;
use crate::limits::FRAME_BYTES_MAX_CEILING;
use crate::relay::Identity;
use crate::relay::message::{HostId, Kind, Message, Registration, StatusCode};

/// Random ids that are tried. Two in use one after the other is a wonder; eight, a server that
/// refuses whatever it is asked.
const RANDOM_IDS_MAX: u32 = 8;

/// A connection to a CRC server, as its client.
#[derive(Debug)]
pub(crate) struct Crc {
    assembly: Assembly,
    me: Me,
}

#[derive(Debug)]
struct Me {
    identity: Identity,
    rng: StdRng,
    ids_tried: u32,
    welcome: bool,
}

impl Crc {
    /// A client that is not connected. Ids other than the one in `identity` come from `seed`.
    #[must_use]
    pub(crate) fn new(identity: Identity, seed: u64) -> Self {
        Self {
            assembly: Assembly::default(),
            me: Me { identity, rng: StdRng::seed_from_u64(seed), ids_tried: 1, welcome: false },
        }
    }

    pub(super) fn open(&self, out: &mut Vec<u8>) {
        self.me.register(out);
    }

    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
        heard: &mut Vec<Heard>,
    ) -> Result<(), String> {
        let Self { assembly, me } = self;
        let frame_bytes_max = FRAME_BYTES_MAX_CEILING;
        let each = |frame: &[u8]| {
            if let Ok(Some((message, _))) = wire::parse(frame, frame_bytes_max) {
                heard.extend(me.hear(&message, out));
            }
            true
        };
        assembly
            .feed(bytes, |bytes| wire::frame_len(bytes, frame_bytes_max), each)
            .map_err(|error| format!("this is not a CRC server, or it is broken: {error}"))
    }

    pub(super) fn say(&self, to: i64, text: &[u8], out: &mut Vec<u8>) {
        let destination = HostId(u32::try_from(to).expect("the grammar has bounded the id"));
        let source = self.me.identity.id;
        wire::encode(&Message::Chat { source, destination, text }, out);
    }

    pub(super) fn quit(&self, text: &[u8], out: &mut Vec<u8>) {
        let source = self.me.identity.id;
        wire::encode(&Message::ClientQuit { source, text }, out);
    }

    pub(super) fn id(&self) -> i64 {
        i64::from(self.me.identity.id.0)
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.me.identity.name
    }
}

impl Me {
    fn register(&self, out: &mut Vec<u8>) {
        let registration = Registration {
            kind: Kind::User,
            source: self.identity.id,
            last_hop: HostId::NONE,
            name: &self.identity.name,
            info: &self.identity.info,
        };
        wire::encode(&Message::Registration(registration), out);
    }

    fn hear(&mut self, message: &Message<'_>, out: &mut Vec<u8>) -> Option<Heard> {
        match *message {
            Message::Status { destination, .. } if destination == HostId::EXTENSION => None,
            Message::Status { code, text, .. } => self.hear_status(code, text, out),
            Message::Registration(Registration {
                kind: Kind::User, source, name, info, ..
            }) if source != self.identity.id => Some(Heard::Joined {
                id: i64::from(source.0),
                name: name.into(),
                info: info.into(),
            }),
            Message::Chat { source, text, .. } => {
                Some(Heard::Said { from: i64::from(source.0), text: text.into() })
            }
            Message::ClientQuit { source, text } if source != self.identity.id => {
                Some(Heard::Left { id: i64::from(source.0), text: text.into() })
            }
            Message::Registration(_) | Message::ClientQuit { .. } | Message::ServerQuit { .. } => {
                None
            }
        }
    }

    fn hear_status(&mut self, code: StatusCode, text: &[u8], out: &mut Vec<u8>) -> Option<Heard> {
        let id = self.identity.id;
        if !self.welcome && code == StatusCode::WELCOME {
            self.welcome = true;
            return Some(Heard::Welcome {
                id: i64::from(id.0),
                status: Some((code.0, text.into())),
            });
        }
        let about = last_number(text).unwrap_or(id.0);
        if self.welcome || code != StatusCode::ID_TAKEN || about != id.0 {
            return Some(Heard::Status { code: code.0, text: text.into() });
        }
        if !self.identity.id_is_chosen && self.ids_tried < RANDOM_IDS_MAX {
            self.ids_tried += 1;
            self.identity.id = HostId::random(&mut self.rng);
            self.register(out);
            return None;
        }
        let advice = if self.identity.id_is_chosen {
            format!(
                "the id {id} is taken: choose another with --id, or leave --id out for a random one"
            )
        } else {
            format!("the server refused {RANDOM_IDS_MAX} random ids: choose one with --id")
        };
        Some(Heard::IdTaken { code: code.0, text: text.into(), advice })
    }
}

/// The number at the end of a text, which in a refusal is the id that it is about.
fn last_number(text: &[u8]) -> Option<u32> {
    let text = str::from_utf8(text).ok()?.trim_end();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    text[digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u32>) {
        assert_eq!(last_number(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn finds_the_id_a_refusal_is_about() {
        check("Someone has already registered with ID 101", Some(101));
        check("Someone has already registered with ID 101 ", Some(101));
        check("101 is taken", None);
        check("ID 99999999999", None);
        check("", None);
    }
}
