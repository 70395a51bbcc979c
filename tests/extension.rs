//! Properties of the codec of the extension between crc servers: round trips, cut payloads, noise.

use crc::id::HostId;
use crc::relay::extension::{
    Digest, Epoch, Errand, Frame, Hello, Hop, LinkLoad, Nonce, Ping, Proof, RefuseReason, RoomChat,
    RoomNames, RoomTopic, ServerFact, Trace, TraceResult,
};
use crc::relay::profile::Profile;
use crc::room::RoomName;
use crc_tests::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;

/// Values for the fields of any frame.
#[derive(Clone, Debug)]
struct Values {
    kind: u32,
    bytes: [u8; 2],
    small: [u32; 6],
    large: [u64; 4],
    has_digest: bool,
    ids: Vec<HostId>,
    stamps: Vec<u64>,
    hops: Vec<Hop>,
    loads: Vec<LinkLoad>,
    /// Encoded names of rooms.
    names: Vec<u8>,
    text: String,
}

fn room() -> RoomName<'static> {
    RoomName::parse(b"#lab").expect("a name")
}

impl Values {
    fn frame(&self) -> Frame<'_> {
        let [version, reason] = self.bytes;
        let [token, handled_bytes, nonce, replay_token] = self.large;
        let [id, boot, attach, via, users, servers] = self.small;
        let (id, via, epoch) = (HostId(id), HostId(via), Epoch { boot, attach });
        let (nonce, digest) = (Nonce(nonce), Digest(replay_token));
        let (port, capabilities, is_moving) = (servers as u16, users, self.has_digest);
        let hello = Hello {
            version,
            is_moving,
            capabilities,
            epoch,
            nonce,
            port,
            token,
            replay_token,
            handled_bytes,
            known: Epoch { boot: attach, attach: boot },
        };
        let ping = Ping { token, handled_bytes, digest: self.has_digest.then_some(digest) };
        let trace = Trace { token, target: id, hops: self.hops[..].into() };
        match self.kind {
            0 => Frame::ReadsCutFrames(self.text.as_bytes()),
            1 => Frame::Hello(hello),
            2 => Frame::Offer(hello),
            3 => Frame::Commit { epoch, known: hello.known },
            4 => Frame::Refuse { reason: RefuseReason(reason), text: self.text.as_bytes() },
            5 => Frame::Server(ServerFact { id, epoch, nonce, via, users, digest }),
            6 => Frame::FactsEnd { servers },
            7 => Frame::Withdraw(self.ids[..].into()),
            8 => Frame::Users { home: id, stamps: self.stamps[..].into() },
            9 => Frame::SyncRequest(self.ids[..].into()),
            10 => Frame::SyncBegin { home: id },
            11 => Frame::SyncEnd { home: id, users, digest },
            12 => Frame::Ping(ping),
            13 => Frame::Pong(ping),
            14 => Frame::Ack { handled_bytes },
            15 => Frame::Move { replacement: id, address: &self.text },
            16 => Frame::End,
            17 => Frame::Trace(trace),
            18 => Frame::TraceReply { result: TraceResult(reason), trace },
            19 => Frame::Challenge { nonce: [reason; 32] },
            20 => {
                let (nonce, holder, mac) = ([reason; 32], [version; 32], [reason; 32]);
                Frame::Proof(Proof { invitation: token, nonce, holder, mac })
            }
            21 => Frame::Proven { mac: [version; 32] },
            22 => {
                let names = RoomNames::parse(&self.names).expect("names");
                Frame::Rooms { user: id, is_complete: self.has_digest, names }
            }
            23 => Frame::RoomPart { user: id, name: room(), text: self.text.as_bytes() },
            27 => {
                let (stamp, user, name) = (token, id, &self.names[..self.names.len().min(255)]);
                let text = self.text.as_bytes();
                Frame::RoomTopic(RoomTopic { stamp, user, room: room(), name, text })
            }
            28 => {
                let (text, names) = (self.text.as_bytes(), &self.names[..]);
                let [away, real_name] = [text, names].map(|text| &text[..text.len().min(255)]);
                let profile = Profile { is_program: version > 9, away, real_name };
                Frame::Profile { user: id, precedes_registration: self.has_digest, profile }
            }
            25 => Frame::LinksRequest(Errand { origin: id, target: via, hops: version }),
            26 => {
                let errand = Errand { origin: id, target: via, hops: version };
                Frame::Links { errand, links: self.loads[..].into() }
            }
            _ => {
                let (user, home, number, text) = (id, via, token, self.text.as_bytes());
                Frame::RoomChat(RoomChat { user, home, number, room: room(), text })
            }
        }
    }
}

fn any_values() -> impl Strategy<Value = Values> {
    let hop = (any::<u32>(), any::<u32>())
        .prop_map(|(server, elapsed_micros)| Hop { server: HostId(server), elapsed_micros });
    let load = any::<([u32; 3], [u64; 2])>().prop_map(
        |([neighbour, round_trip_micros, queue_bytes], [frames, bytes])| {
            let neighbour = HostId(neighbour);
            LinkLoad { neighbour, round_trip_micros, queue_bytes, frames, bytes }
        },
    );
    let names = vec("#[!-+a-zäß]{1,9}", 0..9).prop_map(|names| {
        let mut encoded = Vec::new();
        for name in &names {
            RoomNames::push(RoomName::parse(name.as_bytes()).expect("a name"), &mut encoded);
        }
        encoded
    });
    let ids = vec(any::<u32>().prop_map(HostId), 0..9);
    let lists = (ids, vec(any::<u64>(), 0..9), vec(hop, 0..9), vec(load, 0..9), names);
    (0..29_u32, any::<([u8; 2], [u32; 6], [u64; 4], bool)>(), lists, any::<String>()).prop_map(
        |(kind, (bytes, small, large, has_digest), (ids, stamps, hops, loads, names), text)| {
            Values { kind, bytes, small, large, has_digest, ids, stamps, hops, loads, names, text }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn encoded_frame_parses_back(values in any_values()) {
        let frame = values.frame();
        let mut payload = Vec::new();
        frame.encode_payload(&mut payload);
        prop_assert_eq!(u32::from(frame.code().0), 0xC700 + values.kind);
        prop_assert_eq!(Frame::parse(frame.code(), &payload), Some(Ok(frame)));
        for len in 0..payload.len() {
            let beginning = Frame::parse(frame.code(), &payload[..len]).expect("a known code");
            prop_assert_ne!(beginning, Ok(frame));
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(code in 0..28_u8, bytes in vec(any::<u8>(), 0..80)) {
        fuzz::extension_codec(&[&[code][..], &bytes].concat());
    }
}
